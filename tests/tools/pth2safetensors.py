#!/usr/bin/python3 -B
"""Turns a PyTorch checkpoint (a state_dict saved with torch.save) into safetensors. Needs PyTorch.

usage: pth2safetensors.py CHECKPOINT.pth OUT.safetensors [--key NAME]
--key names the entry that holds the state_dict when the checkpoint has others beside it (common:
"model", "state_dict"). A leading "module." of every name is removed.
"""
import argparse
import os
import tempfile

import torch

import torchvision_net


def main():
    parser = argparse.ArgumentParser(description="PyTorch checkpoint to safetensors")
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--key")
    args = parser.parse_args()
    state = torch.load(args.checkpoint, map_location="cpu")
    if args.key is not None:
        state = state[args.key]
    tensors = {}
    for name, value in state.items():
        if not torch.is_tensor(value):
            raise SystemExit(f"'{name}' is not a tensor; say which entry is the state_dict: --key")
        kind = torch.int64 if not value.is_floating_point() else torch.float32
        tensors[name[len("module."):] if name.startswith("module.") else name] = value.to(kind)
    folder = os.path.dirname(os.path.abspath(args.out))
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
        pass
    try:
        torchvision_net.save_safetensors(part.name, tensors)
        os.replace(part.name, args.out)
    except BaseException:
        os.unlink(part.name)
        raise


if __name__ == "__main__":
    main()
