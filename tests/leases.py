"""A lease in memory, as the API server would keep it: every write must name the version it changes."""

import asyncio
from dataclasses import replace

import pytest

from kfx.kube.errors import AlreadyExists, Conflict, TransportError
from kfx.runtime.leader import LeaderElector, LeadershipLost, Lease, LeaseLock
from kfx.runtime.metrics import RuntimeMetrics


class Register:
    """The stored lease and the history of who held it; shared by the locks of all candidates."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.version = 0
        self.writers: list[str] = []

    def compare_and_swap(self, lease: Lease, writer: str) -> Lease:
        stored = self.lease.version if self.lease else ""
        if lease.version != stored:
            kind = Conflict if lease.version else AlreadyExists
            raise kind("somebody was faster", status=409, method="PUT", path="/lease")
        return self.put(lease, writer)

    def put(self, lease: Lease, writer: str = "kubectl") -> Lease:
        """As somebody may who gives no version."""
        self.version += 1
        self.writers.append(writer)
        self.lease = replace(lease, version=str(self.version))
        return self.lease

    def delete(self) -> None:
        self.lease = None

    @property
    def holder(self) -> str | None:
        return self.lease.holder if self.lease else None


class MemoryLock(LeaseLock):
    """One candidate's way to the register. ``down``: nothing answers; ``delay``: of each half of the way."""

    name = "lock"

    def __init__(self, register: Register, writer: str = "") -> None:
        self.register = register
        self.writer = writer
        self.down = False
        self.lose_replies = False
        self.delay = 0.0
        self.reads = self.writes = 0

    async def read(self) -> Lease | None:
        self.reads += 1
        await self._travel()
        found = self.register.lease
        await self._return()
        return found

    async def write(self, lease: Lease) -> Lease:
        self.writes += 1
        await self._travel()
        stored = self.register.compare_and_swap(lease, self.writer)
        await self._return()
        return stored

    async def _travel(self) -> None:
        await asyncio.sleep(self.delay)
        if self.down:
            raise TransportError("no answer")

    async def _return(self) -> None:
        await asyncio.sleep(self.delay)
        if self.down or self.lose_replies:
            raise TransportError("the answer was lost")


class Candidate:
    """An elector with its lock; its clock is the loop's plus ``paused`` seconds."""

    def __init__(self, register, name, **options):
        self.metrics = RuntimeMetrics()
        self.lock = MemoryLock(register, name)
        self.paused = 0.0
        self.elector = LeaderElector(
            self.lock, name, metrics=self.metrics, clock=self.now, jitter=lambda: 0.0, **options
        )

    def now(self):
        return asyncio.get_running_loop().time() + self.paused

    async def acquire(self):
        return await self.elector.acquire(asyncio.Event())

    async def lead(self, seconds=1e6):
        """Until ``seconds`` are over, or raising when leadership is lost."""
        async with self.elector.renewing():
            await asyncio.sleep(seconds)

    async def lose(self):
        with pytest.raises(ExceptionGroup) as caught:
            await self.lead()
        assert caught.group_contains(LeadershipLost)
        with pytest.raises(LeadershipLost):
            self.elector.check()


def later(seconds, function, *args):
    """Call ``function`` when ``seconds`` of the loop's time are over."""
    asyncio.get_running_loop().call_later(seconds, function, *args)
