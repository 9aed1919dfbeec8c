"""Networks for GPUs: what `cnnc build --target=cuda` writes, and what ptxas makes of it.

Every kernel must assemble for every architecture of ARCHS. Contractions must not spill; those with
a tile must stay within the registers of tiles.tsv and take exactly its shared memory. The manifest
must list launches that name kernels of the PTX, with as many arguments as those have.
With CHECK_FULL every network of the library is taken: for inference in every dtype, for training in
fp32, and in the others those of EVERY_FAMILY. What has matrix units is built for sm_90a once more,
which has products of its own. Kernels of equal texts are assembled once.
`cuda_tests.py --write` prints tiles.tsv anew. Standard library only.
"""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import ptx

CNNC = os.environ["CNNC"]
TABLE = pathlib.Path(__file__).parent / "tiles.tsv"
ARCHS = ["sm_80", "sm_90a"]
LINTS = ["-A", "unproductive,underutilized,saturated", "-q"]
SAMPLE = ["resnet18", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "densenet121",
          "googlenet"]
ON_UNITS = ["resnet18", "efficientnet_b0", "convnext_tiny"]  # of the sample, in every dtype
# on matrix units: maps for which the widest tiles are chosen, and a first convolution whose inputs
# pass through most registers
WIDE = ["resnet50@3x896x896", "densenet161"]
TRAINED = ["resnet18", "convnext_tiny"]
EVERY_FAMILY = ["resnet50", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "densenet121",
                "inception_resnet_v2", "nasnet_mobile", "squeezenet1_1", "vgg11_bn"]
CONTRACTIONS = {"conv", "convt", "dense", "conv_dw"}
DECLARED_MOST = 48 * 1024  # bytes of shared memory; a launch asks for all of what is more
ALIGNED = 1024  # bytes, as rows that are exchanged repeat
SPILLED_MOST = 16  # bytes, of any other kernel: ptxas trades registers for threads there


def cnnc(*args):
    return subprocess.run([CNNC, *args], capture_output=True, text=True)


def plan_keys(path, prefix):
    """The planner's texts of kernels, by their names."""
    keys = {}
    for line in path.read_text().splitlines():
        row = re.match(r" *(\d+)  x\d+  (.*)", line)
        if row:
            keys[f"{prefix}_k{row[1]}"] = row[2]
    return keys


def dtypes():
    """What --dtype takes."""
    found = re.search(r"--dtype=(\S+)", cnnc("build", "--help").stdout)
    return found[1].split("|") if found else ["fp32"]


def build(net, mode, dtype, cpu, folder):
    """The path of a network's PTX, its manifest, the keys of its kernels. Raises ValueError."""
    net, _, size = net.partition("@")
    base = str(folder / net)
    how = [f"--mode={mode}", f"--dtype={dtype}"] + [f"--target-cpu={cpu}"] * (cpu is not None)
    how += [f"--input={size}"] * bool(size)
    made = cnnc("build", net, "--target=cuda", *how, "--emit=ptx,manifest", "--init=1", *LINTS,
                "-o", base, "--dump=p", f"--dump-dir={folder}")
    if made.returncode:
        raise ValueError(made.stderr.strip()[-300:])
    manifest = json.loads(pathlib.Path(base + ".json").read_text())
    prefix = manifest["prefix"]
    if mode == "inference":
        return base + ".ptx", manifest, plan_keys(folder / f"{net}.plan", prefix)
    return base + ".ptx", manifest, {**plan_keys(folder / f"{net}.run.plan", prefix),
                                     **plan_keys(folder / f"{net}.plan", prefix + "_train")}


def tile_of(key):
    tile = re.search(r" tile=(\S+)", key)
    summed = re.search(r"^convt? .* extra=\S*r", key)  # lines of sums beside the output
    how = ("gated " if " gate=" in key else "") + ("summed " if summed else "")
    return tile and how + key.split()[0] + " " + tile[1]


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
        if params.get(name) != len(launch["arguments"]) + 1 + ("run" in launch) + ("tensor" in launch):
            return f"{launch['name']}: {name} has not {len(launch['arguments'])} arguments"
        if int(threads[name]) != launch["threads"]:
            return f"{launch['name']}: {name} is for {threads[name]} threads"
    return None


def shared_of(launches):
    """Bytes of shared memory, by the names of kernels."""
    return {launch["kernel"]: launch["shared"] for launch in launches}


def fault(name, key, arch, found, needed, table):
    """What is wrong with a kernel that assembled, and needs so many bytes of shared memory; None when
    nothing is."""
    registers, spilled, declared = found
    shared = declared if needed <= DECLARED_MOST else needed + declared
    if needed <= DECLARED_MOST and needed < declared < needed + ALIGNED:
        shared = needed  # ptxas fills up what is aligned
    tile = tile_of(key)
    if spilled > (0 if key.split()[0] in CONTRACTIONS else SPILLED_MOST):
        return f"{name} ({key[:60]}): {spilled} bytes spilled, {registers} registers"
    most, exact = table.get((arch, tile), (0, 0))
    if tile and not key.startswith("pack ") and (registers > most or shared != exact):
        return (f"{name} ({tile}): {registers} registers, {shared} bytes of shared memory; "
                f"the table has {most} and {exact}")
    return None


class Check:
    def __init__(self, nets):
        tool = ptx.ptxas()
        self.assembler = tool and ptx.Assembler(tool)
        self.table, self.seen, self.spilled = read_table(), {}, {}
        self.jobs, self.done = nets, 0
        self.start = time.monotonic()

    def progress(self, job):
        self.done += 1
        spent = time.monotonic() - self.start
        left = spent / self.done * (len(self.jobs) - self.done)
        print(f"[{self.done}/{len(self.jobs)}, about {left / 60:.0f} min left] {' '.join(filter(None, job))}",
              file=sys.stderr, flush=True)

    def assemble(self, path, arch, keys, needed):
        """What is wrong with the kernels of a network, which need that much shared memory; None when
        nothing is."""
        try:
            found = self.assembler.ask(path, arch)
        except ValueError as error:
            return str(error)
        wrong = None
        for name, numbers in found.items():
            wrong = wrong or fault(name, keys[name], arch, numbers, needed[name], self.table)
            tile = tile_of(keys[name])
            if numbers[1]:
                self.spilled[arch, keys[name].split()[0]] = numbers[1]
            if tile and not keys[name].startswith("pack "):
                before = self.seen.get((arch, tile), (0, 0))[0]
                self.seen[arch, tile] = (max(numbers[0], before), needed[name])
        return wrong or (None if len(found) == len(keys) else f"{len(found)} kernels of {len(keys)}")

    def net(self, job):
        """Lines on a network."""
        net, mode, dtype, cpu = job
        label = f"cuda.{'train.' * (mode == 'train')}{net}.{dtype}" + (f".for_{cpu}" if cpu else "")
        with tempfile.TemporaryDirectory() as name:
            try:
                path, manifest, keys = build(net, mode, dtype, cpu, pathlib.Path(name))
            except ValueError as error:
                return [f"FAIL {label}: {error!r}"]
            error = check_launches(path, manifest["launches"], manifest["steps"])
            if mode == "train":
                error = error or check_launches(path, manifest["step_launches"],
                                                manifest["training"]["steps"])
            lines = [verdict(f"{label}.launches", error)]
            for arch in (ARCHS if cpu is None else [cpu]) if self.assembler else []:
                needed = shared_of(manifest["launches"] + manifest.get("step_launches", []))
                error = self.assemble(path, arch, keys, needed)
                lines.append(verdict(f"{label}.{arch}", error))
        self.progress(job)
        return lines

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for lines in pool.map(self.net, self.jobs):
                print(*lines, sep="\n", flush=True)
        if self.assembler:
            spilled = ", ".join(f"{kernel} ({arch}, {n} bytes)"
                                for (arch, kernel), n in sorted(self.spilled.items()))
            print(f"{self.assembler.asked} kernels, {self.assembler.distinct()} of them distinct, "
                  f"{time.monotonic() - self.start:.0f} s; spills: {spilled or 'none'}",
                  file=sys.stderr)


def verdict(name, error):
    return f"FAIL {name}: {error}" if error else f"PASS {name}"


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
    given = [a for a in sys.argv[1:] if a != "--write"]
    write = "--write" in sys.argv
    full = not given and (write or os.environ.get("CHECK_FULL"))
    every = cnnc("nets", "--names").stdout.split() if full else given
    jobs = []
    for dtype in dtypes():
        for cpu in [None] if dtype == "fp32" else [None, "sm_90a"]:
            some = every or (SAMPLE if dtype == "fp32" else ON_UNITS)
            wide = WIDE if dtype != "fp32" and not given else []
            jobs += [(n, "inference", dtype, cpu) for n in some + wide]
            trained = every if dtype == "fp32" else full and EVERY_FAMILY
            jobs += [(n, "train", dtype, cpu) for n in trained or given or TRAINED]
    check = Check(jobs)
    if not check.assembler:
        print("SKIP cuda.ptxas: it is not in PATH or /usr/local/cuda/bin")
    if write:
        with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
            check.run()
        for (arch, tile), (registers, shared) in sorted(check.seen.items()):
            print(f"{arch}\t{tile}\t{registers}\t{shared}")
        return
    check_refusals()
    check.run()


main()
