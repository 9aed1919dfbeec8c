#!/usr/bin/env python3
"""Compiled networks beside ONNX Runtime and PyTorch: the same weights, outputs compared, in turns.

usage: peers.py [--nets a,b] [--settings 1x1,1x2,8x2] [--peers onnxruntime,torch] [--rounds 7]
                [--forms default,channels_last,compiled,traced] [--limit 600] [--resume] [--write]
A setting is BATCHxTHREADS. Environment: CNNC, BUILD, BENCH_PYTHON and TORCH_PYTHONS (peers_env.py).

Every peer is a process of its own and waits while another is measured. Progress goes to stderr, tables
go to stdout (Markdown), with --write also to bench/results/peers-DATE.md. What is measured is kept in
BUILD/bench/peers; --resume takes what is there. Exit 1: a peer failed or disagreed.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import peers_env
import peers_report
from worker import Worker, WorkerFailed, in_turns

HERE = os.path.dirname(os.path.abspath(__file__))
NETS = ("resnet18,resnet50,vgg16,vgg19,mobilenet_v1,mobilenet_v2,mobilenet_v3_large,mnasnet1_0,efficientnet_b0,"
        "densenet121,inception_v3,convnext_tiny,nasnet_mobile")
ALLOW = "--allow=underutilized,unproductive,saturated"
SEED = 2  # of weights and inputs
TOLERANCE = 2e-4  # of the largest output, against the same computed in double
CLASSES = 1000
ERROR = ("import sys, numpy as np; y, r = (np.load(a).astype('f8') for a in sys.argv[1:3]); r = r[:len(y)];"
       "print(float(abs(y - r).max() / abs(r).max()) if y.shape == r.shape and np.isfinite(y).all() else 'inf')")
INPUT = ("import sys, numpy as np; g = np.random.default_rng(int(sys.argv[1]));"
         "x = g.standard_normal([int(a) for a in sys.argv[2].split('x')]).astype('f4');"
         "[np.save(sys.argv[3] + f'.batch{n}.npy', x[:int(n)]) for n in sys.argv[4:]]")


def say(text):
    print(text, file=sys.stderr, flush=True)


def by_kernel(layers):
    """Steps of each kernel: how many, their microseconds, and the least that their multiply-adds take."""
    sums = {}
    for step in layers:
        at = sums.setdefault("winograd" if step["winograd"] else step["kernel"], [0, 0.0, 0.0])
        at[0], at[1], at[2] = at[0] + 1, at[1] + step["us"], at[2] + (step["compute_us"] or 0)
    return sums


def input_shape(graph, images):
    """Of a batch, from the text of a graph with one input: NxCxHxW."""
    dims = next(line.split("(")[1] for line in graph.splitlines() if " = input(" in line).split()[1:4]
    return "x".join([str(images)] + [d.split("=")[1] for d in dims])


class Bench:
    def __init__(self, args):
        build = os.path.abspath(os.environ.get("BUILD", "build"))
        self.args = args
        self.cnnc = os.path.abspath(os.environ.get("CNNC", os.path.join(build, "bin", "cnnc")))
        self.folder = os.path.join(build, "bench", "peers")
        os.makedirs(self.folder, exist_ok=True)
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(build, "peers", "inductor"))
        self.ort, self.torches = peers_env.find(build, "torch" in args.peers)
        self.settings = [tuple(map(int, s.split("x"))) for s in args.settings.split(",")]
        self.peers = ["cnnc"] + ["onnxruntime"] * ("onnxruntime" in args.peers)
        self.names = {"cnnc": "cnnc", "onnxruntime": "ONNX Runtime " + peers_env.version(self.ort, "onnxruntime")}
        self.python = {"cnnc": self.ort, "onnxruntime": self.ort}
        for python in self.torches if "torch" in args.peers else []:
            version = peers_env.version(python, "torch").split("+")[0]
            self.peers.append(f"torch {version}")
            self.names[self.peers[-1]] = f"PyTorch {version}"
            self.python[self.peers[-1]] = python
        self.start, self.done = time.monotonic(), 0
        self.total = len(args.nets) * len(self.settings)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *command, **kw):
        """The output of a command that must succeed."""
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no message"]
            said = lines[0 if command[0] == self.cnnc else -1]  # Python's reason stands last
            raise WorkerFailed(f"{os.path.basename(command[0])} {command[1]}: exit {done.returncode}: {said[:160]}")
        return done.stdout

    def progress(self, net, what):
        spent = time.monotonic() - self.start
        left = spent / self.done * (self.total - self.done) if self.done else 0
        eta = f", about {left / 60:.0f} min left" if self.done else ""
        say(f"[{self.done}/{self.total}{eta}] {net}: {what}")

    def prepare(self, net):
        """Weights, graph, library and program anew; inputs, reference and ONNX unless they are there."""
        self.progress(net, "building, exporting")
        weights, graph = self.path(f"{net}.safetensors"), self.path(f"{net}.graph")
        text = self.run(self.cnnc, "print-graph", net, ALLOW)
        with open(graph, "w") as f:
            f.write(text)
        if not os.path.exists(weights):
            self.run(self.cnnc, "build", net, f"--weights=fixture:{SEED}", "--emit=weights", "-q", "-o", weights, ALLOW)
        for form in ("so", "exe"):
            start = time.perf_counter()
            self.run(self.cnnc, "build", net, f"--emit={form}", "-q", "-o", self.path(f"{net}.{form}"), "--weights",
                     weights, "--weights-mode=embed", "--prefix=bench_net",
                     f"--max-batch={max(b for b, _ in self.settings)}", ALLOW)
            if form == "so":
                self.built = time.perf_counter() - start
        batches = sorted({b for b, _ in self.settings} | {1})
        shape = input_shape(text, batches[-1])
        self.run(self.ort, "-c", INPUT, str(SEED), shape, self.path(net), *map(str, batches))
        # the exports depend on all that is here; another number of images makes them anew
        made = self.path(f"{net}.exported")
        key = f"{shape} {SEED} {os.path.getsize(weights)} {os.path.getsize(graph)}"
        if not os.path.exists(made) or open(made).read() != key:
            self.export(net, graph, weights, batches[-1])
            with open(made, "w") as f:
                f.write(key)

    def export(self, net, graph, weights, most):
        problem = None
        for python in self.torches:
            try:
                self.run(python, "-B", os.path.join(HERE, "graph_torch.py"), graph, weights,
                         self.path(f"{net}.batch{most}.npy"), self.path(f"{net}.reference.npy"), self.path(f"{net}.onnx"))
                return
            except WorkerFailed as failed:
                problem = problem or failed
        raise problem

    def worker(self, net, peer):
        args = {"cnnc": ["worker_cnnc.py", self.path(f"{net}.so"), "bench_net", str(CLASSES)],
                "onnxruntime": ["worker_ort.py", self.path(f"{net}.onnx")]}
        torch = ["worker_torch.py", self.path(f"{net}.graph"), self.path(f"{net}.safetensors"), self.forms(peer)]
        return Worker(self.python[peer], *args.get(peer, torch), limit=self.args.limit, log=self.path(f"{net}.{peer.replace(' ', '-')}.log"))

    def forms(self, peer):
        """torch.compile is there from 2.0 on, and takes the place of what came before."""
        old = peer.startswith("torch 1.")
        return ",".join(f for f in self.args.forms if f != ("compiled" if old else "traced"))

    def open(self, worker, net, peer, batch, threads):
        """The answer, with the error of what came out."""
        out = self.path(f"{net}.{peer.replace(' ', '-')}.npy")
        answer = worker.ask(do="open", threads=threads, input=self.path(f"{net}.batch{batch}.npy"))
        answer["first"] = time.perf_counter() - worker.start
        answer |= worker.ask(do="settle", output=out)
        answer["error"] = float(self.run(self.ort, "-c", ERROR, out, self.path(f"{net}.reference.npy")))
        return answer

    def limits(self, net, batch, threads):
        """What this machine can do at most, and the bytes a run moves."""
        got = json.loads(self.run(self.cnnc, "bench", net, "--weights", self.path(f"{net}.safetensors"), "-q",
                                  "--per-layer", f"--batch={batch}", f"--threads={threads}", "--repeat=3",
                                  "--format=json", ALLOW))
        return {**got["limits"], "moved": sum(x["bytes"] for x in got["layers"]),
                "flop": got["gflops"] * got["median_ms"] * 1e6, **got["memory"], "kernels": by_kernel(got["layers"])}

    def program(self, net, threads):
        """Seconds of the program from its start to its end, with one image; the least of five."""
        times = []
        for _ in range(5):
            start = time.perf_counter()
            self.run(self.path(f"{net}.exe"), "--threads", str(threads), "--output", self.path(f"{net}.exe.npy"),
                     self.path(f"{net}.batch1.npy"))
            times.append(time.perf_counter() - start)
        return min(times)

    def race(self, net):
        """All peers of a net in all settings."""
        row = {"net": net, "settings": {}, "failed": {}, "start": {}}
        self.prepare(net)
        row["program"] = self.program(net, self.settings[0][1])
        row["bytes"] = {x: os.path.getsize(self.path(f"{net}.{x}")) for x in ("so", "exe", "onnx", "safetensors")}
        row["build"] = self.built
        workers = {}
        for peer in self.peers:
            self.progress(net, f"{self.names[peer]} starts")
            try:
                worker = workers[peer] = self.worker(net, peer)
                row["start"][peer] = self.open(worker, net, peer, 1, self.settings[0][1])
            except WorkerFailed as failed:
                row["failed"][peer] = str(failed)
                workers.pop(peer, None)
        for batch, threads in self.settings:
            self.setting(net, row, workers, batch, threads)
            self.done += 1
        for worker in workers.values():
            worker.close()
        return row

    def setting(self, net, row, workers, batch, threads):
        self.progress(net, f"batch {batch}, {threads} thread{'s' * (threads > 1)}")
        opened = {}
        for peer in list(workers):
            try:
                opened[peer] = row["start"][peer] if (batch, threads) == (1, self.settings[0][1]) else \
                    self.open(workers[peer], net, peer, batch, threads)
            except WorkerFailed as failed:
                row["failed"][peer] = str(failed)
                del workers[peer]
        try:
            times = in_turns(workers, self.args.rounds)
        except WorkerFailed as failed:
            row["failed"]["measuring"] = str(failed)
            return
        cell = {p: {**times[p], "error": opened[p]["error"], "note": opened[p]["note"]} for p in workers}
        row["settings"][f"{batch}x{threads}"] = {"peers": cell, "limits": self.limits(net, batch, threads)}
        if times:
            say("    " + ", ".join(f"{self.names[p]} {1e3 * t['median']:.2f} ms" for p, t in times.items()))


def parse():
    p = argparse.ArgumentParser(description="compiled networks beside ONNX Runtime and PyTorch")
    p.add_argument("--nets", default=NETS)
    p.add_argument("--settings", default="1x1,1x2,8x2", help="BATCHxTHREADS, with commas between")
    p.add_argument("--peers", default="onnxruntime,torch")
    p.add_argument("--forms", default="default,channels_last,compiled,traced", help="of PyTorch; the fastest counts")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--limit", type=float, default=600, help="seconds that a peer may take for one answer")
    p.add_argument("--resume", action="store_true", help="take what was measured before")
    p.add_argument("--write", action="store_true", help="keep the table in bench/results")
    a = p.parse_args()
    a.nets, a.forms, a.peers = a.nets.split(","), a.forms.split(","), a.peers.split(",")
    if a.rounds < 1 or set(a.peers) - {"onnxruntime", "torch"}:
        p.error("--rounds takes at least 1; --peers onnxruntime, torch, or both")
    return a


def main():
    args = parse()
    bench = Bench(args)
    say(f"load of the machine: {os.getloadavg()[0]:.1f} (0 is best: whatever else runs is measured, too)")
    rows = []
    for net in args.nets:
        kept = bench.path(f"{net}.json")
        if args.resume and os.path.exists(kept):
            rows.append(json.load(open(kept)))
            bench.total -= len(bench.settings)
            continue
        try:
            rows.append(bench.race(net))
        except WorkerFailed as failed:
            bench.total -= len(bench.settings)
            rows.append({"net": net, "settings": {}, "failed": {"cnnc": str(failed)}, "start": {}})
            say(f"    {failed}")
            continue
        with open(kept, "w") as f:
            json.dump(rows[-1], f)
    text, good = peers_report.report(bench, rows, TOLERANCE)
    print(text)
    if args.write:
        say("written to " + peers_report.write(text))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
