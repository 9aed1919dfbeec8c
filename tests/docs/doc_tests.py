"""Examples in Markdown files, by the word behind their fence:

    ```cnn             a whole file that `cnnc check` accepts
    ```cnn-warn CODE   a whole file that is accepted with this warning
    ```cnn-error CODE  a whole file that is refused with this diagnostic, and no other error
    ```cnn-part        declarations, items of a net, or statements of a block: what is missing
                       around them is put there, and the result must have no syntax error

The manual must also name every operator of ops.def with its attributes and defaults, and every key
and call of section.def. Standard library only.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SRC = pathlib.Path(os.environ["SRC"])
CNNC = os.environ["CNNC"]
MANUAL = SRC / "grammar" / "README.md"
FENCE = re.compile(r"^```(cnn[a-z-]*)[ ]*([A-Z0-9]*)\n(.*?)^```", re.M | re.S)
WRAPPERS = ["{}", "net n() {{\n{}\n}}\n", "block b() {{\n{}\n}}\n"]


def report(text, folder):
    """(code, message) of every diagnostic, and their levels."""
    path = os.path.join(folder, "example.cnn")
    pathlib.Path(path).write_text(text)
    done = subprocess.run([CNNC, "check", path, "--message-format=json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    if done.returncode not in (0, 1):
        raise ValueError(f"exit {done.returncode}: {done.stderr[:200]}")
    start = done.stderr.find("[")
    return json.loads(done.stderr[start:]) if start >= 0 else []


def said(diagnostics):
    return "; ".join(f"{d['line']}: {d['code']} {d['message']}" for d in diagnostics[:4]) or "nothing"


def judge(kind, code, text, folder):
    """A complaint, or None."""
    if kind == "cnn-part":
        tries = [report(w.format(text), folder) for w in WRAPPERS]
        if not any(all(not d["code"].startswith("E01") for d in t) for t in tries):
            return "a syntax error in every surrounding: " + said(tries[1])
        return None
    got = report(text, folder)
    errors = [d["code"] for d in got if d["level"] == "error"]
    if kind == "cnn":
        return f"expected nothing, got {said(got)}" if got else None
    if kind == "cnn-warn":
        fine = not errors and [d["code"] for d in got] == [code]
        return None if fine else f"expected the warning {code}, got {said(got)}"
    if kind == "cnn-error":
        return None if errors and set(errors) == {code} else f"expected {code}, got {said(got)}"
    return f"unknown fence {kind}"


def table_complaints():
    manual = MANUAL.read_text()
    ops = (SRC / "src" / "ops" / "ops.def").read_text()
    rows = {m[1]: m[0] for m in re.finditer(r"^\| `(\w+)\b.*$", manual, re.M)}
    ids = dict(re.findall(r'^OP\((\w+), "(\w+)"(?!.*OPF_INTERNAL)', ops, re.M))
    for name in ids.values():
        if name not in rows:
            yield f"the manual's table lacks operator {name}"
    for op, attr, kind, default in re.findall(r"^A\((\w+), (\w+), (\w+), (.+)\)$", ops, re.M):
        if op not in ids:
            continue
        row = rows.get(ids[op], "")
        default = default.replace("PAD_SAME", "same")
        if kind == "BOOL":
            default = "true" if default == "1" else "false"
        want = f"`{attr}`" if default == "REQUIRED" else f"`{attr}={default}`"
        if want not in row:
            yield f"the row of {ids[op]} lacks {want}"
    section = (SRC / "src" / "sema" / "section.def").read_text()
    for name in re.findall(r'^(?:KEY\(\w+, |CALL\(\w+, \w+, ")(\w+)', section, re.M):
        if f"`{name}" not in manual:
            yield f"the manual does not mention {name} of section.def"
    for name, default in re.findall(r'^KEY\(TRAIN, (\w+), \w+, ([^,N]+),', section, re.M):
        if rows.get(name, "").rstrip(" |").split("| ")[-1].split(":")[0] != default:
            yield f"the row of key {name} lacks its default {default}"
    call = ""
    for kind, name, arg, real, default in re.findall(
            r'^(?:CALL\((\w+), \w+, "(\w+)"|ARG\(\w+, (\w+), (\w+), ([^,]+),)', section, re.M):
        call = name or call
        if arg in ("", "warmup", "warmup_lr"):
            continue
        if real == "BOOL":
            default = "true" if default == "1" else "false"
        want = f"`{arg}`" if default == "REQUIRED" else f"`{arg}={default}`"
        if want not in rows.get(call, ""):
            yield f"the row of {call} lacks {want}"
    options = (SRC / "src" / "elab" / "train_option.def").read_text()
    for name in re.findall(r'^OPTION_\w+\(\w+, "([\w-]+)"', options, re.M):
        if f"`{name}`" not in (SRC / "docs" / "summary.md").read_text():
            yield f"docs/summary.md does not mention the option {name}"
    for name in re.findall(r'^(?:FUNCTION)\(\w+, "(\w+)"', (SRC / "src/sema/builtin.def").read_text(),
                           re.M):
        if f"`{name}(" not in manual:
            yield f"the manual does not mention the function {name}"


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        files = [MANUAL, SRC / "README.md", *sorted((SRC / "docs").glob("*.md"))]
        for path in files:
            text = path.read_text()
            for m in FENCE.finditer(text):
                line = text[:m.start()].count("\n") + 1
                name = f"docs.{path.relative_to(SRC)}:{line}"
                try:
                    why = judge(m[1], m[2], m[3], folder)
                except (ValueError, subprocess.TimeoutExpired) as error:
                    why = str(error)
                failed += why is not None
                print(f"FAIL {name}: {why}" if why else f"PASS {name}", flush=True)
    complaints = list(table_complaints())
    for why in complaints:
        print(f"FAIL docs.tables: {why}")
    if not complaints:
        print("PASS docs.tables")
    return 1 if failed or complaints else 0


sys.exit(main())
