#!/usr/bin/python3
"""Writes tests/unit/optim_fixture.h: what PyTorch's optimizers make of four values in five steps, in
double. Needs Debian's python3-torch."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import counter_rng  # noqa: E402
import torch  # noqa: E402

STEPS, COUNT, LR = 5, 4, 0.05
RUNS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9, weight_decay=0.01),
    "sgd_plain": lambda p: torch.optim.SGD(p, lr=LR),
    "sgd_nesterov": lambda p: torch.optim.SGD(p, lr=LR, momentum=0.8, weight_decay=0.02, nesterov=True),
    "sgd_clipped": lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=LR, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.03),
    "adamw": lambda p: torch.optim.AdamW(p, lr=LR, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=LR, alpha=0.9, eps=1e-3, weight_decay=0.02),
    "rmsprop_momentum": lambda p: torch.optim.RMSprop(p, lr=LR, alpha=0.9, eps=1e-3, momentum=0.7),
}


def gradient(step):
    u = counter_rng.uniform(11, 8 * STEPS)[8 * step : 8 * step + COUNT]
    return torch.tensor([4 * float(v) - 1.5 for v in u], dtype=torch.float64)


def run(name):
    p = torch.tensor([0.5, -1.25, 2.0, 0.03125], dtype=torch.float64, requires_grad=True)
    optimizer, rows = RUNS[name]([p]), []
    for step in range(STEPS):
        p.grad = gradient(step)
        if name == "sgd_clipped":
            torch.nn.utils.clip_grad_norm_([p], 1.5)
        optimizer.step()
        rows.append("{" + ", ".join("%.17g" % v for v in p.tolist()) + "}")
    return ",\n         ".join(rows)


print("/* Made by tests/tools/optim_fixture.py with PyTorch %s. */" % torch.__version__.split("a")[0])
print("#ifndef CNNC_TEST_OPTIM_FIXTURE_H\n#define CNNC_TEST_OPTIM_FIXTURE_H")
print("enum { FIXTURE_STEPS = %d, FIXTURE_COUNT = %d };" % (STEPS, COUNT))
print("static const struct {\n    const char *name;\n    double p[FIXTURE_STEPS][FIXTURE_COUNT];")
print("} fixtures[] = {")
for each in RUNS:
    print('    {"%s",\n        {%s}},' % (each, run(each)))
print("};\n#endif")
