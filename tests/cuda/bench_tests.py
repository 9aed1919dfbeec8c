"""bench/cuda.py and its bundle, as far as they go without a GPU: a small network's libraries, linked with
the emulator's CUDA runtime, are run and timed by a clock that counts work; PyTorch has no part in it.
Environment: CNNC, BUILD, SRC."""
import json
import lzma
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SRC, BUILD = pathlib.Path(os.environ["SRC"]), pathlib.Path(os.environ["BUILD"])
CNNC = os.environ["CNNC"]
NET = """net n(classes: int = 1000, res: int = 8) {
  input image[3, res, res]
  stage s1(stride=2) { conv(8, k=3, stride=2) -> bn -> relu }
  head logits = gap -> flatten -> dense(classes)
  train {
    batch     = 2
    loss      = cross_entropy(logits)
    optimizer = sgd(lr=0.01)
  }
}
"""
LINTS = ["--allow=unproductive,underutilized,saturated", "-q"]


def command(*args, want=0, **env):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **env})
    assert done.returncode == want, (args, done.returncode, done.stderr[-800:])
    return done


def relink(bundle, about):
    """Libraries of the bundle with the emulator's runtime; the kernels it runs, as LLVM IR."""
    images = []
    with lzma.open(bundle / (about["nets"]["n"]["weights"] + ".xz")) as file:
        pathlib.Path("n.safetensors").write_bytes(file.read())
    for mode, build in about["nets"]["n"]["builds"]["fp32"].items():
        more = ["--set=opt=momentum", "--set=lr=1e-3", "--set=momentum=0.9", "--set=weight-decay=1e-4",
                "--set=smoothing=0", "--set=model-ema-decay=0"] if mode == "train" else []
        command(CNNC, "build", "n.cnn", *LINTS, f"--mode={mode}", "--weights=n.safetensors", "--target=cuda",
                "--weights-mode=external", "--emit=obj,llvm-ir", "--prefix=net", "--max-batch=2", *more,
                "-o", mode)
        images.append(os.path.abspath(mode + ".ll"))
        standin = BUILD / "tests" / "libcnnrt_cuda.so"
        command("cc", "-shared", "-o", "net.so", mode + ".o", BUILD / "tests" / "libcnnrt_cuda.a",
                BUILD / "lib" / "libcnntrain.a", BUILD / "lib" / "libcnnrt.a", standin, f"-Wl,-rpath,{standin.parent}", "-lm", "-lpthread")
        with lzma.open(bundle / (build["so"] + ".xz"), "wb") as file:
            file.write(pathlib.Path("net.so").read_bytes())
    return ":".join(images)


def bench(bundle, *args, want=0, **env):
    """cuda.py in a Python that has no PyTorch, whatever is installed."""
    pathlib.Path("bare").mkdir(exist_ok=True)
    pathlib.Path("bare/torch.py").write_text("raise ImportError('not for this test')\n")
    return command(sys.executable, "-B", bundle / "cuda.py", bundle, "--dtypes=fp32", *args, want=want,
                   PYTHONPATH=os.path.abspath("bare"), **env)


def test_all():
    pathlib.Path("n.cnn").write_text(NET)
    bundle = pathlib.Path("bundle").absolute()
    command(sys.executable, "-B", SRC / "bench" / "cuda_bundle.py", bundle, "--nets=n.cnn:n", "--max-batch=2",
            CNNC=CNNC, SRC=str(SRC), BUILD=str(BUILD))
    about = json.loads((bundle / "about.json").read_text())
    assert set(about["nets"]) == {"n"} and re.match(r"\w", about["commit"]), about
    # without a GPU: every part says why, and none has a number
    done = bench(bundle, "--rounds=1", want=1)
    assert "no device" in done.stdout or "no CUDA driver" in done.stdout, done.stdout
    assert not re.search(r"\d ms", done.stdout) and "Nothing was compared" in done.stdout, done.stdout

    images = relink(bundle, about)
    emulated = {"SIMT_CUDA_IMAGE": images, "SIMT_CUDA_CLOCK": "counted"}
    for left in (bundle / "work").glob("*.so"):
        left.unlink()
    done = bench(bundle, "--rounds=2", "--write=kept", **emulated)
    text = done.stdout
    assert text.count("| n | 2 | fp32 |") == 2 and "| n | 1 | fp32 |" in text, text
    assert "PyTorch was not measured: no PyTorch: not for this test" in text, text
    assert next(pathlib.Path("kept").glob("cuda-*.md")).read_text() == text
    parts = {p.stem: json.loads(p.read_text()) for p in (bundle / "work" / "parts").glob("*.json")}
    assert set(parts) == {"limits", "n.inference.2", "n.train.2", "n.inference.1"}, parts
    for name, part in parts.items():
        assert part["complete"] and part["failed"] == {}, part
        if name == "limits":
            continue
        peer = part["peers"]["cnnc fp32"]
        assert part["compared"] is False and "error" not in peer, part
        steps = sum(s["seconds"] for s in peer["steps"])
        assert len(set(peer["times"])) <= 2 and abs(min(peer["times"]) - steps) < 2e-8 * len(peer["steps"]), peer
    conv = next(s for s in parts["n.inference.2"]["peers"]["cnnc fp32"]["steps"] if s["family"] == "conv")
    assert conv["macs"] == 2 * 16 * 8 * 27 and conv["bytes"] == 2 * 4 * (64 * 4 + 16 * 8) + 4 * (9 * 4 * 8 + 8), conv

    # what is there is not measured again; what was not is
    (bundle / "work" / "parts" / "n.train.2.json").unlink()
    done = bench(bundle, "--rounds=2", "--resume", **emulated)
    assert "] n:train:2" in done.stderr and done.stderr.count("s left]") == 1, done.stderr
    done = bench(bundle, "--total=1", want=1)
    assert "not begun, no time left of 1 s" in done.stdout, done.stdout
    assert command(sys.executable, "-B", SRC / "bench" / "cuda.py", "kept", want=3).stderr.endswith(
        "no bundle here; make cuda-bundle\n")


def main():
    if not (BUILD / "tests" / "libcnnrt_cuda.so").exists() or not (BUILD / "lib" / "libcnnrt_cuda.a").exists():
        print("SKIP cuda.bench: the emulator, or the runtime for CUDA, was not built")
        return
    try:
        import numpy  # noqa: F401
    except ImportError:
        print("SKIP cuda.bench: Python has no NumPy")
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            test_all()
            print("PASS cuda.bench")
        except (AssertionError, OSError, subprocess.TimeoutExpired) as what:
            print(f"FAIL cuda.bench: {str(what)!r}")
        os.chdir("/")


main()
