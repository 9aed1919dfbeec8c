"""Sources nobody would write by hand: deep, long, endless, and with imports that lead astray."""
import os
import sys

from hostile import CNNC, TINY, attack, command, main, write

DEEP = 100000
NET = """net n() {
  input x[3, 8, 8]
  stage s { %s }
  head h = gap -> flatten -> dense(2)
}
"""


def all_commands(name, codes=(0, 1, 4), timeout=5, **kw):
    attack(codes, "check", name, timeout=timeout, **kw)
    # laying out needs no meaning, and elaboration is tried by check where there is a net
    attack((0, 1, 4), "fmt", "--diff", name, timeout=timeout, **kw)


def test_deep_nesting():
    one = "conv(4, k=1)"
    cases = {
        "parentheses": "let a = " + "(" * DEEP + "1" + ")" * DEEP,
        "unclosed": "let a = " + "(" * DEEP,
        "brackets": "let a = " + "[" * DEEP + "1" + "]" * DEEP,
        "minus": "let a = " + "-" * DEEP + "1",
        "spaced_minus": "let a = " + "- " * DEEP + "1",
        "not": "let a = " + "not " * DEEP + "true",
        "power": "let a = 1" + " ^ 1" * DEEP,
        "sums": "let a = 1" + " + 1" * DEEP,
        "compare": "let a = 1" + " < 1" * DEEP,
        "choices": "let a = " + "if true then 1 else " * DEEP + "1",
        "choices_braced": "let a = " + "if true { 1 } else " * DEEP + "{ 1 }",
        "ternary": "let a = " + "true ? 1 : " * DEEP + "1",
        "calls": "let a = " + "max(1, " * DEEP + "1" + ")" * DEEP,
        "indices": "let a = b" + "[0]" * DEEP,
        "fields": "let a = b" + ".c" * DEEP,
        "braces": "{" * DEEP,
        "closing": "}" * DEEP,
        "groups": NET % ("(" * DEEP + one + ")" * DEEP),
        "chains": NET % " -> ".join([one] * DEEP),
        "repeats": NET % ("(" * DEEP + one + ") * 1" * DEEP),
        "block_braces": NET % ("{ " * DEEP + one + " }" * DEEP),
        "adds": NET % ("add(in, " * DEEP + "in" + ")" * DEEP),
        "ifs": NET % ("if true { " * DEEP + one + " }" * DEEP),
        "else_ifs": NET % ("if false { " + one + " } else " * 1 + " else ".join(
            ["if false { %s }" % one] * DEEP)),
        "fors": NET % ("for i in 0..1 { " * DEEP + one + " }" * DEEP),
        "stages": "net n() { " + "stage s { " * DEEP,
        "annotations": "@allow(x, reason=\"y\") " * DEEP + "let a = 1",
        "comments": "/*" * DEEP,
        "quotes": '"' * DEEP,
        "types": "fn f(a: " + "[" * DEEP,
    }
    for name, text in cases.items():
        write(name + ".cnn", text + "\n")
        all_commands(name + ".cnn", (0, 1, 2, 4), says=name if "{" not in name else "")


def test_blocks_that_call_each_other():
    blocks = ["block b0(c: int) = conv(c, k=1)"]
    blocks += ["block b%d(c: int) = b%d(c)" % (i, i - 1) for i in range(1, 200000)]
    write("calls.cnn", "\n".join(blocks) + "\n" + NET % "b199999(4)")
    attack((1, 4), "check", "calls.cnn", says="calls.cnn")
    write("self.cnn", "block b(c: int) = b(c)\n" + NET % "b(4)")
    attack((1, 4), "check", "self.cnn", says="self.cnn")
    write("fn.cnn", "fn f(n: int) = f(n + 1)\n" + NET % "conv(f(1), k=1)")
    attack((1, 4), "check", "fn.cnn", says="fn.cnn")
    write("twice.cnn", "\n".join(["block b0(c: int) = conv(c, k=1)"] + [
        "block b%d(c: int) = b%d(c) -> b%d(c)" % (i, i - 1, i - 1) for i in range(1, 60)])
        + "\n" + NET % "b59(4)")
    attack((1, 4), "check", "twice.cnn", says="twice.cnn")


def test_long_lines_and_names():
    ten = 10 << 20
    write("line.cnn", "let a = " + "1 + " * (ten // 4) + "1\n")
    write("name.cnn", "let " + "a" * ten + " = 1\n")
    write("use.cnn", NET % ("x" * ten))
    write("comment.cnn", "# " + "c" * ten + "\n" + TINY)
    write("text.cnn", 'import "' + "p" * ten + '"\n' + TINY)
    write("blanks.cnn", " " * ten + TINY)
    write("lines.cnn", "\n" * ten + TINY)
    write("digits.cnn", "let a = " + "9" * ten + "\n" + TINY)
    write("fraction.cnn", "let a = 0." + "3" * ten + "\n" + TINY)
    write("unknown.cnn", "$" * ten)
    write("invalid.cnn", b"\xff" * ten)
    write("nuls.cnn", b"\0" * ten)
    for name in sorted(os.listdir(".")):
        for args in (["check", name], ["fmt", "--diff", name]):
            done = attack((0, 1, 2, 4), *args, timeout=20)
            assert len(done.stderr) < 1 << 20, (name, len(done.stderr))


def test_a_million_statements():
    write("lets.cnn", "".join("let a%d=%d\n" % (i, i) for i in range(800000)))
    write("bad.cnn", "let a=1\n" * 1000000)
    write("stages.cnn", "net n() {\n  input x[3, 8, 8]\n" + "".join(
        "  stage s%d { conv(4, k=1) }\n" % i for i in range(50000)) + "}\n")
    write("imports.cnn", "import std.blocks\n" * 500000)
    for name in sorted(os.listdir(".")):
        attack((0, 1, 2, 4), "check", name, timeout=20)
    write("huge.cnn", "let a=1\n" * (3 << 20))
    attack((1, 3, 4), "check", "huge.cnn", says="huge.cnn")
    with open("endless.cnn", "wb") as f:
        f.truncate(1 << 40)
    attack((1, 3, 4), "check", "endless.cnn", says="endless.cnn")
    attack((1, 3, 4), "pass", "read", "endless.cnn", says="endless.cnn")
    for name in ("x.png", "x.npy", "w.safetensors"):
        with open(name, "wb") as f:
            f.truncate(1 << 40)
    write("tiny.cnn", TINY)
    for args in (["--input=x.png"], ["--input=x.npy"], ["--weights=w.safetensors", "--input=fixture:1"]):
        init = [] if "--weights" in args[0] else ["--init=1"]
        attack((3, 4), "run", "tiny.cnn", *init, *args, says=args[0].split("=")[1])


def test_bytes_that_are_no_text():
    for i, junk in enumerate((b"\0", b"\x1b[2J", b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\x9b31m",
                              b"\xc2\x9b31m", b"\r\r", b"\x7f", b"\xe2\x80\xae", b"\xef\xbb\xbf")):
        for k, text in enumerate((junk + TINY.encode(), TINY.encode() + junk,
                                  TINY.encode().replace(b"relu", junk), b'import "' + junk + b'"\n',
                                  b"let a" + junk + b" = 1\n", b"# " + junk + b"\n",
                                  TINY.encode().replace(b"conv_bn_act", b"conv_bn_ac" + junk, 1))):
            name = write("junk%d_%d.cnn" % (i, k), text)
            for more in ([], ["--message-format=json"], ["--message-format=short"]):
                attack((0, 1, 3), "check", name, *more)
            attack((0, 1, 3), "fmt", "--diff", name)


def test_import_cycles():
    write("self.cnn", 'import "self.cnn"\n' + TINY)
    attack(1, "check", "self.cnn", says=("self.cnn", "cycle"))
    write("dots.cnn", 'import "./././dots.cnn"\n' + TINY)
    attack(1, "check", "dots.cnn", says=("dots.cnn", "cycle"))
    for i in range(50):
        write("c%d.cnn" % i, 'import "c%d.cnn"\nblock b%d(c: int) = conv(c, k=1)\n' % ((i + 1) % 50, i))
    attack(1, "check", "c7.cnn", says=("cycle", "c7.cnn"))
    os.symlink("linked.cnn", "alias.cnn")
    write("linked.cnn", 'import "alias.cnn"\n' + TINY)
    attack(1, "check", "linked.cnn", says="cycle")


def test_many_imports():
    """Diamonds, side by side and on top of each other: every file is read once."""
    for i in range(900):
        write("m%d.cnn" % i, 'import "leaf.cnn" as l\nblock b%d(c: int) = l.leaf(c)\n' % i)
    write("leaf.cnn", "block leaf(c: int) = conv(c, k=1)\n")
    write("top.cnn", "".join('import "m%d.cnn"\n' % i for i in range(900)) + NET % "b899(4)")
    attack((0, 1), "check", "top.cnn")
    for i in range(1, 500):
        write("l%d.cnn" % i, 'import "l%d.cnn" as a\nimport "r%d.cnn" as b\nblock x(c: int) = a.x(c)\n'
              % (i - 1, i - 1))
        write("r%d.cnn" % i, 'import "r%d.cnn" as a\nimport "l%d.cnn" as b\nblock x(c: int) = b.x(c)\n'
              % (i - 1, i - 1))
    for side in "lr":
        write(side + "0.cnn", "block x(c: int) = conv(c, k=1)\n")
    write("rungs.cnn", 'import "l499.cnn" as l\n' + NET % "l.x(4)")
    attack((0, 1, 4), "check", "rungs.cnn")
    for i in range(1100):
        write("deep%d.cnn" % i, 'import "deep%d.cnn"\n' % (i + 1))
    write("deep1100.cnn", "let a = 1\n")
    attack((1, 4), "check", "deep0.cnn", says="too many modules")


def test_imports_stay_in_their_tree():
    """Refused without a look at what is there: a message must not tell whether a file exists."""
    secret = "block secret(c: int) = conv(c, k=1)\n"
    os.makedirs("tree/sub")
    write("outside.cnn", secret)
    write("tree/inside.cnn", secret)
    os.symlink("../outside.cnn", "tree/link.cnn")
    os.symlink("../..", "tree/up")
    os.symlink("sub/../inside.cnn", "tree/fine.cnn")
    net = NET % "secret(4)"
    here = os.getcwd()
    for bad in ("../outside.cnn", "../missing.cnn", "sub/../../outside.cnn", here + "/outside.cnn",
                "link.cnn", "/etc/passwd", "/etc/none", "../../../../../../../../etc/passwd",
                "/proc/self/mem", "/dev/zero", "up/%s/outside.cnn" % os.path.basename(here),
                "sub/../link.cnn", "./../outside.cnn", "..//outside.cnn"):
        write("tree/main.cnn", 'import "%s"\n' % bad + net)
        for args in (["check", "main.cnn"], ["check", here + "/tree/main.cnn"]):
            attack(1, *args, cwd="tree", says=("E0212", bad if len(bad) < 60 else ""))
    for good in ("inside.cnn", "./inside.cnn", "sub/../inside.cnn", "fine.cnn"):
        write("tree/main.cnn", 'import "%s"\n' % good + net)
        attack(0, "check", "main.cnn", cwd="tree")
        attack(0, "check", "tree/main.cnn")
        attack(0, "check", "main.cnn", cwd="tree")
    # the working directory is a tree, too
    write("tree/main.cnn", 'import "../outside.cnn"\n' + net)
    attack(0, "check", "tree/main.cnn")
    write("tree/main.cnn", 'import "link.cnn"\n' + net)
    attack(0, "check", "tree/main.cnn")
    write("tree/sub/main.cnn", 'import "../inside.cnn"\n' + net)
    attack(0, "check", "sub/main.cnn", cwd="tree")
    attack(1, "check", "main.cnn", cwd="tree/sub", says="E0212")
    done = command([CNNC, "check", "-"], cwd="tree", input=('import "inside.cnn"\n' + net).encode(), stdin=None)
    assert done.returncode == 0, done
    done = command([CNNC, "check", "-"], cwd="tree", stdin=None,
                   input=('import "../outside.cnn"\n' + net).encode())
    assert done.returncode == 1 and b"E0212" in done.stderr, done


def test_path_names():
    name = "n" * 255
    write("tiny.cnn", TINY)
    attack((2, 3), "check", name + "n.cnn")
    for n in (4094, 4095, 4096, 5000, 100000):
        long = ("d" * 100 + "/") * (n // 101) + "e" * (n % 101)
        for args in (["check", long + ".cnn"], ["check", "/" + long], ["check", long + ":net"],
                     ["fmt", long + ".cnn"], ["summary", "tiny.cnn", "-o", long],
                     ["build", "tiny.cnn", "--init=1", "-q", "-o", long],
                     ["run", "tiny.cnn", "--init=1", "--input", long],
                     ["run", "tiny.cnn", "--weights", long, "--input=fixture:1"],
                     ["pass", "read", long], ["pass", long, "x"], ["explain", long]):
            attack((1, 2, 3), *args, says="ddddd" if n > 200 else "")
        write("importer.cnn", 'import "%s.cnn"\n' % long + TINY)
        attack((1, 3), "check", "importer.cnn", says="importer.cnn")
        attack((3, 0), "build", "tiny.cnn", "--init=1", "-q", "-o", "out", env={"TMPDIR": long})
        attack((0, 3), "check", "tiny.cnn", env={"CNNC_PATH": long})
    for odd in (b"a\nb.cnn", b"a\x1b[31mb.cnn", b"a\xff\xfeb.cnn", b"a\xc2\x9bb.cnn", b"a\rb.cnn", b"-.cnn",
                b"a b.cnn", b"a'b\".cnn", b"%s%n%d.cnn", b"a:b.cnn", b"$(touch x).cnn", b"a;b.cnn",
                b"\xe2\x80\xae.cnn", b"*.cnn", b"--help.cnn", b"a\\b.cnn"):
        path = b"./" + odd
        for present in (False, True):
            if present:
                write(path.decode("utf-8", "surrogateescape"), "let a =\n")
            for args in ([b"check", path], [b"fmt", b"--diff", path], [b"check", path + b":net"],
                         [b"pass", b"read", path], [b"run", b"tiny.cnn", b"--weights", path, b"--input=fixture:1"],
                         [b"run", b"tiny.cnn", b"--init=1", b"--input", path],
                         [b"check", path, b"--message-format=json"],
                         [b"check", path, b"--message-format=short"]):
                attack((1, 2, 3), *args)
            for args in ([b"frobnicate" + odd], [b"check", b"--" + odd], [b"check", b"--allow=" + odd, b"x"],
                         [b"check", b"tiny.cnn", b"-p", odd], [b"explain", odd], [b"build", b"tiny.cnn",
                         b"--init=" + odd], [b"build", b"tiny.cnn", b"--emit=" + odd], [b"build", b"tiny.cnn",
                         b"--target-cpu=" + odd], [b"check", b"tiny.cnn:" + odd], [b"completions", odd]):
                attack((0, 1, 2, 3), *args)
        out = b"./out" + odd
        attack(0, b"build", b"tiny.cnn", b"--init=1", b"-q", b"--emit=so,header,obj,weights", b"-o", out)
        os.mkdir(b"./dir" + odd)
        attack(3, b"build", b"tiny.cnn", b"--init=1", b"-q", b"-o", b"./dir" + odd)
        attack(3, b"build", b"tiny.cnn", b"--init=1", b"-q", b"-o", b"x/" + odd)
    assert not os.path.exists("x")


if __name__ == "__main__":
    sys.exit(main(globals()))
