"""The conventions of the command line: options, operands, streams, colours, environment, exit codes,
and that help, manual page and completions say the same."""
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

from harness import *

DEF = open(os.path.join(SRC, "src", "driver", "options.def")).read()
OPTIONS = re.findall(r'^OPT\((\w+), "([\w-]+)", (0|\'.\'), (NULL|"[^"]*"), "([\w*]+)", "(.*)"\)$',
                     DEF, re.M)
OPTIONS += [("TRAIN_" + i, name, "0", arg, "t", doc) for i, name, arg, doc in re.findall(
    r'^OPTION_\w+\((\w+), "([\w-]+)", ("[^"]*"),.* "(.*)"\)$',
    open(os.path.join(SRC, "src", "elab", "train_option.def")).read(), re.M)]
COMMANDS = re.findall(r'^CMD\(\w+, "([\w-]+)", \'(.)\'', DEF, re.M)
LINTS = re.findall(r'^DIAG\(\w+, "(\w+)", SEV_(\w+), "(\w+)"',
                   open(os.path.join(SRC, "src", "support", "diag.def")).read(), re.M)
BARE = {k: v for k, v in os.environ.items()
        if k not in ("NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "CNNC_PATH")}
BAD = "net x { stage }"


def options_of(letter):
    return {long for _, long, _, _, commands, _ in OPTIONS if commands == "*" or letter in commands}


def on_terminal(args, env):
    """stderr of a run whose stderr is a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([CNNC] + args, stdout=subprocess.DEVNULL, stderr=theirs,
                             stdin=subprocess.DEVNULL, env=env)
    os.close(theirs)
    out = b""
    while True:
        try:
            got = os.read(ours, 65536)
        except OSError:
            break
        if not got:
            break
        out += got
    child.wait(timeout=20)
    os.close(ours)
    return out


COLOURS = [
    # (on a terminal, environment, options, colours)
    (True, {"TERM": "xterm"}, [], True),
    (True, {}, [], False),
    (True, {"TERM": "dumb"}, [], False),
    (True, {"TERM": "xterm", "NO_COLOR": "1"}, [], False),
    (True, {"TERM": "xterm", "NO_COLOR": ""}, [], True),
    (True, {"TERM": "xterm", "NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, [], False),
    (True, {"TERM": "xterm", "CLICOLOR": "0"}, [], False),
    (True, {"TERM": "xterm", "CLICOLOR": "1"}, [], True),
    (True, {"TERM": "xterm", "CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, [], True),
    (True, {"TERM": "xterm"}, ["--color=never"], False),
    (True, {"TERM": "xterm", "NO_COLOR": "1"}, ["--color=auto"], False),
    (False, {"TERM": "xterm"}, [], False),
    (False, {"TERM": "xterm", "CLICOLOR": "1"}, [], False),
    (False, {"TERM": "xterm", "CLICOLOR_FORCE": "1"}, [], True),
    (False, {"TERM": "xterm", "CLICOLOR_FORCE": "0"}, [], False),
    (False, {"TERM": "dumb", "CLICOLOR_FORCE": "1"}, [], True),
    (False, {"NO_COLOR": "1"}, ["--color=always"], True),
    (False, {"CLICOLOR_FORCE": "1"}, ["--color=never"], False),
    (False, {"CLICOLOR_FORCE": "1"}, ["--color=always", "--color=never"], False),
    (False, {"CLICOLOR_FORCE": "1"}, ["--message-format=json"], False),
    (False, {"CLICOLOR_FORCE": "1"}, ["--message-format=sarif"], False),
]


def test_colours():
    write("bad.cnn", BAD)
    for terminal, env, args, want in COLOURS:
        args, env = ["check", "bad.cnn"] + args, {**BARE, **env}
        text = on_terminal(args, env) if terminal else subprocess.run(
            [CNNC] + args, stderr=subprocess.PIPE, env=env, timeout=20).stderr
        assert b"E01" in text and (b"\x1b[" in text) == want, (terminal, env.get("TERM"), args, text)


def test_colours_are_in_results_too():
    env = {**BARE, "CLICOLOR_FORCE": "1"}
    for args in (["summary", "mobilenet_v3_small"], ["explain", "E0502"]):
        done = subprocess.run([CNNC] + args, stdout=subprocess.PIPE, env=env, timeout=20)
        assert b"\x1b[" in done.stdout, args
        done = subprocess.run([CNNC] + args + ["-o", "out.txt"], env=env, timeout=20)
        with open("out.txt", "rb") as f:
            assert b"\x1b" not in f.read(), args


def test_options_and_operands_in_any_order():
    write("tiny.cnn", TINY)
    write("-x.cnn", TINY)
    want = expect(0, "summary", "tiny.cnn", "--format=csv").stdout
    for args in (["--format=csv", "tiny.cnn"], ["--format", "csv", "tiny.cnn"],
                 ["tiny.cnn", "--format", "csv"], ["--format=csv", "--", "tiny.cnn"],
                 ["-q", "tiny.cnn", "--format=csv"], ["-qv", "--format=csv", "tiny.cnn"],
                 ["--format=csv", "./-x.cnn"], ["--format=json", "--format=csv", "tiny.cnn"]):
        assert expect(0, "summary", *args).stdout.replace(b"-x.cnn", b"tiny.cnn").replace(
            b"./", b"") == want, args
    assert expect(0, "summary", "--format=csv", "--", "-x.cnn").stdout.replace(
        b"-x.cnn", b"tiny.cnn") == want
    expect(2, "summary", "--format=csv", "-x.cnn")
    for args in (["-oout.csv"], ["-o", "out.csv"], ["--output=out.csv"], ["--output", "out.csv"],
                 ["-o", "other.csv", "-o", "out.csv"]):
        expect(0, "summary", "tiny.cnn", "--format=csv", *args)
        with open("out.csv", "rb") as f:
            assert f.read() == want, args
        os.unlink("out.csv")
    assert not os.path.exists("other.csv")


def test_repeated_lists_add_up():
    write("tiny.cnn", TINY.replace("res: int", "a: int = 1, res: int").replace("16)", "8 * a)"))
    done = expect(0, "summary", "tiny.cnn", "-p", "res=32", "-p", "a=2", "--format=json")
    assert json.loads(done.stdout)["input"] == [3, 32, 32]
    expect(0, "check", "mobilenet_v3_small", "-A", "underutilized", "-A", "unproductive")


def test_the_standard_input_is_a_file():
    write("tiny.cnn", TINY)
    for args in (["check", "-"], ["summary", "-", "--format=json"], ["nets", "-"],
                 ["print-graph", "-"], ["fmt", "-"]):
        with open("tiny.cnn") as f:
            done = expect(0, *args, stdin=f)
        assert bool(done.stdout) == (args[0] != "check"), args
    with open("tiny.cnn") as f:
        assert expect(0, "nets", "-", "--names", stdin=f).stdout == b"tiny\n"
    write("bad.cnn", BAD)
    with open("bad.cnn") as f:
        assert b"<stdin>:1:15: error" in expect(1, "check", "-", stdin=f).stderr


MISUSES = [
    # (arguments, part of the message)
    ([], "no command given"),
    (["chekc"], "did you mean 'check'?"),
    (["frobnicate"], "'cnnc --help' lists them"),
    (["-q", "check", "x.cnn"], "stands before the command"),
    (["--color=never", "check", "x.cnn"], "stands before the command"),
    (["help", "chekc"], "did you mean 'check'?"),
    (["check"], "needs NET..."),
    (["check", ""], "operand of 'check' is empty"),
    (["summary", "a", "b"], "found also 'b'"),
    (["man", "check"], "takes no operand"),
    (["check", "--frobnicate", "x.cnn"], "unknown option '--frobnicate'"),
    (["check", "--colour=never", "x.cnn"], "did you mean '--color'?"),
    (["check", "--col=never", "x.cnn"], "did you mean '--color'?"),
    (["check", "--message", "json", "x.cnn"], "did you mean '--message-format'?"),
    (["check", "--vers", "x.cnn"], "unknown option '--vers'"),
    (["check", "-Z", "x.cnn"], "unknown option '-Z'"),
    (["check", "-qZ", "x.cnn"], "unknown option '-Z'"),
    (["check", "--quiet=yes", "x.cnn"], "'--quiet' takes no value"),
    (["check", "x.cnn", "-o"], "'-o' needs a value"),
    (["check", "x.cnn", "--color"], "'--color' needs a value"),
    (["check", "--sweep=1:2:3", "x.cnn"], "does not belong to 'check'"),
    (["check", "--color=red", "x.cnn"], "--color takes auto, always or never, not 'red'"),
    (["check", "--message-format=xml", "x.cnn"], "takes human, short, json or sarif, not 'xml'"),
    (["summary", "--format=xml", "x.cnn"], "takes table, json or csv"),
    (["graph", "--format=json", "x.cnn"], "takes svg, dot or html, not 'json'"),
    (["summary", "--format=svg", "x.cnn"], "takes table, json or csv, not 'svg'"),
    (["check", "--stop-after=end", "x.cnn"], "takes ast, graph, fuse, plan or llvm"),
    (["check", "--error-limit=0", "x.cnn"], "from 1 to 1000000"),
    (["check", "--error-limit=99999999999999999999", "x.cnn"], "from 1 to 1000000"),
    (["check", "--error-limit=5x", "x.cnn"], "not '5x'"),
    (["verify", "--seed=-1", "resnet18"], "--seed takes a whole number"),
    (["run", "resnet18", "--init=99999999999999999999", "--input=x.npy"], "--init takes"),
    (["check", "--allow=unuset", "x.cnn"], "did you mean 'unused'?"),
    (["check", "--warn=unuset", "x.cnn"], "did you mean 'unused'?"),
    (["check", "--deny=unused,unuset", "x.cnn"], "did you mean 'unused'?"),
    (["check", "--deny=E0101", "x.cnn"], "unknown lint 'E0101'"),
    (["check", "--deny=warning", "x.cnn"], "did you mean 'warnings'?"),
    (["explain", "unuset"], "did you mean 'unused'?"),
    (["explain", "lint"], "did you mean 'lints'?"),
    (["explain", "e041"], "did you mean 'E04"),
    (["explain", "frobnicate"], "'cnnc explain' lists them"),
    (["completions", "tcsh"], "for bash, zsh and fish"),
    (["completions"], "needs bash|zsh|fish"),
]


def test_misuse_exits_2_and_says_what_to_do():
    for args, part in MISUSES:
        done = expect(2, *args)
        text = done.stderr.decode()
        assert part in text and done.stdout == b"" and text.count("\n") == 1, (args, text)


def test_empty_values_are_refused():
    letters = {letter: name for name, letter in COMMANDS}
    for _, long, short, arg, commands, _ in OPTIONS:
        if arg == "NULL" or arg.startswith('"['):
            continue
        command = "check" if commands == "*" else letters[commands[0]]
        for word in ("--%s=" % long, *(["-" + short[1]] if short != "0" else [])):
            args = [command, word] + ([""] if word[1] != "-" else [])
            text = expect(2, *args, "x.cnn").stderr.decode()
            assert "--%s needs a value that is not empty" % long in text, (word, text)


def test_levels_of_lints():
    write("w.cnn", "import std.blocks\nblock b(scale: real) = drop_path(scale)\n")
    for args, code, said in (
            ([], 0, "warning"), (["-Dunused"], 1, "error"), (["--deny", "unused"], 1, "error"),
            (["-DW0207"], 1, "error"), (["-Dw0207"], 1, "error"),
            (["--deny=shadows-operator"], 1, "warning"), (["-Dwarnings"], 1, "error"),
            (["-Dwarnings", "-Wunused"], 1, "warning"),
            (["-Dwarnings", "-Wunused,shadows_operator"], 0, "warning"),
            (["-Dunused", "-Aunused"], 0, None), (["-Aunused", "-Dunused"], 1, "error"),
            (["-Aunused", "-Dwarnings"], 1, None), (["-Awarnings"], 0, None),
            (["-Awarnings", "-Wwarnings"], 0, "warning"), (["-A", "warnings,unused"], 0, None),
            (["-Dunused,", "-Aunused"], 0, None)):
        done = expect(code, "check", "w.cnn", *args, "--message-format=short")
        line = re.search(r"(\w+)\[W0207\]", done.stderr.decode())
        assert (line[1] if line else None) == said, (args, done.stderr)
    for _, level, name in LINTS:
        row = re.search(r"^%s +\w+ +(\w+)" % name, expect(0, "explain", "lints").stdout.decode(), re.M)
        assert row[1] == ("deny" if level == "ERROR" else "warn"), name


def test_help_and_version():
    for args in (["--help"], ["-h"], ["help"]):
        text = expect(0, *args).stdout.decode()
        for name, _ in COMMANDS:
            assert re.search(r"^  %s\b" % name, text, re.M), name
    for args in (["--version"], ["version"], ["check", "--version"], ["check", "x", "--version"]):
        assert re.match(rb"cnnc \d+\.\d+\.\d+", expect(0, *args).stdout), args


def flags(text):
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", text))


def test_help_manual_and_completions_name_the_same_options():
    man = expect(0, "man").stdout.decode().replace("\\-", "-")
    scripts = {s: expect(0, "completions", s).stdout.decode() for s in ("bash", "zsh", "fish")}
    named = set(re.findall(r"^(?:\\fB-.\\fR, )?\\fB--([\w-]+)\\fR", man, re.M))
    assert named == {o[1] for o in OPTIONS}, named ^ {o[1] for o in OPTIONS}
    assert set(re.findall(r"complete -c cnnc.* -l ([\w-]+)", scripts["fish"])) == \
        {o[1] for o in OPTIONS} | {"version"}
    for name, letter in COMMANDS:
        want = options_of(letter)
        for args in ([name, "--help"], ["help", name]):
            text = expect(0, *args).stdout.decode()
            got = set(re.findall(r"^  (?:-.,|   ) --([\w-]+)", text, re.M))
            assert got == want, (args, got ^ want)
        bash = re.search(r"^ +%s\) words=\"(--.*) --version\" ;;" % name, scripts["bash"], re.M)
        assert flags(bash[1]) == want, flags(bash[1]) ^ want
        zsh = re.search(r"^        %s\) _arguments(.*?);;$" % name, scripts["zsh"], re.M | re.S)
        got = set(re.findall(r"^            '\*--([\w-]+)", zsh[1], re.M))
        assert got == want, got ^ want
        assert re.search(r"^\\fB%s\\fR" % re.escape(name), man, re.M), name
    for variable, doc in re.findall(r'^ENV\("(\w+)", "(.*)"\)$', DEF, re.M):
        assert ".B %s\n%s\n" % (variable, doc) in man, variable


def test_bash_completes():
    write("comp.bash", expect(0, "completions", "bash").stdout)
    write("ask.sh", """. ./comp.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_cnnc
printf '%s\\n' "${COMPREPLY[@]}"
""")
    path = {**os.environ, "PATH": os.path.dirname(CNNC) + ":" + os.environ["PATH"]}
    write("some.cnn", TINY)

    def ask(*words):
        done = subprocess.run(["bash", "ask.sh", "cnnc", *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=path, timeout=20)
        assert done.stderr == b"", done.stderr
        return done.stdout.decode().split()
    assert ask("chec") == ["check"] and "explain" in ask("")
    assert ask("check", "--fix-") == ["--fix-suggested"]
    assert ask("check", "--message-format", "=", "sa") == ["sarif"]
    assert ask("summary", "--format", "") == ["table", "json", "csv"]
    assert ask("graph", "--format", "") == ["svg", "dot", "html"]
    assert ask("check", "--color", "") == ["auto", "always", "never"]
    assert ask("check", "-D", "unu") == ["unused", "unused_names"]
    assert "resnet18" in ask("check", "res") and "some.cnn" in ask("check", "some")
    assert ask("explain", "E050") == ["E0502", "E0503"] and ask("completions", "z") == ["zsh"]
    assert ask("help", "summ") == ["summary"]


def test_other_shells_can_read_their_completions():
    missing = [s for s in ("zsh", "fish") if shutil.which(s) is None]
    for shell in {"zsh", "fish"} - set(missing):
        write("c." + shell, expect(0, "completions", shell).stdout)
        done = subprocess.run([shell, "-n", "c." + shell], stderr=subprocess.PIPE, timeout=20)
        assert done.returncode == 0 and not done.stderr, (shell, done.stderr)
    if missing:
        raise Skip("not installed: " + ", ".join(missing))


def test_the_manual_page_is_well_formed():
    if shutil.which("groff") is None:
        raise Skip("groff is not installed")
    write("cnnc.1", expect(0, "man").stdout)
    done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z", "cnnc.1"], stderr=subprocess.PIPE,
                          timeout=20)
    assert done.returncode == 0 and done.stderr == b"", done.stderr


PRINTING = [["summary", "resnet18"], ["graph", "resnet18"], ["nets"], ["nets", "--names"], ["print-graph", "resnet18"],
            ["pass"], ["explain"],
            ["explain", "E0502"], ["explain", "lints"], ["man"], ["completions", "bash"],
            ["--help"], ["--version"], ["check", "--help"],
            ["check", "resnet18", "-v", "--message-format=json", "-o", "-"]]


def test_results_that_cannot_be_written_are_an_error():
    for args in PRINTING:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([CNNC] + args, stdout=full, stderr=subprocess.PIPE, timeout=20)
        assert done.returncode == 3 and b"space" in done.stderr, (args, done)
        done = subprocess.run([CNNC] + args, stderr=subprocess.PIPE, timeout=20,
                              preexec_fn=lambda: os.close(1))
        assert done.returncode == 3 and done.stderr, (args, done)
        ours, theirs = os.pipe()
        os.close(ours)
        done = subprocess.run([CNNC] + args, stdout=theirs, stderr=subprocess.PIPE, timeout=20)
        os.close(theirs)
        assert done.returncode == 3 and b"pipe" in done.stderr, (args, done)


def test_closed_streams_are_not_taken_for_files():
    write("tiny.cnn", TINY)
    for closed in (0, 1, 2):
        for args, code in ((["check", "tiny.cnn"], 0), (["check", "missing.cnn"], 3),
                           (["summary", "tiny.cnn", "-o", "out"], 0)):
            done = subprocess.run([CNNC] + args, timeout=20, preexec_fn=lambda: os.close(closed),
                                  stdout=subprocess.PIPE if closed != 1 else None,
                                  stderr=subprocess.PIPE if closed != 2 else None)
            assert done.returncode == code, (closed, args, done)
    for closed in (0, 1, 2):
        child = subprocess.Popen([CNNC, "check", "tiny.cnn" if closed == 0 else "-"],
                                 stdin=subprocess.PIPE, preexec_fn=lambda: os.close(closed))
        name = "/proc/%d/fd/%d" % (child.pid, closed)
        end = time.time() + 5
        replaced = closed == 0
        while not replaced and time.time() < end:
            try:  # before that the loader's libraries have been there
                replaced = os.readlink(name) == "/dev/null"
            except OSError:
                time.sleep(0.001)
        child.communicate(TINY.encode() if closed != 0 else None, timeout=20)
        assert replaced, closed
    with open("out") as f:
        assert f.read().startswith("tiny") and open("tiny.cnn").read() == TINY
    done = subprocess.run([CNNC, "check", "tiny.cnn", "--message-format=json"], timeout=20,
                          preexec_fn=lambda: os.close(2))
    assert done.returncode == 3  # the document is lost


def fake_codegen():
    """A copy of cnnc whose code generator fails at everything: an internal error on demand."""
    os.makedirs("fake/bin")
    os.makedirs("fake/lib")
    shutil.copy(CNNC, "fake/bin/cnnc")
    write("fake.c", """#include "codegen/codegen.h"
#include <stdio.h>
static bool target(const char *cpu, Target *out, char *err, size_t n)
{ (void)cpu; (void)err; (void)n; *out = (Target){.vl = 8, .regs = 16, .l1 = 1 << 15, .l2 = 1 << 20}; return true; }
static bool emit(const Plan *p, EmitKind k, const EmitOptions *o, EmitResult *r, char *err, size_t n)
{ (void)p; (void)k; (void)o; (void)r; snprintf(err, n, "made to fail"); return false; }
static void no_memory(void (*fn)(void)) { (void)fn; }
static void host(char *cpu, size_t n) { snprintf(cpu, n, "fake"); }
static const CodegenApi api = {.abi = CODEGEN_ABI, .llvm_version = "0", .host = host, .target = target, .emit = emit, .no_memory = no_memory};
const CodegenApi *cnnc_codegen_entry(void);
const CodegenApi *cnnc_codegen_entry(void) { return &api; }
""")
    subprocess.run(["cc", "-std=gnu17", "-shared", "-fPIC", "-I", os.path.join(SRC, "src"), "-I",
                    os.path.join(SRC, "include"), "-o", "fake/lib/libcnnc_codegen.so", "fake.c"],
                   check=True, timeout=60)
    return os.path.abspath("fake/bin/cnnc")


def exit_0():
    write("w.cnn", "import std.blocks\n" + TINY.split("\n", 1)[1].replace("conv_bn_act(8, stride=2)",
          "conv(8, k=3, stride=2)").replace("conv_bn_act(16)", "conv(16, k=3)"))
    assert b"warning" in expect(0, "check", "w.cnn").stderr
    expect(1, "check", "w.cnn", "--deny=warnings")
    expect(0, "check", "resnet18")


def exit_1():
    write("bad.cnn", BAD)
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 15])
    safetensors("w.safetensors", tiny_weights(drop="s2.0.bn.bias"))
    for args in (["check", "bad.cnn"], ["build", "bad.cnn", "--init=1"], ["summary", "bad.cnn"],
                 ["run", "tiny.cnn", "--init=1", "--input=x.npy"],
                 ["run", "tiny.cnn", "--weights=w.safetensors", "--input=x.npy"],
                 ["verify", "tiny.cnn", "--tolerance=1e-30"], ["fmt", "bad.cnn"],
                 ["check", "mobilenet_v3_small"]):
        assert expect(1, *args).returncode == 1
    write("ugly.cnn", "let   a=1\n")
    expect(1, "fmt", "--check", "ugly.cnn")


def exit_2():
    for args in (["frobnicate"], ["check", "--frobnicate", "x"], ["check", "--allow=nothing", "x"],
                 ["check", "no_such_net"], ["check", "--error-limit=x", "x"], ["run", "resnet18"],
                 ["check"]):
        expect(2, *args)


def exit_3():
    write("tiny.cnn", TINY)
    write("bad.safetensors", b"junk")
    npy("x.npy", [1, 3, 16, 16])
    os.mkdir("folder.cnn")
    for args in (["check", "missing.cnn"], ["check", "folder.cnn"], ["summary", "resnet18", "-o", "no/such"],
                 ["run", "tiny.cnn", "--weights=bad.safetensors", "--input=x.npy"],
                 ["build", "tiny.cnn", "--init=1", "--target-cpu=z80"],
                 ["check", "resnet18", "--message-format=sarif", "-o", "/dev/full"]):
        expect(3, *args)


def exit_4():
    with open(CNNC, "rb") as f:
        if b"__asan_init" in f.read():
            return  # a sanitizer needs more address space
    limit = (64 << 20, 64 << 20)  # the libraries take 45 MB
    write("big.cnn", "\n".join("let a%d = %s" % (i, " + ".join(["1"] * 50)) for i in range(20000)))
    done = run("check", "big.cnn", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit))
    assert done.returncode == 4 and b"memory" in done.stderr, done


def exit_70():
    program = fake_codegen()
    write("tiny.cnn", TINY)
    args = [program, "build", "tiny.cnn", "--init=1", "--emit=llvm-ir", "-o", "tiny.ll"]
    done = subprocess.run(args, stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 70, done
    assert b"made to fail" in done.stderr and b"please report" in done.stderr
    done = subprocess.run(args + ["--message-format=sarif"], stderr=subprocess.PIPE, timeout=20)
    (log,) = json.loads(done.stderr)["runs"]
    assert log["invocations"][0]["exitCode"] == 70 == done.returncode
    assert not log["invocations"][0]["executionSuccessful"] and not os.path.exists("tiny.ll")


def interrupted(number):
    child = subprocess.Popen([CNNC, "verify", "resnet50"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    time.sleep(0.2)
    child.send_signal(number)
    return child.wait(timeout=20)


def exit_130_143():
    assert interrupted(signal.SIGINT) == -signal.SIGINT
    assert interrupted(signal.SIGTERM) == -signal.SIGTERM
    assert 128 + signal.SIGINT == 130 and 128 + signal.SIGTERM == 143


def test_exit_codes_row_by_row():
    text = open(os.path.join(SRC, "docs", "exit-codes.md")).read()
    rows = dict(re.findall(r"^\| ([\d, ]+) \| (.*) \|$", text, re.M))
    cases = {"0": exit_0, "1": exit_1, "2": exit_2, "3": exit_3, "4": exit_4, "70": exit_70,
             "130, 143": exit_130_143}
    assert set(rows) == set(cases), set(rows) ^ set(cases)
    table = dict(re.findall(r'^EXIT\(\w+, (\d+), "(.*)"\)$', open(
        os.path.join(SRC, "src", "driver", "exit.def")).read(), re.M))
    for where in (expect(0, "--help").stdout.decode(),
                  expect(0, "man").stdout.decode().replace("\\-", "-")):
        for number, doc in table.items():
            assert doc in where, (number, doc)
    for number, doc in table.items():
        assert rows[number].replace("`", "").startswith(doc), (number, doc)
    for number, case in cases.items():
        try:
            case()
        except AssertionError as e:
            raise AssertionError("exit code %s: %s" % (number, e)) from e


def test_the_highest_exit_code_counts():
    write("bad.cnn", BAD)
    for args, code in ((["bad.cnn", "resnet18"], 1), (["no_such_net", "bad.cnn"], 2),
                       (["bad.cnn", "no_such_net"], 2), (["no_such_net", "missing.cnn"], 3),
                       (["missing.cnn", "no_such_net", "bad.cnn"], 3)):
        expect(code, "check", *args)


def test_seeds_of_made_up_inputs():
    write("tiny.cnn", TINY)
    one, same, other = (expect(0, "verify", "tiny.cnn", *a).stdout
                        for a in ([], ["--seed=1"], ["--seed=2"]))
    assert one == same != other


def test_verbose_and_quiet():
    write("tiny.cnn", TINY)
    assert b"'tiny': input 16x16, n = 7x7" in expect(0, "check", "-v", "tiny.cnn").stderr
    assert expect(0, "check", "-v", "-q", "tiny.cnn").stderr == b""
    npy("x.npy", [1, 3, 16, 16])
    for args, said in (([], True), (["-q"], False)):
        done = expect(0, "run", "tiny.cnn", "--init=1", "--input=x.npy", "--output=y.npy", *args)
        assert (b"untrained" in done.stderr) == said


sys.exit(main(globals()))
