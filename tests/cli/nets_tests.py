"""cnnc nets: the table, JSON and CSV of networks, their verdicts, filters and comments."""
import csv
import io
import json
import os
import re
import subprocess
import sys

from harness import SRC, TINY, expect, main, write

# Six nets: one fine, one refused, one excused, one that only others build on, one of its instances,
# one whose window does not fit.
SEVERAL = """# Nets for a test, with "quotes", commas,
#   and two lines.
import std.blocks

## Is fine.
net fine(res: int = 16) {
  input image[3, res, 2 * res]
  stage s1(stride=2) { conv_bn_act(8, stride=2) }
  stage s2(stride=1) { conv_bn_act(16) }
  head logits = gap -> flatten -> dense(10)
}

net outgrown {
  input image[3, 8, 8]
  stage s { conv(4, k=3) * 5 }
  head h = gap -> flatten -> dense(2)
}
#
@allow(unproductive, reason="a test")
@allow(underutilized, reason="a test")
net excused {
  input image[3, 8, 8]
  stage s { conv(4, k=3) * 5 }
  head h = gap -> flatten -> dense(2)
}

net wide(c: int) {
  input image[3, 32, 32]
  stage s { conv(c, k=3) }
  head h = gap -> flatten -> dense(2)
}
net wide8 = wide(8)
"""
BROKEN = """
net small {
  input image[3, 4, 4]
  stage s { conv(4, k=7, pad=valid) }
  head h = gap -> flatten -> dense(2)
}
"""


def listed(*args, code=0):
    document = json.loads(expect(code, "nets", "--format=json", *args).stdout)
    assert document["schema"] == 1
    return {net["name"]: net for net in document["nets"]}, document["files"]


def test_every_figure_is_that_of_summary_and_check():
    nets, files = listed()
    assert len(nets) > 60 and len(files) > 12 and all(f["about"] for f in files)
    for name in ("resnet50", "vgg19", "convnext_tiny", "nasnet_mobile", "googlenet", "vgg16_cifar"):
        net, summary = nets[name], json.loads(expect(0, "summary", name, "--format=json").stdout)
        for key in ("input", "n", "params", "macs"):
            assert net[key] == summary[key], (name, key)
        assert net["layers"] == len(summary["layers"]), name
        for verdict, count in summary["verdicts"].items():
            assert net[verdict] == count, (name, verdict)
        expect(1 if net["verdict"] == "refused" else 0, "check", name)


def test_the_library_fits_the_screen():
    lines = expect(0, "nets").stdout.decode().splitlines()
    assert max(map(len, lines)) <= 120
    assert any(line.startswith("<std/resnet.cnn>: K. He, ") for line in lines)
    assert any(line.split()[:6] == ["resnet18", "3x224x224", "139", "11.7", "M", "1.81"] for line in lines)
    assert sum(line.endswith("refused: 1 unproductive, 1 underutilized") for line in lines) >= 2
    assert any(line.endswith(" ...") for line in lines)


def test_nets_of_a_file():
    write("several.cnn", SEVERAL)
    done = expect(0, "nets", "several.cnn")
    assert b"several.cnn:27: 'wide' is not listed: it has parameters without" in done.stderr, done.stderr
    assert expect(0, "nets", "several.cnn", "-q").stderr == b""
    nets, files = listed("several.cnn", "--quiet")
    assert files == [{"file": "several.cnn",
                      "about": 'Nets for a test, with "quotes", commas, and two lines.'}]
    assert list(nets) == ["fine", "outgrown", "excused", "wide8"]
    assert nets["fine"] == {
        "name": "fine", "file": "several.cnn", "line": 6, "doc": "Is fine.", "input": [3, 16, 32],
        "n": [7, 7], "params": 1586, "macs": 175264, "layers": 4, "verdict": "productive",
        "unproductive": 0, "underutilized": 0, "saturated": 0}, nets["fine"]
    assert [nets[n]["verdict"] for n in nets] == ["productive", "refused", "accepted", "productive"]
    assert nets["excused"]["unproductive"] == nets["outgrown"]["unproductive"] > 0
    assert nets["outgrown"]["doc"] is None and nets["excused"]["doc"] is None
    loose, _ = listed("several.cnn", "-q", "-A", "unproductive,underutilized")
    assert loose["outgrown"]["verdict"] == "accepted"


def test_comments():
    """One comment serves the one-line nets below it, up to a gap; the table shows it once."""
    base = SEVERAL[SEVERAL.index("net wide("):]
    write("comments.cnn", "# \x1b[31mLoud\t \nnet plain = wide(1)\n" + base +
          "\n  ## Of two\n# lines.\nnet a = wide(1)\nnet b = wide(\n  2)\n# Own.\nnet own = wide(3)\n"
          "net d = wide(4)\n\nnet e = wide(5)\nnet f = wide(" + "0" * 300 + "6)\n")
    nets, files = listed("comments.cnn", "-q")
    assert {n: net["doc"] for n, net in nets.items()} == {
        "plain": "\x1b[31mLoud", "wide8": None, "a": "Of two lines.", "b": "Of two lines.",
        "own": "Own.", "d": "Own.", "e": None, "f": None}, nets
    assert files[0]["about"] == "\x1b[31mLoud"
    table = expect(0, "nets", "comments.cnn", "-q").stdout
    assert b"\x1b" not in table and table.count(b"    Of two lines.\n  a ") == 1 == table.count(b"Of two")
    for word in ("many words " * 30, "ä" * 300):
        write("long.cnn", "# %s\n" % word + base)
        lines = expect(0, "nets", "long.cnn", "-q").stdout.decode().splitlines()
        assert lines[2].endswith(" ...") and 100 < max(map(len, lines)) <= 120, lines


def test_csv_has_the_same():
    write("several.cnn", SEVERAL.replace("Is fine.", 'Is "fine", truly.'))
    nets, _ = listed("several.cnn", "-q")
    rows = list(csv.DictReader(io.StringIO(
        expect(0, "nets", "several.cnn", "-q", "--format=csv").stdout.decode())))
    assert [row["name"] for row in rows] == list(nets)
    for row in rows:
        net = nets[row["name"]]
        assert [int(row[k]) for k in "chw"] == net["input"]
        assert [int(row["n_h"]), int(row["n_w"])] == net["n"] and row["doc"] == (net["doc"] or "")
        for key in ("params", "macs", "layers", "line", "unproductive", "underutilized", "saturated"):
            assert int(row[key]) == net[key], key
        assert row["verdict"] == net["verdict"] and row["file"] == net["file"]


def test_a_net_with_errors_does_not_hide_the_others():
    write("mixed.cnn", TINY + BROKEN)
    done = expect(1, "nets", "mixed.cnn")
    assert b"tiny" in done.stdout and b"small" not in done.stdout
    assert b"mixed.cnn:11:13: error" in done.stderr, done.stderr
    nets, _ = listed("mixed.cnn", code=1)
    assert list(nets) == ["tiny"]
    assert expect(1, "nets", "mixed.cnn", "--message-format=json").stderr.startswith(b"[")
    write("unknown.cnn", TINY.replace("conv_bn_act(16)", "no_such_layer(16)"))
    assert expect(1, "nets", "unknown.cnn").stdout == b""
    expect(3, "nets", "missing.cnn")


def test_match_and_names():
    assert expect(0, "nets", "--names", "--match=resnet??").stdout.split() == [
        b"resnet18", b"resnet34", b"resnet50"]
    nets, files = listed("--match=vgg*_bn")
    assert list(nets) == ["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
    assert [f["file"] for f in files] == ["<std/vgg.cnn>"]
    done = expect(2, "nets", "--match=alexnet*")
    assert done.stdout == b"" and b"no net is called 'alexnet*'" in done.stderr
    assert b"leave out --format" in expect(2, "nets", "--names", "--format=csv").stderr
    names = expect(0, "nets", "--names").stdout.decode().split()
    assert names == list(listed()[0]) and "mnasnet" not in names
    write("several.cnn", SEVERAL)
    done = expect(0, "nets", "several.cnn", "--names")
    assert done.stdout == b"fine\noutgrown\nexcused\nwide8\n" and done.stderr == b""
    expect(0, "nets", "several.cnn", "-o", "out.txt", "--match", "w*", "-q")
    with open("out.txt") as f:
        assert f.read().splitlines()[-1].split()[0] == "wide8"


def test_the_table_of_times_can_be_made():
    done = subprocess.run([sys.executable, "-B", os.path.join(SRC, "bench", "zoo.py"), "--match=squeezenet1_1",
                           "--rounds=1"], env={**os.environ, "BUILD": os.getcwd()},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    row = re.fullmatch(r"\| squeezenet1_1 \| [0-9.]+ \| [0-9.]+ \| (\d+) \| ([0-9.]+) \|",
                       done.stdout.splitlines()[-1])
    assert row and int(row[1]) > float(row[2]) > 4.9, done.stdout  # its weights are 4.9 MB
    assert os.listdir("bench") == []


sys.exit(main(globals()))
