"""Every operator of src/ops/ops.def, compiled and compared with the reference: `cnnc verify`.

The attributes are read from the table; for each operator a network with many heads is written, each
head one choice of attributes (every value of every attribute once, then random combinations), on
maps of several sizes. Choices that do not fit together are refused by the compiler and dropped; a
test fails if too few remain, or if an operator has no test at all. Standard library only.
"""
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

SRC = pathlib.Path(os.environ["SRC"])
CNNC = os.environ["CNNC"]
INPUTS = [(8, 12, 12), (7, 13, 11), (48, 6, 9)]
TARGETS = ["native", "x86-64-v3", "x86-64-v2"]

# What is interesting about an attribute, by its name; else by its type.
BY_NAME = {
    "c": ["1", "8", "16", "19", "40"],
    "k": ["1", "2", "3", "1x3", "5"],
    "stride": ["1", "2", "1x2", "3"],
    "dilation": ["1", "2"],
    "pad": ["0", "1", "same", "same_upper", "valid", "[1, 0, 0, 1]", "2"],
    "groups": ["1", "2", "4", "7", "8", "48"],
    "size": ["3", "5"],
    "from": ["0", "1", "3"],
    "to": ["4", "7"],
    "top": ["0", "1", "2"], "bottom": ["0", "1"], "left": ["0", "3"], "right": ["0", "1"],
    "p": ["0.5"],
}
BY_OP = {("scale", "by"): ["0.3", "-2.0"], ("upsample", "by"): ["2", "1x3"],
         ("space_to_depth", "by"): ["2", "3"], ("adaptive_avgpool", "k"): ["1", "3x2", "5"]}
BY_TYPE = {"BOOL": ["false", "true"], "REAL": ["0.25", "1.5"], "INT": ["2", "3"], "SIZE": ["2"],
           "PAD": ["0"]}


def operators():
    """name -> (number of inputs, [(attribute, type, required)]); internal ones are left out."""
    text = (SRC / "src" / "ops" / "ops.def").read_text()
    found, ids = {}, {}
    for line in text.splitlines():
        row = re.match(r'OP\((\w+), "(\w+)", (-?\d+),', line)
        if row and "OPF_INTERNAL" not in line:
            ids[row[1]] = row[2]
            found[row[2]] = (int(row[3]), [])
        row = re.match(r"A\((\w+), (\w+), (\w+), (.+)\)$", line)
        if row and row[1] in ids:
            found[ids[row[1]]][1].append((row[2], row[3], row[4] == "REQUIRED"))
    return found


def values(op, name, kind):
    return BY_OP.get((op, name)) or BY_NAME.get(name) or BY_TYPE[kind]


def choices(op, attrs, rng):
    """Argument lists."""
    required = {n: values(op, n, t)[-1 if n == "to" else 0] for n, t, needed in attrs if needed}
    if "k" in required and op not in ("adaptive_avgpool", "lrn"):
        required["k"] = "3"
    seen = []
    for name, kind, _ in attrs:
        seen += [{**required, name: v} for v in values(op, name, kind)]
    for _ in range(24 if len(attrs) > 2 else 0):
        some = {n: rng.choice(values(op, n, t)) for n, t, needed in attrs
                if needed or rng.random() < 0.5}
        seen.append({**required, **some})
    texts = [", ".join(f"{n}={v}" for n, v in c.items()) for c in seen or [required]]
    return list(dict.fromkeys(texts))


def heads(op, inputs, attrs, shape, rng):
    """One head a line. Joins take the input and layers made from it."""
    out = []
    for args in choices(op, attrs, rng):
        if inputs == 1:
            out.append(f"{op}({args})")
        elif inputs == -1:
            out += [f"{op}(a)", f"{op}(a, b)", f"{op}(in -> gap)"]
        else:
            out += [f"{op}(a)", f"{op}(a, b, in -> conv(5, k=1))", f"{op}(in -> conv(16, k=1), a)"]
    if inputs == 1 and op != "flatten":
        out += [f"conv({shape[0]}, k=1) -> {line} -> relu" for line in out[:2]]
        out += [f"{line} -> flatten -> dense(5)" for line in out[:1]]
    return out


def network(shape, lines):
    text = [f"net t() {{", f"  input x[{', '.join(map(str, shape))}]",
            f"  stage s {{ conv({shape[0]}, k=1) as a -> conv({shape[0]}, k=3) as b -> relu }}"]
    return "\n".join(text + [f"  head h{i} = {line}" for i, line in enumerate(lines)] + ["}", ""])


def run(*args):
    return subprocess.run([CNNC, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=300)


def fitting(shape, lines, path):
    """The lines that the compiler accepts: it names the others by their place."""
    while lines:
        path.write_text(network(shape, lines))
        done = run("check", str(path), "--message-format=json", "--error-limit=1000",
                   "--allow=unproductive,underutilized,saturated,unused")
        report = done.stderr[done.stderr.find("["):]
        bad = {d["line"] for d in (json.loads(report) if report.startswith("[") else [])
               if d["level"] == "error"}
        if not bad:
            if done.returncode != 0:
                raise ValueError(f"check failed: {done.stderr[:300]}")
            return lines
        if not bad & set(range(4, 4 + len(lines))):
            raise ValueError(f"check failed: {done.stderr[:300]}")
        lines = [x for i, x in enumerate(lines) if i + 4 not in bad]
    return lines


def test(op, inputs, attrs, folder):
    rng = random.Random(f"{op}")
    total = 0
    for number, shape in enumerate(INPUTS):
        path = pathlib.Path(folder) / f"{op}.cnn"
        wanted = heads(op, inputs, attrs, shape, rng)
        lines = fitting(shape, wanted, path)
        total += len(lines)
        if not lines:
            continue
        for target in TARGETS:
            done = run("verify", str(path), "--init=3", "--batch=2", f"--threads={1 + number % 2}",
                       f"--target-cpu={target}", "-q",
                       "--allow=unproductive,underutilized,saturated,unused")
            if done.returncode != 0:
                differ = [x for x in done.stdout.splitlines() if "agrees" not in x][1:]
                said = "; ".join(differ[:3]) or done.stderr.strip()[:300]
                which = [lines[int(m[1])] for m in re.finditer(r"^h(\d+) ", "\n".join(differ), re.M)]
                raise ValueError(f"{shape} {target}: {said} [{'; '.join(which[:3])}]")
    if total < 3:
        raise ValueError(f"only {total} cases were accepted")
    return total


def main():
    failed = 0
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for op, (inputs, attrs) in operators().items():
            if wanted and op not in wanted:
                continue
            try:
                test(op, inputs, attrs, folder)
                print(f"PASS num.{op}", flush=True)
            except (ValueError, KeyError, subprocess.TimeoutExpired) as why:
                failed += 1
                print(f"FAIL num.{op}: {' '.join(str(why).split())}", flush=True)
    return 1 if failed else 0


sys.exit(main())
