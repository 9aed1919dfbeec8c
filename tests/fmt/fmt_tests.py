"""Tests of `cnnc fmt`; run.sh says how to start it. Standard library only.

Golden pairs: X.cnn must be laid out as X.out. Properties, over the library, the examples, the language
tests and generated files: the tokens stay, laying out twice changes nothing, comments anywhere stay
between the same tokens, and white space in the source does not matter.
"""
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

SRC = pathlib.Path(os.environ["SRC"]).resolve()
CNNC = os.environ["CNNC"]
HERE = SRC / "tests" / "fmt"
sys.path.insert(0, str(HERE))
import generate  # noqa: E402  (beside this file)

TOKEN = re.compile(r'#[^\n]*|"(?:[^"\\\n]|\\.)*"|->|//|[=!<>]=|[0-9]+(?:x[0-9]+)+|'
                   r'[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|[A-Za-z_][A-Za-z0-9_]*|\S')


class Failure(Exception):
    """What differs, and where."""


def tokens(text):
    return [t.rstrip() for t in TOKEN.findall(text)]


def fmt(paths, *options):
    return subprocess.run([CNNC, "fmt", *options, *map(str, paths)], capture_output=True, text=True)


def parses(path):
    text = path.read_text(errors="surrogateescape")
    done = subprocess.run([CNNC, "fmt", "-"], input=text.encode(errors="surrogateescape"),
                          capture_output=True)
    return done.returncode == 0


def sources():
    found = [*SRC.glob("stdlib/*.cnn"), *SRC.glob("examples/*/*.cnn")]
    found += [p for p in SRC.glob("tests/lang/**/*.cnn") if parses(p)]
    return sorted(found)


def with_comments(text, rng, often):
    """A comment after some tokens: behind them on their line, or on lines of their own."""
    out = []
    for i, t in enumerate(tokens(text)):
        out.append(t)
        if rng.random() < often:
            out.append(rng.choice([f" # c{i}\n", f"\n# c{i}\n", f"\n\n  # c{i}\n\n"]))
        else:
            out.append("\n" if t.startswith("#") else rng.choice([" ", " ", "\n", "\t ", "\r\n"]))
    return "".join(out)


def without_layout(text, rng):
    """The same tokens with other white space; no comments."""
    return "".join(t + rng.choice([" ", "\n", "  \n\t", " "]) for t in tokens(text)
                   if not t.startswith("#"))


def laid_out(texts):
    """Every text laid out; all at once, since starting a process costs more than the work."""
    with tempfile.TemporaryDirectory() as d:
        paths = []
        for i, text in enumerate(texts):
            paths.append(pathlib.Path(d) / f"{i}.cnn")
            paths[-1].write_bytes(text.encode(errors="surrogateescape"))
        for _ in range(2):  # the second time nothing may change
            before = [p.read_bytes() for p in paths]
            done = fmt(paths)
            if done.returncode != 0:
                raise Failure(f"exit {done.returncode}: {done.stderr[:400]}")
            after = [p.read_bytes() for p in paths]
        for one, two in zip(before, after):
            if one != two:
                raise Failure("laid out twice differs:\n" + difference(one.decode(), two.decode()))
        return [b.decode(errors="surrogateescape") for b in after]


def difference(one, two):
    for a, b in zip(one.splitlines(), two.splitlines()):
        if a != b:
            return f"- {a}\n+ {b}"
    return "one is longer"


def same_tokens(texts, results):
    for text, result in zip(texts, results):
        if tokens(text) != tokens(result):
            raise Failure("tokens differ:\n" + difference("\n".join(tokens(text)),
                                                          "\n".join(tokens(result))))
        for line in result.splitlines():
            if line != line.rstrip():
                raise Failure(f"blanks at the end of a line: {line!r}")


def test_golden():
    for path in sorted(HERE.glob("*.cnn")):
        want = path.with_suffix(".out").read_text()
        got = laid_out([path.read_text()])[0]
        if got != want:
            raise Failure(f"{path.name}:\n{difference(want, got)}")


def test_sources():
    texts = [p.read_text(errors="surrogateescape") for p in sources()]
    same_tokens(texts, laid_out(texts))


def test_comments():
    rng = random.Random(1)
    texts = [with_comments(p.read_text(errors="surrogateescape"), rng, often)
             for p in sources() for often in (0.02, 0.3, 1.0)]
    same_tokens(texts, laid_out(texts))


def test_white_space():
    rng = random.Random(2)
    texts = [without_layout(p.read_text(errors="surrogateescape"), rng) for p in sources()]
    plain = [" ".join(t for t in tokens(text) if not t.startswith("#")) for text in texts]
    for one, two in zip(laid_out(texts), laid_out(plain)):
        squeezed = "".join(line + "\n" for line in one.splitlines() if line)
        if squeezed != two:
            raise Failure("white space matters:\n" + difference(two, squeezed))


def test_generated():
    rng = random.Random(3)
    texts = [generate.source(rng) for _ in range(1000)]
    same_tokens(texts, laid_out(texts))
    ugly = [with_comments(text, rng, 0.1) for text in texts[:300]]
    same_tokens(ugly, laid_out(ugly))


def test_library_is_laid_out():
    done = fmt([*SRC.glob("stdlib/*.cnn"), *SRC.glob("examples/*/*.cnn")], "--check")
    if done.returncode != 0:
        raise Failure(f"make format was forgotten: {done.stdout}{done.stderr}")


def test_command():
    with tempfile.TemporaryDirectory() as d:
        good, bad, ugly = (pathlib.Path(d) / n for n in ("good.cnn", "bad.cnn", "ugly.cnn"))
        good.write_text("let a = 1\n")
        ugly.write_text("let   a=1")
        bad.write_text("net {")
        ugly.chmod(0o640)
        checks = [((good,), ("--check",), 0, ""), ((ugly, good), ("--check",), 1, f"{ugly}\n"),
                  ((bad,), (), 1, ""), ((d + "/none.cnn",), (), 3, ""), ((), (), 2, "")]
        for paths, options, code, out in checks:
            done = fmt(paths, *options)
            if done.returncode != code or done.stdout != out:
                raise Failure(f"fmt {options} {paths}: exit {done.returncode}, {done.stdout!r}")
        done = fmt([ugly, good], "--diff")
        if done.returncode != 0 or "-let   a=1" not in done.stdout or "+let a = 1" not in done.stdout:
            raise Failure(f"--diff: exit {done.returncode}, {done.stdout!r}")
        if fmt([ugly], "--diff", "--check").returncode != 1:
            raise Failure("--diff --check of a file that differs must exit 1")
        if bad.read_text() != "net {" or ugly.read_text() != "let   a=1":
            raise Failure("a file was changed that must not be")
        if fmt([ugly]).returncode != 0 or ugly.read_text() != "let a = 1\n":
            raise Failure("not laid out in place")
        if ugly.stat().st_mode & 0o777 != 0o640:
            raise Failure("the mode of the file changed")
        done = subprocess.run([CNNC, "fmt", "-"], input="let   a=1", capture_output=True, text=True)
        if done.returncode != 0 or done.stdout != "let a = 1\n":
            raise Failure(f"standard input: {done.stdout!r}")


def main():
    failed = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_"):
            continue
        try:
            test()
            print(f"PASS fmt.{name[5:]}", flush=True)
        except Failure as why:
            failed += 1
            print(f"FAIL fmt.{name[5:]}: " + "; ".join(str(why).splitlines()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
