"""bench: its forms. How fast anything is, is not tested here."""
import json
import os
import subprocess
import sys
import types

from harness import SRC, TINY, expect, main, write

sys.path.insert(0, os.path.join(SRC, "bench"))

TOP = {"schema", "net", "batch", "threads", "runs", "median_ms", "min_ms", "images_per_s", "gflops", "memory"}
LAYER = {"name", "kernel", "winograd", "us", "share", "macs", "bytes", "compute_us", "memory_us", "reached"}
WIDE = """net wide() {
  input image[64, 32, 32]
  stage s(stride=1) { conv(64, k=3) }
  head logits = gap -> flatten -> dense(10)
}
"""


def bench(*args):
    return json.loads(expect(0, "bench", *args, "--repeat=3", "--format=json").stdout)


def near(got, want):
    """Equal but for what printing rounds."""
    assert abs(got - want) < 1e-3 * abs(want) + 2e-2, (got, want)


def test_json():
    write("tiny.cnn", TINY)
    got = bench("tiny.cnn", "--batch=2", "--threads=1")
    assert set(got) == TOP and got["schema"] == 1 and got["net"] == "tiny"
    assert (got["batch"], got["threads"], got["runs"]) == (2, 1, 3)
    assert 0 < got["min_ms"] <= got["median_ms"]


def test_memory_is_that_of_the_batch():
    write("tiny.cnn", TINY)
    one, four = (bench("tiny.cnn", f"--batch={n}")["memory"] for n in (1, 4))
    assert one["weight_bytes"] == four["weight_bytes"] > 0
    assert 0 < one["live_bytes"] <= one["arena_bytes"]
    for key in ("arena_bytes", "live_bytes"):
        assert four[key] == 4 * one[key]


def test_layers():
    write("wide.cnn", WIDE)
    for threads in (1, 2):
        got = bench("wide.cnn", "--per-layer", f"--threads={threads}", "--allow=unproductive,underutilized")
        assert set(got) == TOP | {"limits", "layers"}
        limits = got["limits"]
        assert limits["gflops"] > 0 and limits["gbytes_per_s"] > 0 and limits["bytes"] >= 1 << 20
        layers = {x["name"]: x for x in got["layers"]}
        assert all(set(x) == LAYER for x in got["layers"]), got["layers"]
        assert abs(sum(x["share"] for x in got["layers"]) - 1) < 1e-3
        for x in got["layers"]:
            least = max(x["compute_us"], x["memory_us"])
            near(x["compute_us"], 2e-3 * x["macs"] / limits["gflops"])
            near(x["memory_us"], 1e-3 * x["bytes"] / limits["gbytes_per_s"])
            near(x["reached"] * x["us"], least)
        assert layers["logits.dense"]["macs"] == 64 * 10
        # the map's mean reads the map once, and writes 64 floats
        assert layers["logits.gap"]["bytes"] == 4 * (64 * 32 * 32 + 64)


def test_work_of_a_winograd_convolution():
    write("wide.cnn", WIDE)
    nominal = 32 * 32 * 9 * 64 * 64
    for flag, winograd in (([], True), (["--exact-conv"], False)):
        got = bench("wide.cnn", "--per-layer", "--allow=unproductive,underutilized", "--batch=2", "--untuned", *flag)
        conv = got["layers"][-3] if len(got["layers"]) > 2 else got["layers"][0]
        assert conv["kernel"] == "conv" and conv["winograd"] == winograd, got["layers"]
        assert conv["macs"] == 2 * (nominal // 4 if winograd else nominal)


def test_table():
    write("tiny.cnn", TINY)
    said = expect(0, "bench", "tiny.cnn", "--per-layer", "--repeat=3", "--threads=1").stdout.decode().splitlines()
    assert said[0].split() == ["step", "kernel", "us", "share", "GFLOP/s", "GB/s", "bound", "us", "by", "reached"]
    assert said[-2].startswith("limits, 1 thread: "), said[-2]
    assert said[-1].startswith("tiny, batch 1, 1 thread, 3 runs: median ")
    assert any(line.startswith("logits.dense ") for line in said)
    assert expect(0, "bench", "tiny.cnn", "--repeat=3").stdout.decode().count("\n") == 1


def test_training_steps():
    write("tiny.cnn", TINY)
    got = bench("tiny.cnn", "--train", "--batch=2", "--per-layer")
    layers = {(x["name"], x["kernel"]): x for x in got["layers"]}
    first = layers["s1.0.conv", "conv"], layers["s1.0.conv^dw", "conv_dw"]
    assert [x["macs"] for x in first] == [2 * 8 * 8 * 8 * 27] * 2, first
    assert all(x["bytes"] > 0 and x["reached"] > 0 for x in layers.values()), layers
    # the loss reads logits, in whole vectors, and targets of two images
    assert 2 * 4 * (10 + 10 + 1) <= layers["loss.0", "loss"]["bytes"] <= 2 * 4 * (16 + 10 + 1)
    said = expect(0, "bench", "tiny.cnn", "--train", "--batch=2", "--per-layer", "--repeat=3").stdout.decode()
    assert "s1.0.conv^dw" in said


def test_peers_say_what_is_missing():
    script = os.path.join(SRC, "bench", "peers.py")
    for name, lacks in (("BENCH_PYTHON", b"lacks onnxruntime"), ("TORCH_PYTHONS", b"lacks torch")):
        fake = write("fine", "#!/bin/sh\nexit 0\n"), write("bad", "#!/bin/sh\nexit 1\n")
        for f in fake:
            os.chmod(f, 0o755)
        env = {"BENCH_PYTHON": os.path.abspath("fine"), "TORCH_PYTHONS": os.path.abspath("fine"), "BUILD": "build"}
        env[name] = os.path.abspath("bad")
        done = subprocess.run([sys.executable, "-B", script], stderr=subprocess.PIPE, timeout=60,
                              env={**os.environ, **env})
        assert done.returncode == 1 and lacks in done.stderr and b"TORCH_PYTHONS=" in done.stderr, done.stderr
        assert not os.path.exists("build/peers")


def peers_row(ours, theirs, error):
    """A network of which one setting was measured."""
    def seen(seconds, error):
        return {"median": seconds, "min": seconds / 2, "error": error, "note": ""}

    limits = {"gflops": 100, "gbytes_per_s": 10, "moved": 5e6, "flop": 5e7}
    peers = {"cnnc": seen(ours, 1e-7)} | ({"onnxruntime": seen(theirs, error)} if theirs else {})
    return {"net": "some", "settings": {"1x1": {"peers": peers, "limits": limits}}, "start": {},
            "failed": {} if theirs else {"onnxruntime": "exit 9"}}


def test_report_of_peers():
    import peers_report
    bench = types.SimpleNamespace(cnnc=os.environ["CNNC"], peers=["cnnc", "onnxruntime"], settings=[(1, 1)],
                                  names={"cnnc": "cnnc", "onnxruntime": "ORT"}, ort=sys.executable,
                                  args=types.SimpleNamespace(rounds=3))
    peers_report.sizes = lambda bench: "none"
    text, good = peers_report.report(bench, [peers_row(1e-3, 2e-3, 1e-6), peers_row(1e-3, 8e-3, 1e-6)], 2e-4)
    assert good and "4.00 over ORT (2.00 to 8.00)" in text, text
    # 50 MFLOP and 5 MB in a millisecond
    assert "| some | 1.00 | 0.50 | 2.00 | 1.00 | 2.00 | 50 | 50% | 5.0 | 50% |" in text, text
    for row, why in ((peers_row(1e-3, 2e-3, 3e-4), "off by 3.0e-04"), (peers_row(1e-3, None, 0), "ORT failed: exit 9"),
                     (peers_row(1e-3, 2e-3, float("nan")), "off by nan")):
        text, good = peers_report.report(bench, [row], 2e-4)
        assert not good and why in text, text


sys.exit(main(globals()))
