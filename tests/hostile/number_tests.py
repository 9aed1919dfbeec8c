"""Numbers at and over every edge, wherever a number may stand."""
import json
import os
import struct
import sys

from hostile import CNNC, SRC, TINY, attack, command, main, npy, tiny_weights, write

EDGES = ["0", "-1", "-0", str(2**31 - 1), str(2**31), str(2**32), str(2**63 - 1), str(2**63), str(2**64),
         str(2**64 + 1), "-" + str(2**63), "9" * 400, "1e400", "-1e400", "1e-400", "nan", "inf", "0x10",
         "007", "1.5", "1_000", "", " 1", "1 ", "+1"]
SOURCE = [e for e in EDGES if e.strip(" ") and not e.startswith("+")]

LAYERS = ["conv(@, k=3)", "conv(8, k=@)", "conv(8, k=@x3)", "conv(8, k=3x@)", "conv(8, k=3, stride=@)",
          "conv(8, k=3, stride=1x@)", "conv(8, k=3, dilation=@)", "conv(8, k=3, groups=@)",
          "conv(8, k=3, pad=@)", "conv(8, k=3, pad=[@, 0, 0, 0])", "conv(8, k=1) * @",
          "maxpool(@)", "maxpool(k=3, stride=@)", "maxpool(k=3, pad=@)", "avgpool(@, stride=@)",
          "conv(@, k=@, stride=@, dilation=@, groups=@, pad=@)", "upsample(@)", "resize(@)", "pad(@)",
          "dropout(@)", "bn(eps=@, momentum=@)", "leaky_relu(@)", "elu(@)", "adaptive_avgpool(@)",
          "softmax(@)", "lrn(@)", "clip(@, @)", "conv(8 * @, k=1)", "conv(@ + @, k=1)", "conv(@ * @, k=1)",
          "conv(8 // @, k=1)", "conv(8 % @, k=1)", "conv(2 ^ @, k=1)", "conv(@ - @ - @, k=1)",
          "conv(max(@, 1), k=1)", "repeat(@) { conv(8, k=1) }", "for i in 0..@ { conv(8, k=1) }"]


def net(layer, dims="3, 16, 16", head="10"):
    return """net n(c: int = 8) {
  input x[%s]
  stage s { %s }
  head h = gap -> flatten -> dense(%s)
}
""" % (dims, layer, head)


def test_numbers_in_sources():
    count = 0
    for layer in LAYERS:
        for edge in SOURCE:
            write("n.cnn", net(layer.replace("@", edge)))
            attack((0, 1, 4), "check", "n.cnn", timeout=5, says="n.cnn")
            count += 1
    assert count == len(LAYERS) * len(SOURCE)


def test_numbers_around_layers():
    for edge in SOURCE:
        for text in (net("conv(8, k=1)", dims=edge + ", 16, 16"), net("conv(8, k=1)", dims="3, %s, 16" % edge),
                     net("conv(8, k=1)", dims="%s, %s, %s" % (edge, edge, edge)),
                     net("conv(8, k=1)", head=edge), net("conv(c, k=1)").replace("= 8", "= " + edge),
                     net("conv(8, k=1)").replace("stage s", "stage s(stride=%s)" % edge),
                     "let a = %s\n" % edge + net("conv(a, k=1)"),
                     "let a = [1, 2, 3][%s]\n" % edge + net("conv(a, k=1)"),
                     TINY.replace("image[3", "image(mean=[%s, 0, 0], std=[%s, 1, 1])[3" % (edge, edge)),
                     TINY.rstrip().rstrip("}") + "  train { loss = cross_entropy(logits)  optimizer = "
                     "sgd(lr=%s)  epochs = %s }\n}\n" % (edge, edge)):
            write("n.cnn", text)
            attack((0, 1, 4), "check", "n.cnn", timeout=5, says="n.cnn")


def test_huge_networks_are_refused_before_memory_is_taken():
    """What passes check must not fall when it is built: by size alone it has to be refused."""
    for layer in ("conv(2147483647, k=1)", "conv(1000000, k=1)", "conv(100000, k=99)", "conv(8, k=9999, pad=4999)",
                  "conv(8, k=3, pad=2147483647)", "conv(8, k=3, pad=100000)", "conv(8, k=1) * 99999",
                  "conv(8, k=3, dilation=100000, pad=100000)", "maxpool(k=30000, stride=1, pad=15000)"):
        write("n.cnn", net(layer, dims="3, 64, 64"))
        for args in (["summary", "n.cnn"], ["print-graph", "n.cnn"],
                     ["build", "n.cnn", "--init=1", "--emit=header", "-o", "out"],
                     ["check", "n.cnn", "--input=3x2147483647x2147483647"]):
            # 30 s: hundred thousand operators are planned
            attack((0, 1, 3, 4), *args, timeout=30, preexec_fn=limit_memory)


def limit_memory():
    import resource
    from hostile import SANITIZED
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


OPTIONS = {"--input=@": "csbv", "--input=3x@x16": "csbv", "--input=@x@x@": "csbv", "--max-batch=@": "b",
           "--batch=@": "rve", "--threads=@": "rbve", "--sweep=@:64:16": "s", "--sweep=16:@:16": "s",
           "--sweep=16:64:@": "s", "--sweep=@:@:@": "s", "--seed=@": "ve", "--init=@": "rb",
           "--top=@": "r", "--repeat=@": "e", "--tolerance=@": "v", "--error-limit=@": "csbrve", "-pres=@": "csb",
           "--input=fixture:@": "r", "--weights=fixture:@": "r", "--prefix=@": "b"}


def test_numbers_on_the_command_line():
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 16])
    base = {"c": ["check", "tiny.cnn"], "s": ["summary", "tiny.cnn"],
            "b": ["build", "tiny.cnn", "--emit=header", "-o", "out"], "r": ["run", "tiny.cnn"],
            "v": ["verify", "tiny.cnn"], "e": ["bench", "tiny.cnn"]}
    for option, letters in OPTIONS.items():
        for letter in letters:
            for edge in EDGES[ord(letter) % 2::2]:
                args = base[letter] + [option.replace("@", edge)]
                if letter == "r" and "--init" not in option and "--weights" not in option:
                    args.append("--init=1")
                if letter == "r" and "--input" not in option:
                    args.append("--input=x.npy")
                if letter == "e" and "--repeat" not in option:
                    args.append("--repeat=1")
                if letter == "e" and option == "--repeat=@" and edge in (str(2**31 - 1), str(2**31)):
                    continue  # what was asked for
                attack((0, 1, 2, 3, 4), *args, timeout=20, preexec_fn=limit_memory)


def test_numbers_in_the_environment():
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 16])
    attack(0, "build", "tiny.cnn", "--init=1", "-o", "tiny")
    for edge in EDGES:
        for args, program in ((["run", "tiny.cnn", "--init=1", "--input=x.npy"], CNNC), (["x.npy"], "./tiny")):
            attack((0, 1, 2, 4), *args, program=program, env={"CNNC_THREADS": edge}, timeout=10)


def raw_weights(shape, begin, end, dtype="F32", length=None):
    entries = {"s1.0.conv.weight": {"dtype": dtype, "shape": [0], "data_offsets": [0, 0]}}
    text = json.dumps(entries).replace("[0]", shape).replace("[0, 0]", "[%s, %s]" % (begin, end)).encode()
    return write("w", struct.pack("<Q", len(text) if length is None else length) + text + bytes(864))


def test_numbers_in_weights():
    write("tiny.cnn", TINY)
    tiny_weights()
    run = ["build", "tiny.cnn", "--weights=w", "--emit=weights", "-o", "out"]
    for edge in EDGES:
        for shape in ("[%s]", "[8, 3, 3, %s]", "[%s, %s, %s, %s]", "[0, %s]", "[%s, 0]"):
            raw_weights(shape.replace("%s", edge), "0", "864")
            attack((1, 3, 4), *run, says="w: " if edge not in ("-0", "0") else "w")
        raw_weights("[8, 3, 3, 3]", edge, "864")
        attack((1, 3, 4), *run, says="w")
        raw_weights("[8, 3, 3, 3]", "0", edge)
        attack((1, 3, 4), *run, says="w")
        raw_weights("[8, 3, 3, 3]", edge, edge)
        attack((1, 3, 4), *run, says="w")
    for length in (0, 1, 7, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 8, 100000001):
        raw_weights("[8, 3, 3, 3]", "0", "864", length=length)
        attack(3, *run, says="w: ")
    assert not os.path.exists("out")


def test_numbers_in_arrays():
    write("tiny.cnn", TINY)
    attack(0, "build", "tiny.cnn", "--init=1", "-o", "tiny")
    for edge in EDGES:
        for shape in ("(%s,)", "(1, 3, 16, %s)", "(%s, 3, 16, 16)", "(%s, %s, %s, %s)", "(0, %s)", "(%s, 0)"):
            head = ("{'descr': '<f4', 'fortran_order': False, 'shape': %s, }" % shape.replace("%s", edge)).encode()
            head += b" " * ((64 - (len(head) + 11) % 64) % 64) + b"\n"
            write("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head) & 65535) + head + bytes(3072))
            attack((0, 1, 2, 3) if edge.strip() == "1" else (1, 2, 3), "run", "tiny.cnn", "--init=1", "--input=x.npy", says="x.npy")
            attack((0, 3) if edge.strip() == "1" else 3, "x.npy", says="x.npy", program="./tiny")
    for length in (0, 1, 65535):
        write("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + b"{}")
        attack(3, "x.npy", says="x.npy", program="./tiny")
    for length in (0, 2**31, 2**32 - 1):
        write("x.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", length) + b"{}")
        attack(3, "run", "tiny.cnn", "--init=1", "--input=x.npy", says="x.npy")


def test_numbers_in_graphs():
    text = open(os.path.join(SRC, "tests", "pass", "gate.graph")).read()
    import re
    places = [m.span() for m in re.finditer(r"\d+", text)]
    for k, (lo, hi) in enumerate(places):
        for edge in SOURCE[k % 3::3]:
            write("n.graph", text[:lo] + edge + text[hi:])
            for name in ("shape", "rf", "cost", "fuse")[k % 2::2]:
                attack((0, 1, 3, 4), "pass", name, "n.graph", timeout=5, preexec_fn=limit_memory)
    for edge in SOURCE:
        write("n.graph", re.sub(r"\d+", edge, text))
        attack((0, 1, 3, 4), "pass", "plan", "n.graph", timeout=5, preexec_fn=limit_memory)


def test_locale_does_not_matter():
    write("n.cnn", net("conv(8, k=1) -> dropout(0.5)"))
    done = command([CNNC, "print-graph", "n.cnn"])
    for locale in ("de_DE.UTF-8", "C", "tr_TR.UTF-8", "xx", ""):
        assert command([CNNC, "print-graph", "n.cnn"], env={"LC_ALL": locale}).stdout == done.stdout


if __name__ == "__main__":
    sys.exit(main(globals()))
