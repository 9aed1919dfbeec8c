"""Serves a network in PyTorch (serve.py), in the fastest of several forms.

usage: worker_torch.py NET.graph NET.safetensors FORM,...
Forms: default; channels_last; compiled (torch.compile with frozen weights); traced (TorchScript,
frozen and optimised for inference). Each is tried for every setting; those that PyTorch cannot make
are named in the note.
"""
import copy
import sys
import time

import torch

import graph_torch
from serve import serve

TRIES, ENOUGH = 3, 2.0  # runs of a form, unless they take so many seconds


def compiled(net, x):
    import torch._inductor.config as config

    config.freezing = True
    torch._dynamo.reset()
    return torch.compile(copy.deepcopy(net)), x


def traced(net, x):
    return torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x))), x


def channels_last(net, x):
    return (copy.deepcopy(net).to(memory_format=torch.channels_last),
            x.contiguous(memory_format=torch.channels_last))


FORMS = {"channels_last": channels_last, "compiled": compiled, "traced": traced}
# compiling and tracing want the weights as ordinary tensors
GRAD = {"compiled": torch.no_grad, "traced": torch.no_grad}


def runner(net, x, form):
    mode = GRAD.get(form, torch.inference_mode)

    def once():
        with mode():
            return net(x)
    return once


def least(once):
    once()
    times = []
    while len(times) < TRIES and sum(times) < ENOUGH:
        start = time.perf_counter()
        once()
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    graph, weights, forms = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
    net = graph_torch.load(graph, weights)
    state = {}

    def open_network(threads, x):
        torch.set_num_threads(threads)
        state["x"] = torch.from_numpy(x)
        state["once"] = runner(net, state["x"], "default")
        return lambda: state["once"]().numpy()

    def settle():
        best, best_time, missing = "default", least(state["once"]), []
        for form in forms:
            if form == "default":
                continue
            try:
                with GRAD.get(form, torch.inference_mode)():
                    once = runner(*FORMS[form](net, state["x"]), form)
                    seconds = least(once)
            except Exception as problem:  # whatever a form fails with, the others count
                missing.append(f"{form} does not work: {str(problem).strip().splitlines()[0][:120]}"
                               if str(problem).strip() else f"{form} does not work")
                continue
            if seconds < best_time:
                best, best_time, state["once"] = form, seconds, once
        return lambda: state["once"]().numpy(), "; ".join([best, *missing])

    serve(open_network, settle)


main()
