"""The generator of docs/random.md in NumPy, and the fixture weights made with it."""

import numpy as np

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(key, counter):
    """mix(key, counter) for one integer counter."""
    z = (key + (counter + 1) * GOLDEN) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def key(name, seed):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return mix(h ^ ((seed * 0xD1342543DE82EF95) & MASK), 0)


def uniform(stream, count):
    """float32 values uniform(stream, 0 .. count - 1)."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64)
        z *= np.uint64(GOLDEN)
        z += np.uint64(stream)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def parameter(kind, name, shape, seed):
    """Fixture values of a parameter; kind is weight, bias, scale, shift, mean or var."""
    count = int(np.prod(shape))
    u = uniform(key(name, seed), count).astype(np.float64)
    if kind == "weight":
        value = (2 * u - 1) * np.sqrt(6.0 / np.prod(shape[1:]))
    elif kind in ("scale", "var"):
        value = 0.5 + u
    else:
        value = (2 * u - 1) * {"bias": 0.1, "shift": 0.2, "mean": 0.1}[kind]
    return value.astype(np.float32).reshape(shape)


def fixture_input(shape, seed):
    u = uniform(key("input", seed), int(np.prod(shape)))
    return (2 * u - 1).astype(np.float32).reshape(shape)
