"""kfx as a child process, its log in a file."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from hack.run.commands import LAST_LINES, end
from hack.run.errors import RunError

READY_TIMEOUT = 60.0  # seconds
STOP_PATIENCE = 2.5  # seconds for work in hand; Ctrl-C has five in all


@dataclass(frozen=True, slots=True)
class Ports:
    """Where kfx listens on the host; Katib's by default, others where two run side by side."""

    webhook: int = 8443
    metrics: int = 8080
    healthz: int = 18080
    db_manager: int = 6789

    @classmethod
    def of_cluster(cls, index: int) -> "Ports":
        """Katib's ports for cluster 0, a hundred more for each further one."""
        return cls(
            *(
                default + 100 * index
                for default in (cls().webhook, cls().metrics, cls().healthz, cls().db_manager)
            )
        )

    @property
    def by_name(self) -> dict[str, int]:
        """By the names that config/run gives them."""
        return {
            "webhook": self.webhook,
            "metrics": self.metrics,
            "healthz": self.healthz,
            "api": self.db_manager,
        }

    @property
    def ready_url(self) -> str:
        """Says 200 once everything serves."""
        return f"http://127.0.0.1:{self.healthz}/readyz"

    @property
    def metrics_url(self) -> str:
        """Prometheus' text."""
        return f"http://127.0.0.1:{self.metrics}/metrics"


def kfx_command(*, kubeconfig: Path, observations: Path, collector_image: str, ports: Ports) -> list[str]:
    """The command line of a kfx beside the cluster."""
    return [
        sys.executable, "-m", "kfx",
        "--metrics-addr", f":{ports.metrics}",
        "--webhook-port", str(ports.webhook),
        "--healthz-addr", f":{ports.healthz}",
        "--db-manager-addr", f":{ports.db_manager}",
        "--kubeconfig", str(kubeconfig),
        "--sqlite-path", str(observations),
        "--collector-image", collector_image,
    ]  # fmt: skip


class Controller:
    """A started kfx."""

    def __init__(self, process: Process, *, log: Path, ready_url: str) -> None:
        self._process = process
        self._log = log
        self._ready_url = ready_url

    def check(self) -> None:
        """Raises :class:`RunError` with the last lines of the log if the process has ended."""
        if self._process.returncode is not None:
            raise RunError(
                f"kfx ended with status {self._process.returncode}; its last words:\n{self._tail()}"
            )

    async def wait_until_ready(self) -> None:
        """Return once ``/readyz`` says yes. Raises :class:`RunError` if it ends first or takes a minute."""
        try:
            async with asyncio.timeout(READY_TIMEOUT), aiohttp.ClientSession() as session:
                while not await _answers(session, self._ready_url):
                    self.check()
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise RunError(
                f"kfx was not ready within {READY_TIMEOUT:.0f} s ({self._ready_url}?verbose says why); "
                f"its last words:\n{self._tail()}"
            ) from None
        self.check()

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([*lines, f"(all of it: {self._log})"])


@asynccontextmanager
async def controller(command: Sequence[str], *, log: Path, ready_url: str) -> AsyncIterator[Controller]:
    """kfx for as long as the block; it ends within a few seconds, with SIGTERM if it can."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=output, stderr=STDOUT, env=environment, start_new_session=True
        )
    try:
        yield Controller(process, log=log, ready_url=ready_url)
    finally:
        await end(process, patience=STOP_PATIENCE)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
