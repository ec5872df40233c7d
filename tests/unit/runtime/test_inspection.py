"""Where tasks wait and what holds memory, as the process sees it from inside."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kfx.runtime import inspection
from kfx.runtime.inspection import allocations, collections, memory, tasks


async def innermost() -> None:
    await asyncio.Event().wait()


async def middle() -> AsyncIterator[int]:
    yield 1
    await innermost()


async def outermost() -> None:
    async for _ in middle():
        pass


async def found_of(name: str) -> inspection.Row:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(outermost(), name=name)
        await asyncio.sleep(1)
        (row,) = [each for each in tasks() if each["name"] == name]
        waiting.cancel()
    return row


async def test_a_task_is_followed_to_the_call_that_waits_also_through_a_generator() -> None:
    row = await found_of("mine")
    assert row["runs"] == "outermost"
    assert [place.rpartition(" ")[2] for place in row["waits_at"]] == [
        "wait",
        "innermost",
        "middle",
        "outermost",
    ]
    assert row["waits_at"][1].startswith("unit/runtime/test_inspection.py:")


async def test_no_place_tells_where_the_package_is_installed() -> None:
    row = await found_of("mine")
    assert not any(place.startswith("/") for place in row["waits_at"])


async def test_tasks_come_in_the_order_of_their_names_and_numbers() -> None:
    async with asyncio.TaskGroup() as group:
        made = [group.create_task(innermost(), name=name) for name in ("w-10", "w-9", "a")]
        await asyncio.sleep(0)
        names = [row["name"] for row in tasks()]
        for each in made:
            each.cancel()
    assert [name for name in names if name in {"w-10", "w-9", "a"}] == ["a", "w-9", "w-10"]


async def test_a_task_that_has_not_begun_and_one_that_runs_have_a_place_too() -> None:
    async with asyncio.TaskGroup() as group:
        new = group.create_task(innermost())
        rows = tasks()
        new.cancel()
    assert all(row["waits_at"] for row in rows)


def test_memory_is_told_in_bytes() -> None:
    found = memory()
    assert 1024**2 < found["resident_bytes"] <= found["resident_peak_bytes"] * 1.1
    assert (found["traced_bytes"], found["traced_peak_bytes"]) == (None, None)


def test_where_the_kernel_does_not_tell_there_is_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "STATM", tmp_path / "none")
    assert memory()["resident_bytes"] is None


def test_every_generation_of_the_collector_is_shown() -> None:
    gc.collect()
    found = collections()
    assert [row["generation"] for row in found] == [0, 1, 2]
    assert all({"count", "threshold", "collections", "collected"} <= row.keys() for row in found)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
def test_the_lines_that_hold_most_come_first_when_traced() -> None:
    held = [bytes(1000) for _ in range(1000)]
    found = allocations()
    assert found is not None
    assert len(found) <= 10
    assert found[0]["line"].startswith("unit/runtime/test_inspection.py:")
    assert found[0]["held_bytes"] >= 1000 * len(held)
    assert memory()["traced_bytes"] >= 1000 * len(held)


def test_nothing_is_said_of_allocations_that_were_not_traced() -> None:
    assert allocations() is None
