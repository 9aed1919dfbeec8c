"""tune and what builds make of it: the cache, its damage, several at once."""
import glob
import os
import re
import subprocess
import sys

from harness import CNNC, TINY, expect, main, run, write

ONE = """net %s() {
  input x[8, 12, 12]
  head y = conv(%d, k=3) -> relu
}
"""
FIELDS = ["ocv", "px", "rb", "kc", "flat", "split", "ahead", "winograd", "us", "rule_us", "tried"]
MASK = (1 << 64) - 1


def checksum(text):
    """The file's own: the stream of a name under seed 1 (docs/random.md)."""
    h = 0xCBF29CE484222325
    for c in text.encode():
        h = (h ^ c) * 0x100000001B3 & MASK
    z = (h ^ 0xD1342543DE82EF95) + 0x9E3779B97F4A7C15 & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return "%016x" % (z ^ z >> 31)


def rows(path):
    """Fields by key, of a file whose every line is as it should be."""
    lines = open(path, encoding="utf-8").read().splitlines()
    assert lines[0] == "cnnc tiles 1", lines[0]
    out = {}
    for line in lines[1:]:
        total, rest = line.split(" ", 1)
        assert total == checksum(rest), line
        values = rest.split(" ", len(FIELDS))
        assert values[-1] not in out, "twice: " + values[-1]
        out[values[-1]] = dict(zip(FIELDS, map(float, values)))
    return out


def write_rows(path, found):
    text = ["cnnc tiles 1"]
    for key, row in found.items():
        rest = " ".join(["%d" % row[f] for f in FIELDS[:8]] +
                        ["%.3f" % row["us"], "%.3f" % row["rule_us"], "%d" % row["tried"], key])
        text.append(checksum(rest) + " " + rest)
    write(path, "\n".join(text) + "\n")


def cache():
    return {"XDG_CACHE_HOME": os.path.abspath("cache")}


def the_file():
    (path,) = glob.glob("cache/cnnc/tiles-*.txt")
    return path


def plan(net, *more):
    text = expect(0, "build", net, "--init=1", "-q", "--threads=1", "-dp", "--stop-after=plan", *more,
                  env=cache()).stderr.decode()
    return re.findall(r"^ *\d+  x\d+  (.*)$", text, re.M)


def test_builds_use_what_was_measured():
    write("tiny.cnn", TINY)
    rules = plan("tiny.cnn")
    assert rules and not any("(tuned)" in k for k in rules)
    done = expect(0, "tune", "tiny.cnn", "--threads=1", env=cache())
    table = done.stdout.decode().splitlines()
    assert re.match(r"kernel of +uses +rules us +best us +gain +tried +tile$", table[0]), table[0]
    count = len(table) - 2
    assert count >= 3 and re.match(r"%d kernels with a choice, %d measured now" % (count, count), table[-1])
    path = the_file()
    found = rows(path)
    assert len(found) == count
    for key, row in found.items():
        assert " threads=1 near " in key and row["tried"] >= 2 and 0 < row["us"] <= row["rule_us"], (key, row)

    # what was measured is not measured again, unless that is asked for
    before = os.stat(path).st_mtime_ns
    again = expect(0, "tune", "tiny.cnn", "--threads=1", env=cache()).stdout.decode()
    assert ", 0 measured now" in again and again.count("(before)") == count
    assert os.stat(path).st_mtime_ns == before

    # tiles that are not the rules': every convolution's blocks are one row, or tiles of channels
    for key, row in found.items():
        if " conv " in key:
            row.update(ocv=1, px=2, rb=2 if "k=1x1" in key else 1, kc=0, flat="k=1x1" in key, split=0,
                       ahead=0, winograd=0)
    write_rows(path, found)
    tuned = plan("tiny.cnn")
    convs = [k for k in tuned if k.startswith("conv ")]
    assert convs and all(" tile=1x2 rb=" in k and k.endswith("(tuned)") for k in convs), convs
    assert plan("tiny.cnn", "--untuned") == rules
    assert plan("tiny.cnn", "--target-cpu=x86-64") == plan("tiny.cnn", "--target-cpu=x86-64", "--untuned")
    for extra in ([], ["--untuned"]):
        done = expect(0, "verify", "tiny.cnn", "--init=1", "--threads=1", "--tolerance=1e-5", "-v", *extra,
                      env=cache())
        said = re.search(rb"note: 'tiny': (\d+) of \d+ kernels have tiles that were measured", done.stderr)
        assert bool(said) == (extra == []), done.stderr
        assert not said or int(said[1]) == count
    for threads in ("2", "3"):
        other = expect(0, "build", "tiny.cnn", "--init=1", "-q", "--threads=" + threads, "-dp",
                       "--stop-after=plan", env=cache()).stderr.decode()
        assert "(tuned)" not in other, "another number of threads"
    # both programs give the same answers, and are not the same
    outputs = []
    for name, extra in (("tuned", []), ("rules", ["--untuned"])):
        expect(0, "build", "tiny.cnn", "--init=1", "--threads=1", "--emit=asm", "-o", name + ".s", *extra,
               env=cache())
        outputs.append(open(name + ".s", encoding="utf-8").read())
    assert outputs[0] != outputs[1]


def test_damage_is_survived():
    write("one.cnn", ONE % ("one", 16))
    expect(0, "tune", "one.cnn", "-A", "underutilized,unproductive", "--threads=1", env=cache())
    path = the_file()
    good = open(path, "rb").read()
    tiny = ["verify", "one.cnn", "-A", "underutilized,unproductive", "--init=1", "--threads=1"]
    for bad in (good[:-9], good.replace(b"conv", b"canv"), b"junk", b"", b"cnnc tiles 2\n", good + b"\0\n"):
        write(path, bad)
        done = expect(0, *tiny, env=cache())
        assert b"not used; 'cnnc tune' begins it anew" in done.stderr, (bad, done.stderr)
        assert path.encode() in done.stderr
    # tiles no code can be made for are passed over
    found = {}
    write(path, good)
    for key, row in rows(path).items():
        row.update(ocv=4, px=28, rb=70000, kc=-3, winograd=10 ** 6)
        found[key] = row
    write_rows(path, found)
    done = expect(0, *tiny, "-v", env=cache())
    assert b"agrees" in done.stdout and b"were measured" not in done.stderr
    write(path, b"junk")
    done = expect(0, "tune", "one.cnn", "-A", "underutilized,unproductive", "--threads=1", env=cache())
    assert b"begun anew" in done.stderr and len(rows(path)) == 1


def test_two_at_once():
    args = ["-A", "underutilized,unproductive", "--threads=1"]
    started = []
    for name, c in (("one", 16), ("two", 24), ("three", 16)):
        write(name + ".cnn", ONE % (name, c))
        started.append(subprocess.Popen([CNNC, "tune", name + ".cnn"] + args, env={**os.environ, **cache()},
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    for p in started:
        _, err = p.communicate(timeout=120)
        assert p.returncode == 0, err
    found = rows(the_file())
    assert sorted(re.search(r" out=B(\d+)x", k)[1] for k in found) == ["16", "24"], found
    left = sorted(os.path.basename(f) for f in glob.glob("cache/cnnc/*"))
    assert len(left) == 2 and left[1] == left[0] + ".lock", left


def test_no_place_for_it():
    write("one.cnn", ONE % ("one", 16))
    args = ["one.cnn", "-A", "underutilized,unproductive", "--threads=1"]
    done = run("tune", *args, env={"XDG_CACHE_HOME": "relative", "HOME": ""})
    assert done.returncode == 3 and b"set XDG_CACHE_HOME or HOME" in done.stderr
    expect(0, "verify", *args, "--init=1", env={"XDG_CACHE_HOME": "relative", "HOME": ""})
    write("file", "")
    here = os.path.abspath("file")
    done = run("tune", *args, env={"XDG_CACHE_HOME": here})
    assert done.returncode == 3 and b"Not a directory" in done.stderr and here.encode() in done.stderr
    expect(0, "verify", *args, "--init=1", env={"XDG_CACHE_HOME": here})
    done = run("tune", *args, "--target-cpu=aarch64", env=cache())
    assert done.returncode == 3 and b"cannot be measured on this machine" in done.stderr
    assert run("tune", *args, "--threads=0x").returncode == 2
    assert not os.path.exists("cache")


sys.exit(main(globals()))
