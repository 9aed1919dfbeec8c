#!/usr/bin/env python3
"""Training steps beside PyTorch, interleaved in one run; prints ratios of medians and peak memory.

usage: train_peers.py [--nets a,b] [--threads 2] [--rounds 5] [--steps 2]
Environment: CNNC, BUILD; TORCH_PYTHONS: Pythons with torch and torchvision, separated by ":" (default
/usr/bin/python3, Debian's). Every peer is a process of its own and waits while the others are measured.
"""
import argparse
import math
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# what it is called here, by torchvision; batch, side
NETS = {
    "resnet18": ("resnet18", 16, 224),
    "mobilenet_v2": ("mobilenet_v2", 16, 224),
    "efficientnet_b0": ("efficientnet_b0", 8, 224),
    "convnext_tiny": ("convnext_tiny", 4, 224),
    "resnet18_cifar": ("resnet18_cifar", 128, 32),
}
CLASSES = 10


class Worker:
    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a worker ended early")
        return tuple(map(float, line.split()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def version(python):
    code = "import torch; print(torch.__version__)"
    done = subprocess.run([python, "-c", code + "; import torchvision"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode != 0:
        sys.exit(f"{python} lacks torch or torchvision: install them, or set TORCH_PYTHONS")
    return done.stdout.strip()


def library(cnnc, net, batch, side, folder):
    path = os.path.join(folder, f"{net}.so")
    source = os.path.join(HERE, "nets.cnn:resnet18_cifar") if net == "resnet18_cifar" else net
    subprocess.run([cnnc, "build", source, "--mode=train", "--init=1", "-p", f"classes={CLASSES}", "--emit=so", "-q",
                    "--set=opt=momentum", "--set=lr=1e-3", "--set=momentum=0.9", "--set=weight-decay=1e-4",
                    f"--input=3x{side}x{side}", f"--max-batch={batch}", "--prefix=net", "-o", path,
                    "--allow=underutilized,unproductive,saturated"], check=True)
    return path


def race(args, net, pythons, cnnc, folder):
    theirs, batch, side = NETS[net]
    numbers = [str(batch), str(side), str(CLASSES), str(args.threads)]
    workers = [Worker(sys.executable, "-B", os.path.join(HERE, "worker_train_cnnc.py"),
                      library(cnnc, net, batch, side, folder), "net", *numbers)]
    for python in pythons:
        workers.append(Worker(python, "-B", os.path.join(HERE, "worker_train_torch.py"), theirs, *numbers))
    times = [[] for _ in workers]
    memory = [0.0] * len(workers)
    for worker in workers:
        worker.measure(1)
    for _ in range(args.rounds):
        for k, worker in enumerate(workers):
            time.sleep(0.05)  # the other one's threads stop spinning
            seconds, memory[k] = worker.measure(args.steps)
            times[k].append(seconds)
    for worker in workers:
        worker.close()
    return [statistics.median(t) for t in times], memory


def main():
    parser = argparse.ArgumentParser(description="training steps beside PyTorch")
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    args = parser.parse_args()
    build = os.environ.get("BUILD", "build")
    cnnc = os.path.abspath(os.environ.get("CNNC", os.path.join(build, "bin", "cnnc")))
    folder = os.path.abspath(os.path.join(build, "bench", "train"))
    os.makedirs(folder, exist_ok=True)
    pythons = os.environ.get("TORCH_PYTHONS", "/usr/bin/python3").split(":")
    names = [version(p) for p in pythons]
    print("| net | batch | side | cnnc ms | MB |" + "".join(f" PyTorch {n} ms | MB | ratio |" for n in names))
    print("|---|---|---|---|---|" + "---|---|---|" * len(names))
    ratios = [[] for _ in names]
    for net in args.nets.split(","):
        seconds, memory = race(args, net, pythons, cnnc, folder)
        line = f"| {net} | {NETS[net][1]} | {NETS[net][2]} | {1e3 * seconds[0]:.0f} | {memory[0]:.0f} |"
        for k in range(len(names)):
            ratios[k].append(seconds[k + 1] / seconds[0])
            line += f" {1e3 * seconds[k + 1]:.0f} | {memory[k + 1]:.0f} | {ratios[k][-1]:.2f} |"
        print(line, flush=True)
    for name, r in zip(names, ratios):
        print(f"geometric mean over PyTorch {name}: {math.exp(statistics.mean(map(math.log, r))):.2f}")


main()
