"""kfx as a child process, its log in a file."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from hack.run.commands import LAST_LINES, end
from hack.run.errors import RunError

READY_URL = "http://127.0.0.1:18080/readyz"
METRICS_URL = "http://127.0.0.1:8080/metrics"
READY_TIMEOUT = 60.0  # seconds
STOP_PATIENCE = 2.5  # seconds for work in hand; Ctrl-C has five in all


def kfx_command(*, kubeconfig: Path, observations: Path, collector_image: str) -> list[str]:
    """The command line of a kfx beside the cluster."""
    return [
        sys.executable, "-m", "kfx",
        "--metrics-addr", ":8080",
        "--webhook-port", "8443",
        "--kubeconfig", str(kubeconfig),
        "--sqlite-path", str(observations),
        "--collector-image", collector_image,
    ]  # fmt: skip


class Controller:
    """A started kfx."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self._log = log

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
                while not await _answers(session):
                    self.check()
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise RunError(
                f"kfx was not ready within {READY_TIMEOUT:.0f} s ({READY_URL}?verbose says why); "
                f"its last words:\n{self._tail()}"
            ) from None
        self.check()

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([*lines, f"(all of it: {self._log})"])


@asynccontextmanager
async def controller(command: Sequence[str], log: Path) -> AsyncIterator[Controller]:
    """kfx for as long as the block; it ends within a few seconds, with SIGTERM if it can."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=output, stderr=STDOUT, env=environment, start_new_session=True
        )
    try:
        yield Controller(process, log)
    finally:
        await end(process, patience=STOP_PATIENCE)


async def _answers(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get(READY_URL, timeout=aiohttp.ClientTimeout(total=2)) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
