"""The one place where a plan becomes requests. The last step on the way of an event."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from kfx.kube.client import Client
from kfx.kube.errors import AlreadyExists, ApiError, NotFound, TransportError
from kfx.kube.model import KubeObject, Model
from kfx.runtime.expectations import Expectations
from kfx.runtime.plan import Count, Create, Delete, Note, Patch, Plan
from kfx.runtime.reconcile import Result, StaleRead, TerminalError
from kfx.runtime.status_patch import status_patch

CREATES_AT_ONCE = 8
"""Of one plan; the other reconciles need some of the client's requests too."""


class Recorder(Protocol):
    """Where notes go; never waits."""

    def note(self, owner: KubeObject, note: Note) -> None: ...


class Counters(Protocol):
    """Where counts go."""

    def count(self, name: str, labels: Mapping[str, str]) -> None: ...


class Writer:
    """Carries plans out in the order the plan's module gives: one request at a time, but for its creates.

    Every change of the owner carries the version that was read or, after the first, the one just written: a
    plan made from an old state is refused by the server as a whole, before anything is made or deleted.
    """

    def __init__(self, client: Client, recorder: Recorder, metrics: Counters) -> None:
        self._client = client
        self._recorder = recorder
        self._metrics = metrics
        self._expectations = Expectations()

    async def apply(self, owner: KubeObject, plan: Plan) -> Result:
        """Perform ``plan``, which was made from ``owner``; nothing is sent for what is right already.

        If ``owner`` is gone meanwhile, the rest of the plan is void and this is no error.
        Raises StaleRead if ``owner`` is older than the last write to it, TerminalError if a name is taken by
        somebody else, an ExceptionGroup if several creations fail, else what the client raises: Conflict if
        somebody changed the owner, LeadershipLost or WriteHeld from the fence.
        """
        if plan == Plan(requeue_after=plan.requeue_after):
            return Result(plan.requeue_after)
        self.refuse_stale(owner)
        target = _Owner(self._client, self._expectations, owner)
        try:
            await target.add_finalizers(plan.add_finalizers)
            await target.write_status(plan.intent)
            await self._create_all(plan.create)
            await self._patch_all(plan.patch)
            await target.write_status(plan.status)
            await self._delete_all(plan.delete)
            await target.drop_finalizers(plan.release)
        except _OwnerGone:
            return Result()
        self._tell(owner, plan.notes, plan.counts)
        return Result(plan.requeue_after)

    def refuse_stale(self, owner: KubeObject) -> None:
        """Raise StaleRead if ``owner`` is older than the last write to it: nothing need be read for it."""
        if self._expectations.is_stale(owner):
            self._metrics.count("kfx_stale_reads_total", {})
            raise StaleRead(f"{owner} was read before the last write to it had arrived")

    async def _create_all(self, creates: tuple[Create, ...]) -> None:
        """One bad manifest must not keep the others from being made; a dead server ends the round.

        Kind after kind, in the plan's order: an object may need those before it, as a RoleBinding its Role.
        """
        failures: list[Exception] = []
        for _, of_a_kind in groupby(creates, key=lambda each: each.resource):
            await self._create_side_by_side(deque(of_a_kind), failures)
            if any(isinstance(failure, TransportError) for failure in failures):
                break
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise ExceptionGroup(f"{len(failures)} of {len(creates)} objects were not created", failures)

    async def _create_side_by_side(self, waiting: deque[Create], failures: list[Exception]) -> None:
        """The first alone, which shows whether the server takes anything."""
        await self._create_some(waiting, failures, most=1)
        if waiting:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(CREATES_AT_ONCE, len(waiting))):
                    group.create_task(self._create_some(waiting, failures, most=len(waiting)))

    async def _create_some(self, waiting: deque[Create], failures: list[Exception], *, most: int) -> None:
        while waiting and most:
            most -= 1
            try:
                await self._create(waiting.popleft())
            except (ApiError, TerminalError) as error:
                failures.append(error)
            except TransportError as error:
                failures.append(error)
                waiting.clear()

    async def _create(self, create: Create) -> None:
        metadata = create.manifest["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        try:
            await self._client.create(create.resource, create.manifest, namespace=namespace)
        except AlreadyExists:
            stored = await self._client.get_document(create.resource, namespace, name)
            if _controller_of(stored).get("uid") != create.owner_uid:
                raise TerminalError(_taken(create, namespace, name, stored)) from None

    async def _patch_all(self, patches: tuple[Patch, ...]) -> None:
        for patch in patches:
            target = patch.target
            guard = {"resourceVersion": target.metadata.resource_version}
            changes = {**patch.changes, "metadata": {**patch.changes.get("metadata", {}), **guard}}
            try:
                await self._client.patch(target.resource, *target.key, changes, subresource=patch.subresource)
            except NotFound as error:
                raise StaleRead(f"{target} is gone") from error

    async def _delete_all(self, deletes: tuple[Delete, ...]) -> None:
        for delete in deletes:
            if self._expectations.is_going(delete.uid):
                continue
            try:
                await self._client.delete(
                    delete.resource,
                    delete.namespace,
                    delete.name,
                    uid=delete.uid,
                    resource_version=delete.resource_version,
                    propagation=delete.propagation,
                )
            except NotFound:
                continue
            self._expectations.expect_gone(delete.uid)

    def _tell(self, owner: KubeObject, notes: tuple[Note, ...], counts: tuple[Count, ...]) -> None:
        for note in notes:
            self._recorder.note(owner, note)
        for count in counts:
            self._metrics.count(count.metric, dict(count.labels))


class _OwnerGone(Exception):
    """The owner was deleted while the plan was carried out."""


class _Owner:
    """The owner as it stands after each write of one plan."""

    def __init__(self, client: Client, expectations: Expectations, owner: KubeObject) -> None:
        self._client = client
        self._expectations = expectations
        self._owner = owner
        self._version = owner.metadata.resource_version
        self._finalizers = owner.metadata.finalizers or ()
        self._status: Model | None = getattr(owner, "status", None)

    async def add_finalizers(self, wanted: tuple[str, ...]) -> None:
        await self._write_finalizers(tuple(dict.fromkeys((*self._finalizers, *wanted))))

    async def drop_finalizers(self, unwanted: tuple[str, ...]) -> None:
        await self._write_finalizers(tuple(name for name in self._finalizers if name not in unwanted))
        if not self._finalizers and self._owner.metadata.deletion_timestamp:
            self._expectations.forget(self._owner)

    async def write_status(self, status: Model | None) -> None:
        if status is None:
            return
        changes = status_patch(self._status, status, self._version)
        if changes is not None:
            await self._patch(changes, subresource="status")
        self._status = status

    async def _write_finalizers(self, finalizers: tuple[str, ...]) -> None:
        if finalizers != self._finalizers:
            guarded = {"finalizers": list(finalizers), "resourceVersion": self._version}
            await self._patch({"metadata": guarded})
            self._finalizers = finalizers

    async def _patch(
        self, changes: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, subresource: str = ""
    ) -> None:
        """``changes`` name the version they were made for."""
        owner = self._owner
        try:
            written = await self._client.patch(owner.resource, *owner.key, changes, subresource=subresource)
        except NotFound:
            self._expectations.forget(owner)
            raise _OwnerGone from None
        self._version = written["metadata"]["resourceVersion"]
        self._expectations.expect(owner, self._version)


def _controller_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    references: list[Mapping[str, Any]] = document["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), {})


def _taken(create: Create, namespace: str, name: str, stored: Mapping[str, Any]) -> str:
    found = _controller_of(stored)
    owner = f"{found.get('kind')} {found.get('name')} (uid {found.get('uid')})" if found else "nobody"
    where = f"{namespace}/{name}" if namespace else name
    return (
        f"{create.resource.kind} {where} exists already and its controller is {owner}: "
        f"delete it, or choose another name for the object that needs it"
    )
