"""One Experiment from its creation to the last trace of it, and what happens to kfx where a schedule says."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from hack.cluster.layout import Layout
from hack.verify.check import Limits
from hack.verify.installation import installed
from hack.verify.invariants import Report, judge_log
from hack.verify.kill_points import Point, Schedule
from hack.verify.replica import LEASE
from hack.verify.service import service
from hack.verify.shape import Shape
from hack.verify.subject import Subject, subject
from hack.verify.trainer import PODS, Trainer
from hack.verify.watch_faults import Valve, WatchPoint
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.kube.client import Client
from kfx.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from kfx.runtime.lease import LEASES
from kfx.services.db_manager import DBManager
from kfx.services.grpc_server import GrpcServer
from kfx.services.health import Health
from kfx.services.rpc import Service
from kfx.store.observations import ObservationStore
from tests.cluster.installation import free_ports
from tests.cluster.katib import NAMESPACE, condition, manifest
from tests.cluster.site import CORE
from tests.katib_objects import JOBS

TRIALS, PARALLEL = 12, 3
PATIENCE = 240.0  # seconds for a phase of a run, each kill apart; a silent watch takes 70 of them
QUIET = 1.5  # seconds without a write: kfx rests
RESUMED = 10.0  # seconds in which one that was stopped ends when it goes on
IDLE = 3.0  # seconds in which a new leader writes something, if there is something to write
LIMITS = Limits(settle=30.0, leak=30.0, all_ended=True, lease=f"{CORE}/3fbc96e9.katib.kubeflow.org")
MANAGER = tuple(f"KATIB_DB_MANAGER_SERVICE_{part}" for part in ("IP", "NAMESPACE", "PORT"))
KINDS = (Experiment.resource, Suggestion.resource, Trial.resource, JOBS, PODS)


class Stuck(Exception):
    """What had to happen has not; the text says what there is instead."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """``missed``: points that the run never came to. ``trials``: that succeeded. ``lost``: how often a
    replica ended since it could not renew its Lease in time, as on a busy machine. ``watched``: what has
    happened to watches.
    """

    hit: Sequence[Point]
    missed: Sequence[Point]
    accepted: Counter[str]
    report: Report
    trials: int
    lost: int = 0
    watched: Sequence[WatchPoint] = ()

    def complaints(self) -> list[str]:
        """Nothing is to be here."""
        found = [f"{v.invariant} {v.object}: {v.text} {v.requests}" for v in self.report.violations]
        if self.trials != TRIALS:
            found.append(f"{self.trials} trials succeeded, not {TRIALS}")
        return found


@dataclass
class Rig:
    """An API server with its audit log, and kfx: one replica, or two.

    ``blow``: what a replica gets where the schedule says so. ``reports``: where collectors report.
    ``again_at``: if not 0, the Experiment is deleted when so many trials have succeeded, and another of its
    name is made at once.
    """

    layout: Layout
    client: Client
    replicas: Sequence[Subject]
    reports: str
    blow: signal.Signals = signal.SIGKILL
    limits: Limits = LIMITS
    reference: Shape | None = None
    again_at: int = 0
    schedule: Schedule = field(default_factory=Schedule)
    _lost: int = 0
    _names: "count[int]" = field(default_factory=lambda: count(1))

    async def run(self, points: Sequence[Point] = (), *, watches: Sequence[WatchPoint] = ()) -> Outcome:
        """An Experiment of twelve trials; it is deleted in the end. Raises Stuck.

        ``watches``: what happens to those of the first replica.
        """
        schedule = self.schedule = Schedule(points)
        self._lost, began_at = 0, self.layout.audit_log.stat().st_size
        valve = Valve(self.replicas[0].proxy, schedule, watches)
        try:
            trials = await self._live_with_kfx(f"kill-{next(self._names)}")
        finally:
            valve.close()
        report = judge_log(self.layout.audit_log, self.limits, reference=self.reference, start=began_at)
        missed = sorted(schedule.left)
        return Outcome(schedule.hit, missed, schedule.accepted, report, trials, self._lost, valve.hit)

    async def _live_with_kfx(self, name: str) -> int:
        for replica in self.replicas:
            replica.schedule, replica.blow = self.schedule, self.blow
            await replica.start()
        async with asyncio.TaskGroup() as group:
            keeping = [group.create_task(self._keep(replica)) for replica in self.replicas]
            trainer = Trainer(self.client, lambda: self.reports, idle=self.idle, pods=True)
            async with trainer.at_work():
                trials = await self._live(name)
            for task in keeping:
                task.cancel()
        for replica in self.replicas:
            await replica.kill()
        return trials

    def idle(self) -> float:
        """Seconds since the last write of any replica."""
        return asyncio.get_running_loop().time() - max(replica.last_write for replica in self.replicas)

    async def _live(self, name: str) -> int:
        asked = manifest(name, most=TRIALS, parallel=PARALLEL)
        await self._until(f"the creation of {name}", partial(self._create, asked))
        if self.again_at:
            await self._until(f"{self.again_at} trials of {name}", partial(self._have_succeeded, name))
            await self.client.delete(Experiment.resource, NAMESPACE, name, propagation="Background")
            await self._until(f"the creation of another {name}", partial(self._create, asked))
        ended = await self._until(f"the end of {name}", partial(self._ended, name))
        await self.rest()
        await self.client.delete(Experiment.resource, NAMESPACE, name, propagation="Background")
        await self._until(f"the deletion of {name}", partial(nothing_left, self.client))
        await self.rest()
        return int(ended["status"].get("trialsSucceeded", 0))

    async def rest(self) -> None:
        """Return once kfx has been at work for a while and has had nothing to write."""
        loop = asyncio.get_running_loop()
        busy = loop.time()

        async def rests() -> bool:
            nonlocal busy
            struck = any(replica.killed.is_set() for replica in self.replicas)
            if struck or not any(replica.is_at_work() for replica in self.replicas):
                busy = loop.time()
            return min(self.idle(), loop.time() - busy) > QUIET

        await self._until("kfx to rest", rests)

    async def _create(self, asked: dict[str, Any]) -> bool:
        """False while nobody answers the webhooks, or another of the name is on its way out."""
        try:
            await self.client.create(Experiment.resource, asked, namespace=NAMESPACE)
        except AlreadyExists:
            return False
        except ApiError as error:
            if "failed calling webhook" not in str(error):
                raise
            return False
        return True

    async def _have_succeeded(self, name: str) -> bool:
        found = await self.client.get_document(Experiment.resource, NAMESPACE, name)
        return int(found.get("status", {}).get("trialsSucceeded", 0)) >= self.again_at

    async def _ended(self, name: str) -> Any:
        found = await self.client.get_document(Experiment.resource, NAMESPACE, name)
        if condition(found, "Failed"):
            raise Stuck(f"{name} failed: {condition(found, 'Failed')}")
        return found if condition(found, "Succeeded") else None

    async def _until(self, what: str, true: Any) -> Any:
        """``PATIENCE`` counts anew with each kill."""
        kills, deadline = -1, 0.0
        loop = asyncio.get_running_loop()
        while not (found := await true()):
            if len(self.schedule.hit) != kills:
                kills, deadline = len(self.schedule.hit), loop.time() + PATIENCE
            if loop.time() > deadline:
                raise Stuck(f"{what} did not come; kfx's last words:\n{self._last_words()}")
            await asyncio.sleep(0.1)
        return found

    async def _keep(self, replica: Subject) -> None:
        """Start it again whenever it was killed. Raises Stuck if it ends by itself without cause."""
        while True:
            if self.blow is signal.SIGSTOP:
                await self._outlast(replica)
            status = await replica.ended()
            if not replica.killed.is_set():
                if not replica.has_lost():
                    raise Stuck(f"kfx ended with status {status}; its last words:\n{replica.last_words()}")
                self._lost += 1
            elif self.blow is signal.SIGKILL and len(self.replicas) > 1:
                await self._clear_lease(replica)
            await replica.start()

    async def _clear_lease(self, dead: Subject) -> None:
        """As somebody may who knows that its holder is dead: the standby leads at once."""
        await dead.settle()
        namespace, _, name = self.limits.lease.partition("/")
        with suppress(NotFound, Conflict):
            found = await self.client.get_document(LEASES, namespace, name)
            metadata = found["metadata"]
            if found["spec"].get("holderIdentity") == dead.identity:
                version = metadata["resourceVersion"]
                await self.client.delete(
                    LEASES, namespace, name, uid=metadata["uid"], resource_version=version
                )

    async def _outlast(self, replica: Subject) -> None:
        """Once it was stopped, let it stand past its Lease, and go on. Another leads then: it has to end.

        Returns when it has ended. The only replica finds its Lease untouched and works on.
        """
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(replica.ended())
            while not ended.done():
                stopped = group.create_task(replica.killed.wait())
                await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
                stopped.cancel()
                if not ended.done():
                    await self._take_over(replica)
                    replica.go_on()
                    if len(self.replicas) > 1:
                        await self._must_lose(replica, ended)

    async def _take_over(self, stopped: Subject) -> None:
        """Return once another replica has worked for a moment; without one, when the Lease has run out."""
        others = [replica for replica in self.replicas if replica is not stopped]
        loop = asyncio.get_running_loop()
        if not others:
            await asyncio.sleep(1.5 * LEASE)
            return

        terms = [replica.term for replica in others]

        async def is_led() -> bool:  # also if that one was stopped meanwhile
            return any(each.term not in {0, term} for each, term in zip(others, terms, strict=True))

        await self._until("a new leader", is_led)
        began = loop.time()
        while loop.time() - began < IDLE and max(replica.last_write for replica in others) < began:
            await asyncio.sleep(0.02)

    async def _must_lose(self, replica: Subject, ended: "asyncio.Task[int]") -> None:
        done, _ = await asyncio.wait((ended,), timeout=RESUMED)
        if not done:
            raise Stuck(
                f"stopped past its Lease, {replica.name} went on; its last words:\n{replica.last_words()}"
            )
        if not replica.has_lost():
            text = f"stopped past its Lease, it ended with status {ended.result()}"
            raise Stuck(f"{text}; its last words:\n{replica.last_words()}")
        self._lost -= 1  # as it should

    def _last_words(self) -> str:
        return "\n".join(f"{replica.name}:\n{replica.last_words()}" for replica in self.replicas)


async def nothing_left(client: Client) -> bool:
    """Whether there is no object of these kinds any more."""
    for kind in KINDS:
        found = await client.request("GET", kind.path(NAMESPACE))
        if found["items"]:
            return False
    return True


@asynccontextmanager
async def rigged(
    layout: Layout, folder: Path, *, replicas: int = 2, blow: signal.Signals = signal.SIGKILL
) -> AsyncIterator[Rig]:
    """On a cluster that writes an audit log: kfx as it is installed, with leader election.

    Two replicas share a database manager, as they must; one keeps its observations itself.
    """
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(installed(layout, folder))
        managed = await stack.enter_async_context(database_manager(folder)) if replicas > 1 else 0
        environ = dict(zip(MANAGER, ("127.0.0.1", "", str(managed)), strict=True)) if managed else {}
        flags, module = "--enable-leader-election", "hack.verify.replica"
        found = [
            await stack.enter_async_context(
                subject(name, site.kfx, folder, flags, module=module, environ=environ)
            )
            for name in "ab"[:replicas]
        ]
        webhooks = service([(each, each.webhooks_port) for each in found])
        await site.register(await stack.enter_async_context(webhooks))
        reports = f"127.0.0.1:{managed}" if managed else found[0].reports
        yield Rig(layout, site.admin, found, reports, blow)


@asynccontextmanager
async def database_manager(folder: Path) -> AsyncIterator[int]:
    """The port of one that knows no Trial, as Katib's."""
    (port,) = free_ports(1)
    async with ObservationStore.open(folder / "elsewhere" / "katib.db") as store:
        services: list[Service] = [DBManager(store), Health(store.ping)]
        async with GrpcServer({"--db-manager-addr": f"127.0.0.1:{port}"}, services).serving():
            yield port
