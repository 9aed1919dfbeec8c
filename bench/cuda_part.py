#!/usr/bin/env python3
"""One part of bench/cuda.py, in a process of its own: a network for inference or training at one batch,
every dtype there is a library for, beside every form of PyTorch, interleaved.

usage: cuda_part.py BUNDLE WORK limits|NET:inference|train:BATCH SECONDS ROUNDS DTYPES FORMS
What is found is written to WORK/parts/PART.json, anew after every step, so that a part that is ended early
has been there for nothing. First everything that runs is compared: outputs with PyTorch's in fp32,
training with its losses. What disagrees is not timed.
"""
import ctypes
import json
import lzma
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np

TURN, TURN_RUNS, LEAST = 0.15, 20, 3  # seconds and runs of a turn
COMPILING = 20  # seconds without which nothing is compiled
COMPARED, STEPS = 4, 3  # images; training steps
# of the largest output, of losses: fp32 in another order; operands rounded to 10 and 7 bits
WITHIN = {"fp32": 2e-4, "tf32": 3e-3, "bf16": 3e-2}
LOSS_WITHIN = {"fp32": 1e-3, "tf32": 5e-3, "bf16": 3e-2}
CLASSES = 1000


class TimeUp(Exception):
    """The part's time is over."""


def alarm(*_):
    raise TimeUp("no time left")


def find_torch():
    try:
        import cuda_torch
        import torch
    except ImportError as why:
        return None, f"no PyTorch: {why}"
    return (cuda_torch, None) if torch.cuda.is_available() else (None, "PyTorch finds no GPU")


def clocks():
    """What the driver says of the device now; None without nvidia-smi."""
    keys = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.draw,temperature.gpu"
    try:
        done = subprocess.run(["nvidia-smi", f"--query-gpu={keys}", "--format=csv,noheader"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    line = done.stdout.strip().splitlines()
    return dict(zip(keys.split(","), line[0].split(", "))) if done.returncode == 0 and line else None


class Ours:
    """A library of ours, on memory of the device where PyTorch can give it, else of the host: times
    are of the steps between two events either way."""

    def __init__(self, part, dtype):
        row = part.about["nets"][part.net]["builds"][dtype][part.mode]
        paths = {kind: part.unpacked(name) for kind, name in row.items()}
        with open(paths["json"], encoding="utf-8") as file:
            self.manifest = json.load(file)
        self.lib = ctypes.CDLL(os.path.join(part.bundle, "libcuda_run.so"))
        for name in ("cuda_run_open", "cuda_run", "cuda_run_error", "cuda_run_steps", "cuda_run_close"):
            getattr(self.lib, name).restype = {"cuda_run_error": ctypes.c_char_p,
                                               "cuda_run_steps": ctypes.c_int64}.get(name, ctypes.c_int)
        net = ctypes.CDLL(os.path.abspath(paths["so"]))
        found = net.net_train_model if part.mode == "train" else net.net_model
        found.restype = ctypes.c_void_p
        self.model, self.run = ctypes.c_void_p(found()), ctypes.c_void_p()
        self.check(self.lib.cuda_run_open(ctypes.byref(self.run), self.model, paths["packed"].encode()))
        self.part, self.seconds = part, ctypes.c_double()
        self.outputs = [part.empty(CLASSES)] + [part.empty(1)] * (part.mode == "train")
        pointers = ctypes.c_void_p * 2
        self.ins = pointers(part.address(part.x), part.address(part.targets))
        self.outs = pointers(*map(part.address, self.outputs))

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.lib.cuda_run_error(self.model, status).decode())

    def once(self, steps=None):
        self.check(self.lib.cuda_run(self.run, self.part.batch, self.ins, self.outs, ctypes.byref(self.seconds),
                                     steps))
        return self.seconds.value

    def result(self):
        """Outputs of a run; the losses of some steps."""
        if self.part.mode == "inference":
            self.once()
            return self.part.host(self.outputs[0])[:COMPARED]
        return np.array([(self.once(), self.part.host(self.outputs[1]).mean())[1] for _ in range(STEPS)])

    def turn(self, count):
        return [self.once() for _ in range(count)]

    def steps(self):
        """Every step's median seconds over some runs, with what the manifest says of it."""
        launches = self.manifest["step_launches" if self.part.mode == "train" else "launches"]
        if self.lib.cuda_run_steps(self.run) != len(launches):
            raise RuntimeError("the manifest is another library's")
        rows, most = [], 5
        for _ in range(most):
            found = (ctypes.c_double * len(launches))()
            self.once(found)
            rows.append(list(found))
        return [{"name": x["name"], "kernel": x["kernel"], "family": x["family"], "seconds": sorted(t)[most // 2],
                 "macs": self.part.batch * x["macs"], "bytes": self.part.batch * x["bytes"] + x["bytes_once"]}
                for x, t in zip(launches, zip(*rows))]

    def close(self):
        self.lib.cuda_run_close(self.run)


class Theirs:
    def __init__(self, part, dtype, form):
        row = part.about["nets"][part.net]
        self.part, self.torch = part, part.torch
        paths = part.unpacked(row["graph"]), part.unpacked(row["weights"])
        if part.mode == "inference":
            self.function = self.torch.inference(*paths, part.x, dtype, form)
        else:
            self.function = self.torch.training(*paths, part.x, part.labels, dtype, form)
        self.counts = form == "graph"  # it has run before the first look

    def result(self):
        if self.part.mode == "inference":
            return self.function().float().cpu().numpy()[:COMPARED]
        return np.array([self.function().item() for _ in range(STEPS)])

    def turn(self, count):
        return self.torch.times(self.function, count)


class Part:
    def __init__(self, bundle, work, text, seconds):
        with open(os.path.join(bundle, "about.json"), encoding="utf-8") as file:
            self.about = json.load(file)
        self.bundle, self.work, self.text = bundle, work, text
        self.torch, self.why = find_torch()
        self.end = time.monotonic() + seconds
        self.found = {"part": text, "peers": {}, "failed": {}, "without": self.why, "clocks": {"before": clocks()}}

    def prepare(self):
        self.net, self.mode, batch = self.text.split(":")
        self.batch = int(batch)
        with open(self.unpacked(self.about["nets"][self.net]["graph"]), encoding="utf-8") as file:
            head = next(line for line in file if " = input(" in line)
        shape = [int(re.search(rf"\b{key}=(\d+)", head)[1]) for key in "chw"]
        rng = np.random.default_rng(2)
        x = rng.standard_normal((self.batch, *shape)).astype(np.float32)
        labels = np.arange(self.batch) * 7 % CLASSES
        self.x, self.targets = self.place(x), self.place(np.eye(CLASSES, dtype=np.float32)[labels])
        if self.torch:
            import torch
            self.labels = torch.from_numpy(labels).cuda()

    def unpacked(self, name):
        path = os.path.join(self.work, name)
        if not os.path.exists(path):
            with lzma.open(os.path.join(self.bundle, name + ".xz")) as source, open(path + ".new", "wb") as to:
                while block := source.read(1 << 24):
                    to.write(block)
            os.rename(path + ".new", path)
        return path

    def place(self, array):
        if not self.torch:
            return array
        import torch
        return torch.from_numpy(array).cuda()

    def empty(self, values):
        return self.place(np.zeros((self.batch, values), np.float32))

    @staticmethod
    def address(array):
        return array.ctypes.data if isinstance(array, np.ndarray) else array.data_ptr()

    @staticmethod
    def host(array):
        return np.array(array) if isinstance(array, np.ndarray) else array.cpu().numpy()

    def save(self):
        path = os.path.join(self.work, "parts", self.text.replace(":", ".") + ".json")
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.found, file)
        os.rename(path + ".new", path)

    def agree(self, name, dtype, peer, reference):
        """Whether a peer may be timed; what it gave if there is nothing yet to compare with."""
        result = peer.result()
        row = self.found["peers"].setdefault(name, {"dtype": dtype, "times": []})
        if not np.isfinite(result).all():
            self.found["failed"][name] = "a result is not finite"
            return False, reference
        if reference is None:
            return True, result
        if self.mode == "train" and getattr(peer, "counts", False):
            return True, reference  # its parameters have moved on: it is the eager form, captured
        off = np.abs(result - reference)
        row["error"] = float((off / np.abs(reference)).max() if self.mode == "train" else
                             off.max() / np.abs(reference).max())
        within = (LOSS_WITHIN if self.mode == "train" else WITHIN)[dtype]
        if row["error"] > within:
            self.found["failed"][name] = f"off by {row['error']:.1e}, more than {within:.0e}"
        return row["error"] <= within, reference

    def open(self, name, dtype, reference, make):
        try:
            peer = make()
            good, reference = self.agree(name, dtype, peer, reference)
            return (peer if good else None), reference
        except TimeUp:
            self.found["failed"][name] = "no time left to prepare it"
            raise
        except Exception as why:  # whatever a peer fails with, the others count
            text = str(why).strip().splitlines()
            self.found["failed"][name] = (text[0] if text else type(why).__name__)[:160]
            return None, reference

    def race(self, peers, rounds):
        """All peers in turns, each round as long for all."""
        for number in range(rounds):
            for name, peer in peers.items():
                row = self.found["peers"][name]
                if "runs" not in row:
                    first = min(peer.turn(2))
                    row["runs"] = max(LEAST, min(TURN_RUNS, int(TURN / max(first, 1e-6))))
                row["times"] += peer.turn(row["runs"])
            if number == 0 or number == rounds - 1:
                self.found["clocks"]["after" if number else "first"] = clocks()
            self.found["rounds"] = number + 1
            self.save()

    def measure(self, dtype, reference, rounds, forms):
        """Everything of one dtype; what PyTorch compiles after a race of the rest, as it takes long."""
        peers, ours = {}, f"cnnc {dtype}"
        if dtype in self.about["nets"][self.net]["builds"]:
            peer, reference = self.open(ours, dtype, reference, lambda: Ours(self, dtype))
            if peer:
                peers[ours] = peer
                self.found["peers"][ours]["steps"] = peer.steps()
        for late in (False, True):
            wanted = self.torch.forms_of(dtype, self.mode == "train") if self.torch else []
            wanted = [f for f in wanted if f in forms and (f == "compiled") == late]
            if late and wanted and self.end - time.monotonic() < COMPILING:
                self.found["failed"][f"PyTorch {dtype} compiled"] = "no time left to prepare it"
                continue
            for form in wanted:
                name = f"PyTorch {dtype} {form}"
                peer, reference = self.open(name, dtype, reference, lambda: Theirs(self, dtype, form))
                if peer:
                    peers[name] = peer
            if peers and (wanted or not late):
                self.race(peers, rounds)
        if ours in peers:
            peers[ours].close()

    def go(self, rounds, dtypes, forms):
        self.prepare()
        reference = None
        if self.torch:
            _, reference = self.open("PyTorch fp32", "fp32", None, lambda: Theirs(self, "fp32", "eager"))
            del self.found["peers"]["PyTorch fp32"]
        self.found["compared"] = reference is not None
        for dtype in dtypes:
            if self.torch:
                self.torch.forget()
            self.measure(dtype, reference, rounds, forms)


def main():
    bundle, work, text, seconds, rounds, dtypes, forms = sys.argv[1:]
    sys.path.insert(0, bundle)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(work, "inductor"))
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    start, part = time.monotonic(), Part(bundle, work, text, float(seconds))
    try:
        if text == "limits":
            part.found["limits"] = part.torch.limits() if part.torch else None
            part.found["versions"] = part.torch.versions() if part.torch else None
        else:
            part.go(int(rounds), dtypes.split(","), forms.split(","))
        part.found["complete"] = True
    except TimeUp as why:
        part.found["ended"] = str(why)
    part.found["spent"] = time.monotonic() - start
    part.save()


if __name__ == "__main__":
    main()
