"""A worker process (serve.py) seen from outside."""
import json
import os
import select
import subprocess
import sys
import time

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
