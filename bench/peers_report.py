"""The tables of peers.py."""
import datetime
import math
import os
import statistics
import subprocess

import peers_env
from zoo import machine

HERE = os.path.dirname(os.path.abspath(__file__))


def mean(ratios):
    return math.exp(statistics.mean(map(math.log, ratios))) if ratios else float("nan")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def versions(bench):
    text = subprocess.run([bench.cnnc, "--version"], stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]
    commit = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True).stdout.strip()
    names = [bench.names[p] for p in bench.peers[1:]]
    return f"{text}{', commit ' + commit if commit else ''}; {', '.join(names)}; {machine()}."


def setting_table(bench, rows, key):
    head, others = ["network", "cnnc ms", "least"], bench.peers[1:]
    for peer in others:
        head += [bench.names[peer] + " ms", "least", "ratio"] + ["form"] * peer.startswith("torch")
    head += ["GFLOP/s", "of peak", "GB/s", "of memory"]
    ratios, lines = {p: [] for p in others}, []
    for row in rows:
        cell = row["settings"].get(key)
        ours = cell and cell["peers"].get("cnnc")
        if not ours:
            lines.append([row["net"], "failed"] + [""] * (len(head) - 2))
            continue
        line = [row["net"], f"{1e3 * ours['median']:.2f}", f"{1e3 * ours['min']:.2f}"]
        for peer in others:
            theirs = cell["peers"].get(peer)
            if theirs is None:
                line += ["failed", "", ""] + [""] * peer.startswith("torch")
                continue
            ratios[peer].append(theirs["median"] / ours["median"])
            line += [f"{1e3 * theirs['median']:.2f}", f"{1e3 * theirs['min']:.2f}", f"{ratios[peer][-1]:.2f}"]
            line += [theirs["note"].split(";")[0]] * peer.startswith("torch")
        l = cell["limits"]
        flops, moved = 1e-9 * l["flop"] / ours["median"], 1e-9 * l["moved"] / ours["median"]
        line += [f"{flops:.0f}", f"{flops / l['gflops']:.0%}", f"{moved:.1f}", f"{moved / l['gbytes_per_s']:.0%}"]
        lines.append(line)
    means = ", ".join(f"{mean(r):.2f} over {bench.names[p]} ({min(r):.2f} to {max(r):.2f})"
                      for p, r in ratios.items() if r)
    return [*table(head, lines), "", f"Geometric means of the ratios: {means}." if means else "Nothing to compare."]


def kernel_table(bench, rows, key):
    """Where cnnc's time goes, and what would be left of it if all its multiply-adds ran at the peak and
    nothing else took time: by the last column ONNX Runtime would then be behind, and never by more."""
    head = ["network", "steps ms", "at the peak ms", "of it", "ONNX Runtime / peak",
            "kernels: steps, share of time, of the peak"]
    lines = []
    for row in rows:
        cell = row["settings"].get(key)
        kernels = cell and cell["limits"].get("kernels")
        if not kernels:
            continue
        total, least = (1e-3 * sum(k[i] for k in kernels.values()) for i in (1, 2))
        most = sorted(kernels.items(), key=lambda k: -k[1][1])
        ort = cell["peers"].get("onnxruntime")
        lines.append([row["net"], f"{total:.2f}", f"{least:.2f}", f"{least / total:.0%}",
                      f"{1e3 * ort['median'] / least:.2f}" if ort else "-",
                      "; ".join(f"{name} {n}, {1e-3 * us / total:.0%}, {limit / us:.0%}"
                                for name, (n, us, limit) in most if us > 30 * total)])
    return table(head, lines)


def cost_table(bench, rows):
    head = ["network", "build s", "so MB", "ONNX MB", "program ms"]
    head += [f"{bench.names[p]} {what}" for what in ("load ms", "start ms", "MB") for p in bench.peers]
    lines = []
    for row in rows:
        if not row["start"]:
            continue
        line = [row["net"], f"{row['build']:.2f}", f"{row['bytes']['so'] / 1e6:.1f}", f"{row['bytes']['onnx'] / 1e6:.1f}",
                f"{1e3 * row['program']:.0f}"]
        for key, scale in (("seconds", 1e3), ("first", 1e3), ("memory", 1e-6)):
            line += [f"{scale * row['start'][p][key]:.0f}" if p in row["start"] else "failed" for p in bench.peers]
        lines.append(line)
    return table(head, lines)


def errors(bench, rows, tolerance):
    """The table of errors, and what is wrong."""
    lines, wrong, notes = [], [], set()
    for row in rows:
        line = [row["net"]]
        for peer in bench.peers:
            seen = [c["peers"][peer] for c in row["settings"].values() if peer in c["peers"]]
            worst = max((s["error"] for s in seen), default=None)
            line.append("failed" if worst is None else f"{worst:.1e}")
            if worst is not None and not worst <= tolerance:
                wrong.append(f"{row['net']}: the output of {bench.names[peer]} is off by {worst:.1e}")
            notes |= {f"{bench.names[peer]}: {n.strip()}" for s in seen for n in s["note"].split(";")[1:]}
        wrong += [f"{row['net']}: {bench.names.get(p, p)} failed: {why}" for p, why in row["failed"].items()]
        lines.append(line)
    return table(["network"] + [bench.names[p] for p in bench.peers], lines), wrong, sorted(notes)


def sizes(bench):
    packages = {("onnxruntime", bench.ort)} if "onnxruntime" in bench.peers else set()
    packages |= {("torch", bench.python[p]) for p in bench.peers if p.startswith("torch")}
    return ", ".join(f"{module} {peers_env.version(python, module)} {peers_env.package_bytes(python, module) / 1e6:.0f} MB"
                     for module, python in sorted(packages))


def report(bench, rows, tolerance):
    """Markdown, and whether all went well."""
    today = datetime.date.today().isoformat()
    text = [f"# Inference beside ONNX Runtime and PyTorch, {today}", "", versions(bench), "",
            f"Load of the machine at the end: {os.getloadavg()[0]:.1f}. {bench.args.rounds} rounds.", ""]
    for key in (f"{b}x{t}" for b, t in bench.settings):
        batch, threads = key.split("x")
        text += [f"## Batch {batch}, {threads} thread{'s' * (threads != '1')}", "", *setting_table(bench, rows, key), "",
                 "Where cnnc's time goes:", "", *kernel_table(bench, rows, key), ""]
    text += [f"## Start, memory, size ({bench.settings[0][1]} thread{'s' * (bench.settings[0][1] > 1)}, one image)", "",
             *cost_table(bench, rows), "", f"Packages that the peers need beside the network: {sizes(bench)}.", ""]
    lines, wrong, notes = errors(bench, rows, tolerance)
    text += ["## Largest error, relative to the largest output, against the same computed in double", "", *lines]
    text += ["", *(f"* {x}" for x in notes)] * bool(notes)
    text += ["", "## Wrong", "", *(f"* {x}" for x in wrong)] * bool(wrong)
    return "\n".join(text), not wrong


def write(text):
    folder = os.path.join(HERE, "results")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"peers-{datetime.date.today().isoformat()}.md")
    with open(path, "w") as f:
        f.write(text + "\n")
    return path
