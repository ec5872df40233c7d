"""A leader that was stopped or blocked for a while, and what it may do when it wakes."""

import asyncio
import time

import pytest

from kfx.runtime.leader import Lease, WriteHeld, boot_time
from tests.leases import later


@pytest.mark.parametrize("pause", [5, 9])
async def test_a_pause_within_the_deadline_is_nothing(a, pause):
    await a.acquire()
    async with a.elector.renewing():
        await asyncio.sleep(0.5)
        a.paused = pause
        a.elector.check()
        await asyncio.sleep(30)
        a.elector.check()


@pytest.mark.parametrize("pause", [14, 60])
async def test_after_a_long_pause_writes_wait_until_the_lease_is_renewed(a, register, pause):
    await a.acquire()
    async with a.elector.renewing():
        await asyncio.sleep(0.5)
        a.paused = pause
        with pytest.raises(WriteHeld):
            a.elector.check()
        assert not a.elector.is_leader
        await asyncio.sleep(2)
        a.elector.check()
    assert register.lease.transitions == 0


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(Lease(holder="b", duration=15, transitions=1), id="led-by-another"),
        pytest.param(Lease(holder="", duration=1, transitions=1), id="led-and-released-by-another"),
        pytest.param(None, id="deleted"),
    ],
)
async def test_after_a_long_pause_a_lease_that_was_touched_is_lost(a, register, clock, found):
    await a.acquire()

    def pause():
        a.paused = 20.0
        if found:
            register.put(found)
        else:
            register.delete()

    later(0.5, pause)
    await a.lose()
    assert clock == 2
    assert register.holder == (found.holder if found else None)  # not touched again


def test_the_clock_of_leases_runs_since_boot_and_nobody_can_set_it() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= boot_time() <= time.clock_gettime(time.CLOCK_BOOTTIME)
