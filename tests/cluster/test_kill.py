"""Wherever kfx is killed or stopped, its writes are right: judged by the audit log of a real API server.

kfx is installed here as in any cluster: two replicas with leader election, an account of its own, webhooks
that are asked. To strike it at each of its writes takes longer than a test may: ``make verify-kill`` does so,
and ``hack/verify/kill_points.md`` is what came of it.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hack.cluster.layout import Layout
from hack.verify.kill_points import PHASES, Point, sample
from hack.verify.run import Outcome, Rig, rigged
from tests.cluster.audited import audited_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

SEED = 60


cluster = pytest.fixture(scope="module")(audited_cluster)


@pytest.fixture(scope="module")
def faultless(cluster: Layout, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run in which nothing happens: how many writes there are, and of what."""

    async def run() -> Outcome:
        async with rigged(cluster, tmp_path_factory.mktemp("faultless")) as rig:
            return await rig.run()

    return asyncio.run(run())


@pytest.fixture
async def rig(cluster: Layout, faultless: Outcome, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rigged(cluster, tmp_path) as rig:
        rig.reference = faultless.report.shapes[0]
        yield rig


def test_a_run_without_faults_breaks_no_invariant(faultless: Outcome) -> None:
    assert faultless.complaints() == []
    judged = {name for name, number in faultless.report.judged.items() if number}
    assert judged == {"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9"}
    assert faultless.report.undecided == 0
    assert len(faultless.accepted) == 10, "kinds of writes"


@pytest.mark.parametrize("phase", PHASES, ids=[f"seed-{SEED}-{phase}" for phase in PHASES])
async def test_S1_a_kill_at_each_kind_of_write_breaks_no_invariant(
    rig: Rig, faultless: Outcome, phase: str
) -> None:
    left = [point for point in sample(faultless.accepted, SEED) if point.phase == phase]
    assert len(left) == 10
    for _ in range(2):  # two changes may become one write, and then a run does not come to a point
        if left:
            outcome = await rig.run(left)
            assert outcome.complaints() == []
            left = list(outcome.missed)
    assert left == []


async def test_L3_a_leader_that_is_stopped_at_a_write_loses_to_the_one_that_took_over(rig: Rig) -> None:
    """Raises Stuck if it does anything but end."""
    rig.blow = signal.SIGSTOP
    points = [Point("create jobs", 2, "before"), Point("patch trials/status", 15, "between")]
    outcome = await rig.run(points)
    assert outcome.complaints() == []
    assert sorted(outcome.hit) == points
