#!/usr/bin/env python3
"""Trains networks as they were drawn and as `cnnc refine --strategy=fit` rewrites them, on
Fashion-MNIST at 28x28, with the same recipe and several seeds; writes docs/experiments.md.

usage: experiment.py [--seeds 1,2,3] [--epochs N] [--nets a,b] [--data DIR] [--table-only]
Environment: CNNC (the compiler), BUILD (where runs are kept). Runs that were interrupted go on where
they were; finished ones are not repeated. The table holds whatever came out, of finished runs.
"""
import argparse
import datetime
import json
import os
import resource
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCE = os.path.join(ROOT, "examples", "experiment", "families.cnn")
NETS = ["resnet18_w16", "mobilenet_v2_w025", "mnasnet_w0125", "efficientnet_b0_w0125"]
ALLOW = "--allow=underutilized,unproductive,saturated"


def cnnc(*args):
    done = subprocess.run([os.environ["CNNC"], *args], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"cnnc {' '.join(args)}: exit {done.returncode}")
    return done.stdout


def facts(source, net):
    report = json.loads(cnnc("summary", f"{source}:{net}", "--format=json", ALLOW, "-q"))
    return report["params"], report["macs"], report["n"]


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spent(folder):
    """The processor's seconds of a run so far; None where they were not kept."""
    try:
        return float(open(os.path.join(folder, "cpu_seconds")).read())
    except OSError:
        return None


def run(folder, source, net, seed, args):
    """Trains unless it is done; the processor's seconds of all parts of the run are kept beside it."""
    clock = os.path.join(folder, "cpu_seconds")
    command = [os.environ["CNNC"], "train", f"{source}:{net}", f"--data=idx:{args.data}",
               f"--output={folder}", "--resume", f"--set=seed={seed}", ALLOW]
    if args.epochs:
        command.append(f"--set=epochs={args.epochs}")
    os.makedirs(folder, exist_ok=True)
    before, start = spent(folder) or 0, children()
    code = subprocess.run(command).returncode
    with open(clock, "w") as f:
        f.write(str(before + children() - start))
    if code != 0:
        sys.exit(f"{' '.join(command)}: exit {code}")


def result(folder, epochs):
    """Accuracy after the last epoch, and the processor's seconds (None: not kept); None while the run
    is not done."""
    try:
        lines = [json.loads(line) for line in open(os.path.join(folder, "log.jsonl"))]
    except OSError:
        return None
    ends = [r for r in lines if "val_top1" in r]
    if not ends or ends[-1]["epoch"] < epochs:
        return None
    return ends[-1]["val_top1"], spent(folder)


def spread(values):
    return f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""


def row(net, drawn, refined):
    cells = [net]
    for results, (params, macs, n) in (drawn, refined):
        if not results:
            cells += [f"{n[0]}", f"{macs / 1e6:.2f} M", "-", "-"]
            continue
        top1 = [100 * r[0] for r in results]
        seconds = [r[1] for r in results if r[1] is not None]
        cells += [f"{n[0]}", f"{macs / 1e6:.2f} M",
                  f"{statistics.mean(top1):.2f}{spread(top1)} ({len(top1)})",
                  f"{statistics.mean(seconds) / 60:.1f} min" if seconds else "-"]
    return "| " + " | ".join(cells) + " |"


def write(rows, args, epochs):
    path = os.path.join(ROOT, "docs", "experiments.md")
    text = f"""# Refinement, tried

What `make experiment-refine` found on {datetime.date.today()}: four families, narrowed
([families.cnn](../examples/experiment/families.cnn): to 16 channels, a quarter and an eighth of their
width) so that a run ends within ten minutes of two cores, are trained on Fashion-MNIST at its own
28x28, once as they were drawn for 224x224 and once as `cnnc refine --strategy=fit` rewrites them:
the same parameters, less downsampling. One recipe for all, {epochs} epochs, nothing tuned for any of
them. Accuracy on the 10,000 test pictures after the last epoch, in per cent: mean and standard
deviation over the seeds (in brackets how many were trained; -: none yet). Times are the processor's,
of whole runs: two cores share them.

| net | drawn: n | MACs | top-1 | time | refined: n | MACs | top-1 | time |
|---|---|---|---|---|---|---|---|---|
""" + "\n".join(rows) + """

The parameters of a net and of its refined form are equal. n is the smallest resolution at which all
of a net's layers are productive.
"""
    with open(path + ".tmp", "w") as f:
        f.write(text)
    os.replace(path + ".tmp", path)
    print(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--table-only", action="store_true")
    args = parser.parse_args()
    folder = os.path.join(os.environ["BUILD"], "experiment")
    os.makedirs(folder, exist_ok=True)
    rows, nets, seeds = [], args.nets.split(","), args.seeds.split(",")
    sources = {}
    for net in nets:
        refined = os.path.join(folder, f"{net}.cnn")
        cnnc("refine", f"{SOURCE}:{net}", "--strategy=fit", "-q", f"--output={refined}")
        sources[net] = {"drawn": SOURCE, "refined": refined}
        before, after = facts(SOURCE, net), facts(refined, net)
        if abs(after[0] / before[0] - 1) > 0.02:
            sys.exit(f"{net}: {before[0]} parameters as drawn, {after[0]} refined")
    epochs = args.epochs or json.loads(
        cnnc("summary", f"{SOURCE}:{nets[0]}", "--train", "--format=json", ALLOW))["epochs"]
    for seed in seeds:
        for net in nets:
            for kind in ("drawn", "refined"):
                place = os.path.join(folder, f"{net}-{kind}-{seed}")
                if not args.table_only and result(place, epochs) is None:
                    print(f"{net}, {kind}, seed {seed}", flush=True)
                    run(place, sources[net][kind], net, seed, args)
    for net in nets:
        parts = []
        for kind in ("drawn", "refined"):
            found = [result(os.path.join(folder, f"{net}-{kind}-{s}"), epochs) for s in seeds]
            parts.append(([f for f in found if f], facts(sources[net][kind], net)))
        rows.append(row(net, *parts))
    write(rows, args, epochs)


if __name__ == "__main__":
    main()
