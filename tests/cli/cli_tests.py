"""Commands and their results: exit codes, streams, files."""
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

from harness import *


def test_usage_errors_exit_2():
    for args in ([], ["frobnicate"], ["check"], ["check", "--frob", "x"], ["run", "resnet18"],
                 ["summary", "resnet18", "--format=xml"], ["check", "resnet18", "--sweep=1:2:3"],
                 ["summary", "resnet18", "--sweep=9:1:1"], ["check", "--allow=nonsense", "resnet18"],
                 ["build", "resnet18", "--emit=jar"], ["check", "no_such_net"],
                 ["run", "resnet18", "--init=1", "--input", CAT, "--threads=-1"],
                 ["run", "resnet18", "--init=x", "--input", CAT]):
        done = expect(2, *args)
        assert done.stderr.strip() and not done.stdout, args


def test_help_and_version():
    assert b"commands:" in expect(0, "--help").stdout
    assert b"--sweep" in expect(0, "summary", "--help").stdout
    assert re.match(rb"cnnc \d+\.\d+\.\d+", expect(0, "--version").stdout)


def test_check_is_silent_when_clean():
    done = expect(0, "check", "resnet18")
    assert done.stdout == b"" and done.stderr == b""


def test_refusal_names_layer_path_and_repair():
    done = expect(1, "check", "mobilenet_v3_small")
    text = done.stderr.decode()
    assert done.stdout == b""
    for part in ("E0503", "r_min along the smallest path", "n = 303", "2 layers are unproductive",
                 "help:", "n = 175", "304x304"):
        assert part in text, "%r is not in:\n%s" % (part, text)


def test_allow_lets_a_network_through():
    expect(0, "check", "mobilenet_v3_small", "--allow=underutilized,unproductive")
    expect(0, "check", "mobilenet_v3_small", "-W", "underutilized,unproductive")
    expect(1, "check", "convnext_tiny", "-A", "underutilized,unproductive", "-D", "saturated")


def test_larger_input_repairs():
    expect(0, "check", "mobilenet_v3_small", "--input", "3x304x304")
    expect(1, "check", "mobilenet_v3_small", "--input", "3x303x303")


def test_missing_and_odd_files_exit_3():
    os.makedirs("folder.cnn", exist_ok=True)
    expect(3, "check", "missing.cnn")
    expect(3, "check", "folder.cnn")
    os.mkfifo("pipe.cnn")
    expect(3, "check", "pipe.cnn", timeout=10)
    write("tiny.cnn", TINY)
    expect(3, "run", "tiny.cnn", "--init=1", "--input", "missing.npy")
    expect(3, "run", "tiny.cnn", "--weights", "missing.safetensors", "--input", "x.npy")


def test_summary_json_has_the_documented_keys():
    doc = json.loads(expect(0, "summary", "resnet18", "--format=json").stdout)
    assert doc["schema"] == 1 and doc["net"] == "resnet18" and doc["input"] == [3, 224, 224]
    assert doc["n"] == [139, 139] and doc["params"] == 11689512
    assert doc["flops"] == 2 * doc["macs"]
    for key in ("name", "op", "out", "kernel", "stride", "dilation", "groups", "r_in_min", "r_min",
                "r_max", "global", "verdict", "params", "macs", "source"):
        assert key in doc["layers"][0], key
    assert sum(layer["macs"] for layer in doc["layers"]) == doc["macs"]


def test_summary_formats_and_sweep():
    rows = expect(0, "summary", "resnet18", "--format=csv").stdout.decode().splitlines()
    assert len({line.count(",") for line in rows}) == 1 and len(rows) > 20
    assert b"feasible interval" in expect(0, "summary", "resnet18").stdout
    doc = json.loads(expect(0, "summary", "resnet18", "--format=json",
                            "--sweep=96:160:32").stdout)
    assert [r["resolution"] for r in doc["sweep"]] == [96, 128, 160]
    assert [r["underutilized"] for r in doc["sweep"]] == [2, 1, 0]


def test_summary_of_a_refused_net_exits_0():
    doc = json.loads(expect(0, "summary", "mobilenet_v1", "--format=json").stdout)
    assert doc["verdicts"]["unproductive"] == 3


def test_interrupted_build_leaves_nothing():
    os.mkdir("interrupted")
    env = dict(os.environ, TMPDIR=os.path.abspath("interrupted"))
    for wanted in (1, 2):  # the folder, the files inside it
        child = subprocess.Popen([CNNC, "build", "resnet50", "--init=1", "-q", "-o", "interrupted/v"],
                                 env=env, stderr=subprocess.DEVNULL)
        while child.poll() is None and sum(len(f) + len(d) for _, d, f in
                                           os.walk("interrupted")) < wanted:
            time.sleep(0.001)
        child.send_signal(signal.SIGINT)
        child.wait()
        assert child.returncode == -signal.SIGINT, child.returncode
        assert os.listdir("interrupted") == [], os.listdir("interrupted")


def test_weights_written_are_the_weights_read():
    expect(0, "build", "mobilenet_v2", "--init=5", "--emit=weights", "-o", "w.safetensors")
    for source in ("--init=5", "--weights=w.safetensors"):
        expect(0, "run", "mobilenet_v2", source, "--input=fixture:1",
               "--output=" + source.strip("-").split("=")[0] + ".npy")
    assert open("init.npy", "rb").read() == open("weights.npy", "rb").read()


def test_no_escape_bytes_when_colour_is_off():
    write("bad.cnn", "net x { stage }")
    for env in ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, {"TERM": "dumb"}, {}):
        assert b"\x1b" not in expect(1, "check", "bad.cnn", env=env).stderr
    assert b"\x1b" in expect(1, "check", "bad.cnn", "--color=always").stderr


def test_message_formats():
    write("bad.cnn", "net x { stage }")
    got = json.loads(expect(1, "check", "bad.cnn", "--message-format=json").stderr)
    assert got and got[0]["code"].startswith("E01") and got[0]["line"] == 1
    assert re.match(rb"bad\.cnn:1:\d+: error\[E01", expect(
        1, "check", "bad.cnn", "--message-format=short").stderr)


def test_run_writes_npy_and_batches_agree():
    write("tiny.cnn", TINY)
    safetensors("w.safetensors", tiny_weights())
    npy("x1.npy", [1, 3, 16, 16])
    values = [((i * 37) % 101) / 50.0 - 1 for i in range(3 * 16 * 16)]
    npy("x2.npy", [2, 3, 16, 16], values * 2)
    for x, y in (("x1.npy", "y1.npy"), ("x2.npy", "y2.npy")):
        expect(0, "run", "tiny.cnn", "--weights", "w.safetensors", "--input", x, "--output", y)
    (s1, v1), (s2, v2) = read_npy("y1.npy"), read_npy("y2.npy")
    assert s1 == (1, 10) and s2 == (2, 10)
    assert v2[:10] == v1 and v2[10:] == v1


def test_misfitting_weights_are_refused_with_a_table():
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 16])
    base = ["run", "tiny.cnn", "--input", "x.npy", "--output", "y.npy", "--weights"]
    for kw, word in (({"drop": "s2.0.bn.bias"}, "missing"), ({"resize": "s2.0.bn.bias"}, "17")):
        safetensors("w.safetensors", tiny_weights(**kw))
        text = expect(1, *base, "w.safetensors").stderr.decode()
        assert "\n  s2.0.bn.bias" in text and word in text and "does not fit" in text
    extra = tiny_weights()
    extra["stranger"] = ([2], [1.0, 2.0])
    safetensors("w.safetensors", extra)
    assert b"stranger" in expect(1, *base, "w.safetensors").stderr
    assert not os.path.exists("y.npy")


def test_malformed_weights_exit_3():
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 16])
    good = safetensors("w.safetensors", tiny_weights())
    data = open(good, "rb").read()
    cases = {"empty": b"", "short": data[:100], "cut": data[:-1], "long": data + b"x",
             "header": struct.pack("<Q", 1 << 63) + b"{}", "json": struct.pack("<Q", 4) + b"{{{{",
             "pickle": b"\x80\x02}q\x00."}
    for name, bytes_ in cases.items():
        write("bad.safetensors", bytes_)
        done = expect(3, "run", "tiny.cnn", "--weights", "bad.safetensors", "--input", "x.npy")
        assert b"bad.safetensors" in done.stderr, name


def test_malformed_inputs():
    write("tiny.cnn", TINY)
    base = ["run", "tiny.cnn", "--init=1", "--input"]
    npy("wrong.npy", [1, 3, 16, 15])
    assert b"1x3x16x15" in expect(1, *base, "wrong.npy").stderr
    npy("long.npy", [1, 3, 16, 16], extra=b"1234")
    expect(3, *base, "long.npy")
    write("empty.npy", b"")
    expect(3, *base, "empty.npy")
    photo = open(CAT, "rb").read()
    write("cut.jpg", photo[:500])
    write("text.png", b"hello")
    for bad in ("cut.jpg", "text.png"):
        assert bad.encode() in expect(3, *base, bad).stderr


def test_run_on_a_photograph_lists_classes():
    write("tiny.cnn", TINY)
    write("names.txt", "".join("name%d\n" % i for i in range(10)))
    out = expect(0, "run", "tiny.cnn", "--init=1", "--input", CAT, "--top=3",
                 "--classes=names.txt").stdout.decode().splitlines()
    assert len(out) == 4 and re.search(r"name\d$", out[1])


def test_unwritable_outputs_leave_nothing():
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 16])
    base = ["run", "tiny.cnn", "--init=1", "--input", "x.npy", "--output"]
    expect(3, *base, "no/such/folder/y.npy")
    expect(3, *base, "/dev/full")
    expect(3, "build", "tiny.cnn", "-o", "no/such/folder/tiny")
    expect(3, "summary", "resnet18", "--output", "/dev/full")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CNNC, "summary", "resnet18"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 3 and done.stderr
    assert [f for f in os.listdir(".") if "." in f and len(f.rsplit(".", 1)[1]) == 6
            and f.endswith(("tiny", "y.npy"))] == []


def test_built_program_agrees_with_run():
    write("tiny.cnn", TINY)
    safetensors("w.safetensors", tiny_weights())
    npy("x.npy", [3, 3, 16, 16])
    expect(0, "run", "tiny.cnn", "--weights=w.safetensors", "--input=x.npy", "--output=y1.npy")
    expect(0, "build", "tiny.cnn", "--weights=w.safetensors", "-o", "tiny")
    subprocess.run(["./tiny", "--output", "y2.npy", "x.npy"], check=True, timeout=60)
    assert read_npy("y1.npy") == read_npy("y2.npy")
    done = subprocess.run(["./tiny", "y1.npy"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 3 and b"shape" in done.stderr
    assert subprocess.run(["./tiny"], stderr=subprocess.DEVNULL).returncode == 2


def test_builds_are_reproducible():
    write("tiny.cnn", TINY)
    os.makedirs("elsewhere", exist_ok=True)
    shutil.copy("tiny.cnn", "elsewhere")
    expect(0, "build", "tiny.cnn", "--init=3", "--emit=so,header,llvm-ir", "-o", "a")
    expect(0, "build", "tiny.cnn", "--init=3", "--emit=so,header,llvm-ir", "-o", "a",
           cwd="elsewhere")
    for suffix in (".so", ".h", ".ll"):
        same = open("a" + suffix, "rb").read() == open("elsewhere/a" + suffix, "rb").read()
        assert same, "a%s differs" % suffix


def test_seeds_differ_and_repeat():
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 16])
    out = []
    for seed in ("1", "1", "2"):
        expect(0, "run", "tiny.cnn", "--init", seed, "--input=x.npy", "--output=y.npy")
        out.append(read_npy("y.npy"))
    assert out[0] == out[1] and out[0] != out[2]


def test_verify_agrees_for_each_vector_width():
    write("tiny.cnn", TINY)
    for cpu in ("x86-64", "x86-64-v3"):
        expect(0, "verify", "tiny.cnn", "--batch=2", "--target-cpu", cpu)
    expect(0, "verify", "tiny.cnn", "--threads=3", "--batch=3")


sys.exit(main(globals()))
