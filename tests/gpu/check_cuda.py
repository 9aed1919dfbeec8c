#!/usr/bin/env python3
"""Networks on a GPU beside the same on the processor of its machine, from what bundle.sh gathered:
every program's output, the same bits in every run, twenty training steps of every trainer. Prints
lines like the other tests, and closes with counts. Needs NumPy. usage: check_cuda.py [FOLDER]
Programs are unpacked into FOLDER/check first."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np

STEPS = 20
WITHIN = 1e-4  # of the largest output: single precision, sums in another order
LOSS_WITHIN = 2e-3  # relative, after steps that carry differences on
counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}


def say(verdict, text):
    counts[verdict] += 1
    print(f"{verdict} gpu.{text}", flush=True)


def run(program, source, target, cpu):
    done = subprocess.run([program, source, "-o", target], capture_output=True, text=True,
                          env={**os.environ, "CNNC_CPU": cpu}, timeout=120)
    return None if done.returncode == 0 else f"exit {done.returncode}: {done.stderr.strip()}"


def check_program(manifest, cpus, work):
    name, program = manifest.stem, str(manifest.with_suffix(""))
    shape = json.loads(manifest.read_text())["inputs"][0]["shape"][1:]
    batch = np.random.default_rng(1).standard_normal((3, *shape)).astype(np.float32)
    np.save(work / "x.npy", batch)
    outputs = []
    for i, cpu in enumerate((cpus[0], cpus[0], cpus[1])):
        wrong = run(program, str(work / "x.npy"), str(work / f"{i}.npy"), cpu)
        if wrong:
            return say("FAIL", f"{name}: {cpu}: {wrong}")
        outputs.append(np.load(work / f"{i}.npy"))
    if outputs[0].tobytes() != outputs[1].tobytes():
        return say("FAIL", f"{name}: two runs differ")
    error = float(np.abs(outputs[0] - outputs[2]).max() / np.abs(outputs[2]).max())
    say("PASS" if error <= WITHIN else "FAIL", f"{name}: {error:.2e} of the largest output")


def losses(library, shape, classes):
    from trainer import Trainer
    rng = np.random.default_rng(2)
    t = Trainer(library, "net", threads=0)
    found = []
    for _ in range(STEPS):
        images = rng.standard_normal((16, *shape)).astype(np.float32)
        targets = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, 16)]
        found.append(t.step(images, targets, 0.01))
    t.close()
    return np.array(found)


def check_trainer(manifest):
    name = manifest.name.split(".")[0]
    facts = json.loads(manifest.read_text())
    shape, classes = facts["inputs"][0]["shape"][1:], facts["outputs"][0]["shape"][1]
    base = str(manifest)[:-len("cuda.json")]
    try:
        ours = losses(base + "cuda.so", shape, classes)
        again = losses(base + "cuda.so", shape, classes)
        theirs = losses(base + "cpu.so", shape, classes)
    except RuntimeError as why:
        return say("FAIL", f"train.{name}: {why}")
    if ours.tobytes() != again.tobytes():
        return say("FAIL", f"train.{name}: two trainings differ")
    error = float(np.abs(ours / theirs - 1).max())
    good = error <= LOSS_WITHIN and np.isfinite(ours).all()
    say("PASS" if good else "FAIL", f"train.{name}: losses of {STEPS} steps within {error:.2e}")


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(__file__)).resolve()
    sys.path.insert(0, str(folder))
    if (folder / "check.tar.xz").exists() and not (folder / "check").exists():
        shutil.unpack_archive(folder / "check.tar.xz", folder / "check.new")
        (folder / "check.new").rename(folder / "check")
    if (folder / "check").exists():
        folder = folder / "check"
    programs = sorted(p for p in folder.glob("*.json") if "." not in p.stem)
    if not programs:
        sys.exit(f"{folder}: no bundle here; make cuda-bundle")
    probe = subprocess.run([str(programs[0].with_suffix("")), "/nonexistent.npy"], text=True,
                           capture_output=True, env={**os.environ, "CNNC_CPU": "sm_70"})
    if "CNNC_CPU=sm_70" in probe.stderr:
        say("SKIP", "all: this machine has no GPU that the code is for")
    else:
        work = folder / "work"
        work.mkdir(exist_ok=True)
        for manifest in programs:
            variants = json.loads(manifest.read_text())["variants"]
            check_program(manifest, [v["target"]["cpu"] for v in variants], work)
        for manifest in sorted(folder.glob("*.cuda.json")):
            check_trainer(manifest)
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped")
    sys.exit(counts["FAIL"] > 0)


if __name__ == "__main__":
    main()
