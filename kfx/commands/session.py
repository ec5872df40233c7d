"""One API server, asked for objects of one namespace."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from kfx.katib.explanation import Unread
from kfx.kube.client import Client
from kfx.kube.decode import Undecodable, decoder_for
from kfx.kube.errors import ApiError, Expired, Forbidden, NotFound, TransportError
from kfx.kube.model import KubeObject, Unreadable
from kfx.kube.resource import Resource

T = TypeVar("T")
K = TypeVar("K", bound=KubeObject)

PAGE = 500


class Failure(Exception):
    """What was asked for cannot be shown; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Session:
    """``namespace`` is the one that is meant where none is named."""

    client: Client
    namespace: str

    async def list_raw(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        most: int = 0,
    ) -> tuple[list[bytes], str]:
        """All objects as JSON, and the list's version; no more than about ``most`` if that is set.

        A list that outlives its continue token is begun again, once.
        """
        try:
            return await self._pages(resource, namespace, labels, fields, most)
        except Expired:
            return await self._pages(resource, namespace, labels, fields, most)

    async def _pages(
        self, resource: Resource, namespace: str | None, labels: str, fields: str, most: int
    ) -> tuple[list[bytes], str]:
        found: list[bytes] = []
        token = ""
        while True:
            page = await self.client.list_page(
                resource,
                namespace=self.namespace if namespace is None else namespace,
                label_selector=labels,
                field_selector=fields,
                limit=PAGE,
                continue_token=token,
            )
            found += [bytes(item) for item in page.items]
            token = page.continue_token
            if not token or (most and len(found) >= most):
                return found, page.resource_version

    async def list_objects(
        self,
        kind: type[K],
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        most: int = 0,
    ) -> tuple[K, ...]:
        """All objects that can be decoded."""
        found, _ = await self.list_all(kind, namespace=namespace, labels=labels, fields=fields, most=most)
        return found

    async def list_all(
        self,
        kind: type[K],
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        most: int = 0,
    ) -> tuple[tuple[K, ...], tuple[Unreadable, ...]]:
        """All objects that can be decoded, and what can be read of the others."""
        decode = decoder_for(kind)
        raws, _ = await self.list_raw(
            kind.resource, namespace=namespace, labels=labels, fields=fields, most=most
        )
        found, unreadable = [], []
        for raw in raws:
            try:
                found.append(decode(raw))
            except Undecodable as failed:
                unreadable.append(failed.stand_in)
        return tuple(found), tuple(unreadable)

    async def document(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
        """One object as it stands. Raises NotFound."""
        return await self.client.get_document(
            resource, self.namespace if namespace is None else namespace, name
        )

    def not_found(self, resource: Resource, name: str, error: NotFound) -> Failure:
        """Whether the object is missing or its kind, whose URL then leads nowhere, and what to do."""
        if not error.reason:
            return Failure(
                f"the API server does not know {resource}: Katib's definitions are not installed; "
                "kubectl apply -k config/crd"
            )
        where = f"there is no {resource.kind} {name} in namespace {self.namespace}"
        return Failure(f"{where}; kfx get {resource.plural} -A lists all")


async def attempt(what: object, reading: Awaitable[T]) -> T | Unread | None:
    """What was read, ``None`` for what is not there, or why it could not be read."""
    try:
        return await reading
    except NotFound:
        return None
    except Forbidden:
        return Unread(str(what), "forbidden")
    except Undecodable as failed:
        return Unread(str(what), str(failed))
    except ApiError as failed:
        return Unread(str(what), f"{failed.status} {failed.reason}".strip())
    except TransportError:
        return Unread(str(what), "no answer")


def present(found: T | Unread | None, otherwise: T) -> T | Unread:
    """``otherwise`` for what is not there."""
    return otherwise if found is None else found


def decode_document(raw: bytes) -> dict[str, Any]:
    """An object of a list, as it stands."""
    found: dict[str, Any] = msgspec.json.decode(raw)
    return found
