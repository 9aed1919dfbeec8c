"""cnnc graph: pictures hold what the analysis says, in every form, and are well formed."""
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.join(os.environ["SRC"], "tests", "cli"))
from harness import *  # noqa: E402

HERE = os.path.join(SRC, "tests", "graph")
SVG = "{http://www.w3.org/2000/svg}"
LIBRARY = run("nets", "--names").stdout.decode().split()
SAMPLE = ["resnet18", "efficientnet_b0", "nasnet_mobile", "inception_v3", "mobilenet_v3_small",
          "densenet121", "vgg11", "convnext_tiny"]


def graph(*args):
    return expect(0, "graph", *args).stdout.decode()


def summary(net):
    return json.loads(expect(0, "summary", net, "--format=json").stdout)


def judged(net):
    """{layer: (verdict, auxiliary)} of the layers that count."""
    return {x["name"]: (x["verdict"], x["auxiliary"]) for x in summary(net)["layers"]
            if x["verdict"] is not None}


def drawn(root):
    """[(layer, verdict, auxiliary)] of a picture; one for each instance that a box stands for."""
    out = []
    for g in root.iter():
        if g.get("data-layers") is not None:
            out += [(name, g.get("data-verdict"), g.get("data-aux") == "true")
                    for name in g.get("data-layers").split()]
    return out


def counted(layers):
    return [x for x in layers if x[1] != "not judged"]


def test_every_net_of_the_library():
    for net in LIBRARY:
        root = ET.fromstring(graph(net))
        assert root.tag == SVG + "svg", net
        want, got = judged(net), counted(drawn(root))
        assert len(got) == len(set(x[0] for x in got)), net
        assert {n: (v, a) for n, v, a in got} == want, net


def test_the_legend_counts_what_summary_counts():
    for net in SAMPLE:
        text = graph(net)
        said = dict(re.findall(r">([a-z]+) (\d+)</text>", text))
        for verdict, n in summary(net)["verdicts"].items():
            assert int(said[verdict]) == n, (net, verdict)
            boxes = [x for x in drawn(ET.fromstring(text)) if x[1] == verdict and not x[2]]
            assert len(boxes) == n, (net, verdict)


def test_equal_blocks_are_folded_unless_their_verdicts_differ():
    text = graph("resnet152")
    assert re.search(r"s3\.1 to s3\.35</text>\s*<text[^>]*>\u00d7 35<", text)
    assert "s1.1.conv2 s1.2.conv2" in text
    for net in ("efficientnet_b0", "nasnet_mobile", "vgg19"):
        want = judged(net)
        for g in ET.fromstring(graph(net)).iter(SVG + "g"):
            for name in (g.get("data-layers") or "").split():
                assert want.get(name, ("not judged", 0))[0] == g.get("data-verdict"), name
    write("odd.cnn", """net odd() {
  input image[3, 48, 48]
  stage a { conv(8, k=9) * 9 }
  head last = gap -> flatten -> dense(2)
}
""")
    names = [g.get("data-layers") for g in ET.fromstring(graph("odd.cnn")).iter(SVG + "g")
             if (g.get("data-layers") or "").startswith("a.")]
    assert names == [" ".join("a.%d.conv" % i for i in run)
                     for run in (range(0, 5), [5], range(6, 9))], names


def widths():
    """The advances that the compiler reckons with."""
    with open(os.path.join(SRC, "src", "picture", "text.c")) as f:
        table = re.search(r"advance\[95\] = \{(.*?)\};", f.read(), re.S)[1]
    return [int(x) for x in re.findall(r"\d+", table)]


def text_boxes(root):
    """(left, top, right, bottom, text) of every text, from the style sheet's sizes."""
    css = root.find(SVG + "style").text
    rules = re.findall(r"([^{}]+)\{([^}]*)\}", css)
    advance = widths()

    def look(name, key, default):
        for selectors, body in rules:
            for s in selectors.strip().split(","):
                m = re.search(r"(?:^|;)%s:([^;]+)" % key, body)
                if s == "." + name and m:
                    default = m[1]
        return default
    for t in root.iter(SVG + "text"):
        size = float(look(t.get("class"), "font-size", "16px")[:-2])
        bold = look(t.get("class"), "font-weight", "") == "bold"
        w = sum(advance[ord(c) - 32] if ord(c) < 127 else 90 for c in t.text or "") / 100 * size
        w *= 1.1 if bold else 1
        x, y = float(t.get("x")), float(t.get("y"))
        x -= {"middle": w / 2, "end": w}.get(look(t.get("class"), "text-anchor", ""), 0)
        yield x, y - 0.72 * size, x + w, y, t.text


def test_no_text_touches_another_or_leaves_the_page():
    odd = os.path.join(HERE, "tiny.cnn")
    for args in [[n] for n in SAMPLE] + [[odd], ["vgg19", "--compare=mobilenet_v1"],
                                         ["resnet18", "--compare=nasnet_mobile"]]:
        root = ET.fromstring(graph(*args))
        _, _, w, h = (float(x) for x in root.get("viewBox").split())
        boxes = sorted(text_boxes(root), key=lambda b: b[1])
        for i, a in enumerate(boxes):
            assert 0 <= a[0] and a[2] <= w and 0 <= a[1] and a[3] <= h, (args, a)
            for b in boxes[i + 1:]:
                if b[1] >= a[3]:
                    break
                assert b[0] >= a[2] or a[0] >= b[2], (args, a, b)


def test_long_names_are_shortened_to_fit():
    name = "a_net_with_a_name_that_nobody_would_want_to_read_in_a_picture_" * 4
    write("long.cnn", TINY.replace("net tiny", "net " + name))
    root = ET.fromstring(graph("long.cnn"))
    w = float(root.get("width"))
    assert all(b[2] <= w for b in text_boxes(root))
    assert root.find(SVG + "title").text == name


class Page(html.parser.HTMLParser):
    """Collects tags and complains about those left open."""
    VOID = {"meta", "input", "link", "br", "img"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.layers = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


def test_the_page_is_whole_and_fetches_nothing():
    for args in [["resnet18"], ["nasnet_mobile"], ["vgg11", "--compare=vgg11_bn"]]:
        text = graph(*args, "--format=html")
        page = Page()
        page.feed(text)
        page.close()
        assert page.open == [], page.open
        assert "default-src 'none'" in text
        for tag, attrs in page.tags:
            assert tag not in ("link", "img", "iframe", "object", "embed", "base", "image", "use")
            for name, value in attrs.items():
                assert name not in ("src", "href", "xlink:href", "action", "data", "style"), tag
                assert not name.startswith("on"), (tag, name)
                assert "://" not in (value or "") or name == "xmlns", (tag, name, value)
        outside = re.findall(r"(?:https?:|//[a-z]|@import|url\([^#])", re.sub(
            r'xmlns="http://www.w3.org/2000/svg"', "", text))
        assert outside == [], outside
        assert sum(t == "script" for t, _ in page.tags) == 1
        assert "prefers-color-scheme:dark" in text
        layers = [a["data-layers"] for _, a in page.tags if "data-layers" in a]
        assert sum(a.get("tabindex") == "0" for _, a in page.tags) == len(layers)
        want = set(judged(args[0]))
        assert want <= {n for names in layers for n in names.split()}


def test_the_page_tells_everything_about_a_layer():
    text = graph("mobilenet_v2", "--format=html")
    found = [html.unescape(d) for d in re.findall(r"<desc>(.*?)</desc>", text, re.S)]
    for layer in summary("mobilenet_v2")["layers"]:
        about = [d for d in found if layer["name"] in d.split("\n")[0].split()]
        assert len(about) == 1, layer["name"]
        facts = dict(line.split(": ", 1) for line in about[0].split("\n")[1:])
        assert facts["operator"] == layer["op"]
        if layer["kernel"][0] is not None:
            assert facts["kernel"] == "%dx%d" % tuple(layer["kernel"])
            assert facts["stride"] == str(layer["stride"][0])
            assert facts["dilation"] == "1"
        assert facts["verdict"] == (layer["verdict"] or "not judged")
        if "parameters" in facts:
            assert facts["parameters"] == str(layer["params"])
            assert facts["MACs"] == str(layer["macs"])
            assert facts["output"] == "x".join(map(str, layer["out"])) or layer["op"] == "dense"
            assert facts["r_min"] == ("global" if layer["global"] else str(layer["r_min"][0]))
            assert facts["source"] == layer["source"]
        else:
            assert str(layer["r_min"][0]) in facts["r_min"].split(", ") or layer["global"] or \
                "..." in facts["r_min"]


def dot_balanced(text):
    """Strings are closed and braces match."""
    depth, at = 0, 0
    while at < len(text):
        c = text[at]
        if c == '"':
            at += 1
            while text[at] != '"':
                at += 2 if text[at] == "\\" else 1
        depth += (c == "{") - (c == "}")
        assert depth >= 0
        at += 1
    return depth == 0


def test_graphviz_source():
    for net in SAMPLE + ["nasnet_large"]:
        text = graph(net, "--format=dot")
        assert dot_balanced(text), net
        nodes = set(re.findall(r"^ +(u\d+_\d+) \[", text, re.M))
        ends = {x for e in re.findall(r"^  (u\d+_\d+) -> (u\d+_\d+);", text, re.M) for x in e}
        assert ends <= nodes, (net, ends - nodes)
        assert len(nodes) - len(ends) <= 1, (net, nodes - ends)
        names = [n for t in re.findall(r'tooltip="([^"\\]*)', text) for n in t.split()]
        assert set(judged(net)) <= set(names) and len(names) == len(set(names)), net
        if shutil.which("dot"):
            done = subprocess.run(["dot", "-Tcanon"], input=text.encode(), stderr=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, timeout=60)
            assert done.returncode == 0 and done.stderr == b"", (net, done.stderr[:200])


def test_two_nets_side_by_side():
    text = graph("efficientnet_b0", "--compare", "efficientnet_b0_less_downsampling")
    root = ET.fromstring(text)
    layers = counted(drawn(root))
    both = sorted(list(judged("efficientnet_b0").items()) +
                  list(judged("efficientnet_b0_less_downsampling").items()))
    assert sorted((n, (v, a)) for n, v, a in layers) == both
    titles = [t.text for t in root.iter(SVG + "text") if t.get("class") == "pt"]
    assert titles == ["before: efficientnet_b0", "after: efficientnet_b0_less_downsampling"]
    for curve in ("p0", "p1", "x0", "x1"):
        assert text.count('class="%s"' % curve) >= 1, curve
    assert "n = 299 before" in text and "n = 171 after" in text
    assert text.count("border layer") == 1
    # only what the strides differ in is marked, once in each
    marked = [g.get("data-layers") for g in root.iter(SVG + "g") if g.get("data-layers") and
              any(r.get("class") == "g" for r in g)]
    assert marked == ["s4.0.conv2"] * 2, marked
    small = graph("vgg11", "--compare=vgg11", "--input=3x64x64")
    assert small.count("input 3x64x64") == 2


def test_the_border_layer():
    text = graph("efficientnet_b0")
    first = next(x for x in summary("efficientnet_b0")["layers"]
                 if x["verdict"] != "global" and x["r_min"][0] and x["r_min"][0] > 224)
    assert "border layer %s: r_min %d<" % (first["name"], first["r_min"][0]) in text
    assert "border layer" not in graph("resnet18")
    assert ">input 224<" in text and ">n = 299<" in text


def test_names_and_paths_are_escaped():
    folder = "a&b<i>\"'"
    os.makedirs(os.path.join(folder, "<", "script>"))
    for path in (folder + "/t.cnn", folder + "/</script>t.cnn"):
        write(path, TINY)
        text = graph(path)
        ET.fromstring(text)
        titles = [t.text for t in ET.fromstring(text).iter(SVG + "title")]
        assert any("source: " + path in t for t in titles), titles[-1]
        page = graph(path, "--format=html")
        Page().feed(page)
        assert "<i>" not in page and page.count("</script>") == 1
        assert dot_balanced(graph(path, "--format=dot"))
    write("b\x01\x7f.cnn", TINY)
    ET.fromstring(graph("b\x01\x7f.cnn"))
    with open(b"\xff\xfe.cnn", "w") as f:
        f.write(TINY)
    ET.fromstring(graph(b"\xff\xfe.cnn"))


def test_exit_codes():
    write("tiny.cnn", TINY)
    write("bad.cnn", "net x { stage }")
    expect(2, "graph")
    expect(2, "graph", "tiny.cnn", "resnet18")
    expect(2, "graph", "nosuchnet")
    expect(2, "graph", "tiny.cnn", "--compare=nosuchnet", "-o", "out.svg")
    expect(2, "graph", "tiny.cnn", "--format=png")
    expect(2, "graph", "tiny.cnn", "--format=dot", "--compare=tiny.cnn", "-o", "out.svg")
    expect(1, "graph", "bad.cnn", "-o", "out.svg")
    expect(1, "graph", "tiny.cnn", "--compare=bad.cnn", "-o", "out.svg")
    assert not os.path.exists("out.svg")
    expect(3, "graph", "tiny.cnn", "-o", "no/such/folder.svg")
    expect(0, "graph", "efficientnet_b0", "-o", "out.svg")  # refused by check, drawn all the same
    done = expect(0, "graph", "tiny.cnn", "-o", "out.svg")
    assert done.stdout == b"" and done.stderr == b""
    ET.parse("out.svg")


def test_the_same_every_time():
    for args in (["inception_v3"], ["nasnet_mobile", "--format=html"], ["resnet50", "--format=dot"]):
        assert graph(*args) == graph(*args)


def test_fast():
    best = 9.0
    for _ in range(5):
        start = time.time()
        graph("nasnet_large")
        best = min(best, time.time() - start)
    assert best < 0.2, best


def test_golden_files():
    shutil.copy(os.path.join(HERE, "tiny.cnn"), "tiny.cnn")
    for form in ("svg", "dot"):
        got = graph("tiny.cnn", "--format=" + form)
        with open(os.path.join(HERE, "tiny." + form)) as f:
            want = f.read()
        if got != want:
            lines = [(a, b) for a, b in zip(got.split("\n"), want.split("\n")) if a != b]
            raise AssertionError("%s differs (make pictures): %r" % (form, lines[:1]))


def test_the_pictures_of_the_documents_are_current():
    folder = os.path.join(SRC, "docs", "pictures")
    found = sorted(n for n in os.listdir(folder) if n.endswith(".svg"))
    assert found == ["efficientnet_b0.svg", "resnet18.svg"], found
    for name in found:
        with open(os.path.join(folder, name)) as f:
            assert f.read() == graph(name[:-4]), name + " is not current: make pictures"
        assert os.path.getsize(os.path.join(folder, name)) < 200000


def test_a_refinement_before_and_after():
    done = expect(0, "graph", "mobilenet_v3_small", "--refine", "-o", "r.svg")
    assert b"stride 2 -> 1 at features.4" in done.stderr
    expect(0, "refine", "mobilenet_v3_small", "-q", "-o", "after.cnn")
    one, two = open("r.svg", encoding="utf-8").read(), expect(
        0, "graph", "mobilenet_v3_small", "--compare", "after.cnn").stdout.decode()
    one, two = (re.sub(r"source: [^:]*:", "source: ", x) for x in (one, two))
    assert one == two, "--refine draws what refine writes"
    assert b"productive as it is" in expect(0, "graph", "resnet18", "--refine").stderr
    expect(2, "graph", "resnet18", "--refine", "--compare", "resnet34")
    expect(2, "graph", "mobilenet_v3_small", "--refine", "--format=dot")


sys.exit(main(globals(), "graph"))
