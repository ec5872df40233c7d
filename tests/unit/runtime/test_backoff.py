"""Waits that grow, and when they begin again."""

import asyncio

from kfx.runtime.backoff import Backoff


async def waits(backoff: Backoff, count: int) -> list[float]:
    found = []
    for _ in range(count):
        found.append(backoff.next())
        await asyncio.sleep(found[-1])
    return found


async def test_waits_double_up_to_a_cap_each_by_a_random_factor_below_two() -> None:
    for wait, base in zip(await waits(Backoff(), 8), [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30], strict=True):
        assert base <= wait < 2 * base


async def test_after_two_good_minutes_they_begin_again() -> None:
    backoff = Backoff()
    await waits(backoff, 5)
    await asyncio.sleep(121)
    assert backoff.next() < 1.6


async def test_they_begin_again_when_somebody_says_so() -> None:
    backoff = Backoff()
    await waits(backoff, 5)
    backoff.reset()
    assert backoff.next() < 1.6
