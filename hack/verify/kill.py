"""``python -m hack.verify.kill``: do to kfx what must not make it wrong; write down the points.

In each part a first run, in which nothing happens, counts the writes. Then kfx is struck at them in each
phase, several blows to a run; what the API server's audit log says of each run decides. A point that a run
did not come to is tried again with fewer blows, in the end alone: what is before it is then without faults.

The list goes to ``hack/verify/kill_points.md``, after each run; sections of parts that were not asked for
stay. Exit status 0 if nothing was wrong and no point is missing.
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hack.cluster import lifecycle
from hack.cluster.layout import Layout, cache_dir
from hack.verify.kill_list import AnyPoint, Part, Round, is_clean, render
from hack.verify.kill_points import Point, all_points, sample, spread
from hack.verify.run import Outcome, Rig, Stuck, rigged
from hack.verify.watch_faults import WatchPoint, watch_points, watch_rounds
from kfx.kube.errors import ApiError, TransportError

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("kill_points.md")
INDEX = 253  # a cluster of its own
BLOWS = (30, 8, 1, 1)
"""In one run: at first, then for the points that were not reached."""
SEED = 6


@dataclass(frozen=True, slots=True)
class Kind:
    """What is done, to how many replicas, and whether at every write or at one of each kind and phase."""

    title: str
    says: str
    replicas: int
    blow: signal.Signals
    every: bool = False


KINDS = {
    "kill": Kind(
        "The leader is killed at every write, a standby takes over",
        "Two replicas. The leader gets SIGKILL, its Lease is deleted once the server has answered all that "
        "it had asked; the other leads at once, and the killed one is started again to stand by.",
        replicas=2,
        blow=signal.SIGKILL,
        every=True,
    ),
    "restart": Kind(
        "The only replica is killed and started again",
        "It waits until the Lease of its predecessor has run out. One point of each kind of write and phase, "
        "drawn.",
        replicas=1,
        blow=signal.SIGKILL,
    ),
    "stop": Kind(
        "The leader is stopped past its Lease, a standby takes over, the leader goes on",
        "Two replicas. The leader gets SIGSTOP; once the other leads and has written, SIGCONT. It has to end "
        "with status 1 within 10 s, without a write. One point of each kind of write and phase, drawn.",
        replicas=2,
        blow=signal.SIGSTOP,
    ),
    "stop-alone": Kind(
        "The only replica is stopped past its Lease and goes on",
        "SIGSTOP for one and a half Leases, then SIGCONT: nobody took over, so it renews and works on. One "
        "point of each kind of write and phase, drawn.",
        replicas=1,
        blow=signal.SIGSTOP,
    ),
}
WATCHES = "watch"
WATCHES_SAY = (
    "One replica, at the first event of a kind after a write. *cut*: half of the event's line, then RST. "
    "*frozen*: no byte for 3 s, then all of them. *unseen*: all of one second is swallowed, then the server "
    "says 410. *silent*: no byte any more and no end, until kfx gives up after 70 s."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign on a control plane of its own."""
    asked = _arguments(argv)
    layout, parts = Layout(asked.index, cache_dir(), linked=False), list[Part]()
    options = lifecycle.Options(flavour=lifecycle.CONTROL_PLANE, linked=False, audit=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the control plane would stay
    lifecycle.up(layout, options)
    try:
        for name in asked.only or (*KINDS, WATCHES):
            with tempfile.TemporaryDirectory(prefix="kfx-kill-") as folder:
                is_tidy = asyncio.run(_try_part(name, layout, Path(folder), Campaign(parts, asked.out)))
            if not is_tidy:
                lifecycle.down(layout)
                lifecycle.up(layout, options)
    finally:
        lifecycle.down(layout)
    tried, missed = sum(part.tried for part in parts), sum(len(part.missed) for part in parts)
    print(f"{tried} points tried, {missed} missed, {sum(len(part.wrong) for part in parts)} complaints")
    return 0 if is_clean(parts) else 1


class Campaign:
    """The parts so far, and the list of them."""

    def __init__(self, parts: list[Part], out: Path) -> None:
        self.parts, self._out = parts, out
        self._began = time.monotonic()

    def begin(self, part: Part) -> None:
        """Its first run was made."""
        part.date, part.commit = datetime.now(UTC).strftime("%Y-%m-%d"), _commit()
        self.parts.append(part)

    def store(self) -> None:
        """After each run, so that a campaign that is broken off leaves its list."""
        self.parts[-1].seconds = time.monotonic() - self._began
        before = self._out.read_text("utf-8") if self._out.exists() else ""
        self._out.write_text(render(self.parts, before), encoding="utf-8")


async def _try_part(name: str, layout: Layout, folder: Path, campaign: Campaign) -> bool:
    """False if a run got stuck, which leaves things behind."""
    if name == WATCHES:
        async with _begun(layout, folder, 1, signal.SIGKILL) as (rig, first):
            points = watch_points()
            part = Part("Watches are cut, frozen and told lies", WATCHES_SAY, first.accepted, points)
            part.complaints = first.complaints()
            campaign.begin(part)
            return await _meddle(rig, campaign)
    kind = KINDS[name]
    async with _begun(layout, folder, kind.replicas, kind.blow) as (rig, first):
        writes = dict(first.accepted)
        planned = all_points(writes) if kind.every else sample(writes, SEED)
        part = Part(kind.title, kind.says, writes, planned, complaints=first.complaints())
        campaign.begin(part)
        return await _strike(rig, campaign)


@asynccontextmanager
async def _begun(
    layout: Layout, folder: Path, replicas: int, blow: signal.Signals
) -> AsyncIterator[tuple[Rig, Outcome]]:
    """A rig, and a run on it in which nothing happened."""
    async with rigged(layout, folder, replicas=replicas, blow=blow) as rig:
        first = await rig.run()
        rig.reference = first.report.shapes[0]
        yield rig, first


async def _strike(rig: Rig, campaign: Campaign) -> bool:
    part = campaign.parts[-1]
    for most in BLOWS:
        for points in spread((point for point in part.missed if isinstance(point, Point)), most):
            if all(point in part.absent for point in points):
                continue
            outcome = await _try(rig, campaign, points)
            if outcome is None:
                return False
            if most == 1:
                _note_absence(part, points[0], outcome)
    return True


async def _meddle(rig: Rig, campaign: Campaign) -> bool:
    part = campaign.parts[-1]
    for _ in range(2):
        for points in watch_rounds([point for point in part.missed if isinstance(point, WatchPoint)]):
            if await _try(rig, campaign, (), points) is None:
                return False
    return True


def _note_absence(part: Part, point: Point, outcome: Outcome) -> None:
    """Nothing was done to a run that missed its only point, so it shows how many such writes there are."""
    made = outcome.accepted[point.write]
    for each in part.missed if outcome.missed else ():
        if isinstance(each, Point) and each.write == point.write and each.number > made:
            part.absent[each] = made


async def _try(
    rig: Rig, campaign: Campaign, points: Sequence[Point], watches: Sequence[WatchPoint] = ()
) -> Outcome | None:
    """One run; None where it got stuck, after which nothing more can be tried."""
    began, part = time.monotonic(), campaign.parts[-1]
    outcome, stuck, hit = None, list[str](), list[AnyPoint]()
    try:
        outcome = await rig.run(points, watches=watches)
        hit = [*outcome.hit, *outcome.watched]
    except* (Stuck, RuntimeError, ApiError, TransportError, OSError) as failed:
        stuck += _texts(failed)
        hit = [*rig.schedule.hit]
    lost = outcome.lost if outcome else 0
    found = Round(hit, stuck or (outcome.complaints() if outcome else []), lost)
    part.rounds.append(found)
    campaign.store()
    words = "; ".join(found.complaints) or "nothing wrong"
    seconds, number = time.monotonic() - began, len(part.rounds)
    told = f"{part.title}, run {number}: {len(hit)} in {seconds:.0f} s, {part.tried} so far: {words}"
    print(told, flush=True)
    return outcome


def _texts(failed: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    for each in failed.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _texts(each)
        else:
            yield str(each) or type(each).__name__


def _commit() -> str:
    command = ("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.verify.kill", description=__doc__)
    parser.add_argument("--index", type=int, default=INDEX, help="of the control plane")
    parser.add_argument("--out", type=Path, default=LIST, help="where the list goes")
    parser.add_argument(
        "--only", action="append", choices=(*KINDS, WATCHES), help="this part; may be repeated"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
