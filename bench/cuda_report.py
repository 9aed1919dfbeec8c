"""Tables of bench/cuda.py."""
import statistics

FAMILIES_OF_PRODUCTS = {"conv", "convt", "dense", "conv_dw", "depthwise", "depthwise_dw", "depthwise_dx"}
LISTED = 12  # steps of a network


def median_ms(peer):
    return 1e3 * statistics.median(peer["times"]) if peer.get("times") else None


def number(value, digits=3):
    return "-" if value is None else f"{value:.{digits}g}" if value < 1000 else f"{value:.0f}"


def row_of(part):
    """dtype: ours, PyTorch's best of that dtype with its form; and PyTorch's best of all."""
    ours, best = {}, {}
    for name, peer in part["peers"].items():
        ms = median_ms(peer)
        who, dtype, *form = name.split()
        if ms is None:
            continue
        if who == "cnnc":
            ours[dtype] = ms
        elif dtype not in best or ms < best[dtype][0]:
            best[dtype] = (ms, form[0])
    return ours, best


def speed_table(parts, mode):
    lines = ["| network | batch | dtype | cnnc ms | images/s | PyTorch ms | its form | ratio | error |",
             "|---|--:|---|--:|--:|--:|---|--:|--:|"]
    for part in parts:
        if "peers" not in part or not part["part"].split(":")[1:2] == [mode]:
            continue
        net, _, batch = part["part"].split(":")
        ours, best = row_of(part)
        for dtype in [d for d in ("fp32", "tf32", "bf16") if d in ours or d in best]:
            mine, (theirs, form) = ours.get(dtype), best.get(dtype, (None, "-"))
            ratio = f"{theirs / mine:.2f}" if mine and theirs else "-"
            error = part["peers"].get(f"cnnc {dtype}", {}).get("error")
            rate = 1e3 * int(batch) / mine if mine else None
            lines.append(f"| {net} | {batch} | {dtype} | {number(mine)} | {number(rate, 4)} | {number(theirs)} | "
                         f"{form} | {ratio} | {'-' if error is None else f'{error:.1e}'} |")
    return lines if len(lines) > 2 else []


def bound(step, limits, dtype):
    """Seconds that a step takes at least, and by what; (0, "-") where the limits were not measured."""
    if not limits:
        return 0, "-"
    flops = limits["flops"][dtype if step["family"] in ("conv", "convt", "dense", "conv_dw") else "fp32"]
    memory, products = step["bytes"] / limits["bytes_per_s"], 2 * step["macs"] / flops
    return max((memory, "memory"), (products, "products"))


def steps_table(part, dtype, limits):
    steps = part["peers"].get(f"cnnc {dtype}", {}).get("steps")
    if not steps:
        return []
    total = sum(s["seconds"] for s in steps)
    lines = [f"### {part['part'].replace(':', ', ')}, {dtype}: {1e3 * total:.3f} ms in {len(steps)} steps", "",
             "| kernel of | family | us | share | GB/s | TFLOP/s | least us | by | reached |",
             "|---|---|--:|--:|--:|--:|--:|---|--:|"]
    by_family = {}
    for step in steps:
        least, _ = bound(step, limits, dtype)
        row = by_family.setdefault(step["family"], [0, 0, 0])
        row[0] += step["seconds"]
        row[1] += least
        row[2] += 1

    def line(name, family, seconds, least, by, step=None):
        rates = ("-", "-") if not step or seconds <= 0 else (
            f"{step['bytes'] / seconds / 1e9:.0f}", f"{2 * step['macs'] / seconds / 1e12:.2f}")
        reached = f"{100 * least / seconds:.0f} %" if least and seconds > 0 else "-"
        return (f"| {name} | {family} | {1e6 * seconds:.1f} | {100 * seconds / total:.1f} % | {rates[0]} | {rates[1]} | "
                f"{f'{1e6 * least:.1f}' if least else '-'} | {by} | {reached} |")
    for step in sorted(steps, key=lambda s: -s["seconds"])[:LISTED]:
        least, by = bound(step, limits, dtype)
        lines.append(line(step["name"], step["family"], step["seconds"], least, by, step))
    for family, (seconds, least, count) in sorted(by_family.items(), key=lambda x: -x[1][0]):
        lines.append(line(f"all {count}", family, seconds, least, "-"))
    return [*lines, ""]


def machine(parts, about):
    versions = next((p["versions"] for p in parts if p.get("versions")), None)
    said = next((p["clocks"]["before"] for p in parts if p["clocks"].get("before")), None)
    lines = [f"{about['compiler']}, commit {about['commit']}."]
    lines.append(f"Device: {said['name']}, driver {said['driver_version']}, at most {said['clocks.max.sm']}."
                 if said else "Device: not known, as nvidia-smi says nothing.")
    if versions:
        lines.append(f"PyTorch {versions['torch']}, CUDA {versions['cuda']}, cuDNN {versions['cudnn']}; compute "
                     f"capability {versions['capability']}, {versions['multiprocessors']} multiprocessors.")
    else:
        why = next((p["without"] for p in parts if p.get("without")), "it was not asked")
        lines.append(f"PyTorch was not measured: {why}. Nothing was compared with it.")
    return lines


def limits_lines(limits):
    if not limits:
        return ["Limits of the device: not measured."]
    flops = ", ".join(f"{1e-12 * v:.1f} TFLOP/s in {k}" for k, v in limits["flops"].items())
    return [f"Limits, measured: {1e-9 * limits['bytes_per_s']:.0f} GB/s, read and written, in a copy of "
            f"{limits['copied_bytes'] >> 20} MiB; {flops} in products of {limits['size']} x {limits['size']}."]


def clock_lines(parts):
    lines = []
    for part in parts:
        last = part["clocks"].get("after") or part["clocks"].get("first")
        if last:
            lines.append(f"* {part['part']}: {last['clocks.sm']}, {last['power.draw']}, {last['temperature.gpu']} C")
    return lines


def report(about, parts, missing, date):
    limits = next((p.get("limits") for p in parts if p.get("limits")), None)
    text = [f"# Networks on a GPU, {date}", "", *machine(parts, about), "", *limits_lines(limits), ""]
    text += ["Times are medians over rounds in turns, between two events on the device; a ratio above 1: cnnc is "
             "faster. Error: of outputs, relative to the largest; of losses of three steps.", ""]
    for mode, title in (("inference", "Inference"), ("train", "Training steps")):
        table = speed_table(parts, mode)
        text += [f"## {title}", "", *table, ""] if table else []
    kernels = [line for part in parts if "peers" in part
               for dtype in ("fp32", "tf32", "bf16") for line in steps_table(part, dtype, limits)]
    text += ["## Kernels", "", *kernels] if kernels else []
    wrong = [f"* {p['part']}: {name}: {why}" for p in parts for name, why in p.get("failed", {}).items()]
    wrong += [f"* {p['part']}: ended: {p['ended']}" for p in parts if p.get("ended")]
    text += ["## Not measured, or wrong", "", *wrong, *(f"* {x}" for x in missing), ""] if wrong or missing else []
    lines = clock_lines(parts)
    text += ["## Clocks", "", *lines, ""] if lines else []
    return "\n".join(text)
