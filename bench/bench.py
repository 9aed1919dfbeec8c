#!/usr/bin/env python3
"""Compiled networks beside ONNX Runtime, interleaved in one run; prints ratios of medians.

usage: bench.py [--nets a,b] [--threads 1,2] [--batch 1] [--rounds 9] [--runs 8]
Environment: CNNC (the compiler), BUILD (where products go), BENCH_PYTHON (a Python that has
onnxruntime), TORCH_PYTHON (one that has PyTorch and onnx; only for the first run).

Every peer runs in a process of its own and waits while the other one is measured. A round measures
each once; the table shows the median over all rounds, and the quotient of the two.
"""
import argparse
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
NETS = "resnet50,mobilenet_v2,efficientnet_b0"


def need(python, modules, variable):
    code = "import " + ", ".join(modules)
    if subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL).returncode != 0:
        sys.exit(f"{python} lacks {', '.join(modules)}: pip install them, or set {variable}")


class Worker:
    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def measure(self, runs):
        self.process.stdin.write(f"{runs}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a worker ended early")
        return float(line.split()[0])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def prepare(cnnc, net, batch, folder, python):
    """ONNX file, weights and input once; the library anew, timed."""
    onnx = os.path.join(folder, f"{net}.onnx")
    if not os.path.exists(onnx):
        need(python, ["torch", "torchvision", "onnx"], "TORCH_PYTHON")
        subprocess.run([python, "-B", os.path.join(HERE, "export_onnx.py"), net, "1", str(batch),
                        folder], check=True, stderr=subprocess.DEVNULL)
    library = os.path.join(folder, f"{net}.so")
    start = time.perf_counter()
    subprocess.run([cnnc, "build", net, "--emit=so", "-q", "-o", library, "--weights",
                    os.path.join(folder, f"{net}.safetensors"), "--prefix", "bench_net",
                    "--allow=underutilized,unproductive,saturated"], check=True)
    return onnx, library, time.perf_counter() - start


def largest_difference(python, a, b):
    code = ("import numpy as np,sys; a,b=np.load(sys.argv[1]),np.load(sys.argv[2]);"
            "print(float(abs(a-b).max()/abs(b).max()))")
    return float(subprocess.run([python, "-c", code, a, b], check=True, text=True,
                                stdout=subprocess.PIPE).stdout)


def race(args, net, threads, onnx, library, folder):
    python = args.python
    source = os.path.join(folder, f"{net}.npy")
    ours_out, theirs_out = (os.path.join(folder, f"{net}.{k}.npy") for k in ("cnnc", "ort"))
    ours = Worker(python, "-B", os.path.join(HERE, "worker_cnnc.py"), library, "bench_net",
                  str(args.batch), str(threads), source, ours_out)
    theirs = Worker(python, "-B", os.path.join(HERE, "worker_ort.py"), onnx, str(threads), source,
                    theirs_out)
    times = ([], [])
    ours.measure(1), theirs.measure(1)
    difference = largest_difference(python, ours_out, theirs_out)
    for _ in range(args.rounds):
        for k, worker in enumerate((ours, theirs)):
            time.sleep(0.02)  # the other one's threads stop spinning
            times[k].append(worker.measure(args.runs))
    ours.close(), theirs.close()
    return [statistics.median(t) for t in times], difference


def main():
    parser = argparse.ArgumentParser(description="compiled networks beside ONNX Runtime")
    parser.add_argument("--nets", default=NETS)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--python", default=os.environ.get("BENCH_PYTHON", sys.executable))
    args = parser.parse_args()
    build = os.environ.get("BUILD", "build")
    cnnc = os.path.abspath(os.environ.get("CNNC", os.path.join(build, "bin", "cnnc")))
    folder = os.path.abspath(os.path.join(build, "bench", f"batch{args.batch}"))
    os.makedirs(folder, exist_ok=True)
    need(args.python, ["onnxruntime", "numpy"], "BENCH_PYTHON")
    torch_python = os.environ.get("TORCH_PYTHON", "/usr/bin/python3")
    print(f"{'network':<18}{'threads':>8}{'cnnc ms':>10}{'ORT ms':>10}{'ratio':>8}"
          f"{'difference':>12}{'build s':>9}")
    for net in args.nets.split(","):
        onnx, library, built = prepare(cnnc, net, args.batch, folder, torch_python)
        for threads in map(int, args.threads.split(",")):
            (ours, theirs), difference = race(args, net, threads, onnx, library, folder)
            print(f"{net:<18}{threads:>8}{1e3 * ours:>10.2f}{1e3 * theirs:>10.2f}"
                  f"{ours / theirs:>8.2f}{difference:>12.1e}{built:>9.2f}", flush=True)


main()
