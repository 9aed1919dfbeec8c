"""A network as a PyTorch module: its operators from the text of `cnnc print-graph`, its parameters
from the safetensors file of `cnnc build --emit=weights`. Run as a program it writes ONNX.

usage: graph_torch.py NET.graph NET.safetensors INPUT.npy MODEL.onnx
"""
import inspect
import json
import re
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

LINE = re.compile(r'%(\d+) = (\w+)\(([^)]*)\)(.*?) : "(.*)"$')
OUT = re.compile(r'out "[^"]*" %(\d+)')
# operators that do not care for the order of the axes
POINTWISE = {
    "relu": "F.relu({})", "relu6": "F.relu6({})", "silu": "F.silu({})", "gelu": "F.gelu({})",
    "hswish": "F.hardswish({})", "hsigmoid": "F.hardsigmoid({})", "sigmoid": "torch.sigmoid({})",
    "tanh": "torch.tanh({})", "dropout": "{}", "drop_path": "{}",
}


def nodes_of(text):
    """(id, operator, inputs, attributes, name) of every node, and the node of the last head."""
    nodes, head = [], None
    for line in text.splitlines():
        found = LINE.match(line)
        if found:
            number, op, inputs, attributes, name = found.groups()
            nodes.append((int(number), op, [int(x) for x in re.findall(r"%(\d+)", inputs)],
                          dict(x.split("=", 1) for x in attributes.split()), name))
        elif OUT.match(line):
            head = int(OUT.match(line).group(1))
    return nodes, head


def weights_of(path):
    with open(path, "rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(length))
        data = f.read()
    header.pop("__metadata__", None)
    out = {}
    for name, entry in header.items():
        lo, hi = entry["data_offsets"]
        flat = torch.from_numpy(np.frombuffer(data[lo:hi], "<f4").copy())
        out[name] = flat.reshape(entry["shape"])
    return out


def pair(attributes, key, default):
    return tuple(map(int, attributes[key].split("x"))) if key in attributes else default


def padding(attributes, default):
    """(above, below, left, right)."""
    text = attributes.get("pad")
    if text == "same_upper":
        raise ValueError("pad=same_upper depends on the size of the map")
    return default if text is None else tuple(map(int, text.split(",")))


def symmetric(pad, what):
    top, bottom, left, right = pad
    if top != bottom or left != right:
        raise ValueError(f"{what} pads one side more")
    return top, left


class Net(torch.nn.Module):
    """forward() is written out as Python, so that it can be traced, scripted and compiled like one
    written by hand; values are dropped after their last use. Layer normalisation and dense layers
    on maps work on NHWC views, and what is between them stays there, as in torchvision's ConvNeXt."""

    def __init__(self, text, weights):
        super().__init__()
        self.weights, self.channels, self.flat, self.nhwc = weights, {}, set(), set()
        nodes, head = nodes_of(text)
        last = {x: n[0] for n in nodes for x in n[2]}
        body = []
        for number, op, inputs, attributes, name in nodes:
            if op == "input":
                self.channels[number] = int(attributes["c"])
                body.append(f"x{number} = x")
                continue
            x = [self.view(i, op) for i in inputs]
            if op in POINTWISE:
                self.keeps(number, inputs[0])
                expression = POINTWISE[op].format(*x)
            else:
                expression = self.rule(op)(number, x, inputs, attributes, name)
            self.channels.setdefault(number, self.channels[inputs[0]])
            body.append(f"x{number} = {expression}")
            body += [f"del x{x}" for x in sorted(set(inputs)) if last[x] == number]
        del self.weights
        source = "def forward(self, x):\n" + "".join(f"    {x}\n" for x in body) + f"    return x{head}\n"
        scope = {"torch": torch, "F": F}
        exec(source, scope)  # our own text: operators by rule, numbers from a parsed graph
        self.forward = scope["forward"].__get__(self)

    def view(self, x, op):
        """How operator `op` reads value x: NHWC where that is what it works on."""
        wants = op in ("ln", "dense")
        if x in self.flat or op in POINTWISE or op == "layer_scale" or wants == (x in self.nhwc):
            return f"x{x}"
        return f"x{x}.permute({'0, 2, 3, 1' if wants else '0, 3, 1, 2'})"

    def module(self, number, module, name, needed=("weight", "bias")):
        for key in needed:
            getattr(module, key).data.copy_(self.weights[f"{name}.{key}"])
        setattr(self, f"m{number}", module)
        return f"self.m{number}"

    def keeps(self, number, source):
        """The value has the form of the other one."""
        for forms in (self.flat, self.nhwc):
            if source in forms:
                forms.add(number)

    def rule(self, op):
        if not hasattr(self, "op_" + op):
            raise ValueError(f"no rule for operator {op}")
        return getattr(self, "op_" + op)

    def op_layer_scale(self, number, x, inputs, attributes, name):
        self.keeps(number, inputs[0])
        factor = self.weights[f"{name}.gamma"]
        last = inputs[0] in self.flat or inputs[0] in self.nhwc
        self.register_parameter(f"p{number}", torch.nn.Parameter(factor if last else factor.reshape(-1, 1, 1)))
        return f"{x[0]} * self.p{number}"

    def op_conv(self, number, x, inputs, attributes, name):
        c, k = int(attributes["c"]), pair(attributes, "k", None)
        dilation = pair(attributes, "dilation", (1, 1))
        same = [d * (e - 1) // 2 for d, e in zip(dilation, k) for _ in range(2)]
        bias = attributes.get("bias", "true") == "true"
        layer = torch.nn.Conv2d(self.channels[inputs[0]], c, k, pair(attributes, "stride", (1, 1)),
                                symmetric(padding(attributes, same), name), dilation,
                                int(attributes.get("groups", 1)), bias)
        self.channels[number] = c
        return f"{self.module(number, layer, name, ('weight', 'bias') if bias else ('weight',))}({x[0]})"

    def op_dense(self, number, x, inputs, attributes, name):
        c, bias = int(attributes["c"]), attributes.get("bias", "true") == "true"
        layer = torch.nn.Linear(self.weights[f"{name}.weight"].shape[1], c, bias)
        self.channels[number] = c
        (self.flat if inputs[0] in self.flat else self.nhwc).add(number)
        return f"{self.module(number, layer, name, ('weight', 'bias') if bias else ('weight',))}({x[0]})"

    def op_bn(self, number, x, inputs, attributes, name):
        layer = torch.nn.BatchNorm2d(self.channels[inputs[0]], float(attributes.get("eps", 1e-5)))
        scaled = attributes.get("scale", "true") == "true"
        needed = ("weight",) * scaled + ("bias", "running_mean", "running_var")
        return f"{self.module(number, layer, name, needed)}({x[0]})"

    def op_ln(self, number, x, inputs, attributes, name):
        (self.flat if inputs[0] in self.flat else self.nhwc).add(number)
        layer = torch.nn.LayerNorm(self.channels[inputs[0]], float(attributes.get("eps", 1e-5)))
        return f"{self.module(number, layer, name)}({x[0]})"

    def window(self, attributes):
        k = pair(attributes, "k", None)
        stride = pair(attributes, "stride", (0, 0))
        ceil = attributes.get("ceil_mode", "false") == "true"
        return k, stride if stride != (0, 0) else k, symmetric(padding(attributes, (0, 0, 0, 0)), "a pooling"), ceil

    def op_maxpool(self, number, x, inputs, attributes, name):
        k, stride, pad, ceil = self.window(attributes)
        return f"F.max_pool2d({x[0]}, {k}, {stride}, {pad}, {pair(attributes, 'dilation', (1, 1))}, {ceil})"

    def op_avgpool(self, number, x, inputs, attributes, name):
        k, stride, pad, ceil = self.window(attributes)
        counted = attributes.get("count_include_pad", "true") == "true"
        return f"F.avg_pool2d({x[0]}, {k}, {stride}, {pad}, {ceil}, {counted})"

    def op_gap(self, number, x, inputs, attributes, name):
        return f"F.adaptive_avg_pool2d({x[0]}, 1)"

    def op_adaptive_avgpool(self, number, x, inputs, attributes, name):
        return f"F.adaptive_avg_pool2d({x[0]}, {pair(attributes, 'k', None)})"

    def op_flatten(self, number, x, inputs, attributes, name):
        self.flat.add(number)
        return f"torch.flatten({x[0]}, 1)"

    def op_add(self, number, x, inputs, attributes, name):
        return " + ".join(x)

    def op_mul(self, number, x, inputs, attributes, name):
        return " * ".join(x)

    def op_concat(self, number, x, inputs, attributes, name):
        self.channels[number] = sum(self.channels[i] for i in inputs)
        return f"torch.cat(({', '.join(x)},), 1)"

    def op_zeropad(self, number, x, inputs, attributes, name):
        sides = [int(attributes.get(s, 0)) for s in ("left", "right", "top", "bottom")]
        return f"F.pad({x[0]}, {sides})"

    def op_crop(self, number, x, inputs, attributes, name):
        top, bottom, left, right = (int(attributes.get(s, 0)) for s in ("top", "bottom", "left", "right"))
        rows, columns = (f"{lo}:{-hi if hi else ''}" for lo, hi in ((top, bottom), (left, right)))
        return f"{x[0]}[:, :, {rows}, {columns}]"


def load(graph, weights):
    with open(graph) as f:
        return Net(f.read(), weights_of(weights)).eval()


def main():
    graph, weights, source, reference, model = sys.argv[1:]
    net, x = load(graph, weights), torch.from_numpy(np.load(source))
    with torch.no_grad():
        # the exporter through TorchScript, as long as there is one: it needs nothing beyond onnx
        old = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
        torch.onnx.export(net, (x[:1],), model, opset_version=17, input_names=["x"], output_names=["y"],
                          dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, **old)
        net.double()
        np.save(reference, torch.cat([net(image[None].double()) for image in x]).numpy())


if __name__ == "__main__":
    main()
