"""What the tests of training share: small data sets whose classes a small net tells apart in seconds,
a reader of checkpoints of their own, and runs that are ended by signals."""
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["SRC"], "tests", "cli"))
import harness  # noqa: E402
from harness import CNNC, SRC, Skip, expect, run, write  # noqa: E402,F401

SIDE, CLASSES = 12, 4
FULL = bool(os.environ.get("CHECK_FULL"))

NET = """import std.blocks
net small(width: int = 8, classes: int = 10, res: int = 12) {
  input image[1, res, res](mean=[0.5], std=[0.25])
  stage s1(stride=1) { conv_bn_act(width) }
  stage s2(stride=2) { conv_bn_act(2 * width, stride=stage.stride) }
  head logits = gap -> flatten -> dense(classes)
  train {
    epochs = 3
    batch = 16
    loss = cross_entropy(logits)
    optimizer = sgd(lr=0.1, momentum=0.9, decay=1e-4)
    schedule = cosine(warmup=0.5)
    augment = random_crop(res, pad=1) -> hflip
  }
}
"""
# Without batch norm, so that a batch is the sum of its pictures; without chance.
PLAIN = """net plain(classes: int = 10) {
  input image[1, 12, 12](mean=[0.5], std=[0.25])
  stage s1(stride=1) { conv(8, k=3, bias=true) -> relu }
  stage s2(stride=2) { conv(16, k=3, stride=2, bias=true) -> relu }
  head logits = gap -> flatten -> dense(classes)
  train { epochs = 2  batch = 16  loss = cross_entropy(logits)  optimizer = sgd(lr=0.05) }
}
"""


def picture(label, rng, channels=1):
    """Stripes: how far they are apart and which way they run is the class."""
    apart, across, shift = (4 if label < 2 else 2), label % 2, rng.randrange(4)
    out = bytearray()
    for y in range(SIDE):
        for x in range(SIDE):
            v = 200 if ((x if across else y) + shift) // apart % 2 else 60
            v += rng.randrange(-40, 41)
            out += bytes([v]) * channels
    return bytes(out)


def idx(folder, train=160, test=80, classes=CLASSES, seed=1, times=1):
    """Fills a folder in MNIST's form, with the test pictures that many times."""
    rng = random.Random(seed)
    os.makedirs(folder, exist_ok=True)
    for part, n in (("train", train), ("t10k", test)):
        labels = [i % classes for i in range(n)]
        rng.shuffle(labels)
        pictures, k = b"".join(picture(c % CLASSES, rng) for c in labels), times if part == "t10k" else 1
        write("%s/%s-images-idx3-ubyte" % (folder, part), struct.pack(">IIII", 0x803, n * k, SIDE, SIDE) + pictures * k)
        write("%s/%s-labels-idx1-ubyte" % (folder, part),
              struct.pack(">II", 0x801, n * k) + bytes(labels) * k)
    return "idx:" + folder


def prepare(net=NET, **kw):
    write("net.cnn", net)
    return ["train", "net.cnn", "--data=" + idx("data", **kw)]


def checkpoint(path):
    """Metadata, and name -> (shape, bytes)."""
    with open(path, "rb") as f:
        blob = f.read()
    (n,) = struct.unpack("<Q", blob[:8])
    head = json.loads(blob[8:8 + n])
    meta = head.pop("__metadata__", {})
    out = {}
    for name, t in head.items():
        begin, end = t["data_offsets"]
        assert t["dtype"] == "F32", t
        out[name] = (t["shape"], blob[8 + n + begin:8 + n + end])
    return meta, out


def floats(tensor):
    return struct.unpack("<%df" % (len(tensor[1]) // 4), tensor[1])


def same(one, other, name="last.safetensors"):
    """All tensors of two runs are the same bytes, and both are at the same place."""
    a, b = checkpoint(os.path.join(one, name)), checkpoint(os.path.join(other, name))
    assert a[1].keys() == b[1].keys(), (one, other)
    for key in ("step", "epoch", "batch", "best"):
        assert a[0][key] == b[0][key], (one, other, key, a[0][key], b[0][key])
    wrong = [t for t in a[1] if a[1][t] != b[1][t]]
    assert not wrong, "%s and %s differ in %s" % (one, other, wrong[:5])


def records(folder):
    with open(os.path.join(folder, "log.jsonl")) as f:
        return [json.loads(line) for line in f]


def begin(args, **kw):
    env = {**os.environ, **kw.pop("env", {})}
    return subprocess.Popen([CNNC] + args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            env=env, **kw)


def ended(child, timeout=300):
    err = child.communicate(timeout=timeout)[1].decode("utf-8", "replace")
    return child.returncode, err


def wait_for(folder, child, update):
    """Until the log has a record of this update or a later one, or the run has ended."""
    while child.poll() is None:
        try:
            if any(r["step"] >= update for r in records(folder)):
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.01)


def stop(args, folder, sig, after):
    """Sends a signal once the folder's log is there and `after` more seconds have gone by."""
    child = begin(args)
    while child.poll() is None and not os.path.exists(os.path.join(folder, "log.jsonl")):
        time.sleep(0.005)
    time.sleep(after)
    if child.poll() is None:
        child.send_signal(sig)
    return ended(child)


def main(tests):
    return harness.main(tests, "train")
