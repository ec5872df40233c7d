"""Spans of what the runtime does: reconciles, admission reviews, requests to the API server.

They hold names, verbs and results; never a header, a body, a token or the text of an error. Each is made by
a wrapper at the edge, so that a process without tracing runs no line of this. A request made during a
reconcile or a review is its child, and their log lines carry ``trace_id``.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from structlog.contextvars import get_contextvars

from kfx.kube.credentials import Credentials
from kfx.kube.resource import target_of
from kfx.kube.transport import Answer, Transport
from kfx.runtime.admission import AdmissionHandler, AdmissionRequest, Denied, InvalidRequest, Verdict
from kfx.runtime.controller import COME_AGAIN, leaves
from kfx.runtime.log import bound_contextvars
from kfx.runtime.reconcile import Reconciler, Request, Result

LONGEST_TEXT = 256
"""Characters of one attribute: a sender of reviews chooses some of them."""
ALLOWED = 200
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Spans:
    """Wraps the parts of a process so that what they do becomes spans of ``tracer``."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def reconciler(self, controller: str, inner: Reconciler) -> Reconciler:
        """``inner``, with a span for each reconcile: controller, namespace, name, reconcileID, result."""
        return _TracedReconciler(self, controller, inner)

    def handler(self, inner: AdmissionHandler) -> AdmissionHandler:
        """``inner``, with a span for each review: webhook, operation, resource, name, allowed, code."""
        return _TracedHandler(self, inner)

    @asynccontextmanager
    async def transport(self, credentials: Credentials) -> AsyncIterator[Transport]:
        """As :meth:`Transport.open`, with a span for each request, and for each watch until it is granted."""
        async with TracedTransport.open(credentials) as transport:
            transport.spans = self
            yield transport

    @contextmanager
    def span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, str],
        *,
        usual: tuple[type[Exception], ...] = (),
    ) -> Iterator[Span]:
        """The current span inside the block; what is raised there is told by its type, ``usual`` never."""
        with self._tracer.start_as_current_span(
            name,
            kind=kind,
            attributes={key: value[:LONGEST_TEXT] for key, value in attributes.items() if value},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as failed:
                causes = {type(cause) for cause in leaves(failed)}
                if not all(issubclass(cause, usual) for cause in causes):
                    mark_failed(span, ", ".join(sorted(cause.__name__ for cause in causes)))
                raise


def mark_failed(span: Span, error_type: str) -> None:
    """Have the span count as an error of that type."""
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR))


@contextmanager
def _logging_trace(span: Span) -> Iterator[None]:
    with bound_contextvars(trace_id=f"{span.get_span_context().trace_id:032x}"):
        yield


class _TracedReconciler:
    def __init__(self, spans: Spans, controller: str, inner: Reconciler) -> None:
        self._spans = spans
        self._controller = controller
        self._inner = inner

    async def reconcile(self, request: Request) -> Result:
        attributes = {
            "controller": self._controller,
            "namespace": request.namespace,
            "name": request.name,
            "reconcileID": str(get_contextvars().get("reconcileID", "")),
        }
        name = f"reconcile {self._controller}"
        with (
            self._spans.span(name, SpanKind.INTERNAL, attributes, usual=COME_AGAIN) as span,
            _logging_trace(span),
        ):
            try:
                result = await self._inner.reconcile(request)
            except BaseException as failed:
                again = all(isinstance(cause, COME_AGAIN) for cause in leaves(failed))
                span.set_attribute("result", "requeue" if again else "error")
                raise
            span.set_attribute("result", "success" if result.requeue_after is None else "requeue_after")
            return result


class _TracedHandler:
    def __init__(self, spans: Spans, inner: AdmissionHandler) -> None:
        self.path = inner.path
        self._spans = spans
        self._inner = inner

    async def handle(self, request: AdmissionRequest) -> Verdict:
        group = request.resource.group
        attributes = {
            "webhook": self.path,
            "operation": request.operation,
            "resource": request.resource.resource + (f".{group}" if group else ""),
            "namespace": request.namespace,
            "name": request.name,
            "uid": request.uid,
        }
        name, usual = f"admission {self.path}", (InvalidRequest,)
        with (
            self._spans.span(name, SpanKind.SERVER, attributes, usual=usual) as span,
            _logging_trace(span),
        ):
            try:
                verdict = await self._inner.handle(request)
            except BaseException as failed:
                _tell_verdict(span, 400 if isinstance(failed, InvalidRequest) else 500)
                raise
            _tell_verdict(span, verdict.code if isinstance(verdict, Denied) else ALLOWED)
            return verdict


def _tell_verdict(span: Span, code: int) -> None:
    span.set_attribute("allowed", code == ALLOWED)
    span.set_attribute("code", code)


class TracedTransport(Transport):
    """Connections to one API server whose requests are spans of ``spans``, which is set once it is open."""

    spans: Spans

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        with self._span(method, path) as span:
            answer = await super().request(method, path, query=query, headers=headers, body=body)
            _tell_status(span, answer.status)
            return answer

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[int, AsyncGenerator[bytes, None], float | None]]:
        async with AsyncExitStack() as stack:
            with self._span("WATCH", path) as span:
                opened = await stack.enter_async_context(super().stream(path, query=query, headers=headers))
                _tell_status(span, opened[0])
            yield opened

    @contextmanager
    def _span(self, method: str, path: str) -> Iterator[Span]:
        target = target_of(path)
        verb = VERBS.get(method, method.lower())
        if method == "GET" and target.resource and not target.name:
            verb = "list"
        attributes = {
            "verb": verb,
            "resource": target.resource,
            "subresource": target.subresource,
            "namespace": target.namespace,
            "name": target.name,
            "server.address": self.host,
        }
        name = f"{verb} {target.resource or path}"
        with self.spans.span(name, SpanKind.CLIENT, attributes) as span:
            yield span


def _tell_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 400:
        mark_failed(span, str(status))
