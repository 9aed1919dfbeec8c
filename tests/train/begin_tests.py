"""How training begins: what fits of other weights, nets that are refined first, other kinds of data; and
what is refused, with a message and a code."""
from training import *


def test_fit_with_another_head():
    args = prepare()
    expect(0, *args, "-o", "first", "-q")
    write("other.cnn", NET.replace("classes: int = 10", "classes: int = 16"))
    other = ["train", "other.cnn", "--data=idx:data", "--weights=first/last.safetensors"]
    done = expect(1, *other, "-o", "strict")
    assert b"does not fit 'small'" in done.stderr and b"16x16" in done.stderr, done.stderr
    assert not os.path.exists("strict")
    done = expect(0, *other, "--fit", "-o", "run", "--lr=1e-30", "--weight-decay=0", "--updates=1")
    text = done.stderr.decode()
    assert "10 of 12 parameters fit" in text and "logits.dense.weight" in text, text
    body, old = checkpoint("run/last.safetensors")[1], checkpoint("first/last.safetensors")[1]
    for name in ("s1.0.conv.weight", "s2.0.bn.bias"):
        assert body[name] == old[name], name
    assert body["logits.dense.weight"][0] == [16, 16]
    # a body that has been trained learns faster
    expect(0, *other, "--fit", "-o", "on", "--epochs=1", "-q")
    expect(0, "train", "other.cnn", "--data=idx:data", "-o", "anew", "--epochs=1", "-q")
    assert records("on")[-1]["val_loss"] < records("anew")[-1]["val_loss"]
    done = expect(2, *args, "--fit", "-o", "no")
    assert b"--fit takes what fits of --weights" in done.stderr, done.stderr
    write("alien.cnn", NET.replace("stage s", "stage t").replace("head logits", "head scores")
          .replace("(logits)", "(scores)"))
    done = expect(1, "train", "alien.cnn", "--data=idx:data", "--fit", "-o", "no",
                  "--weights=first/last.safetensors")
    assert b"none of the 12 parameters fits" in done.stderr and not os.path.exists("no")
    done = expect(3, *args, "--fit", "-o", "no", "--weights=nowhere")
    assert b"nowhere" in done.stderr and not os.path.exists("no"), done.stderr


def test_what_weights_begin_with():
    args = prepare()
    still = ["--lr=1e-30", "--weight-decay=0", "--updates=1", "-q"]
    expect(0, *args, "-o", "first", "--model-ema-decay=0.95", "-q")
    old = checkpoint("first/last.safetensors")[1]
    for more, prefix in (([], "ema."), (["--no-ema"], "")):
        for fit in ([], ["--fit"]):
            out = "run%d%d" % (bool(more), bool(fit))
            expect(0, *args, "--weights=first/last.safetensors", "-o", out, *still, *more, *fit)
            got = checkpoint(out + "/last.safetensors")[1]
            for name in ("s1.0.conv.weight", "logits.dense.bias"):
                assert got[name] == old[prefix + name], (more, fit, name)
    # build takes them as well, and so the program answers like the run
    expect(0, "build", "net.cnn", "--weights=first/best.safetensors", "--emit=weights", "-o", "w", "-q")
    best = checkpoint("first/best.safetensors")[1]
    built = checkpoint("w")[1]
    assert built["s1.0.conv.weight"] == best["ema.s1.0.conv.weight"] and len(built) == 12
    expect(0, *args, "--resume", "--weights=ignored", "-o", "first", "--epochs=4",
           "--model-ema-decay=0.95", "-q")


def test_another_resolution():
    """Trained at one, fine-tuned at another."""
    args = prepare()
    expect(0, *args, "-o", "small", "-q")
    expect(0, *args, "-o", "large", "--input=1x16x16", "--weights=small/last.safetensors", "--epochs=2",
           "--lr=0.02", "-q")
    log = [r for r in records("large") if "val_top1" in r]
    assert log[-1]["val_top1"] > 0.6, log
    assert "random_crop(size=16" in checkpoint("large/last.safetensors")[0]["train"]


def test_refined_first():
    deep = NET.replace("stage s2(stride=2) { conv_bn_act(2 * width, stride=stage.stride) }", """stage s2(
    stride=2) { conv_bn_act(2 * width, stride=stage.stride) }
  stage s3(stride=2) { conv_bn_act(2 * width, stride=stage.stride) }
  stage s4(stride=2) { conv_bn_act(2 * width, stride=stage.stride) }""")
    args = prepare(deep)
    done = expect(1, *args, "-o", "run")
    assert b"E0502" in done.stderr and not os.path.exists("run"), done.stderr
    done = expect(0, *args, "--refine", "-o", "run", "--epochs=2")
    assert b"refined for 12x12" in done.stderr, done.stderr
    expect(0, "eval", "net.cnn", "--refine", "--data=idx:data", "--weights=run/last.safetensors", "-q")


def test_colours_and_grey():
    """The same net with three channels, and pictures in CIFAR's form."""
    rng = random.Random(2)
    os.mkdir("cifar")
    for name, n in [("data_batch_%d.bin" % k, 40) for k in range(1, 6)] + [("test_batch.bin", 40)]:
        rows = b""
        for i in range(n):
            plane = b"".join((picture(i % CLASSES, rng)[12 * (y % 12):12 * (y % 12) + 12] * 3)[:32]
                             for y in range(32))
            rows += bytes([i % CLASSES]) + plane * 3
        write("cifar/" + name, rows)
    write("net.cnn", NET.replace("image[1, res, res](mean=[0.5], std=[0.25])", "image[3, res, res]")
          .replace("res: int = 12", "res: int = 32"))
    done = run("train", "net.cnn", "--data=cifar10:cifar", "-o", "run", "-q", "--epochs=5")
    assert done.returncode == 0, done.stderr
    log = records("run")
    assert log[-1]["val_top1"] > 0.5, log
    assert "airplane" in checkpoint("run/last.safetensors")[0]["classes"]


def png(path, label, rng):
    import zlib
    raw = picture(label, rng)
    rows = b"".join(b"\0" + raw[y * SIDE:(y + 1) * SIDE] for y in range(SIDE))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    write(path, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)) +
          chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def test_folders_of_pictures():
    rng = random.Random(4)
    for part, n in (("train", 16), ("val", 4)):
        for c, name in enumerate(("coarse", "fine", "long", "wide")):
            os.makedirs("pictures/%s/%s" % (part, name))
            for i in range(n):
                png("pictures/%s/%s/%d.png" % (part, name, i), c, rng)
    write("net.cnn", NET.replace("classes: int = 10", "classes: int = 4"))
    args = ["train", "net.cnn", "--epochs=2", "-q"]
    expect(0, *args, "--data=folder:pictures", "-o", "run")
    assert checkpoint("run/last.safetensors")[0]["classes"] == "coarse\nfine\nlong\nwide\n"
    shown = expect(0, "run", "net.cnn", "--weights=run/last.safetensors", "--top=4",
                   "--input=pictures/val/fine/0.png").stdout.decode()
    assert "coarse" in shown and "wide" in shown, shown
    # a folder without parts has no validation of its own
    done = expect(0, *args, "--data=folder:pictures/train", "-o", "flat")
    assert b"no validation" in done.stderr and not os.path.exists("flat/best.safetensors")
    # a picture that cannot be read ends the run, which is saved and goes on once it is mended
    want = open("pictures/train/long/3.png", "rb").read()
    expect(0, *args, "--data=folder:pictures", "-o", "want", "--batch-size=4")
    write("pictures/train/long/3.png", want[:60])
    done = expect(3, *args, "--data=folder:pictures", "-o", "cut", "--batch-size=4")
    assert b"long/3.png" in done.stderr, done.stderr
    write("pictures/train/long/3.png", want)
    expect(0, *args, "--data=folder:pictures", "-o", "cut", "--batch-size=4", "--resume")
    same("want", "cut")


def test_a_loss_that_is_no_number():
    args = prepare()
    expect(0, *args, "-o", "run", "-q", "--epochs=1")
    before = checkpoint("run/last.safetensors")
    done = expect(1, *args, "-o", "run", "--resume", "--lr=1e30", "-q")
    text = done.stderr.decode()
    assert "the loss is not a number at update" in text and "the checkpoint of before is in run" in text
    where = text.split("first in '")[1].split("'")[0]
    assert where.startswith("s1.0") or where.startswith("s2.0") or where.startswith("logits"), text
    assert checkpoint("run/last.safetensors") == before
    # a parameter that is none is named
    tensors = {n: (t[0], list(floats(t))) for n, t in before[1].items() if "optim" not in n}
    tensors["s2.0.conv.weight"][1][5] = float("nan")
    harness.safetensors("nan.safetensors", tensors)
    done = expect(1, *args, "-o", "nan", "--weights=nan.safetensors")
    assert b"not a number at update 0, first in 's2.0.conv.weight'" in done.stderr, done.stderr
    # and a layer whose values overflow, all parameters being finite
    tensors["s2.0.conv.weight"][1][5] = 0
    tensors["s2.0.bn.weight"][1][:] = [1e20] * 16
    tensors["logits.dense.weight"][1][:] = [1e30 * (-1) ** k for k in range(160)]
    harness.safetensors("huge.safetensors", tensors)
    done = expect(1, *args, "-o", "huge", "--weights=huge.safetensors")
    assert b"at update 1, first in 'logits" in done.stderr, done.stderr


TWO = """net two(classes: int = 10) {
  input image[1, 12, 12]
  input other[1, 12, 12]
  stage s1(stride=1) { add(other) -> conv(8, k=3, bias=true) }
  head logits = gap -> flatten -> dense(classes)
}
"""


def test_refusals_of_nets():
    data = "--data=" + idx("data")
    maps = NET.replace("head logits = gap -> flatten -> dense(classes)", "head logits = conv(10, k=1, bias=true)")
    more = NET.replace("head logits =", """head aux(from=s1) = gap -> flatten -> dense(12)
  head logits(from=s2) =""").replace("cross_entropy(logits)", "cross_entropy(logits) + 0.1 * bce(aux)")
    four = NET.replace("image[1, res, res](mean=[0.5], std=[0.25])", "image[4, res, res]")
    for net, said in ((maps, "the head 'logits' of 'small' is a map of 6x6"),
                      (more, "the head 'aux' of 'small' has 12 classes, 'logits' 10"),
                      (four, "takes 4 channels"),
                      (NET.replace("int = 10", "int = 4"), "-p classes=10?")):
        write("net.cnn", net)
        done = expect(1, "train", "net.cnn", data, "-o", "run")
        assert said in done.stderr.decode() and not os.path.exists("run"), (said, done.stderr)


def test_refusals_of_nets_with_two_inputs():
    data = "--data=" + idx("data")
    write("net.cnn", TWO)
    done = run("train", "net.cnn", data, "-o", "run", "-A", "warnings")
    assert done.returncode == 1 and b"has 2 inputs; data sets have pictures alone" in done.stderr, done


def test_refusals_of_data():
    args = prepare()[:2]
    idx("many", classes=12)
    write("junk/x" if os.path.isdir("junk") else "junk", "junk")
    for code, data, said in ((2, "mnist:data", "names no data set"), (2, "data", "names no data set"),
                             (3, "idx:nowhere", "nowhere"), (3, "cifar10:data", "data"),
                             (3, "folder:nowhere", "nowhere"), (3, "tar:junk", "junk"),
                             (1, "idx:many", "has 12 classes, the head 'logits' of 'small' 10")):
        done = expect(code, *args, "--data=" + data, "-o", "run")
        assert said in done.stderr.decode() and not os.path.exists("run"), (data, done.stderr)
    done = expect(2, *args, "-o", "run")
    assert b"which pictures?" in done.stderr, done.stderr
    done = expect(2, *args, "--data=idx:data", "-o", "run", "--batch-size=1000")
    assert b"less than one batch of 1000" in done.stderr and not os.path.exists("run"), done.stderr
    with open("data/train-labels-idx1-ubyte", "r+b") as f:
        f.truncate(50)
    done = expect(3, *args, "--data=idx:data", "-o", "run")
    assert b"train-labels" in done.stderr, done.stderr


def test_a_section_that_does_not_fit():
    write("net.cnn", NET.replace("random_crop(res, pad=1)", "random_crop(8)"))
    done = expect(1, "train", "net.cnn", "--data=" + idx("data"), "-o", "run")
    assert b"makes pictures of 8x8" in done.stderr, done.stderr


def test_a_net_without_a_section():
    """Defaults of the language, and options over them."""
    write("net.cnn", NET.split("  train {")[0] + "}\n")
    expect(0, "train", "net.cnn", "--data=" + idx("data"), "-o", "run", "--batch-size=16", "--epochs=2",
           "-q")
    assert records("run")[-1]["val_top1"] > 0.4


def test_rate_of_the_loader():
    """bench --data: the loader alone, for each number of workers."""
    write("net.cnn", NET)
    args = ["bench", "net.cnn", "--data=" + idx("data"), "--batch=32"]
    got = json.loads(expect(0, *args, "--format=json", "--set=workers=2").stdout)
    (row,) = got["loader"]
    assert got["net"] == "small" and got["batch"] == 32 and row["workers"] == 2, got
    assert row["images"] % 32 == 0 and row["images"] >= 160 and row["images_per_s"] > 0, got
    assert 0 < row["processor_ms"] < 1000, got
    text = expect(0, *args, "--set=workers=1").stdout.decode().splitlines()
    assert len(text) == 3 and text[2].split()[0] == "1", text
    for code, more, said in ((2, ["--train"], "exclude each other"), (2, ["--batch=1000"], "less than one batch"),
                             (3, ["--data=idx:none"], "none"), (2, ["--set=workers=x"], "whole")):
        done = expect(code, *args, *more)
        assert said in done.stderr.decode(), (more, done.stderr)


sys.exit(main(globals()))
