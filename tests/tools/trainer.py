"""A library made by `cnnc build --mode=train`, through ctypes: for tests."""
import ctypes as c

import numpy as np

FLOATS = c.POINTER(c.c_float)


class Counters(c.Structure):
    _fields_ = [(n, c.c_int64) for n in ("updates", "passes", "epoch", "batch")] + [("seed", c.c_uint64)]


class Values(c.Structure):
    _fields_ = [("ndim", c.c_int), ("trained", c.c_int), ("dims", c.c_int64 * 4), ("count", c.c_int64),
                ("value", FLOATS), ("gradient", FLOATS), ("slot", FLOATS * 2), ("average", FLOATS)]


class Parameter(c.Structure):
    _fields_ = [("name", c.c_char_p)] + [(n, c.c_int64) for n in ("offset", "count", "flags", "ndim")] + [
        ("dims", c.c_int64 * 4)]


def pointers(arrays):
    """The arrays as float *const[], which must stay alive."""
    return (FLOATS * len(arrays))(*[a.ctypes.data_as(FLOATS) for a in arrays])


def aligned(a):
    return np.ascontiguousarray(a, dtype=np.float32)


class Trainer:
    def __init__(self, path, prefix, threads=1):
        self.lib = c.CDLL(path)
        self.prefix = prefix
        self.t = c.c_void_p()
        for name in ("parameters", "output"):
            self.function(name).restype = FLOATS
        self.function("model").restype = c.POINTER(c.c_int64)
        self.check(self.function("create")(c.byref(self.t), None, threads))

    def function(self, name):
        return getattr(self.lib, f"{self.prefix}_train_{name}")

    def error(self, status):
        text = getattr(self.lib, self.prefix + "_strerror")
        text.restype = c.c_char_p
        return text(status).decode()

    def check(self, status, message=b""):
        if status != 0:
            raise RuntimeError(f"{status}: {self.error(status)} {message.decode()}")

    def close(self):
        self.function("destroy")(self.t)
        self.t = None

    def step(self, images, targets, lr):
        images, targets, loss = aligned(images), aligned(targets), c.c_double()
        self.check(self.function("step")(self.t, len(images), pointers([images]), pointers([targets]),
                                         c.c_double(lr), c.byref(loss)))
        return loss.value

    def gradients(self, images, targets):
        images, targets, loss = aligned(images), aligned(targets), c.c_double()
        self.check(self.function("gradients")(self.t, len(images), pointers([images]), pointers([targets]),
                                              c.byref(loss)))
        return loss.value

    def run(self, images, outputs, averaged=False):
        images = aligned(images)
        out = np.empty((len(images), outputs), np.float32)
        self.check(self.function("run")(self.t, len(images), pointers([images]), pointers([out]), int(averaged)))
        return out

    def find(self, name):
        v = Values()
        self.check(self.function("find")(self.t, name.encode(), c.byref(v)))
        shape = tuple(v.dims[:v.ndim])

        def view(p):
            return np.ctypeslib.as_array(p, shape=shape) if p else None

        return {"value": view(v.value), "gradient": view(v.gradient), "average": view(v.average),
                "slot": [view(v.slot[0]), view(v.slot[1])], "trained": bool(v.trained)}

    def counters(self, **changes):
        at = Counters()
        self.check(self.function("counters")(self.t, c.byref(at)))
        for key, value in changes.items():
            setattr(at, key, value)
        if changes:
            self.check(self.function("set_counters")(self.t, c.byref(at)))
        return {n: getattr(at, n) for n, _ in Counters._fields_}

    def save(self, path):
        message = c.create_string_buffer(1024)
        self.check(self.function("save")(self.t, path.encode(), message), message.value)

    def load(self, path):
        message = c.create_string_buffer(1024)
        self.check(self.function("load")(self.t, path.encode(), message), message.value)
