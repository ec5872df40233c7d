"""Many objects that fail, reconciles that fail oddly, and a stop at any moment; by number."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from kfx.runtime.controller import Controller
from kfx.runtime.leader import LeaderElector
from kfx.runtime.manager import Manager
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.ratelimit import ExponentialBackoff
from kfx.runtime.reconcile import Request, Result
from kfx.runtime.workqueue import Priority
from tests.leases import MemoryLock, Register

HEALTHY = Request("ns", "healthy")
Decide = Callable[[Request], None]


class Calls:
    """Does what ``decide`` does; knows when it was called for what."""

    def __init__(self, decide: Decide = lambda request: None, *, seconds: float = 0.0) -> None:
        self.decide, self.seconds = decide, seconds
        self.calls: list[tuple[Request, float]] = []

    async def reconcile(self, request: Request) -> Result:
        self.calls.append((request, asyncio.get_running_loop().time()))
        await asyncio.sleep(self.seconds)
        self.decide(request)
        return Result()


def deeper(depth: int) -> int:
    return deeper(depth + 1)


async def test_P4_a_recursion_without_end_fails_its_own_key_and_no_other() -> None:
    def decide(request: Request) -> None:
        if request != HEALTHY:
            deeper(0)

    reconciler, metrics = Calls(decide), RuntimeMetrics()
    controller = Controller("c", reconciler, metrics=metrics)
    with capture_logs():
        async with controller.running():
            controller.queue.add(Request("ns", "deep"))
            controller.queue.add(HEALTHY)
            await asyncio.sleep(1)
            controller.queue.add(HEALTHY)
            await asyncio.sleep(1)
    assert [request for request, _ in reconciler.calls].count(HEALTHY) == 2
    name = "controller_runtime_reconcile_panics_total"
    assert metrics.registry.get_sample_value(name, {"controller": "c"}) == len(reconciler.calls) - 2 > 2


async def test_P4_a_lack_of_memory_ends_the_controller_at_once() -> None:
    def decide(request: Request) -> None:
        raise MemoryError

    controller = Controller("c", Calls(decide))
    controller.queue.add(HEALTHY)
    with pytest.raises(ExceptionGroup) as caught:
        async with controller.running():
            await asyncio.sleep(1)
    assert caught.group_contains(MemoryError)


async def test_P8_a_thousand_objects_that_always_fail_do_not_delay_one_that_does_not() -> None:
    def decide(request: Request) -> None:
        if request != HEALTHY:
            raise RuntimeError("poison")

    reconciler = Calls(decide)
    controller = Controller("c", reconciler)
    added: list[float] = []
    with capture_logs():
        async with controller.running():
            for number in range(1000):
                controller.queue.add(Request("ns", str(number)))
            for _ in range(10):
                await asyncio.sleep(7.3)
                added.append(asyncio.get_running_loop().time())
                controller.queue.add(HEALTHY)
            await asyncio.sleep(1)
    assert [at for request, at in reconciler.calls if request == HEALTHY] == added
    assert len(reconciler.calls) < 1000 * 18, "back-off for each of them, not a loop"


async def test_P15_when_all_objects_are_gone_nothing_is_kept_of_them() -> None:
    gone = False

    def decide(request: Request) -> None:
        if not gone:
            raise RuntimeError("not yet")

    controller = Controller("c", Calls(decide))
    limiter = controller.queue._limiter
    assert isinstance(limiter, ExponentialBackoff)
    with capture_logs():
        async with controller.running():
            for number in range(500):
                controller.queue.add(Request("ns", str(number)))
            await asyncio.sleep(10)
            assert len(limiter._failures) == 500
            gone = True
            await asyncio.sleep(60)
            assert limiter._failures == {}
            state = controller.queue.state()
    assert state.ready == dict.fromkeys(Priority, 0)
    assert (state.in_hand, state.again, state.delayed) == (0, 0, 0)


class Cache:
    """Synchronised after a second."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    async def wait_for_sync(self, stop: asyncio.Event) -> bool:
        await asyncio.sleep(1)
        return True


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("first", range(0, 300, 50))
async def test_P6_whenever_it_is_cancelled_the_process_ends_in_time(first: int) -> None:
    loop = asyncio.get_running_loop()
    for moment in range(first, first + 50):
        lock = MemoryLock(Register(), "a")
        lock.delay = 0.05
        controller = Controller("c", Calls(seconds=0.3))
        for number in range(9):
            controller.queue.add(Request("ns", str(number)))
        elector = LeaderElector(lock, "a")
        manager = Manager(servers=(), cache=Cache(), elector=elector, controllers=[controller])
        with capture_logs():
            async with asyncio.TaskGroup() as group:
                process = group.create_task(manager.run(asyncio.Event()))
                await asyncio.sleep(0.95 if moment > 20 else 0)
                await turns(moment % 40)
                await asyncio.sleep(moment / 100)
                cancelled_at = loop.time()
                process.cancel()
        assert process.cancelled()
        assert loop.time() - cancelled_at < 30
