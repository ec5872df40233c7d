"""kfx as a real process behind a proxy of its own, which sees every write and can kill it there."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from hack.verify.kill_points import VERBS, Schedule, name_write
from kfx.kube.credentials import Credentials
from tests.cluster.fault_proxy import Exchange, FaultProxy, fault_proxy
from tests.cluster.installation import free_ports
from tests.serving import new_pair, write_pair

ROOT = Path(__file__).resolve().parents[2]
READ = 0.01  # seconds in which a reply that was handed over is read
_KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: rig
contexts: [{{name: rig, context: {{cluster: rig}}}}]
clusters: [{{name: rig, cluster: {{server: "{server}"}}}}]
"""


class Subject:
    """One kfx, or one replica of it. Each start has a User-Agent of its own: ``replica=<name>-<number>``."""

    def __init__(
        self,
        name: str,
        folder: Path,
        proxy: FaultProxy,
        flags: Sequence[str],
        *,
        module: str = "kfx",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.webhooks_port, self.reports_port = free_ports(2)
        self.name, self.proxy = name, proxy
        self._environ = {**os.environ, **(environ or {})}
        self.log = folder / f"{name}.log"
        self.schedule = Schedule()
        self.blow = signal.SIGKILL
        """What it gets where the schedule says so."""
        self.killed = asyncio.Event()
        """Whether it has got it since it was started."""
        self.last_write = 0.0
        """When the last write was seen, on the loop's clock."""
        self._started = self._log_at = self._asking = 0
        self._process: Process | None = None
        kubeconfig = folder / f"{name}.kubeconfig"
        kubeconfig.write_text(_KUBECONFIG.format(server=proxy.url))
        self._command = [
            sys.executable, "-m", module,
            "--kubeconfig", str(kubeconfig),
            "--sqlite-path", str(folder / "observations.db"),
            "--cert-dir", str(folder),
            "--webhook-port", str(self.webhooks_port),
            "--db-manager-addr", f"127.0.0.1:{self.reports_port}",
            "--metrics-addr", "0",
            "--healthz-addr", "0",
            "--trial-resources", "Job.v1.batch",
            *flags,
        ]  # fmt: skip
        for method in VERBS:
            proxy.inject(method, "", self._pass_on, times=-1)

    @property
    def reports(self) -> str:
        """Where collectors report."""
        return f"127.0.0.1:{self.reports_port}"

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self._process is not None else None

    async def start(self) -> None:
        """Start it, and return at once. A dead one's watches are closed; its writes go their way."""
        self.proxy.cut_watches()
        self._started += 1
        self.proxy.replica = f"{self.name}-{self._started}"
        self.killed.clear()
        with self.log.open("ab") as log:
            self._log_at = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, number)

    async def ended(self) -> int:
        """Its exit status, once it has one."""
        assert self._process is not None  # noqa: S101 — narrows the type
        return await self._process.wait()

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def is_at_work(self) -> bool:
        """Whether the controllers of the last start have begun, and nothing has ended it."""
        alive = self.returncode is None and not self.killed.is_set()
        return alive and self.term > 0

    @property
    def term(self) -> int:
        """The number of its last start if it has led since, or still does; else 0."""
        return self._started if self._has_said(b'"controllers started"') else 0

    def has_lost(self) -> bool:
        """Whether it has ended as one ends whose Lease has run out."""
        return self.returncode == 1 and self._has_said(b'"stopped: another replica may lead now"')

    @property
    def identity(self) -> str:
        """Its name as the Lease's holder, "" if it has not led since its last start."""
        found = re.search(rb'"msg":"leading".*"identity":"([^"]+)"', self._words())
        return found[1].decode() if found else ""

    async def settle(self) -> None:
        """Return once no write of a dead one is under way any more."""
        while self._asking:
            await asyncio.sleep(READ)
        await asyncio.sleep(5 * READ)  # what it has sent and nobody has read yet
        while self._asking:
            await asyncio.sleep(READ)

    def go_on(self) -> None:
        """End what SIGSTOP began."""
        self.send(signal.SIGCONT)
        self.killed.clear()

    def _has_said(self, words: bytes) -> bool:
        return words in self._words()

    def _words(self) -> bytes:
        return self.log.read_bytes()[self._log_at :] if self.log.exists() else b""

    def last_words(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-12:])

    async def _pass_on(self, exchange: Exchange) -> None:
        """One write; the schedule says whether this is where the process dies."""
        write = name_write(exchange.method, exchange.target)
        if write:
            self.last_write = asyncio.get_running_loop().time()
            if self._dies(write, "before"):
                return
        reply = await self._ask(exchange, write)
        is_accepted = bool(write) and reply.startswith(b"HTTP/1.1 2")
        if is_accepted:
            self.schedule.accepted[write] += 1
        if is_accepted and self._dies(write, "between"):
            return
        dies = is_accepted and not self.killed.is_set() and self.schedule.is_due(write, "after")
        with suppress(OSError):
            exchange.client.write(reply)
            await exchange.client.drain()
        if dies:
            await asyncio.sleep(READ)
            self._die()

    async def _ask(self, exchange: Exchange, write: str) -> bytes:
        self._asking += 1
        self.schedule.under_way[write] += 1
        try:
            reader, writer = await exchange.ask()
            try:
                return await reader.read(-1)
            finally:
                writer.transport.abort()
        finally:
            self.schedule.under_way[write] -= 1
            self._asking -= 1

    def _dies(self, write: str, phase: str) -> bool:
        if self.killed.is_set() or not self.schedule.is_due(write, phase):
            return False
        self._die()
        return True

    def _die(self) -> None:
        self.send(self.blow)
        self.killed.set()


@asynccontextmanager
async def subject(
    name: str,
    credentials: Credentials,
    folder: Path,
    *flags: str,
    module: str = "kfx",
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Subject]:
    """A kfx that is yet to be started; dead when the block is left."""
    if not (folder / "tls.crt").exists():
        write_pair(folder, new_pair())
    async with fault_proxy(credentials) as proxy:
        found = Subject(name, folder, proxy, flags, module=module, environ=environ)
        try:
            yield found
        finally:
            await found.kill()
