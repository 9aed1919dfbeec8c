"""Tests of `cnnc fmt`; run.sh says how to start it. Standard library only.

Golden pairs: X.cnn must be laid out as X.out. Properties, over the language tests and 1,000 generated
files: the tokens stay, comments stay between the same ones and on their lines, laying out twice
changes nothing. (Those of the library, with a comment after every token, are in
tests/unit/test_format.c.) Last, what the command does with files, folders and streams.
"""
import os
import pathlib
import random
import re
import shutil
import stat
import subprocess
import sys
import tempfile

SRC = pathlib.Path(os.environ["SRC"]).resolve()
CNNC = os.environ["CNNC"]
HERE = SRC / "tests" / "fmt"
sys.path.insert(0, str(HERE))
import generate  # noqa: E402  (beside this file)

TOKEN = re.compile(r'#[^\n]*|"(?:[^"\\\n]|\\.)*"|->|//|[=!<>]=|[0-9]+(?:x[0-9]+)+|'
                   r'[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|[A-Za-z_][A-Za-z0-9_]*|\S|\n')
WIDTH = 100


# Every file that is written is also flushed to its device: quick where there is none.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Failure(Exception):
    """What differs, and where."""


class Skipped(Exception):
    """Why."""


def require(holds, what):
    if not holds:
        raise Failure(what)


def tokens(text):
    """The tokens; a comment on a line of its own bears a mark."""
    found, line_start = [], True
    for token in TOKEN.findall(text):
        if token.startswith("#"):
            found.append(("own " if line_start else "") + token.rstrip())
        elif token != "\n":
            found.append(token)
        line_start = token == "\n" or (line_start and token.startswith("#"))
    return found


def fmt(*args, **kw):
    return subprocess.run([CNNC, "fmt", *map(str, args)], capture_output=True, timeout=120, **kw)


def difference(one, two):
    for a, b in zip(one, two):
        if a != b:
            return f"- {a}\n+ {b}"
    return "one is longer"


def laid_out(texts, folder):
    """Every text laid out; all by one process."""
    paths = [folder / f"{i:04}.cnn" for i in range(len(texts))]
    for path, text in zip(paths, texts):
        path.write_bytes(text.encode())
    done = fmt(folder)
    require(done.returncode == 0 and done.stdout == b"",
            f"exit {done.returncode}: {done.stderr[:400].decode()}")
    again = fmt("--diff", "--check", folder)
    require(again.returncode == 0, "laid out twice differs:\n" + again.stdout[:600].decode())
    return [p.read_bytes().decode() for p in paths]


def check_result(text, result):
    """What holds for every source and its layout."""
    one, two = tokens(text.removeprefix("\ufeff")), tokens(result)
    require(one == two, "tokens differ:\n" + difference(one, two))
    require(result == "" or (result[-1] == "\n" and result[0] != "\n"), "lines at an end")
    require("\n\n\n" not in result and "\r\n" not in result, "empty lines, or others' line ends")
    for line in result.split("\n"):
        require(line == line.rstrip(), f"blanks at the end of a line: {line!r}")
        # what is longer must be one token, or hang on one by its brackets
        longest = max(map(len, re.findall(r'(?:"(?:[^"\\]|\\.)*"|\S)+', line)), default=0)
        code = re.sub(r'^((?:[^"#]|"(?:[^"\\]|\\.)*")*?)\s*#.*', r"\1", line)
        indent = len(line) - len(line.lstrip())
        require(len(code) <= WIDTH or longest > 40 or indent > 40 or "@" in line, f"a long line: {line!r}")


def properties(texts):
    with tempfile.TemporaryDirectory(dir=SCRATCH) as d:
        for text, result in zip(texts, laid_out(texts, pathlib.Path(d))):
            check_result(text, result)


def test_golden():
    pairs = sorted(HERE.glob("*.cnn"))
    require(len(pairs) >= 8, "where are they?")
    with tempfile.TemporaryDirectory(dir=SCRATCH) as d:
        texts = [p.read_bytes().decode() for p in pairs]
        for path, text, got in zip(pairs, texts, laid_out(texts, pathlib.Path(d))):
            check_result(text, got)
            want = path.with_suffix(".out").read_text()
            require(got == want, f"{path.name}:\n" + difference(want.split("\n"), got.split("\n")))


def test_language_tests():
    texts = []
    for path in sorted(SRC.glob("tests/lang/**/*.cnn")):
        text = path.read_text(errors="replace")
        if fmt("-", input=text.encode()).returncode == 0:
            texts.append(text)
    require(len(texts) > 40, "hardly any parses")
    properties(texts)


def test_generated():
    texts, unused = generate.sources(SRC, random.Random(3), 1000)
    require(not unused, f"not generated: {unused}")
    properties(texts)


def test_exit_codes_and_streams():
    with tempfile.TemporaryDirectory(dir=SCRATCH) as d:
        good, bad, ugly, none = (pathlib.Path(d) / n for n in ("good", "bad", "ugly", "none"))
        good.write_text("let a = 1\n")
        ugly.write_text("let   a=1")
        bad.write_text("net {")
        shown = f"--- {ugly}\n+++ {ugly}\n@@ -1 +1 @@\n-let   a=1\n\\ No newline at end of file\n+let a = 1\n"
        cases = [
            ([good], 0, "", ""),
            ([good, "--check"], 0, "", ""),
            ([ugly, good, "--check"], 1, f"{ugly}\n", ""),
            ([ugly, good, "--diff"], 0, shown, ""),
            ([ugly, "--diff", "--check"], 1, shown, ""),
            ([bad], 1, "", "E0101"),
            ([bad, "--check"], 1, "", "E0101"),
            ([bad, ugly, "--check", "--message-format=short"], 1, f"{ugly}\n", f"{bad}:1:5: error[E0101]"),
            ([none], 3, "", "No such file"),
            ([none, bad, "--check"], 3, "", "No such file"),
            (["/dev/null"], 3, "", "not a regular file"),
            ([], 2, "", "'fmt' needs FILE..."),
            ([good, "--sweep=1:2:3"], 2, "", "does not belong"),
        ]
        for args, code, out, err in cases:
            done = fmt(*args)
            require(done.returncode == code and done.stdout.decode() == out and
                    err in done.stderr.decode(),
                    f"fmt {args}: exit {done.returncode}, {done.stdout!r}, {done.stderr!r}")
            require(bool(done.stderr) == bool(err), f"fmt {args}: {done.stderr!r}")
        require(bad.read_text() == "net {" and ugly.read_text() == "let   a=1",
                "a file was changed that must not be")
        require(b"\x1b" not in fmt("--diff", ugly).stdout, "colour without a terminal")
        require(b"\x1b[32m+let a" in fmt("--diff", "--color=always", ugly).stdout, "no colour")


def test_standard_input():
    for args, code, out in ((["-"], 0, "let a = 1\n"), (["-", "--check"], 1, "<stdin>\n")):
        done = fmt(*args, input=b"let   a=1")
        require((done.returncode, done.stdout.decode()) == (code, out), f"fmt {args}: {done}")
    require(fmt("-", input=b"let a = 1\n").stdout == b"let a = 1\n", "a canonical one is printed, too")
    done = fmt("-", input=b"let a =")
    require(done.returncode == 1 and done.stdout == b"" and b"<stdin>:1:" in done.stderr, f"{done}")
    require(fmt("-", input=b"\xef\xbb\xbfnet n(\r\n) { # x \r\n}\r\n").stdout == b"net n() {  # x\n}\n",
            "a mark at the start, or line ends, stay")


def test_in_place():
    with tempfile.TemporaryDirectory(dir=SCRATCH) as d:
        folder = pathlib.Path(d)
        ugly, link = folder / "ugly.cnn", folder / "link"
        ugly.write_text("let   a=1")
        ugly.chmod(0o640)
        link.symlink_to("ugly.cnn")
        require(fmt(link).returncode == 0 and ugly.read_text() == "let a = 1\n", "not laid out")
        require(link.is_symlink() and stat.S_IMODE(ugly.stat().st_mode) == 0o640, "link or mode lost")
        before = ugly.stat()
        require(fmt(ugly).returncode == 0 and ugly.stat().st_ino == before.st_ino and
                ugly.stat().st_mtime_ns == before.st_mtime_ns, "written though nothing changed")
        require(sorted(p.name for p in folder.iterdir()) == ["link", "ugly.cnn"], "something is left")


def test_read_only_file():
    nobody = {"user": 65534} if os.geteuid() == 0 else {}  # root may write to anything
    with tempfile.TemporaryDirectory(dir=SCRATCH) as d:
        os.chmod(d, 0o777)
        ugly = pathlib.Path(d) / "ugly.cnn"
        ugly.write_text("let   a=1")
        ugly.chmod(0o444)
        try:
            done = fmt(ugly, **nobody)
        except PermissionError:
            raise Skipped("only root may run this cnnc")
        require(done.returncode == 3 and b"Permission denied" in done.stderr and
                ugly.read_text() == "let   a=1", f"replaced: {done}")


def test_folders():
    with tempfile.TemporaryDirectory(dir=SCRATCH) as d:
        folder = pathlib.Path(d)
        for name in ("b.cnn", "a.cnn", "sub/c.cnn", "sub/deep/d.cnn", "other.txt", ".hidden.cnn",
                     ".git/e.cnn"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("let a=1")
        (folder / "link.cnn").symlink_to("other.txt")
        (folder / "sub" / "round").symlink_to("..")
        names = [str(folder / n) for n in ("a.cnn", "b.cnn", "sub/c.cnn", "sub/deep/d.cnn")]
        done = fmt("--check", folder)
        require(done.returncode == 1 and done.stdout.decode().split("\n")[:-1] == names,
                f"found {done.stdout.decode()}")
        require(fmt(folder).returncode == 0 and fmt("--check", folder).returncode == 0, "not laid out")
        require((folder / "other.txt").read_text() == "let a=1", "too much laid out")
        shutil.rmtree(folder / "sub")
        (folder / "a.cnn").write_text("let = 1")
        done = fmt(folder)
        require(done.returncode == 1 and b"a.cnn:1:5: error" in done.stderr, f"{done}")


def test_full_device():
    if not os.path.exists("/dev/full"):
        raise Skipped("there is no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run([CNNC, "fmt", "-"], input=b"let a=1", stdout=full, stderr=subprocess.PIPE)
    require(done.returncode == 3 and b"No space left" in done.stderr, f"{done}")


def main():
    failed = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_"):
            continue
        try:
            test()
            print(f"PASS fmt.{name[5:]}", flush=True)
        except Skipped as why:
            print(f"SKIP fmt.{name[5:]}: {why}", flush=True)
        except Failure as why:
            failed += 1
            print(f"FAIL fmt.{name[5:]}: " + "; ".join(str(why).splitlines()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
