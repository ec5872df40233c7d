"""``python -m hack.verify.kill``: kill kfx at every write of an Experiment; write down the points.

A first run without a kill counts the writes. Then kfx is killed at each of them in each phase, several kills
to a run, and started again; what the API server's audit log says of each run decides. The list goes to
``hack/verify/kill_points.md``. Exit status 0 if nothing was wrong and 95 % were reached.
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
            campaign = asyncio.run(_campaign(layout, Path(folder), asked))
    finally:
        lifecycle.down(layout)
    asked.out.write_text(render(campaign), encoding="utf-8")
    print(f"{campaign.tried} of {len(campaign.planned)} points tried, {len(campaign.wrong)} complaints")
    return 0 if campaign.is_clean else 1


async def _campaign(layout: Layout, folder: Path, asked: argparse.Namespace) -> Campaign:
    async with rigged(layout, folder) as rig:
        first = await rig.run()
        rig.reference = first.report.shapes[0]
        writes = dict(first.accepted)
        campaign = Campaign(
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
            commit=_commit(),
            writes=writes,
            planned=all_points(writes) if asked.seed is None else sample(writes, asked.seed),
            complaints=first.complaints(),
        )
        for _ in range(CHANCES):
            for points in spread(campaign.missed, KILLS):
                if not await _try(rig, campaign, points):
                    return campaign
                asked.out.write_text(render(campaign), encoding="utf-8")
    return campaign


async def _try(rig: Rig, campaign: Campaign, points: Sequence[Point]) -> bool:
    """One run; False where it got stuck, after which nothing more can be tried."""
    began = time.monotonic()
    stuck: list[str] = []
    try:
        outcome = await rig.run(points)
    except* Stuck as failed:
        stuck += _texts(failed)
    found = Round(rig.subject.schedule.hit, stuck or outcome.complaints())
    campaign.rounds.append(found)
    words = "; ".join(found.complaints) or "nothing wrong"
    seconds, number = time.monotonic() - began, len(campaign.rounds)
    told = f"run {number}: {len(found.hit)} kills in {seconds:.0f} s, {campaign.tried} so far: {words}"
    print(told, flush=True)
    return not stuck


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
