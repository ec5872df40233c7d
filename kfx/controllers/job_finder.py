"""The job of a trial: as the cache has it, and as the server has it where the cache may lag behind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from kfx.apis.trial import Trial
from kfx.controllers.jobs import JobLister
from kfx.katib import conditions as c
from kfx.katib.names import is_controlled_by
from kfx.katib.trial import is_completed
from kfx.kube.errors import NotFound
from kfx.kube.model import KubeObject, OwnerReference
from kfx.kube.resource import Resource
from kfx.runtime.reconcile import StaleRead, TerminalError

T = TypeVar("T", bound=KubeObject)

LAG = 5.0  # seconds in which a job just made may be missing from the cache


class LiveReader(Protocol):
    """Reads past the cache."""

    async def get(self, kind: type[T], namespace: str, name: str) -> T: ...

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]: ...


class NameHeld(StaleRead):
    """The job of a Trial that had this name before is still there."""


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job that the trial controls."""

    uid: str
    deleting: bool
    document: Mapping[str, Any]


class JobFinder:
    """Tells a job that is gone from one that has not been seen yet; the first would be made again."""

    def __init__(self, *, jobs: JobLister, client: LiveReader, now: Callable[[], str]) -> None:
        self._jobs = jobs
        self._client = client
        self._now = now

    def resource_of(self, trial: Trial) -> Resource | None:
        """The kind of the trial's job; ``None`` where that kind is not followed."""
        return self._jobs.resource_of(trial)

    def problem(self, trial: Trial) -> str | None:
        """The right that is missing to follow the kind of the trial's job; ``None`` where none is."""
        resource = self._jobs.resource_of(trial)
        return self._jobs.problem(resource) if resource is not None else None

    async def find(self, resource: Resource, trial: Trial) -> FoundJob | None:
        """The trial's job; ``None`` where it has none, or where it has ended and the job is not its own.

        Raises StaleRead where that is not certain yet (NameHeld while a namesake's job goes), TerminalError
        where the name is somebody else's.
        """
        if not self._jobs.is_known(resource):
            raise StaleRead(f"{resource} has not been listed yet")
        cached = self._jobs.get(resource, trial)
        if cached is not None:
            metadata = cached.metadata
            if not _is_own(resource, trial, metadata.controller):
                return None
            return FoundJob(metadata.uid, metadata.deletion_timestamp is not None, cached.document())
        if not c.has(trial.status.conditions, c.CREATED) or is_completed(trial):
            return None
        return await self._find_live(resource, trial)

    async def _find_live(self, resource: Resource, trial: Trial) -> FoundJob | None:
        if self._is_fresh(trial):
            raise StaleRead(f"the job of {trial} was made just now and is not in the cache yet")
        try:
            document = await self._client.get_document(resource, *trial.key)
        except NotFound:
            await self._prove_live(trial)
            return None
        metadata = document["metadata"]
        if not _is_own(resource, trial, _controller(metadata)):
            return None
        return FoundJob(metadata["uid"], bool(metadata.get("deletionTimestamp")), document)

    def _is_fresh(self, trial: Trial) -> bool:
        running = c.find(trial.status.conditions, c.RUNNING)
        if running is None or not running.last_transition_time:
            return False
        age = datetime.fromisoformat(self._now()) - datetime.fromisoformat(running.last_transition_time)
        return 0 <= age.total_seconds() < LAG

    async def _prove_live(self, trial: Trial) -> None:
        """A trial that ended or went in the meantime must not get another job."""
        try:
            live = await self._client.get(Trial, *trial.key)
        except NotFound:
            raise StaleRead(f"{trial} is gone") from None
        if live.metadata.resource_version != trial.metadata.resource_version:
            raise StaleRead(f"{trial} has changed since it was read")


def _is_own(resource: Resource, trial: Trial, owner: OwnerReference | None) -> bool:
    if is_controlled_by(owner, trial):
        return True
    if is_completed(trial):
        return False
    where = f"{resource.kind} {trial.metadata.namespace}/{trial.metadata.name}"
    if owner is not None and (owner.kind, owner.name) == (trial.resource.kind, trial.metadata.name):
        raise NameHeld(
            f"{where} belongs to a Trial that had this name before and is on its way out: "
            "see which of its finalizers keeps it"
        )
    raise TerminalError(
        f"{where} exists already and is not controlled by this Trial: "
        "delete it, so that the Trial can make its own"
    )


def _controller(metadata: Mapping[str, Any]) -> OwnerReference | None:
    references = metadata.get("ownerReferences") or ()
    found = next((reference for reference in references if reference.get("controller")), None)
    return msgspec.convert(found, OwnerReference) if found is not None else None
