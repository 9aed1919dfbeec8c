#!/usr/bin/python3 -B
"""Makes the whole-net fixtures of tests/nets: PyTorch's outputs for seeded weights and inputs.

Usage: fixtures.py [NET...]     (all nets of fixtures.tsv when none is named)
Writes tests/nets/fixtures/NET.npy. Weights and inputs are not stored: docs/random.md says how both
sides make them from the seed. Needs Debian's python3-torch and python3-torchvision.
"""

import pathlib
import sys

import numpy as np

import counter_rng
import torchvision_net

NETS = pathlib.Path(__file__).resolve().parent.parent / "nets"


def rows():
    for line in (NETS / "fixtures.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            name, seed, batch, res = line.split("\t")
            yield name, int(seed), int(batch), int(res)


def main(wanted):
    (NETS / "fixtures").mkdir(exist_ok=True)
    for name, seed, batch, res in rows():
        if wanted and name not in wanted:
            continue
        net, declared = torchvision_net.build(name, seed)
        if res != declared:
            raise SystemExit(f"{name}: the declared resolution is {declared}, not {res}")
        y = torchvision_net.forward(net, counter_rng.fixture_input((batch, 3, res, res), seed))
        # A fixture must depend on the input, and float32 must be able to hold what is on the way.
        largest = float(abs(y).max())
        apart = float(abs(y[0] - y[-1]).max()) / largest
        if not (np.isfinite(y).all() and 0.01 < y.std() and largest < 1e6 and apart > 0.01):
            raise SystemExit(f"{name}: bad fixture (largest {largest}, images differ by {apart})")
        np.save(NETS / "fixtures" / f"{name}.npy", y)
        print(f"{name}: largest {largest:.3g}, images differ by {apart:.2g} of it")


if __name__ == "__main__":
    main(sys.argv[1:])
