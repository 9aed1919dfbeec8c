"""Tests of the library's networks; run.sh says how to start it. Standard library only."""

import collections
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

SRC = pathlib.Path(os.environ["SRC"]).resolve()
CNNC = str(pathlib.Path(os.environ["CNNC"]).resolve())
NETS = SRC / "tests" / "nets"
TOLERANCE = 2e-4  # of the largest output
ARENA = 1.1  # times the largest live set
# One network of every family is compiled and verified each time, all of them with CHECK_FULL=1, at
# the inputs of sizes.tsv.
VERIFIED = """resnet18 vgg11_bn mobilenet_v1 mobilenet_v2 mobilenet_v3_small mnasnet0_5 efficientnet_b0
convnext_tiny densenet121 squeezenet1_1 googlenet inception_v3 inception_resnet_v2 xception
nasnet_mobile resnet50_cifar mobilenet_v2_cifar nasnet_mobile_reduced""".split()
BATCHES = (1, 3)
ALLOW = "--allow=underutilized,unproductive,saturated"


class Failure(Exception):
    """A test found a difference; the text says which."""


class Skip(Exception):
    """A test cannot run here; the text says why."""


def table(name):
    """Rows of a .tsv file as dictionaries; the last comment line holds the column names."""
    columns, rows = None, []
    for line in (NETS / name).read_text().splitlines():
        if line.startswith("#"):
            columns = line[1:].strip().split("\t")
        elif line:
            fields = line.split("\t")
            if len(fields) != len(columns):
                raise SystemExit(f"{name}: {len(columns)} columns wanted: {line}")
            rows.append(dict(zip(columns, fields)))
    return rows


def cnnc(*args, want=0):
    """Runs the compiler and returns its standard output."""
    done = subprocess.run([CNNC, *args], capture_output=True, text=True, timeout=900)
    if done.returncode != want:
        said = done.stderr.strip().splitlines()[:6]
        raise Failure("\n".join([f"cnnc {' '.join(args)}: exit {done.returncode}, not {want}", *said]))
    return done.stdout


def equal(what, got, want):
    if got != want:
        raise Failure(f"{what} is {got}, not {want}")


def summary(net):
    return json.loads(cnnc("summary", net, "--format=json"))


def test_figures(row):
    """Published figures: parameters, multiply-accumulates, receptive fields, verdicts."""
    got = summary(row["net"])
    for key in ("params", "macs"):
        equal(key, got[key], int(row[key]))
    for key in ("n", "r_max"):
        equal(key, got[key], [int(row[key])] * 2)
    for key in ("unproductive", "underutilized", "saturated"):
        equal(key, got["verdicts"][key], int(row[key]))
    equal("flops", got["flops"], 2 * got["macs"])
    equal("sum of the layers' macs", sum(x["macs"] for x in got["layers"]), got["macs"])
    counted = collections.Counter(x["verdict"] for x in got["layers"])
    for key in ("unproductive", "underutilized", "saturated"):
        equal(f"layers called {key}", counted[key], int(row[key]))


def test_check(row):
    """`check` refuses exactly the networks with layers that lie outside the image."""
    equal("output of check", cnnc("check", row["net"], want=int(row["check"])), "")


def test_arena(row):
    """Activations lie in little more than what is alive at once."""
    for cpu in ("x86-64-v3", "x86-64-v4"):
        done = subprocess.run([CNNC, "build", row["net"], f"--target-cpu={cpu}", "--untuned", "--dump=p",
                               "--stop-after=plan", ALLOW], capture_output=True, text=True, timeout=900)
        found = re.search(r"^arena (\d+) floats an image \(largest live set (\d+)\)", done.stderr, re.M)
        if done.returncode != 0 or not found:
            raise Failure(f"exit {done.returncode}, no plan: {done.stderr[-300:]}")
        arena, live = map(int, found.groups())
        if not live <= arena <= ARENA * live:
            raise Failure(f"{cpu}: an arena of {arena} floats for {live} that are alive at once")


def test_verify(row):
    """Compiled code against the reference interpreter, at one input and number of images."""
    channels = summary(row["net"])["input"][0]
    cnnc("verify", row["net"], "--init=1", f"--input={channels}x{row['size']}",
         f"--batch={row['batch']}", "-q", ALLOW)


def verify_cases(every):
    """Each size with each batch; in a sample, with one of them in turn."""
    for row in table("sizes.tsv"):
        if not every and row["net"] not in VERIFIED:
            continue
        for i, size in enumerate(row["sizes"].split()):
            for batch in BATCHES if every else BATCHES[i % 2::2]:
                yield test_verify, {"net": row["net"], "size": size, "batch": batch}


def test_listed(row):
    """Every network of the library has its figures in nets.tsv, and inputs in sizes.tsv."""
    for name in ("nets.tsv", "sizes.tsv"):
        known = {r["net"] for r in table(name)}
        missing = [net for net in cnnc("nets", "--names").split() if net not in known]
        equal(f"what {name} lacks", missing, [])


DEEP = """net deep() {
  input x[3, 64, 64]
  stage s { conv(4, k=1) * 10000 }
  head h = gap -> flatten -> dense(2)
}
"""
DIAMONDS = """block diamond() {
  out = add(in -> conv(4, k=3), in -> conv(4, k=1))
}
net diamonds() {
  input x[3, 512, 512]
  stage s { conv(4, k=1) -> diamond * 40 }
  head h = gap -> flatten -> dense(2)
}
"""


def test_scale(_row):
    """Ten thousand layers, and 2^40 paths: a second each is far more than they need."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text, n, r_max in (("deep", DEEP, 1, 1), ("diamonds", DIAMONDS, 3, 81)):
            path = pathlib.Path(folder) / f"{name}.cnn"
            path.write_text(text)
            start = time.monotonic()
            s = json.loads(cnnc("summary", str(path), "--format=json"))
            cnnc("check", str(path))
            if time.monotonic() - start > 2:
                raise Failure(f"{name} took {time.monotonic() - start:.1f} s")
            equal(f"n of {name}", s["n"], [n, n])
            equal(f"r_max of {name}", s["r_max"], [r_max, r_max])


def test_paper(_row):
    """The published tables: every difference has its reason."""
    done = subprocess.run([sys.executable, "-B", str(SRC / "tests/tools/paper.py")],
                          env=dict(os.environ, CNNC=CNNC), capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure("\n".join(line for line in done.stdout.splitlines() if "no note" in line))


def our_layers(net):
    for x in summary(net)["layers"]:
        dense = x["op"] == "dense"
        if (dense and x["global"]) or x["op"] in ("gap", "adaptive_avgpool"):
            continue  # classifiers and poolings without a window are no part of the extractor
        kind = "pool" if x["op"].endswith("pool") else "weights"
        window = [x[k] if not dense else [1, 1] for k in ("kernel", "stride", "dilation")]
        yield layer_key(kind, window, x["out"], x)


def their_layers(net):
    def numbers(text):
        return [None] if text == "-" else [int(x) for x in text.split(",")]

    for x in table(f"layers/{net}.tsv"):
        kind = "pool" if x["op"] == "pool" else "weights"
        window = [numbers(x[k]) for k in ("kernel", "stride", "dilation")]
        fields = {k: numbers(x[k]) for k in ("r_in_min", "r_min", "r_max")}
        yield layer_key(kind, window, numbers(x["out"]), fields)


def layer_key(kind, window, out, x):
    def known(values):
        return None if values[0] is None else tuple(values)

    fields = [known(x[k]) for k in ("r_in_min", "r_min", "r_max")]
    return (kind, *map(tuple, window), tuple(out), *(fields if not x.get("global") else [None] * 3))


def test_layers(row):
    """Window, shape and receptive field of every layer; parallel branches in any order."""
    ours = collections.Counter(our_layers(row["net"]))
    theirs = collections.Counter(their_layers(row["net"]))
    differ = [f"  only ours:  {k} x {n}" for k, n in (ours - theirs).items()]
    differ += [f"  only theirs: {k} x {n}" for k, n in (theirs - ours).items()]
    if differ:
        raise Failure("\n".join(["layers differ", *differ[:8]]))


def read_npy(path):
    """Shape and values of a float32 array in C order."""
    data = pathlib.Path(path).read_bytes()
    if data[:6] != b"\x93NUMPY":
        raise Failure(f"{path} is no npy file")
    size, at = (struct.unpack("<H", data[8:10])[0], 10) if data[6] == 1 else \
        (struct.unpack("<I", data[8:12])[0], 12)
    header = data[at:at + size].decode("latin-1")
    if "'<f4'" not in header or "'fortran_order': False" not in header:
        raise Failure(f"{path}: {header.strip()}")
    shape = header.split("'shape': (")[1].split(")")[0]
    dims = [int(x) for x in shape.split(",") if x.strip()]
    count = (len(data) - at - size) // 4
    return dims, struct.unpack(f"<{count}f", data[at + size:])


def test_fixture(row):
    """The output for seeded weights and input agrees with PyTorch's."""
    dims, want = read_npy(NETS / "fixtures" / f"{row['net']}.npy")
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "y.npy")
        cnnc("run", row["net"], f"--weights=fixture:{row['seed']}",
             f"--input=fixture:{row['seed']}", "--batch", row["batch"], "--output", out, ALLOW)
        got_dims, got = read_npy(out)
    equal("number of values", len(got), len(want))
    equal("images", got_dims[0], dims[0])
    largest = max(map(abs, want))
    # A NaN compares false with everything, so the bound is asked for, not its violation.
    worst = max((abs(a - b) if abs(a - b) <= largest else largest for a, b in zip(got, want)))
    if not worst < TOLERANCE * largest:
        raise Failure(f"error {worst / largest:.2e} of the largest output, bound {TOLERANCE:.0e}")


def main(wanted):
    rows = table("nets.tsv")
    cases = [(test, row) for row in rows for test in (test_figures, test_check, test_arena)]
    cases += [(test_layers, row) for row in rows if row["layers"] == "yes"]
    cases += [(test_fixture, row) for row in table("fixtures.tsv")]
    cases += verify_cases(bool(os.environ.get("CHECK_FULL")))
    cases += [(test_listed, {"net": "all"}), (test_paper, {"net": "all"}),
              (test_scale, {"net": "all"})]
    cases = [(t, r) for t, r in cases if not wanted or r["net"] in wanted]
    failed = 0
    for test, row in cases:
        name = f"nets/{test.__name__[len('test_'):]}/{row['net']}"
        if "size" in row:
            name += f"/{row['size']}/{row['batch']}"
        try:
            test(row)
            print(f"PASS {name}", flush=True)
        except Skip as skip:
            print(f"SKIP {name}: {skip}", flush=True)
        except (Failure, subprocess.TimeoutExpired, ValueError, KeyError, OSError) as bad:
            failed += 1
            why = "; ".join(str(bad).splitlines()) or type(bad).__name__
            print(f"FAIL {name}: {why}", flush=True)
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
