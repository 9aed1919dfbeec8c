"""ops, doctor, version, and what build writes: what cnnc says about itself and its results."""
import json
import os
import re
import sys

from harness import *


def test_every_operator_is_listed():
    rows = {}
    with open(os.path.join(SRC, "src", "ops", "ops.def"), encoding="utf-8") as f:
        for line in f:
            m = re.match(r'OP\(\w+, "(\w+)".*?, (OPF_[\w |]+|0), "(.*)"\)', line)
            if m and "OPF_INTERNAL" not in m[2]:
                rows[m[1]] = m[3]
    assert len(rows) > 30
    text = expect(0, "ops").stdout.decode()
    assert dict(re.match(r"(\w+) +(.*)", l).groups() for l in text.splitlines()) == rows
    got = json.loads(expect(0, "ops", "--format=json").stdout)
    assert got["schema"] == 1 and {o["name"]: o["doc"] for o in got["ops"]} == rows


def test_one_operator():
    text = expect(0, "ops", "conv").stdout.decode()
    assert text.startswith("conv(c, k, stride = 1, dilation = 1, pad = same, groups = 1, bias = true)\n")
    assert "has parameters" in text and re.search(r"k +size +required", text)
    (conv,) = json.loads(expect(0, "ops", "conv", "--format=json").stdout)["ops"]
    assert conv["attributes"][0] == {"name": "c", "type": "int", "default": None}
    assert conv["attributes"][2] == {"name": "stride", "type": "size", "default": "1"}
    assert b"did you mean 'conv'" in expect(2, "ops", "comv").stderr
    assert b"--format takes table or json" in expect(2, "ops", "--format=csv").stderr


def test_doctor_finds_what_is_there_and_what_is_not():
    text = expect(0, "doctor").stdout.decode()
    for word in ("code generator     LLVM 19", "processor", "linking", "standard library"):
        assert "ok    " + word in text, text
    got = json.loads(expect(0, "doctor", "--format=json").stdout)
    assert {f["state"] for f in got["findings"]} <= {"ok", "none"}
    done = expect(3, "doctor", "--format=json", env={"CC": "/nonexistent/cc"})
    assert [f["what"] for f in json.loads(done.stdout)["findings"] if f["state"] == "fail"] == ["linking"]
    assert "FAIL  temporary files" in expect(3, "doctor", env={"TMPDIR": "/nonexistent"}).stdout.decode()


def test_version():
    text = expect(0, "--version").stdout
    assert expect(0, "version").stdout == text
    got = json.loads(expect(0, "version", "--format=json").stdout)
    assert text.decode() == "cnnc %s (LLVM %s)\n" % (got["cnnc"], got["llvm"]) and got["abi"] >= 3


def test_what_build_writes_is_named_after_o():
    write("tiny.cnn", TINY)
    expect(0, "build", "tiny.cnn", "--init=1", "--emit=so,header,manifest", "-o", "sub.d")
    assert sorted(os.listdir(".")) == ["sub.d.h", "sub.d.json", "sub.d.so", "tiny.cnn"]
    os.mkdir("x")
    expect(0, "build", "tiny.cnn", "--init=1", "--emit=so", "--weights-mode=external", "-o", "x/net.so")
    assert sorted(os.listdir("x")) == ["net.packed", "net.so"]
    expect(0, "build", "tiny.cnn", "--init=1", "--emit=packed", "-o", "y")
    assert open("y", "rb").read() == open("x/net.packed", "rb").read()
    expect(2, "build", "tiny.cnn", "--weights-mode=inside")
    expect(3, "build", "tiny.cnn", "--emit=manifest", "-o", "nowhere/m.json")


def test_exact_convolutions():
    """Winograd on and off: both agree with the reference, and off means off."""
    for net in ("resnet18", "inception_v3"):
        plans = {}
        for option in ([], ["--exact-conv"]):
            at = [net, "--init=1", "--input=3x112x112", "--target-cpu=x86-64-v3", "-A",
                  "underutilized,unproductive,saturated"] + option
            plans[len(option)] = expect(0, "build", *at, "--stop-after=plan", "-dp").stderr.decode()
            if net == "resnet18":
                done = expect(0, "verify", net, "--init=1", "-A", "underutilized", *option)
                assert b"agrees" in done.stdout
        assert "winograd=" in plans[0] and "winograd=" not in plans[1], net


def test_initial_values_are_those_documented():
    """docs/random.md in Python, compared with what --init makes."""
    import math
    import struct
    write("tiny.cnn", TINY)
    expect(0, "build", "tiny.cnn", "--init=7", "--emit=weights", "-o", "w.safetensors")
    data = open("w.safetensors", "rb").read()
    (n,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8:8 + n])
    del head["__metadata__"]
    mask = (1 << 64) - 1

    def mix(key, counter):
        z = (key + (counter + 1) * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def stream(name, seed):
        h = 0xCBF29CE484222325
        for b in name.encode():
            h = ((h ^ b) * 0x100000001B3) & mask
        return mix(h ^ (seed * 0xD1342543DE82EF95 & mask), 0)

    checked = 0
    for name, t in head.items():
        at, end = t["data_offsets"]
        got = struct.unpack("<%df" % ((end - at) // 4), data[8 + n + at:8 + n + end])
        if len(t["shape"]) != 4:
            continue
        std = math.sqrt(2 / (t["shape"][0] * t["shape"][2] * t["shape"][3]))
        key = stream(name, 7)
        for i in (0, 1, 2, len(got) - 1):
            u = 1 - (mix(key, i // 2 * 2) >> 40) / 2**24
            v = (mix(key, i // 2 * 2 + 1) >> 40) / 2**24
            z = math.sqrt(-2 * math.log(u)) * (math.sin if i % 2 else math.cos)(2 * math.pi * v)
            assert abs(got[i] - std * z) < 1e-6, (name, i, got[i], std * z)
            checked += 1
    assert checked == 8


sys.exit(main(globals()))
