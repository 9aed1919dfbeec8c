"""What the command line tests share: running cnnc, making files, and the runner. Each function named
test_* of a module is one test, run in a folder of its own; a failed assertion is a failure."""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback

CNNC = os.environ["CNNC"]
SRC = os.environ["SRC"]
CAT = os.path.join(SRC, "examples", "photo", "cat.jpg")

TINY = """import std.blocks
net tiny(res: int = 16) {
  input image[3, res, res]
  stage s1(stride=2) { conv_bn_act(8, stride=2) }
  stage s2(stride=1) { conv_bn_act(16) }
  head logits = gap -> flatten -> dense(10)
}
"""


def run(*args, **kw):
    env = {**os.environ, **kw.pop("env", {})}
    return subprocess.run([CNNC] + list(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=kw.pop("timeout", 120), env=env, **kw)


def expect(code, *args, **kw):
    done = run(*args, **kw)
    assert done.returncode == code, "exit %d, expected %d\n%s" % (
        done.returncode, code, done.stderr.decode("utf-8", "replace")[-600:])
    return done


def write(name, data):
    with open(name, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return name


def npy(name, dims, values=None, descr="<f4", extra=b""):
    count = 1
    for d in dims:
        count *= d
    shape = "(%s)" % "".join("%d, " % d for d in dims)
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)).encode()
    head += b" " * ((64 - (len(head) + 11) % 64) % 64) + b"\n"
    values = values or [((i * 37) % 101) / 50.0 - 1 for i in range(count)]
    return write(name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head +
                 struct.pack("<%df" % count, *values) + extra)


def read_npy(name):
    data = open(name, "rb").read()
    (n,) = struct.unpack("<H", data[8:10])
    shape = tuple(int(x) for x in re.findall(rb"\d+", data[10:10 + n].split(b"shape")[1]))
    body = data[10 + n:]
    return shape, struct.unpack("<%df" % (len(body) // 4), body)


def safetensors(name, tensors, header=None):
    at, entries, blob = 0, {}, b""
    for key, (dims, values) in tensors.items():
        data = struct.pack("<%df" % len(values), *values)
        entries[key] = {"dtype": "F32", "shape": dims, "data_offsets": [at, at + len(data)]}
        at += len(data)
        blob += data
    text = (header or json.dumps(entries)).encode()
    return write(name, struct.pack("<Q", len(text)) + text + blob)


def tiny_weights(drop=None, resize=None):
    shapes = {"s1.0.conv.weight": [8, 3, 3, 3], "s2.0.conv.weight": [16, 8, 3, 3],
              "logits.dense.weight": [10, 16], "logits.dense.bias": [10]}
    for stage, c in (("s1", 8), ("s2", 16)):
        for p in ("weight", "bias", "running_mean", "running_var"):
            shapes["%s.0.bn.%s" % (stage, p)] = [c]
    out = {}
    for name, dims in shapes.items():
        if name == drop:
            continue
        if name == resize:
            dims = [d + 1 for d in dims]
        n = 1
        for d in dims:
            n *= d
        out[name] = (dims, [0.5 + ((i * 13) % 17) / 40.0 for i in range(n)])
    return out


class Skip(Exception):
    """A test that cannot run here, and why."""


def main(tests, group="cli"):
    """Runs the test_* functions among a module's globals; for sys.exit."""
    failed = False
    for name, test in sorted(tests.items()):
        if not name.startswith("test_"):
            continue
        home = os.getcwd()
        folder = tempfile.mkdtemp(prefix="cnnc-%s-" % group)
        os.chdir(folder)
        start = time.time()
        try:
            test()
            print("PASS %s.%s" % (group, name[5:]))
        except Skip as e:
            print("SKIP %s.%s: %s" % (group, name[5:], e))
        except (AssertionError, OSError, ValueError, KeyError, IndexError, struct.error,
                subprocess.SubprocessError) as e:
            failed = True
            frames = [f for f in traceback.extract_tb(e.__traceback__) if f.filename.endswith("_tests.py")]
            where = frames[-1].lineno if frames else "?"
            print("FAIL %s.%s: line %s: %s" % (group, name[5:], where,
                                               " ".join(str(e).split())[:500]))
        finally:
            os.chdir(home)
            shutil.rmtree(folder, ignore_errors=True)
            if os.environ.get("TIMES"):
                print("%6.2f s %s" % (time.time() - start, name), file=sys.stderr)
        sys.stdout.flush()
    return 1 if failed else 0

