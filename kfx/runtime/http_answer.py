"""An answer of JSON that leaves in one write, with headers that are text from the start.

``web.Response`` builds, checks and serializes a dictionary of headers for each answer; that takes longer than
to judge a review.
"""

import time
from email.utils import formatdate

from aiohttp import HttpVersion, HttpVersion11, web

SERVER = "kfx"
"""Else aiohttp would name the versions of Python and of itself."""
JSON = "application/json"


class JsonAnswer:
    """Status 200 with ``body``. It stands where aiohttp wants a response; the connection writes it."""

    __slots__ = ("body",)
    status = 200
    keep_alive = True

    def __init__(self, body: bytes) -> None:
        self.body = body

    def encode(self) -> bytes:
        """The whole answer, for a request that :func:`is_plain`."""
        return b"%b%d\r\n\r\n%b" % (_head(int(time.time())), len(self.body), self.body)

    def as_response(self) -> web.Response:
        """The same for any other request."""
        return web.Response(body=self.body, headers={"Content-Type": JSON})


def is_plain(method: str, version: HttpVersion, *, stays: bool) -> bool:
    """Whether a request's answer is neither shortened nor its connection's last, nor of an older HTTP."""
    return method == "POST" and stays and version == HttpVersion11


class _Clock:
    """The part before the length, as it is for one second."""

    __slots__ = ("head", "second")

    def __init__(self) -> None:
        self.second, self.head = -1, b""


_CLOCK = _Clock()


def _head(second: int) -> bytes:
    if _CLOCK.second != second:
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {JSON}", f"Date: {formatdate(second, usegmt=True)}"]
        _CLOCK.head = "\r\n".join([*lines, f"Server: {SERVER}", "Content-Length: "]).encode()
        _CLOCK.second = second
    return _CLOCK.head
