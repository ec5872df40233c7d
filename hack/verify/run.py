"""One Experiment from its creation to the last trace of it, while kfx is killed where a schedule says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from hack.cluster.layout import Layout
from hack.verify.check import Limits
from hack.verify.invariants import Report, judge_log
from hack.verify.kill_points import Point, Schedule
from hack.verify.shape import Shape
from hack.verify.subject import Subject, subject
from hack.verify.trainer import Trainer
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from tests.cluster.crds import install_crds
from tests.cluster.katib import NAMESPACE, condition, manifest
from tests.katib_objects import JOBS

TRIALS, PARALLEL = 12, 3
PATIENCE = 120.0  # seconds for a phase of a run, each kill apart
QUIET = 1.5  # seconds without a write: kfx rests
LIMITS = Limits(settle=30.0, leak=30.0, all_ended=True)
KINDS = (Experiment.resource, Suggestion.resource, Trial.resource, JOBS)


class Stuck(Exception):
    """What had to happen has not; the text says what there is instead."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """``missed``: points that the run never came to. ``trials``: that succeeded."""

    hit: Sequence[Point]
    missed: Sequence[Point]
    accepted: Counter[str]
    report: Report
    trials: int

    def complaints(self) -> list[str]:
        """Nothing is to be here."""
        found = [f"{v.invariant} {v.object}: {v.text} {v.requests}" for v in self.report.violations]
        if self.trials != TRIALS:
            found.append(f"{self.trials} trials succeeded, not {TRIALS}")
        return found


@dataclass
class Rig:
    """An API server with its audit log, and one kfx."""

    layout: Layout
    client: Client
    subject: Subject
    limits: Limits = LIMITS
    reference: Shape | None = None
    _names: "count[int]" = field(default_factory=lambda: count(1))

    async def run(self, points: Sequence[Point] = ()) -> Outcome:
        """An Experiment of twelve trials; it is deleted in the end. Raises Stuck."""
        schedule = self.subject.schedule = Schedule(points)
        began_at = self.layout.audit_log.stat().st_size
        name = f"kill-{next(self._names)}"
        await self.subject.start()
        async with asyncio.TaskGroup() as group:
            reviving = group.create_task(self._revive())
            trainer = Trainer(self.client, lambda: self.subject.reports)
            async with trainer.at_work():
                trials = await self._live(name)
            reviving.cancel()
        await self.subject.kill()
        report = judge_log(self.layout.audit_log, self.limits, reference=self.reference, start=began_at)
        return Outcome(schedule.hit, sorted(schedule.left), schedule.accepted, report, trials)

    async def _live(self, name: str) -> int:
        asked = manifest(name, most=TRIALS, parallel=PARALLEL)
        await self.client.create(Experiment.resource, asked, namespace=NAMESPACE)
        ended = await self._until(f"the end of {name}", lambda: self._ended(name))
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
            if self.subject.killed.is_set() or not self.subject.is_at_work():
                busy = loop.time()
            return loop.time() - max(busy, self.subject.last_write) > QUIET

        await self._until("kfx to rest", rests)

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
            if len(self.subject.schedule.hit) != kills:
                kills, deadline = len(self.subject.schedule.hit), loop.time() + PATIENCE
            if loop.time() > deadline:
                raise Stuck(f"{what} did not come; kfx's last words:\n{self.subject.last_words()}")
            await asyncio.sleep(0.1)
        return found

    async def _revive(self) -> None:
        """Start kfx again whenever it was killed. Raises Stuck if it ends by itself."""
        while True:
            status = await self.subject.ended()
            if not self.subject.killed.is_set():
                raise Stuck(f"kfx ended with status {status}; its last words:\n{self.subject.last_words()}")
            await self.subject.start()


async def nothing_left(client: Client) -> bool:
    """Whether there is no object of these kinds any more."""
    for kind in KINDS:
        found = await client.request("GET", kind.path(NAMESPACE))
        if found["items"]:
            return False
    return True


@asynccontextmanager
async def rigged(layout: Layout, folder: Path) -> AsyncIterator[Rig]:
    """On a cluster that writes an audit log."""
    credentials = load_credentials(str(layout.kubeconfig))
    async with (
        Client.connect(credentials, user_agent="test") as client,
        subject("kfx", credentials, folder) as killed,
    ):
        await install_crds(client)
        yield Rig(layout, client, killed)
