"""Between the caches, which add keys, and the workers, which take them: client-go's work queue."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

from kfx.runtime.metrics import QueueMetrics, RuntimeMetrics
from kfx.runtime.ratelimit import ExponentialBackoff, RateLimiter, loop_time

T = TypeVar("T", bound=Hashable)

AGED_AFTER = 1.0  # seconds a LOW key waits before it is owed a turn
AGED_SHARE = 4  # an aged LOW key gets every n-th turn at least


class Priority(IntEnum):
    """``LOW`` is for keys that came with a list: there may be a hundred thousand, and nobody waits for them.

    The values are controller-runtime's, as metric labels show them.
    """

    NORMAL = 0
    LOW = -100


NORMAL, LOW = Priority.NORMAL, Priority.LOW  # an enum's attribute costs a look-up in its class


class QueueShutDown(Exception):
    """The queue gives out no more keys."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """How many keys are where. ``oldest``: seconds for which the first of those in hand has been there."""

    ready: dict[Priority, int]
    in_hand: int
    again: int
    delayed: int
    oldest: float


@dataclass(frozen=True, slots=True)
class _Delayed:
    due: float
    priority: Priority
    timer: asyncio.TimerHandle


class WorkQueue(Generic[T]):
    """Keys that want work: each queued at most once, and never in two hands.

    A key added while a worker holds it runs again after :meth:`done`, so the last change is never lost.
    ``NORMAL`` keys go first. A ``LOW`` key that has waited for ``AGED_AFTER`` seconds gets one turn in
    ``AGED_SHARE``, so neither level can starve the other. Adding a waiting key again can raise its priority,
    never lower it.

    Everything but :meth:`get` is synchronous: one event loop owns the queue, and there is no lock to hold.
    """

    def __init__(
        self,
        name: str = "",
        limiter: RateLimiter[T] | None = None,
        *,
        metrics: QueueMetrics | None = None,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self.name = name
        self._limiter = limiter or ExponentialBackoff[T]()
        self._clock = clock
        # key -> when it became ready, oldest first; a key is in one of these or in _again, or in neither
        self._ready: dict[Priority, OrderedDict[T, float]] = {level: OrderedDict() for level in Priority}
        self._normal, self._low = self._ready[NORMAL], self._ready[LOW]
        self._again: dict[T, Priority] = {}  # added while held
        self._held: dict[T, float] = {}  # key -> when get handed it out
        self._delayed: dict[T, _Delayed] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._turns_before_aged = AGED_SHARE - 1
        self._closed = False
        self._idle = asyncio.Event()  # set where a drain need not wait
        self._metrics = metrics or RuntimeMetrics().queue(name)
        self._adds = self._metrics.adds
        self._show(self._metrics)

    def __len__(self) -> int:
        """How many keys a worker could take now."""
        return sum(len(level) for level in self._ready.values())

    def state(self) -> QueueState:
        """A look at it from outside."""
        return QueueState(
            ready={level: len(keys) for level, keys in self._ready.items()},
            in_hand=len(self._held),
            again=len(self._again),
            delayed=len(self._delayed),
            oldest=max(self._ages(), default=0.0),
        )

    def add(self, item: T, *, priority: Priority = NORMAL) -> None:
        """Queue ``item``, unless it is queued already or the queue is shut down."""
        if self._closed:
            return
        if item in self._held:
            if item not in self._again:
                self._adds.value += 1
            self._again[item] = max(priority, self._again.get(item, priority))
        elif item in self._low:
            if priority is NORMAL:
                self._normal[item] = self._low.pop(item)
        elif item not in self._normal:
            self._adds.value += 1
            self._make_ready(item, priority)

    def add_after(self, item: T, delay: float, *, priority: Priority = Priority.NORMAL) -> None:
        """Add ``item`` in ``delay`` seconds. Asked twice, the earliest time and highest level win."""
        if self._closed:
            return
        self._metrics.retries.inc()
        if delay <= 0:
            self.add(item, priority=priority)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        waiting = self._delayed.get(item)
        if waiting is None:
            self._delayed[item] = _Delayed(due, priority, loop.call_at(due, self._release, item))
            return
        priority = max(priority, waiting.priority)
        if waiting.due <= due:
            self._delayed[item] = _Delayed(waiting.due, priority, waiting.timer)
        else:
            waiting.timer.cancel()
            self._delayed[item] = _Delayed(due, priority, loop.call_at(due, self._release, item))

    def add_rate_limited(self, item: T, *, priority: Priority = Priority.NORMAL) -> None:
        """Add ``item`` when the limiter allows; the wait grows with each call until :meth:`forget`."""
        self.add_after(item, self._limiter.when(item), priority=priority)

    def forget(self, item: T) -> None:
        """``item`` has succeeded, or will not be tried again: its next failure waits as the first one."""
        self._limiter.forget(item)

    def failures(self, item: T) -> int:
        """How often ``item`` was rate-limited since it was last forgotten."""
        return self._limiter.failures(item)

    async def get(self) -> T:
        """Wait for a key and hold it until :meth:`done`.

        Raises QueueShutDown after :meth:`shut_down`, once nothing is queued.
        """
        while not len(self):
            if self._closed:
                raise QueueShutDown(self.name)
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                self._pass_on(getter)
                raise
        return self._take()

    def done(self, item: T) -> None:
        """Give back what :meth:`get` gave out; it is queued again if it was added meanwhile."""
        started = self._held.pop(item, None)
        if started is not None:
            self._metrics.worked.observe(self._clock() - started)
        priority = self._again.pop(item, None)
        if priority is not None:
            self._make_ready(item, priority)
        if not self._held:
            self._idle.set()

    def shut_down(self, *, drop: bool = False) -> None:
        """Refuse new keys and forget delayed ones; what is queued is still given out, unless ``drop`` is set.

        Ends a :meth:`shut_down_with_drain` that waits.
        """
        self._closed = True
        for waiting in self._delayed.values():
            waiting.timer.cancel()
        self._delayed.clear()
        if drop:
            self._again.clear()
            for level in self._ready.values():
                level.clear()
        while self._getters:
            self._wake_one()
        self._idle.set()

    async def shut_down_with_drain(self) -> None:
        """As :meth:`shut_down`, then wait until no key is in hand; for ever, if one is never given back."""
        self.shut_down()
        if self._held:
            self._idle.clear()
            await self._idle.wait()

    def _take(self) -> T:
        now = self._clock()
        item, ready_since = self._next_level(now).popitem(last=False)
        self._held[item] = now
        self._metrics.waited.observe(now - ready_since)
        return item

    def _next_level(self, now: float) -> OrderedDict[T, float]:
        normal, low = self._normal, self._low
        if not normal or not low:
            return normal or low
        if now - next(iter(low.values())) < AGED_AFTER:
            return normal
        if self._turns_before_aged:
            self._turns_before_aged -= 1
            return normal
        self._turns_before_aged = AGED_SHARE - 1
        return low

    def _make_ready(self, item: T, priority: Priority) -> None:
        self._ready[priority][item] = self._clock()
        if self._getters:
            self._wake_one()

    def _release(self, item: T) -> None:
        self.add(item, priority=self._delayed.pop(item).priority)

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _pass_on(self, getter: asyncio.Future[None]) -> None:
        if not getter.cancelled():  # it was woken for a key that it will not take
            self._wake_one()
        elif getter in self._getters:
            self._getters.remove(getter)

    def _show(self, metrics: QueueMetrics) -> None:
        for level, keys in self._ready.items():
            metrics.depth(level).set_function(keys.__len__)
        metrics.unfinished.set_function(lambda: sum(self._ages()))
        metrics.longest_running.set_function(lambda: max(self._ages(), default=0.0))

    def _ages(self) -> list[float]:
        now = self._clock()
        return [now - started for started in self._held.values()]
