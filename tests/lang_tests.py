#!/usr/bin/env python3
"""The golden runner: every .cnn below tests/lang.

Expected diagnostics stand in the source, at the line they belong to:

    x = in -> conv(64, groups=3)     #~ E0307 groups 3 must divide
                                     #~ note: in.c is 64

Every reported diagnostic needs a `#~ CODE substring` on its line and the reverse; a `#~ note:` or
`#~ help:` wants a note of the last diagnostic expected before it, anywhere. A line that holds only
`#~ ...` belongs to the nearest line above that has code. Diagnostics without a place are expected on
any `#~` line as well; those of another file on any line, as `CODE@file.cnn`. The first line may be `#! cnnc ARGUMENTS` (the file is appended; default
`check`) and `#! exit N`. Sibling files are compared with what cnnc prints: x.ast (-d a), x.graph
(print-graph), x.json (summary --format=json), x.out (stdout of the `#!` command).
"""
import json
import os
import re
import subprocess
import sys

CNNC = os.environ["CNNC"]
SRC = os.environ["SRC"]
ROOT = os.path.join(SRC, "tests", "lang")
ONLY = os.environ.get("T", "")


def run(args):
    return subprocess.run([CNNC] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, cwd=SRC, env={**os.environ, "NO_COLOR": "1"})


def parse(path):
    """Returns (arguments, exit code or None, expectations)."""
    args, code, want, last = ["check"], None, [], 0
    text = open(path, "rb").read().decode("utf-8", "replace")
    for number, line in enumerate(text.split("\n"), 1):
        if number <= 2 and line.startswith("#! "):
            words = line[3:].split()
            if words[0] == "cnnc":
                args = words[1:]
            elif words[0] == "exit":
                code = int(words[1])
            continue
        before, mark, spec = line.partition("#~")
        if before.strip():
            last = number
        if not mark:
            continue
        spec = spec.strip()
        note = re.match(r"(note|help):\s*(.*)", spec)
        if note and want:
            want[-1]["notes"].append((note.group(1), note.group(2)))
            continue
        head, _, rest = spec.partition(" ")
        want.append({"line": last, "code": head, "text": rest.strip(), "notes": []})
    return args, code, want


def match_diagnostics(want, got, path):
    """A list of complaints."""
    errors, left = [], list(got)
    for w in want:
        hit = None
        code, _, elsewhere = w["code"].partition("@")
        for g in left:
            file = os.path.basename(g["file"] or "")
            here = file == elsewhere if elsewhere else g["file"] is None or (
                g["line"] == w["line"] and file == os.path.basename(path))
            if here and g["code"] == code and w["text"] in g["message"]:
                hit = g
                break
        if hit is None:
            errors.append("line %d: expected %s %r" % (w["line"], w["code"], w["text"]))
            continue
        left.remove(hit)
        for kind, text in w["notes"]:
            if not any(n["kind"] == kind and text in n["message"] for n in hit["notes"]):
                errors.append("line %d: expected %s %r among %r" % (
                    w["line"], kind, text, [n["message"] for n in hit["notes"]]))
    for g in left:
        errors.append("line %s: unexpected %s %s" % (g["line"], g["code"], g["message"]))
    return errors


def check(path):
    args, code, want = parse(path)
    rel = os.path.relpath(path, SRC)
    done = run(args + ["--message-format=json", rel])
    try:
        text = done.stderr.decode("utf-8", "replace")
        start = text.find("[")
        got = json.loads(text[start:]) if start >= 0 else []
    except ValueError as e:
        return ["stderr is not JSON (%s): %s" % (e, done.stderr[:400])]
    errors = match_diagnostics(want, got, path)
    if code is None:
        code = 1 if any(g["level"] == "error" for g in got) and args[0] == "check" else 0
    if done.returncode != code:
        errors.append("exit %d, expected %d: %s" % (done.returncode, code, done.stderr[:400]))
    return errors + siblings(path, rel, done)


def siblings(path, rel, done):
    errors = []
    commands = {".ast": ["check", "-d", "a", "-q", rel], ".graph": ["print-graph", rel],
                ".json": ["summary", "--format=json", rel], ".out": None}
    for suffix, args in commands.items():
        golden = path[:-4] + suffix
        if not os.path.exists(golden):
            continue
        result = done if args is None else run(args)
        text = result.stderr if suffix == ".ast" else result.stdout
        if text != open(golden, "rb").read():
            errors.append("%s differs from what cnnc prints" % os.path.relpath(golden, SRC))
    return errors


def main():
    failed = False
    for folder, dirs, files in sorted(os.walk(ROOT)):
        dirs.sort()
        if os.path.basename(folder) == "imports":
            continue  # what tests import, not tests themselves
        for name in sorted(files):
            path = os.path.join(folder, name)
            if not name.endswith(".cnn") or ONLY not in path:
                continue
            try:
                errors = check(path)
            except subprocess.TimeoutExpired:
                errors = ["timed out"]
            print("%s %s%s" % ("FAIL" if errors else "PASS", os.path.relpath(path, SRC),
                               ": " + "; ".join(errors) if errors else ""))
            failed = failed or bool(errors)
    return 1 if failed else 0


sys.exit(main())
