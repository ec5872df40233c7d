"""``python -m hack.verify.kill``: kill kfx at every write of an Experiment; write down the points.

A first run without a kill counts the writes. Then kfx is killed at each of them in each phase, several kills
to a run, and started again; what the API server's audit log says of each run decides. The list goes to
``hack/verify/kill_points.md``. Exit status 0 if every point was tried and nothing was wrong.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hack.cluster import lifecycle
from hack.cluster.layout import Layout, cache_dir
from hack.verify.kill_list import Campaign, Round, render
from hack.verify.kill_points import Point, all_points, sample, spread
from hack.verify.run import Rig, Stuck, rigged

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("kill_points.md")
INDEX = 253  # a cluster of its own
KILLS = 14  # in one run
CHANCES = 3  # for points that a run did not come to


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign on a control plane of its own."""
    asked = _arguments(argv)
    layout = Layout(INDEX, cache_dir(), linked=False)
    options = lifecycle.Options(flavour=lifecycle.CONTROL_PLANE, linked=False, audit=True)
    lifecycle.up(layout, options)
    try:
        with tempfile.TemporaryDirectory(prefix="kfx-kill-") as folder:
            campaign = asyncio.run(_campaign(layout, Path(folder), asked.seed))
    finally:
        lifecycle.down(layout)
    asked.out.write_text(render(campaign), encoding="utf-8")
    print(f"{campaign.tried} of {campaign.planned} points tried, {len(campaign.complaints)} complaints")
    return 0 if campaign.is_clean else 1


async def _campaign(layout: Layout, folder: Path, seed: int | None) -> Campaign:
    async with rigged(layout, folder) as rig:
        first = await rig.run()
        rig.reference = first.report.shapes[0]
        points = all_points(first.accepted) if seed is None else sample(first.accepted, seed)
        campaign = Campaign(
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
            commit=_commit(),
            writes=dict(first.accepted),
            planned=len(points),
            complaints=first.complaints(),
        )
        for _ in range(CHANCES):
            points = await _try(rig, campaign, points)
        campaign.missed = points
    return campaign


async def _try(rig: Rig, campaign: Campaign, points: Sequence[Point]) -> list[Point]:
    """Those that were not reached; after a run that got stuck nothing more is tried."""
    missed: list[Point] = []
    for each in spread(points, KILLS) if points else ():
        if campaign.is_stuck:
            missed += each
            continue
        began = time.monotonic()
        try:
            outcome = await rig.run(each)
        except* Stuck as stuck:
            hit = rig.subject.schedule.hit
            campaign.is_stuck = True
            campaign.rounds.append(Round(hit, [*_texts(stuck)]))
            missed += sorted(rig.subject.schedule.left)
        else:
            campaign.rounds.append(Round(outcome.hit, outcome.complaints()))
            missed += outcome.missed
        _tell(campaign, time.monotonic() - began)
    return missed


def _tell(campaign: Campaign, seconds: float) -> None:
    last = campaign.rounds[-1]
    words = "; ".join(last.complaints) or "nothing wrong"
    number = len(campaign.rounds)
    print(
        f"run {number}: {len(last.hit)} kills in {seconds:.0f} s, {campaign.tried} so far: {words}",
        flush=True,
    )


def _texts(failed: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    for each in failed.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _texts(each)
        else:
            yield str(each)


def _commit() -> str:
    command = ("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.verify.kill", description=__doc__)
    parser.add_argument("--out", type=Path, default=LIST, help="where the list goes")
    parser.add_argument("--seed", type=int, help="one point for each kind of write and phase, drawn with it")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
