"""One measured process, and what it costs."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from hack.cluster.layout import cache_dir

PEERS = Path(__file__).parent / "peers"
ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Contender:
    """``command`` takes the values of :meth:`running` in place of ``{}``."""

    name: str
    command: Sequence[str]

    @contextmanager
    def running(self, *values: object) -> Iterator["Cost"]:
        """The process for as long as the block; its output goes to a log in the cache."""
        given = iter(values)
        words = [str(next(given)) if word == "{}" else word for word in self.command]
        log = folder() / f"{self.name.replace(' ', '-').replace(',', '')}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield Cost(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True, slots=True)
class Cost:
    """What the kernel counts of a process."""

    pid: int

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def peak_mib(self) -> float:
        """The largest resident set so far."""
        return self._mib("VmHWM")

    @property
    def resident_mib(self) -> float:
        """The resident set now."""
        return self._mib("VmRSS")

    def _mib(self, name: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        return 0.0


def folder() -> Path:
    """Where peers and logs are kept."""
    found = cache_dir() / "bench"
    found.mkdir(parents=True, exist_ok=True)
    return found


def build_go_peer() -> Path:
    """controller-runtime's part and the load generator; go builds only what has changed."""
    program = folder() / "controller-runtime-peer"
    environment = {**os.environ, "CGO_ENABLED": "0"}
    command = ["go", "build", "-o", str(program), "."]
    subprocess.run(command, cwd=PEERS / "controller-runtime", env=environment, check=True)
    return program


def install_kopf() -> Path:
    """The Python of a virtual environment that holds what the lock names."""
    lock = PEERS / "kopf" / "requirements.lock"
    target = folder() / f"kopf-{sha256(lock.read_bytes()).hexdigest()[:12]}"
    python, complete = target / "bin" / "python", target / "complete"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", target], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r"]
        subprocess.run([*pip, str(lock)], check=True)
        complete.touch()
    return python
