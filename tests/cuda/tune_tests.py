"""`cnnc tune --target=cuda` on the emulator's CUDA runtime, whose clock counts work: what is measured is
known beforehand. What builds make of it, and of files that are not as they should be. Environment: CNNC,
BUILD, SRC. Standard library only."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SRC, BUILD = pathlib.Path(os.environ["SRC"]), pathlib.Path(os.environ["BUILD"])
CNNC = os.environ["CNNC"]
STANDIN = BUILD / "tests" / "libcnnrt_cuda.so"
LINTS = ["--allow=unproductive,underutilized,saturated"]
NET = """net n(res: int = 12) {
  input image[4, res, res]
  stage s1(stride=1) { conv(16, k=3) -> relu }
  stage s2(stride=1) { conv(16, k=5, groups=16) -> conv(40, k=1) }
  head logits = gap -> flatten -> dense(10)
}
"""
BATCH = 2
EMULATED = {"CNNC_CUDA_LIBRARY": str(STANDIN), "SIMT_CUDA_CLOCK": "counted", "SIMT_CUDA_CHECK": "0"}


def cnnc(*args, want=0, **env):
    done = subprocess.run([CNNC, *args, *LINTS], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **EMULATED, "XDG_CACHE_HOME": os.path.abspath("cache"), **env})
    assert done.returncode == want, (args, done.returncode, done.stderr[-600:])
    return done


def tune(*more, **kw):
    return cnnc("tune", "n.cnn", "--target=cuda", f"--batch={BATCH}", *more, **kw)


def plan(*more, **kw):
    """The texts of kernels that build plans, and what it says beside them."""
    text = cnnc("build", "n.cnn", "--target=cuda", "--init=1", "-dp", "--stop-after=plan", *more, **kw).stderr
    return re.findall(r"^ *\d+  x\d+  (.*)$", text, re.M), text


def tiles():
    """(m, n, k, tm, tn) of the table of tiles."""
    text = (SRC / "src" / "family" / "cuda_tile.def").read_text()
    return [tuple(map(int, x.split(", "))) for x in re.findall(r"^TILE\((\d+(?:, \d+){4}), ", text, re.M)]


def counted_us(tile, positions, channels):
    """A microsecond, and a nanosecond for every thread."""
    m, n, _, tm, tn = tile
    blocks = -(-positions // m) * -(-channels // n)
    return 1 + 1e-3 * blocks * (m // tm) * (n // tn)


def the_file():
    (path,) = pathlib.Path("cache/cnnc").glob("tiles-*.txt")
    return path


def test_what_is_measured_is_built():
    pathlib.Path("n.cnn").write_text(NET)
    rules, _ = plan("--max-batch=2")
    table = tune("-q").stdout.splitlines()
    assert table[-1].startswith("3 kernels with a choice, 3 measured now"), table
    assert the_file().name.startswith("tiles-SIMT_emulator__9.0-"), the_file()
    tuned, _ = plan("--max-batch=2", "-q")
    changed = 0
    for before, after in zip(rules, tuned):
        out = re.search(r" out=C(\d+)x(\d+)x(\d+)", after)
        tile = re.search(r" tile=(\d+)x(\d+)x(\d+)/(\d+)x(\d+)", after)
        if not after.startswith("conv ") or not tile:
            continue
        channels, positions = int(out[1]), BATCH * int(out[2]) * int(out[3])
        mine, rule = (counted_us(tuple(map(int, x.groups())), positions, channels) for x in (
            tile, re.search(r" tile=(\d+)x(\d+)x(\d+)/(\d+)x(\d+)", before)))
        best = min(counted_us(t, positions, channels) for t in tiles())
        assert mine <= best * 1.0001 or mine == rule <= best / 0.98, (after, mine, rule, best)
        assert after.endswith("(tuned)"), after
        changed += mine < rule
    assert changed > 0, tuned
    assert not any("(tuned)" in k for k in plan("--max-batch=3")[0]), "another batch"
    assert plan("--max-batch=2", "--untuned")[0] == rules
    done = cnnc("verify", "n.cnn", "--target=cuda", "--init=1", f"--batch={BATCH}", "-v", SIMT_CUDA_CHECK="1")
    assert "agrees" in done.stdout and "3 of" in done.stderr and "were measured" in done.stderr, done

    # measured once; what was lost of it is measured again, and comes out the same
    assert ", 0 measured now" in tune("-q").stdout
    text = the_file().read_text()
    the_file().write_text("".join(text.splitlines(True)[:-1]))
    assert ", 1 measured now" in tune("-q").stdout
    assert sorted(the_file().read_text().splitlines()) == sorted(text.splitlines())
    tune("-q", "--again")
    assert sorted(the_file().read_text().splitlines()) == sorted(text.splitlines())


def unit_tiles(dtype, groups):
    """Of matrix units, as plans write them: (m, n, threads)."""
    found, width = {}, {"tf32": 4, "bf16": 2}[dtype]

    def rows(name, kind):
        text = (SRC / "src" / "family" / name).read_text()
        return [list(map(int, x.split(", "))) for x in re.findall(rf"^{kind}\((\d+(?:, \d+)+), [\d.]+\)$", text, re.M)]

    for m, n, line, tm, tn, stages in rows("cuda_mma.def", "MMA"):
        found[f"{m}x{n}x{line // width}/{tm}x{tn}{dtype}*{stages}"] = (m, n, m // tm * (n // tn) * 32)
    for m, n, line, tn, stages in rows("cuda_wgmma.def", "WGMMA") if groups else []:
        found[f"{m}x{n}x{line // width}/64x{tn}{dtype}*{stages}g"] = (m, n, m // 64 * (n // tn) * 128)
    return found


def check_units(dtype, cpu):
    how = (f"--dtype={dtype}", f"--target-cpu={cpu}")
    rules, _ = plan("--max-batch=2", *how)
    table = tune("-q", *how).stdout
    tuned, _ = plan("--max-batch=2", *how, "-q")
    assert len(rules) == len(tuned) and ", 4 measured now" in table, table
    changed = met = 0
    for before, after in zip(rules, tuned):
        kind = re.match(r"(conv|dense) .* out=.(\d+)x(\d+)x(\d+)", after)
        if not kind:
            continue
        channels, height, width = map(int, kind.groups()[1:])
        known = unit_tiles(dtype, cpu == "sm_90a" and channels > 16)

        def takes(tile):
            m, n, threads = known[tile]
            return 1 + 1e-3 * -(-BATCH * height * width // m) * -(-channels // n) * threads

        mine, rule = (takes(re.search(r" tile=(\S+)", x)[1]) for x in (after, before))
        best = min(map(takes, known))
        assert mine <= best * 1.0001 or mine == rule <= best / 0.98, (after, mine, rule, best)
        assert after.endswith("(tuned)"), after
        changed += mine < rule
        met += 1
    assert changed > 0 and met == 3, tuned
    assert ", 0 measured now" in tune("-q", *how).stdout
    done = cnnc("verify", "n.cnn", "--target=cuda", "--init=1", f"--batch={BATCH}", "-v", *how, SIMT_CUDA_CHECK="1")
    assert "agrees" in done.stdout and "4 of" in done.stderr and "were measured" in done.stderr, done


def test_tiles_of_matrix_units():
    pathlib.Path("n.cnn").write_text(NET)
    for dtype, cpu in (("bf16", "sm_80"), ("tf32", "sm_80"), ("bf16", "sm_90a"), ("tf32", "sm_90a")):
        check_units(dtype, cpu)


def test_files_that_are_not_right():
    pathlib.Path("n.cnn").write_text(NET)
    tune("-q")
    good, path = the_file().read_text(), the_file()
    for bad in (good[:-9], good.replace(" conv ", " canv "), "junk", "cnnc tiles 1\n",
                good.replace("GPUs 2", "GPUs 1")):
        path.write_text(bad)
        kernels, said = plan("--max-batch=2")
        assert "not used; 'cnnc tune' begins it anew" in said and str(path) in said, (bad[:40], said)
        assert not any("(tuned)" in k for k in kernels)
    assert "begun anew" in tune().stderr and sorted(path.read_text()) == sorted(good)
    # measured elsewhere, carried here
    path.rename("carried.txt")
    none = {"SIMT_CUDA_FAIL": "no-device"}
    assert not any("(tuned)" in k for k in plan("--max-batch=2", **none)[0])
    assert any("(tuned)" in k for k in plan("--max-batch=2", CNNC_TILES=os.path.abspath("carried.txt"), **none)[0])
    missing = plan("--max-batch=2", CNNC_TILES="/nonexistent/tiles.txt", **none)
    assert not any("(tuned)" in k for k in missing[0]) and "No such file" in missing[1], missing


def test_without_a_gpu():
    pathlib.Path("n.cnn").write_text(NET)
    for env, text in (({"SIMT_CUDA_FAIL": "no-device"}, "no device"), ({"SIMT_CUDA_FAIL": "no-driver"}, "no CUDA driver"),
                      ({"CNNC_CUDA_LIBRARY": "/nonexistent"}, "/nonexistent is not there")):
        done = tune(want=3, **env)
        assert text in done.stderr and done.stdout == "", done
    assert not pathlib.Path("cache").exists()
    tune("--batch=0", want=2)


def main():
    failed = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_"):
            continue
        if not STANDIN.exists():
            print(f"SKIP cuda.tune.{name[5:]}: the emulator was not built")
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                test()
                print(f"PASS cuda.tune.{name[5:]}", flush=True)
            except (AssertionError, OSError, ValueError, subprocess.TimeoutExpired) as what:
                print(f"FAIL cuda.tune.{name[5:]}: {str(what)!r}", flush=True)
                failed += 1
            os.chdir("/")
    return failed > 0


sys.exit(main())
