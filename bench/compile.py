#!/usr/bin/env python3
"""How long the compiler takes: checking from start to exit, building by stage, size of the result.

usage: compile.py [--nets a,b] [--rounds 9]
Environment: CNNC (the compiler), BUILD (where products go), CC (the yardstick).

Machines differ and are noisy, so every figure is also given as a multiple of a yardstick measured
in the same round: `cc -O2 -c` of one file of cnnc itself.
"""
import argparse
import os
import re
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
YARDSTICK = "src/codegen/cpu/conv_direct.c"
NETS = "resnet18,resnet50,mobilenet_v2,efficientnet_b0,efficientnet_b7,convnext_tiny,vgg16"
ALLOW = "--allow=underutilized,unproductive,saturated"


def timed(command):
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return time.perf_counter() - start, done.stderr


def yardstick(folder):
    root = os.path.dirname(HERE)
    include = subprocess.run(["sh", "-c", "llvm-config-19 --includedir || llvm-config --includedir"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return timed([os.environ.get("CC", "cc"), "-O2", "-std=gnu17", "-D_GNU_SOURCE=",
                  "-I", os.path.join(root, "src"), "-I", os.path.join(root, "include"),
                  "-I", include.stdout.strip(), "-c", os.path.join(root, YARDSTICK),
                  "-o", os.path.join(folder, "yardstick.o")])[0]


def passes(text):
    """{pass: ms} from the table of --time-passes."""
    rows = re.findall(r"^(\S.*?) {2,}([0-9.]+) +[0-9.]+% +\d+$", text, re.M)
    return {name: float(ms) for name, ms in rows}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--nets", default=NETS)
    p.add_argument("--rounds", type=int, default=9)
    a = p.parse_args()
    cnnc, folder = os.environ["CNNC"], os.path.join(os.environ["BUILD"], "bench")
    os.makedirs(folder, exist_ok=True)
    out = os.path.join(folder, "compile.so")
    print(f"{'network':<18} {'check ms':>9} {'build ms':>9} {'x cc':>6} {'init ms':>9} {'code ms':>9} {'pack ms':>9} "
          f"{'link ms':>9} {'MiB':>7}")
    stick = []
    for net in a.nets.split(","):
        check, build, ratio, stages = [], [], [], []
        for _ in range(a.rounds):
            one = yardstick(folder)
            stick.append(one)
            check.append(timed([cnnc, "check", net, ALLOW])[0])
            seconds, report = timed([cnnc, "build", net, "--init=1", "-q", "--emit=so", "-o", out,
                                     ALLOW, "--time-passes"])
            build.append(seconds)
            ratio.append(seconds / one)
            stages.append(passes(report))
        middle = lambda name: statistics.median(s.get(name, 0.0) for s in stages)
        print(f"{net:<18} {1e3 * statistics.median(check):9.2f} {1e3 * statistics.median(build):9.0f} "
              f"{statistics.median(ratio):6.2f} {middle('make weights'):9.0f} "
              f"{middle('generate code'):9.0f} "
              f"{middle('pack weights'):9.0f} {middle('link'):9.0f} "
              f"{os.path.getsize(out) / 2**20:7.1f}", flush=True)
    print(f"\nx cc: build time as a multiple of cc -O2 -c {YARDSTICK} in the same round "
          f"(median {1e3 * statistics.median(stick):.0f} ms)")


if __name__ == "__main__":
    main()
