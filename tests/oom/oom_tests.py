"""Memory that runs out: the k-th allocation of a command fails, for every k (or a sample of them).

Expected: the command says so and exits 4, or it did without and gives its usual answer. Never a
signal, never an internal error, nothing left in the folder. OOM_FULL=1 tries every k, both with one
failure and with all allocations after it failing; `make test-oom` sets it.
"""
import os
import pathlib
import random
import subprocess
import sys
import tempfile

SRC = pathlib.Path(os.environ["SRC"]).resolve()
CNNC = os.environ["CNNC"]
SHIM = os.environ["SHIM"]
FULL = bool(os.environ.get("OOM_FULL"))
SAMPLE = 12  # of the k of a command


def run(command, folder, **env):
    env = dict(os.environ, LD_PRELOAD=SHIM, **env)
    env.pop("FAIL_ALLOC_ALL", None) if "FAIL_ALLOC_ALL" not in env else None
    return subprocess.run([CNNC, *command], cwd=folder, env=env, capture_output=True, timeout=60)


def commands():
    for path in sorted(SRC.glob("tests/lang/**/*.cnn")):
        yield ["check", "-q", str(path)]
    for net in ("resnet18", "mobilenet_v3_small", "nasnet_mobile"):
        yield ["check", net]
        yield ["summary", net, "--format=json"]
    for form in ("table", "json"):
        yield ["summary", "convnext_tiny", "--train", "--set=lr=0.1", "--format=" + form]
    graph = SRC / "tests" / "pass" / "branches.graph"
    yield ["print-graph", "efficientnet_b0"]
    yield ["nets", "--match=squeezenet*"]
    yield ["graph", "nasnet_mobile"]
    yield ["graph", "densenet121", "--format=dot"]
    yield ["graph", "resnet18", "--compare=mobilenet_v2", "--format=html"]
    yield ["pass", "rf", str(graph)]
    yield ["pass", "fuse", str(graph)]
    yield ["fmt", "--check", str(SRC / "stdlib" / "resnet.cnn")]
    yield ["fmt", "--check", "--diff", str(SRC / "examples" / "small")]
    yield ["refine", "mnasnet0_5", "-q", "-o", "r.cnn"]
    yield ["build", "mobilenet_v2", "--init=1", "-q", "--emit=weights", "-o", "w.safetensors"]


def main():
    rng = random.Random(1)
    failed = tried = survived = 0
    bad = []
    with tempfile.TemporaryDirectory() as folder:
        count = os.path.join(folder, "count")
        for command in commands():
            usual = run(command, folder, FAIL_ALLOC_COUNT=count)
            with open(count) as f:
                n = int(f.read())
            os.unlink(count)
            ks = range(1, n + 1) if FULL and n < 20000 else sorted(
                rng.sample(range(1, n + 1), min(SAMPLE if not FULL else 2000, n)))
            for name in list(os.listdir(folder)):
                os.unlink(os.path.join(folder, name))
            for k in ks:
                for rest in ({}, {"FAIL_ALLOC_ALL": "1"})[:2 if FULL else 1 + k % 2]:
                    done = run(command, folder, FAIL_ALLOC=str(k), **rest)
                    tried += 1
                    same = done.returncode == usual.returncode and done.stdout == usual.stdout
                    left = os.listdir(folder)
                    if done.returncode == 4 and done.stderr:
                        failed += 1
                        ok = not left
                    else:
                        survived += same
                        ok = same
                    if not ok:
                        bad.append(f"{' '.join(command)}: allocation {k} of {n}{' and all after' if rest else ''}: "
                                   f"exit {done.returncode}, left {left}, said {done.stderr[:120]!r}")
                    for name in left:
                        os.unlink(os.path.join(folder, name))
    for line in bad[:10]:
        print(f"FAIL oom.{line}")
    if not bad:
        print(f"PASS oom.all ({tried} failures of memory: {failed} reported with exit 4, {survived} survived)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
