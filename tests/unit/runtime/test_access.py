"""Who may read a page: answers of the API server, played back, and what becomes of them."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from kfx.kube.client import Client
from kfx.runtime.access import ENTRIES, AccessReviewer, Remembered, token_of
from kfx.runtime.health import MetricsServer
from tests.playback import CUT, SILENCE, Playback, Script, answer, refusal, talk
from tests.serving import Answer, get

pytestmark = pytest.mark.real_time

TOKEN = "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl"
SCRAPER = "system:serviceaccount:monitoring:prometheus"


def known(name: str = SCRAPER, **more: object) -> bytes:
    user = {"username": name, "uid": "u", "groups": ["system:serviceaccounts"], "extra": {"k": ["v"]}}
    return answer(json.dumps({"status": {"authenticated": True, "user": {**user, **more}}}).encode())


def may(allowed: bool = True) -> bytes:
    return answer(json.dumps({"status": {"allowed": allowed}}).encode())


STRANGER = answer(json.dumps({"status": {"error": f"[invalid bearer token {TOKEN}]"}}).encode())


@dataclass
class Guarded:
    """A page, the API server behind it, and a clock that is set by hand."""

    server: MetricsServer
    api: Playback
    access: AccessReviewer
    now: float = field(default=1000.0)

    async def get(self, token: str = TOKEN, *, path: str = "/metrics") -> Answer:
        assert self.server.bound is not None
        return await get(self.server.bound[1], path, [f"Authorization: Bearer {token}"] if token else [])

    @property
    def asked(self) -> list[str]:
        """The kinds of review so far."""
        return [request.target.rpartition("/")[2] for request in self.api.requests]


@asynccontextmanager
async def guarded(*scripts: Script, patience: float = 10) -> AsyncIterator[Guarded]:
    clock: Callable[[], float] = lambda: found.now  # noqa: E731
    async with talk(*scripts) as (client, api):
        access = AccessReviewer(client, user_agent="kfx/test metrics", patience=patience, clock=clock)
        server = MetricsServer("127.0.0.1:0", CollectorRegistry(), access=access)
        found = Guarded(server, api, access)
        async with server.serving():
            yield found


async def test_somebody_with_the_right_reads_the_page_and_is_asked_about_once() -> None:
    async with guarded(known(), may()) as page:
        assert [(await page.get()).status for _ in range(3)] == [200, 200, 200]
    assert page.asked == ["tokenreviews", "subjectaccessreviews"]
    who, what = (json.loads(request.body)["spec"] for request in page.api.requests)
    assert who == {"token": TOKEN}
    assert what == {
        "user": SCRAPER,
        "uid": "u",
        "groups": ["system:serviceaccounts"],
        "extra": {"k": ["v"]},
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }
    assert {request.headers["user-agent"] for request in page.api.requests} == {"kfx/test metrics"}


@pytest.mark.parametrize(
    "header",
    ["", "Basic dTpw", "Bearer", "Bearer ", "Bearer a b", "Bearer ü", 'Bearer "x"', f"Token {TOKEN}"],
)
async def test_without_a_token_the_api_server_is_not_even_asked(header: str) -> None:
    async with guarded() as page:
        assert page.server.bound is not None
        headers = [f"Authorization: {header}"] if header else []
        refused = await get(page.server.bound[1], "/metrics", headers)
    assert (refused.status, refused.headers["www-authenticate"], page.asked) == (401, "bearer", [])
    assert refused.body.startswith(b"401 no valid bearer token: send one")


def test_two_tokens_in_one_request_are_none() -> None:
    assert token_of([f"Bearer {TOKEN}", f"Bearer {TOKEN}"]) == ""
    assert token_of([f"bearer  {TOKEN}"]) == TOKEN


async def test_a_token_of_nobody_is_refused_and_remembered_for_half_a_minute() -> None:
    async with guarded(STRANGER, known(), may()) as page:
        assert [(await page.get()).status for _ in range(2)] == [401, 401]
        page.now += 29
        assert (await page.get()).status == 401
        assert page.asked == ["tokenreviews"]
        page.now += 2
        assert (await page.get()).status == 200


async def test_a_user_without_the_right_is_told_which_rule_is_missing() -> None:
    async with guarded(known(), may(False), may()) as page:
        refused = await page.get()
        page.now += 31
        assert (await page.get()).status == 200
    assert refused.status == 403
    assert refused.body.decode() == (
        f"403 {SCRAPER} has no right to get /metrics: bind it to a ClusterRole with the rule "
        '{nonResourceURLs: ["/metrics"], verbs: ["get"]}\n'
    )
    assert page.asked == ["tokenreviews", "subjectaccessreviews", "subjectaccessreviews"]


async def test_a_name_is_told_on_one_line_and_not_at_any_length() -> None:
    async with guarded(known("a\nb" + "c" * 1000), may(False)) as page:
        refused = await page.get()
    assert refused.body.count(b"\n") == 1
    assert len(refused.body) < 500


async def test_a_token_is_asked_about_again_after_a_minute_and_a_right_after_five() -> None:
    async with guarded(known(), may(), known(), STRANGER) as page:
        await page.get()
        page.now += 61
        assert (await page.get()).status == 200
        page.now += 61
        assert (await page.get()).status == 401
    assert page.asked == ["tokenreviews", "subjectaccessreviews", "tokenreviews", "tokenreviews"]


async def test_a_right_that_was_taken_away_ends_within_five_minutes() -> None:
    async with guarded(known(), may(), known(), may(False)) as page:
        assert (await page.get()).status == 200
        page.now += 301
        assert (await page.get()).status == 403


async def test_another_user_is_another_question() -> None:
    async with guarded(known(), may(), known(groups=[]), may(False)) as page:
        assert (await page.get()).status == 200
        assert (await page.get("another")).status == 403


@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param(refusal("503 Unavailable", "ServiceUnavailable"), 503, id="busy"),
        pytest.param(answer(b"not JSON"), 503, id="no-json"),
        pytest.param(answer(b'{"status": {"authenticated": "yes"}}'), 503, id="no-status"),
        pytest.param(answer(b'{"status": {"authenticated": true}}'), 401, id="nobody"),
        pytest.param(SILENCE, 503, id="silent"),
        pytest.param(
            refusal("403 Forbidden", "Forbidden", "may not create tokenreviews"), 500, id="no-right"
        ),
        pytest.param(refusal("422 Unprocessable", "Invalid", f"bad {TOKEN}"), 500, id="refused"),
        pytest.param(refusal("401 Unauthorized", "Unauthorized"), 500, id="own-credentials"),
    ],
)
async def test_an_answer_that_decides_nothing_lets_nobody_in_and_is_not_kept(
    script: Script, status: int
) -> None:
    async with guarded(script, known(), may(), patience=0.3) as page:
        refused = await page.get()
        assert refused.status == status
        assert refused.body.startswith(f"{status} ".encode())
        page.now += 31
        assert (await page.get()).status == 200


async def test_with_the_api_server_away_what_was_decided_counts_for_its_time() -> None:
    async with guarded(known(), may(), patience=0.3) as page:
        assert (await page.get()).status == 200
        page.api.scripts = [SILENCE, SILENCE]
        assert (await page.get()).status == 200
        away = await page.get("another")
    assert (away.status, away.headers["retry-after"]) == (503, "1")


async def test_a_review_whose_connection_was_cut_is_asked_for_once_more() -> None:
    async with guarded(CUT, known(), may()) as page:
        assert (await page.get()).status == 200
    async with guarded(CUT, CUT) as page:
        assert (await page.get()).status == 503


async def test_a_missing_right_is_logged_once_with_the_remedy() -> None:
    denied = refusal("403 Forbidden", "Forbidden", "kfx may not create tokenreviews")
    with capture_logs() as lines:
        async with guarded(denied, denied, known(), may(), denied) as page:
            assert [(await page.get()).status for _ in range(3)] == [500, 500, 200]
            assert (await page.get("another")).status == 500
    told = [line for line in lines if line["log_level"] == "warning"]
    assert len(told) == 2, "once for each time that it begins"
    assert "ClusterRole system:auth-delegator" in told[0]["event"]
    assert "kfx may not create tokenreviews" in told[0]["error"]


async def test_a_token_is_in_no_log_no_answer_and_no_memory() -> None:
    said = refusal("422 Unprocessable", "Invalid", f"bad {TOKEN}")
    busy = refusal("500 Oops", "InternalError", f"bad {TOKEN}")
    with capture_logs() as lines:
        async with guarded(said, busy, STRANGER) as page:
            bodies = [(await page.get()).body for _ in range(3)]
            kept = [*page.access._users._kept, *page.access._strangers._kept]
    assert len(kept) == 1
    assert TOKEN not in repr((lines, bodies, kept, page.access.__dict__))


async def test_other_paths_and_methods_are_refused_before_anything_is_asked() -> None:
    async with guarded() as page:
        assert (await page.get(path="/other")).status == 404
    assert page.asked == []


def test_what_is_remembered_ends_with_its_time_and_with_its_number() -> None:
    now = 0.0
    memory: Remembered[int, bool] = Remembered(entries=2, clock=lambda: now)
    memory.put(1, True, 10)
    memory.put(2, False, 20)
    assert (memory.get(1), memory.get(2)) == (True, False)
    memory.get(1)
    memory.put(3, True, 20)
    assert (memory.get(1), memory.get(2), memory.get(3)) == (True, None, True)
    now = 10.0
    assert (memory.get(1), len(memory)) == (None, 1)


async def test_a_flood_of_bad_tokens_takes_bounded_memory_and_drives_no_good_one_out() -> None:
    async with guarded(known(), may(), *[STRANGER] * (ENTRIES + 5)) as page:
        assert (await page.get()).status == 200
        for number in range(ENTRIES + 5):
            assert (await page.get(f"bad{number}")).status == 401
        assert len(page.access._strangers) == ENTRIES
        before = len(page.asked)
        assert (await page.get()).status == 200
        assert len(page.asked) == before


async def test_reviews_pass_a_fence_that_stops_other_writes() -> None:
    def closed() -> None:
        raise RuntimeError("not leading")

    async with talk(known(), may(), fence=closed) as (client, _):
        assert isinstance(client, Client)
        server = MetricsServer("127.0.0.1:0", CollectorRegistry(), access=AccessReviewer(client))
        async with server.serving():
            assert server.bound is not None
            found = await get(server.bound[1], "/metrics", [f"Authorization: Bearer {TOKEN}"])
    assert found.status == 200
