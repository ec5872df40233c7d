"""Limits that end what is slow exactly then, and leave all else alone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kfx.runtime.ratelimit import loop_time
from kfx.runtime.time_limits import INTERVAL, TimeLimits


@pytest.fixture
async def limits() -> AsyncIterator[TimeLimits]:
    found = TimeLimits()
    async with found.watching():
        yield found


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.1, INTERVAL, 0.7, 9.0, 9.25])
async def test_what_is_slow_ends_when_it_should(limits: TimeLimits, seconds: float) -> None:
    began = loop_time()
    with pytest.raises(TimeoutError), limits.until(began + seconds) as limit:
        await asyncio.sleep(60)
    assert limit.has_expired
    assert loop_time() - began == pytest.approx(max(0.0, seconds), abs=1e-6)
    await asyncio.sleep(1)  # nothing is left of the cancellation


@pytest.mark.parametrize("seconds", [0.2, 1.2, 30.0])
async def test_what_ends_in_time_is_not_cut(limits: TimeLimits, seconds: float) -> None:
    with limits.until(loop_time() + seconds) as limit:
        await asyncio.sleep(seconds - 0.1)
    await asyncio.sleep(60)
    assert not limit.has_expired


async def test_each_of_several_ends_at_its_own_time(limits: TimeLimits) -> None:
    ended: list[float] = []

    async def work(seconds: float) -> None:
        try:
            with limits.until(loop_time() + seconds):
                await asyncio.sleep(60)
        except TimeoutError:
            ended.append(round(loop_time() - began, 6))

    began = loop_time()
    async with asyncio.TaskGroup() as group:
        for seconds in (3.0, 0.2, 1.7):
            group.create_task(work(seconds))
    assert ended == [0.2, 1.7, 3.0]


@pytest.mark.parametrize("seconds", [4.0, 4.9, 5.0])
async def test_who_cancels_the_task_is_not_taken_for_the_limit(limits: TimeLimits, seconds: float) -> None:
    async def work() -> None:
        with limits.until(loop_time() + 5):
            await asyncio.sleep(60)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        asyncio.get_running_loop().call_at(loop_time() + seconds, task.cancel)
    assert task.cancelled()


async def test_a_failure_inside_passes_as_it_is(limits: TimeLimits) -> None:
    with pytest.raises(KeyError), limits.until(loop_time() + 5):
        raise KeyError
