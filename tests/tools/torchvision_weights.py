#!/usr/bin/python3 -B
"""Writes a torchvision state_dict as safetensors, an input, and PyTorch's output for it.

Usage: torchvision_weights.py NET WEIGHTS.safetensors X.npy Y.npy [--res N] [--batch N] [--seed S]
Acceptance by hand:
  cnnc run NET --weights WEIGHTS.safetensors --input X.npy --output OUT.npy \\
      --allow=underutilized,unproductive
must agree with Y.npy within 2e-4 of the largest output.
"""

import argparse

import numpy as np

import counter_rng
import torchvision_net


def main():
    parser = argparse.ArgumentParser(description="torchvision weights, input and output of a net")
    parser.add_argument("net")
    parser.add_argument("weights")
    parser.add_argument("x")
    parser.add_argument("y")
    parser.add_argument("--res", type=int)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    net, declared = torchvision_net.build(args.net, args.seed)
    res = args.res or declared
    x = counter_rng.fixture_input((args.batch, 3, res, res), args.seed)
    torchvision_net.save_safetensors(args.weights, net.state_dict())
    np.save(args.x, x)
    np.save(args.y, torchvision_net.forward(net, x))


if __name__ == "__main__":
    main()
