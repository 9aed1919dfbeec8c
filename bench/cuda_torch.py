"""PyTorch's side of bench/cuda.py: the same network in each of its fastest forms, and what the GPU can
do at most. Everything here raises what PyTorch raises; the caller says which form does not work."""
import gc
import time

import torch

import graph_torch

# (form, dtype): what is measured where, slowest to prepare last
FORMS = ("eager", "graph", "half_graph", "compiled")
RATE, MOMENTUM, DECAY = 1e-3, 0.9, 1e-4  # as cuda_bundle.py has it


def forms_of(dtype, training):
    """`graph`: the eager form as CUDA graph. `half_graph`: a network all of bf16, no autocast."""
    return [f for f in FORMS if f != "half_graph" or (dtype == "bf16" and not training)]


def set_dtype(dtype):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == "tf32"
    torch.backends.cudnn.benchmark = True


def network(graph, weights, training):
    net = graph_torch.load(graph, weights).cuda().to(memory_format=torch.channels_last)
    return net.train() if training else net


def autocast(dtype):
    # the cache of casts outlives a capture, and would not be part of it
    return torch.autocast("cuda", torch.bfloat16, enabled=dtype == "bf16", cache_enabled=False)


def captured(once):
    """once() as a CUDA graph, after it ran on a stream of its own, as captures have to."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            once()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = once()

    def replay():
        graph.replay()
        return out
    return replay


def inference(graph, weights, x, dtype, form):
    """A function that runs the network on x (of the GPU) and returns its output."""
    set_dtype(dtype)
    net, half = network(graph, weights, False), dtype == "bf16" and form in ("half_graph", "compiled")
    x = x.contiguous(memory_format=torch.channels_last)
    if half:
        net, x = net.bfloat16(), x.bfloat16()
    if form == "compiled":
        import torch._inductor.config as config
        config.freezing = True
        torch._dynamo.reset()
        net = torch.compile(net)

    def once():
        with torch.no_grad(), autocast("fp32" if half else dtype):
            return net(x)
    once()
    return once if form == "eager" else captured(once)


def optimizer(net):
    plain = [p for p in net.parameters() if p.ndim < 2]  # norms and biases do not decay
    decayed = [p for p in net.parameters() if p.ndim >= 2]
    return torch.optim.SGD([{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0}],
                           lr=RATE, momentum=MOMENTUM, foreach=True)


def training(graph, weights, x, labels, dtype, form):
    """A function that makes a step and returns its loss, a tensor of the GPU."""
    set_dtype(dtype)
    net = network(graph, weights, True)
    x = x.contiguous(memory_format=torch.channels_last)
    update = optimizer(net)
    if form == "compiled":
        torch._dynamo.reset()
        net = torch.compile(net)

    def once():
        update.zero_grad(set_to_none=form != "graph")
        with autocast(dtype):
            loss = torch.nn.functional.cross_entropy(net(x).float(), labels)
        loss.backward()
        update.step()
        return loss
    return captured(once) if form == "graph" else once


def times(once, count):
    """Seconds of runs, each between two events."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2 * count)]
    torch.cuda.synchronize()
    for i in range(count):
        events[2 * i].record()
        once()
        events[2 * i + 1].record()
    torch.cuda.synchronize()
    return [1e-3 * events[2 * i].elapsed_time(events[2 * i + 1]) for i in range(count)]


def forget():
    """Memory of what is gone, for others."""
    gc.collect()
    torch.cuda.empty_cache()


def median_seconds(once, seconds=0.5, most=50):
    once()
    first = min(times(once, 2))
    found = sorted(times(once, max(5, min(most, int(seconds / max(first, 1e-6))))))
    return found[len(found) // 2]


def limits(megabytes=2048, size=8192):
    """Bytes a second of a copy, read and written both counted, and FLOP a second of square products."""
    a = torch.randn(megabytes << 18, device="cuda")
    b = torch.empty_like(a)
    found = {"bytes_per_s": 2 * a.numel() * 4 / median_seconds(lambda: b.copy_(a)),
             "copied_bytes": a.numel() * 4, "size": size, "flops": {}}
    del a, b
    x, y = (torch.randn(size, size, device="cuda") for _ in range(2))
    for dtype in ("fp32", "tf32", "bf16"):
        set_dtype(dtype)
        left, right = (x.bfloat16(), y.bfloat16()) if dtype == "bf16" else (x, y)
        found["flops"][dtype] = 2 * size ** 3 / median_seconds(lambda: left @ right)
    return found


def versions():
    return {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
            "device": torch.cuda.get_device_name(),
            "capability": ".".join(map(str, torch.cuda.get_device_capability())),
            "multiprocessors": torch.cuda.get_device_properties(0).multi_processor_count,
            "date": time.strftime("%Y-%m-%d")}
