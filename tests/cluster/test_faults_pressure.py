"""The process without room: no reader of its log, a full disk, no file descriptors; by number.

No cluster is needed: an API server that is not there is enough.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.timeout(120)]

KUBECONFIG = """
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
"""
FEW = 48  # file descriptors; the process itself needs about 25
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """kfx with probes and metrics on free ports."""

    def __init__(self, folder: Path, stderr: int, *, descriptors: int = 0) -> None:
        self.health, self.metrics, self.webhooks = free_port(), free_port(), free_port()
        (folder / "kubeconfig").write_text(KUBECONFIG)
        command = [
            sys.executable, "-m", "kfx", "--kubeconfig", str(folder / "kubeconfig"),
            "--sqlite-path", str(folder / "observations.db"), "--cert-dir", str(folder),
            "--healthz-addr", f"127.0.0.1:{self.health}", "--metrics-addr", f"127.0.0.1:{self.metrics}",
            "--db-manager-addr", "0", "--webhook-port", str(self.webhooks), "--log-level", "debug",
        ]  # fmt: skip
        if descriptors:
            command = ["prlimit", f"--nofile={descriptors}", "--", *command]
        self.popen = subprocess.Popen(command, stderr=stderr)

    def asked(self, path: str = "/healthz", port: int = 0) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port or self.health}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
        return text

    def is_alive(self) -> bool:
        try:
            return self.asked() == "ok"
        except OSError:
            return False

    def await_life(self) -> None:
        deadline = time.monotonic() + 20
        while not self.is_alive():
            assert time.monotonic() < deadline
            assert self.popen.poll() is None
            time.sleep(0.05)

    def await_exhaustion(self) -> None:
        deadline = time.monotonic() + 20
        while len(os.listdir(f"/proc/{self.popen.pid}/fd")) < FEW - 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def figure(self, name: str) -> float:
        lines = self.asked("/metrics", self.metrics).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def used(self) -> float:
        """Seconds of a processor."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def running(folder: Path, stderr: int, **options: int) -> Iterator[Process]:
    """It must be alive, stay so, and end well when it is told to."""
    process = Process(folder, stderr, **options)
    try:
        process.await_life()
        yield process
        assert process.is_alive()
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(30) == 0
    finally:
        process.popen.kill()
        process.popen.wait()


def test_P14_a_log_that_nobody_reads_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"x" * 4096)
    with running(tmp_path, writer) as process:
        assert process.figure("kfx_log_lines_dropped_total") > 0
        assert process.figure("kfx_loop_lag_max_seconds") < 2
    os.close(reader)
    os.close(writer)


def test_P14_a_full_disk_below_the_log_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with running(tmp_path, full) as process:
        assert process.figure("kfx_log_lines_dropped_total") > 0
    os.close(full)


def test_P14_without_file_descriptors_it_waits_and_goes_on_when_there_are_some(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file, running(tmp_path, file.fileno(), descriptors=FEW) as process:
        with ExitStack() as crowd:
            for port in (process.health, process.metrics, process.webhooks):
                for _ in range(30):
                    crowd.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            process.await_exhaustion()
            before = process.used()
            time.sleep(1.5)
            assert process.used() - before < 0.5, "a processor is not kept busy by what cannot be accepted"
        process.await_life()
    assert log.stat().st_size < 1 << 20
