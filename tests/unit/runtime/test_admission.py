"""The admission server's answers, over real TLS."""

import asyncio
import base64
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from kfx.runtime.admission import (
    AdmissionHandler,
    AdmissionLimits,
    AdmissionRequest,
    Allowed,
    Denied,
    InvalidRequest,
    Verdict,
    parse_timeout,
    timeout_of,
)
from tests.serving import Answering, Held, Running, admission, post, read_answer, review

pytestmark = pytest.mark.real_time
PATCH = [{"op": "add", "path": "/metadata/labels/a", "value": "b"}]


async def answer_of(directory: Path, verdict: Verdict | Exception) -> dict[str, object]:
    async with admission(directory, Answering(verdict)) as running:
        answer = await running.post(review({"kind": "Pod"}))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.review


async def test_what_is_allowed(tmp_path: Path) -> None:
    assert await answer_of(tmp_path, Allowed()) == {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "response": {"uid": "uid-1", "allowed": True, "status": {"code": 200}},
    }


async def test_what_is_allowed_with_a_change_and_a_warning(tmp_path: Path) -> None:
    response = (await answer_of(tmp_path, Allowed(patch=PATCH, warnings=["old field"])))["response"]
    assert isinstance(response, dict)
    assert json.loads(base64.b64decode(response.pop("patch"))) == PATCH
    assert response == {
        "uid": "uid-1",
        "allowed": True,
        "status": {"code": 200},
        "patchType": "JSONPatch",
        "warnings": ["old field"],
    }


async def test_an_empty_patch_is_none(tmp_path: Path) -> None:
    response = (await answer_of(tmp_path, Allowed(patch=[])))["response"]
    assert response == {"uid": "uid-1", "allowed": True, "status": {"code": 200}}


async def test_a_denial_has_code_and_message_and_no_reason(tmp_path: Path) -> None:
    response = (await answer_of(tmp_path, Denied("name is too long", code=422)))["response"]
    assert response == {
        "uid": "uid-1",
        "allowed": False,
        "status": {"code": 422, "message": "name is too long"},
    }


async def test_the_callers_version_is_answered(tmp_path: Path) -> None:
    """3.1.5: v1 and v1beta1, and the uid."""
    async with admission(tmp_path, Answering()) as running:
        answer = await running.post(review({}, version="v1beta1", uid="other"))
    assert answer.review["apiVersion"] == "admission.k8s.io/v1beta1"
    assert answer.response["uid"] == "other"


async def test_a_handler_that_finds_the_request_invalid_denies_it(tmp_path: Path) -> None:
    """3.1.7: with code 400."""
    response = (await answer_of(tmp_path, InvalidRequest("request.object is missing")))["response"]
    assert response == {
        "uid": "uid-1",
        "allowed": False,
        "status": {"code": 400, "message": "request.object is missing"},
    }


@dataclass
class Immediate:
    """Says ``now`` at once, or raises it; else what comes later."""

    now: Verdict | Exception | None
    path: str = "/judge"

    def handle_now(self, request: AdmissionRequest) -> Verdict | None:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    async def handle(self, request: AdmissionRequest) -> Verdict:
        return Denied("later")


@pytest.mark.parametrize(
    ("now", "sent", "told"),
    [
        (Denied("now"), post(review({})), "now"),
        (None, post(review({})), "later"),
        (KeyError("x"), post(review({})), "later"),
        (Allowed(patch=[{"op": "\ud800"}]), post(review({})), "later"),
        (Denied("now"), post(b"[]"), "the body is no AdmissionReview"),
        (Denied("now"), post(review({}), headers={"Content-Type": "text/plain"}), "the Content-Type must be"),
    ],
)
async def test_a_handler_may_answer_without_a_wait(
    tmp_path: Path, now: Verdict | Exception | None, sent: bytes, told: str
) -> None:
    async with admission(tmp_path, Immediate(now)) as running:
        reader, writer = await running.connect()
        await asyncio.sleep(0.05)  # until the connection's task waits
        for _ in range(2):
            writer.write(sent)
            answer = await read_answer(reader)
            assert answer.response["status"]["message"].startswith(told)
        writer.transport.abort()
        counted = running.sample(
            "controller_runtime_webhook_requests_total", {"webhook": "/judge", "code": "200"}
        )
        timed = running.sample("controller_runtime_webhook_latency_seconds_count", {"webhook": "/judge"})
        assert (counted, timed) == (2, 2)


async def test_encodings_and_other_paths_are_refused_as_ever(tmp_path: Path) -> None:
    async with admission(tmp_path, Immediate(Denied("now"))) as running:
        for sent, status in (
            (post(review({}), path="/other"), 404),
            (post(review({}), headers={"Content-Encoding": "gzip"}), 415),
        ):
            reader, writer = await running.connect()
            await asyncio.sleep(0.05)
            writer.write(sent)
            assert (await read_answer(reader)).status == status
            writer.transport.abort()


@pytest.mark.parametrize("failure", [KeyError("secret-token"), TimeoutError("inner"), RecursionError()])
async def test_a_failing_handler_is_counted_and_told_apart_from_a_denial(
    tmp_path: Path, failure: Exception
) -> None:
    """3.1.6, 10.1.9: code 500 and a counter."""
    async with admission(tmp_path, Answering(failure)) as running:
        answer = await running.post(review({}))
        again = await running.post(review({}))
    assert (answer.status, again.status) == (200, 200)
    status = answer.response["status"]
    assert (answer.response["uid"], answer.response["allowed"], status["code"]) == ("uid-1", False, 500)
    assert status["message"].startswith(f"panic: {type(failure).__name__} [recovered]")
    assert b"secret-token" not in answer.body
    assert running.sample("controller_runtime_webhook_panics_total") == 2


async def test_a_verdict_that_cannot_be_written_is_a_failure_of_the_handler(tmp_path: Path) -> None:
    async with admission(tmp_path, Answering(Allowed(patch=[{"op": "\ud800"}]))) as running:
        answer = await running.post(review({}))
    assert answer.response["status"]["code"] == 500


async def test_a_slow_handler_is_answered_for_before_the_caller_gives_up(tmp_path: Path) -> None:
    async with admission(tmp_path, Held()) as running:
        answer = await running.post(review({}), path="/judge?timeout=500ms")
    assert answer.response["status"] == {
        "code": 500,
        "message": "/judge gave no answer within 0.25 s (timeout=0.5s)",
    }
    assert running.sample("controller_runtime_webhook_panics_total") == 0


async def test_requests_are_counted_by_path_and_code(tmp_path: Path) -> None:
    handlers: list[AdmissionHandler] = [Answering(), Answering(Denied("no"), path="/other")]
    async with admission(tmp_path, *handlers) as running:
        await running.post(review({}))
        await running.post(review({}), path="/other")
        await running.post(review({}), headers={"Content-Encoding": "gzip"})
        assert (await running.post(review({}), path="/none")).status == 404
    total = "controller_runtime_webhook_requests_total"
    assert running.sample(total, {"webhook": "/judge", "code": "200"}) == 1
    assert running.sample(total, {"webhook": "/judge", "code": "415"}) == 1
    assert running.sample(total, {"webhook": "/judge", "code": "500"}) == 0
    assert running.sample(total, {"webhook": "/other", "code": "200"}) == 1
    assert running.sample("controller_runtime_webhook_latency_seconds_count", {"webhook": "/judge"}) == 2
    assert running.sample("controller_runtime_webhook_requests_in_flight", {"webhook": "/judge"}) == 0


async def together(running: Running, count: int) -> list[int]:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(running.post(review({}))) for _ in range(count)]
    return sorted(each.result().status for each in asked)


async def test_what_is_too_much_is_turned_away_and_the_rest_is_answered(tmp_path: Path) -> None:
    held = Held()
    limits = AdmissionLimits(concurrency=2, queued=1)
    async with admission(tmp_path, held, limits=limits) as running, asyncio.TaskGroup() as group:
        asked = group.create_task(together(running, 5))
        for _ in range(2):
            await held.entered.acquire()
        async with asyncio.timeout(20):
            while (
                running.sample(
                    "controller_runtime_webhook_requests_total", {"webhook": "/judge", "code": "429"}
                )
                != 2
            ):
                await asyncio.sleep(0.01)
        held.let_go.set()
    assert asked.result() == [200, 200, 200, 429, 429]


async def test_nobody_waits_long_for_a_turn(tmp_path: Path) -> None:
    held = Held()
    limits = AdmissionLimits(concurrency=1, patience=0.05)
    async with admission(tmp_path, held, limits=limits) as running, asyncio.TaskGroup() as group:
        first = group.create_task(running.post(review({})))
        await held.entered.acquire()
        late = await running.post(review({}))
        held.let_go.set()
    assert (late.status, late.headers["retry-after"]) == (429, "1")
    assert first.result().status == 200


class Stoppable:
    """A server in a task of its own, told to stop while requests are on their way."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._started: asyncio.Future[Running] = asyncio.get_running_loop().create_future()

    async def serve(self, directory: Path, handler: AdmissionHandler) -> None:
        async with admission(directory, handler) as running:
            self._started.set_result(running)
            await self._stop.wait()

    async def started(self) -> Running:
        running = await self._started
        async with asyncio.timeout(20):
            while running.server.ready() is not None:
                await asyncio.sleep(0.01)
        return running

    async def stop(self, running: Running) -> None:
        self._stop.set()
        async with asyncio.timeout(20):
            while running.server.ready() != "shutting down":
                await asyncio.sleep(0)


async def connect_until_refused(host: str, port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            _, writer = await asyncio.open_connection(host, port)
            writer.transport.abort()


async def test_requests_in_hand_are_answered_and_new_connections_refused_once_it_stops(
    tmp_path: Path,
) -> None:
    held, server = Held(), Stoppable()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(tmp_path, held))
        running = await server.started()
        bound = running.server.bound
        asked = group.create_task(running.post(review({})))
        await held.entered.acquire()
        await server.stop(running)
        with pytest.raises(ConnectionError):
            await connect_until_refused(*bound)
        held.let_go.set()
    assert asked.result().status == 200


async def test_a_connection_half_made_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    async with admission(tmp_path, Answering()) as running:
        _, writer = await asyncio.open_connection(*running.server.bound)
        idle = await running.connect()
        await asyncio.sleep(0.05)
    for each in (writer, idle[1]):
        each.transport.abort()
    with pytest.raises(RuntimeError, match="is not serving"):
        _ = running.server.bound


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10.0),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("1m", 30.0),
        ("1h0m0s", 30.0),
        ("", 7.0),
        ("0s", 7.0),
        ("ten", 7.0),
        ("10", 7.0),
        ("-5s", 7.0),
        ("5s; rm", 7.0),
        ("9" * 400 + "s", 7.0),
    ],
)
def test_a_time_limit_in_gos_form(text: str, seconds: float) -> None:
    assert parse_timeout(text, 7.0) == seconds


def test_the_time_limit_is_found_in_the_query() -> None:
    assert timeout_of("timeout=5s", 7.0) == 5.0
    assert timeout_of("a=b&timeout=5s", 7.0) == 5.0
    assert timeout_of("timeout=5s&" + "x" * 500, 7.0) == 7.0
    assert timeout_of("", 7.0) == 7.0
