"""What each span says, and what it never says."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.errors import Conflict, NotFound
from kfx.kube.tokens import StaticToken
from kfx.runtime.admission import Allowed, Denied
from kfx.runtime.controller import Controller
from kfx.runtime.reconcile import Request, Result, StaleRead, TerminalError
from kfx.runtime.review import AdmissionRequest, GroupVersionResource, InvalidRequest
from kfx.runtime.spans import LONGEST_TEXT, Spans
from tests.playback import (
    CONFIG_MAPS,
    CUT,
    STREAM_END,
    STREAM_HEAD,
    answer,
    chunk,
    line,
    page,
    playing,
    refusal,
)
from tests.serving import Answering, admission, review

REQUEST = Request("ns", "n")
TOKEN = "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl"


class Recorded:
    """Spans that stay in memory."""

    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._memory))
        self.spans = Spans(provider.get_tracer("test"))

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._memory.get_finished_spans())

    @property
    def only(self) -> ReadableSpan:
        (found,) = self.all
        return found


def told(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


class Reconciling:
    """Answers with what it was given, or raises it."""

    def __init__(self, outcome: Result | BaseException) -> None:
        self.outcome = outcome
        self.log: dict[str, Any] = {}

    async def reconcile(self, request: Request) -> Result:
        self.log = structlog.contextvars.get_contextvars()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "result", "error"),
    [
        (Result(), "success", None),
        (Result(requeue_after=1), "requeue_after", None),
        (Conflict("old", status=409), "requeue", None),
        (ExceptionGroup("all", [StaleRead("old"), Conflict("old", status=409)]), "requeue", None),
        (TerminalError(f"secret {TOKEN}"), "error", "TerminalError"),
        (ExceptionGroup("all", [StaleRead("old"), ValueError(TOKEN)]), "error", "StaleRead, ValueError"),
        (asyncio.CancelledError(), "error", "CancelledError"),
    ],
)
async def test_a_reconcile_tells_whose_it_was_and_how_it_ended(
    recorded: Recorded, outcome: Result | BaseException, result: str, error: str | None
) -> None:
    traced = recorded.spans.reconciler("things", Reconciling(outcome))
    with structlog.contextvars.bound_contextvars(reconcileID="r1"):
        if isinstance(outcome, Result):
            assert await traced.reconcile(REQUEST) is outcome
        else:
            with pytest.raises(type(outcome)):
                await traced.reconcile(REQUEST)
    span = recorded.only
    assert (span.name, span.kind) == ("reconcile things", SpanKind.INTERNAL)
    expected = {"controller": "things", "namespace": "ns", "name": "n", "reconcileID": "r1", "result": result}
    assert told(span) == expected | ({"error.type": error} if error else {})
    assert span.status.status_code is (StatusCode.ERROR if error else StatusCode.UNSET)
    assert TOKEN not in span.to_json()
    assert span.events == ()


async def test_log_lines_of_a_reconcile_name_its_trace(recorded: Recorded) -> None:
    inner = Reconciling(Result())
    await recorded.spans.reconciler("things", inner).reconcile(REQUEST)
    context = recorded.only.context
    assert context is not None
    assert inner.log["trace_id"] == f"{context.trace_id:032x}"
    assert "trace_id" not in structlog.contextvars.get_contextvars()


async def test_a_reconcile_that_the_controller_cuts_off_has_a_span_too(recorded: Recorded) -> None:
    class Endless:
        async def reconcile(self, request: Request) -> Result:
            await asyncio.Event().wait()
            return Result()

    controller = Controller("things", recorded.spans.reconciler("things", Endless()), timeout=5)
    async with controller.running():
        controller.queue.add(REQUEST)
        await asyncio.sleep(5.001)
    assert told(recorded.only)["error.type"] == "CancelledError"


@pytest.mark.parametrize(
    ("verdict", "allowed", "code", "error"),
    [
        (Allowed(), True, 200, None),
        (Denied("no"), False, 400, None),
        (Denied("no", code=403), False, 403, None),
        (InvalidRequest("what?"), False, 400, None),
        (KeyError(TOKEN), False, 500, "KeyError"),
    ],
)
async def test_a_review_tells_what_was_judged_and_how(
    recorded: Recorded, verdict: Any, allowed: bool, code: int, error: str | None
) -> None:
    traced = recorded.spans.handler(Answering(verdict))
    assert traced.path == "/judge"
    request = AdmissionRequest(
        uid="u1",
        resource=GroupVersionResource(group="batch", version="v1", resource="jobs"),
        name="n" * 1000,
        namespace="ns",
        operation="CREATE",
        object=msgspec.Raw(json.dumps({"token": TOKEN}).encode()),
    )
    if isinstance(verdict, Exception):
        with pytest.raises(type(verdict)):
            await traced.handle(request)
    else:
        assert await traced.handle(request) is verdict
    span = recorded.only
    assert (span.name, span.kind) == ("admission /judge", SpanKind.SERVER)
    expected = {
        "webhook": "/judge",
        "operation": "CREATE",
        "resource": "jobs.batch",
        "namespace": "ns",
        "name": "n" * LONGEST_TEXT,
        "uid": "u1",
        "allowed": allowed,
        "code": code,
    }
    assert told(span) == expected | ({"error.type": error} if error else {})
    assert TOKEN not in span.to_json()


@pytest.mark.real_time
async def test_a_recorded_webhook_answers_as_it_did_before(recorded: Recorded, tmp_path: Path) -> None:
    async with admission(tmp_path, recorded.spans.handler(Answering(Denied("no", code=403)))) as running:
        found = await running.post(review({"a": 1}))
    assert (found.response["allowed"], found.response["status"]["message"]) == (False, "no")
    assert told(recorded.only)["code"] == 403


@pytest.mark.real_time
async def test_each_request_is_a_span_with_verb_resource_and_status(recorded: Recorded) -> None:
    named = b'{"metadata": {"name": "a", "namespace": "ns"}}'
    stream = [STREAM_HEAD, chunk(line("ADDED", "a", 7)), STREAM_END]
    gone = refusal("404 Not Found", "NotFound")
    async with playing(answer(named), answer(page("a")), stream, answer(named), gone) as api:
        credentials = Credentials(api.url, tokens=StaticToken(TOKEN))
        async with recorded.spans.transport(credentials) as transport:
            client = Client(transport, user_agent="test")
            await client.get_document(CONFIG_MAPS, "ns", "a")
            await client.list_page(CONFIG_MAPS, label_selector="secret=1")
            watching = client.watch(CONFIG_MAPS, resource_version="5", timeout_seconds=60)
            assert [message.type async for message in watching] == ["ADDED"]
            await client.patch(CONFIG_MAPS, "ns", "a", {"data": {"k": TOKEN}}, subresource="status")
            with pytest.raises(NotFound):
                await client.delete(CONFIG_MAPS, "ns", "a")
    host = api.url.removeprefix("http://")
    whole = {"namespace": "ns", "name": "a", "server.address": host}
    common = {"resource": "configmaps", "http.response.status_code": 200}
    assert [told(span) for span in recorded.all] == [
        {"verb": "get", **common, **whole},
        {"verb": "list", **common, "server.address": host},
        {"verb": "watch", **common, "server.address": host},
        {"verb": "patch", **common, **whole, "subresource": "status"},
        {"verb": "delete", **common, **whole, "http.response.status_code": 404, "error.type": "404"},
    ]
    assert [span.name for span in recorded.all][:2] == ["get configmaps", "list configmaps"]
    assert {span.kind for span in recorded.all} == {SpanKind.CLIENT}
    assert all(TOKEN not in span.to_json() and "secret" not in span.to_json() for span in recorded.all)


@pytest.mark.real_time
async def test_each_attempt_is_a_span_and_one_without_an_answer_tells_its_error(recorded: Recorded) -> None:
    async with (
        playing(CUT, answer(b"{}")) as api,
        recorded.spans.transport(Credentials(api.url)) as transport,
    ):
        await Client(transport, user_agent="test").request("GET", "/version")
    cut, answered = recorded.all
    assert (cut.name, told(cut)["error.type"]) == ("get /version", "ConnectionCut")
    assert cut.status.status_code is StatusCode.ERROR
    assert told(answered)["http.response.status_code"] == 200


@pytest.mark.real_time
async def test_a_request_made_in_a_reconcile_is_its_child(recorded: Recorded) -> None:
    async with playing(answer(b"{}")) as api, recorded.spans.transport(Credentials(api.url)) as transport:
        client = Client(transport, user_agent="test")

        class Asking:
            async def reconcile(self, request: Request) -> Result:
                await client.request("GET", "/version")
                return Result()

        await recorded.spans.reconciler("things", Asking()).reconcile(REQUEST)
    request, reconcile = recorded.all
    assert request.parent is not None
    assert reconcile.context is not None
    assert request.parent.span_id == reconcile.context.span_id
