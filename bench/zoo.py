#!/usr/bin/env python3
"""What every network of the library costs the compiler: checking, building, memory, size.

usage: zoo.py [--nets a,b | --match PATTERN] [--rounds 5] [--write]
Environment: CNNC (the compiler), BUILD (where products go).

Per network: the median time of `cnnc check` over all rounds; then one `cnnc build --init=1
--emit=obj`, its wall time, the most memory it held at once, and the size of the object, weights
included. Prints a Markdown table; with --write also into bench/results/zoo-DATE.md.
"""
import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ALLOW = "--allow=underutilized,unproductive,saturated"
COLUMNS = "| network | check ms | build s | peak MB | object MB |\n|---|--:|--:|--:|--:|"


def measured(command):
    """Seconds, and the peak of resident memory in bytes."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = child.stderr.read()
    # not wait(): only wait4 tells what this one child used
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {child.returncode}\n{said.decode()}")
    return seconds, used.ru_maxrss * 1024


def names(cnnc, match):
    command = [cnnc, "nets", "--names", *([f"--match={match}"] if match else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout.split()


def machine():
    """The processor as the system calls it, and how many."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as f:
            name = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} processors, {platform.system()} {platform.release()}"


def row(cnnc, net, rounds, out):
    check = [measured([cnnc, "check", net, ALLOW])[0] for _ in range(rounds)]
    build, peak = measured([cnnc, "build", net, "--init=1", "-q", "--emit=obj", "-o", out, ALLOW])
    size = os.path.getsize(out)
    os.unlink(out)
    return f"| {net} | {1e3 * statistics.median(check):.1f} | {build:.2f} | {peak / 1e6:.0f} | {size / 1e6:.1f} |"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--nets", help="these, with commas between (default: all of the library)")
    p.add_argument("--match", help="those whose names match, as in cnnc nets")
    p.add_argument("--rounds", type=int, default=5, help="of check")
    p.add_argument("--write", action="store_true", help="keep the table in bench/results")
    a = p.parse_args()
    if a.rounds < 1:
        p.error("--rounds takes at least 1")
    cnnc, folder = os.environ["CNNC"], os.path.join(os.environ["BUILD"], "bench")
    os.makedirs(folder, exist_ok=True)
    version = subprocess.run([cnnc, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    today = datetime.date.today().isoformat()
    lines = [f"# Check and build of the library's networks, {today}", "",
             f"{version.stdout.splitlines()[0]}; {machine()}.", "",
             f"`check`: median of {a.rounds}; `build`: `cnnc build --init=1 --emit=obj`, once.", "", COLUMNS]
    print("\n".join(lines), flush=True)
    for net in a.nets.split(",") if a.nets else names(cnnc, a.match):
        lines.append(row(cnnc, net, a.rounds, os.path.join(folder, "zoo.o")))
        print(lines[-1], flush=True)
    if a.write:
        results = os.path.join(HERE, "results")
        os.makedirs(results, exist_ok=True)
        path = os.path.join(results, f"zoo-{today}.md")
        with open(path, "w") as f:
            f.write("\n".join(lines) + "\n")
        print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
