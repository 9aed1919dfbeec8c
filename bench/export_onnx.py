"""Writes a torchvision network with the fixture weights as ONNX, its weights as safetensors and its
input as npy, so that every peer computes the same. Needs PyTorch and onnx.

usage: export_onnx.py NET SEED BATCH FOLDER
"""
import os
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "tools"))
import counter_rng  # noqa: E402
import torchvision_net  # noqa: E402


def main():
    name, seed, batch, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    net, resolution = torchvision_net.build(name, seed)
    x = counter_rng.fixture_input((batch, 3, resolution, resolution), seed)
    np.save(os.path.join(folder, f"{name}.npy"), x)
    torchvision_net.save_safetensors(os.path.join(folder, f"{name}.safetensors"), net.state_dict())
    torch.onnx.export(net.float(), torch.from_numpy(x), os.path.join(folder, f"{name}.onnx"),
                      opset_version=13, do_constant_folding=True)


main()
