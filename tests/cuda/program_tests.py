"""Programs and libraries for GPUs, without one: what they say, what they fall back to; and cnnc's own
runs on the emulator's CUDA runtime. Environment: CNNC, BUILD, SRC. Standard library only."""
import csv
import ctypes
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

SRC = pathlib.Path(os.environ["SRC"])
CNNC = os.environ["CNNC"]
BUILD = pathlib.Path(os.environ["BUILD"])
STANDIN = BUILD / "tests" / "libcnnrt_cuda.so"
NET = str(SRC / "examples" / "small" / "small.cnn")
LINTS = ["--allow=unproductive,underutilized,saturated", "-q", "--init=1"]
# whatever this machine has, it is not to be seen
ALONE = {"CUDA_VISIBLE_DEVICES": ""}


class Skip(Exception):
    pass


def command(args, **env):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **env})


def cnnc(*args, **env):
    return command([CNNC, *args], **env)


def build(*args):
    if not (BUILD / "lib" / "libcnnrt_cuda.a").exists():
        raise Skip("cnnc was built without the CUDA toolkit")
    made = cnnc("build", NET, *LINTS, *args)
    if made.returncode and "libcudart_static.a" in made.stderr:
        raise Skip("no libcudart_static.a here")
    assert made.returncode == 0, made.stderr


def write_input():
    values = [((i * 37) % 101 - 50) / 50 for i in range(3 * 32 * 32)]
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 32, 32), }"
    head += " " * (117 - len(head)) + "\n"
    pathlib.Path("x.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head))
                                      + head.encode() + struct.pack(f"<{len(values)}f", *values))


def test_program_without_a_gpu():
    build("--target=cuda", "-o", "small")
    write_input()
    ran = command(["./small", "x.npy"], **ALONE)
    assert ran.returncode == 3 and ran.stdout == "", ran
    assert "no device that this model can run on: " in ran.stderr, ran.stderr
    usage = command(["./small", "--help"], **ALONE)
    assert usage.returncode == 0 and ".npy" in usage.stdout, usage


def test_program_that_falls_back():
    build("--target=cuda,cpu", "--target-cpu=native", "-o", "both")
    build("-o", "plain")
    write_input()
    both, plain = command(["./both", "x.npy"], **ALONE), command(["./plain", "x.npy"])
    assert both.returncode == 0 and both.stdout == plain.stdout and plain.stdout, both
    assert "not on CUDA: " in both.stderr and plain.stderr == "", both.stderr
    ran = command(["./both", "x.npy"], CNNC_CPU="sm_70", **ALONE)
    assert ran.returncode == 3 and "CNNC_CPU=sm_70" in ran.stderr, ran


def test_library_without_a_gpu():
    build("--target=cuda", "--emit=so,header,manifest", "--prefix=net", "-o", "net")
    manifest = json.loads(pathlib.Path("net.json").read_text())
    assert manifest["target"]["cpu"] == "sm_70" and len(manifest["launches"]) == manifest["steps"]
    header = pathlib.Path("net.h").read_text()
    assert "CNNRT_NO_DEVICE = 18" in header
    os.environ.update(ALONE)
    lib = ctypes.CDLL(os.path.abspath("net.so"))
    context = ctypes.c_void_p()
    status = lib.net_create(ctypes.byref(context), None, 0, None, ctypes.c_size_t(0))
    del os.environ["CUDA_VISIBLE_DEVICES"]
    assert status == 18 and not context, status


def test_two_builds_are_equal():
    for name in "ab":
        build("--target=cuda", "--emit=obj", "-o", name + ".o")
    assert pathlib.Path("a.o").read_bytes() == pathlib.Path("b.o").read_bytes()


def on_emulator(*args, dtype="fp32", **env):
    if not STANDIN.exists():
        raise Skip("the emulator was not built")
    return cnnc(*args, "--target=cuda", f"--dtype={dtype}", *LINTS,
                CNNC_CUDA_LIBRARY=str(STANDIN), **env)


def test_verify_on_the_emulator():
    done = on_emulator("verify", NET)
    assert done.returncode == 0 and "agrees" in done.stdout, done


# It has a convolution whose groups are too small for matrix units.
SMALL_GROUPS = """net grouped {
  input image[3, 12, 12]
  stage s1(stride=1) { conv(24, k=3) -> relu -> conv(24, k=3, groups=6) -> bn -> relu }
  stage s2(stride=2) { conv(32, k=3, stride=2) -> relu }
  head logits = gap -> flatten -> dense(5)
}
"""


def relative_error(done):
    row = done.stdout.splitlines()[1].split()
    return float(row[3]), row[4]


def test_verify_on_matrix_units():
    # operands are rounded by up to 2^-11 and 2^-8: the error is far above that of fp32 and below
    # the bound of verify
    for dtype, least, most in (("tf32", 1e-5, 2e-3), ("bf16", 1e-4, 2e-2)):
        done = on_emulator("verify", NET, "--batch=3", dtype=dtype)
        assert done.returncode == 0, done
        error, verdict = relative_error(done)
        assert least < error <= most and verdict == "agrees", done.stdout
        tight = on_emulator("verify", NET, "--tolerance=1e-6", dtype=dtype)
        assert tight.returncode == 1 and "DIFFERS" in tight.stdout, tight


def test_groups_beside_matrix_units():
    pathlib.Path("grouped.cnn").write_text(SMALL_GROUPS)
    done = on_emulator("verify", "grouped.cnn", dtype="tf32")
    assert done.returncode == 0, done
    made = cnnc("build", "grouped.cnn", "--target=cuda", "--dtype=tf32", "--emit=manifest,ptx,header",
                *[x for x in LINTS if x != "-q"], "-o", "grouped")
    assert "1 of 4 contractions are fp32" in made.stderr, made
    target = json.loads(pathlib.Path("grouped.json").read_text())["target"]
    assert (target["cpu"], target["dtype"]) == ("sm_80", "tf32"), target
    assert (target["contractions"], target["on_matrix_units"]) == (4, 3), target
    assert '#define grouped_DTYPE "tf32"' in pathlib.Path("grouped.h").read_text()


def test_old_gpu_beside_new():
    made = cnnc("build", NET, *LINTS, "--target=cuda", "--dtype=bf16", "--target-cpu=sm_70,sm_80",
                "--emit=manifest,ptx", "--prefix=two", "-o", "two")
    assert made.returncode == 0, made.stderr
    targets = [v["target"] for v in json.loads(pathlib.Path("two.json").read_text())["variants"]]
    assert [(t["cpu"], t["dtype"]) for t in targets] == [("sm_80", "bf16"), ("sm_70", "fp32")]


def test_maps_as_bf16():
    """In half the memory, and counted as what they are in what a mean over 64 x 16 x 16 moves."""
    size, moved = {}, {}
    for dtype in ("tf32", "bf16"):
        made = cnnc("build", NET, *LINTS, "--target=cuda", f"--dtype={dtype}",
                    "--emit=manifest,ptx,packed", "-o", dtype)
        assert made.returncode == 0, made.stderr
        made = json.loads(pathlib.Path(dtype + ".json").read_text())
        size[dtype] = (made["memory"]["bytes_per_image"], os.path.getsize(dtype + ".packed"))
        moved[dtype] = [x["bytes"] for x in made["launches"] if x["family"] == "gap"]
    maps, weights = (b / a for a, b in zip(size["tf32"], size["bf16"]))
    assert 0.45 < maps < 0.6 and 0.45 < weights < 0.6, size
    assert moved == {"tf32": [4 * (64 * 16 * 16 + 64)], "bf16": [2 * 64 * 16 * 16 + 4 * 64]}, moved


def test_old_gpu_is_told():
    done = on_emulator("verify", NET, dtype="tf32", SIMT_CUDA_CAPABILITY="7.5")
    assert done.returncode == 3, done
    assert "needs compute capability 8.0 or newer, and the device has 7.5" in done.stderr, done.stderr


WIDE = """net wide {
  input image[3, 96, 96]
  stage s1(stride=1) { conv(64, k=3) -> relu -> conv(128, k=3) -> relu }
  head logits = gap -> flatten -> dense(5)
}
"""


def test_little_shared_memory_is_told():
    pathlib.Path("wide.cnn").write_text(WIDE)
    made = cnnc("build", "wide.cnn", *LINTS, "--target=cuda", "--dtype=bf16", "--emit=manifest,ptx", "-o", "wide")
    assert made.returncode == 0, made.stderr
    most = max(x["shared"] for x in json.loads(pathlib.Path("wide.json").read_text())["launches"])
    assert 48 * 1024 < most <= 99 * 1024, most
    for command in ("bench", "verify"):
        done = on_emulator(command, "wide.cnn", dtype="bf16", SIMT_CUDA_SHARED=str(most - 1))
        assert done.returncode == 3, done
        assert f"needs {most} bytes of shared memory" in done.stderr, done.stderr


POINTS = """net points {
  input image[3, 64, 64]
  stage s1(stride=1) { conv(32, k=1) -> relu -> conv(64, k=1) -> relu }
  stage s2(stride=8) { maxpool(8) -> conv(40, k=3) -> relu -> conv(24, k=1) }
  head logits = gap -> flatten -> dense(5)
}
"""


def test_warp_groups_on_the_emulator():
    """Inputs by tensor maps, and more shared memory than kernels can declare."""
    pathlib.Path("points.cnn").write_text(POINTS)
    for dtype, tensors in (("bf16", 2), ("tf32", 0)):
        made = cnnc("build", "points.cnn", *LINTS, "--target=cuda", "--target-cpu=sm_90a", f"--dtype={dtype}",
                    "--emit=manifest,ptx", "-o", dtype)
        assert made.returncode == 0, made.stderr
        launches = json.loads(pathlib.Path(dtype + ".json").read_text())["launches"]
        assert sum("tensor" in x for x in launches) == tensors, launches
        assert max(x["shared"] for x in launches) > 48 * 1024, launches
        done = on_emulator("verify", "points.cnn", "--target-cpu=sm_90a", dtype=dtype)
        assert done.returncode == 0 and "agrees" in done.stdout, done
    done = on_emulator("verify", "points.cnn", "--target-cpu=sm_90a", dtype="bf16",
                       SIMT_CUDA_FAIL_CALL="cudaGetDriverEntryPointByVersion:1:500")
    assert done.returncode == 3 and "tensor maps" in done.stderr, done


def test_run_on_the_emulator():
    write_input()
    done = on_emulator("run", NET, "--input=x.npy", "-o", "cuda.npy")
    assert done.returncode == 0, done.stderr
    here = cnnc("run", NET, *LINTS, "--input=x.npy", "-o", "cpu.npy")
    assert here.returncode == 0, here.stderr
    a, b = (pathlib.Path(n).read_bytes() for n in ("cuda.npy", "cpu.npy"))
    assert len(a) == len(b) and a[:128] == b[:128]
    values = [struct.unpack(f"<{(len(x) - 128) // 4}f", x[128:]) for x in (a, b)]
    assert max(abs(x - y) for x, y in zip(*values)) <= 1e-5 * max(map(abs, values[1]))


def test_bench_on_the_emulator():
    """Times are the device's: a run takes what its steps do, by the clock that counts work."""
    done = on_emulator("bench", NET, "--per-layer", "--repeat=2", "--format=json",
                       SIMT_CUDA_CLOCK="counted", SIMT_CUDA_CHECK="0")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["limits"]["gflops"] > 0 and found["limits"]["gbytes_per_s"] > 0, found["limits"]
    layers = found["layers"]
    assert len(layers) > 8 and all(x["us"] > 1 and x["bytes"] > 0 for x in layers), layers
    assert abs(sum(x["us"] for x in layers) - 1e3 * found["median_ms"]) < 0.2, found
    plain = on_emulator("bench", NET, "--repeat=1", "--format=json", SIMT_CUDA_CLOCK="counted",
                        SIMT_CUDA_CHECK="0")
    assert plain.returncode == 0, plain.stderr
    assert abs(json.loads(plain.stdout)["median_ms"] - found["median_ms"]) < 2e-4, plain.stdout


GROUPED = """net n(classes: int = 10, res: int = 8) {
  input image[4, res, res]
  stage s1(stride=1) { conv(8, k=3, groups=2) -> conv(8, k=3, groups=8) }
  head logits = gap -> flatten -> dense(classes)
  train {
    batch     = 4
    loss      = cross_entropy(logits)
    optimizer = adamw(lr=0.01)
  }
}
"""


def test_bench_of_training_on_the_emulator():
    """What steps compute and move, as worked out by hand for a batch of four."""
    if not STANDIN.exists():
        raise Skip("the emulator was not built")
    pathlib.Path("n.cnn").write_text(GROUPED)
    done = cnnc("bench", "n.cnn", "--train", "--target=cuda", "--per-layer", "--repeat=1", LINTS[0],
                "--format=json", CNNC_CUDA_LIBRARY=str(STANDIN), SIMT_CUDA_CHECK="0")
    assert done.returncode == 0, done.stderr
    layers = json.loads(done.stdout)["layers"]
    found = {(x["name"], x["kernel"]): (x["macs"], x["bytes"]) for x in layers}
    narrow, wide, image = 4 * 64 * 4 * 4, 8 * 64 * 4 * 4, 4 * 4
    taps = 9 * 2 * 8 * 4
    assert found["s1.0.conv", "conv"] == (4 * 64 * 8 * 18, narrow + wide + taps + 32), found
    assert found["s1.1.conv", "depthwise"] == (4 * 64 * 8 * 9, 2 * wide + 9 * 8 * 4 + 32), found
    assert found["s1.0.conv^dw", "conv_dw"][0] == 4 * 64 * 8 * 18, found
    assert found["s1.1.conv^dw", "depthwise_dw"][0] == 4 * 64 * 8 * 9, found
    assert found["loss.0", "loss"] == (0, image * (12 + 10 + 1)), found
    floats = 9 * 2 * 8 + 9 * 8 + 10 * 8  # that decay; each on a line of its own
    moved = max(x["bytes"] for x in layers if x["kernel"] == "update")
    assert 7 * 4 * floats <= moved <= 7 * 4 * (floats + 3 * 16), (moved, floats)


TRAINED = """import std.blocks
net n(classes: int = 10, res: int = 8) {
  input image[1, res, res](mean=[0.3], std=[0.3])
  stage s1(stride=1) { conv_bn_act(4) }
  head logits = gap -> flatten -> dense(classes)
  train {
    epochs    = 2
    batch     = 4
    loss      = cross_entropy(logits)
    optimizer = adamw(lr=0.01)
    schedule  = cosine()
    augment   = hflip
  }
}
"""


def write_data():
    for split, n in (("train", 8), ("t10k", 4)):
        pixels = bytes((37 * i * i + 11 * i) % 251 for i in range(n * 64))
        pathlib.Path(f"{split}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 0x803, n, 8, 8) + pixels)
        pathlib.Path(f"{split}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, n) + bytes(i % 3 for i in range(n)))
    pathlib.Path("n.cnn").write_text(TRAINED)


def columns(folder):
    """Losses, accuracies and norms of gradients of a run's log."""
    rows = csv.DictReader(pathlib.Path(folder, "log.csv").open())
    return [float(r[c]) for r in rows for c in ("loss", "val_loss", "val_top1", "grad_norm")]


def test_training_on_the_emulator():
    """The same run as on the processor, which goes on from its checkpoint."""
    if not STANDIN.exists():
        raise Skip("the emulator was not built")
    write_data()
    lints, here = LINTS[:1], f"--data=idx:{os.getcwd()}"
    cuda = {"CNNC_CUDA_LIBRARY": str(STANDIN)}
    done = cnnc("train", "n.cnn", *lints, here, "-o", "cpu")
    assert done.returncode == 0, done.stderr
    done = cnnc("train", "n.cnn", *lints, here, "-o", "gpu", "--target=cuda", **cuda)
    assert done.returncode == 0, done.stderr
    ours, theirs = columns("gpu"), columns("cpu")
    assert len(ours) == 8 and all(abs(a - b) <= 1e-5 * abs(b) for a, b in zip(ours, theirs)), (
        ours, theirs)
    longer = cnnc("train", "n.cnn", *lints, here, "-o", "gpu", "--resume", "--set=epochs=3")
    assert longer.returncode == 0 and "resumed from" in longer.stderr, longer.stderr
    assert len(columns("gpu")) == 12


def trained_on_emulator(dtype, lints, here):
    how = ["--target=cuda", f"--dtype={dtype}"]
    for mode, path in (("inference", "net.ll"), ("train", "step.ll")):
        made = cnnc("build", "n.cnn", *lints, "-q", "--init=1", *how, f"--mode={mode}",
                    "--emit=llvm-ir", "--prefix=cnnc_model", "-o", path)
        assert made.returncode == 0, made.stderr
    done = cnnc("train", "n.cnn", *lints, here, "-o", dtype, *how,
                CNNC_CUDA_LIBRARY=str(STANDIN), SIMT_CUDA_IMAGE="net.ll:step.ll")
    assert done.returncode == 0, done
    return columns(dtype)


def test_training_on_matrix_units():
    """Near the run in single precision and not the same; checkpoints are fp32 and go on anywhere."""
    if not STANDIN.exists():
        raise Skip("the emulator was not built")
    write_data()
    lints, here = LINTS[:1], f"--data=idx:{os.getcwd()}"
    done = cnnc("train", "n.cnn", *lints, here, "-o", "cpu")
    assert done.returncode == 0, done.stderr
    plain = columns("cpu")
    for dtype, most in (("tf32", 2e-3), ("bf16", 2e-2)):
        ours = trained_on_emulator(dtype, lints, here)
        worst = max(abs(a - b) / abs(b) for a, b in zip(ours, plain) if b)
        assert len(ours) == len(plain) and 1e-6 < worst <= most, (dtype, worst, ours, plain)
    longer = cnnc("train", "n.cnn", *lints, here, "-o", "bf16", "--resume", "--set=epochs=3")
    assert longer.returncode == 0 and "resumed from" in longer.stderr, longer.stderr


DEEPER = TRAINED.replace("{ conv_bn_act(4) }", """{
    conv_bn_act(16) -> conv(16, k=3, groups=16) -> bn -> relu -> conv_bn_act(16) -> maxpool(3, stride=1, pad=1)
  }""").replace("epochs    = 2", "epochs    = 4")


def test_training_with_maps_as_bf16():
    """Maps and their gradients take half the memory; the losses stay within 5 % of those in fp32."""
    if not STANDIN.exists():
        raise Skip("the emulator was not built")
    write_data()
    pathlib.Path("n.cnn").write_text(DEEPER)
    lints, here = LINTS[:1], f"--data=idx:{os.getcwd()}"
    done = cnnc("train", "n.cnn", *lints, here, "-o", "cpu")
    assert done.returncode == 0, done.stderr
    ours, plain = trained_on_emulator("bf16", lints, here), columns("cpu")
    losses = [(a, b) for i, (a, b) in enumerate(zip(ours, plain)) if i % 4 < 2]
    assert len(losses) == 8 and ours != plain, (ours, plain)
    assert all(abs(a - b) <= 0.05 * b for a, b in losses), losses
    assert plain[-4] < 0.9 * plain[0], plain
    size = {}
    for dtype in ("tf32", "bf16"):
        made = cnnc("build", "n.cnn", *LINTS, "--target=cuda", f"--dtype={dtype}", "--mode=train",
                    "--emit=manifest,ptx", "-o", dtype)
        assert made.returncode == 0, made.stderr
        size[dtype] = json.loads(pathlib.Path(dtype + ".json").read_text())["training"]["bytes_per_image"]
    assert 0.45 < size["bf16"] / size["tf32"] < 0.6, size


def test_training_library_without_a_gpu():
    if not (BUILD / "lib" / "libcnnrt_cuda.a").exists():
        raise Skip("cnnc was built without the CUDA toolkit")
    write_data()
    made = cnnc("build", "n.cnn", LINTS[0], "-q", "--init=1", "--target=cuda", "--mode=train",
                "--emit=so", "-o", "n.so")
    if made.returncode and "libcudart_static.a" in made.stderr:
        raise Skip("no libcudart_static.a here")
    assert made.returncode == 0, made.stderr
    os.environ.update(ALONE)
    lib = ctypes.CDLL(os.path.abspath("n.so"))
    trainer = ctypes.c_void_p()
    status = lib.n_train_create(ctypes.byref(trainer), None, 0)
    del os.environ["CUDA_VISIBLE_DEVICES"]
    assert status == 18 and not trainer, status


def test_lacks_on_the_emulator():
    for env, code, text in (({"SIMT_CUDA_FAIL": "no-driver"}, 3, "no CUDA driver"),
                            ({"SIMT_CUDA_FAIL": "old-driver"}, 3, "newer driver"),
                            ({"SIMT_CUDA_MEMORY": "4096"}, 4, "are free"),
                            ({"CNNC_CUDA_LIBRARY": "/nonexistent"}, 3, "/nonexistent")):
        done = on_emulator("verify", NET, **env) if "CNNC_CUDA_LIBRARY" not in env else cnnc(
            "verify", NET, "--target=cuda", *LINTS, **env)
        assert done.returncode == code and text in done.stderr, (env, done)


def main():
    failed = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_"):
            continue
        back = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                test()
                print(f"PASS cuda.{name[5:]}", flush=True)
            except Skip as why:
                print(f"SKIP cuda.{name[5:]}: {why}", flush=True)
            except (AssertionError, OSError, subprocess.TimeoutExpired) as what:
                print(f"FAIL cuda.{name[5:]}: {what}", flush=True)
                failed += 1
            os.chdir(back)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
