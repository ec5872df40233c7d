"""Plain HTTP for probes and scrapes: ``/healthz``, ``/readyz`` and ``/metrics``.

The forms are those of controller-runtime and of the API server: named checks, ``?verbose``, ``?exclude=``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder

from kfx.runtime.address import parse_address
from kfx.runtime.http_server import Handle, HttpServer, Limits

Check = Callable[[], str | None]
"""Why something is not well, or None. Must answer at once."""

PROBE_LIMITS = Limits(connections=64, per_address=32)


def ping() -> str | None:
    """A check that passes whenever the event loop turns."""
    return None


class _OptionalServer:
    """A server that its flag may switch off."""

    def __init__(self, addr: str, handle: Handle, *, flag: str) -> None:
        address = parse_address(addr, flag=flag)
        self._http: HttpServer | None = None
        if address is not None:
            self._http = HttpServer(handle, address=address, flag=flag, limits=PROBE_LIMITS)

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


class HealthServer(_OptionalServer):
    """``/readyz`` for all of ``checks``, ``/healthz`` for all of ``liveness``; below them each by its name.

    ``addr``: ``host:port``, ``:port``, or ``0`` for none. Raises InvalidAddress.
    """

    def __init__(
        self,
        addr: str,
        checks: Mapping[str, Check],
        *,
        liveness: Mapping[str, Check] | None = None,
        flag: str = "--healthz-addr",
    ) -> None:
        super().__init__(addr, self._answer, flag=flag)
        self._groups = {"healthz": liveness or {"healthz": ping}, "readyz": checks or {"readyz": ping}}

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        _, group, *rest = request.path.split("/")
        checks = self._groups.get(group)
        name = "/".join(rest)
        if checks is None or (name and name not in checks):
            return _text(404, "404 page not found\n")
        if name:
            reason = checks[name]()
            return _text(200, "ok") if reason is None else _text(500, f"{name}: {_one_line(reason)}\n")
        query = request.query
        return report(group, checks, excluded=set(query.getall("exclude", ())), verbose="verbose" in query)


def report(group: str, checks: Mapping[str, Check], *, excluded: set[str], verbose: bool) -> web.Response:
    """``ok``, or a line per check when one fails or all are asked for."""
    lines, failed = [], False
    for name, check in checks.items():
        if name in excluded:
            lines.append(f"[+]{name} excluded: ok")
            continue
        reason = check()
        failed = failed or reason is not None
        lines.append(f"[+]{name} ok" if reason is None else f"[-]{name} failed: {_one_line(reason)}")
    if excluded - checks.keys():
        lines.append("warn: some of the checks to exclude do not exist")
    if failed:
        return _text(500, "\n".join([*lines, f"{group} check failed\n"]))
    return _text(200, "\n".join([*lines, f"{group} check passed\n"]) if verbose else "ok")


class MetricsServer(_OptionalServer):
    """``/metrics`` of one registry, in the Prometheus text form or OpenMetrics where that is asked for.

    ``addr`` as for :class:`HealthServer`. Raises InvalidAddress.
    """

    def __init__(self, addr: str, registry: CollectorRegistry, *, flag: str = "--metrics-addr") -> None:
        super().__init__(addr, self._answer, flag=flag)
        self._registry = registry
        self._one_at_a_time = asyncio.Lock()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/metrics":
            return _text(404, "404 page not found\n")
        encode, content_type = choose_encoder(",".join(request.headers.getall("Accept", ())))
        async with self._one_at_a_time:
            # read on the loop, which owns what is counted; written beside it, since a large one takes long
            collected = cast(CollectorRegistry, _Collected(tuple(self._registry.collect())))
            body = await asyncio.to_thread(encode, collected)
        return web.Response(body=body, headers={"Content-Type": content_type})


@dataclass(frozen=True, slots=True)
class _Collected:
    """A registry as it was at one moment."""

    metrics: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def _text(status: int, text: str) -> web.Response:
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache, private"}
    return web.Response(status=status, text=text, headers=headers)


def _one_line(text: str) -> str:
    return " ".join(text.split())
