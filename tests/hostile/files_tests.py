"""Files that are none: FIFOs, folders, devices, links to nowhere and to themselves, truncated and empty ones."""
import os
import subprocess
import sys

from hostile import (CAT, CNNC, SRC, TINY, Skip, attack, command, main, npy, safetensors, tiny_weights,
                     write)

GRAPH = os.path.join(SRC, "tests", "pass", "gate.graph")


def readers(path, npy_path=None):
    """One command for each reader of files."""
    write("good.cnn", TINY)
    npy("good.npy", [1, 3, 16, 16])
    return [["check", path], ["summary", path], ["fmt", "--check", path], ["check", "--fix", path],
            ["run", "good.cnn", "--init=1", "--input", path],
            ["run", "good.cnn", "--init=1", "--input", npy_path or path],
            ["run", "good.cnn", "--weights", path, "--input", "good.npy"],
            ["run", "good.cnn", "--init=1", "--input", CAT, "--classes", path],
            ["build", "good.cnn", "--weights", path, "--emit=weights", "-o", "out"],
            ["verify", "good.cnn", "--weights", path],
            ["pass", "read", path]]


def all_refuse(name, codes=(1, 2, 3), why=""):
    """Under several endings, since some readers go by them."""
    for ending in ("", ".cnn", ".npy", ".png", ".safetensors"):
        if ending and not os.path.lexists(name + ending):
            os.symlink(os.path.abspath(name) if not name.startswith("/") else name,
                       os.path.basename(name) + ending)
    base = os.path.basename(name)
    for args in readers(base + ".cnn", base + ".npy"):
        done = attack(codes, *args, says=base, timeout=5)
        if args[0] not in ("fmt",):
            assert why.encode() in done.stderr, (args, done.stderr)


def test_fifos_are_not_waited_for():
    os.mkfifo("pipe")
    all_refuse("pipe", (3,), "is not a regular file")


def test_folders():
    os.mkdir("folder")
    all_refuse("folder", (0, 3))
    attack(3, "pass", "read", "folder", says="folder: is a directory")


def test_devices_are_not_read():
    all_refuse("/dev/zero", (3,), "is not a regular file")
    all_refuse("/dev/full", (3,), "is not a regular file")


def test_empty_files():
    write("empty", "")
    for args in readers("empty"):
        attack((0, 1, 2, 3), *args)
    write("empty.npy", "")
    attack(3, "run", "good.cnn", "--init=1", "--input", "empty.npy", says="empty.npy")
    attack(3, "run", "good.cnn", "--init=1", "--input", "empty", says="empty")
    attack(3, "run", "good.cnn", "--weights", "empty", "--input", "good.npy", says="empty")
    attack((1, 3), "pass", "read", "empty", says="empty")


def test_unreadable_files():
    write("locked", TINY)
    write("good.cnn", TINY)
    os.chmod("locked", 0)
    drop = {}
    if os.getuid() == 0:  # who reads everything
        os.chmod(".", 0o777)
        drop = {"user": 65534, "group": 65534, "extra_groups": []}
        try:
            if command([CNNC, "check", "good.cnn"], **drop).returncode != 0:
                raise OSError(0, "cnnc cannot be run by others")
        except OSError as e:
            raise Skip("root reads everything, and no other user can be had: %s" % e.strerror)
    for args in readers("locked"):
        attack((2, 3), *args, says="locked", **drop)


def test_links_to_nowhere_and_to_themselves():
    os.symlink("nowhere", "dangling")
    os.symlink("loop_b", "loop_a")
    os.symlink("loop_a", "loop_b")
    for args in readers("dangling"):
        attack((2, 3), *args, says="dangling")
    for args in readers("loop_a"):
        attack((2, 3), *args, says="loop_a")


def test_importing_special_files():
    os.mkfifo("pipe.cnn")
    os.mkdir("folder.cnn")
    os.symlink("/dev/zero", "zero.cnn")
    for name in ("pipe.cnn", "folder.cnn", "zero.cnn"):
        write("importer.cnn", 'import "%s"\n' % name + TINY)
        attack((1, 3), "check", "importer.cnn", says=name, timeout=5)


def test_outputs_that_are_no_files():
    write("tiny.cnn", TINY)
    os.mkdir("folder")
    os.mkfifo("unread")
    before = {name: os.lstat(name) for name in ("/dev/null", "/dev/full")}
    outputs = [["build", "tiny.cnn", "--init=1", "--emit=" + kind] for kind in (
        "exe", "so", "obj", "header", "llvm-ir", "asm", "weights")]
    outputs += [["summary", "tiny.cnn"], ["run", "tiny.cnn", "--init=1", "--input=fixture:1"]]
    # names of our own, should cnnc replace what a root may replace
    os.symlink("/dev/full", "full")
    os.symlink("/dev/null", "null")
    for args in outputs:
        attack(3, *args, "-o", "folder", says="folder")
        attack(3, *args, "-o", "full", says="full")
        attack(3, *args, "-o", "missing/out", says="missing/out")
        attack((0, 3), *args, "-o", "null")
        assert os.path.islink("full") and os.path.islink("null"), args
    assert os.listdir("folder") == []
    for name, st in before.items():
        now = os.lstat(name)
        assert (now.st_ino, now.st_mode, now.st_rdev) == (st.st_ino, st.st_mode, st.st_rdev), name
    assert sorted(os.listdir(".")) == ["folder", "full", "null", "tiny.cnn", "unread"], os.listdir(".")


def test_devices_are_not_replaced():
    """A character device of our own: root could lose /dev/null to a rename."""
    write("tiny.cnn", TINY)
    try:
        os.mknod("null", 0o20666, os.makedev(1, 3))
    except OSError as e:
        raise Skip("no device can be made here: %s" % e.strerror)
    node = os.lstat("null")
    for kind in ("exe", "so", "obj", "header", "llvm-ir", "asm", "weights"):
        attack((0, 3), "build", "tiny.cnn", "--init=1", "--emit=" + kind, "-o", "null")
        now = os.lstat("null")
        assert (now.st_ino, now.st_mode) == (node.st_ino, node.st_mode), kind
    npy("x.npy", [1, 3, 16, 16])
    attack(0, "build", "tiny.cnn", "--init=1", "-o", "tiny")
    attack((0, 3), "x.npy", "--output", "null", program="./tiny")
    assert os.lstat("null").st_ino == node.st_ino, "the program replaced a device"


def test_links_stay_links():
    write("tiny.cnn", TINY)
    for kind in ("exe", "so", "obj", "header", "weights"):
        write("target", "old")
        if not os.path.islink("link"):
            os.symlink("target", "link")
        attack(0, "build", "tiny.cnn", "--init=1", "--emit=" + kind, "-o", "link")
        assert os.path.islink("link"), kind
        assert open("target", "rb").read() != b"old", kind


def test_closed_streams():
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 16])
    run = ["run", "tiny.cnn", "--init=1", "--input", "x.npy"]
    for args in (run + ["-o", "-"], ["build", "tiny.cnn", "--emit=asm", "-o", "-"], ["nets"],
                 ["pass", "read", GRAPH]):
        done = command([CNNC, *args], stdout=None, preexec_fn=lambda: os.close(1))
        assert done.returncode == 3 and done.stderr, (args, done)
    for args in (["check", "-"], ["pass", "read", "-"], ["fmt", "-"]):
        done = command([CNNC, *args], preexec_fn=lambda: os.close(0))
        assert done.returncode in (1, 3) and done.stderr, (args, done)
    done = command([CNNC, *run], preexec_fn=lambda: [os.close(n) for n in (0, 1, 2)], stdout=None,
                   stderr=None, stdin=None)
    assert done.returncode in (0, 3), done


def test_weights_truncated_at_many_lengths():
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 16])
    whole = open(safetensors("w", tiny_weights()), "rb").read()
    lengths = set(range(0, 64)) | set(range(64, len(whole), 211)) | {len(whole) - 1}
    for n in sorted(lengths):
        write("w", whole[:n])
        attack(3, "build", "tiny.cnn", "--weights=w", "--emit=weights", "-o", "out", says="w: ")
    write("w", whole + b"\0")
    attack(3, "run", "tiny.cnn", "--weights=w", "--input=x.npy", says="w: ")
    assert not os.path.exists("out")


def test_arrays_truncated_at_many_lengths():
    write("tiny.cnn", TINY)
    attack(0, "build", "tiny.cnn", "--init=1", "-o", "tiny")
    whole = open(npy("x.npy", [1, 3, 16, 16]), "rb").read()
    for n in list(range(0, 130, 9)) + [len(whole) - 1, len(whole) - 4]:
        write("x.npy", whole[:n])
        attack(3, "run", "tiny.cnn", "--init=1", "--input=x.npy", says="x.npy: ")
        attack(3, "x.npy", says="x.npy: ", program="./tiny")


def test_built_programs_and_odd_files():
    write("tiny.cnn", TINY)
    npy("x.npy", [1, 3, 16, 16])
    attack(0, "build", "tiny.cnn", "--init=1", "-o", "tiny")
    os.mkfifo("pipe")
    os.mkdir("folder")
    os.symlink("loop", "loop")
    for name in ("pipe", "folder", "loop", "/dev/zero", "nothing", "tiny.cnn"):
        attack(3, name, says=name, program="./tiny", timeout=5)
    os.symlink("/dev/full", "full")  # a name of our own: a program that replaces it does no harm
    for out in ("folder", "no/such", "full"):
        attack(3, "x.npy", "--output", out, says=out, program="./tiny")
    for args in (["--threads", "99999999999999999999", "x.npy"], ["--threads", "1e400", "x.npy"],
                 ["--top", "9223372036854775808", "x.npy"], ["--top", "-1", "x.npy"]):
        attack((0, 2), *args, program="./tiny")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(["./tiny", "x.npy"], stdout=full, stderr=subprocess.PIPE, timeout=10)
    assert done.returncode == 3 and done.stderr, done
    left = sorted(os.listdir("."))
    assert os.path.islink("full")
    assert left == ["folder", "full", "loop", "pipe", "tiny", "tiny.cnn", "x.npy"], left


if __name__ == "__main__":
    sys.exit(main(globals()))
