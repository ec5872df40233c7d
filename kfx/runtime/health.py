"""For probes and scrapes: ``/healthz``, ``/readyz`` and ``/metrics``.

The forms are those of controller-runtime and of the API server: named checks, ``?verbose``, ``?exclude=``.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder

from kfx.runtime.access import AccessReviewer
from kfx.runtime.optional_server import OptionalServer, plain

Check = Callable[[], str | None]
"""Why something is not well, or None. Must answer at once."""


def ping() -> str | None:
    """A check that passes whenever the event loop turns."""
    return None


def unless_stopping(stop: asyncio.Event, check: Check) -> Check:
    """``check``, but "shutting down" from the moment that ``stop`` is set.

    So Services forget a replica before it lets go of anything, not once its turn to stop has come.
    """
    return lambda: "shutting down" if stop.is_set() else check()


class HealthServer(OptionalServer):
    """``/readyz`` for all of ``checks``, ``/healthz`` for all of ``liveness``; below them each by its name.

    ``remarks`` stand in ``/readyz`` beside the checks, but make nobody unready: what others of this process
    can do without. ``addr``: ``host:port``, ``:port``, or ``0`` for none. Raises InvalidAddress.
    """

    def __init__(
        self,
        addr: str,
        checks: Mapping[str, Check],
        *,
        liveness: Mapping[str, Check] | None = None,
        remarks: Mapping[str, Check] | None = None,
        flag: str = "--healthz-addr",
    ) -> None:
        super().__init__(addr, self._answer, flag=flag)
        self._groups = {"healthz": liveness or {"healthz": ping}, "readyz": checks or {"readyz": ping}}
        self._remarks = remarks or {}

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        _, group, *rest = request.path.split("/")
        checks = self._groups.get(group)
        name = "/".join(rest)
        remarks = self._remarks if group == "readyz" else {}
        if checks is None or (name and name not in {**checks, **remarks}):
            return plain(404, "404 page not found\n")
        if name:
            reason = {**checks, **remarks}[name]()
            return plain(200, "ok") if reason is None else plain(500, f"{name}: {_one_line(reason)}\n")
        excluded = set(request.query.getall("exclude", ()))
        return report(group, checks, remarks, excluded=excluded, verbose="verbose" in request.query)


def report(
    group: str,
    checks: Mapping[str, Check],
    remarks: Mapping[str, Check],
    *,
    excluded: set[str],
    verbose: bool,
) -> web.Response:
    """``ok``, or a line per check when one fails or all are asked for."""
    lines, failed = [], False
    for name, check in checks.items():
        if name in excluded:
            lines.append(f"[+]{name} excluded: ok")
            continue
        reason = check()
        failed = failed or reason is not None
        lines.append(f"[+]{name} ok" if reason is None else f"[-]{name} failed: {_one_line(reason)}")
    for name, remark in remarks.items():
        reason = remark()
        lines.append(f"[+]{name} ok" if reason is None else f"[!]{name} waits: {_one_line(reason)}")
    if excluded - checks.keys() - remarks.keys():
        lines.append("warn: some of the checks to exclude do not exist")
    if failed:
        return plain(500, "\n".join([*lines, f"{group} check failed\n"]))
    return plain(200, "\n".join([*lines, f"{group} check passed\n"]) if verbose else "ok")


class MetricsServer(OptionalServer):
    """``/metrics`` of one registry, in the Prometheus text form or OpenMetrics where that is asked for.

    ``addr`` as for :class:`HealthServer`. ``access`` decides who may read it, everybody may if it is None;
    it is sent tokens, so give ``tls`` too. Raises InvalidAddress.
    """

    def __init__(
        self,
        addr: str,
        registry: CollectorRegistry,
        *,
        flag: str = "--metrics-addr",
        tls: ssl.SSLContext | None = None,
        access: AccessReviewer | None = None,
    ) -> None:
        super().__init__(addr, self._answer, flag=flag, tls=tls)
        self._registry = registry
        self._access = access
        self._one_at_a_time = asyncio.Lock()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/metrics":
            return plain(404, "404 page not found\n")
        if request.method not in {"GET", "HEAD"}:
            return plain(405, "405 only GET is answered here\n")
        if self._access is not None and (refused := await self._access.refusal(request)) is not None:
            return refused
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


def _one_line(text: str) -> str:
    return " ".join(text.split())
