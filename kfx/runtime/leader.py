"""One leader among the replicas, by a Lease. Between the caches' start and the controllers'.

The rules are client-go's leaderelection with three defects mended: a lease is released only if a fresh read
names this process as its holder; the first sight of another holder ends leading at once; and a claim is
valid from before the request was sent, not from when the answer came.

A Lease alone is no fence, since nothing stops a request that is on its way. Every write is therefore also
guarded by a resourceVersion, a uid or a name that is fixed beforehand.
"""

import asyncio
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from kfx.kube.errors import ApiError, TransportError
from kfx.runtime.log import get_logger
from kfx.runtime.metrics import RuntimeMetrics

log = get_logger(__name__)

JITTER = 1.2  # tries while waiting come every retry_period · [1, 1 + JITTER)
LONGEST_DURATION = 3600  # seconds of a foreign lease that are believed
TOLERANCE = 20.0  # seconds past the lease's end; kube-controller-manager's
MOST_TRANSITIONS = 2**31 - 1  # the field is an int32
REFUSED = (ApiError, TransportError, TimeoutError)


class LeadershipLost(Exception):
    """Another replica may be leading: the process must end at once, without draining."""


class WriteHeld(Exception):
    """Leadership is not certain now, and will be decided in a moment. Nothing was sent; try again later."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The record the replicas compete for. Times are RFC 3339 with microseconds; ``duration`` is in seconds.

    ``version`` and ``document`` are the stored object's; a record is the same while the rest is.
    """

    holder: str = ""
    duration: int = 0
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0
    version: str = field(default="", compare=False)
    document: Mapping[str, Any] = field(default_factory=dict, compare=False)


class LeaseLock(Protocol):
    """Where the lease is stored. Both calls end within a few seconds, by TimeoutError if need be."""

    @property
    def name(self) -> str: ...

    async def read(self) -> Lease | None:
        """The stored lease; ``None`` if there is none. Raises ApiError, TransportError, TimeoutError."""
        ...

    async def write(self, lease: Lease) -> Lease:
        """Store ``lease`` if its ``version`` is the stored one, or make it if that is ``""``.

        Raises Conflict or AlreadyExists if somebody else was faster, else as :meth:`read`.
        """
        ...


def own_identity() -> str:
    """A name no other process has, not even a second one in the same pod: ``<hostname>_<uuid>``."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


def boot_time() -> float:
    """Seconds since boot; runs on while the process is stopped and while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _stamp() -> str:
    """The time as a MicroTime. It is for people to read: nothing is ever decided by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LeaderElector:
    """Holds a Lease, judging a rival's by how long this process saw it stand still.

    Clocks of two machines are never compared. ``clock`` must not stand still while the process does.
    Raises ValueError unless lease_duration > renew_deadline > 1.2 · retry_period > 0 (all in seconds).
    """

    def __init__(
        self,
        lock: LeaseLock,
        identity: str,
        *,
        lease_duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
        metrics: RuntimeMetrics | None = None,
        clock: Callable[[], float] = boot_time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not (lease_duration > renew_deadline > JITTER * retry_period > 0 and identity):
            raise ValueError(
                "leader election needs an identity and lease_duration > renew_deadline > "
                f"{JITTER} · retry_period > 0, not {lease_duration}, {renew_deadline}, {retry_period}"
            )
        self._lock = lock
        self._identity = identity
        self._lease_duration = lease_duration
        self._renew_deadline = renew_deadline
        self._retry_period = retry_period
        self._clock = clock
        self._jitter = jitter
        self._seen: Lease | None = None
        self._seen_at = 0.0
        self._leading = False
        self._held_until = 0.0
        self._trouble = ""
        metrics = metrics or RuntimeMetrics()
        self._status = metrics.leading(lock.name)
        metrics.lease_age(lock.name).set_function(self._age)
        self._fenced = metrics.fenced_writes

    @property
    def is_leader(self) -> bool:
        """Whether a write would be let through now."""
        return self._leading and self._clock() < self._held_until

    def check(self) -> None:
        """The fence, called directly before every write.

        Raises LeadershipLost if this process does not lead, WriteHeld if it has not renewed in time and has
        yet to find out why (its event loop was blocked, or it was stopped for a while).
        """
        if self.is_leader:
            return
        self._fenced.inc()
        if not self._leading:
            raise LeadershipLost(f"{self._identity} does not hold lease {self._lock.name}")
        raise WriteHeld(f"{self._identity} has not renewed lease {self._lock.name} in time")

    def alive(self) -> str | None:
        """For liveness: whether this process believes to lead by a lease that has long run out."""
        age = self._clock() - self._seen_at
        if not self._leading or age <= self._lease_duration + TOLERANCE:
            return None
        return f"lease {self._lock.name} was last renewed {age:.0f} s ago, and leading has not ended"

    async def acquire(self, stop: asyncio.Event) -> bool:
        """Wait for leadership. ``False`` if ``stop`` came first."""
        while not stop.is_set():
            if await self._try():
                self._lead(True)
                log.info("leading", lease=self._lock.name, identity=self._identity)
                return True
            if await stopped_within(stop, self._retry_period * (1 + JITTER * self._jitter())):
                break
        return False

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Keep the lease while the body runs, and give it back if the body ends well.

        Cancels the body and raises LeadershipLost (in an ExceptionGroup) when leading ends before.
        """
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self._renew(), name="lease")
                yield
                task.cancel()
        finally:
            self._lead(False)
        await self._release()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._retry_period)
            try:
                renewed = await self._round()
            except LeadershipLost:
                self._lead(False)
                raise
            if not renewed:
                self._lead(False)
                raise LeadershipLost(
                    f"{self._identity} could not renew lease {self._lock.name} within "
                    f"{self._renew_deadline:g} s: {self._trouble or 'no answer'}"
                )

    async def _round(self) -> bool:
        """Renew before the claim runs out. ``False`` if that failed.

        If the process was stopped or blocked past the end, one more try tells whether somebody took over
        meanwhile; until it has succeeded no write passes the fence.
        """
        missed = self._clock() >= self._held_until
        if not missed:
            try:
                async with asyncio.timeout(self._held_until - self._clock()):
                    while not await self._try():  # noqa: ASYNC110 — the server is asked, nobody sets an event
                        await asyncio.sleep(self._retry_period)
                    return True
            except TimeoutError:
                missed = self._clock() - self._held_until > self._retry_period
        return missed and await self._try(late=True)

    async def _try(self, *, late: bool = False) -> bool:
        """One attempt to write the lease; ``late`` if only an untouched lease may be renewed."""
        try:
            if self._leading and await self._renew_unread():
                return True
            await self._read()
            claim = self._claim(late)
            return claim is not None and await self._write(claim)
        except REFUSED as error:
            self._complain(f"{type(error).__name__}: {error}")
            return False

    async def _renew_unread(self) -> bool:
        """One request where two would do as long as nobody else writes."""
        if self._seen is None or self._seen.holder != self._identity:
            return False
        try:
            return await self._write(self._renewed(self._seen))
        except ApiError:
            return False

    async def _read(self) -> None:
        found = await self._lock.read()
        before, self._seen = self._seen, found
        if found != before:
            self._seen_at = self._clock()
            if found is not None and found.holder != (before.holder if before else None):
                log.info("lease holder", lease=self._lock.name, holder=found.holder or "nobody")

    def _claim(self, late: bool) -> Lease | None:
        """The lease to write; ``None`` while another's claim stands.

        Raises LeadershipLost if this process led until now and somebody else has the lease.
        """
        found = self._seen
        mine = found is not None and found.holder == self._identity
        if self._leading and not mine and (late or (found is not None and found.holder)):
            holder = found.holder if found is not None else ""
            raise LeadershipLost(
                f"lease {self._lock.name} of {self._identity} is now of {holder or 'nobody'}"
            )
        if found is None:
            return self._renewed(Lease(holder=self._identity, acquired=_stamp()))
        if mine:
            return self._renewed(found)
        duration = min(max(found.duration, 1), LONGEST_DURATION)
        if found.holder and self._clock() < self._seen_at + duration:
            return None
        transitions = min(found.transitions + 1, MOST_TRANSITIONS)
        taken = replace(found, holder=self._identity, acquired=_stamp(), transitions=transitions)
        return self._renewed(taken)

    def _renewed(self, lease: Lease) -> Lease:
        return replace(lease, duration=max(1, round(self._lease_duration)), renewed=_stamp())

    async def _write(self, claim: Lease) -> bool:
        sent_at = self._clock()
        self._seen = await self._lock.write(claim)
        self._seen_at = self._clock()
        self._held_until = sent_at + self._renew_deadline
        self._trouble = ""
        return True

    async def _release(self) -> None:
        """Let the next one lead at once, unless the lease is no longer this process' to give."""
        try:
            async with asyncio.timeout(self._renew_deadline):
                found = await self._lock.read()
                if found is not None and found.holder == self._identity:
                    now = _stamp()
                    await self._lock.write(replace(found, holder="", duration=1, acquired=now, renewed=now))
                    log.info("lease released", lease=self._lock.name)
        except REFUSED as error:
            log.warning("lease not released", lease=self._lock.name, error=f"{type(error).__name__}: {error}")

    def _age(self) -> float:
        return self._clock() - self._seen_at if self._seen is not None else -1.0

    def _lead(self, leading: bool) -> None:
        self._leading = leading
        self._status.set(leading)

    def _complain(self, trouble: str) -> None:
        """An outage is one line, not one every two seconds."""
        if trouble != self._trouble:
            log.warning("lease not written", lease=self._lock.name, error=trouble)
        self._trouble = trouble


class AlwaysLeader:
    """Leader election switched off: the only replica leads."""

    is_leader = True

    def check(self) -> None:
        """Lets every write through."""

    def alive(self) -> str | None:
        """Nothing can run out."""
        return None

    async def acquire(self, stop: asyncio.Event) -> bool:
        """``False`` if ``stop`` is set already."""
        return not stop.is_set()

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Has nothing to keep."""
        yield


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Whether ``stop`` was set before ``seconds`` had passed."""
    try:
        async with asyncio.timeout(seconds):
            return await stop.wait()
    except TimeoutError:
        return False
