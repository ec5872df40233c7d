"""The Lease object that :class:`kfx.runtime.leader.LeaderElector` competes for."""

import asyncio
from collections.abc import Mapping
from typing import Any

from kfx.kube.client import Client
from kfx.kube.errors import NotFound
from kfx.kube.resource import Resource
from kfx.runtime.leader import Lease

LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
TIME_LIMIT = 5.0  # seconds; client-go takes half of the renew deadline


class ApiLeaseLock:
    """A coordination.k8s.io/v1 Lease. It needs the verbs get, create and update on it.

    Its requests pass no fence, since they are what the fence rests on. What others wrote into the object is
    kept, and no value in it makes reading fail.
    """

    def __init__(
        self, client: Client, namespace: str, name: str, *, user_agent: str = "kfx/leader-election"
    ) -> None:
        self._client = client.without_fence(user_agent)
        self._namespace = namespace
        self.name = name

    async def read(self) -> Lease | None:
        """The stored lease. Raises ApiError, TransportError, TimeoutError (after 5 s)."""
        try:
            async with asyncio.timeout(TIME_LIMIT):
                document = await self._client.get_document(LEASES, self._namespace, self.name)
        except NotFound:
            return None
        return parse(document)

    async def write(self, lease: Lease) -> Lease:
        """Store ``lease``; raises Conflict or AlreadyExists if somebody was faster, else as :meth:`read`."""
        manifest = self._manifest(lease)
        async with asyncio.timeout(TIME_LIMIT):
            if lease.version:
                return parse(await self._client.replace(LEASES, self._namespace, self.name, manifest))
            return parse(await self._client.create(LEASES, manifest, namespace=self._namespace))

    def _manifest(self, lease: Lease) -> dict[str, Any]:
        stored = lease.document
        metadata = {
            key: value for key, value in _mapping(stored, "metadata").items() if key != "managedFields"
        }
        metadata |= {"name": self.name, "namespace": self._namespace}
        if lease.version:
            metadata["resourceVersion"] = lease.version
        spec = {
            **_mapping(stored, "spec"),
            "holderIdentity": lease.holder,
            "leaseDurationSeconds": lease.duration,
            "acquireTime": lease.acquired or None,
            "renewTime": lease.renewed or None,
            "leaseTransitions": lease.transitions,
        }
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}


def parse(document: Mapping[str, Any]) -> Lease:
    """The record in a Lease object; what is absent, ``null`` or of another type counts as empty."""
    spec = _mapping(document, "spec")
    return Lease(
        holder=_text(spec, "holderIdentity"),
        duration=_number(spec, "leaseDurationSeconds"),
        acquired=_text(spec, "acquireTime"),
        renewed=_text(spec, "renewTime"),
        transitions=_number(spec, "leaseTransitions"),
        version=_text(_mapping(document, "metadata"), "resourceVersion"),
        document=document,
    )


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def _text(document: Mapping[str, Any], key: str) -> str:
    found = document.get(key)
    return found if isinstance(found, str) else ""


def _number(document: Mapping[str, Any], key: str) -> int:
    found = document.get(key)
    return found if isinstance(found, int) else 0
