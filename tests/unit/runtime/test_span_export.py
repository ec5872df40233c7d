"""Spans on their way to a collector: what is sent, and what an outage costs."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from structlog.testing import capture_logs

from kfx.runtime import span_export
from kfx.runtime.span_export import LastWords, exporting, resource_of, traces_url
from kfx.runtime.spans import Spans
from kfx.runtime.tracing import recording_spans
from tests.playback import SILENCE, Playback, Request, answer, playing

pytestmark = pytest.mark.real_time


def decoded(request: Request) -> ResourceSpans:
    (found,) = ExportTraceServiceRequest.FromString(request.body).resource_spans
    return found


@asynccontextmanager
async def noted(playback: Playback, *names: str) -> AsyncIterator[Spans]:
    """Spans of these names, and the way they are sent."""
    async with recording_spans("kfx", "1.2.3", endpoint=playback.url) as spans:
        for name in names:
            with spans._tracer.start_as_current_span(name):
                pass
        yield spans


async def test_spans_reach_the_collector_at_the_latest_when_the_block_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret")
    async with playing(answer(b"")) as collector, noted(collector, "one", "two"):
        assert collector.requests == []
    (request,) = collector.requests
    assert (request.method, request.target, request.token) == ("POST", "/v1/traces", "secret")
    found = decoded(request)
    assert {span.name for scope in found.scope_spans for span in scope.spans} == {"one", "two"}
    told = {each.key: each.value.string_value for each in found.resource.attributes}
    assert (told["service.name"], told["service.version"], told["team"]) == ("kfx", "1.2.3", "a")
    assert told["service.instance.id"]


def test_the_name_that_a_variable_gives_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    assert resource_of("ours", "1").attributes["service.name"] == "theirs"


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
        ("", ""),
    ],
)
def test_a_bare_address_becomes_the_path_of_otlp(endpoint: str, url: str) -> None:
    assert traces_url(endpoint) == url


async def test_without_an_endpoint_the_variables_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing(answer(b"")) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with exporting("kfx", "1") as provider:
            provider.get_tracer("t").start_span("one").end()
    assert [request.target for request in collector.requests] == ["/v1/traces"]


async def test_an_outage_is_told_once_and_its_end_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    refused = answer(b"", "400 Bad Request")
    with capture_logs() as lines:
        async with (
            playing(refused, refused, answer(b""), answer(b"")) as collector,
            exporting("kfx", "1", endpoint=collector.url) as provider,
            asyncio.timeout(20),
        ):
            for number in range(1, 5):
                provider.get_tracer("t").start_span("one").end()
                while len(collector.requests) < number:
                    await asyncio.sleep(0.01)
    told = [(line["log_level"], line.get("error", line.get("lost"))) for line in lines]
    assert [level for level, _ in told] == ["warning", "info"]
    assert "code: 400" in told[0][1]
    assert told[1][1] == 2


async def test_a_collector_that_is_silent_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "LAST_FLUSH", 0.05)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    started = asyncio.get_running_loop().time()
    with capture_logs():
        async with playing(*[SILENCE] * 100) as collector, noted(collector, *map(str, range(50))):
            pass
    assert asyncio.get_running_loop().time() - started < 3, "one attempt, not fifty"


def test_what_opentelemetry_says_is_kept_for_the_one_line() -> None:
    words = LastWords()
    for text in ("a", "b", "c"):
        words.emit(logging.LogRecord("x", logging.WARNING, "", 0, text, None, None))
    assert words.text == "b c"
