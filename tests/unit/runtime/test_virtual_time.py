"""The clock the other unit tests stand on."""

import asyncio

import pytest


async def test_a_minute_passes_at_once(clock):
    await asyncio.sleep(60)
    assert clock == 60


async def test_waiting_for_nothing_is_a_deadlock():
    loop = asyncio.get_running_loop()
    with pytest.raises(AssertionError, match="deadlock"):
        loop._clock.select(None)
