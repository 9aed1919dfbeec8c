#!/usr/bin/env python3
"""Gathers what bench/cuda.py needs on a machine with a GPU and PyTorch: for each network libraries for
inference and training in every dtype that cnnc has, weights, the graph for PyTorch.

usage: cuda_bundle.py FOLDER [--nets a,b] [--max-batch 256]        env: CNNC SRC CC
Weights are periodic: a ring of random numbers, wound through every tensor with a stride for each axis.
They are as good as any for timing and comparing, and hundreds of megabytes of them, in whatever order
the kernels read them, compress to a few. Needs NumPy.
"""
import argparse
import hashlib
import json
import lzma
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
NETS = "resnet50,efficientnet_b0,convnext_tiny,mobilenet_v2,densenet121"
ALLOW = "--allow=underutilized,unproductive,saturated"
# the same recipe for all, and for PyTorch: cuda_torch.py
TRAINED = ["--set=opt=momentum", "--set=lr=1e-3", "--set=momentum=0.9", "--set=weight-decay=1e-4",
           "--set=smoothing=0", "--set=model-ema-decay=0"]
# what is drawn at random in training is left out: losses are compared, and PyTorch draws other numbers
PARAMETERS = {"efficientnet_b0": ["-p", "drop_rate=0", "-p", "drop_path_rate=0"],
              "convnext_tiny": ["-p", "drop_path_rate=0"]}
LEFT_OUT = {"mobilenet_v2": " -> dropout(0.2)"}
PERIOD, STRIDES = 4093, (37, 101, 1009)  # a prime; of output, input and tap
SCRIPTS = ("cuda.py", "cuda_part.py", "cuda_torch.py", "cuda_report.py", "graph_torch.py")


def cnnc(*args):
    done = subprocess.run([os.environ["CNNC"], *args, ALLOW, "-q"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"cnnc {' '.join(args[:2])}: {done.stderr.strip()[-300:]}")
    return done.stdout


def wound(shape, scale):
    """A tensor [o][i][y][x] or [o][i] of the ring's values, the largest of them about `scale`."""
    ring = np.random.default_rng(1).integers(-2047, 2048, PERIOD).astype(np.float32)
    o, i, *taps = shape
    tap = np.arange(math.prod(taps)) * STRIDES[2]
    at = (np.arange(o)[:, None, None] * STRIDES[0] + np.arange(i)[:, None] * STRIDES[1] + tap) % PERIOD
    return ring[at].reshape(shape) * np.float32(2.0 ** round(math.log2(scale)) / 2048)


def periodic(name, values):
    """What stands for a tensor of cnnc's fixtures: the same size of values. Scales of norms are one
    number, as they are multiplied into weights."""
    if values.ndim > 1:
        return wound(values.shape, float(values.std()) * math.sqrt(3) + 1e-9)
    if name.endswith(("weight", "running_var", "gamma")):
        return np.full_like(values, values.mean())
    return values


def rewrite(path):
    """Makes the tensors of a safetensors file periodic."""
    with open(path, "rb") as file:
        head = file.read(struct.unpack("<Q", file.read(8))[0])
        data = bytearray(file.read())
    for name, entry in json.loads(head).items():
        if name != "__metadata__":
            lo, hi = entry["data_offsets"]
            values = np.frombuffer(bytes(data[lo:hi]), "<f4").reshape(entry["shape"])
            data[lo:hi] = periodic(name, values).astype("<f4").tobytes()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head + data)


class Bundle:
    def __init__(self, folder):
        self.folder, self.kept = folder, {}

    def keep(self, path, name):
        """Compresses a file into the bundle; its name there, that of an equal one if there is one."""
        with open(path, "rb") as file:
            data = file.read()
        key = hashlib.sha256(data).digest()
        if key not in self.kept:
            with open(os.path.join(self.folder, name + ".xz"), "wb") as file:
                file.write(lzma.compress(data, preset=1 if len(data) > 1 << 24 else 6))
            self.kept[key] = name
        return self.kept[key]


def dtypes():
    found = re.search(r"--dtype=(\S+)", cnnc("build", "--help"))
    return found[1].split("|") if found else ["fp32"]


def source_of(net, work):
    """What cnnc is given for a network, and parameters of it."""
    if net not in LEFT_OUT:
        return net, PARAMETERS.get(net, [])
    path = os.path.join(work, net + ".cnn")
    with open(os.path.join(os.environ["SRC"], "stdlib", net + ".cnn"), encoding="utf-8") as file:
        text = file.read()
    if LEFT_OUT[net] not in text:
        sys.exit(f"{net} has no '{LEFT_OUT[net]}'")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(LEFT_OUT[net], ""))
    return f"{path}:{net}", []


def build(bundle, base, net, mode, dtype, source, more):
    """A library and what belongs to it: names in the bundle."""
    print(f"{net}: {mode}, {dtype}", file=sys.stderr, flush=True)
    stem = f"{base}.{dtype}.{mode}"
    cnnc("build", *source, f"--mode={mode}", "--weights", base + ".safetensors", "--target=cuda",
         *[f"--dtype={dtype}"] * (dtype != "fp32"), *(TRAINED if mode == "train" else []),
         "--weights-mode=external", "--emit=so,manifest", "--prefix=net", "-o", stem, *more)
    found = {}
    for kind in ("so", "json", "packed"):
        found[kind] = bundle.keep(f"{stem}.{kind}", f"{net}.{dtype}.{mode}.{kind}")
        os.unlink(f"{stem}.{kind}")
    return found


def gather(bundle, net, max_batch, work):
    name = net.rsplit(":", 1)[-1]
    base = os.path.join(work, name)
    source, parameters = source_of(net, work)
    cnnc("build", source, *parameters, "--weights=fixture:2", "--emit=weights", "-o", base + ".safetensors")
    rewrite(base + ".safetensors")
    with open(base + ".graph", "w", encoding="utf-8") as file:
        file.write(cnnc("print-graph", source, *parameters))
    row = {"weights": bundle.keep(base + ".safetensors", name + ".safetensors"),
           "graph": bundle.keep(base + ".graph", name + ".graph"), "builds": {}}
    for dtype in dtypes():
        row["builds"][dtype] = {
            mode: build(bundle, base, name, mode, dtype, [source, *parameters], [f"--max-batch={max_batch}"])
            for mode in ("inference", "train")}
    return name, row


def runner(folder):
    """The library that runs models, from the runtime that cnnc was built with."""
    lib = os.path.join(os.environ["BUILD"], "lib", "libcnnrt.a")
    source = os.environ["SRC"]
    done = subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-fPIC", "-shared",
                           f"-I{source}/include", os.path.join(HERE, "cuda_run.c"), lib, "-lm", "-lpthread",
                           "-o", os.path.join(folder, "libcuda_run.so")])
    if done.returncode != 0:
        sys.exit("the library that runs models cannot be made")


def commit():
    done = subprocess.run(["git", "-C", os.environ["SRC"], "describe", "--always", "--dirty"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or "unknown"


def main():
    p = argparse.ArgumentParser(description="what bench/cuda.py needs on another machine")
    p.add_argument("folder")
    p.add_argument("--nets", default=NETS)
    p.add_argument("--max-batch", type=int, default=256)
    args = p.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    os.makedirs(args.folder)
    bundle, nets = Bundle(args.folder), {}
    with tempfile.TemporaryDirectory() as work:
        for net in args.nets.split(","):
            name, row = gather(bundle, net, args.max_batch, work)
            nets[name] = row
    runner(args.folder)
    for script in SCRIPTS:
        shutil.copy(os.path.join(HERE, script), args.folder)
    version = subprocess.run([os.environ["CNNC"], "--version"], stdout=subprocess.PIPE, text=True)
    about = {"commit": commit(), "compiler": version.stdout.split("\n")[0], "max_batch": args.max_batch,
             "nets": nets}
    with open(os.path.join(args.folder, "about.json"), "w", encoding="utf-8") as file:
        json.dump(about, file, indent=1)


if __name__ == "__main__":
    main()
