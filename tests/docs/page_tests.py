"""The pages of docs/diagnostics, which `cnnc explain` prints: every code of diag.def has one, its
failing example gives that code and no other, its corrected one gives nothing, and docs/diagnostics.md
lists it. Examples are files (```cnn-error, ```cnn-warn, ```cnn) or shell sessions
(```console CODE, ```console). Standard library only."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SRC = pathlib.Path(os.environ["SRC"])
CNNC = os.environ["CNNC"]
PAGES = SRC / "docs" / "diagnostics"
FENCE = re.compile(r"^```(cnn[a-z-]*|console)[ ]*([A-Z0-9]*)\n(.*?)^```", re.M | re.S)
ROW = re.compile(r'^DIAG\((\w+), "(\w+)", SEV_(\w+), (NULL|"\w+")', re.M)


def codes(text):
    """The codes of all JSON documents in stderr, in order."""
    found, decoder, at = [], json.JSONDecoder(), text.find("[")
    while at >= 0:
        document, end = decoder.raw_decode(text, at)
        found += [d["code"] for d in document]
        at = text.find("[", end)
    return found


def of_file(text, folder):
    (pathlib.Path(folder) / "example.cnn").write_text(text)
    done = subprocess.run([CNNC, "check", "example.cnn", "--message-format=json"], cwd=folder,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    return codes(done.stderr)


def of_session(text, folder):
    """What the lines behind "$ " give, with cnnc made to speak JSON."""
    env = {**os.environ, "PATH": os.path.dirname(CNNC) + ":" + os.environ["PATH"]}
    lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    script = "\n".join(re.sub(r"^cnnc (.*)", r"cnnc \1 --message-format=json", x) for x in lines)
    done = subprocess.run(["sh", "-c", script], cwd=folder, env=env, stderr=subprocess.PIPE,
                          text=True, timeout=60)
    return codes(done.stderr)


def judge(code, level, lint):
    page = PAGES / (code + ".md")
    if not page.exists():
        return "there is no page"
    text = page.read_text()
    if not re.match(r"# %s: \S.{5,80}\n\n\S" % code, text):
        return "the first line is to be '# %s: title', then a paragraph" % code
    fences = list(FENCE.finditer(text))
    want = {"cnn-warn" if level == "WARNING" else "cnn-error", "console"}
    if len(fences) != 2 or fences[0][1] not in want or fences[0][2] != code or fences[1][2]:
        return "two examples are wanted, one with the code and one without"
    for fence, expected in zip(fences, ({code}, set())):
        with tempfile.TemporaryDirectory() as folder:
            run = of_session if fence[1] == "console" else of_file
            got = run(fence[3], folder)
        if set(got) != expected:
            return "line %d: expected %s, got %s" % (
                text[:fence.start()].count("\n") + 1, sorted(expected), got)
    for word in (code, code.lower(), *([lint, lint.replace("_", "-")] if lint else [])):
        shown = subprocess.run([CNNC, "explain", word], stdout=subprocess.PIPE, text=True)
        if shown.returncode != 0 or text.splitlines()[0][2:] not in shown.stdout:
            return "'cnnc explain %s' does not print it" % word
        for fence in fences:
            for line in fence[3].splitlines():
                if line and "    " + line not in shown.stdout:
                    return "'cnnc explain %s' lacks %r" % (word, line)
    return None


def main():
    rows = ROW.findall((SRC / "src" / "support" / "diag.def").read_text())
    failed = False
    for _, code, level, lint in rows:
        why = judge(code, level, lint.strip('"') if lint != "NULL" else None)
        failed = failed or why is not None
        print(f"FAIL docs.page {code}: {why}" if why else f"PASS docs.page {code}", flush=True)
    strays = {p.stem for p in PAGES.glob("*.md")} - {r[1] for r in rows}
    listed = subprocess.run([CNNC, "explain"], stdout=subprocess.PIPE, text=True).stdout
    index = subprocess.run([sys.executable, "-B", SRC / "tests/tools/diagnostics_index.py", "--check"],
                           stdout=subprocess.PIPE, text=True)
    zoo = subprocess.run([sys.executable, "-B", SRC / "tests/tools/zoo.py", "--check"],
                         stdout=subprocess.PIPE, text=True)
    for name, why in (("strays", f"pages without a row: {sorted(strays)}" if strays else None),
                      ("list", None if [line[:5] for line in listed.splitlines()] ==
                       sorted((r[1] for r in rows), key=lambda c: c[1:]) else
                       "'cnnc explain' does not list every code once"),
                      ("index", index.stdout.strip() if index.returncode else None),
                      ("zoo", zoo.stdout.strip() or "zoo.py failed" if zoo.returncode else None)):
        failed = failed or why is not None
        print(f"FAIL docs.pages {name}: {why}" if why else f"PASS docs.pages {name}")
    return 1 if failed else 0


sys.exit(main())
