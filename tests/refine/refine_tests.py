"""cnnc refine: the candidates for the library's nets, and how sources are rewritten."""
import json
import os
import re
import sys
import zlib

sys.path.insert(0, os.path.join(os.environ["SRC"], "tests", "cli"))
from harness import *  # noqa: E402,F403

FULL = os.environ.get("CHECK_FULL") == "1"
SIZES = (32, 64, 96, 128, 160, 224, 299, 384)


def found(net, *args, code=0):
    return json.loads(expect(code, "refine", net, "--format=json", *args).stdout)


def apply(text, edits):
    for e in reversed(edits):
        assert text[e["lo"]:e["hi"]] == e["old"].encode(), e
        text = text[:e["lo"]] + e["new"].encode() + text[e["hi"]:]
    return text


def summary(file):
    return json.loads(expect(0, "summary", file, "--format=json").stdout)


# The paper's own edits (Richter & Pal 2022, section 5), and one moved pooling for VGG19.
FIRST = [("efficientnet_b0", 171, 1), ("mobilenet_v3_small", 175, 1), ("mobilenet_v3_large", 199, 1),
         ("mnasnet0_5", 219, 1), ("mnasnet0_75", 219, 1), ("mnasnet1_0", 219, 1), ("mnasnet1_3", 219, 1),
         ("vgg19", 220, 4), ("convnext_tiny", 128, 1), ("mobilenet_v1", 223, 3), ("nasnet_mobile", 165, 3)]


def test_first_choices():
    for net, n, edits in FIRST:
        got = found(net)
        best = got["candidates"][0]
        assert best["n"] == [n, n] and best["applications"] == 1, (net, best)
        assert len(best["edits"]) == edits, (net, best["edits"])
        assert abs(best["params"] / got["base"]["params"] - 1) <= 0.02


def test_other_edits_of_the_paper_are_in_the_list():
    lists = {("convnext_tiny", "1"): [(112, "stride 4 -> 2 at s0.0")],
             ("mobilenet_v1", "1"): [(219, "stride 2 moved from s3.0 to s4.5")],
             ("nasnet_mobile", "1"): [(165, "stride 2 -> 1 and same padding at stem.0")],
             ("efficientnet_b0", "2"): [(203, None)],
             # poolings behind convolutions 4, 7, 10, 13 and 16
             ("vgg19", "4"): [(220, "pooling moved from s1.2 to behind s2.1")]}
    for (net, edits), wanted in lists.items():
        got = found(net, "--edits", edits)["candidates"]
        for n, text in wanted:
            assert any(c["n"][0] == n and (text is None or text in [r["text"] for r in c["rules"]])
                       for c in got), (net, n, text)


def test_the_one_line_diff():
    done = expect(0, "refine", "efficientnet_b0", "--diff")
    changed = [l for l in done.stdout.decode().splitlines()[2:] if l[0] in "+-"]
    assert changed == ["-  stage s4(stride=2) { mb(80,  k=3)           * rep(3) }",
                       "+  stage s4(stride=1) { mb(80,  k=3)           * rep(3) }"], changed
    assert b"n 299 -> 171, parameters unchanged, MACs +204.2 %" in done.stderr


def test_shorter_and_wider():
    expect(0, "refine", "efficientnet_b0", "--strategy=shorter-wider", "-o", "w.cnn")
    got = summary("w.cnn")
    assert got["n"] == [171, 171] and abs(got["params"] / 5288548 - 1) < 0.02
    text = open("w.cnn", encoding="utf-8").read()
    assert "stage s7" not in text and "mb(192" not in text and "stage s6(stride=2)" in text
    for net in ("mobilenet_v1", "mnasnet1_0", "vgg19"):
        best = found(net, "--strategy=shorter-wider")
        assert best["candidates"][0]["rules"][0]["rule"] == "shorten", net


FIT = ["resnet18", "resnet50", "vgg16", "mobilenet_v2", "convnext_tiny", "efficientnet_b0"]


def test_fit_for_small_pictures():
    applications = {"mobilenet_v2": 3, "efficientnet_b0": 4}
    for net in FIT:
        expect(0, "refine", net, "--strategy=fit", "--input=3x32x32", "-o", net + ".cnn")
        now, before = summary(net + ".cnn"), summary(net)
        assert max(now["n"]) < 32 and now["input"] == [3, 32, 32], net
        assert abs(now["params"] / before["params"] - 1) <= 0.02, net
        best = found(net, "--strategy=fit", "--input=3x32x32")["candidates"][0]
        assert best["applications"] == applications.get(net, best["applications"]), net
        expect(0, "check", net + ".cnn")
        expect(0, "fmt", "--check", net + ".cnn")
        if FULL or net in ("resnet18", "convnext_tiny"):
            assert b"agrees" in expect(0, "verify", net + ".cnn", "--init=1", timeout=600).stdout
            expect(0, "build", net + ".cnn", "--init=1", "--emit=so", "-o", "x.so", timeout=120)


def library():
    text = expect(0, "nets", "--format=json").stdout
    return [n if isinstance(n, str) else n["name"] for n in json.loads(text)["nets"]]


def refused(net):
    return run("check", net).returncode == 1


def test_every_refused_net_at_many_resolutions():
    """A productive result that is productive once more, or a stated bound."""
    nets = [n for n in library() if refused(n)] if FULL else ["mnasnet0_5", "nasnet_mobile", "vgg19",
                                                             "mobilenet_v3_small"]
    results = 0
    for net in nets:
        for size in SIZES if FULL else (32, 96, 299):
            at = ["--input=3x%dx%d" % (size, size)]
            done = run("refine", net, "--strategy=fit", "-o", "r.cnn", *at)
            where = "%s at %d" % (net, size)
            if done.returncode == 1:
                said = done.stderr.decode()
                assert re.search(r"would do as it is|smallest n that was found|error\[E04", said), (where, said)
                continue
            assert done.returncode == 0, (where, done.stderr)
            got = summary("r.cnn")
            assert max(got["n"]) < size and got["input"][1:] == [size, size], where
            again = expect(0, "refine", "r.cnn").stdout
            assert again == open("r.cnn", "rb").read(), where
            results += 1
    assert results >= (80 if FULL else 6), results


def test_untouched_text_is_untouched():
    """Edits apply to the source as it was, and nothing else changes: comments, blanks, line ends."""
    nets = [n for n in library() if refused(n)] if FULL else [n for n, _, _ in FIRST[:4]] + ["vgg19"]
    for net in nets:
        text = expect(0, "refine", net, "--input=3x640x640").stdout
        if run("check", "--input=3x640x640", net).returncode:
            continue
        noise = text.replace(b"res: int = 640", b"res: int = %d" % summary(net)["input"][1])
        noise = noise.replace(b"\n  stage", b"\n\n  # why not\n  stage") + b"# the end, without a line end"
        write("noise.cnn", noise)
        got = json.loads(expect(0, "refine", "noise.cnn:" + net, "--format=json").stdout)
        for k, c in enumerate(got["candidates"][:3], 1):
            out = expect(0, "refine", "noise.cnn:" + net, "--pick", str(k)).stdout
            assert out == apply(noise, c["edits"]), (net, k)
            outside = [noise[:c["edits"][0]["lo"]], noise[c["edits"][-1]["hi"]:]]
            assert out.startswith(outside[0]) and out.endswith(outside[1])


MINE = """# A user's own file.
import std.blocks

block down(c: int) = conv_bn_act(c, k=3, stride=2)   # shared

net base(res: int = 40, width: int = 16) {
  input image[3, res, res]
  stage a { down(width) }
  stage b(stride=2) { conv_bn_act(64, k=3, stride=stage.stride)  * 3 }
  stage c(stride=4) { (conv_bn_act(64, k=3, stride=2) -> conv_bn_act(64)) -> conv_bn_act(64, k=3, stride=2) * 1 }
  head logits = gap -> flatten -> dense(10)
}

# Two of them.
net small = base(width=8)   # kept
net large = base(width=32)
"""


def test_a_file_of_ones_own():
    write("u.cnn", MINE)
    got = found("u.cnn:base", "--strategy=fit")
    assert got["candidates"], got
    expect(0, "refine", "u.cnn:base", "--strategy=fit", "--in-place")
    now = open("u.cnn", "rb").read()
    assert now == apply(MINE.encode(), got["candidates"][0]["edits"])
    expect(0, "check", "u.cnn:base")
    before = now
    expect(0, "refine", "u.cnn:base", "--in-place")
    assert open("u.cnn", "rb").read() == before


def test_an_alias_gets_a_net_of_its_own():
    write("u.cnn", MINE)
    expect(0, "refine", "u.cnn:small", "--strategy=fit", "-o", "v.cnn")
    now = open("v.cnn", encoding="utf-8").read()
    assert MINE[:MINE.index("net small")] == now[:MINE.index("net small")]
    assert "net small(res: int = 40, width: int = 8) {" in now and now.endswith("net large = base(width=32)\n")
    assert summary("v.cnn:small")["params"] == summary("u.cnn:small")["params"]
    expect(0, "check", "v.cnn:small")
    expect(1, "check", "v.cnn:base")


def test_parameters_and_inputs_are_written_down():
    expect(0, "refine", "mobilenet_v1", "-p", "width=0.5", "--input=3x96x96", "-o", "m.cnn")
    text = open("m.cnn", encoding="utf-8").read()
    assert "net mobilenet_v1(width: real = 0.5, classes: int = 1000, res: int = 96)" in text
    write("fixed.cnn", MINE.replace("res: int = 40, ", "").replace("res, res", "40, 40"))
    expect(0, "refine", "fixed.cnn:base", "--input=3x24x24", "--strategy=fit", "-o", "g.cnn")
    assert "input image[3, 24, 24]" in open("g.cnn", encoding="utf-8").read()


def test_bounds_and_orders():
    best = found("efficientnet_b0", "--max-macs=110%")["candidates"][0]
    assert best["macs"] <= 1.1 * found("efficientnet_b0")["base"]["macs"]
    assert best["rules"][0]["rule"] == "kernel"
    done = expect(1, "refine", "mobilenet_v1", "--max-macs=150%").stderr.decode()
    bound = re.search(r"--max-macs=(\d+) ", done)[1]
    assert found("mobilenet_v1", "--max-macs=" + bound)["candidates"][0]["macs"] == int(bound)
    expect(1, "refine", "mobilenet_v1", "--max-macs=%d" % (int(bound) - 1))
    listed = found("mnasnet1_0", "--order=min-cost", "--edits=2")["candidates"]
    assert [c["macs"] for c in listed] == sorted(c["macs"] for c in listed)
    kept = found("efficientnet_b0", "--keep", "s4", "--keep", "s3")["candidates"]
    assert kept[0]["n"] == [155, 155] and not any("s4" in r["text"] for c in kept for r in c["rules"])
    assert b"has no stage 's44'" in expect(2, "refine", "efficientnet_b0", "--keep", "s44").stderr
    for bad in ("0", "-3", "many", "5X", "nan", "1e300"):
        expect(2, "refine", "efficientnet_b0", "--max-macs=" + bad)


def test_picking_and_listing():
    table = expect(0, "refine", "mobilenet_v3_small", "--list").stdout.decode().splitlines()
    got = found("mobilenet_v3_small")["candidates"]
    assert len(table) == len(got) + 1 and table[0].split()[:2] == ["rank", "n"]
    for k in (1, 2, len(got)):
        expect(0, "refine", "mobilenet_v3_small", "--pick=%d" % k, "-o", "p.cnn")
        assert summary("p.cnn")["n"] == got[k - 1]["n"]
    expect(2, "refine", "mobilenet_v3_small", "--pick=%d" % (len(got) + 1))
    expect(2, "refine", "mobilenet_v3_small", "--in-place")
    assert expect(0, "refine", "mobilenet_v3_small", "--list").stdout == \
        expect(0, "refine", "mobilenet_v3_small", "--list", env={"OMP_NUM_THREADS": "1"}).stdout


def test_productive_nets_stay():
    done = expect(0, "refine", "resnet18")
    assert b"productive as it is" in done.stderr
    write("r.cnn", done.stdout)
    assert summary("r.cnn")["macs"] == summary("resnet18")["macs"]
    assert expect(0, "refine", "r.cnn", "--diff").stdout == b""


def test_commands_that_compile():
    assert b"agrees" in expect(0, "verify", "resnet18", "--refine=fit", "--input=3x32x32", "--init=1").stdout
    expect(1, "build", "mobilenet_v3_small", "--init=1", "--emit=so", "-o", "a.so", "--input=3x96x96")
    done = expect(0, "build", "mobilenet_v3_small", "--init=1", "--emit=so", "-o", "a.so",
                  "--input=3x96x96", "--refine=fit")
    assert b"refined for 96x96" in done.stderr and os.path.getsize("a.so") > 1 << 20
    expect(2, "build", "mobilenet_v3_small", "--refine=hard", "--init=1")


def test_a_section_refines_by_itself():
    section = "  refine { auto = true strategy = \"fit\" budget = params <= 1.02 and macs <= 100.0 }\n}\n\n# Two"
    write("u.cnn", MINE.replace("}\n\n# Two", section))
    expect(1, "check", "u.cnn:base")
    done = expect(0, "verify", "u.cnn:base", "--init=1")
    assert b"'base' refined for 40x40" in done.stderr
    write("u.cnn", MINE.replace("}\n\n# Two", section.replace("100.0", "1.0")))
    assert b"is within the bounds" in expect(1, "verify", "u.cnn:base", "--init=1").stderr
    write("u.cnn", MINE.replace("}\n\n# Two", section.replace("auto = true", "auto = false")))
    assert b"E0503" in expect(1, "verify", "u.cnn:base", "--init=1").stderr


def digests(name):
    """Of the tensors in a file, whatever they are called."""
    with open(name, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        head = json.loads(f.read(n))
        out = []
        for at, end in sorted(t["data_offsets"] for k, t in head.items() if k != "__metadata__"):
            f.seek(8 + n + at)
            out.append(zlib.crc32(f.read(end - at)))
    return sorted(out)


def test_weights_are_carried_over():
    """A moved pooling renames what is behind it; all values arrive, and the network answers alike
    where the rewriting changed no layer before the output looked at."""
    at = ["--input=3x64x64", "--strategy=fit"]
    expect(0, "build", "vgg11", "-A", "underutilized,unproductive,saturated", "--input=3x64x64",
           "--init=3", "--emit=weights", "-o", "old.safetensors")
    listed = found("vgg11", "--edits=2", *at)["candidates"]
    pick = next(k for k, c in enumerate(listed, 1) if c["rules"][0]["rule"] == "pool-later" or
                c["rules"][-1]["rule"] == "pool-later")
    done = expect(0, "refine", "vgg11", *at, "--edits=2", "--pick=%d" % pick, "--transfer",
                  "old.safetensors", "-o", "new.safetensors")
    assert b"22 of 22 parameters carried over" in done.stderr and not done.stdout, done
    assert digests("old.safetensors") == digests("new.safetensors")
    expect(0, "refine", "vgg11", *at, "--edits=2", "--pick=%d" % pick, "-o", "new.cnn")
    assert b"agrees" in expect(0, "verify", "new.cnn", "--weights=new.safetensors").stdout
    expect(0, "build", "efficientnet_b0", "-A", "underutilized,unproductive", "--init=3",
           "--emit=weights", "-o", "b0.safetensors")
    done = expect(0, "refine", "efficientnet_b0", "--strategy=shorter-wider", "--transfer",
                  "b0.safetensors", "-o", "b1.safetensors")
    rows = [l.split() for l in done.stdout.decode().splitlines()]
    assert b"172 of 235 parameters carried over" in done.stderr
    assert sum(r[0] == "new" for r in rows) == 63 and ["left", "s7.0.bn1.bias", "1152"] in rows
    expect(2, "refine", "efficientnet_b0", "--transfer", "b0.safetensors")
    expect(1, "refine", "mobilenet_v1", "--transfer", "b0.safetensors", "-o", "x")


def test_from_above():
    at = ["--input=3x800x800", "--from-above"]
    done = expect(0, "refine", "resnet18", *at, "-o", "same.cnn")
    assert b"the largest receptive field is 435" in done.stderr
    assert "stage s1(stride=1)" in open("same.cnn", encoding="utf-8").read()
    expect(0, "refine", "resnet18", *at, "--pick=1", "-o", "deep.cnn")
    assert min(summary("deep.cnn")["r_max"]) >= 800
    assert b"productive as it is" in expect(0, "refine", "resnet18", "--from-above").stderr


def test_errors_are_reported_as_ever():
    write("bad.cnn", "net n { stage }")
    assert b"bad.cnn:1" in expect(1, "refine", "bad.cnn").stderr
    expect(2, "refine", "no_such_net")
    expect(3, "refine", "missing.cnn")
    expect(3, "refine", "mobilenet_v3_small", "-o", "no/such/folder/x.cnn")


sys.exit(main(globals(), "refine"))
