#!/usr/bin/env python3
"""Prints the tables of the paper with our figures beside the published ones (docs/paper).

usage: paper.py [TABLE...]   Environment: CNNC (the compiler).
"""
import json
import os
import pathlib
import subprocess
import sys

PAPER = pathlib.Path(__file__).resolve().parents[2] / "docs" / "paper"
TITLES = {
    "1": "n of architectures whose n is not below the input",
    "2": "EfficientNet",
    "4": "other architectures",
    "5": "ConvNeXt",
    "7": "n of all architectures",
    "8": "ConvNeXt B, pretrained and fine-tuned",
}


def rows(name):
    columns = None
    for line in (PAPER / name).read_text().splitlines():
        if line.startswith("#"):
            columns = line[1:].strip().split("\t")
        elif line:
            yield dict(zip(columns, line.split("\t")))


def figures(ours, known={}):
    """(FLOPs / 10^9, parameters / 10^6, n, input) of a network with options."""
    if ours not in known:
        out = subprocess.run([os.environ["CNNC"], "summary", *ours.split(), "--format=json"],
                             check=True, stdout=subprocess.PIPE).stdout
        s = json.loads(out)
        known[ours] = (s["macs"] / 1e9, s["params"] / 1e6, max(s["n"]), s["input"][1])
    return known[ours]


def number(text):
    return None if text == "-" else float(text)


def digits(text):
    return len(text.partition(".")[2])


def pair(published, ours, width):
    """'published  ours', ours with as many digits; whether they differ beyond rounding."""
    p = number(published)
    if ours is None:
        return f"{published:>{width}} {'-':>{width}}", False
    shown = f"{ours:.{max(digits(published), 0)}f}" if p is not None else f"{ours:.4g}"
    apart = p is not None and abs(ours - p) > 1.01 * 10 ** -digits(published)
    return f"{published:>{width}} {shown:>{width}}", apart


def table(name, entries, notes):
    print(f"\nTable {name}: {TITLES[name]}\n")
    print(f"{'':<20} {'':<39} {'input':>5}  {'n':>5} {'ours':>5}  {'FLOPs 1e9':>9} {'MACs 1e9':>9}"
          f"  {'params 1e6':>10} {'ours':>10}")
    used = []
    for row in entries:
        flops, params, n, size = (None,) * 4
        if row["ours"] != "-":
            flops, params, n, size = figures(row["ours"])
        ns, n_apart = pair(row["n"], n, 5)
        fs, f_apart = pair(row["flops"], flops, 9)
        ps, p_apart = pair(row["params"], params, 10)
        marks = [row["note"]] if row["note"] != "-" else []
        if f_apart and row["note"] in ("-", "patch"):
            marks.append("counter")
        if (n_apart or p_apart) and row["note"] == "-":
            marks.append("?")
        for mark in marks:
            if mark not in used:
                used.append(mark)
        marks = " ".join(f"[{used.index(m) + 1}]" for m in marks)
        print(f"{row['architecture']:<20} {row['variant']:<39} {size or '-':>5}  {ns}  {fs}  {ps}  {marks}"
              .rstrip())
    for i, mark in enumerate(used, 1):
        print(f"{'' if i > 1 else chr(10)}[{i}] {notes.get(mark, 'differs, and no note says why')}")
    return "?" in used


def main(wanted):
    notes = {row["note"]: row["text"] for row in rows("notes.tsv")}
    entries = list(rows("tables.tsv"))
    unexplained = False
    for name in TITLES:
        if not wanted or name in wanted:
            unexplained |= table(name, [e for e in entries if e["table"] == name], notes)
    if not wanted or "1" in wanted or "7" in wanted:
        print("\nn in tables 1 and 7 is not legible in the copy of the paper at hand: ours alone is shown.")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
