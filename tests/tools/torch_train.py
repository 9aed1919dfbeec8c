#!/usr/bin/python3
"""Training steps of cnnc's libraries beside PyTorch's, in float32 on this machine. Needs Debian's
python3-torch.

    torch_train.py [--steps N] [--batch N] [--threads N] [--lr X] [CASE...]

A case is NET:OPTIMIZER, or band:NET. The network is the text of `cnnc print-graph`, which PyTorch
runs here operator by operator, with its own derivatives and optimizers; LAMB and TensorFlow's
RMSProp, which it has not, are the published updates in NumPy, in double, of the library's gradients.

Before every step the library gets PyTorch's state anew: parameters, running statistics, what the
optimizer keeps. Then, each as the worst of all steps:
  loss       the difference over the loss
  gradient   of every tensor, the largest difference over the largest value
  statistic  differences of running means over the deviation, of variances over the variance, both
             times the momentum
  update     of every tensor, the largest difference of the new values, less one unit in the last
             place of the value (both round it), over the largest change of any value
All have to be at most 1e-4 (gradients where they stand for the update, with AdamW). Where the
derivative jumps, rectifiers near zero and maxima of nearly equal values, rounding decides on which
side it is taken: batches that come near to it are left out, and convolutions are exact ones, as
Winograd's transforms round more.

band: both are left alone for all steps from the same start, and the losses compared: PyTorch with
several numbers of threads makes the band, and ours is at most three times as far from the nearest of
its runs as those have been from each other."""
import argparse
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from trainer import Trainer  # noqa: E402

CNNC = os.environ["CNNC"]
SIDE, CLASSES, SMOOTHING, LIMIT, MARGIN = 64, 10, 0.1, 1e-4, 6e-6
NOTHING, TRIES, BAND, BAND_THREADS = 1e-5, 500, 3, (1, 2, 3, 4)
BATCH = {"resnet18": 2, "efficientnet_b0": 4}  # few where kinks have to be kept clear of
OPTIONS = {"resnet18": [], "efficientnet_b0": ["-p", "drop_rate=0", "-p", "drop_path_rate=0"]}
# --set of each optimizer, and what its slots are called by PyTorch
SETTINGS = {
    "sgd": (["opt=sgd", "lr=0.01", "momentum=0.9", "weight-decay=1e-4"], ["momentum_buffer"]),
    "adamw": (["opt=adamw", "lr=1e-3", "weight-decay=0.05", "opt-eps=1e-8"], ["exp_avg", "exp_avg_sq"]),
    "lamb": (["opt=lamb", "lr=5e-3", "weight-decay=0.02"], None),
    "rmsproptf": (["opt=rmsproptf", "lr=0.01", "momentum=0.9", "weight-decay=1e-5", "opt-eps=1e-3"], None),
}
RATE = {"sgd": 0.01, "adamw": 1e-3, "lamb": 5e-3, "rmsproptf": 0.01}


def cnnc(*args):
    done = subprocess.run([CNNC, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit("cnnc %s: %s" % (" ".join(args), done.stderr.decode()[-500:]))
    return done.stdout.decode()


def net_args(net):
    return [net, "-p", "classes=%d" % CLASSES, "-i", "3x%dx%d" % (SIDE, SIDE), "-A",
            "underutilized,unproductive"] + OPTIONS[net]


class Graph:
    """The text of a graph, run by PyTorch."""

    LINE = re.compile(r'^%(\d+) = (\w+)\((.*?)\)(.*) : "(.*)"$')

    def __init__(self, text):
        self.nodes, self.nearest = [], None
        for line in text.splitlines():
            m = self.LINE.match(line)
            if m:
                inputs = [int(x.strip()[1:]) for x in m[3].split(",") if x.strip()]
                attrs = dict(a.split("=", 1) for a in m[4].split())
                self.nodes.append((int(m[1]), m[2], inputs, attrs, m[5]))
        self.out = int(re.search(r'^out "logits" %(\d+)', text, re.M)[1])

    def forward(self, x, p):
        """Logits in training mode; p: tensors by name, running statistics are changed."""
        v = {}
        for n, op, inputs, attrs, name in self.nodes:
            if self.nearest is not None and self.nearest <= MARGIN:
                return None
            v[n] = x if op == "input" else self.apply(op, [v[i] for i in inputs], attrs, name, p)
        return v[self.out]

    def margin(self, x, p):
        """How near any rectifier's input is to zero, or two values of a maximum's window to each
        other, in units of the root mean square of their map. Statistics are as before."""
        if not any(n[1] in ("relu", "maxpool") for n in self.nodes):
            return 1.0
        p = {n: t.detach().clone() if statistic(n) else t for n, t in p.items()}
        self.nearest = 1.0
        with torch.no_grad():
            self.forward(torch.tensor(x), p)
        nearest, self.nearest = self.nearest, None
        return nearest

    def see_kinks(self, op, x, k, stride, pad):
        if op == "relu":
            near = x.abs().min()
        else:
            windows = F.unfold(F.pad(x, (pad[1], pad[1], pad[0], pad[0]), value=-1e9).flatten(0, 1)[:, None], k,
                               stride=stride)
            top = windows.topk(2, 1).values
            near = (top[:, 0] - top[:, 1])[top[:, 0] > 0].min()
        self.nearest = min(self.nearest, float(near / x.square().mean().sqrt()))

    def apply(self, op, a, attrs, name, p):
        x = a[0]
        k = [int(i) for i in attrs.get("k", "1x1").split("x")]
        stride = [int(i) for i in attrs.get("stride", "1x1").split("x")]
        pad = [int(i) for i in attrs["pad"].split(",")][1::2][::-1] if "pad" in attrs else [(i - 1) // 2 for i in k]
        if self.nearest is not None and op in ("relu", "maxpool") and self.nearest > MARGIN:
            self.see_kinks(op, x, k, stride, pad)
        if op == "conv":
            return F.conv2d(x, p[name + ".weight"], p.get(name + ".bias"), stride, pad,
                            groups=int(attrs.get("groups", 1)))
        if op == "bn":
            return F.batch_norm(x, p[name + ".running_mean"], p[name + ".running_var"], p[name + ".weight"],
                                p[name + ".bias"], True, float(attrs.get("momentum", 0.1)),
                                float(attrs.get("eps", 1e-5)))
        if op == "maxpool":
            return F.max_pool2d(x, k, stride, pad)
        if op == "dense":
            return F.linear(x, p[name + ".weight"], p[name + ".bias"])
        if op in ("dropout", "drop_path") and float(attrs.get("p", 0)) == 0:
            return x
        return {"relu": torch.relu, "silu": F.silu, "sigmoid": torch.sigmoid, "flatten": lambda t: t.flatten(1),
                "gap": lambda t: t.mean((2, 3), keepdim=True), "add": lambda t: sum(a[1:], t),
                "mul": lambda t: t * a[1]}[op](x)

    def names(self):
        """Of all parameters, and of the statistics."""
        kinds = {"conv": ["weight", "bias"], "dense": ["weight", "bias"],
                 "bn": ["weight", "bias", "running_mean", "running_var"]}
        return [n[4] + "." + s for n in self.nodes for s in kinds.get(n[1], [])
                if not (s == "bias" and n[3].get("bias") == "false")]


def statistic(name):
    return name.rpartition(".")[2].startswith("running_")


class Torch:
    """A network with its optimizer."""

    def __init__(self, graph, values, optimizer, dtype=torch.float32):
        self.graph = graph
        self.p = {n: torch.tensor(v, dtype=dtype) for n, v in values.items()}
        self.trained = [n for n in self.p if not statistic(n)]
        for n in self.trained:
            self.p[n].requires_grad_()
        groups = [{"params": [self.p[n] for n in self.trained if self.p[n].ndim > 1]},
                  {"params": [self.p[n] for n in self.trained if self.p[n].ndim == 1], "weight_decay": 0.0}]
        make = {"sgd": lambda: torch.optim.SGD(groups, lr=RATE["sgd"], momentum=0.9, weight_decay=1e-4),
                "adamw": lambda: torch.optim.AdamW(groups, lr=RATE["adamw"], eps=1e-8, weight_decay=0.05)}
        self.optimizer = make[optimizer]() if optimizer in make else None

    def backward(self, x, labels):
        for n in self.trained:
            self.p[n].grad = None
        x = torch.tensor(x, dtype=self.p[self.trained[0]].dtype)
        loss = F.cross_entropy(self.graph.forward(x, self.p), torch.tensor(labels), label_smoothing=SMOOTHING)
        loss.backward()
        return loss.item()

    def step(self, x, labels):
        loss = self.backward(x, labels)
        self.optimizer.step()
        return loss

    def values(self):
        return {n: t.detach().numpy().copy() for n, t in self.p.items()}

    def trained_values(self):
        return {n: self.p[n].detach().numpy().copy() for n in self.trained}

    def take(self, values, state, gradients):
        with torch.no_grad():
            for n in self.trained:
                self.p[n].copy_(torch.from_numpy(values[n]))
                self.p[n].grad = torch.from_numpy(gradients[n])
        self.optimizer.load_state_dict(state)

    def slots(self, keys):
        """What the optimizer keeps of every trained parameter; zeros before its first step."""
        out = {}
        for n in self.trained:
            state = self.optimizer.state.get(self.p[n], {})
            out[n] = [(state[k].numpy() if state.get(k) is not None else np.zeros(self.p[n].shape, np.float32))
                      for k in keys]
        return out


def batches(batch):
    """Pictures of noise on a pattern that says the class, without an end."""
    r = np.random.default_rng(3)
    pattern = r.standard_normal((CLASSES, 3, SIDE, SIDE)).astype(np.float32)
    while True:
        labels = r.integers(0, CLASSES, batch)
        noise = r.standard_normal((batch, 3, SIDE, SIDE)).astype(np.float32)
        yield 0.5 * pattern[labels] + noise, labels


def clear_batch(source, graph, p):
    """The next batch whose derivative float32 can tell: see margin."""
    tries = 0
    for x, labels in source:
        tries += 1
        if graph.margin(x, p) > MARGIN or tries == TRIES:
            return x, labels, tries


def one_hot(labels):
    return np.eye(CLASSES, dtype=np.float32)[labels]


class Case:
    def __init__(self, net, optimizer, batch, threads, folder):
        self.net, self.kind = net, optimizer
        path = os.path.join(folder, "%s_%s.so" % (net, optimizer))
        if not os.path.exists(path):
            sets = [w for s in SETTINGS[optimizer][0] + ["smoothing=%g" % SMOOTHING] for w in ("--set", s)]
            cnnc("build", *net_args(net), "--mode=train", "--exact-conv", "--emit=so", "--init=1", "--prefix=net", *sets,
                 "--max-batch=8", "-o", path, "-q")
        self.graph = Graph(cnnc("print-graph", *net_args(net)))
        self.lib = Trainer(path, "net", threads)
        self.found = {n: self.lib.find(n) for n in self.graph.names()}

    def values(self):
        return {n: f["value"].copy() for n, f in self.found.items()}

    def put(self, values, slots, updates):
        for n, f in self.found.items():
            f["value"][...] = values[n]
            for to, what in zip(f["slot"], slots.get(n, [])):
                to[...] = what
        self.lib.counters(updates=updates)

    def step(self, x, labels):
        return self.lib.step(x, one_hot(labels), RATE[self.kind])


def differs(ours, theirs, before, least, units):
    """The largest difference beyond some units in the last place, over the largest change."""
    a, b, old = (np.asarray(v, np.float64) for v in (ours, theirs, before))
    change = max(np.abs(b - old).max(), least)
    return np.maximum(np.abs(a - b) - units * np.spacing(np.abs(theirs).astype(np.float32)), 0).max() / change


class Worst:
    def __init__(self):
        self.value, self.where = 0.0, "-"

    def see(self, value, where):
        if not value <= self.value:
            self.value, self.where = value, where

    def __str__(self):
        return "%.1e at %s" % (self.value, self.where)


class Seen:
    """The worst of a case."""

    def __init__(self):
        self.loss, self.gradient, self.statistic, self.update = Worst(), Worst(), Worst(), Worst()

    def say(self, case, steps, more=""):
        print("%s:%s, %d steps: loss: worst %s; gradient: worst %s; statistic: worst %s; update: worst %s%s" % (
            case.net, case.kind, steps, self.loss, self.gradient, self.statistic, self.update, more), flush=True)
        part = (self.loss, self.statistic, self.update) + ((self.gradient,) if case.kind == "adamw" else ())
        return max(w.value for w in part) <= LIMIT


def see_gradients(seen, case, theirs, step):
    """Each tensor by its largest gradient. Where that is below a 1e-5th of the largest of all, as of
    a shift before a linear map and another normalisation, it is nothing but rounding, and held
    against the largest of all."""
    size = {n: float(theirs.p[n].grad.abs().max()) for n in theirs.trained}
    most = max(size.values())
    none = {n for n in size if size[n] < NOTHING * most}
    ours = {n: case.found[n]["gradient"].copy() for n in theirs.trained}
    for n in theirs.trained:
        error = np.abs(ours[n] - theirs.p[n].grad.numpy()).max()
        seen.gradient.see(error / (most if n in none else size[n]), "%s (step %d)" % (n, step))
    return ours, none


def see_statistics(seen, case, after, before, step):
    """A mean by the deviation of its channel, a variance by itself, both times their momentum."""
    for n in (n for n in after if statistic(n)):
        of = after[n[:-len("mean")] + "var"] if n.endswith("mean") else after[n]
        scale = 0.1 * (np.sqrt(of) if n.endswith("mean") else of)
        error = np.abs(case.found[n]["value"] - after[n]) - np.spacing(np.abs(after[n]))
        seen.statistic.see(float((np.maximum(error, 0) / scale).max()), "%s (step %d)" % (n, step))


def see_updates(seen, case, after, before, none, step):
    """Of the same gradients, or, with SGD, of each one's own. AdamW's decay is a rounding more."""
    units = 2 if case.kind == "adamw" else 1
    for n in (n for n in after if not statistic(n)):
        if n in none and case.kind == "adamw":
            continue
        least = 0.0
        if n in none:
            least = max(float(np.abs(after[m] - before[m]).max()) for m in after if not statistic(m))
        seen.update.see(differs(case.found[n]["value"], after[n], before[n], least, units), "%s (step %d)" % (n, step))


def beside_torch(case, steps, batch):
    """SGD: the update as a whole. AdamW divides by what may be as small as the rounding of a
    gradient, so that of a value whose gradient is next to nothing neither can tell the sign: the
    gradients are compared, and the updates that both make of ours."""
    theirs, seen, source, drawn = Torch(case.graph, case.values(), case.kind), Seen(), batches(batch), 0
    twin = Torch(case.graph, case.values(), case.kind)
    for k in range(1, steps + 1):
        x, labels, tries = clear_batch(source, case.graph, theirs.p)
        drawn += tries
        before, slots = theirs.values(), theirs.slots(SETTINGS[case.kind][1])
        case.put(before, slots, k - 1)
        case.lib.gradients(x, one_hot(labels))
        want = theirs.backward(x, labels)
        ours, none = see_gradients(seen, case, theirs, k)
        case.put(before, slots, k - 1)
        seen.loss.see(abs(case.step(x, labels) - want) / abs(want), "step %d" % k)
        if case.kind != "sgd":
            twin.take(before, theirs.optimizer.state_dict(), ours)
            twin.optimizer.step()
        theirs.optimizer.step()
        after = theirs.values()
        see_statistics(seen, case, after, before, k)
        see_updates(seen, case, after if case.kind == "sgd" else {**after, **twin.trained_values()}, before, none, k)
    return seen.say(case, steps, "; %d batches drawn" % drawn)


class Published:
    """An update in NumPy, in double, of every trained tensor: LAMB after You et al. (2020), algorithm 2,
    with the norm of all gradients clipped to 1 first, as in its authors' code; RMSProp as TensorFlow
    has it (Tieleman & Hinton 2012, with momentum)."""

    def __init__(self, kind, names):
        self.kind, self.m, self.v, self.t = kind, {}, {}, 0
        start = 1.0 if kind == "rmsproptf" else 0.0
        self.m = {n: 0.0 for n in names}
        self.v = {n: start for n in names}

    def slots(self, shape):
        """As the library keeps them: LAMB's moments; RMSProp's squares, then its momentum."""
        order = (self.m, self.v) if self.kind == "lamb" else (self.v, self.m)
        return {n: [np.broadcast_to(np.asarray(s[n], np.float32), shape[n]) for s in order] for n in self.m}

    def step(self, values, gradients):
        self.t += 1
        norm = np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradients.values()))
        return {n: self.lamb(n, values[n].astype(np.float64), g.astype(np.float64), norm) if self.kind == "lamb"
                else self.rmsprop(n, values[n].astype(np.float64), g.astype(np.float64))
                for n, g in gradients.items()}

    def lamb(self, n, x, g, norm, b1=0.9, b2=0.999, eps=1e-6):
        decay = 0.02 if x.ndim > 1 else 0.0
        g = g * min(1.0, 1.0 / norm)
        self.m[n] = b1 * self.m[n] + (1 - b1) * g
        self.v[n] = b2 * self.v[n] + (1 - b2) * g * g
        r = (self.m[n] / (1 - b1**self.t)) / (np.sqrt(self.v[n] / (1 - b2**self.t)) + eps) + decay * x
        of_x, of_r = np.linalg.norm(x), np.linalg.norm(r)
        trust = of_x / of_r if decay > 0 and of_x > 0 and of_r > 0 else 1.0
        return x - RATE["lamb"] * trust * r

    def rmsprop(self, n, x, g, rho=0.9, momentum=0.9, eps=1e-3):
        g = g + (1e-5 * x if x.ndim > 1 else 0.0)
        self.v[n] = rho * self.v[n] + (1 - rho) * g * g
        self.m[n] = momentum * self.m[n] + RATE["rmsproptf"] * g / np.sqrt(self.v[n] + eps)
        return x - self.m[n]


def beside_published(case, steps, batch):
    """The library's own run, each of its updates against the published one."""
    seen, source = Seen(), batches(batch)
    names = [n for n in case.found if not statistic(n)]
    rule = Published(case.kind, names)
    shape = {n: case.found[n]["value"].shape for n in names}
    for k in range(1, steps + 1):
        x, labels = next(source)
        before = case.values()
        loss = case.lib.gradients(x, one_hot(labels))
        ours = {n: case.found[n]["gradient"].copy() for n in names}
        case.put(before, rule.slots(shape), k - 1)
        seen.loss.see(abs(case.step(x, labels) - loss), "step %d" % k)
        see_updates(seen, case, {n: v.astype(np.float32) for n, v in rule.step(before, ours).items()}, before, (), k)
    return seen.say(case, steps)


def free_run(case, kind, steps, batch, threads):
    """Losses of PyTorch from the library's initial parameters."""
    torch.set_num_threads(threads)
    net = Torch(case.graph, case.values(), kind)
    return [net.step(x, labels) for (x, labels), _ in zip(batches(batch), range(steps))]


def in_band(case, steps, batch):
    """Ours is as near to the nearest of PyTorch's runs as those are to each other, up to that step."""
    kept = torch.get_num_threads()
    runs = np.array([free_run(case, case.kind, steps, batch, n) for n in BAND_THREADS])
    torch.set_num_threads(kept)
    ours = np.array([case.step(x, labels) for (x, labels), _ in zip(batches(batch), range(steps))])
    width = np.maximum.accumulate(runs.max(0) - runs.min(0)) + 1e-6 * np.abs(runs).max(0)
    off = np.abs(runs - ours).min(0)
    worst = int(np.argmax(off / width))
    print("band:%s, %d steps: loss %.4f to %.4f; ours is off the nearest of PyTorch's runs by %.1e at most, of a "
          "band of %.1e; worst at step %d: %.1e of %.1e" % (case.net, steps, ours[0], ours[-1], off.max(),
                                                           width.max(), worst + 1, off[worst], width[worst]),
          flush=True)
    return bool((off <= BAND * width).all())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lr", type=float, help="learning rate in place of the case's")
    parser.add_argument("--folder", help="keep the libraries here")
    parser.add_argument("cases", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cases = args.cases or ["%s:%s" % (n, o) for n in OPTIONS for o in SETTINGS] + ["band:" + n for n in OPTIONS]
    ok = True
    with tempfile.TemporaryDirectory() as folder:
        for name in cases:
            net, kind = name.split(":")
            band = net == "band"
            net, kind = (kind, "sgd") if band else (net, kind)
            RATE[kind] = args.lr or RATE[kind]
            batch = args.batch or (8 if band else BATCH[net])
            case = Case(net, kind, batch, args.threads, args.folder or folder)
            run = in_band if band else beside_torch if SETTINGS[kind][1] else beside_published
            ok = run(case, args.steps, batch) and ok
            case.lib.close()
    return not ok


if __name__ == "__main__":
    sys.exit(main())
