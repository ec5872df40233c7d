"""Bodies of requests, read within limits of size and of memory."""

from dataclasses import dataclass, field
from typing import cast

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from kfx.runtime.http_connection import Connection

MIB = 1024 * 1024


class BodyTooLarge(Exception):
    """The body is longer than the limit; the rest of it was not read."""


class BodyBroken(Exception):
    """The body ended early or its chunks are malformed."""


class Overloaded(Exception):
    """There is no room for this request now."""


@dataclass(slots=True, kw_only=True)
class BodyBudget:
    """Bytes of bodies held at one time, in all and for one address, so that none starves the others."""

    total: int = 64 * MIB
    per_address: int = 32 * MIB
    held: int = 0
    by_address: dict[str, int] = field(default_factory=dict)

    def take(self, address: str, size: int) -> None:
        """Raises Overloaded, taking nothing."""
        held = self.by_address.get(address, 0) + size
        if self.held + size > self.total or held > self.per_address:
            raise Overloaded
        self.held += size
        self.by_address[address] = held

    def give_back(self, address: str, size: int) -> None:
        self.held -= size
        held = self.by_address.get(address, 0) - size
        if held:
            self.by_address[address] = held
        else:
            self.by_address.pop(address, None)


def address_of(request: web.BaseRequest) -> str:
    """The client's address, as the caps count it."""
    return cast(Connection, request.protocol).address


async def read_body(request: web.BaseRequest, *, limit: int, budget: BodyBudget) -> bytes:
    """The whole body as it came; its bytes stay taken from ``budget`` until the caller gives them back.

    Raises BodyTooLarge for ``limit`` bytes or more, by declared length before anything is read;
    Overloaded; BodyBroken; ConnectionError if the client left. Then nothing stays taken.
    """
    connection = cast(Connection, request.protocol)
    connection.request_begun()
    try:
        length = request.content_length or 0
    except ValueError:  # more digits than Python reads
        raise BodyBroken from None
    if length >= limit:
        raise BodyTooLarge
    content = request.content
    taken = connection.take_body(content)
    if taken is not None:
        return _take_whole(connection, taken, limit, budget)
    if content.is_eof() and content.exception() is None:
        return _take_whole(connection, content.read_nowait(), limit, budget)
    body = bytearray()
    try:
        while not content.at_eof():
            chunk = await content.readany()
            if len(body) + len(chunk) >= limit:
                raise BodyTooLarge
            budget.take(connection.address, len(chunk))
            body += chunk
    except BaseException as failed:
        budget.give_back(connection.address, len(body))
        if isinstance(failed, (RequestPayloadError, web.PayloadAccessError)):
            raise BodyBroken from failed
        raise
    connection.request_read()
    return bytes(body)


def _take_whole(connection: Connection, body: bytes, limit: int, budget: BodyBudget) -> bytes:
    if len(body) >= limit:
        raise BodyTooLarge
    budget.take(connection.address, len(body))
    connection.request_read()
    return body
