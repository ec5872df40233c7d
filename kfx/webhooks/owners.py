"""From a pod to the trial it belongs to, over any chain of owners."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from kfx.apis.common import API_VERSION
from kfx.kube.errors import Forbidden, NotFound
from kfx.kube.model import Unstructured
from kfx.kube.resource import Resource, guess_resource
from kfx.runtime.reconcile import Request
from kfx.runtime.store import Lister

MAX_DEPTH = 8
MAX_READS = 32

Reference = Mapping[str, Any]


class DocumentReader(Protocol):
    """Reads one object past the cache."""

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]: ...


class OwnerWalk:
    """Looks at each owner in turn, in depth, until one is owned by a Trial (Katib ``getKatibJob``).

    ``jobs``: caches of the kinds that trials run; what they do not hold is read from the server, by name.
    """

    def __init__(self, *, client: DocumentReader, jobs: Mapping[Resource, Lister[Unstructured]]) -> None:
        self._client = client
        self._jobs = jobs
        self._by_kind = {(resource.api_version, resource.kind): resource for resource in jobs}

    async def find_trial(self, pod: Mapping[str, Any], namespace: str) -> Reference | None:
        """The reference to the Trial that owns the pod or one of its owners; ``None`` where there is none.

        Raises :class:`kfx.kube.errors.ApiError` or ``TransportError`` where that cannot be told now.
        """
        return await self._visit(pod, namespace, depth=0, seen=set())

    async def _visit(
        self, document: Mapping[str, Any], namespace: str, *, depth: int, seen: set[tuple[str, str, str]]
    ) -> Reference | None:
        owners = _owners(document)
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
            parent = await self._read(owner, namespace)
            found = parent and await self._visit(parent, namespace, depth=depth + 1, seen=seen)
            if found:
                return found
        return None

    async def _read(self, owner: Reference, namespace: str) -> Mapping[str, Any] | None:
        """The owner itself; ``None`` where it is gone, was replaced, or is none of our business."""
        name, uid = str(owner.get("name") or ""), owner.get("uid")
        key = (str(owner.get("apiVersion") or ""), str(owner.get("kind") or ""))
        followed = self._by_kind.get(key)
        if followed is not None:
            cached = self._jobs[followed].get(Request(namespace, name))
            if cached is not None and cached.metadata.uid == uid:
                return cached.document()
        try:
            resource = followed or guess_resource(*key)
            if not name:
                return None
            document = await self._client.get_document(resource, namespace, name)
        except (NotFound, ValueError):
            return None
        except Forbidden:
            if followed is not None:
                raise
            return None
        return document if _uid(document) == uid else None


def _owners(document: Mapping[str, Any]) -> Collection[Reference]:
    found: Collection[Reference] = (document.get("metadata") or {}).get("ownerReferences") or ()
    return found


def _uid(document: Mapping[str, Any]) -> Any:
    return (document.get("metadata") or {}).get("uid")
