#!/usr/bin/env python3
"""How fast pictures come: `cnnc bench NET --data` over every kind of data set, with 1 and 2 workers.

    loader.py [--pictures N]

The JPEG files are copies of examples/photo/cat.jpg (451x300, 42 KB), so that they come from the disk's cache: what
is measured is decoding and augmentation, not a disk. Time on a clock is what this machine gives beside all else
that runs; time of a processor is the work itself."""
import argparse
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile

CNNC = os.environ["CNNC"]
HERE = os.path.dirname(os.path.abspath(__file__))
PHOTO = os.path.join(HERE, "..", "examples", "photo", "cat.jpg")
NET = """net %s(res: int = %d) {
  input image[%d, res, res](mean=[%s], std=[%s])
  stage s(stride=4) { conv(8, k=7, stride=4) }
  head logits = gap -> flatten -> dense(1000)
  train { loss = cross_entropy(logits)  augment = %s }
}
"""
CHAINS = {
    "crop, flip": "random_resized_crop(res) -> hflip",
    "crop, flip, jitter": "random_resized_crop(res) -> hflip -> color_jitter(0.4, 0.4, 0.4)",
    "crop, flip, RandAugment, erase, mixup": "random_resized_crop(res) -> hflip -> rand_augment(9, std=0.5) -> "
                                             "erase(0.25) -> mixup(0.8)",
    "padded crop, flip": "random_crop(res, pad=4) -> hflip",
    "none": None,
}


def net(folder, name, side, channels, chain):
    path = os.path.join(folder, name + ".cnn")
    text = NET % (name, side, channels, ", ".join(["0.5"] * channels), ", ".join(["0.25"] * channels), CHAINS[chain])
    with open(path, "w") as f:
        f.write(text if CHAINS[chain] else text.replace("  augment = None", ""))
    return path


def photos(folder, count):
    for i in range(count):
        to = os.path.join(folder, "photos", "train", "ab"[i % 2])
        os.makedirs(to, exist_ok=True)
        shutil.copy(PHOTO, os.path.join(to, "%d.jpg" % i))
    with tarfile.open(os.path.join(folder, "photos.tar"), "w") as tar:
        for i in range(count):
            tar.add(PHOTO, "%06d.jpg" % i)
            label = os.path.join(folder, "label")
            with open(label, "w") as f:
                f.write(str(i % 2))
            tar.add(label, "%06d.cls" % i)


def bytes_of(rng, n):
    return rng.getrandbits(8 * n).to_bytes(n, "little")


def small(folder, rng):
    os.makedirs(os.path.join(folder, "cifar"))
    for i in range(5):
        with open(os.path.join(folder, "cifar", "data_batch_%d.bin" % (i + 1)), "wb") as f:
            for k in range(2000):
                f.write(bytes([k % 10]) + bytes_of(rng, 3072))
    os.makedirs(os.path.join(folder, "idx"))
    with open(os.path.join(folder, "idx", "train-images-idx3-ubyte"), "wb") as f:
        f.write(struct.pack(">IIII", 0x803, 60000, 28, 28) + bytes_of(rng, 60000 * 784))
    with open(os.path.join(folder, "idx", "train-labels-idx1-ubyte"), "wb") as f:
        f.write(struct.pack(">II", 0x801, 60000) + bytes(i % 10 for i in range(60000)))


def bench(path, data, batch, workers):
    done = subprocess.run([CNNC, "bench", path, "--data=" + data, "--batch=%d" % batch, "--format=json", "--set",
                           "workers=%d" % workers, "-A", "unproductive,underutilized,saturated"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit("%s: %s" % (data, done.stderr.decode()))
    return json.loads(done.stdout)["loader"][0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=512, help="JPEG files")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos(folder, args.pictures)
        small(folder, random.Random(1))
        rows = [("folder", 224, 3, c, "folder:" + os.path.join(folder, "photos"), 64) for c in list(CHAINS)[:3]]
        rows += [("tar", 224, 3, "crop, flip", "tar:" + os.path.join(folder, "photos.tar"), 64),
                 ("cifar10", 32, 3, "padded crop, flip", "cifar10:" + os.path.join(folder, "cifar"), 128),
                 ("idx", 28, 1, "padded crop, flip", "idx:" + os.path.join(folder, "idx"), 128),
                 ("idx", 28, 1, "none", "idx:" + os.path.join(folder, "idx"), 128)]
        print("load of the machine: %.1f of %d processors" % (os.getloadavg()[0], os.cpu_count()))
        print("| pictures | augmentation | images/s, 1 worker | 2 workers | ms of a processor an image |\n"
              "|---|---|---|---|---|")
        for i, (kind, side, channels, chain, data, batch) in enumerate(rows):
            path = net(folder, "net%d" % i, side, channels, chain)
            one, two = (bench(path, data, batch, w) for w in (1, 2))
            print("| %s %dx%d | %s | %.0f | %.0f | %.3f |" % (kind, side, side, chain, one["images_per_s"],
                                                             two["images_per_s"], one["processor_ms"]), flush=True)


if __name__ == "__main__":
    main()
