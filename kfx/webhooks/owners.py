"""From a pod to the trial it belongs to, over any chain of owners."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from kfx.apis.common import API_VERSION
from kfx.kube.errors import Forbidden, NotFound
from kfx.kube.model import Unstructured, to_builtins
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

Reference = Mapping[str, Any]


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

    async def find_trial(self, pod: Mapping[str, Any], namespace: str) -> Reference | None:
        """The reference to the Trial that owns the pod or one of its owners; ``None`` where there is none.

        Raises :class:`kfx.kube.errors.ApiError` or ``TransportError`` where that cannot be told now.
        """
        return await self._visit(_owners(pod), namespace, depth=0, seen=set())

    async def _visit(
        self, owners: Collection[Reference], namespace: str, *, depth: int, seen: set[tuple[str, str, str]]
    ) -> Reference | None:
        for owner in owners:
            if (owner.get("apiVersion"), owner.get("kind")) == (API_VERSION, "Trial"):
                return owner
        if depth == MAX_DEPTH:
            return None
        for owner in owners:
            key = (str(owner.get("apiVersion")), str(owner.get("kind")), str(owner.get("name")))
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
        name, uid = str(owner.get("name") or ""), str(owner.get("uid") or "")
        key = (str(owner.get("apiVersion") or ""), str(owner.get("kind") or ""))
        if not uid or name in NO_NAMES:
            return ()
        followed = self._by_kind.get(key)
        if followed is not None:
            cached = self._jobs[followed].get(Request(namespace, name))
            if cached is not None and cached.metadata.uid == uid:
                return tuple(map(to_builtins, cached.metadata.owner_references or ()))
            return await self._read(followed, namespace, name, uid)
        place = (*key, namespace, name, uid)
        known = self._others.get(place)
        if known is None:
            known = await self._read_other(key, namespace, name, uid)
            self._others.put(place, known, MEMORY_SECONDS)
        return known

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
        return _owners(document) if _uid(document) == uid else ()


def _owners(document: Mapping[str, Any]) -> Collection[Reference]:
    found: Collection[Reference] = (document.get("metadata") or {}).get("ownerReferences") or ()
    return tuple(found)


def _uid(document: Mapping[str, Any]) -> Any:
    return (document.get("metadata") or {}).get("uid")
