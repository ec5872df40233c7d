"""The admission server: AdmissionReviews over TLS, on every replica, leader or not.

Whatever is sent, a well-formed answer leaves in bounded time: a body is read within limits, a handler runs
within the caller's own time limit, and what a handler raises becomes a denial with code 500.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qs

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

from kfx.runtime.address import Address
from kfx.runtime.admission_handler import (
    AdmissionHandler,
    Allowed,
    Denied,
    ImmediateHandler,
    Verdict,
    encode_verdict,
)
from kfx.runtime.certs import CertificateSource
from kfx.runtime.http_answer import JSON, JsonAnswer
from kfx.runtime.http_body import (
    MIB,
    BodyBroken,
    BodyBudget,
    BodyTooLarge,
    Overloaded,
    address_of,
    read_body,
)
from kfx.runtime.http_server import HttpServer, Limits
from kfx.runtime.log import get_logger, log_about
from kfx.runtime.metrics import RuntimeMetrics, Tally, WebhookMetrics
from kfx.runtime.ratelimit import loop_time
from kfx.runtime.review import (
    AdmissionRequest,
    InvalidRequest,
    Review,
    decode_review,
    encode_refusal,
)
from kfx.runtime.time_limits import TimeLimits
from kfx.runtime.tls import dial
from kfx.runtime.turns import Turns

__all__ = [
    "AdmissionHandler",
    "AdmissionRequest",
    "AdmissionServer",
    "Allowed",
    "Denied",
    "ImmediateHandler",
    "InvalidRequest",
    "Verdict",
    "encode_verdict",
]

REFUSED = "kfx_admission_connections_refused_total"
LARGE_BODY = 256 * 1024
DIAL_INTERVAL = 5.0
FIRST_DIALS = 0.2

log = get_logger("admission")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """``body``: the first size refused, in bytes. ``concurrency`` handlers run, ``queued`` more may wait.

    ``patience`` (seconds) is the longest wait for a turn; ``default_timeout`` (seconds) stands where the
    caller names no time limit. ``margin`` (seconds) is left to the answer's way back.
    """

    body: int = 7 * MIB
    concurrency: int = 16
    queued: int = 64
    patience: float = 2.0
    default_timeout: float = 10.0
    margin: float = 1.0
    connections: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class _Route:
    handler: AdmissionHandler
    metrics: WebhookMetrics
    in_flight: int = 0
    path: str = ""
    handle_now: Callable[[AdmissionRequest], Verdict | None] | None = None
    answered: dict[int, Tally] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path = self.handler.path
        if isinstance(self.handler, ImmediateHandler):
            self.handle_now = self.handler.handle_now
        self.metrics.in_flight.set_function(lambda: self.in_flight)

    def count(self, code: int, seconds: float) -> None:
        """A request has been answered."""
        self.metrics.latency.observe(seconds)
        tally = self.answered.get(code)
        if tally is None:
            tally = self.answered[code] = self.metrics.requests(code)
        tally.value += 1


@dataclass(slots=True)
class _Clock:
    """A request's time, in seconds: ``started`` by the loop's clock, the caller's timeout, our part."""

    started: float
    timeout: float
    allowance: float


class AdmissionServer:
    """Serves ``handlers`` by their exact paths on ``host:port`` with the certificate of ``certificates``."""

    def __init__(
        self,
        *,
        port: int,
        handlers: Sequence[AdmissionHandler],
        certificates: CertificateSource,
        metrics: RuntimeMetrics,
        host: str = "",
        flag: str = "--webhook-port",
        limits: AdmissionLimits | None = None,
    ) -> None:
        self._routes = {each.path: _Route(each, metrics.webhook(each.path)) for each in handlers}
        self._certificates = certificates
        self._limits = limits or AdmissionLimits()
        self._budget = BodyBudget()
        self._turns = Turns(self._limits.concurrency)
        self._time_limits = TimeLimits()
        self._clock: Callable[[], float] = loop_time
        self._problem: str | None = "not serving yet"
        metrics.register_counter(REFUSED, "Connections dropped, by reason.", ("reason",))
        self._http = HttpServer(
            self._answer,
            address=Address(host, port),
            flag=flag,
            tls=certificates.ssl_context(),
            limits=self._limits.connections,
            refused=lambda reason: metrics.count(REFUSED, {"reason": reason}),
            at_once=self._answer_at_once,
        )

    @property
    def bound(self) -> tuple[str, int]:
        """Host and port really bound. Raises RuntimeError while not serving."""
        return self._http.bound

    def ready(self) -> str | None:
        """Why nobody should call this replica; None when a TLS connection to itself has just worked."""
        return self._problem

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve inside the block, and keep the certificate fresh. At its end drain.

        Raises AddressInUse, ListenError or CertificateError before the block begins.
        """
        self._clock = asyncio.get_running_loop().time
        async with (
            self._certificates.running(),
            self._time_limits.watching(),
            self._http.serving(),
            asyncio.TaskGroup() as group,
        ):
            dialling = group.create_task(self._dial_for_ever())
            try:
                yield
            finally:
                dialling.cancel()
                self._problem = "shutting down"

    async def _dial_for_ever(self) -> None:
        while True:
            self._problem = await dial(self._http.bound, self._certificates.verifier())
            await asyncio.sleep(FIRST_DIALS if self._problem else DIAL_INTERVAL)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse | JsonAnswer:
        route = self._routes.get(request.rel_url.raw_path)
        if route is None:
            return web.Response(status=404, text="404 page not found\n")
        clock = self._clock
        started = clock()
        code = 500
        route.in_flight += 1
        try:
            response = await self._review(request, route, started)
            code = response.status
            return response
        finally:
            route.in_flight -= 1
            route.count(code, clock() - started)

    def _answer_at_once(self, message: RawRequestMessage, body: bytes) -> JsonAnswer | None:
        """The usual case in one step; whatever must wait, or be explained, is left to :meth:`_answer`."""
        route = self._routes.get(message.url.raw_path)
        headers = message.headers
        if route is None or route.handle_now is None or "Content-Encoding" in headers:
            return None
        if headers.get("Content-Type") != JSON:
            return None
        started = self._clock()
        try:
            review = decode_review(body)
            verdict = route.handle_now(review.request)
            if verdict is None:
                return None
            answer = JsonAnswer(encode_verdict(review, verdict))
        except Exception as failed:  # noqa: BLE001 — told by the handler proper, which meets it again
            log.debug("not answered at once", path=route.path, error=type(failed).__name__)
            return None
        route.count(answer.status, self._clock() - started)
        return answer

    async def _review(
        self, request: web.BaseRequest, route: _Route, started: float
    ) -> web.Response | JsonAnswer:
        if "Content-Encoding" in request.headers:
            return _closing(web.Response(status=415, text="send the body without Content-Encoding\n"))
        try:
            body = await read_body(request, limit=self._limits.body, budget=self._budget)
        except BodyTooLarge:
            limit = self._limits.body
            return _closing(_refusal(413, f"the body must be smaller than {limit} bytes"))
        except BodyBroken:
            return _closing(_refusal(400, "the body is broken"))
        except Overloaded:
            return _closing(_overloaded())
        try:
            if not body:
                return JsonAnswer(encode_refusal(400, "request body is empty"))
            if request.headers.get("Content-Type") != JSON:
                return JsonAnswer(encode_refusal(400, "the Content-Type must be exactly application/json"))
            timeout = timeout_of(request.rel_url.raw_query_string, self._limits.default_timeout)
            allowance = timeout - min(self._limits.margin, timeout / 2)
            return await self._decide(body, route, _Clock(started, timeout, allowance))
        except Overloaded:
            return _overloaded()
        finally:
            self._budget.give_back(address_of(request), len(body))

    async def _decide(self, body: bytes, route: _Route, clock: _Clock) -> JsonAnswer:
        try:
            if len(body) >= LARGE_BODY:
                review = await asyncio.to_thread(decode_review, body)
            else:
                review = decode_review(body)
        except InvalidRequest as refused:
            return JsonAnswer(encode_refusal(400, str(refused)))
        request = review.request
        # each request runs in a context of its own: nothing to take back
        log_about({"webhook": route.path, "namespace": request.namespace, "name": request.name})
        return JsonAnswer(await self._judge(review, route, clock))

    async def _judge(self, review: Review, route: _Route, clock: _Clock) -> bytes:
        try:
            with self._time_limits.until(clock.started + clock.allowance) as deadline:
                if not self._turns.take():
                    await self._wait_for_turn()
                try:
                    verdict = await route.handler.handle(review.request)
                finally:
                    self._turns.give_back()
                return encode_verdict(review, verdict)
        except InvalidRequest as refused:
            return encode_verdict(review, Denied(str(refused)))
        except Overloaded:
            raise
        except Exception as failed:
            if isinstance(failed, TimeoutError) and deadline.has_expired:
                log.warning("admission handler was too slow", limit_seconds=clock.allowance)
                text = f"{route.handler.path} gave no answer within {clock.allowance:g} s"
                text += f" (timeout={clock.timeout:g}s)"
            else:
                route.metrics.panics.inc()
                log.error("admission handler failed", uid=review.request.uid, exc_info=failed)
                text = f"panic: {type(failed).__name__} [recovered]; the server's log says more"
            return encode_verdict(review, Denied(text, code=500))

    async def _wait_for_turn(self) -> None:
        """Raises Overloaded where the wait would be too long."""
        if self._turns.waiting >= self._limits.queued:
            raise Overloaded
        try:
            async with asyncio.timeout(self._limits.patience):
                await self._turns.wait()
        except TimeoutError:
            raise Overloaded from None


_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_TIMEOUT = 30.0
LONGEST_QUERY = 256


@lru_cache(maxsize=64)
def timeout_of(query: str, default: float) -> float:
    """The time limit in a query string, in seconds; callers use the same few all the time."""
    if len(query) > LONGEST_QUERY:
        return default
    return parse_timeout(parse_qs(query).get("timeout", [""])[-1], default)


def parse_timeout(text: str, default: float) -> float:
    """The caller's time limit in seconds, from Go's form (``10s``, ``1m30s``); ``default`` if it is none.

    Never more than 30 s, the longest that a webhook configuration may give.
    """
    text = text[:32]
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return default
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return min(seconds, LONGEST_TIMEOUT) or default


def _overloaded() -> web.Response:
    return web.Response(status=429, headers={"Retry-After": "1"}, text="too many admission requests\n")


def _refusal(code: int, message: str) -> web.Response:
    return JsonAnswer(encode_refusal(code, message)).as_response()


def _closing(response: web.Response) -> web.Response:
    """With the rest of the body unread the connection is of no further use."""
    response.force_close()
    return response
