"""How late the loop is, on a loop whose clock the tests move as a blocking call would."""

import asyncio

import pytest

from kfx.runtime.loop_lag import LoopLag
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.ratelimit import loop_time
from tests.virtual_time import VirtualTimeLoop


def probe(metrics: RuntimeMetrics | None = None, *, limit: float = 5.0) -> LoopLag:
    return LoopLag(metrics, limit=limit, clock=loop_time)


def block(seconds: float) -> None:
    """Time passes and nothing else is done."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop._clock.now += seconds


async def test_a_loop_that_turns_is_not_late() -> None:
    lag = probe()
    async with lag.running():
        await asyncio.sleep(30)
        assert lag.largest() == pytest.approx(0, abs=1e-6)
        assert lag.check() is None


async def test_what_blocks_the_loop_is_seen_and_forgotten_after_ten_seconds() -> None:
    lag = probe()
    async with lag.running():
        await asyncio.sleep(0.05)
        block(3)
        await asyncio.sleep(1)
        assert lag.largest() == pytest.approx(2.95)
        block(1)
        await asyncio.sleep(8)
        assert lag.largest() == pytest.approx(2.95)
        await asyncio.sleep(1.5)
        assert lag.largest() == pytest.approx(1, abs=0.11)
        await asyncio.sleep(10)
        assert lag.largest() == pytest.approx(0, abs=1e-6)


async def test_liveness_fails_while_the_last_ten_seconds_were_beyond_the_limit_and_says_so() -> None:
    lag = probe()
    async with lag.running():
        await asyncio.sleep(0.05)
        block(6.05)
        await asyncio.sleep(5)
        assert lag.check() == "the event loop was blocked for 6.0 s within the last 10 s (limit 5 s)"
        await asyncio.sleep(6)
        assert lag.check() is None


async def test_a_lag_at_the_limit_is_still_well() -> None:
    lag = probe(limit=7)
    async with lag.running():
        await asyncio.sleep(0)
        block(7)
        assert lag.check() is None
        block(0.2)
        assert lag.check() is not None


async def test_whoever_asks_before_the_late_probe_is_told_already() -> None:
    lag = probe()
    async with lag.running():
        await asyncio.sleep(1)
        block(9)
        assert lag.largest() == pytest.approx(8.9, abs=0.11)


async def test_before_and_after_the_block_nothing_counts_as_late() -> None:
    lag = probe()
    assert lag.largest() == 0
    async with lag.running():
        await asyncio.sleep(1)
    await asyncio.sleep(100)
    assert lag.check() is None
    assert len(asyncio.all_tasks()) == 1


async def test_every_wake_is_counted_and_the_largest_lag_shown() -> None:
    metrics = RuntimeMetrics()
    lag = probe(metrics)
    async with lag.running():
        await asyncio.sleep(1.05)
        block(0.3)
        await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        value = metrics.registry.get_sample_value
        assert value("kfx_loop_lag_seconds_count") == 11
        assert value("kfx_loop_lag_seconds_bucket", {"le": "0.2"}) == 10
        assert value("kfx_loop_lag_max_seconds") == pytest.approx(0.25)


@pytest.mark.real_time
async def test_a_real_loop_that_was_blocked_is_late_by_that_time() -> None:
    lag = LoopLag()
    async with lag.running():
        await asyncio.sleep(0.15)
        spin(0.3)
        await asyncio.sleep(0.15)
        assert lag.largest() > 0.15


def spin(seconds: float) -> None:
    """Keep the loop from turning."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        pass
