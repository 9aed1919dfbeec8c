#!/usr/bin/env python3
"""Writes test pictures of Fashion-MNIST as PNG files, asks a command what each is, and shows it.

usage: demo_pictures.py DATA OUT COMMAND...   OUT/picture-N.png; COMMAND gets --input=THAT --top=1

A terminal shows pictures as half blocks in shades of grey, two pixels a character; elsewhere, and where
NO_COLOR is set, they are drawn in ASCII."""
import gzip
import os
import struct
import subprocess
import sys
import zlib

NAMES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
         "Ankle boot"]
PICTURES = [0, 1, 2, 4, 8, 18]
SHADES = " .:-=+*#%@"


def read(path, head):
    with gzip.open(path, "rb") as f:
        return f.read()[head:]


def png(pixels, side):
    """One of 8 bits in grey (PNG specification, section 11)."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + pixels[y * side:(y + 1) * side] for y in range(side))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def drawn(pixels, side, colours):
    """Lines of text, two rows of pixels each."""
    for y in range(0, side, 2):
        line = ""
        for x in range(side):
            above, below = pixels[y * side + x], pixels[(y + 1) * side + x]
            if colours:  # 232 to 255 are shades of grey
                line += "\x1b[38;5;%dm\x1b[48;5;%dm\u2580" % (232 + above * 23 // 255, 232 + below * 23 // 255)
            else:
                line += SHADES[(above + below) * (len(SHADES) - 1) // 510]
        yield line + ("\x1b[0m" if colours else "")


def main():
    data, out, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    colours = (sys.stdout.isatty() and not os.environ.get("NO_COLOR") and
               os.environ.get("TERM", "dumb") != "dumb" and "UTF" in (sys.stdout.encoding or "").upper())
    images = read(os.path.join(data, "t10k-images-idx3-ubyte.gz"), 16)
    labels = read(os.path.join(data, "t10k-labels-idx1-ubyte.gz"), 8)
    side, right = 28, 0
    for n in PICTURES:
        pixels = images[n * side * side:(n + 1) * side * side]
        path = os.path.join(out, "picture-%d.png" % n)
        with open(path, "wb") as f:
            f.write(png(pixels, side))
        done = subprocess.run(command + ["--input=" + path, "--top=1"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        if done.returncode != 0:
            sys.stderr.buffer.write(done.stderr)
            return done.returncode
        # rank, class, logit, softmax, name
        _, number, _, chance, name = done.stdout.decode().splitlines()[1].split(None, 4)
        right += int(number) == labels[n]
        lines = list(drawn(pixels, side, colours))
        said = {4: "is        %s" % NAMES[labels[n]], 6: "taken for %s" % name, 7: "with      %s" % chance,
                9: "" if int(number) == labels[n] else "(wrong)"}
        print()
        for i, line in enumerate(lines):
            print("  " + line + "   " + said.get(i, ""))
    print("\n%d of %d are right." % (right, len(PICTURES)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
