"""One collection of objects, as it is listed and watched: still text, nothing of the objects decoded."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from kfx.kube.shallow import split_elements, split_members


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, all parts being of one ``resource_version``; ``continue_token`` asks for the next."""

    resource_version: str
    continue_token: str
    items: Sequence[bytes | msgspec.Raw]


@dataclass(frozen=True, slots=True)
class WatchMessage:
    """One line of a watch. ``type`` is ADDED, MODIFIED, DELETED or BOOKMARK; ERROR became an exception."""

    type: str
    object: bytes | msgspec.Raw


class ListerWatcher(Protocol):
    """What a reflector follows."""

    async def list_page(self, *, limit: int, continue_token: str) -> Page:
        """One page of a list whose first page is a consistent read."""
        ...

    def watch(self, *, since: str, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        """Changes after ``since``, with bookmarks, until the server ends the watch."""
        ...

    async def reachable(self) -> None:
        """Return once the server answers again, after ``Unreachable`` was raised."""
        ...

    def stream(self, *, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        """All objects as ADDED events, up to the bookmark that ends them, then changes."""
        ...


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)
    items: list[msgspec.Raw] | None = None


class _Line(msgspec.Struct):
    type: str
    object: msgspec.Raw


_list_decoder = msgspec.json.Decoder(_List)
_line_decoder = msgspec.json.Decoder(_Line)


def decode_page(body: bytes) -> Page:
    """A list's body as a page; raises ``ValueError`` when it is not a list."""
    try:
        found = _list_decoder.decode(body)
    except RecursionError:
        members = split_members(body)
        meta = msgspec.json.decode(members.get("metadata", b"{}"), type=_ListMeta)
        return Page(meta.resource_version, meta.continue_, split_elements(members.get("items", b"[]")))
    return Page(found.metadata.resource_version, found.metadata.continue_, found.items or ())


def decode_line(line: bytes) -> WatchMessage:
    """A watch's line; raises ``ValueError`` when it is not one."""
    try:
        found = _line_decoder.decode(line)
    except RecursionError:
        members = split_members(line)
        kind = msgspec.json.decode(members.get("type", b""), type=str)
        return WatchMessage(kind, members.get("object", b""))
    return WatchMessage(found.type, found.object)
