"""The Pythons that the peers run in: an environment of our own under BUILD/peers, unless others are
named, and Debian's PyTorch where it is installed."""
import os
import subprocess
import sys

DEBIAN = "/usr/bin/python3"
HELP = """the network or the package index may not be there; with Pythons that have the packages:
  BENCH_PYTHON=/path/to/python    (onnxruntime, numpy)
  TORCH_PYTHONS=/a/python:/b/python  (torch, numpy; one of them onnx as well)"""


def has(python, *modules):
    code = "import " + ", ".join(modules)
    return subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL).returncode == 0


def version(python, module):
    done = subprocess.run([python, "-c", f"import {module}; print({module}.__version__)"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip()


def package_bytes(python, module):
    """What a package takes on disk, without what it depends on."""
    code = f"import {module}, os; print(os.path.dirname({module}.__file__))"
    folder = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            check=True).stdout.strip()
    return sum(os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(folder) for f in files
               if not os.path.islink(os.path.join(at, f)))


def installed(build, packages):
    """The Python of our environment, with these packages; they are asked for only when one is missing."""
    folder = os.path.join(build, "peers")
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    missing = [p for p in packages if not has(python, p)]
    if missing:
        print(f"installing {', '.join(missing)} under {folder}; PyTorch is some gigabytes", file=sys.stderr)
        done = subprocess.run([python, "-m", "pip", "install", "-q", *missing])
        if done.returncode != 0 or not all(has(python, p) for p in packages):
            sys.exit(f"cannot install {', '.join(missing)} with pip: {HELP}")
    return python


def find(build, torch_wanted):
    """(Python with ONNX Runtime, Pythons with PyTorch). Says what is missing and ends when it is."""
    ort, torch = os.environ.get("BENCH_PYTHON"), os.environ.get("TORCH_PYTHONS")
    if not (ort and torch):
        ours = installed(build, (["onnxruntime", "numpy"] if not ort else []) + (["torch", "numpy", "onnx"] if not torch else []))
    ort = ort or ours
    pythons = torch.split(":") if torch else [ours] + [DEBIAN] * has(DEBIAN, "torch", "numpy")
    if not has(ort, "onnxruntime", "numpy"):
        sys.exit(f"{ort} lacks onnxruntime or numpy: {HELP}")
    for python in pythons:
        if not has(python, "torch", "numpy"):
            sys.exit(f"{python} lacks torch or numpy: {HELP}")
    return ort, pythons if torch_wanted else pythons[:1]
