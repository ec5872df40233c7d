"""Requests to one API server: what every reader and writer of the process goes through."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar, cast

import msgspec

from kfx.kube import errors
from kfx.kube.credentials import Credentials
from kfx.kube.decode import decoder_for
from kfx.kube.exchange import Exchange, Observer
from kfx.kube.listwatch import Page, WatchMessage, decode_line, decode_page
from kfx.kube.model import KubeObject
from kfx.kube.resource import Resource
from kfx.kube.transport import Transport

T = TypeVar("T", bound=KubeObject)

CONCURRENT_REQUESTS = 32
UNFENCED_REQUESTS = 8

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"


class Client:
    """One API server, as one user agent.

    Every method raises :class:`kfx.kube.errors.ApiError` when the server refuses and
    :class:`kfx.kube.errors.TransportError` when no usable answer came within 30 s. A request that the
    server puts off (429, or 5xx with Retry-After) is repeated in that time; a GET is repeated once when
    the connection was cut; a write never, since nobody knows whether it was performed.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        user_agent: str,
        fence: Callable[[], None] | None = None,
        observe: Observer | None = None,
        concurrency: int = CONCURRENT_REQUESTS,
    ) -> None:
        self._exchange = Exchange(
            transport, user_agent=user_agent, fence=fence, observe=observe, concurrency=concurrency
        )

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        credentials: Credentials,
        *,
        user_agent: str,
        fence: Callable[[], None] | None = None,
        observe: Observer | None = None,
    ) -> AsyncIterator["Client"]:
        """A client for the length of the block; nothing is asked of the server yet.

        ``fence`` runs before the first byte of every write and stops it by raising. ``observe`` is told
        code (``<error>`` when no answer came), method and host of every attempt.
        """
        async with Transport.open(credentials) as transport:
            yield cls(transport, user_agent=user_agent, fence=fence, observe=observe)

    def without_fence(self, user_agent: str) -> "Client":
        """The same connections for writes that no leadership guards, with slots of their own."""
        return Client(
            self._exchange.transport,
            user_agent=user_agent,
            observe=self._exchange.observe,
            concurrency=UNFENCED_REQUESTS,
        )

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._exchange.transport.server

    async def reachable(self) -> None:
        """Return once the server answers anybody in this process; at once unless an outage lasts."""
        await self._exchange.transport.reachable()

    async def get(self, kind: type[T], namespace: str, name: str) -> T:
        """One object, read from the server; raises :class:`kfx.kube.decode.Undecodable` too."""
        body = await self._exchange.call("GET", kind.resource.path(namespace, name))
        return decoder_for(kind)(body)

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """One object as it stands."""
        return await self.request("GET", resource.path(namespace, name))

    async def list_page(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
        continue_token: str = "",
        metadata_only: bool = False,
    ) -> Page:
        """One page of a consistent read; raises ``Expired`` for a token that is too old.

        ``metadata_only``: the server leaves everything else out.
        """
        query = _query(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit) if limit else "",
            **{"continue": continue_token},
        )
        path = resource.path(namespace)
        headers = {"Accept-Encoding": "gzip"}
        if metadata_only:
            headers["Accept"] = METADATA.format("List")
        body = await self._exchange.call("GET", path, query=query, headers=headers)
        try:
            return decode_page(body)
        except ValueError:
            raise self._unreadable("GET", path) from None

    async def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str,
        timeout_seconds: int,
        metadata_only: bool = False,
        initial_events: bool = False,
    ) -> AsyncGenerator[WatchMessage, None]:
        """Changes after ``resource_version``, and bookmarks, until the server or 70 s of silence end it.

        Ends quietly when the server ends it. Raises ``Interrupted`` when the stream breaks or is silent,
        and the error that an ERROR event stands for: ``Expired`` when the version is forgotten.

        ``initial_events``: begin with an ADDED event for each object there is, up to a bookmark that
        :func:`kfx.kube.decode.ends_initial_events` knows; ``Invalid`` where the server cannot.
        """
        path = resource.path(namespace)
        query = _query(
            sendInitialEvents="true" if initial_events else "",
            resourceVersionMatch="NotOlderThan" if initial_events else "",
            watch="true",
            allowWatchBookmarks="true",
            labelSelector=label_selector,
            fieldSelector=field_selector,
            resourceVersion=resource_version,
            timeoutSeconds=str(timeout_seconds),
        )
        headers = {"Accept": METADATA.format("")} if metadata_only else None
        async with self._exchange.stream(path, query, headers=headers) as lines, aclosing(lines):
            async for line in lines:
                yield self._message(line, path)

    async def create(
        self, resource: Resource, manifest: Mapping[str, Any], *, namespace: str = "", dry_run: bool = False
    ) -> dict[str, Any]:
        """The object as stored. ``namespace`` defaults to the manifest's."""
        target = namespace or manifest.get("metadata", {}).get("namespace", "")
        query = _query(dryRun="All" if dry_run else "")
        return await self.request("POST", resource.path(target), query=query, body=manifest)

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        changes: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        subresource: str = "",
        content_type: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> dict[str, Any]:
        """The object as stored. A mapping is a merge patch, a sequence a JSON patch, unless told otherwise.

        Server-side apply: ``content_type=APPLY_PATCH`` with a ``field_manager``.
        """
        if not content_type:
            content_type = MERGE_PATCH if isinstance(changes, Mapping) else JSON_PATCH
        query = _query(fieldManager=field_manager, force="true" if force else "")
        path = resource.path(namespace, name, subresource)
        return await self.request("PATCH", path, query=query, body=changes, content_type=content_type)

    async def replace(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        manifest: Mapping[str, Any],
        *,
        subresource: str = "",
    ) -> dict[str, Any]:
        """The object as stored; ``Conflict`` unless the manifest's resourceVersion is current."""
        return await self.request("PUT", resource.path(namespace, name, subresource), body=manifest)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
    ) -> None:
        """Remove it if it still is that ``uid`` and ``resource_version``, else ``Conflict``.

        ``propagation``: Foreground, Background, Orphan or ``""`` for the kind's own.
        """
        expected = _query(uid=uid, resourceVersion=resource_version)
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            **({"preconditions": expected} if expected else {}),
            **({"propagationPolicy": propagation} if propagation else {}),
        }
        await self._exchange.call("DELETE", resource.path(namespace, name), body=options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Any request whose answer is a JSON object: discovery, version, reviews. Fenced unless a GET."""
        answer = await self._exchange.call(method, path, query=query, body=body, content_type=content_type)
        try:
            return cast("dict[str, Any]", msgspec.json.decode(answer, type=dict))
        except (ValueError, RecursionError):
            raise self._unreadable(method, path) from None

    def _message(self, line: bytes, path: str) -> WatchMessage:
        try:
            message = decode_line(line)
        except ValueError:
            raise errors.Interrupted(f"WATCH {path}: {self.server} sent a line that is no event") from None
        if message.type == "ERROR":
            raise errors.error_from_event(bytes(message.object), path=path)
        return message

    def _unreadable(self, method: str, path: str) -> errors.TransportError:
        return errors.TransportError(
            f"{method} {path}: the answer is not the JSON that was asked for; is {self.server} an API server?"
        )


def _query(**values: str) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}
