"""What happens to a kfx's watches, each at a moment that a write is."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from hack.verify.kill_points import Schedule
from tests.cluster.fault_proxy import Exchange, FaultProxy

CUT, FROZEN, UNSEEN, SILENT = "cut", "frozen", "unseen", "silent"
KINDS = ("experiments", "suggestions", "trials", "jobs")
MOMENTS = (("create trials", 2), ("create jobs", 6), ("patch trials/status", 28))
STANDSTILL = 3.0  # seconds in which a frozen watch gives nothing
HIDDEN = 1.0  # seconds of which a server knows nothing any more
EXPIRED = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure",'
    b'"message":"too old resource version","reason":"Expired","code":410}}\n'
)
_TARGET = re.compile(r"/(experiments|suggestions|trials|jobs)\?.*watch=true")


@dataclass(frozen=True, slots=True, order=True)
class WatchPoint:
    """``fault`` happens to the watch of ``kind`` at its first event after the n-th accepted ``write``.

    ``cut``: half of that event's line, then RST. ``frozen``: nothing for 3 s, then everything. ``unseen``:
    all of one second is swallowed, then the server says 410. ``silent``: nothing ever again, and no end.
    """

    write: str
    number: int
    fault: str
    kind: str

    def __str__(self) -> str:
        return f"{self.fault} {self.kind} at {self.write} {self.number}"


def watch_points() -> list[WatchPoint]:
    """Every fault of every kind's watch at each moment; one silence, since it lasts for a minute."""
    points = [
        WatchPoint(write, number, fault, kind)
        for write, number in MOMENTS
        for fault in (CUT, FROZEN, UNSEEN)
        for kind in KINDS
    ]
    return [*points, WatchPoint("create jobs", 6, SILENT, "trials")]


def watch_rounds(points: Sequence[WatchPoint]) -> list[list[WatchPoint]]:
    """No kind twice at a moment, and the faults of a moment all different where they can be."""
    rounds: dict[tuple[int, int], list[WatchPoint]] = {}
    faults = [CUT, FROZEN, UNSEEN]
    for point in sorted(points):
        if point.fault == SILENT:
            rounds[-1, -1] = [point]
            continue
        turn = (KINDS.index(point.kind) + faults.index(point.fault)) % len(faults)
        rounds.setdefault((turn, KINDS.index(point.kind) // 2), []).append(point)
    return list(rounds.values())


class Valve:
    """In the way of a kfx's watches. ``hit``: what has happened, in order."""

    def __init__(self, proxy: FaultProxy, schedule: Schedule, points: Sequence[WatchPoint]) -> None:
        self.left, self.hit = list(points), list[WatchPoint]()
        self._schedule = schedule
        self._fault = proxy.inject("GET", _TARGET.pattern, self._pass_on, times=-1)
        self._proxy = proxy

    def close(self) -> None:
        """Let watches be."""
        self._proxy.faults.remove(self._fault)

    async def _pass_on(self, exchange: Exchange) -> None:
        found = _TARGET.search(exchange.target)
        kind = found[1] if found else ""
        async with aclosing(exchange.lines()) as lines:
            async for line in lines:
                point = self._due(kind)
                if point is None:
                    await exchange.send(line)
                    continue
                if not await _ACTS[point.fault](exchange, line):
                    return
        await exchange.finish()

    def _due(self, kind: str) -> WatchPoint | None:
        accepted: Mapping[str, int] = self._schedule.accepted
        for point in self.left:
            if point.kind == kind and accepted.get(point.write, 0) >= point.number:
                self.left.remove(point)
                self.hit.append(point)
                return point
        return None


async def _cut(exchange: Exchange, line: bytes) -> bool:
    exchange.client.write(b"%x\r\n%s" % (len(line), line[: len(line) // 2]))
    await exchange.client.drain()
    exchange.reset()
    return False


async def _freeze(exchange: Exchange, line: bytes) -> bool:
    await asyncio.sleep(STANDSTILL)
    await exchange.send(line)
    return True


async def _hide(exchange: Exchange, line: bytes) -> bool:
    del line
    await asyncio.sleep(HIDDEN)
    await exchange.send(EXPIRED)
    await exchange.finish()
    return False


async def _silence(exchange: Exchange, line: bytes) -> bool:
    del line
    await asyncio.Event().wait()
    return not exchange.client.is_closing()


_ACTS = {CUT: _cut, FROZEN: _freeze, UNSEEN: _hide, SILENT: _silence}
