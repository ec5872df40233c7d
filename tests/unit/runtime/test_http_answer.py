"""JSON answers: byte for byte what a client reads."""

import json
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import HttpVersion, HttpVersion10, HttpVersion11
from aiohttp.test_utils import make_mocked_request

from kfx.runtime import http_answer
from kfx.runtime.http_answer import JsonAnswer, is_plain


def test_an_answer_is_a_whole_http_message_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_answer.time, "time", lambda: 784111777.9)
    assert JsonAnswer(b'{"a":1}').encode() == (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: application/json\r\n"
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"Server: kfx\r\n"
        b"Content-Length: 7\r\n"
        b"\r\n"
        b'{"a":1}'
    )


def test_the_date_goes_on_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for second in (784111777, 784111778):
        monkeypatch.setattr(http_answer.time, "time", lambda now=second: now)
        lines = JsonAnswer(b"").encode().decode().splitlines()
        found.append(next(line.removeprefix("Date: ") for line in lines if line.startswith("Date: ")))
    before, after = map(parsedate_to_datetime, found)
    assert (after - before).total_seconds() == 1


def test_as_a_response_it_says_the_same() -> None:
    response = JsonAnswer(b'{"a":1}').as_response()
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {"a": 1}
    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize(
    ("method", "version", "headers", "plain"),
    [
        ("POST", HttpVersion11, {}, True),
        ("HEAD", HttpVersion11, {}, False),
        ("GET", HttpVersion11, {}, False),
        ("POST", HttpVersion10, {}, False),
    ],
)
def test_only_a_request_that_gets_all_of_it_is_plain(
    method: str, version: HttpVersion, headers: dict[str, str], plain: bool
) -> None:
    request = make_mocked_request(method, "/", headers=headers, version=version)
    assert is_plain(request.method, request.version, stays=request.keep_alive is True) is plain
