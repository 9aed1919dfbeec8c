#!/usr/bin/python3
"""Why float32 gradients leave each other: cnnc's and PyTorch's against the derivative in float64, with
the choices at kinks made as either of them made them. Needs Debian's python3-torch.

    torch_kinks.py [--steps N] [--batch N] [--threads N] [--lr X] [--near X] [--same] [--clear] [--forced] [NET]

A free run (torch_train.py's band:NET, SGD with momentum). In every step, of the state and the batch at hand,
  gap     of every tensor the largest difference from the derivative in float64, over its largest value;
          the worst tensor is shown
  choices rectifiers whose input is nearer to zero than --near times the root mean square of their map, and windows
          of maxima whose two largest values are as near: float32 may see these on the other side
  flipped those of them that were: a fit of the difference by what flipping each one changes says which to try,
          and those that lessen the gap are kept
  left    the gap to the derivative in float64 after these have been flipped
and the same for PyTorch's float32 at its own state of that step. A gap that is not left is the choice at a kink,
not an error: the function has two derivatives there as far as float32 can tell. --same gives cnnc PyTorch's
state before every step, --clear the batches that torch_train.py takes. With --forced PyTorch decides in its own passes as cnnc did, wherever the two differ:
what the losses are then apart is rounding alone."""
import argparse
import sys
import tempfile

import torch_train as T
from torch_train import F, np, torch

WIDE = 20


class Chosen(T.Graph):
    """A graph whose choices can be listed and turned: {name: {position: True}}."""

    def __init__(self, text):
        super().__init__(text)
        self.turned, self.listed, self.near = {}, None, 0.0

    def apply(self, op, a, attrs, name, p):
        x = a[0]
        if op == "relu":
            if self.listed is not None:
                self.note(name, x.detach(), x.detach().square().mean().sqrt())
            mask = (x > 0).to(x.dtype)
            for at in self.turned.get(name, ()):
                mask.view(-1)[at] = 1 - mask.view(-1)[at]
            return x * mask
        if op == "maxpool":
            return self.maximum(x, attrs, name)
        return super().apply(op, a, attrs, name, p)

    def note(self, name, x, size):
        flat = x.reshape(-1).abs() / size
        for at in torch.nonzero(flat < self.near).view(-1).tolist():
            self.listed.append((name, at, float(x.reshape(-1)[at] / size)))

    def maximum(self, x, attrs, name):
        k, stride = int(attrs["k"].split("x")[0]), int(attrs["stride"].split("x")[0])
        pad = int(attrs["pad"].split(",")[0]) if "pad" in attrs else 0
        with torch.no_grad():
            low = F.pad(x, (pad,) * 4, value=-1e9)
            windows = F.unfold(low.flatten(0, 1)[:, None], k, stride=stride)
            top = windows.topk(2, 1)
            first, second = top.indices[:, 0].clone(), top.indices[:, 1]
            if self.listed is not None:
                gap = (top.values[:, 0] - top.values[:, 1]) / x.square().mean().sqrt()
                near = torch.nonzero(((gap < self.near) & (top.values[:, 0] > 0)).reshape(-1)).view(-1)
                self.listed += [(name, at, float(gap.reshape(-1)[at])) for at in near.tolist()]
            for at in self.turned.get(name, ()):
                first.view(-1)[at] = second.reshape(-1)[at]
        windows = F.unfold(F.pad(x, (pad,) * 4, value=-1e9).flatten(0, 1)[:, None], k, stride=stride)
        out = windows.gather(1, first[:, None])[:, 0]
        side = (x.shape[2] + 2 * pad - k) // stride + 1
        return out.reshape(x.shape[0], x.shape[1], side, -1)


def turned(choices):
    out = {}
    for name, at, _ in choices:
        out.setdefault(name, []).append(at)
    return out


class Exact:
    """Derivatives in float64 at a state."""

    def __init__(self, graph, values, x, labels, near):
        self.near = near
        self.net = T.Torch(graph, values, "none", torch.float64)
        self.graph, self.x, self.labels = graph, x, labels

    def gradient(self, choices=()):
        p = {n: t.detach().clone() for n, t in self.net.p.items() if T.statistic(n)}
        self.graph.turned = turned(choices)
        self.net.backward(self.x, self.labels)
        self.graph.turned = {}
        for n, t in p.items():
            self.net.p[n] = t
        return {n: self.net.p[n].grad.numpy().copy() for n in self.net.trained}

    def choices(self, times=1):
        self.graph.near = times * self.near
        p = {n: t.detach().clone() for n, t in self.net.p.items()}
        self.graph.listed = []
        with torch.no_grad():
            self.graph.forward(torch.tensor(self.x, dtype=torch.float64), p)
        out, self.graph.listed = self.graph.listed, None
        return out


def scales(gradient):
    most = max(np.abs(g).max() for g in gradient.values())
    return {n: np.abs(g).max() if np.abs(g).max() > T.NOTHING * most else most for n, g in gradient.items()}


def small(gradient, scale):
    """The tensors of one dimension: what a choice changes shows in those before it, and they are few values."""
    return np.concatenate([np.asarray(gradient[n], np.float64) / scale[n] for n in sorted(scale)
                           if gradient[n].ndim == 1])


def gap(got, want, scale):
    return max((float(np.abs(got[n] - want[n]).max() / scale[n]), n) for n in scale)


class Explained:
    """A float32 gradient by the derivative in float64 and the choices that were made otherwise."""

    def __init__(self, exact, got):
        plain = exact.gradient()
        scale = scales(plain)
        self.before, self.choices, self.flipped = gap(got, plain, scale), exact.choices(), []
        self.after = self.before
        if self.before[0] <= T.LIMIT / 2 or not self.choices:
            return
        r = small(got, scale) - small(plain, scale)
        parts = np.array([small(exact.gradient([c]), scale) - small(plain, scale) for c in self.choices])
        fit = np.linalg.lstsq(parts.T, r, rcond=None)[0]
        for s, c in sorted(zip(fit, self.choices), reverse=True):
            now = gap(got, exact.gradient([*self.flipped, c]), scale) if s > 0.3 else self.after
            if now[0] < self.after[0]:
                self.flipped.append(c)
                self.after = now

    def __str__(self):
        words = ", ".join("%s[%d] at %+.1e" % c for c in self.flipped) or "none"
        return "gap %.1e at %s; %d choices; flipped %s; left %.1e at %s" % (*self.before, len(self.choices), words,
                                                                           *self.after)


def unlike(mine, my_exact, other, other_exact):
    """The choices that two float32 passes made differently, each at its own state: those of a maximum that only
    one turned, those of a rectifier that the two see on different sides."""
    sides = []
    for explained, exact in ((mine, my_exact), (other, other_exact)):
        turned_here = {c[:2] for c in explained.flipped}
        sides.append({c[:2]: (c[2] > 0 or "relu" not in c[0]) != (c[:2] in turned_here)
                      for c in exact.choices(WIDE)})
    both = sides[0].keys() & sides[1].keys()
    return [(*c, 0.0) for c in sorted(both) if sides[0][c] != sides[1][c]]


class TorchSide(T.Torch):
    """PyTorch in float32, with choices turned in its own passes."""

    def step_turned(self, x, labels, choices):
        self.graph.turned = turned(choices)
        loss = self.step(x, labels)
        self.graph.turned = {}
        return loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lr", type=float, default=T.RATE["sgd"])
    parser.add_argument("--near", type=float, default=2e-6, help="how near a choice is looked at")
    parser.add_argument("--clear", action="store_true", help="only batches that torch_train.py takes, too")
    parser.add_argument("--same", action="store_true", help="cnnc begins every step with PyTorch's state")
    parser.add_argument("--forced", action="store_true", help="PyTorch decides at kinks as cnnc did")
    parser.add_argument("net", nargs="?", default="resnet18")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    T.RATE["sgd"] = args.lr
    ok = True
    with tempfile.TemporaryDirectory() as folder:
        case = T.Case(args.net, "sgd", args.batch, args.threads, folder)
        graph = Chosen(T.cnnc("print-graph", *T.net_args(args.net)))
        values = case.values()
        plain = graph if args.forced else case.graph  # which sums in other orders
        theirs = TorchSide(plain, values, "sgd")
        source = T.batches(args.batch)
        for k in range(1, args.steps + 1):
            x, labels = T.clear_batch(source, case.graph, theirs.p)[:2] if args.clear else next(source)
            if args.same:
                case.put(theirs.values(), theirs.slots(T.SETTINGS["sgd"][1]), k - 1)
            state = case.values()
            exact = [Exact(graph, at, x, labels, args.near) for at in (state, theirs.values())]
            mine = Explained(exact[0], lib_gradient(case, x, labels, state))
            own = theirs.values()
            twin = T.Torch(plain, own, "none")
            twin.backward(x, labels)
            other = Explained(exact[1], {n: twin.p[n].grad.numpy() for n in twin.trained})
            forced = unlike(mine, exact[0], other, exact[1]) if args.forced else []
            a, b = case.step(x, labels), theirs.step_turned(x, labels, forced)
            print("step %d: loss %.6f, PyTorch %.6f, apart %.1e%s\n  cnnc:    %s\n  PyTorch: %s" % (
                k, a, b, abs(a - b), "; forced " + ", ".join("%s[%d]" % c[:2] for c in forced) if forced else "",
                mine, other), flush=True)
            ok = ok and max(mine.after[0], other.after[0]) <= T.LIMIT
        case.lib.close()
    return not ok


def lib_gradient(case, x, labels, state):
    """The library's gradients; its state is as before."""
    case.lib.gradients(x, T.one_hot(labels))
    out = {n: case.found[n]["gradient"].copy() for n in state if not T.statistic(n)}
    for n, f in case.found.items():
        f["value"][...] = state[n]
    return out


if __name__ == "__main__":
    sys.exit(main())
