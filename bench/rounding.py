#!/usr/bin/env python3
"""What Winograd convolutions cost in accuracy: outputs of compiled networks with and without them
against the reference interpreter, which computes in double.

usage: rounding.py [--nets a,b] [--seed 2]
Environment: CNNC. Prints a Markdown table: errors relative to the largest output, and how many of the
network's convolutions are Winograd's.
"""
import argparse
import os
import re
import subprocess
import sys

from peers import ALLOW, NETS


def error(cnnc, net, seed, *flags):
    """verify compares; its verdict is not asked for here, the number is."""
    done = subprocess.run([cnnc, "verify", net, f"--weights=fixture:{seed}", f"--seed={seed}", "-q", ALLOW, *flags],
                          stdout=subprocess.PIPE, text=True)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    if not rows:
        sys.exit(f"{net}: no result, exit {done.returncode}")
    return max(float(row[3]) for row in rows)


def winograd(cnnc, net):
    """(Winograd's, all) steps that are convolutions."""
    done = subprocess.run([cnnc, "build", net, "--dump=p", "--stop-after=plan", ALLOW], stderr=subprocess.PIPE, text=True)
    kernels = [(int(uses), what) for uses, what in re.findall(r"^ *\d+ +x(\d+) +conv (.*)$", done.stderr, re.M)]
    return sum(uses for uses, what in kernels if " winograd=" in what), sum(uses for uses, _ in kernels)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--nets", default=NETS)
    p.add_argument("--seed", type=int, default=2, help="of weights and input")
    a = p.parse_args()
    cnnc = os.environ["CNNC"]
    print("| network | Winograd steps | of convolutions | error | with --exact-conv |\n|---|--:|--:|--:|--:|", flush=True)
    for net in a.nets.split(","):
        some, every = winograd(cnnc, net)
        default, exact = error(cnnc, net, a.seed), error(cnnc, net, a.seed, "--exact-conv")
        print(f"| {net} | {some} | {every} | {default:.1e} | {exact:.1e} |", flush=True)


if __name__ == "__main__":
    main()
