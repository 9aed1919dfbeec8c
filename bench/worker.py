"""A worker process (serve.py) seen from outside."""
import json
import os
import select
import statistics
import subprocess
import time

TURN, TURN_RUNS = 0.25, 30  # a turn: about so many seconds, at most so many runs
PATIENCE = 10.0  # seconds for all turns of one worker, when a run is long
REST = 0.05  # seconds until the threads of the one before have stopped spinning
HERE = os.path.dirname(os.path.abspath(__file__))


class WorkerFailed(Exception):
    """A worker ended early; the text is the last it said."""


class Worker:
    """One line goes in, one comes out: nothing is ever left in the pipe between two requests."""

    def __init__(self, python, script, *args, limit, log):
        self.limit, self.log = limit, log
        self.start = time.perf_counter()
        with open(log, "w") as said:
            self.process = subprocess.Popen([python, "-B", os.path.join(HERE, script), *args], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=said, text=True)

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], self.limit)[0]:
                self.process.kill()
                self.process.wait()
                raise WorkerFailed(f"no answer to '{request['do']}' in {self.limit:.0f} s")
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerFailed(self.last_words())
        return json.loads(line)

    def last_words(self):
        code = self.process.wait()
        with open(self.log) as f:
            lines = [x.strip() for x in f if x.strip()]
        return f"exit {code}: {lines[-1][:160] if lines else 'no message'}"

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def in_turns(workers, rounds):
    """Times of workers by name, each measured in every round while the others wait: seconds as median
    and min, and how many runs they are of."""
    times, runs = {name: [] for name in workers}, {}
    for _ in range(rounds):
        for name, worker in workers.items():
            if sum(times[name]) > PATIENCE:
                continue
            time.sleep(REST)
            if name not in runs:
                once = worker.ask(do="measure", runs=1)["times"][0]
                runs[name] = max(1, min(TURN_RUNS, round(TURN / once)))
                if runs[name] == 1:
                    times[name].append(once)  # that was its turn
                    continue
            times[name] += worker.ask(do="measure", runs=runs[name])["times"]
    return {name: {"median": statistics.median(t), "min": min(t), "runs": len(t)} for name, t in times.items()}
