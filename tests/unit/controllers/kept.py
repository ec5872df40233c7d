"""The ConfigMap in which trials are remembered whose rows are left in a store."""

from collections.abc import Mapping
from typing import Any

from kfx.controllers.left_behind import NAME
from kfx.kube.errors import AlreadyExists, ApiError, NotFound
from kfx.kube.resource import Resource


def refusal(kind: type[ApiError], status: int) -> ApiError:
    return kind("no", status=status, reason=kind.__name__, method="PATCH", path="/")


class Kept:
    """The one ConfigMap, as an API server would hold it; ``refused`` by the verb."""

    def __init__(self, **refused: ApiError) -> None:
        self.found: dict[str, Any] | None = None
        self.refused = refused
        self.writes = 0

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        self._check("get")
        if self.found is None:
            raise refusal(NotFound, 404)
        return self.found

    async def create(
        self, resource: Resource, manifest: Mapping[str, Any], *, namespace: str = ""
    ) -> dict[str, Any]:
        self._check("create")
        assert (str(resource), namespace, manifest["metadata"]["name"]) == ("configmaps", "kubeflow", NAME)
        if self.found is not None:
            raise refusal(AlreadyExists, 409)
        self.writes += 1
        self.found = dict(manifest)
        return self.found

    async def patch(
        self, resource: Resource, namespace: str, name: str, changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        self._check("patch")
        if self.found is None:
            raise refusal(NotFound, 404)
        self.writes += 1
        data = self.found["data"] | changes["data"]
        self.found = self.found | {"data": {key: text for key, text in data.items() if text is not None}}
        return self.found

    def _check(self, verb: str) -> None:
        if verb in self.refused:
            raise self.refused[verb]

    @property
    def keys(self) -> list[str]:
        return list((self.found or {}).get("data", {}))
