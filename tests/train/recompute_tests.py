"""--recompute: less memory, and the same bits."""
import re

from training import *

# All that the backward pass reads: normalisations, masks, gates, sums, poolings, concatenations.
BUSY = """import std.blocks
net busy(width: int = 8, classes: int = 10, res: int = 12, drop_rate: real = 0.2, drop_path_rate: real = 0.3) {
  input image[1, res, res](mean=[0.5], std=[0.25])
  block gated(c: int) {
    y   = in -> conv_bn_act(c) -> se(4) -> conv_bn(c) -> drop_path(drop_path_rate)
    out = add(in, y) -> relu
  }
  block next(c: int) {
    y   = in -> conv(c, k=3, groups=c) -> ln -> conv(4 * c, k=1) -> gelu -> conv(c, k=1) -> layer_scale(0.1)
    out = add(in, y -> drop_path(drop_path_rate))
  }
  block grow(c: int) {
    y   = in -> bn -> relu -> conv(c, k=3, bias=false)
    out = concat(in, y)
  }
  stage s1(stride=1) { conv_bn_act(width) -> gated(width) -> next(width) -> gated(width) }
  stage s2(stride=2) { maxpool(2) -> grow(width) * 3 -> dropout(drop_rate) }
  stage s3(stride=1) { conv_bn_act(2 * width, k=1) -> gated(2 * width) * 2 }
  head logits = gap -> flatten -> dropout(drop_rate) -> dense(classes)
  train {
    epochs = 2
    batch = 16
    loss = cross_entropy(logits)
    optimizer = adamw(lr=0.01)
    augment = random_crop(res, pad=1) -> hflip -> mixup(0.2)
    ema = 0.9
  }
}
"""
LINE = re.compile(r"([\d.]+) MB of activations( \(([\d.]+) MB without --recompute; ([\d.]+) % more MACs\))?")
ALLOW = "--allow=underutilized,unproductive,saturated"


def activations(done):
    return LINE.search(done.stderr.decode())


def test_the_same_bits():
    args = prepare(BUSY) + [ALLOW]
    plain = activations(expect(0, *args, "-o", "plain"))
    assert plain.group(2) is None, plain.group(0)
    for level in ("--recompute", "--recompute=cheap", "--recompute=all"):
        shown = activations(expect(0, *args, "-o", level, level, "--threads=%d" % (1 + (level[-1] == "l"))))
        same("plain", level)
        same("plain", level, "best.safetensors")
        losses = [[(r["step"], r["loss"], r["grad_norm"]) for r in records(f)] for f in ("plain", level)]
        assert losses[0] == losses[1], losses
        assert shown.group(3) == plain.group(1) and float(shown.group(1)) < 0.8 * float(plain.group(1)), shown
        assert (float(shown.group(4)) > 0) == level.endswith("all"), shown.group(0)
    # what is saved without goes on with it
    expect(0, *args, "-o", "half", "--updates=7")
    expect(0, *args, "-o", "half", "--resume", "--recompute=all")
    same("plain", "half")


def test_accumulated():
    args = prepare(BUSY) + [ALLOW, "--grad-accum-steps=2", "-q"]
    expect(0, *args, "-o", "plain")
    expect(0, *args, "-o", "less", "--recompute=all")
    same("plain", "less")


# How much is left, by measurement; a fusion that makes it more is to be looked at.
LEFT = {"resnet18": (0.57, 0.37), "efficientnet_b0": (0.44, 0.21), "convnext_tiny": (0.52, 0.16),
        "densenet121": (0.33, 0.15)}


def test_networks_of_the_library():
    for net, (cheap, most) in LEFT.items():
        done = expect(0, "summary", net, "--train", "--recompute", "--format=json")
        rows = json.loads(done.stdout)["activations"]
        assert [r["recompute"] for r in rows] == ["none", "cheap", "all"], rows
        size = [r["bytes_per_image"] for r in rows]
        assert size[1] <= cheap * size[0] and size[2] <= most * size[0], (net, size)
        again = [r["macs_again"] for r in rows]
        assert again[0] == again[1] == 0 < again[2], (net, again)
        text = expect(0, "summary", net, "--train", "--recompute").stdout.decode()
        assert text.startswith("train {") and "# --recompute=all" in text, text


def test_whole_networks_the_same_bits():
    args = ["--data=" + idx("data"), ALLOW, "--batch-size=4", "--updates=2", "--mixup=0", "--cutmix=0", "--aa=none",
            "-q"]
    for net in ("resnet18", "efficientnet_b0", "densenet121", "convnext_tiny")[:4 if FULL else 1]:
        for level in ("none", "cheap", "all"):
            expect(0, "train", net, "--input=3x64x64", *args, "-o", net + level,
                   *(["--recompute=" + level] if level != "none" else []))
        same(net + "none", net + "cheap")
        same(net + "none", net + "all")


def test_messages():
    write("net.cnn", NET)
    for command, said in ((["summary", "net.cnn", "--recompute"], "--recompute is for --train"),
                          (["build", "net.cnn", "--recompute"], "--recompute is for --mode=train"),
                          (["train", "net.cnn", "--recompute=some"], "takes cheap or all, not 'some'"),
                          (["train", "net.cnn", "--grad-checkpointing"], "--recompute")):
        done = expect(2, *command)
        assert said in done.stderr.decode(), (command, done.stderr)


def test_bench_and_built_libraries():
    write("net.cnn", BUSY)
    for level in ("cheap", "all"):
        done = expect(0, "bench", "net.cnn", ALLOW, "--train", "--recompute=" + level, "--batch=2", "--repeat=1",
                      "--per-layer")
        assert "(again)" in done.stdout.decode(), done.stdout
    for level, option in (("plain", []), ("less", ["--recompute=all"])):
        expect(0, "build", "net.cnn", ALLOW, "--init=1", "--mode=train", "--emit=so,manifest", "-o", level, *option)
    sizes = []
    for level in ("plain", "less"):
        name = next(n for n in os.listdir(".") if n.startswith(level) and n.endswith(".json"))
        with open(name) as f:
            sizes.append(json.load(f)["training"]["bytes_per_image"])
    assert sizes[1] < 0.8 * sizes[0], sizes


sys.exit(main(globals()))
