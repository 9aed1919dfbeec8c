"""Training steps of a compiled network on request: reads a number of steps, answers with their median
seconds and the peak memory of this process in MB.

usage: worker_train_cnnc.py LIBRARY PREFIX BATCH SIDE CLASSES THREADS
The library is what `cnnc build --mode=train --emit=so` makes.
"""
import os
import resource
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "tools"))
import numpy as np  # noqa: E402
from trainer import Trainer  # noqa: E402


def main():
    library, prefix, batch, side, classes, threads = sys.argv[1:]
    batch, side, classes = int(batch), int(side), int(classes)
    trainer = Trainer(library, prefix, int(threads))
    images = np.random.default_rng(1).standard_normal((batch, 3, side, side)).astype(np.float32)
    targets = np.eye(classes, dtype=np.float32)[np.arange(batch) % classes]
    trainer.step(images, targets, 1e-3)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            trainer.step(images, targets, 1e-3)
            times.append(time.perf_counter() - start)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(statistics.median(times), memory, flush=True)


main()
