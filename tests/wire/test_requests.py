"""What the client sends and what it never does, whatever bytes come back."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from kfx.kube.errors import ApiError, Interrupted, TransportError
from kfx.kube.tokens import StaticToken
from tests.playback import CONFIG_MAPS, CUT, SILENCE, STREAM_HEAD, Script, answer, chunk, line, page, talk

SECRET = "s3cret-token"


async def test_a_list_is_a_consistent_read_in_pages() -> None:
    async with talk(answer(page())) as (client, playback):
        found = await client.list_page(CONFIG_MAPS, namespace="ns", label_selector="a=b")
    assert found.resource_version == "5"
    (request,) = playback.requests
    assert request.method == "GET"
    assert request.target == "/api/v1/namespaces/ns/configmaps?labelSelector=a%3Db&limit=500"


async def test_a_silent_watch_is_given_up() -> None:
    script = [STREAM_HEAD + chunk(line("ADDED", "a", 1)), SILENCE]
    async with talk(script, idle=0.3) as (client, _), asyncio.timeout(10):
        stream = client.watch(CONFIG_MAPS, resource_version="1", timeout_seconds=300)
        assert (await anext(stream)).type == "ADDED"
        with pytest.raises(Interrupted, match="in mid-stream"):
            await anext(stream)


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1), ("DELETE", 1)])
async def test_only_a_read_is_repeated_when_its_connection_is_cut(method: str, times: int) -> None:
    async with talk(CUT, CUT, CUT) as (client, playback):
        with pytest.raises(TransportError, match="cut the connection before an answer"):
            await client.request(method, "/api/v1/things", body=None if method == "GET" else {})
    assert len(playback.requests) == times


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answer(b"{}", "403 Forbidden"), id="refused"),
        pytest.param(answer(b"<html>"), id="html"),
        pytest.param(answer(b"", "302 Found", location="http://other.example/"), id="redirect"),
        pytest.param(CUT, id="cut"),
    ],
)
async def test_no_token_reaches_a_log_or_an_error(script: Script) -> None:
    with capture_logs() as lines:
        async with talk(script, script, tokens=StaticToken(SECRET)) as (client, playback):
            with pytest.raises((ApiError, TransportError)) as caught:
                await client.get_document(CONFIG_MAPS, "ns", "a")
            shown = [repr(client), repr(client._exchange.transport.credentials)]
    assert playback.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    texts: list[Any] = [str(caught.value), repr(caught.value), caught.value.__dict__, lines, shown]
    assert SECRET not in str(texts)


async def test_a_redirect_is_not_followed_and_says_what_to_do() -> None:
    elsewhere = answer(b"", "307 Temporary Redirect", location="http://127.0.0.1:1/")
    async with talk(elsewhere) as (client, _):
        with pytest.raises(TransportError, match="a redirect, which is not followed"):
            await client.get_document(CONFIG_MAPS, "ns", "a")
