#!/usr/bin/env python3
"""What `cnnc tune` finds beside the rules: networks built both ways, measured in turns.

usage: tuned.py [--nets a,b] [--threads 2] [--rounds 9] [--keep] [--write]
Tiles go to a folder of their own, BUILD/bench/tuned, which starts empty (--keep: goes on). The table
(Markdown) goes to stdout, with --write also to bench/results/tuned-DATE.md; progress goes to stderr.
Environment: CNNC, BUILD, BENCH_PYTHON (peers_env.py: a Python that has NumPy).
"""
import argparse
import datetime
import json
import math
import os
import shutil
import subprocess
import sys
import time

import peers_env
from peers import ALLOW, CLASSES, HERE, INPUT, NETS, SEED, input_shape, say
from worker import Worker, WorkerFailed, in_turns

LIMIT = 600  # seconds for one answer of a worker


def python_with_numpy(build):
    for python in (os.environ.get("BENCH_PYTHON"), os.path.join(build, "peers", "bin", "python"), sys.executable):
        if python and os.path.exists(python) and peers_env.has(python, "numpy"):
            return python
    sys.exit(f"{sys.executable} lacks numpy (Debian: python3-numpy); BENCH_PYTHON=/a/python that has it")


class Tuned:
    def __init__(self, args):
        build = os.path.abspath(os.environ.get("BUILD", "build"))
        self.args, self.threads = args, f"--threads={args.threads}"
        self.cnnc = os.path.abspath(os.environ.get("CNNC", os.path.join(build, "bin", "cnnc")))
        self.python = python_with_numpy(build)
        self.folder = os.path.join(build, "bench", "tuned")
        if not args.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder, exist_ok=True)
        os.environ["XDG_CACHE_HOME"] = self.folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *command):
        done = subprocess.run([self.cnnc, *command, ALLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise WorkerFailed(f"cnnc {' '.join(command)}: exit {done.returncode}: {done.stderr[:160]}")
        return done.stdout

    def build(self, net, form, *options):
        """Seconds that it took."""
        start = time.perf_counter()
        self.run("build", net, f"--weights=fixture:{SEED}", "--emit=so", "-q", "-o", self.path(f"{net}.{form}.so"),
                 "--prefix=bench_net", "--weights-mode=embed", self.threads, *options)
        return time.perf_counter() - start

    def input(self, net):
        shape = input_shape(self.run("print-graph", net), 1)
        subprocess.run([self.python, "-c", INPUT, str(SEED), shape, self.path(net), "1"], check=True)
        return self.path(f"{net}.batch1.npy")

    def measure(self, net):
        say(f"{net}: tuning")
        start = time.perf_counter()
        self.run("tune", net, "-q", self.threads)
        row = {"net": net, "tune": time.perf_counter() - start, "build": self.build(net, "rules", "--untuned")}
        self.build(net, "tuned")
        workers, image = {}, self.input(net)
        try:
            for form in ("rules", "tuned"):
                workers[form] = Worker(self.python, "worker_cnnc.py", self.path(f"{net}.{form}.so"), "bench_net",
                                       str(CLASSES), limit=LIMIT, log=self.path(f"{net}.{form}.log"))
                workers[form].ask(do="open", threads=self.args.threads, input=image)
            row["times"] = in_turns(workers, self.args.rounds)
        finally:
            for worker in workers.values():
                worker.close()
        say(f"    {row['tune']:.0f} s, {ratio(row):.3f}")
        return row


def ratio(row):
    return row["times"]["rules"]["median"] / row["times"]["tuned"]["median"]


def report(rows, args):
    lines = ["| network | built in s | tuned in s | rules, ms | tuned, ms | rules / tuned |", "|---|--:|--:|--:|--:|--:|"]
    for r in rows:
        rules, tuned = (1e3 * r["times"][x]["median"] for x in ("rules", "tuned"))
        lines.append(f"| {r['net']} | {r['build']:.2f} | {r['tune']:.1f} | {rules:.2f} | {tuned:.2f} | {ratio(r):.3f} |")
    mean = math.exp(sum(math.log(ratio(r)) for r in rows) / len(rows))
    lines.append(f"| all | {sum(r['build'] for r in rows):.1f} | {sum(r['tune'] for r in rows):.1f} | | | {mean:.3f} |")
    return "\n".join(lines) + f"\n\n{args.threads} threads, batch 1, medians of {args.rounds} turns.\n"


def main():
    p = argparse.ArgumentParser(description="tuned networks beside those of the rules")
    p.add_argument("--nets", default=NETS)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--keep", action="store_true", help="go on with the tiles that are there")
    p.add_argument("--write", action="store_true", help="keep the table in bench/results")
    args = p.parse_args()
    tuned, rows = Tuned(args), []
    for net in args.nets.split(","):
        rows.append(tuned.measure(net))
        with open(tuned.path("rows.json"), "w") as f:
            json.dump(rows, f)
    text = report(rows, args)
    print(text)
    if args.write:
        path = os.path.join(HERE, "results", f"tuned-{datetime.date.today()}.md")
        with open(path, "w") as f:
            f.write(f"# Tuned networks beside those of the rules, {datetime.date.today()}\n\n{text}")
        say("written to " + path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
