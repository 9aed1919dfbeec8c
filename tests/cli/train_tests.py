"""summary --train: how a net is trained, from its section and the command line; the recipes of
examples/train."""
import glob

from harness import *

RECIPES = sorted(glob.glob(os.path.join(SRC, "examples", "train", "*.cnn")))
TRAINED = TINY.replace("  head logits", """  head aux(from=s1) = gap -> flatten -> dense(10)
  head logits(from=s2)""").rstrip()[:-1] + """
  train {
    epochs    = 3
    loss      = cross_entropy(logits) + 0.3 * mse(aux)
    optimizer = adamw(1e-3)
    augment   = random_crop(res, pad=2) -> hflip
  }
}
"""


def text(*args):
    return expect(0, "summary", *args).stdout.decode()


def spec(*args):
    return json.loads(text(*args, "--train", "--format=json"))


def test_train_is_printed():
    write("t.cnn", TRAINED)
    assert text("t.cnn", "--train", "--input=3x24x24") == """train {
  epochs     = 3
  batch      = 128
  accumulate = 1
  loss       = cross_entropy(logits, smoothing=0) + 0.3 * mse(aux)
  optimizer  = adamw(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, decay=0.01)
  schedule   = cosine(warmup=0, min=0, warmup_lr=0)
  augment    = random_crop(size=24, pad=2)
    -> hflip(p=0.5)
  clip       = 0
  ema        = 0
  seed       = 1
  workers    = 0
}
"""
    text("t.cnn", "--train", "-o", "out.txt")
    assert open("out.txt").read() == text("t.cnn", "--train")


def test_train_reads_back():
    write("t.cnn", TRAINED)
    first = text("t.cnn", "--train", "--set=aa=rand-m9-mstd0.5", "--set=clip-grad=1")
    write("again.cnn", re.sub(r"  train \{.*?\n  \}", lambda m: first, TRAINED, flags=re.S))
    assert "rand_augment" in first and text("again.cnn", "--train") == first


def test_train_without_a_section():
    write("t.cnn", TINY)
    got = spec("t.cnn")
    assert got["declared"] is False and got["optimizer"]["call"] == "sgd", got
    assert got["loss"][0]["head"] == "logits", got


def test_train_options():
    write("t.cnn", TRAINED)
    # an optimizer comes before its arguments, whatever the order
    got = spec("t.cnn", "--set=weight-decay=0.02", "--set", "lr=5e-3", "--set=opt=lamb")
    assert got["optimizer"] == {"call": "lamb", "lr": 0.005, "beta1": 0.9, "beta2": 0.999,
                                "eps": 1e-6, "decay": 0.02, "max_norm": 1}, got
    assert spec("t.cnn", "--set=epochs=5", "--set=epochs=6")["epochs"] == 6
    assert spec("t.cnn", "-p", "res=32")["augment"][0]["size"] == 32


def test_train_refusals():
    write("t.cnn", TRAINED.replace("random_crop(res", "random_crop(16"))
    for code, args, said in [
            (2, ["--train", "--set=lr"], "--set takes NAME=VALUE"),
            (2, ["--train", "--set=rl=1"], "training has no option 'rl'; did you mean 'lr'?"),
            (2, ["--train", "--set=lr=0"], "--lr must be above 0, not 0"),
            (2, ["--train", "--set=sched=step"], "step needs --decay-epochs"),
            (2, ["--set=lr=0.1"], "--set is for --train"),
            (2, ["--train", "--sweep=8:16:8"], "--train and --sweep exclude each other"),
            (2, ["--train", "--format=csv"], "not csv"),
            (1, ["--train", "--input=3x32x32"], "makes pictures of 16x16, the input is 32x32")]:
        done = expect(code, "summary", "t.cnn", *args)
        assert said in done.stderr.decode() and not done.stdout, (args, done.stderr)
    expect(0, "check", "t.cnn", "--input=3x32x32")


def test_train_recipes_are_accepted():
    assert len(RECIPES) >= 3
    for path in RECIPES:
        done = expect(0, "check", path)
        assert not done.stderr, done.stderr
    expect(0, "fmt", "--check", *RECIPES)


def recipe(name):
    return spec(os.path.join(SRC, "examples", "train", name))


def calls(augment):
    return {a.pop("call"): a for a in augment}


def test_train_recipe_of_the_standard_setup():
    """Richter & Pal 2022, table 6, first column."""
    got = recipe("standard.cnn")
    assert (got["epochs"], got["batch"]) == (300, 2048)
    assert got["optimizer"]["call"] == "lamb"
    assert (got["optimizer"]["lr"], got["optimizer"]["decay"]) == (5e-3, 0.02)
    assert (got["schedule"]["call"], got["schedule"]["warmup"]) == ("cosine", 5)
    assert [(l["call"], l["smoothing"]) for l in got["loss"]] == [("cross_entropy", 0)]
    augment = calls(got["augment"])
    assert "rand_augment" not in augment and "auto_augment" not in augment and "erase" not in augment
    assert augment["mixup"]["alpha"] == 0.1 and augment["cutmix"]["alpha"] == 1
    assert augment["color_jitter"] == {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}
    assert augment["random_resized_crop"]["size"] == 224


def test_train_recipe_of_convnext():
    """Liu et al. 2022, table 5 and the published training command."""
    got = recipe("convnext.cnn")
    assert (got["epochs"], got["batch"], got["ema"]) == (300, 4096, 0.9999)
    assert got["optimizer"] == {"call": "adamw", "lr": 4e-3, "beta1": 0.9, "beta2": 0.999,
                                "eps": 1e-8, "decay": 0.05}
    assert got["schedule"] == {"call": "cosine", "warmup": 20, "min": 1e-6, "warmup_lr": 0}
    assert [(l["call"], l["smoothing"]) for l in got["loss"]] == [("cross_entropy", 0.1)]
    augment = calls(got["augment"])
    assert augment["rand_augment"] == {"magnitude": 9, "std": 0.5, "ops": 2, "p": 0.5}
    assert augment["mixup"]["alpha"] == 0.8 and augment["cutmix"]["alpha"] == 1
    assert augment["erase"]["p"] == 0.25


sys.exit(main(globals()))
