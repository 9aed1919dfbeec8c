#!/usr/bin/env python3
"""Networks on this machine's GPU beside PyTorch, from what cuda_bundle.py gathered: no compiler of
networks is needed. Outputs and losses are compared, then all are timed in turns.

usage: cuda.py [FOLDER] [--nets a,b] [--parts NET:MODE:BATCH,...] [--dtypes bf16,tf32,fp32]
               [--forms eager,graph,half_graph,compiled] [--rounds 7] [--limit 45] [--total 600]
               [--resume] [--write FOLDER]
Parts are in the order of what they tell: `limits` of the device, inference and training of a large batch,
other batches. Each is a process of its own with at most --limit seconds, all of them have --total.
What is measured is kept below FOLDER/work; --resume takes what is there and goes on. The table goes to
stdout (Markdown), progress to stderr; --write keeps it as cuda-DATE.md. Exit 1: a library of ours failed
or disagreed, or a part is missing; 3: no bundle.
"""
import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import time

import cuda_report

HERE = os.path.dirname(os.path.abspath(__file__))
LARGE, OTHERS = 256, (1, 32)
LEAST = 15  # seconds that a part is begun with


def say(text):
    print(text, file=sys.stderr, flush=True)


def parts_of(nets, most):
    """In the order of what they tell."""
    large = min(LARGE, most)
    for net in nets:
        yield f"{net}:inference:{large}"
        yield f"{net}:train:{large}"
    for batch in OTHERS:
        for net in nets:
            if batch < large:
                yield f"{net}:inference:{batch}"


def load(work, part):
    path = os.path.join(work, "parts", part.replace(":", ".") + ".json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def run_part(args, work, part, seconds):
    """What the process said last where it failed; None else."""
    command = [sys.executable, "-B", os.path.join(HERE, "cuda_part.py"), args.folder, work, part, f"{seconds:.0f}",
               str(args.rounds), args.dtypes, args.forms]
    with open(os.path.join(work, "parts", part.replace(":", ".") + ".log"), "w+", encoding="utf-8") as log:
        try:
            done = subprocess.run(command, stdout=log, stderr=log, timeout=seconds + 20)
        except subprocess.TimeoutExpired:
            return "no time left, and it did not end by itself"
        log.seek(0)
        said = [line for line in log.read().splitlines() if line.strip()]
    return None if done.returncode == 0 else f"exit {done.returncode}: {said[-1][:160] if said else 'no message'}"


def brief(found):
    ours, best = cuda_report.row_of(found)
    return ", ".join([f"cnnc {d} {t:.3g} ms" for d, t in ours.items()] +
                     [f"PyTorch {d} {t:.3g} ms ({f})" for d, (t, f) in best.items()] +
                     [f"{name}: {why}" for name, why in found["failed"].items()])


def measure(args, about, work):
    """What was found of every part, and why others are missing."""
    nets = args.nets.split(",") if args.nets else list(about["nets"])
    wanted = args.parts.split(",") if args.parts else ["limits", *parts_of(nets, about["max_batch"])]
    start, found, missing = time.monotonic(), [], []
    for number, part in enumerate(wanted):
        kept = load(work, part) if args.resume else None
        if kept and kept.get("complete"):
            found.append(kept)
            continue
        left = args.total - (time.monotonic() - start)
        if left < LEAST:
            missing.append(f"{part}: not begun, no time left of {args.total:.0f} s")
            continue
        say(f"[{number}/{len(wanted)}, {left:.0f} s left] {part}")
        why = run_part(args, work, part, min(args.limit, left))
        row = load(work, part)
        if row:
            found.append(row)
            say("    " + (brief(row) or "nothing was measured"))
        if why:
            missing.append(f"{part}: {why}")
            say("    " + why)
    return found, missing


def parse():
    p = argparse.ArgumentParser(description="networks on a GPU beside PyTorch")
    p.add_argument("folder", nargs="?", default=HERE)
    p.add_argument("--nets", help="default: all of the bundle")
    p.add_argument("--parts", help="in place of all, with commas between")
    p.add_argument("--dtypes", default="bf16,tf32,fp32")
    p.add_argument("--forms", default="eager,graph,half_graph,compiled", help="of PyTorch; the fastest counts")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--limit", type=float, default=45, help="seconds of a part")
    p.add_argument("--total", type=float, default=600, help="seconds of all")
    p.add_argument("--resume", action="store_true", help="take what was measured before")
    p.add_argument("--write", metavar="FOLDER", help="keep the table there")
    a = p.parse_args()
    if a.rounds < 1 or a.limit <= 0 or a.total <= 0:
        p.error("--rounds, --limit and --total are positive")
    return a


def main():
    args = parse()
    args.folder = os.path.abspath(args.folder)
    try:
        with open(os.path.join(args.folder, "about.json"), encoding="utf-8") as file:
            about = json.load(file)
    except FileNotFoundError:
        say(f"{args.folder}: no bundle here; make cuda-bundle")
        return 3
    work = os.path.join(args.folder, "work")
    if not args.resume:
        shutil.rmtree(os.path.join(work, "parts"), ignore_errors=True)
    os.makedirs(os.path.join(work, "parts"), exist_ok=True)
    found, missing = measure(args, about, work)
    today = datetime.date.today().isoformat()
    text = cuda_report.report(about, found, missing, today)
    print(text)
    if args.write:
        os.makedirs(args.write, exist_ok=True)
        with open(os.path.join(args.write, f"cuda-{today}.md"), "w", encoding="utf-8") as file:
            file.write(text + "\n")
    bad = [name for part in found for name in part.get("failed", {}) if name.startswith("cnnc")]
    return 1 if bad or missing else 0


if __name__ == "__main__":
    sys.exit(main())
