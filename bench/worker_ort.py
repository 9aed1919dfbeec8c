"""Runs one network in ONNX Runtime on request: reads the number of runs, answers with their median
seconds.

usage: worker_ort.py MODEL.onnx THREADS INPUT.npy OUTPUT.npy
"""
import statistics
import sys
import time

import numpy as np
import onnxruntime as ort


def main():
    model, threads, source, result = sys.argv[1:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(threads)
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: np.load(source).astype(np.float32)}
    y = session.run(None, feed)[0]
    np.save(result, y)
    for line in sys.stdin:
        times = []
        session.run(None, feed)
        for _ in range(int(line)):
            start = time.perf_counter()
            session.run(None, feed)
            times.append(time.perf_counter() - start)
        print(statistics.median(times), min(times), flush=True)


main()
