"""The life of the process: what starts after what, and what outlives what."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

from kfx.runtime.log import get_logger

log = get_logger(__name__)


class Server(Protocol):
    """Answers requests of others: probes, metrics, admission, gRPC."""

    def serving(self) -> AbstractAsyncContextManager[None]: ...


class Runnable(Protocol):
    """Works while its context is open."""

    def running(self) -> AbstractAsyncContextManager[None]: ...


class SyncedCache(Runnable, Protocol):
    """What :class:`kfx.runtime.cache.Cache` offers here."""

    async def wait_for_sync(self, stop: asyncio.Event) -> bool: ...


class Elector(Protocol):
    """What :class:`kfx.runtime.leader.LeaderElector` and ``AlwaysLeader`` offer here."""

    async def acquire(self, stop: asyncio.Event) -> bool: ...

    def renewing(self) -> AbstractAsyncContextManager[None]: ...


class Manager:
    """Starts the parts in order and stops them in the reverse order.

    ``background`` serves the other parts (certificates, events): it starts first and ends last. ``servers``
    and ``cache`` run on every replica. ``after_sync`` is awaited on every replica once the cache is filled.
    ``controllers`` run only while this replica leads.

    ``shutdown_delay``: seconds from the stop for which ``servers`` and ``cache`` stay as they were, so that
    Services forget this replica before it refuses anybody; the lease is not kept for it. ``grace_period``:
    seconds for the rest of stopping.
    """

    def __init__(
        self,
        *,
        servers: Sequence[Server],
        cache: SyncedCache,
        elector: Elector,
        controllers: Sequence[Runnable],
        background: Sequence[Runnable] = (),
        after_sync: Sequence[Callable[[], Awaitable[None]]] = (),
        shutdown_delay: float = 0.0,
        grace_period: float = 30.0,
    ) -> None:
        self._servers = servers
        self._cache = cache
        self._elector = elector
        self._controllers = controllers
        self._background = background
        self._after_sync = after_sync
        self._shutdown_delay = shutdown_delay
        self._grace_period = grace_period
        self._serve_until = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set; raise if any part fails first, in an ExceptionGroup.

        The stack is the life cycle: entered top to bottom, left bottom to top. A part that fails cancels
        this body, so nothing below it outlives it. Raises TimeoutError if stopping takes longer than the
        delay and the grace period together, after cancelling what was left.
        """
        async with asyncio.timeout(None) as grace, AsyncExitStack() as parts:
            await self._start(parts, stop)
            await stop.wait()
            log.info("stopping", shutdown_delay=self._shutdown_delay, grace_period=self._grace_period)
            self._serve_until = asyncio.get_running_loop().time() + self._shutdown_delay
            grace.reschedule(self._serve_until + self._grace_period)
        log.info("stopped")

    async def _start(self, parts: AsyncExitStack, stop: asyncio.Event) -> None:
        """Enter every part, unless ``stop`` comes first."""
        for helper in self._background:
            await parts.enter_async_context(helper.running())
        for server in self._servers:
            await parts.enter_async_context(server.serving())
        await parts.enter_async_context(self._cache.running())
        await parts.enter_async_context(self._lingering())
        if not await self._cache.wait_for_sync(stop):
            return
        for hook in self._after_sync:
            await _unless_stopped(hook, stop)
        if not await self._elector.acquire(stop):
            return
        await parts.enter_async_context(self._elector.renewing())
        for controller in self._controllers:
            await parts.enter_async_context(controller.running())
        log.info("controllers started", count=len(self._controllers))

    @asynccontextmanager
    async def _lingering(self) -> AsyncIterator[None]:
        """Ends when the delay is over; at once where a part has failed."""
        yield
        await asyncio.sleep(self._serve_until - asyncio.get_running_loop().time())


async def _unless_stopped(hook: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Await ``hook``, but not for longer than until ``stop`` is set."""

    async def call() -> None:
        await hook()

    async with asyncio.TaskGroup() as group:
        work, stopped = group.create_task(call()), group.create_task(stop.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        stopped.cancel()
