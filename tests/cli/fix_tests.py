"""check --fix: what is repaired, what is not, and that files are changed safely."""
import json
import os
import shutil
import stat
import subprocess
import sys
import time

from harness import *

NET = """net n() {
  input x[3, 32, 32]
  stage s { %s }
  head h = gap -> flatten -> dense(10)
}
"""

# What is certain: (name, before, after). Each is given alone, and must leave nothing to say.
CERTAIN = [
    ("operator", NET % "conf(8, k=3)", NET % "conv(8, k=3)"),
    ("argument", NET % "conv(8, k=3, strides=1)", NET % "conv(8, k=3, stride=1)"),
    ("option of a stage", (NET % "conv(8, k=3)").replace("s {", "s(strid=1) {"),
     (NET % "conv(8, k=3)").replace("s {", "s(stride=1) {")),
    ("field", "block b() = conv(stage.strid, k=1)\n", "block b() = conv(stage.stride, k=1)\n"),
    ("type", "block b(c: itn) = conv(c, k=1)\n", "block b(c: int) = conv(c, k=1)\n"),
    ("truth", "block b(c: int) = conv(c, k=1, bias=True)\n",
     "block b(c: int) = conv(c, k=1, bias=true)\n"),
    ("module", "import std.bloks\nblock b() = conv_bn_act(8)\n",
     "import std.blocks\nblock b() = conv_bn_act(8)\n"),
    ("library", "import blocks\nblock b() = conv_bn_act(8)\n",
     "import std.blocks\nblock b() = conv_bn_act(8)\n"),
    ("unused imports", "import std.blocks\nimport std.resnet as r\n\n" + NET % "conv(8, k=3)",
     NET % "conv(8, k=3)"),
    ("import with a comment", "import std.blocks  # why\n" + NET % "conv(8, k=3)",
     "# why\n" + NET % "conv(8, k=3)"),
    ("division", "let w = 7\n" + NET % "conv((w) / (2), k=3)",
     "let w = 7\n" + NET % "conv((w) // (2), k=3)"),
    ("useless allow on lines of its own", NET % "conv(8, k=3)\n  }\n  @allow(unproductive, \"x\")\n"
     "  stage t {\n    relu", NET % "conv(8, k=3)\n  }\n  stage t {\n    relu"),
    ("useless allow in a line", NET % "@allow(unproductive, \"x\") conv(8, k=3)",
     NET % "conv(8, k=3)"),
    ("lint with a dash", "@allow(shadows-operator, \"old\")\nblock b(scale: real) = "
     "drop_path(scale)\n", "@allow(shadows_operator, \"old\")\nblock b(scale: real) = "
     "drop_path(scale)\n"),
    ("lint as a text", "@allow(\"unused\", \"old\")\nblock b(c: int) = relu\n",
     "@allow(unused, \"old\")\nblock b(c: int) = relu\n"),
    ("lint", "@allow(unuset, \"old\")\nblock b(c: int) = relu\n",
     "@allow(unused, \"old\")\nblock b(c: int) = relu\n"),
    ("annotation", NET % "@frozn() conv(8, k=3)", NET % "@frozen() conv(8, k=3)"),
    ("name without quotes", NET % "@name(conv1) conv(8, k=3)",
     NET % "@name(\"conv1\") conv(8, k=3)"),
    ("type as a text", NET % "@dtype(\"bf16\") conv(8, k=3)", NET % "@dtype(bf16) conv(8, k=3)"),
    ("key", (NET % "conv(8, k=3)")[:-2] + "  train { epoch = 3 }\n}\n",
     (NET % "conv(8, k=3)")[:-2] + "  train { epochs = 3 }\n}\n"),
    ("call", (NET % "conv(8, k=3)")[:-2] + "  train { optimizer = sdg(lr=0.1) }\n}\n",
     (NET % "conv(8, k=3)")[:-2] + "  train { optimizer = sgd(lr=0.1) }\n}\n"),
    ("word without quotes", (NET % "conv(8, k=3)")[:-2] + "  refine { strategy = fit }\n}\n",
     (NET % "conv(8, k=3)")[:-2] + "  refine { strategy = \"fit\" }\n}\n"),
    ("semicolons", "let a = 8;\n" + NET % "conv(a, k=3) -> relu;",
     "let a = 8\n" + NET % "conv(a, k=3) -> relu"),
    ("operators of other languages", "let a = true && false || true\n",
     "let a = true and false or true\n"),
    ("single quotes", (NET % "conv(8, k=3)").replace("  stage", "  require 1 == 1, 'yes'\n  stage"),
     (NET % "conv(8, k=3)").replace("  stage", "  require 1 == 1, \"yes\"\n  stage")),
    ("several rounds", "import std.bloks;\n" + NET % "conf(8, k=3, strides=1)",
     NET % "conv(8, k=3, stride=1)"),
    ("characters before it", "# \u00e9\u4e16\U0001f600\n" + NET % "conf(8, k=3)",
     "# \u00e9\u4e16\U0001f600\n" + NET % "conv(8, k=3)"),
    ("carriage returns", "import std.blocks\r\nlet a = 1\r\n", "let a = 1\r\n"),
    ("no newline at the end", "let a = 1\nimport std.blocks", "let a = 1\n"),
]

# What is not: more than one way out, or the network would change.
UNCERTAIN = [
    ("two names near", "block bat(c: int) = conv(c, k=1)\nblock cat(c: int) = conv(c, k=1)\n"
     "block b() = rat(8)\n"),
    ("division of reals", "block b(r: real) = conv(r / 2, k=1)\n"),
    ("nothing near", NET % "frobnicate(8)"),
    ("receptive field", NET.replace("32, 32", "9, 9") %
     "conv(8, k=5, stride=2) -> conv(8, k=5) -> conv(8, k=3)"),
    ("unclosed text", "block b() {\n  require 1 == 1, \"x\n  out = in -> relu\n}\n"),
]


def read(name):
    with open(name, "rb") as f:
        return f.read()


def test_certain_repairs_are_applied_and_leave_nothing():
    for name, before, after in CERTAIN:
        write("a.cnn", before)
        assert run("check", "a.cnn").stderr, name + ": nothing to repair"
        done = run("check", "--fix", "a.cnn")
        assert read("a.cnn").decode() == after, "%s:\n%s" % (name, read("a.cnn").decode())
        assert done.returncode == 0 and not done.stdout, name
        lines = done.stderr.decode().splitlines()
        assert lines and all("fixed[" in line for line in lines), "%s: %s" % (name, lines)
        again = run("check", "--fix", "a.cnn")
        assert again.stderr == b"" and read("a.cnn").decode() == after, name


def test_uncertain_ones_are_left_alone():
    for name, text in UNCERTAIN:
        write("a.cnn", text)
        done = expect(1, "check", "--fix", "a.cnn")
        assert read("a.cnn").decode() == text, name
        assert b"error[" in done.stderr and b"fixed[" not in done.stderr, name


def test_what_remains_is_reported_and_decides_the_exit_code():
    write("a.cnn", NET % "conf(8, k=3) -> frobnicate")
    done = expect(1, "check", "--fix", "a.cnn")
    assert b"conv(8, k=3) -> frobnicate" in read("a.cnn")
    assert b"fixed[E0201]" in done.stderr and b"'frobnicate' is not defined" in done.stderr
    write("a.cnn", "import std.blocks\nblock b(c: int) = relu\n")
    expect(0, "check", "--fix", "a.cnn")
    write("a.cnn", "import std.blocks\nblock b(c: int) = relu\n")
    expect(1, "check", "--fix", "--deny=warnings", "a.cnn")
    assert read("a.cnn") == b"block b(c: int) = relu\n"


def test_suggestions_are_applied_on_request():
    text = "import std.blocks\n" + NET.replace("32, 32", "16, 16") % (
        "conv_bn_act(8, stride=2) -> conv_bn_act(8, stride=2) -> conv_bn_act(8) -> conv_bn_act(8)")
    write("a.cnn", text)
    expect(1, "check", "--fix", "a.cnn")
    assert read("a.cnn").decode() == text
    done = expect(0, "check", "--fix-suggested", "a.cnn")
    assert b"fixed[E050" in done.stderr and read("a.cnn").count(b"stride=1") == 1


def test_missing_imports_are_suggested():
    write("a.cnn", NET % "conv_bn_act(8)")
    expect(1, "check", "--fix", "a.cnn")
    expect(0, "check", "--fix-suggested", "a.cnn")
    assert read("a.cnn").decode() == "import std.blocks\n\n" + NET % "conv_bn_act(8)"
    write("a.cnn", "import std.resnet\n" + NET % "conv_bn_act(8) -> basic(8)")
    expect(0, "check", "--fix-suggested", "a.cnn")
    assert read("a.cnn").startswith(b"import std.resnet\nimport std.blocks\nnet")


def test_dry_run_and_diff_change_nothing():
    before = "import std.blocks\n" + NET % "conf(8, k=3)"
    write("a.cnn", before)
    for option in ("--dry-run", "--diff"):
        done = expect(0, "check", "--fix", option, "a.cnn")
        assert read("a.cnn").decode() == before and b"would fix[E0201]" in done.stderr
    assert b"-import std.blocks\n" in done.stdout and b"+  stage s { conv(8" in done.stdout
    expect(2, "check", "--dry-run", "a.cnn")
    expect(2, "check", "--diff", "a.cnn")
    if shutil.which("patch") is None:
        raise Skip("no patch(1) to apply the diff with")
    write("patch", done.stdout)
    subprocess.run(["patch", "-s", "a.cnn", "patch"], check=True, timeout=10)
    assert read("a.cnn").decode() == NET % "conv(8, k=3)"


def test_mode_and_links_are_kept():
    os.mkdir("real")
    write("real/a.cnn", NET % "conf(8, k=3)")
    os.chmod("real/a.cnn", 0o640)
    os.symlink("real/a.cnn", "link.cnn")
    expect(0, "check", "--fix", "link.cnn")
    assert read("real/a.cnn").decode() == NET % "conv(8, k=3)" and os.path.islink("link.cnn")
    assert stat.S_IMODE(os.stat("real/a.cnn").st_mode) == 0o640
    assert os.listdir("real") == ["a.cnn"]


def test_only_files_of_the_named_folder_are_changed():
    os.makedirs("mine/parts")
    os.mkdir("theirs")
    os.mkdir("std")
    bad = "import std.resnet\nblock %s(c: int) = conv(c, k=3)\n"
    write("theirs/part.cnn", bad % "theirs")
    write("mine/parts/part.cnn", bad % "ours")
    write("mine/a.cnn", "import \"parts/part.cnn\"\nimport \"../theirs/part.cnn\"\n" +
          NET % "ours(8) -> theirs(8)")
    expect(0, "check", "--fix", "mine/a.cnn")
    assert read("mine/parts/part.cnn").startswith(b"block") and \
        read("theirs/part.cnn").startswith(b"import")
    library = os.path.join("std", "blocks.cnn")
    with open(os.path.join(SRC, "stdlib", "blocks.cnn"), "rb") as f:
        write(library, f.read() + b"let x = 1;\n")
    before = read(library)
    write("b.cnn", "import std.blocks\n" + NET % "conv_bn_act(8)")
    expect(1, "check", "--fix", "b.cnn", env={"CNNC_PATH": os.path.abspath("std")})
    assert read(library) == before
    for operand in ("-", "resnet18"):
        expect(2, "check", "--fix", operand)


def test_several_files_and_one_net_of_a_file():
    write("a.cnn", NET % "conf(8, k=3)")
    write("b.cnn", NET % "relu -> rellu")
    done = expect(0, "check", "--fix", "a.cnn:n", "b.cnn")
    assert done.stderr.count(b"fixed[") == 2, done.stderr
    assert b"conv" in read("a.cnn") and b"relu -> relu " in read("b.cnn")


def test_unwritable_files_are_reported():
    if os.geteuid() == 0:
        # root may write everywhere; a folder that vanishes stands for it
        os.mkdir("gone")
        write("gone/a.cnn", NET % "conf(8, k=3)")
        subprocess.run(["chattr", "+i", "gone"], stderr=subprocess.DEVNULL, check=False)
        done = run("check", "--fix", "gone/a.cnn")
        subprocess.run(["chattr", "-i", "gone"], stderr=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            raise Skip("root may write to every folder here")
    else:
        os.mkdir("gone")
        write("gone/a.cnn", NET % "conf(8, k=3)")
        os.chmod("gone", 0o500)
        done = run("check", "--fix", "gone/a.cnn")
        os.chmod("gone", 0o700)
    assert done.returncode == 3 and b"fixed[" not in done.stderr, done.stderr


def test_changes_by_others_are_not_lost():
    write("big.cnn", "\n".join("let a%d = %s" % (i, " + ".join(["1"] * 50)) for i in range(20000)))
    refused = False
    for wait in (0.02, 0.05, 0.1, 0.2, 0.4):
        write("a.cnn", NET % "conf(8, k=3)")
        child = subprocess.Popen([CNNC, "check", "--fix", "a.cnn", "big.cnn"],
                                 stderr=subprocess.PIPE)
        time.sleep(wait)
        write("b.cnn", "# by another hand\n" + NET % "conf(8, k=5)")
        os.rename("b.cnn", "a.cnn")
        said = child.communicate(timeout=60)[1]
        assert read("a.cnn").startswith(b"# by another hand"), wait
        if child.returncode == 3:
            refused = True
            assert b"changed by someone else" in said and b"k=5" in read("a.cnn")
    assert refused


def test_one_edit_for_two_nets_is_made_once():
    write("a.cnn", "import std.blocks\n" + NET.replace("net n()", "net any(c: int)").replace(
        "32, 32", "16, 16") % ("conv_bn_act(c, stride=2) -> conv_bn_act(c, stride=2) -> "
                               "conv_bn_act(c) -> conv_bn_act(c)") + "net a = any(8)\nnet b = any(16)\n")
    expect(0, "check", "--fix-suggested", "a.cnn")
    assert read("a.cnn").count(b"stride=1)") == 1


def test_json_says_what_was_fixed():
    write("a.cnn", NET % "conf(8, k=3) -> frobnicate")
    got = json.loads(expect(1, "check", "--fix", "a.cnn", "--message-format=json").stderr)
    assert [d["code"] for d in got] == ["E0201", None]
    assert got[1]["level"] == "note" and "a.cnn:3:13: fixed[E0201]" in got[1]["message"]


sys.exit(main(globals()))
