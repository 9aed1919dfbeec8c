"""Memory that runs out: the k-th allocation of a command fails, for every k (or a sample of them).

Expected: the command says so and exits 4, or it did without and gives its usual answer. Never a
signal, never an internal error, nothing left in the folder. OOM_FULL=1 tries every k, both with one
failure and with all allocations after it failing; `make test-oom` sets it.
"""
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

SRC = pathlib.Path(os.environ["SRC"]).resolve()
CNNC = os.environ["CNNC"]
SHIM = os.environ["SHIM"]
DATA = os.environ["DATA"]
FULL = bool(os.environ.get("OOM_FULL"))
SAMPLE = 12  # of the k of a command


def run(command, folder, **env):
    env = dict(os.environ, LD_PRELOAD=SHIM, **env)
    env.pop("FAIL_ALLOC_ALL", None) if "FAIL_ALLOC_ALL" not in env else None
    program = [] if command[0] == DATA else [CNNC]
    return subprocess.run([*program, *command], cwd=folder, env=env, capture_output=True, timeout=60)


def png(w, h):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    rows = b"".join(b"\0" + bytes(y * 31 + x * 7 & 255 for x in range(3 * w)) for y in range(h))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def data_sets(root):
    """One of each kind, of a few samples; their names for the program. Without tar: libarchive itself
    ends the process when memory runs out, see docs/hardening.md."""
    images = struct.pack(">IIII", 0x803, 4, 20, 18) + bytes(i & 255 for i in range(4 * 20 * 18))
    labels = struct.pack(">II", 0x801, 4) + bytes([3, 1, 4, 1])
    for split in ("train", "t10k"):
        packed = zlib.compressobj(wbits=31)
        (root / f"{split}-images-idx3-ubyte.gz").write_bytes(packed.compress(images) + packed.flush())
        (root / f"{split}-labels-idx1-ubyte").write_bytes(labels)
    (root / "c").mkdir()
    for i in range(1, 6):
        (root / "c" / f"data_batch_{i}.bin").write_bytes(bytes([i]) + bytes(3072))
    for kind in ("a", "b"):
        (root / "f" / kind).mkdir(parents=True)
        (root / "f" / kind / "1.png").write_bytes(png(21, 17))
    photo = next((SRC / "examples").glob("**/*.jpg"))
    (root / "f" / "b" / "2.jpg").write_bytes(photo.read_bytes())
    return [f"idx:{root}", f"cifar10:{root}/c", f"folder:{root}/f"]


def commands(root):
    for text in data_sets(root):
        yield [DATA, text]
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


def fail(command, usual, folder, k, n, rest):
    """One failure: whether it was reported with exit 4, and what was wrong with it, if anything."""
    done = run(command, folder, FAIL_ALLOC=str(k), **rest)
    left = os.listdir(folder)
    for name in left:
        os.unlink(os.path.join(folder, name))
    reported = done.returncode == 4 and bool(done.stderr)
    if not left if reported else (done.returncode, done.stdout) == (usual.returncode, usual.stdout):
        return reported, None
    return reported, (f"{' '.join(command)}: allocation {k} of {n}{' and all after' if rest else ''}: "
                      f"exit {done.returncode}, left {left}, said {done.stderr[:120]!r}")


def failures(n, rng):
    """(k, environment) of the runs of a command that allocates n times."""
    ks = range(1, n + 1) if FULL and n < 20000 else sorted(
        rng.sample(range(1, n + 1), min(SAMPLE if not FULL else 2000, n)))
    for k in ks:
        for rest in ({}, {"FAIL_ALLOC_ALL": "1"})[:2 if FULL else 1 + k % 2]:
            yield k, rest


def main():
    rng = random.Random(1)
    bad = []
    tried = failed = 0
    local = threading.local()
    with tempfile.TemporaryDirectory() as root, ThreadPoolExecutor(os.cpu_count()) as pool:
        scratch = pathlib.Path(root) / "scratch"
        (pathlib.Path(root) / "data").mkdir()
        scratch.mkdir()

        def attempt(command, usual, n, what):
            if not hasattr(local, "folder"):
                local.folder = tempfile.mkdtemp(dir=scratch)
            return fail(command, usual, local.folder, what[0], n, what[1])

        for command in commands(pathlib.Path(root) / "data"):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                usual = run(command, folder, FAIL_ALLOC_COUNT=root + "/count")
            n = int(pathlib.Path(root, "count").read_text())
            results = list(pool.map(lambda what: attempt(command, usual, n, what), failures(n, rng)))
            tried += len(results)
            failed += sum(reported for reported, _ in results)
            bad += [text for _, text in results if text]
            if FULL:
                print(f"{len(results):6} failures, {len(bad)} wrong so far: {' '.join(command)}",
                      file=sys.stderr, flush=True)
    for line in bad[:10]:
        print(f"FAIL oom.{line}")
    if not bad:
        print(f"PASS oom.all ({tried} failures of memory: {failed} reported with exit 4, {tried - failed} survived)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
