"""Disks that fail and calls that do half of what they are asked: old outputs stay, nothing is left over."""
import os
import subprocess
import sys
import threading

from hostile import (CNNC, TINY, Skip, attack, command, main, npy, safetensors, shim, tiny_weights, write)

KINDS = {"exe": "", "so": ".so", "obj": ".o", "header": ".h", "llvm-ir": ".ll", "asm": ".s",
         "weights": ".safetensors"}


def inputs():
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 16])
    safetensors("w.safetensors", tiny_weights())
    os.mkdir("tmp")
    os.mkdir("out")
    write("out/old", "the old one")


def writers():
    base = ["--weights=w.safetensors", "-o", "out/old"]
    for kind in KINDS:
        yield ["build", "tiny.cnn", "--emit=" + kind] + base
    yield ["run", "tiny.cnn", "--input=x.npy"] + base
    yield ["summary", "tiny.cnn", "-o", "out/old"]
    yield ["print-graph", "tiny.cnn", "-o", "out/old"]
    yield ["check", "tiny.cnn", "--message-format=sarif", "-o", "out/old"]
    yield ["man", "-o", "out/old"]


def untouched(what):
    assert open("out/old", "rb").read() == b"the old one", "the old output is lost: %s" % what
    assert os.listdir("out") == ["old"], "%s left %s" % (what, os.listdir("out"))
    assert os.listdir("tmp") == [], "%s left %s in TMPDIR" % (what, os.listdir("tmp"))


def test_one_byte_at_a_time():
    inputs()
    for setting in ({"short": 1}, {"short": 1, "eintr": 3}, {"eintr": 2}):
        env = {**shim(**setting), "TMPDIR": os.path.abspath("tmp")}
        for args in writers():
            if setting.get("short") and "--emit=so" not in args and "summary" not in args and (
                    "--emit=weights" not in args):
                continue  # these write much, and all by one function
            attack(0, *args, env=env, timeout=30)
            write("out/old", "the old one")
            untouched(args)
        attack(0, "check", "-", env=env, stdin=None, input=TINY.encode())
        attack(0, "fmt", "--check", "tiny.cnn", env=env)


def test_full_disks():
    inputs()
    for room in (0, 1, 100, 1000):
        env = {**shim(full=room), "TMPDIR": os.path.abspath("tmp")}
        for args in writers():
            done = attack((0, 3), *args, env=env)
            if done.returncode == 0:
                assert room >= 100, args  # it was that small
                write("out/old", "the old one")
            else:
                assert b"No space left" in done.stderr, done.stderr
            untouched((room, args))


def test_disks_that_lose_what_is_synced():
    inputs()
    for setting in ({"sync": 1}, {"rename": 1}):
        env = {**shim(**setting), "TMPDIR": os.path.abspath("tmp")}
        for args in writers():
            attack(3, *args, env=env, says="tmp/cnnc" if "rename" not in setting and any(
                k in args for k in ("--emit=exe", "--emit=so", "--emit=obj")) else "")
            untouched((setting, args))


def test_repairs_on_a_full_disk_lose_nothing():
    text = "let   a=1\n" + TINY
    for room in (0, 1, 60):
        write("ugly.cnn", text)
        attack(3, "fmt", "ugly.cnn", env=shim(full=room), says="ugly.cnn")
        assert open("ugly.cnn").read() == text and os.listdir(".") == ["ugly.cnn"], os.listdir(".")


def test_file_size_limits_are_no_signal():
    inputs()
    import resource
    for limit in (0, 100, 5000):
        for args in writers():
            done = attack((0, 3), *args, env={"TMPDIR": os.path.abspath("tmp")},
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
            if done.returncode == 0:
                write("out/old", "the old one")
            untouched((limit, args))


def test_a_small_file_system():
    inputs()
    script = """mkdir small && mount -t tmpfs -o size=%dk tmpfs small || exit 99
        printf old > small/old
        "$CNNC" build tiny.cnn --init=1 -q --emit=%s -o small/old; code=$?
        [ $code = 0 ] || [ "$(cat small/old)" = old ] || code=98
        [ "$(ls small)" = old ] || code=97
        umount small; rmdir small; exit $code"""
    for size, code in ((8, 3), (64, 3), (4096, 0)):
        for kind in ("exe", "so", "obj"):
            done = command(["unshare", "-rm", "sh", "-c", script % (size, kind)], timeout=30)
            if done.returncode in (1, 99, 127):
                raise Skip("no file system can be mounted here")
            fits = (code,) if size != 64 else (0, 3)
            assert done.returncode in fits, (size, kind, done)
    done = command(["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=8k tmpfs tmp && "
                    'TMPDIR=$PWD/tmp "$CNNC" build tiny.cnn --init=1 -q -o out/new'])
    assert done.returncode == 3 and b"space" in done.stderr, done


def test_folders_that_take_nothing():
    inputs()
    if os.getuid() == 0:
        script = 'mount --bind -o ro out out && mount -o remount,bind,ro out && cd out && "$CNNC" %s'
        for args in ("build ../tiny.cnn --init=1", "build ../tiny.cnn --init=1 --emit=so,header",
                     "summary ../tiny.cnn -o report", "fmt old"):
            done = command(["unshare", "-rm", "sh", "-c", script % args])
            if b"mount" in done.stderr:
                raise Skip("a root writes anywhere, and nothing can be mounted here")
            assert done.returncode in (1, 3) and done.stderr, (args, done)
        done = command(["unshare", "-rm", "sh", "-c", script % "check ../tiny.cnn"])
        assert done.returncode == 0, done
    else:
        os.chmod("out", 0o555)
        for args in (["build", "../tiny.cnn", "--init=1"], ["summary", "../tiny.cnn", "-o", "report"]):
            attack(3, *args, cwd="out")
        attack(0, "check", "../tiny.cnn", cwd="out")
    untouched("read-only")


def test_weights_cut_while_they_are_mapped():
    """Nobody may be killed by SIGBUS because somebody rewrites a file."""
    write("tiny.cnn", TINY.replace("conv_bn_act(16)", "conv_bn_act(400)"))
    attack(0, "build", "tiny.cnn", "--init=1", "--emit=weights", "-o", "whole")
    whole = open("whole", "rb").read()
    npy("x.npy", [8, 3, 16, 16])
    os.mkdir("tmp")
    for args in (["run", "tiny.cnn", "--weights=w", "--input=fixture:1"],
                 ["build", "tiny.cnn", "--weights=w", "-o", "out"],
                 ["build", "tiny.cnn", "--weights=w", "--emit=weights", "-o", "out"],
                 ["verify", "tiny.cnn", "--weights=w"]):
        write("w", whole)
        # what is copied by the kernel is missed there, without the name
        attack(3, *args, says="cut while it was read" if "--emit=weights" in args else "w: ", env={**shim(cut="w"), "TMPDIR": os.path.abspath("tmp")})
    attack(3, "run", "tiny.cnn", "--init=1", "--input=x.npy", says="x.npy: ", env=shim(cut="x.npy"))
    assert sorted(os.listdir(".")) == ["tiny.cnn", "tmp", "w", "whole", "x.npy"], os.listdir(".")
    assert os.listdir("tmp") == []


def test_weights_rewritten_meanwhile():
    write("tiny.cnn", TINY)
    whole = open(safetensors("w", tiny_weights()), "rb").read()
    stop = threading.Event()

    def rewrite():
        n = 0
        while not stop.is_set():
            n = (n + 997) % len(whole)
            with open("w", "r+b") as f:
                f.truncate(n)
                f.seek(0)
                f.write(whole)
    other = threading.Thread(target=rewrite)
    other.start()
    try:
        for _ in range(60):
            done = subprocess.run([CNNC, "build", "tiny.cnn", "--weights=w", "--emit=weights", "-o", "out"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
            assert done.returncode in (0, 1, 3), done
            assert done.returncode == 0 or b"w" in done.stderr
    finally:
        stop.set()
        other.join()


if __name__ == "__main__":
    sys.exit(main(globals()))
