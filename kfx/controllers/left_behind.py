"""Trials that are gone, and whose rows are still in a store that did not answer: remembered for later."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from kfx.controllers.templates import CONFIG_MAPS
from kfx.kube.errors import AlreadyExists, ApiError, Forbidden, NotFound
from kfx.kube.resource import Resource
from kfx.runtime.log import get_logger
from kfx.runtime.reconcile import Request

NAME = "kfx-left-behind"
MOST = 5_000
"""Trials that are remembered; as keys they fill two thirds of the largest ConfigMap."""
_LONGEST_KEY = 253
_KEEPING_TO_ITSELF = (
    "trials whose observations are left in the store are forgotten with this process; "
    f"allow it to create ConfigMaps and to get and patch ConfigMap {NAME} in its namespace"
)

log = get_logger("trial-controller")


class ConfigMapClient(Protocol):
    """Reads and writes ConfigMaps; each call may raise ApiError or TransportError."""

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]: ...

    async def create(
        self, resource: Resource, manifest: Mapping[str, Any], *, namespace: str = ""
    ) -> dict[str, Any]: ...

    async def patch(
        self, resource: Resource, namespace: str, name: str, changes: Mapping[str, Any]
    ) -> dict[str, Any]: ...


class LeftBehind:
    """Keys of trials, also in ConfigMap ``kfx-left-behind`` of ``namespace`` as far as that is allowed.

    Katib's own role does not allow it: then they are remembered until the process ends, which is said once.
    Without a ``client`` nothing is kept anywhere else. Any other error of the API server is raised.
    """

    def __init__(self, client: ConfigMapClient | None = None, namespace: str = "") -> None:
        self._client = client
        self._namespace = namespace
        self._found: dict[Request, None] = {}
        self._kept: set[Request] = set()
        self._recalled = client is None
        self._told = False
        self._recalling = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._found)

    def some(self, most: int) -> list[Request]:
        """The first of them, at most so many."""
        return list(self._found)[:most]

    async def recall(self) -> None:
        """Read what an earlier process has left, once."""
        async with self._recalling:
            if self._recalled or self._client is None:
                return
            try:
                found = await self._client.get_document(CONFIG_MAPS, self._namespace, NAME)
            except (NotFound, Forbidden):
                found = {}
            for key in list(found.get("data") or ())[:MOST]:
                namespace, _, name = key.partition(".")
                self._found[Request(namespace, name)] = None
                self._kept.add(Request(namespace, name))
            self._recalled = True

    async def add(self, request: Request) -> bool:
        """Remember a trial. Whether that outlives the process."""
        await self.recall()
        if len(self._found) >= MOST and request not in self._found:
            return False
        if request not in self._kept and await self._keep(request):
            self._kept.add(request)
        self._found[request] = None
        return request in self._kept

    async def drop(self, requests: Iterable[Request]) -> None:
        """Nothing of them is left."""
        gone = [request for request in requests if request in self._found]
        kept = {_key(request): None for request in gone if request in self._kept}
        if kept and self._client is not None:
            with suppress(NotFound, Forbidden):  # somebody has taken it away
                await self._client.patch(CONFIG_MAPS, self._namespace, NAME, {"data": kept})
        for request in gone:
            self._found.pop(request)
            self._kept.discard(request)

    async def _keep(self, request: Request) -> bool:
        if self._client is None or len(_key(request)) > _LONGEST_KEY:
            return False
        try:
            await self._store(self._client, {"data": {_key(request): ""}})
        except ApiError as refused:
            if not isinstance(refused, Forbidden | NotFound):
                raise
            if not self._told:
                log.warning(_KEEPING_TO_ITSELF, namespace=self._namespace, error=str(refused))
            self._told = True
            return False
        return True

    async def _store(self, client: ConfigMapClient, changes: Mapping[str, Any]) -> None:
        try:
            await client.patch(CONFIG_MAPS, self._namespace, NAME, changes)
            return
        except NotFound:
            pass
        whole = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, **changes}
        try:
            await client.create(CONFIG_MAPS, whole, namespace=self._namespace)
        except AlreadyExists:
            await client.patch(CONFIG_MAPS, self._namespace, NAME, changes)


def _key(request: Request) -> str:
    """A namespace has no dots."""
    return f"{request.namespace}.{request.name}"
