"""Serves a compiled network (serve.py).

usage: worker_cnnc.py LIBRARY PREFIX OUTPUTS
The library is what `cnnc build --emit=so` makes; OUTPUTS is the number of values of an image.
"""
import ctypes
import sys

import numpy as np

from serve import serve


def main():
    library, prefix, outputs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    lib = ctypes.CDLL(library)
    create, run, destroy = (getattr(lib, f"{prefix}_{x}") for x in ("create", "run", "destroy"))
    context = ctypes.c_void_p()

    def open_network(threads, x):
        if context:
            destroy(context)
        if create(ctypes.byref(context), None, threads, None, ctypes.c_size_t(0)) != 0:
            sys.exit("cannot create a context")
        x = np.ascontiguousarray(x, np.float32)
        y = np.empty((len(x), outputs), np.float32)
        ins, outs = (ctypes.c_void_p * 1)(x.ctypes.data), (ctypes.c_void_p * 1)(y.ctypes.data)

        def once(x=x):  # the array lives as long as its address is used
            if run(context, len(x), ins, outs) != 0:
                sys.exit("the run failed")
            return y
        return once

    serve(open_network)


main()
