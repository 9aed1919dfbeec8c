"""The loop of a worker: a request a line on stdin, an answer a line on stdout, both JSON.

{"do": "open", "threads": T, "input": X.npy} makes the network ready, runs it once, and answers
{"seconds": ..., "memory": ...}: from the request to the first result, and the most memory the process
has had, in bytes.
{"do": "settle", "output": Y.npy} looks for a faster form, runs it, keeps what came out, and answers
{"note": ...}.
{"do": "measure", "runs": N} answers {"times": [...]}: seconds of each run.
"""
import json
import sys
import time

import numpy as np


def peak_memory():
    with open("/proc/self/status") as f:
        return next(1024 * int(x.split()[1]) for x in f if x.startswith("VmHWM"))


def serve(open_network, settle=None):
    """open_network(threads, x) returns a function without arguments that runs the network on x and
    returns its output. settle(), when given, may find a faster one afterwards: it returns that, and
    what to say of it."""
    once = None
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "open":
            x = np.load(request["input"])
            once = None
            start = time.perf_counter()
            once = open_network(request["threads"], x)
            once()
            answer = {"seconds": time.perf_counter() - start, "memory": peak_memory()}
        elif request["do"] == "settle":
            answer = {"note": ""}
            if settle:
                once, answer["note"] = settle()
            np.save(request["output"], once())
        else:
            times = []
            once()
            for _ in range(request["runs"]):
                start = time.perf_counter()
                once()
                times.append(time.perf_counter() - start)
            answer = {"times": times}
        print(json.dumps(answer), file=answers, flush=True)
