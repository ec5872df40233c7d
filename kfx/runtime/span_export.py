"""Where spans go: batches to a collector by OTLP, whose outage costs spans and one line in the log."""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from kfx.runtime.log import get_logger

LAST_FLUSH = 3.0
"""Seconds for the spans that are left when the process ends; then only what is on its way is waited for."""
PATH = "/v1/traces"

log = get_logger("tracing")


@asynccontextmanager
async def exporting(service: str, version: str, *, endpoint: str = "") -> AsyncIterator[TracerProvider]:
    """A provider whose spans reach the collector; at the end of the block those that are left.

    Parameters as those of :func:`kfx.runtime.tracing.recording_spans`.
    """
    with _last_words() as words:
        inner = OTLPSpanExporter(endpoint=traces_url(endpoint) or None)
        exporter = OutageReporter(inner, words)
        provider = TracerProvider(resource=resource_of(service, version), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        try:
            yield provider
        finally:
            async with asyncio.TaskGroup() as group:
                closing = group.create_task(asyncio.to_thread(provider.shutdown))
                await asyncio.wait([closing], timeout=LAST_FLUSH)
                if not closing.done():
                    inner.shutdown()  # type: ignore[no-untyped-call] # no further attempt or batch


def traces_url(endpoint: str) -> str:
    """The URL that spans are posted to; a bare host and port become OTLP's own path."""
    return endpoint.rstrip("/") + PATH if endpoint and not urlsplit(endpoint).path.strip("/") else endpoint


def resource_of(service: str, version: str) -> Resource:
    """What spans say of this process; ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` win."""
    own = {
        "service.name": service,
        "service.version": version,
        "service.instance.id": socket.gethostname(),
    }
    return Resource.create().merge(Resource(own)).merge(OTELResourceDetector().detect())


class OutageReporter(SpanExporter):
    """Exports by ``inner``; says when spans begin to be lost, and when they arrive again, each once."""

    def __init__(self, inner: SpanExporter, words: "LastWords") -> None:
        self._inner = inner
        self._words = words
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Runs in the exporting thread, and takes as long as the collector does."""
        result = self._inner.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                log.warning("spans do not reach their collector and are lost", error=self._words.text)
            self._lost += len(spans)
        elif self._lost:
            log.info("spans reach their collector again", lost=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class LastWords(logging.Handler):
    """Keeps what OpenTelemetry said last, in place of a line for each attempt in the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: deque[str] = deque(maxlen=2)  # the last is often that no more will be tried

    @property
    def text(self) -> str:
        """The last two messages."""
        return " ".join(self._said)

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())


@contextmanager
def _last_words() -> Iterator[LastWords]:
    logger, words = logging.getLogger("opentelemetry.exporter"), LastWords()
    processors = logging.getLogger("opentelemetry.sdk._shared_internal")  # a full queue, every 20 s
    for each in (logger, processors):
        each.propagate = False
    logger.addHandler(words)
    processors.addHandler(logging.NullHandler())
    try:
        yield words
    finally:
        logger.removeHandler(words)
        processors.handlers.clear()
        for each in (logger, processors):
            each.propagate = True
