"""Runs one compiled network on request: reads the number of runs, answers with their median seconds.

usage: worker_cnnc.py LIBRARY PREFIX BATCH THREADS INPUT.npy OUTPUT.npy
The library is what `cnnc build --emit=so` makes.
"""
import ctypes
import statistics
import sys
import time

import numpy as np


def main():
    library, prefix, batch, threads, source, result = sys.argv[1:]
    lib = ctypes.CDLL(library)
    create, run = getattr(lib, prefix + "_create"), getattr(lib, prefix + "_run")
    context = ctypes.c_void_p()
    x = np.ascontiguousarray(np.load(source), np.float32)
    y = np.empty((int(batch), 1000), np.float32)
    if create(ctypes.byref(context), None, int(threads), None, ctypes.c_size_t(0)) != 0:
        sys.exit("cannot create a context")
    ins = (ctypes.c_void_p * 1)(x.ctypes.data)
    outs = (ctypes.c_void_p * 1)(y.ctypes.data)

    def once():
        if run(context, int(batch), ins, outs) != 0:
            sys.exit("the run failed")

    once()
    np.save(result, y)
    for line in sys.stdin:
        times = []
        once()
        for _ in range(int(line)):
            start = time.perf_counter()
            once()
            times.append(time.perf_counter() - start)
        print(statistics.median(times), min(times), flush=True)


main()
