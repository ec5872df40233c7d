"""Cut and frozen watches, a leader that stands still: no write is wrong, by a real API server's audit log."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.layout import Layout
from hack.verify.check import Limits
from hack.verify.invariants import judge_log
from hack.verify.kill_points import Point, Schedule
from hack.verify.run import nothing_left, rigged
from hack.verify.subject import Subject, subject
from hack.verify.trainer import Trainer
from hack.verify.watch_faults import FROZEN, UNSEEN, watch_points, watch_rounds
from kfx.apis.experiment import Experiment
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.errors import NotFound
from kfx.runtime.lease import LEASES
from tests.cluster.audited import audited_cluster
from tests.cluster.crds import install_crds
from tests.cluster.fault_proxy import CHUNK, Exchange
from tests.cluster.fault_rig import NAMESPACES
from tests.cluster.installation import ensure, until
from tests.cluster.katib import NAMESPACE, condition, manifest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

CORE, LEASE = "kubeflow", "3fbc96e9.katib.kubeflow.org"

cluster = pytest.fixture(scope="module")(audited_cluster)


async def test_watches_that_are_cut_and_frozen_again_and_again_break_no_invariant(
    cluster: Layout, tmp_path: Path
) -> None:
    async with rigged(cluster, tmp_path, replicas=1) as rig:
        valve = Meddler(rig.replicas[0])
        async with asyncio.TaskGroup() as group:
            meddling = group.create_task(valve.meddle())
            outcome = await rig.run()
            meddling.cancel()
    assert outcome.complaints() == []
    assert valve.cuts > 5
    assert valve.frozen > 3


async def test_S3_S5_events_that_are_hidden_or_late_break_no_invariant(
    cluster: Layout, tmp_path: Path
) -> None:
    """A round of those that ``make verify-kill`` tries; each fault is in it."""
    points = next(each for each in watch_rounds(watch_points()) if any(p.kind == "suggestions" for p in each))
    assert {point.fault for point in points} >= {FROZEN, UNSEEN}
    async with rigged(cluster, tmp_path, replicas=1) as rig:
        outcome = await rig.run(watches=points)
    assert outcome.complaints() == []
    assert sorted(outcome.watched) == sorted(points)


async def test_S6_another_experiment_of_the_name_has_nothing_of_the_one_before(
    cluster: Layout, tmp_path: Path
) -> None:
    """I4 counts the trials by owner: twelve for the second, whatever is left of the first."""
    async with rigged(cluster, tmp_path, replicas=1) as rig:
        rig.again_at = 5
        outcome = await rig.run()
    assert outcome.complaints() == []
    assert outcome.accepted["create suggestions"] == 2
    assert outcome.accepted["create trials"] >= 12 + 5


class Meddler:
    """In the way of a kfx's watches."""

    def __init__(self, subject: Subject) -> None:
        self.cuts = self.frozen = 0
        self._streams: list[tuple[Exchange, asyncio.StreamWriter]] = []
        self._open = asyncio.Event()
        self._open.set()
        subject.proxy.inject("GET", "watch=true", self._pass_on, times=-1)

    async def meddle(self) -> None:
        """Cut all, then let nothing through for a while in which much happens.

        Each watch lives for more than a second: shorter ones count as errors, with a back-off.
        """
        while True:
            await asyncio.sleep(1.5)
            streams, self._streams = self._streams, []
            for exchange, writer in streams:
                exchange.reset()
                writer.transport.abort()
                self.cuts += 1
            await asyncio.sleep(1.5)
            self._open.clear()
            self.frozen += 1
            await asyncio.sleep(2)
            self._open.set()

    async def _pass_on(self, exchange: Exchange) -> None:
        reader, writer = await exchange.ask()
        self._streams.append((exchange, writer))
        try:
            while data := await reader.read(CHUNK):
                await self._open.wait()
                exchange.client.write(data)
                await exchange.client.drain()
        finally:
            self._streams = [each for each in self._streams if each[0] is not exchange]
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


async def test_L3_a_leader_that_was_stopped_past_its_lease_writes_nothing_more(
    cluster: Layout, client: Client, credentials: Credentials, tmp_path: Path
) -> None:
    await install_crds(client)
    await ensure(client, NAMESPACES, CORE)
    began_at, name = cluster.audit_log.stat().st_size, "stopped"
    async with pair(credentials, tmp_path) as (a, b), Trainer(client, lambda: b.reports).at_work():
        a.blow, a.schedule = signal.SIGSTOP, Schedule([Point("create jobs", 5, "between")])
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
