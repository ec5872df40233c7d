"""Takes keys from a queue and has them reconciled; the one place where a reconciler's error is answered."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from kfx.kube.errors import ApiError, Conflict, TransportError
from kfx.runtime.leader import LeadershipLost, WriteHeld
from kfx.runtime.log import bound_contextvars, get_logger
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.ratelimit import RateLimiter
from kfx.runtime.reconcile import Reconciler, Request, Result, StaleRead, TerminalError
from kfx.runtime.workqueue import QueueShutDown, WorkQueue

log = get_logger(__name__)

FATAL = (LeadershipLost, MemoryError)  # nothing this process does from here on can be right
COME_AGAIN = (Conflict, StaleRead, WriteHeld)  # right for the state that was read; read again


class OutOfTime(Exception):
    """A reconcile was cut off."""


SPEAKING = (ApiError, TerminalError, OutOfTime, *COME_AGAIN)  # their text says all there is to say
FORESEEN = (TransportError, *SPEAKING)

Report = Callable[[Request, Exception], None]


class Controller:
    """Runs one reconciler over one queue with ``workers`` tasks.

    ``timeout`` is the time limit of one reconcile in seconds, ``None`` for none. ``limiter`` spaces the tries
    of a key that fails, without it 5 ms · 2ⁿ up to 1000 s. ``report`` is told of every failure that was
    logged, so that the object's owner can be told too; it must not wait or fail.
    """

    def __init__(
        self,
        name: str,
        reconciler: Reconciler,
        *,
        workers: int = 4,
        timeout: float | None = 60.0,
        limiter: RateLimiter[Request] | None = None,
        metrics: RuntimeMetrics | None = None,
        report: Report | None = None,
    ) -> None:
        metrics = metrics or RuntimeMetrics()
        self.name = name
        self.queue: WorkQueue[Request] = WorkQueue(name, limiter, metrics=metrics.queue(name))
        self._reconciler = reconciler
        self._workers = workers
        self._timeout = timeout
        self._metrics = metrics.controller(name, workers)
        self._report = report

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the body ends, then finish what is in hand and drop what is queued.

        LeadershipLost and MemoryError end the workers at once and are raised (in an ExceptionGroup).
        """
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"{self.name}-{number}")
            try:
                yield
            finally:
                self.queue.shut_down(drop=True)  # leaving the group waits for work in hand

    async def _work(self) -> None:
        while True:
            try:
                request = await self.queue.get()
            except QueueShutDown:
                return
            try:
                with self._metrics.active_workers.track_inprogress(), self._metrics.seconds.time():
                    await self._reconcile_one(request)
            finally:
                self.queue.done(request)

    async def _reconcile_one(self, request: Request) -> None:
        with bound_contextvars(
            controller=self.name,
            namespace=request.namespace,
            name=request.name,
            reconcileID=_new_id(),
        ):
            try:
                result = await self._reconcile_in_time(request)
            except Exception as error:  # noqa: BLE001 — a reconciler may fail in any way, and for one key only
                outcome = self._answer_failure(request, error)
            else:
                outcome = self._answer(request, result)
            self._metrics.results[outcome].inc()

    async def _reconcile_in_time(self, request: Request) -> Result:
        try:
            async with asyncio.timeout(self._timeout) as limit:
                return await self._reconciler.reconcile(request)
        except TimeoutError as error:
            if not limit.expired():
                raise
            self._metrics.timeouts.inc()
            raise OutOfTime(
                f"not done within {self._timeout:g} s; it was cut off and will be tried again"
            ) from error

    def _answer(self, request: Request, result: Result) -> str:
        self.queue.forget(request)
        if result.requeue_after is None:
            return "success"
        self.queue.add_after(request, result.requeue_after)
        return "requeue_after"

    def _answer_failure(self, request: Request, error: Exception) -> str:
        causes = list(leaves(error))
        if any(isinstance(cause, FATAL) for cause in causes):
            raise error
        if all(isinstance(cause, COME_AGAIN) for cause in causes):
            log.debug("read an old state, reading again", error=describe(error))
            self._metrics.conflicts.inc()
            self.queue.add_rate_limited(request)
            return "requeue"
        self._metrics.errors.inc()
        if all(isinstance(cause, TerminalError) for cause in causes):
            self._metrics.terminal_errors.inc()
            self.queue.forget(request)
            log.error("reconcile failed for good, until the object changes", error=describe(error))
        else:
            self.queue.add_rate_limited(request)
            self._log_failure(error, foreseen=all(isinstance(c, FORESEEN) for c in causes))
        if self._report is not None:
            self._report(request, error)
        return "error"

    def _log_failure(self, error: Exception, *, foreseen: bool) -> None:
        if foreseen:
            log.error("reconcile failed", error=describe(error))
        else:
            self._metrics.panics.inc()
            log.error("reconcile failed unexpectedly", error=describe(error), exc_info=error)


def _new_id() -> str:
    """Tells one reconcile's log lines from another's. The system's own randomness costs far more."""
    # version 4 of RFC 9562, without an object of uuid's
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[random.getrandbits(2)]}{text[17:20]}-{text[20:]}"


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors a group is made of, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def describe(error: BaseException) -> str:
    """One line for people. A type's name is left out where the text speaks for itself."""
    return "; ".join(
        str(cause) if isinstance(cause, SPEAKING) else f"{type(cause).__name__}: {cause}"
        for cause in leaves(error)
    )
