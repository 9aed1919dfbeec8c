"""train and eval on small data: they learn, and leave what they promise."""
import re

from training import *


def train(*more, code=0, net=NET, **kw):
    return expect(code, *prepare(net), *more, **kw)


def test_it_learns():
    args = prepare(train=320, test=160)
    done = expect(0, *args, "-o", "run", "--epochs=8")
    log = [r for r in records("run") if "val_top1" in r]
    assert len(log) == 8 and [r["epoch"] for r in log] == list(range(1, 9)), log
    assert log[-1]["loss"] < 0.5 * log[0]["loss"], log
    assert log[-1]["val_loss"] < 0.5 * log[0]["val_loss"], log
    assert log[-1]["val_top1"] > 0.9 and log[-1]["accuracy"] > 0.85, log[-1]
    assert log[-1]["lr"] < 1e-9 < log[0]["lr"] and all(0 <= r["data_wait"] <= 1 for r in log), log
    assert all(r["images_per_second"] > 0 and r["memory"] > 1e6 for r in log), log
    shown = done.stderr.decode()
    assert "epoch 8/8: loss" in shown and "(best)" in shown and "\x1b" not in shown, shown
    assert re.search(r"160 updates in [\d.]+ s, of which [\d.]+ % waited for data", shown), shown
    # eval says what the run said, of the last and of the best
    for name, want in (("last", log[-1]["val_top1"]), ("best", max(r["val_top1"] for r in log))):
        got = json.loads(expect(0, "eval", "net.cnn", "--data=idx:data", "--format=json", "-q",
                                "--weights=run/%s.safetensors" % name).stdout)
        assert got["images"] == 160 and abs(got["top1"] - want) < 1e-6, (name, got, want)


def test_what_the_folder_holds():
    train("-o", "run")
    assert sorted(os.listdir("run")) == ["best.safetensors", "last.safetensors",
                                         "last.safetensors.prev", "log.csv", "log.jsonl",
                                         "report.html"], os.listdir("run")
    for name in ("last", "best"):
        meta, tensors = checkpoint("run/%s.safetensors" % name)
        assert {"s1.0.conv.weight", "s1.0.bn.running_mean", "logits.dense.bias",
                "optimizer.momentum_buffer.s1.0.conv.weight"} <= tensors.keys(), tensors.keys()
        assert "optimizer.momentum_buffer.s1.0.bn.running_mean" not in tensors
        assert tensors["s2.0.conv.weight"][0] == [16, 8, 3, 3], tensors["s2.0.conv.weight"][0]
        assert meta["classes"].splitlines() == [str(k) for k in range(10)], meta
        assert meta["net"] == "small" and meta["train"].startswith("train {"), meta
    meta, _ = checkpoint("run/last.safetensors")
    assert (meta["epoch"], meta["batch"], meta["step"], meta["seed"]) == ("3", "0", "30", "1"), meta
    best = max(r["val_top1"] for r in records("run"))
    assert abs(float(meta["best"]) - best) < 1e-6, (meta, best)
    with open("run/log.csv") as f:
        lines = f.read().splitlines()
    assert lines[0].startswith("time,epoch,step,lr,loss") and len(lines) == 1 + len(records("run"))
    with open("run/report.html") as f:
        page = f.read()
    assert "small" in page and "idx:data" in page and "<svg" in page and "http://" not in page.replace(
        "http://www.w3.org", ""), page[:200]


def test_without_validation_pictures():
    args = prepare()
    for name in os.listdir("data"):
        if name.startswith("t10k"):
            os.unlink("data/" + name)
    done = expect(0, *args, "-o", "run")
    assert b"no validation" in done.stderr and not os.path.exists("run/best.safetensors")
    assert all("val_loss" not in r for r in records("run")) and len(records("run")) == 3
    expect(3, "eval", "net.cnn", "--data=idx:data", "--weights=run/last.safetensors")


def test_updates():
    args = prepare()
    done = expect(0, *args, "-o", "run", "--updates=13")
    assert b"13 updates" in done.stderr, done.stderr
    meta, _ = checkpoint("run/last.safetensors")
    assert (meta["step"], meta["epoch"], meta["batch"]) == ("13", "1", "3"), meta
    last = records("run")[-1]
    assert last["step"] == 13 and abs(last["epoch"] - 1.3) < 1e-6 and "val_top1" in last, last
    assert os.path.exists("run/report.html")
    done = expect(0, *args, "-o", "run", "--updates=13", "--resume")
    assert b"nothing to do" in done.stderr, done.stderr
    expect(2, *args, "-o", "run2", "--updates=0")


def test_progress_and_messages():
    args = prepare()
    assert expect(0, *args, "-o", "a", "-q").stderr == b""
    done = expect(0, *args, "-o", "b", "--message-format=json")
    notes = json.loads(done.stderr)
    assert any("updates in" in n["message"] for n in notes), notes
    done = expect(2, *args, "-o", "a", "--message-format=json")
    assert json.loads(done.stderr)[0]["level"] == "error", done.stderr
    done = expect(0, *args, "-o", "c", env={"NO_COLOR": "1"})
    assert b"\x1b" not in done.stderr and b"\r" not in done.stderr and b"epoch  1/3" in done.stderr \
        or b"epoch 1/3" in done.stderr, done.stderr


def test_options_under_their_own_names():
    """--lr=X is --set lr=X, for all of them, and the order on the command line is none."""
    args = prepare()
    pairs = {"epochs": "1", "batch-size": "8", "lr": "0.02", "opt": "adamw", "weight-decay": "0.05",
             "opt-eps": "1e-6", "sched": "step", "decay-epochs": "2", "decay-rate": "0.5",
             "warmup-epochs": "0.25", "warmup-lr": "1e-4", "smoothing": "0.1", "hflip": "0.25",
             "color-jitter": "0.2", "aa": "rand-m5-mstd0.5-n1-p0.5", "reprob": "0.1",
             "mixup": "0.2", "cutmix": "0.5", "clip-grad": "2", "model-ema-decay": "0.9",
             "seed": "7", "workers": "1", "grad-accum-steps": "2"}
    own = ["--%s=%s" % p for p in pairs.items()]
    other = ["--set=%s=%s" % p for p in reversed(list(pairs.items()))]
    expect(0, *args, "-o", "own", *own)
    expect(0, *args, "-o", "set", *other)
    same("own", "set")
    meta, tensors = checkpoint("own/last.safetensors")
    for words in ("adamw(lr=0.02", "decay=0.05", "eps=1e-06", "step(every=2, gamma=0.5, warmup=0.25",
                  "smoothing=0.1", "hflip(p=0.25)", "std=0.5, ops=1", "erase(p=0.1)",
                  "mixup(alpha=0.2)", "clip       = 2", "ema        = 0.9", "accumulate = 2"):
        assert words in meta["train"], (words, meta["train"])
    assert "optimizer.exp_avg_sq.s1.0.conv.weight" in tensors and "ema.s1.0.bn.running_var" in tensors
    # min-lr and momentum belong to others
    expect(0, *args, "-o", "sgd", "--epochs=1", "--momentum=0.5", "--min-lr=0.01", "--sched=linear")
    assert "momentum=0.5" in checkpoint("sgd/last.safetensors")[0]["train"]
    for code, option, said in ((2, "--lr=0", "--lr must be above 0"), (2, "--opt=muon", "there is no"),
                               (2, "--momentum=0.9", "momentum means nothing to adamw"),
                               (2, "--set=rl=1", "did you mean 'lr'?"), (2, "--epochs=x", "whole"),
                               (2, "--batch=16", "does not belong to 'train'")):
        done = expect(code, *args, "-o", "no", "--opt=adamw", option)
        assert said in done.stderr.decode(), (option, done.stderr)
    assert not os.path.exists("no")


def test_accumulation_is_a_larger_batch():
    args = prepare(PLAIN)
    expect(0, *args, "-o", "whole", "--batch-size=32", "-q")
    expect(0, *args, "-o", "parts", "--batch-size=16", "--grad-accum-steps=2", "-q")
    a, b = checkpoint("whole/last.safetensors"), checkpoint("parts/last.safetensors")
    assert a[0]["step"] == b[0]["step"] == "10", (a[0], b[0])
    start = expect(0, *args, "-o", "start", "--batch-size=32", "--updates=1", "--lr=1e-30", "-q")
    first = checkpoint("start/last.safetensors")[1]
    for name in a[1]:
        if name.startswith("optimizer."):
            continue
        x, y, z = floats(a[1][name]), floats(b[1][name]), floats(first[name])
        moved = max(abs(p - q) for p, q in zip(x, z))
        off = max(abs(p - q) for p, q in zip(x, y))
        assert moved > 1e-3 and off < 1e-3 * moved, (name, moved, off, start)
    # an update takes four batches, and the epoch of ten has two updates
    expect(0, *args, "-o", "left", "--grad-accum-steps=4", "-q")
    assert checkpoint("left/last.safetensors")[0]["step"] == "4"
    done = expect(1, *args, "-o", "none", "--grad-accum-steps=11")
    assert b"10 batches of 16, an update takes 11" in done.stderr and not os.path.exists("none")


def test_norm_of_the_gradient():
    """In the log, before clipping: what a plain step of gradient descent has moved, by its rate."""
    args = prepare(PLAIN) + ["--momentum=0", "--weight-decay=0", "--updates=1", "--warmup-epochs=0", "-q"]
    expect(0, *args, "-o", "start", "--lr=1e-30")
    start = checkpoint("start/last.safetensors")[1]
    for i, more in enumerate(([], ["--grad-accum-steps=5"], ["--batch-size=32", "--threads=1"])):
        expect(0, *args, "-o", "run%d" % i, "--lr=0.5", *more)
        end = checkpoint("run%d/last.safetensors" % i)[1]
        moved = sum((a - b) ** 2 for n in start if not n.startswith("optimizer.")
                    for a, b in zip(floats(start[n]), floats(end[n]))) ** 0.5 / 0.5
        (record,) = records("run%d" % i)
        assert moved > 0.01 and abs(record["grad_norm"] / moved - 1) < 1e-4, (more, record, moved)
        expect(0, *args, "-o", "clip%d" % i, "--lr=0.5", "--clip-grad=1e-3", *more)
        (clipped,) = records("clip%d" % i)
        assert clipped["grad_norm"] == record["grad_norm"], (clipped, record)
        with open("run%d/log.csv" % i) as f:
            head, line = (text.split(",") for text in f.read().splitlines())
        assert float(line[head.index("grad_norm")]) == record["grad_norm"], line
    expect(0, *prepare(), "-o", "long", "--log-interval=4", "-q")
    log = records("long")
    assert [r["step"] for r in log] == [4, 8, 10, 12, 16, 20, 24, 28, 30], log
    assert all(r["grad_norm"] > 0 for r in log), log
    with open("long/report.html") as f:
        page = f.read()
    assert "Norm of the gradient" in page, page[-3000:]


def test_rates_of_dropping():
    """--drop-path and --drop are parameters of the net, and what it is without them is said."""
    declared = NET.replace("res: int = 12", "res: int = 12, drop_rate: real = 0.2, drop_path_rate: real = 0.5") \
        .replace("conv_bn_act(width)", "conv_bn_act(width) -> twice(width)") \
        .replace("  stage s1", """  block twice(c: int) { out = add(in, in -> conv_bn(c) -> drop_path(drop_path_rate)) }
  stage s1""").replace("-> flatten", "-> flatten -> dropout(drop_rate)")
    args = prepare(declared) + ["--epochs=1", "-q"]
    for name, more in (("declared", []), ("same", ["--drop-path=0.5", "--drop=0.2"]), ("path", ["--drop-path=0"]),
                       ("drop", ["--drop=0.6"]), ("param", ["-p", "drop_path_rate=0"])):
        expect(0, *args, "-o", name, *more)
    same("declared", "same")
    same("path", "param")
    seen = {checkpoint(n + "/last.safetensors")[1]["s1.0.conv.weight"][1] for n in ("declared", "path", "drop")}
    assert len(seen) == 3
    args = prepare()
    for option, said in (("--drop-path=0.1", "declared with 'drop_path_rate: real = 0.1'"),
                         ("--drop=0.1", "applies 'dropout(drop_rate)'")):
        done = expect(1, *args, "-o", "no", option)
        assert said in done.stderr.decode() and not os.path.exists("no"), done.stderr
    for net in ("efficientnet_b0", "convnext_tiny", "efficientnet_b0_less_downsampling", "convnext_tiny_reduced"):
        shown = [expect(0, "print-graph", net, "-A", "underutilized,unproductive", "-p", "drop_path_rate=%g" % p).stdout.decode()
                 for p in (0, 0.9)]
        assert "p=0.675" not in shown[0] and shown[0] != shown[1], net


def test_words_of_timm():
    write("net.cnn", NET)
    for option, said in (("--grad-checkpointing", "--recompute"), ("--img-size=32", "--input=CxHxW"),
                         ("--num-classes", "-p classes=N"), ("--model-ema", "--model-ema-decay=0.9998"),
                         ("--amp", "float32"), ("--drop-connect=0.1", "--drop-path")):
        done = expect(2, "train", "net.cnn", option)
        assert "unknown option '%s' of timm's: " % option in done.stderr.decode(), done.stderr
        assert said in done.stderr.decode(), (option, done.stderr)
    assert b"timm" not in expect(2, "check", "net.cnn", "--amp").stderr


def test_optimizers():
    args = prepare()
    for opt, lr in (("sgd", 0.1), ("momentum", 0.05), ("nesterov", 0.05), ("adam", 0.01),
                    ("adamw", 0.01), ("rmsprop", 0.01), ("rmsproptf", 0.03), ("lamb", 0.02)):
        extra = ["--momentum=0.9"] if opt in ("momentum", "nesterov") else []
        expect(0, *args, "-o", opt, "--opt=" + opt, "--lr=%g" % lr, "--epochs=4", "-q", *extra)
        log = [r for r in records(opt) if "val_loss" in r]
        assert log[-1]["loss"] < 0.9 * log[0]["loss"], (opt, log)


def test_schedules():
    args = prepare()
    wanted = {"constant": [0.1, 0.1, 0.1, 0.1], "step": [0.1, 0.05, 0.05, 0.025],
              "exponential": [0.1 * 0.5 ** (k / 2) for k in (1, 2, 3, 4)],
              "cosine": [0.0853553, 0.05, 0.0146447, 0], "linear": [0.075, 0.05, 0.025, 0]}
    for sched, rates in wanted.items():
        more = {"step": ["--decay-epochs=2", "--decay-rate=0.5"],
                "exponential": ["--decay-epochs=2", "--decay-rate=0.5"]}.get(sched, [])
        expect(0, *args, "-o", sched, "--sched=" + sched, "--warmup-epochs=0", "--epochs=4", "-q", *more)
        got = [r["lr"] for r in records(sched) if "val_loss" in r]
        assert all(abs(a - b) < 1e-4 for a, b in zip(got, rates)) and len(got) == 4, (sched, got, rates)
    expect(0, *args, "-o", "warm", "--warmup-epochs=2", "--warmup-lr=0.02", "--updates=10", "-q")
    assert abs(records("warm")[-1]["lr"] - 0.06) < 1e-6, records("warm")[-1]


def test_augmentations_change_what_is_seen():
    args = prepare()
    expect(0, *args, "-o", "none", "--epochs=1", "-q")
    plain = checkpoint("none/last.safetensors")[1]["s1.0.conv.weight"]
    for option in ("--mixup=0.8", "--cutmix=1", "--reprob=0.5", "--aa=rand-m9-mstd0.5", "--aa=v0",
                   "--color-jitter=0.4", "--hflip=0", "--seed=5", "--smoothing=0.1"):
        folder = option[2:].replace("=", "-")
        expect(0, *args, "-o", folder, "--epochs=1", "-q", option)
        assert checkpoint(folder + "/last.safetensors")[1]["s1.0.conv.weight"] != plain, option


LOSSES = NET.replace("head logits =", """head aux(from=s1) = gap -> flatten -> dense(classes)
  head logits(from=s2) =""")


def test_losses_and_heads():
    for i, loss in enumerate(("bce(logits)", "bce(logits, smoothing=0.1)", "mse(logits)",
                              "cross_entropy(logits) + 0.3 * mse(aux)",
                              "cross_entropy(logits, smoothing=0.1) + 0.4 * bce(aux)")):
        args = prepare(LOSSES.replace("loss = cross_entropy(logits)", "loss = " + loss))
        out = "run%d" % i
        expect(0, *args, "-o", out, "--epochs=5", "-q")
        log = [r for r in records(out) if "val_top1" in r]
        assert log[-1]["loss"] < log[0]["loss"] and log[-1]["val_top1"] > 0.5, (loss, log)


def test_running_means_are_what_is_validated():
    args = prepare()
    expect(0, *args, "-o", "run", "--model-ema-decay=0.95", "-q")
    log = [r for r in records("run") if "val_loss" in r]
    _, tensors = checkpoint("run/last.safetensors")
    assert floats(tensors["ema.s1.0.conv.weight"]) != floats(tensors["s1.0.conv.weight"])

    def loss(*more):
        return json.loads(expect(0, "eval", "net.cnn", "--data=idx:data", "--format=json", "-q",
                                 "--weights=run/last.safetensors", *more).stdout)["loss"]
    assert abs(loss() - log[-1]["val_loss"]) < 1e-5, (loss(), log[-1])
    assert abs(loss("--no-ema") - loss()) > 1e-3, loss()


def test_pictures_are_named_by_the_checkpoint():
    rng = random.Random(3)
    args = prepare()
    os.rename("data", "fashion-data")  # a path with "fashion" in it has Fashion-MNIST's names
    args[2] = "--data=idx:fashion-data"
    expect(0, *args, "-o", "run", "-q")
    pixels = [(v / 255 - 0.5) / 0.25 for v in picture(2, rng)]
    harness.npy("x.npy", [1, 1, SIDE, SIDE], pixels)
    shown = expect(0, "run", "net.cnn", "--weights=run/best.safetensors", "--input=x.npy",
                   "--top=10").stdout.decode()
    assert "Pullover" in shown and "Ankle boot" in shown, shown
    write("names.txt", "zero\none\ntwo\n")
    shown = expect(0, "run", "net.cnn", "--weights=run/best.safetensors", "--input=x.npy",
                   "--classes=names.txt", "--top=10").stdout.decode()
    assert "two" in shown and "Pullover" not in shown, shown


def test_eval():
    args = prepare()
    expect(0, *args, "-o", "run", "-q")
    weights = "--weights=run/last.safetensors"
    done = expect(0, "eval", "net.cnn", "--data=idx:data", weights)
    assert re.match(rb"small: 80 pictures, loss [\d.]+, top-1 [\d.]+ %, top-5 100.00 %\n$",
                    done.stdout), done.stdout
    # any batch, any number of threads and workers: the same pictures
    want = json.loads(expect(0, "eval", "net.cnn", "--data=idx:data", weights, "--format=json").stdout)
    for more in (["--batch=7"], ["--batch=200", "--threads=1"], ["--threads=3"]):
        got = json.loads(expect(0, "eval", "net.cnn", "--data=idx:data", weights, "--format=json",
                                *more).stdout)
        assert got["top1"] == want["top1"] and abs(got["loss"] - want["loss"]) < 1e-5, (more, got)
    # the augmentation's size does not matter, the input's does
    write("other.cnn", NET.replace("random_crop(res, pad=1)", "random_crop(12)"))
    expect(0, "eval", "other.cnn", "--data=idx:data", weights, "--input=1x16x16")
    for code, more, said in ((2, ["--data=idx:data"], "has no weights"),
                             (2, [weights], "which pictures?"),
                             (3, [weights, "--data=idx:nowhere"], "nowhere"),
                             (2, [weights, "--data=mnist:data"], "names no data set"),
                             (2, [weights, "--data=idx:data", "--format=csv"], "not csv"),
                             (2, [weights, "--data=idx:data", "--batch=0"], "--batch takes")):
        done = expect(code, "eval", "net.cnn", *more)
        assert said in done.stderr.decode(), (more, done.stderr)


sys.exit(main(globals()))
