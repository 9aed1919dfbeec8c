"""Networks for GPUs: what `cnnc build --target=cuda` writes, and what ptxas makes of it.

Every kernel must assemble for the architectures of ARCHS. Contractions (kernels with a tile) must
not spill, must stay within the registers of tiles.tsv and take exactly its shared memory. The
manifest must list launches that name kernels of the PTX, with as many arguments as those have.
`cuda_tests.py --write` prints tiles.tsv anew. Standard library only.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SRC = pathlib.Path(os.environ["SRC"])
CNNC = os.environ["CNNC"]
TABLE = pathlib.Path(__file__).parent / "tiles.tsv"
DTYPES = ["fp32", "tf32", "bf16"]
# what is built, and for what it is assembled
ARCHS = {None: ["sm_80", "sm_90"], "sm_90a": ["sm_90a"]}
BUILDS = [(d, None) for d in DTYPES] + [(d, "sm_90a") for d in DTYPES[1:]]
LINTS = ["-A", "unproductive,underutilized,saturated", "-q"]
SAMPLE = ["resnet18", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "densenet121",
          "googlenet"]
ON_UNITS = ["resnet18", "efficientnet_b0", "convnext_tiny"]  # of the sample, for all of BUILDS
TRAINED = ["resnet18", "convnext_tiny"]


def ptxas():
    found = shutil.which("ptxas")
    usual = "/usr/local/cuda/bin/ptxas"
    return found or (usual if os.access(usual, os.X_OK) else None)


def cnnc(*args):
    return subprocess.run([CNNC, *args], capture_output=True, text=True)


def build(net, dtype, cpu, folder):
    """The paths of NET's PTX and manifest, and the keys of its kernels by name; or an error."""
    base = str(folder / net)
    how = ["--target=cuda", f"--dtype={dtype}", "--init=1", *LINTS]
    how += [f"--target-cpu={cpu}"] if cpu else []
    made = cnnc("build", net, *how, "--emit=ptx,manifest", "-o", base)
    plan = cnnc("build", net, *how, "--emit=ptx", "--dump=p", "--stop-after=plan")
    if made.returncode or plan.returncode:
        return None, None, None, (made.stderr + plan.stderr).strip()[-300:]
    manifest = json.loads(pathlib.Path(base + ".json").read_text())
    keys = {}
    for line in plan.stderr.splitlines():
        row = re.match(r" *(\d+)  x\d+  (.*)", line)
        if row:
            keys[f"{manifest['prefix']}_k{row[1]}"] = row[2]
    return base + ".ptx", manifest, keys, None


def assemble(tool, path, arch):
    """What ptxas says of every kernel: registers, spilled bytes, shared memory. Or an error."""
    run = subprocess.run([tool, f"-arch={arch}", "-v", path, "-o", os.devnull],
                         capture_output=True, text=True)
    text = run.stdout + run.stderr
    if run.returncode:
        return None, text.strip()[-300:]
    if "wgmma" in text:  # "instructions are serialized due to ...", which costs most of their rate
        return None, re.search(r".*wgmma.*", text)[0]
    found = {}
    for part in re.split(r"Compiling entry function ", text)[1:]:
        name = re.match(r"'([^']+)'", part)[1]
        shared = re.search(r"(\d+) bytes smem", part)
        found[name] = (int(re.search(r"Used (\d+) registers", part)[1]),
                       int(re.search(r"(\d+) bytes spill stores", part)[1]),
                       int(shared[1]) if shared else 0)
    return found, None


def tile_of(key):
    tile = re.search(r" tile=(\S+)", key)
    return tile and ("gated " if " gate=" in key else "") + key.split()[0] + " " + tile[1]


def read_table():
    rows = {}
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            arch, tile, registers, shared = line.split("\t")
            rows[arch, tile] = (int(registers), int(shared))
    return rows


def check_launches(path, launches, steps):
    """Why the manifest's launches do not fit the PTX; None when they do."""
    text = pathlib.Path(path).read_text()
    params = {}
    for entry in re.finditer(r"\.entry (\w+)\(([^)]*)\)", text):
        params[entry[1]] = entry[2].count(".param")
    threads = dict(re.findall(r"\.entry (\w+)\([^)]*\)\s*\.maxntid (\d+)", text))
    if not launches or len(launches) != steps:
        return f"{len(launches)} launches of {steps} steps"
    for launch in launches:
        name = launch["kernel"]
        if params.get(name) != len(launch["arguments"]) + 1 + ("run" in launch):
            return f"{launch['name']}: {name} has not {len(launch['arguments'])} arguments"
        if int(threads[name]) != launch["threads"]:
            return f"{launch['name']}: {name} is for {threads[name]} threads"
    return None


def check_net(net, how, tool, folder, table, seen):
    dtype, cpu = how
    path, manifest, keys, error = build(net, dtype, cpu, folder)
    case = f"cuda.{net}.{dtype}" + (f".{cpu}" if cpu else "")
    if error:
        print(f"FAIL {case}: {error!r}")
        return
    error = check_launches(path, manifest["launches"], manifest["steps"])
    print(f"FAIL {case}.launches: {error}" if error else f"PASS {case}.launches")
    for arch in ARCHS[cpu] if tool else []:
        found, error = assemble(tool, path, arch)
        wrong = [error] if error else []
        for name, (registers, spilled, shared) in (found or {}).items():
            tile = tile_of(keys[name])
            if not tile:
                continue
            seen[arch, tile] = (max(registers, seen.get((arch, tile), (0, 0))[0]), shared)
            most, exact = table.get((arch, tile), (0, 0))
            if spilled or registers > most or shared != exact:
                wrong.append(f"{name} ({tile}): {registers} registers, {spilled} bytes spilled, "
                             f"{shared} of shared memory; the table has {most} and {exact}")
        if found is not None and len(found) != manifest["kernels"]:
            wrong.append(f"{len(found)} kernels of {manifest['kernels']}")
        print(f"FAIL {case}.{arch}: {wrong[0]}" if wrong else f"PASS {case}.{arch}")
    for left in folder.iterdir():
        left.unlink()


def check_training(net, dtype, tool, folder):
    """A training step: every launch has its kernel, and nothing spills."""
    base, case = str(folder / net), f"cuda.train.{net}.{dtype}"
    made = cnnc("build", net, "--target=cuda", f"--dtype={dtype}", "--mode=train",
                "--emit=ptx,manifest", "--init=1", *LINTS, "-o", base)
    if made.returncode:
        print(f"FAIL {case}: {made.stderr.strip()[-300:]!r}")
        return
    manifest = json.loads(pathlib.Path(base + ".json").read_text())
    error = check_launches(base + ".ptx", manifest["launches"], manifest["steps"])
    error = error or check_launches(base + ".ptx", manifest["step_launches"],
                                    manifest["training"]["steps"])
    name = f"{case}.launches"
    print(f"FAIL {name}: {error}" if error else f"PASS {name}")
    for arch in ARCHS[None][:1] if tool else []:
        found, error = assemble(tool, base + ".ptx", arch)
        wrong = [error] if error else [k for k, v in found.items() if v[1]]
        name = f"{case}.{arch}"
        print(f"FAIL {name}: {wrong[0]} spills" if wrong else f"PASS {name}")
    for left in folder.iterdir():
        left.unlink()


def check_refusals():
    """What cannot be made is refused, as a wrong command line."""
    cases = [(["--target=gpu"], "takes cpu, cuda or both"),
             (["--target=cuda", "--emit=asm"], "is --emit=ptx"),
             (["--emit=ptx"], "is for --target=cuda"),
             (["--target=cuda", "--emit=ptx", "--target-cpu=x86-64-v3"], "is no GPU"),
             (["--target-cpu=sm_80"], "is a GPU"),
             (["--dtype=tf32"], "processors have fp32"),
             (["--target=cuda", "--emit=ptx", "--dtype=bf16", "--target-cpu=sm_75"],
              "takes --target-cpu=sm_80 or newer, not sm_75"),
             (["--target=cuda", "--emit=ptx", "--dtype=fp16"], "fp32, tf32"),
             (["--target=cuda", "--emit=exe", "--mode=train"], "not exe")]
    for args, text in cases:
        run = cnnc("build", "resnet18", "--init=1", "-q", "-o", os.devnull, *args)
        name = "cuda.refused " + " ".join(args)
        good = run.returncode == 2 and re.search(text, run.stderr)
        print(f"PASS {name}" if good else f"FAIL {name}: {run.returncode} {run.stderr!r}")
    run = cnnc("build", "resnet18", "--target=cuda", "--emit=ptx", "--target-cpu=sm_9", "--init=1")
    good = run.returncode == 3 and "sm_70, sm_75" in run.stderr
    print("PASS cuda.unknown" if good else f"FAIL cuda.unknown: {run.stderr!r}")


def main():
    tool = ptxas()
    nets = [a for a in sys.argv[1:] if a != "--write"]
    write = "--write" in sys.argv
    if not nets:
        nets = SAMPLE
        if os.environ.get("CHECK_FULL") or write:
            nets = cnnc("nets", "--names").stdout.split()
    table, seen = read_table(), {}
    if not write:
        check_refusals()
    if not tool:
        print("SKIP cuda.ptxas: it is not in PATH or /usr/local/cuda/bin")
    with tempfile.TemporaryDirectory() as folder:
        for net in nets:
            for how in BUILDS if nets is not SAMPLE or net in ON_UNITS else BUILDS[:1]:
                check_net(net, how, tool, pathlib.Path(folder), table, seen)
        for net in [] if write or nets is not SAMPLE else TRAINED:
            for dtype in DTYPES:
                check_training(net, dtype, tool, pathlib.Path(folder))
    for (arch, tile), (registers, shared) in sorted(seen.items()) if write else []:
        print(f"{arch}\t{tile}\t{registers}\t{shared}")


main()
