"""A server for people and probes that its flag may switch off; plain HTTP unless told otherwise."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from kfx.runtime.address import Address, parse_address
from kfx.runtime.http_server import Handle, HttpServer, Limits

PROBE_LIMITS = Limits(connections=64, per_address=32)


class OptionalServer:
    """Serves ``handle`` on ``addr``: ``host:port``, ``:port``, or ``0`` for nowhere; over TLS with ``tls``.

    Raises InvalidAddress.
    """

    def __init__(self, addr: str, handle: Handle, *, flag: str, tls: ssl.SSLContext | None = None) -> None:
        self.address: Address | None = parse_address(addr, flag=flag)
        self._http: HttpServer | None = None
        if self.address is not None:
            self._http = HttpServer(handle, address=self.address, flag=flag, tls=tls, limits=PROBE_LIMITS)

    @property
    def bound(self) -> tuple[str, int] | None:
        """Host and port really bound; None if it is off. Raises RuntimeError while not serving."""
        return self._http.bound if self._http else None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve inside the block. Raises AddressInUse or ListenError before it begins."""
        if self._http is None:
            yield
            return
        async with self._http.serving():
            yield


def plain(status: int, text: str) -> web.Response:
    """An answer in plain text that nobody keeps and no browser takes for anything else."""
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache, private"}
    return web.Response(status=status, text=text, headers=headers)
