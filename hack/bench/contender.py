"""One measured process, and what it costs."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.layout import cache_dir

PEERS = Path(__file__).parent / "peers"
ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Contender:
    """``command`` takes a kubeconfig or a port in place of ``{}``."""

    name: str
    command: Sequence[str]

    @contextmanager
    def running(self, *values: str, log: Path) -> Iterator["Cost"]:
        """The process for as long as the block."""
        words = [word.format(*values) for word in self.command]
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
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0


def build_go_peer() -> Path:
    """controller-runtime's part, built once for each state of its module files."""
    program = cache_dir() / "bench" / "controller-runtime-peer"
    program.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "CGO_ENABLED": "0"}
    subprocess.run(
        ["go", "build", "-o", program, "."], cwd=PEERS / "controller-runtime", env=environment, check=True
    )
    return program


def install_kopf() -> Path:
    """The Python of a virtual environment with kopf in it."""
    folder = cache_dir() / "bench" / "kopf"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        lock = PEERS / "kopf" / "requirements.lock"
        pip = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--no-deps",
            "-r",
            str(lock),
        ]
        subprocess.run(pip, check=True)
    return python
