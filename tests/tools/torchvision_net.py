"""Networks of torchvision with the fixture weights. Needs PyTorch: makes fixtures, tests nothing."""

import json
import struct

import numpy as np
import torch
import torchvision

import counter_rng

RESOLUTION = {
    "inception_v3": 299,
    "efficientnet_b1": 240,
    "efficientnet_b2": 260,
    "efficientnet_b3": 300,
    "efficientnet_b4": 380,
    "efficientnet_b5": 456,
    "efficientnet_b6": 528,
    "efficientnet_b7": 600,
}
NORMS = (torch.nn.BatchNorm2d, torch.nn.LayerNorm)
LAYERS = (torch.nn.Conv2d, torch.nn.Linear)


def kind_of(module, suffix):
    """What counter_rng.parameter calls the parameter `suffix` of a module; None to keep it."""
    if suffix in ("running_mean", "running_var"):
        return suffix[len("running_"):]
    if isinstance(module, NORMS) and suffix in ("weight", "bias"):
        return "scale" if suffix == "weight" else "shift"
    if isinstance(module, LAYERS) and suffix in ("weight", "bias"):
        return suffix
    if suffix == "layer_scale":
        return "scale"
    if suffix == "num_batches_tracked":
        return None
    raise ValueError(f"no rule for {suffix} of {type(module).__name__}")


def build(name, seed):
    """The network in evaluation mode with weights from the seed, and its declared resolution."""
    quick = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    net = getattr(torchvision.models, name)(weights=None, **quick)
    state = net.state_dict()
    modules = dict(net.named_modules())
    for path, tensor in state.items():
        owner, _, suffix = path.rpartition(".")
        kind = kind_of(modules[owner], suffix)
        if kind:
            values = counter_rng.parameter(kind, path, tuple(tensor.shape), seed)
            state[path] = torch.from_numpy(values)
    net.load_state_dict(state)
    return net.eval(), RESOLUTION.get(name, 224)


def forward(net, x):
    """The output for a float32 array, computed in double, as float32."""
    with torch.no_grad():
        return net.double()(torch.from_numpy(x).double()).numpy().astype(np.float32)


def save_safetensors(path, state):
    """Writes a state_dict: a length, a JSON header, then the tensors one after another."""
    types = {torch.float32: "F32", torch.int64: "I64"}
    header, at = {}, 0
    for name, tensor in state.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": types[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + size],
        }
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)))
        out.write(text)
        for tensor in state.values():
            out.write(tensor.contiguous().numpy().tobytes())
