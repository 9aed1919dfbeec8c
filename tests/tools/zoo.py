"""Writes docs/zoo.md, the library's networks by family, from `cnnc nets --format=json`; with --check
only says whether it is current. Environment: CNNC. Standard library only."""
import json
import os
import pathlib
import subprocess
import sys

SRC = pathlib.Path(__file__).resolve().parents[2]
PAGE = SRC / "docs" / "zoo.md"
HEAD = """<!-- made by make zoo -->
# The networks of the standard library

{count} networks in {files} files, each at its declared input; `cnnc nets` prints the same
([nets.md](nets.md)). Layers are convolutions, poolings and dense layers. *n* is the minimum feasible
input resolution: every layer is productive on inputs larger than that. A network with layers that
cannot contribute is refused; the numbers are those of its unproductive, underutilized and saturated
layers ([refusals.md](refusals.md)).
"""


def count(value):
    """1234567 as 1.23 M: three digits."""
    for unit in ("", " k", " M", " G"):
        if value < 999.5 or unit == " G":
            digits = 0 if unit == "" or value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:.{digits}f}{unit}"
        value /= 1000
    raise AssertionError


def verdict(net):
    hit = [str(net[key]) for key in ("unproductive", "underutilized", "saturated")]
    return net["verdict"] + (f" ({' + '.join(hit)})" if net["verdict"] != "productive" else "")


def row(net, docs):
    n = net["n"]
    cells = [f"`{net['name']}`", "x".join(map(str, net["input"])),
             str(n[0]) if n[0] == n[1] else f"{n[0]}x{n[1]}", count(net["params"]), count(net["macs"]),
             str(net["layers"]), verdict(net)]
    return "| " + " | ".join(cells + ([(net["doc"] or "").replace("|", "\\|")] if docs else [])) + " |\n"


def page(listed):
    nets, files = listed["nets"], listed["files"]
    yield HEAD.format(count=len(nets), files=len(files))
    # The variants stand behind what they vary.
    for entry in sorted(files, key=lambda f: (f["file"] == "<std/refined.cnn>", f["file"])):
        family = [net for net in nets if net["file"] == entry["file"]]
        docs = any(net["doc"] for net in family)
        name = entry["file"].strip("<>").replace("std/", "")
        yield f"\n## [{name}](../stdlib/{name})\n\n{entry['about']}\n\n"
        yield "| net | input | n | parameters | MACs | layers | verdict |" + (" what |\n" if docs else "\n")
        yield "|---|---|--:|--:|--:|--:|---|" + ("---|\n" if docs else "\n")
        yield from (row(net, docs) for net in family)


def main():
    done = subprocess.run([os.environ["CNNC"], "nets", "--format=json"], stdout=subprocess.PIPE, check=True)
    text = "".join(page(json.loads(done.stdout)))
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    if "--check" in sys.argv:
        print("docs/zoo.md is not current: make zoo")
        return 1
    PAGE.write_text(text)
    return 0


sys.exit(main())
