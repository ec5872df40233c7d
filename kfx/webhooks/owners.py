"""From a pod to the trial it belongs to, over any chain of owners."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from kfx.apis.common import API_VERSION
from kfx.katib.pod_shape import Owner, read_owners
from kfx.kube.errors import Forbidden, NotFound
from kfx.kube.model import OwnerReference, Unstructured
from kfx.kube.resource import Resource, guess_resource
from kfx.runtime.memory import Expiring
from kfx.runtime.ratelimit import loop_time
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Lister

MAX_DEPTH = 8
MAX_READS = 32
MEMORY_SECONDS = 10.0
REMEMBERED = 1024
NO_NAMES = ("", ".", "..")  # in a URL they would mean the collection, or what is above it

Reference = Owner | OwnerReference


class DocumentReader(Protocol):
    """Reads one object past the cache."""

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]: ...


class OwnerWalk:
    """Looks at each owner in turn, in depth, until one is owned by a Trial (Katib ``getKatibJob``).

    ``jobs``: caches of the kinds that trials run; what they do not hold is read from the server, by name.
    Owners of any other kind are remembered for 10 s, as a ReplicaSet may have many pods. ``clock`` counts
    seconds.
    """

    def __init__(
        self,
        *,
        client: DocumentReader,
        jobs: Mapping[Resource, Lister[Unstructured]],
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self._client = client
        self._jobs = jobs
        self._others: Expiring[tuple[str, ...], Collection[Reference]] = Expiring(clock, REMEMBERED)
        self._by_kind = {(resource.api_version, resource.kind): resource for resource in jobs}

    def find_cached(self, owners: Sequence[Reference], namespace: str) -> Reference | None:
        """As :meth:`find_trial` for nearly all pods of trials; ``None`` where more must be looked at."""
        found = _trial_among(owners)
        if found is None and owners:
            found = _trial_among(self._cached_owners(owners[0], namespace) or ())
        return found

    async def find_trial(self, owners: Sequence[Reference], namespace: str) -> Reference | None:
        """The reference to the Trial among a pod's owners, or theirs; ``None`` where there is none.

        Raises :class:`kfx.kube.errors.ApiError`, ``TransportError`` or
        :class:`kfx.katib.pod_shape.PodShapeError` where that cannot be told now.
        """
        return await self._visit(owners, namespace, depth=0, seen=set())

    async def _visit(
        self, owners: Collection[Reference], namespace: str, *, depth: int, seen: set[tuple[str, str, str]]
    ) -> Reference | None:
        trial = _trial_among(owners)
        if trial is not None or depth == MAX_DEPTH:
            return trial
        for owner in owners:
            key = (str(owner.api_version), str(owner.kind), str(owner.name))
            if key in seen or len(seen) == MAX_READS:
                continue
            seen.add(key)
            further = await self._owners_of(owner, namespace)
            found = further and await self._visit(further, namespace, depth=depth + 1, seen=seen)
            if found:
                return found
        return None

    async def _owners_of(self, owner: Reference, namespace: str) -> Collection[Reference]:
        """The owner's own owners; none where it is gone, was replaced, or is none of our business."""
        name, uid = owner.name or "", owner.uid or ""
        key = (owner.api_version or "", owner.kind or "")
        if not uid or name in NO_NAMES:
            return ()
        cached = self._cached_owners(owner, namespace)
        if cached is not None:
            return cached
        followed = self._by_kind.get(key)
        if followed is not None:
            return await self._read(followed, namespace, name, uid)
        place = (*key, namespace, name, uid)
        known = self._others.get(place)
        if known is None:
            known = await self._read_other(key, namespace, name, uid)
            self._others.put(place, known, MEMORY_SECONDS)
        return known

    def _cached_owners(self, owner: Reference, namespace: str) -> Collection[Reference] | None:
        """Those of a job that its cache holds."""
        followed = self._by_kind.get((owner.api_version or "", owner.kind or ""))
        uid = owner.uid
        if followed is None or not uid:
            return None
        cached = self._jobs[followed].get(Request(namespace, owner.name or ""))
        if cached is not None and cached.metadata.uid == uid:
            return cached.metadata.owner_references or ()
        return None

    async def _read_other(
        self, key: tuple[str, str], namespace: str, name: str, uid: str
    ) -> Collection[Reference]:
        try:
            return await self._read(guess_resource(*key), namespace, name, uid)
        except (ValueError, Forbidden):
            return ()

    async def _read(self, resource: Resource, namespace: str, name: str, uid: str) -> Collection[Reference]:
        try:
            document = await self._client.get_document(resource, namespace, name)
        except NotFound:
            return ()
        metadata = document.get("metadata") or {}
        return read_owners(metadata) if metadata.get("uid") == uid else ()


def _trial_among(owners: Collection[Reference]) -> Reference | None:
    for owner in owners:
        if owner.kind == "Trial" and owner.api_version == API_VERSION:
            return owner
    return None
