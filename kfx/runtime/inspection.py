"""The process looks at itself: where its tasks wait, and what holds its memory."""

import asyncio
import gc
import inspect
import resource
import tracemalloc
from pathlib import Path
from types import FrameType
from typing import Any

from kfx.runtime.log import short_path

Row = dict[str, Any]
"""One line of a table, by column. Keys that end in ``_bytes`` and ``_seconds`` hold those."""

DEEPEST = 50
TOP = 10
STATM = Path("/proc/self/statm")


def tasks() -> list[Row]:
    """Every task of the running loop, by name: what it runs, and where it waits, innermost call first."""
    found = [
        {"name": task.get_name(), "runs": _name_of(task.get_coro()), "waits_at": waits_at(task)}
        for task in asyncio.all_tasks()
    ]
    return sorted(found, key=lambda row: _natural(row["name"]))


def waits_at(task: asyncio.Task[Any]) -> list[str]:
    """``file:line function`` of each call that is waiting for the next, innermost first."""
    places: list[str] = []
    at: Any = task.get_coro()
    while at is not None and len(places) < DEEPEST:
        frame = _first(at, "cr_frame", "gi_frame", "ag_frame")
        if isinstance(frame, FrameType):
            places.append(_place(frame))
        at = _awaited_by(at)
    return places[::-1]


def _place(frame: FrameType) -> str:
    # the annotation does not say so, but frames of Cython have no line
    line: int | None = frame.f_lineno
    return f"{short_path(frame.f_code.co_filename)}:{'?' if line is None else line} {frame.f_code.co_name}"


def _awaited_by(at: Any) -> Any:
    inner = _first(at, "cr_await", "gi_yieldfrom", "ag_await")
    if inner is None and type(at).__name__.startswith("async_generator_"):
        # one step of `async for`: Python shows its generator to the garbage collector only
        inner = next((each for each in gc.get_referents(at) if inspect.isasyncgen(each)), None)
    return inner


def _first(at: Any, *names: str) -> Any:
    return next((found for name in names if (found := getattr(at, name, None)) is not None), None)


def _name_of(coroutine: Any) -> str:
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__))


def _natural(name: str) -> tuple[str, int]:
    """Task-9 before Task-10."""
    word = name.rstrip("0123456789")
    return word, int(name[len(word) :] or 0)


def memory() -> Row:
    """Resident now (None where the kernel does not tell) and at most, and what tracemalloc has seen."""
    traced, traced_peak = tracemalloc.get_traced_memory()
    tracing = tracemalloc.is_tracing()
    return {
        "resident_bytes": _resident(),
        "resident_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "traced_bytes": traced if tracing else None,
        "traced_peak_bytes": traced_peak if tracing else None,
    }


def _resident() -> int | None:
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return None


def collections() -> list[Row]:
    """The garbage collector by generation: objects since its last run, and what its runs have found."""
    return [
        {"generation": generation, "count": count, "threshold": threshold, **stats}
        for generation, (count, threshold, stats) in enumerate(
            zip(gc.get_count(), gc.get_threshold(), gc.get_stats(), strict=True)
        )
    ]


def allocations() -> list[Row] | None:
    """The lines of code that hold most memory; None unless tracemalloc runs. May take seconds."""
    if not tracemalloc.is_tracing():
        return None
    found = tracemalloc.take_snapshot().statistics("lineno")[:TOP]
    return [
        {
            "line": f"{short_path(each.traceback[0].filename)}:{each.traceback[0].lineno}",
            "held_bytes": each.size,
            "blocks": each.count,
        }
        for each in found
    ]
