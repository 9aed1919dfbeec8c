"""Serves an ONNX file in ONNX Runtime (serve.py): all optimisations, inputs and outputs bound.

usage: worker_ort.py MODEL.onnx
The first axis of the input may be called "n".
"""
import sys

import numpy as np
import onnxruntime as ort

from serve import serve


def open_network(threads, x):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_free_dimension_override_by_name("n", len(x))
    session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input(session.get_inputs()[0].name, ort.OrtValue.ortvalue_from_numpy(x))
    binding.bind_output(session.get_outputs()[0].name, "cpu")
    session.run_with_iobinding(binding)
    y = binding.get_outputs()[0]
    binding.bind_ortvalue_output(session.get_outputs()[0].name, y)
    view = y.numpy()  # shares the memory, or is made once: the result is the same in every run

    def once():
        session.run_with_iobinding(binding)
        return view
    return once


serve(open_network)
