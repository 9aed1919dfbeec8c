"""What the tests of this folder share: a command must end in time, by itself, with a documented code, and
say what is wrong with which file, in text that a terminal may be shown."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SRC"], "tests", "cli"))
import harness  # noqa: E402
from harness import CAT, CNNC, SRC, TINY, Skip, npy, safetensors, tiny_weights, write  # noqa: E402,F401

SHIM = os.environ["SHIM"]
with open(CNNC, "rb") as _f:
    SANITIZED = b"__asan_init" in _f.read()
SLOW = 8 if SANITIZED else 1


def printable(data):
    """No byte that steers a terminal, and whole characters."""
    text = data.decode("utf-8")
    return not any(ord(c) < 32 and c not in "\n\t" or 127 <= ord(c) < 160 for c in text)


def command(args, timeout=10, **kw):
    env = {**os.environ, **kw.pop("env", {})}
    if SANITIZED:  # looking for leaks takes a process and descriptors that may be denied here
        env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    kw.setdefault("stdin", subprocess.DEVNULL)
    kw.setdefault("stdout", subprocess.PIPE)
    kw.setdefault("stderr", subprocess.PIPE)
    return subprocess.run(args, timeout=timeout * SLOW, env=env, **kw)


def attack(codes, *args, says=(), program=CNNC, **kw):
    """Runs cnnc; its exit code must be one of `codes`, and all of `says` in its messages."""
    done = command([program, *args], **kw)
    codes = codes if isinstance(codes, tuple) else (codes,)
    err = done.stderr or b""
    shown = "%s: exit %d, expected %s\n%s" % (
        [str(a)[:60] for a in args], done.returncode, codes, err.decode("utf-8", "replace")[-500:])
    assert done.returncode in codes, shown
    listed = "fmt" in args and done.stdout  # the names of files that differ are its result
    assert done.returncode == 0 or done.stderr is None or err or listed, shown
    for part in [says] if isinstance(says, (str, bytes)) else says:
        part = part if isinstance(part, bytes) else part.encode()
        assert done.returncode == 0 or part in err or listed, "no %r: %s" % (part, shown)
    assert printable(err), "raw characters: %r" % err[-300:]
    assert b"Sanitizer" not in err and b"runtime error" not in err, shown
    return done


def shim(**settings):
    """The environment of a command under the shim."""
    if SANITIZED:
        raise Skip("a sanitizer replaces the same calls")
    env = {"HOSTILE_" + k.upper(): str(v) for k, v in settings.items()}
    env["LD_PRELOAD"] = SHIM
    return env


def main(tests):
    return harness.main(tests, "hostile")
