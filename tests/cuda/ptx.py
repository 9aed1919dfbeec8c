"""PTX and ptxas: kernels of a text, and what the assembler makes of each, once for equal ones."""
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading

ENTRY = re.compile(r"^\.visible \.entry (\w+)\(", re.M)


def ptxas():
    found = shutil.which("ptxas")
    usual = "/usr/local/cuda/bin/ptxas"
    return found or (usual if os.access(usual, os.X_OK) else None)


def kernels(text):
    """The head of a PTX text, and its kernels by name, each with K in place of its name."""
    found = list(ENTRY.finditer(text))
    head = re.sub(r"^\s*//.*\n", "", text[:found[0].start()], flags=re.M)
    out = {}
    for at, entry in enumerate(found):
        end = found[at + 1].start() if at + 1 < len(found) else len(text)
        body = re.sub(rf"\b{entry[1]}(?=\b|_param_|_shared)", "K", text[entry.start():end])
        body = re.sub(r"\$L__BB\d+_", "$L__BB_", body)  # numbered over the whole text
        out[entry[1]] = re.sub(r"\s*// \.globl.*\s*\Z", "\n", body)
    return head, out


def assembled(tool, path, arch):
    """(registers, spilled bytes, bytes of shared memory) by kernel of a file. Raises ValueError."""
    run = subprocess.run([tool, f"-arch={arch}", "-v", path, "-o", os.devnull],
                         capture_output=True, text=True)
    text = run.stdout + run.stderr
    if run.returncode:
        raise ValueError(text.strip()[-300:])
    if "wgmma" in text:  # "instructions are serialized due to ...", which costs most of their rate
        raise ValueError(re.search(r".*wgmma.*", text)[0])
    found = {}
    for part in re.split(r"Compiling entry function ", text)[1:]:
        name = re.match(r"'([^']+)'", part)[1]
        shared = re.search(r"(\d+) bytes smem", part)
        found[name] = (int(re.search(r"Used (\d+) registers", part)[1]),
                       int(re.search(r"(\d+) bytes spill stores", part)[1]),
                       int(shared[1]) if shared else 0)
    return found


class Assembler:
    """Remembers kernels by their text: networks share many. Several threads may use it."""

    def __init__(self, tool):
        self.tool, self.known, self.lock = tool, {}, threading.Lock()
        self.asked = 0

    def distinct(self):
        return len(self.known)

    def ask(self, path, arch):
        """What `assembled` says of every kernel of the PTX file."""
        with open(path, encoding="utf-8") as file:
            head, bodies = kernels(file.read())
        keys = {name: hashlib.sha256((arch + head + body).encode()).digest()
                for name, body in bodies.items()}
        with self.lock:
            new = {keys[name]: body for name, body in bodies.items()
                   if keys[name] not in self.known}
            self.asked += len(keys)
        if new:
            found = self.assemble(head, list(new.values()), arch)
            with self.lock:
                self.known.update({key: found[f"K{i}"] for i, key in enumerate(new)})
        return {name: self.known[key] for name, key in keys.items()}

    def assemble(self, head, bodies, arch):
        with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
            file.write(head)
            for i, body in enumerate(bodies):
                body = re.sub(r"\bK(?=\b|_param_|_shared)", f"K{i}", body)
                file.write(body.replace("$L__BB_", f"$L__BB{i}_"))
            file.flush()
            return assembled(self.tool, file.name, arch)
