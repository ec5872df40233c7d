"""Reviews sent to a webhook as fast as it answers: how many a second, how soon, at what cost."""

import json
import socket
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hack.bench.contender import Contender, build_go_peer
from hack.bench.figures import Figures
from kfx.runtime import pki

CONNECTIONS = 16
HOW = (
    f"{CONNECTIONS} connections of HTTP/1.1 over TLS, always busy. One load generator for all, a process of "
    "its own on the same cores; it warms up for two seconds. CPU µs is the server's CPU time for one "
    "request; kfx runs on one core, controller-runtime on all."
)


@dataclass(frozen=True, slots=True)
class Load:
    """``body`` is sent to ``path`` for ``seconds``; every answer must hold ``expected``."""

    path: str
    body: bytes
    expected: str
    seconds: float

    def measure(self, contender: Contender, directory: Path) -> Figures:
        """Start the contender, with the certificate of :func:`write_pair`, and use it."""
        port, review = free_port(), directory / "review.json"
        review.write_bytes(self.body)
        with contender.running(port, directory) as cost:
            wait_for_port(port)
            before = cost.cpu_seconds
            words = [str(build_go_peer()), "load", f"https://127.0.0.1:{port}{self.path}?timeout=10s"]
            words += [
                str(directory / "ca.crt"),
                str(review),
                self.expected,
                str(CONNECTIONS),
                str(self.seconds),
            ]
            limit = self.seconds + 30
            done = subprocess.run(words, capture_output=True, text=True, timeout=limit, check=False)
            if done.returncode:
                raise RuntimeError(f"{contender.name}: {done.stderr[-500:]}")
            found = json.loads(done.stdout)
            spent = cost.cpu_seconds - before
            return {
                "requests/s": found["per_second"],
                "p50 ms": found["p50"],
                "p99 ms": found["p99"],
                "CPU µs": 1e6 * spent / found["all"],
                "peak MiB": cost.peak_mib,
            }


def write_pair(directory: Path) -> None:
    """A certificate for loopback, its key, and who signed it."""
    pair = pki.issue(
        ["localhost"], ["127.0.0.1"], now=datetime.now(UTC), common_name="bench", organization="bench"
    )
    (directory / "tls.crt").write_bytes(pair.cert_pem)
    (directory / "tls.key").write_bytes(pair.key_pem)
    (directory / "ca.crt").write_bytes(pair.bundle)


def free_port() -> int:
    """One that nobody listens on just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Return once somebody listens; TimeoutError after twenty seconds."""
    for _ in range(2000):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise TimeoutError(f"nobody listens on {port}")
