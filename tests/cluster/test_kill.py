"""Whatever happens to kfx, its writes are right: judged by the audit log of a real API server.

kfx is a process of its own here, behind a proxy that sees its writes. To kill it at each of them takes longer
than a test may: ``make verify-kill`` does so, and ``hack/verify/kill_points.md`` is what came of it.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import lifecycle
from hack.cluster.layout import Layout
from hack.verify.check import Limits
from hack.verify.invariants import judge_log
from hack.verify.kill_points import PHASES, Point, Schedule, sample
from hack.verify.run import Outcome, Rig, nothing_left, rigged
from hack.verify.subject import Subject, subject
from hack.verify.trainer import Trainer
from kfx.apis.experiment import Experiment
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.errors import NotFound
from kfx.runtime.lease import LEASES
from tests.cluster.conftest import own_layout
from tests.cluster.crds import install_crds
from tests.cluster.fault_proxy import CHUNK, Exchange
from tests.cluster.fault_rig import NAMESPACES
from tests.cluster.installation import ensure, until
from tests.cluster.katib import NAMESPACE, condition, manifest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

SEED = 60
CORE, LEASE = "kubeflow", "3fbc96e9.katib.kubeflow.org"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Layout]:
    """As other modules', with an audit log."""
    layout = own_layout()
    options = lifecycle.Options(flavour=lifecycle.CONTROL_PLANE, linked=False, audit=True)
    lifecycle.up(layout, options)
    try:
        yield layout
    finally:
        lifecycle.down(layout)


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
    assert judged == {"I1", "I2", "I3", "I4", "I5", "I7", "I8", "I9"}
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


async def test_watches_that_are_cut_and_frozen_again_and_again_break_no_invariant(rig: Rig) -> None:
    valve = Valve(rig.subject)
    async with asyncio.TaskGroup() as group:
        meddling = group.create_task(valve.meddle())
        outcome = await rig.run()
        meddling.cancel()
    assert outcome.complaints() == []
    assert valve.cuts > 5
    assert valve.frozen > 3


class Valve:
    """In the way of a kfx's watches."""

    def __init__(self, subject: Subject) -> None:
        self.cuts = self.frozen = 0
        self._streams: set[Exchange] = set()
        self._open = asyncio.Event()
        self._open.set()
        subject.proxy.inject("GET", "watch=true", self._pass_on, times=-1)

    async def meddle(self) -> None:
        """Cut all, then let nothing through for a while in which much happens.

        Each watch lives for more than a second: shorter ones count as errors, with a back-off.
        """
        while True:
            await asyncio.sleep(1.5)
            for each in list(self._streams):
                each.reset()
                self.cuts += 1
            await asyncio.sleep(1.5)
            self._open.clear()
            self.frozen += 1
            await asyncio.sleep(2)
            self._open.set()

    async def _pass_on(self, exchange: Exchange) -> None:
        reader, writer = await exchange.ask()
        self._streams.add(exchange)
        try:
            while data := await reader.read(CHUNK):
                await self._open.wait()
                exchange.client.write(data)
                await exchange.client.drain()
        finally:
            self._streams.discard(exchange)
            writer.transport.abort()


@asynccontextmanager
async def pair(credentials: Credentials, folder: Path) -> AsyncIterator[tuple[Subject, Subject]]:
    """Two replicas, yet to be started."""
    flag = "--enable-leader-election"
    async with (
        subject("a", credentials, folder, flag) as a,
        subject("b", credentials, folder, flag) as b,
    ):
        yield a, b


async def holder(client: Client) -> str:
    try:
        found = await client.get_document(LEASES, CORE, LEASE)
    except NotFound:
        return ""
    return found["spec"].get("holderIdentity") or ""


@pytest.mark.parametrize("phase", ["before", "between"])
async def test_L3_a_leader_that_was_stopped_past_its_lease_writes_nothing_more(
    cluster: Layout, client: Client, credentials: Credentials, tmp_path: Path, phase: str
) -> None:
    await install_crds(client)
    await ensure(client, NAMESPACES, CORE)
    began_at, name = cluster.audit_log.stat().st_size, f"stopped-{phase}"
    async with pair(credentials, tmp_path) as (a, b), Trainer(client, lambda: b.reports).at_work():
        a.blow, a.schedule = signal.SIGSTOP, Schedule([Point("create jobs", 5, phase)])
        before = await holder(client)
        await a.start()
        first = await until(lambda: _holder_but(client, before), seconds=60)
        await b.start()
        asked = manifest(name, most=12, parallel=3)
        await client.create(Experiment.resource, asked, namespace=NAMESPACE)
        await asyncio.wait_for(a.killed.wait(), 60)
        await until(lambda: _holder_but(client, first), seconds=60)
        await until(lambda: _succeeded(client, name, 6), seconds=60)
        a.send(signal.SIGCONT)
        assert await asyncio.wait_for(a.ended(), 10) == 1, a.last_words()
        await until(lambda: _succeeded(client, name, 12), seconds=60)
        await until(lambda: _is_over(client, name))
        await client.delete(Experiment.resource, NAMESPACE, name)
        await until(lambda: nothing_left(client), seconds=60)
    report = judge_log(cluster.audit_log, Limits(lease=f"{CORE}/{LEASE}"), start=began_at)
    assert [f"{each.text} {each.requests}" for each in report.violations] == []
    assert report.judged["I6"] > 100
    assert report.judged["I1"] == 12


async def _holder_but(client: Client, other: str) -> str:
    found = await holder(client)
    return found if found != other else ""


async def _succeeded(client: Client, name: str, count: int) -> bool:
    found = await client.get_document(Experiment.resource, NAMESPACE, name)
    succeeded: int = found.get("status", {}).get("trialsSucceeded", 0)
    return succeeded >= count


async def _is_over(client: Client, name: str) -> Any:
    return condition(await client.get_document(Experiment.resource, NAMESPACE, name), "Succeeded")
