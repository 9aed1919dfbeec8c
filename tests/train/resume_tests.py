"""A run that is interrupted anywhere and resumed ends with the same bits, whatever it is that ends it and
however many threads there are."""
import resource
import shutil

from training import *

SHIM = os.environ["SHIM"]
# Everything that has a state of its own: chance, running means, moments, schedules by epochs.
BUSY = ["--opt=adamw", "--lr=0.01", "--mixup=0.2", "--cutmix=0.5", "--aa=rand-m5-mstd0.5",
        "--reprob=0.2", "--model-ema-decay=0.9", "--clip-grad=1", "--epochs=4", "-q"]


# Saving takes longer than these tests need to see that it has been done, however busy the machine is;
# the sanitizers go with no preloaded library, and are slow enough without it.
SLOW = {} if "asan" in SHIM else {"LD_PRELOAD": SHIM, "HOSTILE_SLOW": "60"}


def resumed(args, folder, *more):
    expect(0, *args, "-o", folder, "--resume", *more)


def test_the_same_bits_with_any_threads():
    args = prepare() + BUSY
    expect(0, *args, "-o", "want", "--threads=1", "--workers=1")
    for threads in (1, 2, 3):
        for workers in (0, 1, 3):
            out = "run%d%d" % (threads, workers)
            expect(0, *args, "-o", out, "--threads=%d" % threads, "--workers=%d" % workers,
                   "--deterministic")
            same("want", out)
            same("want", out, "best.safetensors")


def test_ended_by_updates_at_any_place():
    args = prepare() + BUSY
    expect(0, *args, "-o", "want")
    rng = random.Random(7)
    for k in sorted({1, 9, 10, 39, *rng.sample(range(2, 39), 8 if FULL else 2)}):
        out = "run%d" % k
        threads = ["--threads=%d" % rng.randrange(1, 4), "--workers=%d" % rng.choice((0, 1, 3))]
        expect(0, *args, "-o", out, "--updates=%d" % k, *threads)
        assert checkpoint(out + "/last.safetensors")[0]["step"] == str(k)
        threads = ["--threads=%d" % rng.randrange(1, 4), "--workers=%d" % rng.choice((0, 1, 3))]
        resumed(args, out, *threads)
        a, b = checkpoint("want/last.safetensors"), checkpoint(out + "/last.safetensors")
        assert a[1] == b[1] and a[0]["step"] == b[0]["step"], k
        steps = [r["step"] for r in records(out)]
        assert steps == sorted(set(steps)) and steps[-1] == 40, (k, steps)


def test_signals():
    """SIGINT and SIGTERM at random times: saved, said, resumed to the same bits."""
    args = prepare() + BUSY + ["--epochs=25"]
    begin_ = time.time()
    expect(0, *args, "-o", "want")
    seconds = time.time() - begin_
    rng = random.Random(11)
    seen = 0
    for k in range(12 if FULL else 4):
        out, sig = "run%d" % k, (signal.SIGINT, signal.SIGTERM)[k % 2]
        threads = ["--threads=%d" % (k % 3 + 1), "--workers=%d" % (0, 1, 3)[k % 3]]
        parts = 0
        while parts < 8:
            code, err = stop(args + ["-o", out, "--resume"] + threads, out, sig,
                             rng.uniform(0, seconds / 3))
            parts += 1
            if code == 0:
                break
            # before the loop has begun a signal ends the process as any other
            assert code in (128 + sig, -sig), (code, err)
            if code > 0:
                assert "interrupted at update" in err and "--resume" in err, err
                assert os.path.exists(out + "/last.safetensors"), os.listdir(out)
                seen += 1
        resumed(args, out)
        same("want", out)
        same("want", out, "best.safetensors")
    assert seen >= 3, seen


def test_a_second_interrupt_is_obeyed_at_once():
    args = prepare(train=4000) + ["--epochs=1000", "--grad-accum-steps=250", "-q"]
    child = begin(args + ["-o", "run"])
    while child.poll() is None and not os.path.exists("run/log.jsonl"):
        time.sleep(0.01)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    time.sleep(0.05)
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
    code, err = ended(child)
    assert code == 130, (code, err)


def test_interrupted_validation():
    """It ends at once, and the resumed run makes it again before it counts the epoch."""
    args = prepare(train=48, times=500) + ["--epochs=3", "-q"]
    expect(0, *args, "-o", "want")
    for wait in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        shutil.rmtree("run", ignore_errors=True)
        code, err = stop(args + ["-o", "run"], "run", signal.SIGINT, wait)
        if code != 130:
            continue
        meta = checkpoint("run/last.safetensors")[0]
        if meta["batch"] == "3":
            break
    assert code == 130 and meta["batch"] == "3", (code, meta)
    seen = int(meta["epoch"])
    assert sum("val_loss" in r for r in records("run")) == seen, (meta, records("run"))
    resumed(args, "run")
    same("want", "run")
    same("want", "run", "best.safetensors")
    assert sum("val_loss" in r for r in records("run")) == 3


def test_accumulated_gradients_are_not_cut():
    args = prepare() + ["--grad-accum-steps=3", "--epochs=20", "-q"]
    expect(0, *args, "-o", "want")
    for k in range(3):
        code, err = stop(args + ["-o", "run%d" % k], "run%d" % k, signal.SIGINT, 0.03 * (k + 1))
        assert code in (0, 130, -2), (code, err)
        if code == 130:
            assert int(checkpoint("run%d/last.safetensors" % k)[0]["batch"]) % 3 == 0
        resumed(args, "run%d" % k)
        same("want", "run%d" % k)


def test_checkpoints_within_epochs():
    """An epoch longer than a life: killed in its middle, again and again, it goes on from the last
    multiple of --recovery-interval, to the same bits and the same records."""
    args = prepare(train=1600) + BUSY + ["--epochs=1", "--log-interval=20"]
    expect(0, *args, "-o", "want")
    assert not os.path.exists("want/last.safetensors.prev")  # the only one was that of the end
    args += ["--recovery-interval=7"]
    expect(0, *args, "-o", "plain")
    same("want", "plain")
    rng = random.Random(17)
    lives, seen = 0, 0
    while lives < (60 if FULL else 15):
        child = begin(args + ["-o", "run", "--resume"], env=SLOW)
        lives += 1
        while child.poll() is None and not (os.path.exists("run/last.safetensors") and
                                            int(place("run")[0]) > seen):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        child.kill()
        code = ended(child)[0]
        step, batch = place("run")
        if code == 0 or batch == 0:  # the epoch's end was reached
            break
        assert step % 7 == 0 and batch == step and step > seen, (step, batch, seen)
        seen = step
    assert lives > 3, lives
    resumed(args, "run")
    same("want", "run")
    same("want", "run", "best.safetensors")
    assert untimed("run") == untimed("plain"), (untimed("run"), untimed("plain"))
    # between updates that take several batches, and not where a parameter is no number
    more = ["--grad-accum-steps=3", "--updates=20"]
    expect(0, *args, "-o", "sums", *more)
    assert checkpoint("sums/last.safetensors.prev")[0]["batch"] == "42"
    expect(2, *args, "-o", "none", "--recovery-interval=0")


def place(folder):
    meta = checkpoint(folder + "/last.safetensors")[0]
    return int(meta["step"]), int(meta["batch"])


def untimed(folder):
    return [{k: v for k, v in r.items() if k in ("step", "epoch", "lr", "loss", "accuracy", "grad_norm", "val_loss",
                                                 "val_top1")} for r in records(folder)]


def test_killed_at_any_moment():
    """SIGKILL, at random times and inside of saving: what is there can be resumed, to the same bits."""
    args = prepare() + BUSY + ["--epochs=30"]
    expect(0, *args, "-o", "want")
    rng = random.Random(13)
    killed = 0
    for k in range(50 if FULL else 10):
        if k % 5 == 0:
            shutil.rmtree("run", ignore_errors=True)
        child = begin(args + ["-o", "run", "--resume"])
        if k:  # the first one at any time, the others ever later in the run
            wait_for("run", child, 60 * (k % 5) + rng.randrange(-30, 40))
        if k % 2:  # while a checkpoint is being written
            while child.poll() is None and not os.path.exists("run/last.safetensors.tmp"):
                pass
        else:
            time.sleep(rng.uniform(0, 0.05))
        killed += child.poll() is None
        child.kill()
        ended(child)
        if k % 5 == 4:
            resumed(args, "run")
            same("want", "run")
            same("want", "run", "best.safetensors")
            left = set(os.listdir("run")) - set(os.listdir("want"))
            assert left <= {"best.safetensors.tmp", "last.safetensors.old"}, left
            steps = [r["step"] for r in records("run")]
            assert steps == sorted(set(steps)) and steps[-1] == 300, steps
    assert killed >= (25 if FULL else 5), killed


def test_a_damaged_checkpoint_is_passed_over():
    args = prepare() + BUSY
    expect(0, *args, "-o", "want")
    expect(0, *args, "-o", "run", "--updates=25")
    with open("run/last.safetensors", "r+b") as f:
        f.seek(-5, 2)
        f.write(b"x")
    done = expect(0, *args, "-o", "run", "--resume")
    assert b"is damaged" in done.stderr, done.stderr
    same("want", "run")
    for name in os.listdir("run"):
        if "safetensors" in name:
            with open("run/" + name, "r+b") as f:
                f.truncate(1000)
    done = expect(3, *args, "-o", "run", "--resume")
    assert b"safetensors" in done.stderr, done.stderr


def test_nothing_to_resume():
    args = prepare()
    done = expect(0, *args, "-o", "run", "--resume")
    assert b"nothing to resume in run: the training begins" in done.stderr, done.stderr
    expect(0, *args, "-o", "want", "-q")
    same("want", "run")


def test_other_settings():
    """More epochs go on from the end; other settings are said; a smaller epoch does not confuse."""
    args = prepare()
    expect(0, *args, "-o", "run", "-q")
    done = expect(0, *args, "-o", "run", "--resume", "--epochs=5", "--lr=0.02")
    assert b"settings are not those" in done.stderr and b"resumed from" in done.stderr, done.stderr
    assert checkpoint("run/last.safetensors")[0]["epoch"] == "5"
    expect(0, *args, "-o", "other", "--updates=8", "-q")
    expect(0, *args, "-o", "other", "--resume", "--batch-size=40", "-q")
    meta = checkpoint("other/last.safetensors")[0]
    assert meta["epoch"] == "3" and meta["step"] == str(8 + 2 * 4), meta
    done = expect(0, *args, "-o", "run", "--resume", "--epochs=5", "--lr=0.02", "--workers=3")
    assert b"settings" not in done.stderr and b"nothing to do" in done.stderr, done.stderr


def test_a_folder_belongs_to_one_run():
    args = prepare()
    expect(0, *args, "-o", "run", "-q")
    done = expect(2, *args, "-o", "run")
    assert b"--resume goes on with it" in done.stderr, done.stderr
    child = begin(prepare(train=2000) + ["-o", "long", "--epochs=1000", "-q"])
    while child.poll() is None and not os.path.exists("long/log.jsonl"):
        time.sleep(0.01)
    try:
        done = expect(3, *args, "-o", "long", "--resume")
        assert b"another process is training into long" in done.stderr, done.stderr
    finally:
        child.kill()
        ended(child)
    write("file", "")
    done = expect(3, *args, "-o", "file")
    assert b"file" in done.stderr, done.stderr
    done = expect(3, *args, "-o", "no/such/folder")
    assert b"no/such/folder" in done.stderr, done.stderr


def test_another_network():
    args = prepare()
    expect(0, *args, "-o", "run", "-q")
    before = checkpoint("run/last.safetensors")
    for more in (["-p", "width=6"], ["--opt=adamw", "--lr=0.01"]):
        done = expect(1, *args, "-o", "run", "--resume", "--epochs=9", *more)
        text = done.stderr.decode()
        assert "is of another network or optimizer" in text and "in the file" in text, text
        assert ("8x1x3x3" if "-p" in more else "momentum_buffer") in text, text
        assert checkpoint("run/last.safetensors") == before


def failing(args, disk, **kw):
    env = {**os.environ, "LD_PRELOAD": SHIM, **disk}
    if "asan" in SHIM:
        raise Skip("the preloaded library does not go with the sanitizers")
    return run(*args, env=env, **kw)


def test_full_disks():
    args = prepare()
    expect(0, *args, "-o", "run", "--updates=15", "-q")
    files = {n: open("run/" + n, "rb").read() for n in os.listdir("run") if "safetensors" in n}
    size = len(files["last.safetensors"])
    for room in (400, 2000, size // 2, size + 1000):
        done = failing(args + ["-o", "run", "--resume", "-q"], {"HOSTILE_FULL": str(room)})
        assert done.returncode == 3, (room, done)
        assert b"No space left" in done.stderr and b"run/" in done.stderr, done.stderr
        # what was there is still there, as last or as the one before it
        now = [open("run/" + n, "rb").read() for n in os.listdir("run") if "safetensors" in n]
        assert files["last.safetensors"] in now and not [n for n in os.listdir("run") if "tmp" in n]
    expect(0, *args, "-o", "want", "-q")
    resumed(args, "run")
    a, b = checkpoint("want/last.safetensors"), checkpoint("run/last.safetensors")
    assert a[1] == b[1]


def test_disks_that_fail():
    args = prepare()
    expect(0, *args, "-o", "run", "--updates=15", "-q")
    before = open("run/last.safetensors", "rb").read()
    for disk in ({"HOSTILE_SYNC": "1"}, {"HOSTILE_RENAME": "1"}):
        done = failing(args + ["-o", "run", "--resume", "-q"], disk)
        assert done.returncode == 3 and b"run/" in done.stderr, (disk, done)
        assert open("run/last.safetensors", "rb").read() == before, disk
    resumed(args, "run", "-q")
    expect(0, *args, "-o", "want", "-q")
    assert checkpoint("want/last.safetensors")[1] == checkpoint("run/last.safetensors")[1]


def test_file_size_limits():
    args = prepare()
    done = run(*args, "-o", "run", "-q",
               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)))
    assert done.returncode == 3 and b"run/" in done.stderr, done
    assert not [n for n in os.listdir("run") if "safetensors" in n], os.listdir("run")


sys.exit(main(globals()))
