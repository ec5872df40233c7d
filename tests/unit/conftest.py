"""Unit tests run on a clock that jumps: no sleeping, no waiting, deadlocks fail."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from tests.leases import Candidate, Register
from tests.virtual_time import VirtualTimeLoop

# How fast examples are drawn says more of what else the machine does than of the test.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Real sockets and threads need real time: such tests carry the marker ``real_time``."""
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.new_event_loop}
    return {"virtual": VirtualTimeLoop}


class Clock:
    """Compares with the loop's own time."""

    def __eq__(self, other: object) -> bool:
        return asyncio.get_running_loop().time() == other

    __hash__ = None  # type: ignore[assignment]

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def register() -> Register:
    return Register()


@pytest.fixture
def a(register: Register) -> Candidate:
    return Candidate(register, "a")


@pytest.fixture
def b(register: Register) -> Candidate:
    return Candidate(register, "b")
