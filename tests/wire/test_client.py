"""Requests, as bytes: answers that are late, broken or refused, and servers that are not trusted."""

import asyncio
import gzip
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from kfx.kube import errors
from kfx.kube.client import APPLY_PATCH, Client
from kfx.kube.credentials import Credentials
from kfx.kube.decode import Undecodable
from kfx.kube.tls import Tls
from kfx.kube.tokens import StaticToken, TokenFile
from tests.pki import authority
from tests.playback import (
    CLOSE,
    CONFIG_MAPS,
    CUT,
    SILENCE,
    STREAM_HEAD,
    Script,
    answer,
    chunk,
    client_of,
    page,
    playing,
    refusal,
    server_context,
    status_text,
    talk,
    trust,
)
from tests.things import Thing

SECRET = "s3cret"
OURS, THEIRS = authority("ours"), authority("theirs")
SERVER = OURS.issue("api.example")
OK = answer(b"{}")
LATER = refusal("429 Too Many Requests", "TooManyRequests", retry_after="0")


async def read(client: Client) -> dict[str, Any]:
    return await client.get_document(CONFIG_MAPS, "ns", "a")


async def failure(*scripts: Script) -> Exception:
    """What a read raises that is answered so."""
    async with talk(*scripts) as (client, _):
        with pytest.raises((errors.ApiError, errors.TransportError)) as caught:
            await read(client)
    return caught.value


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests have half a second."""
    for module in ("exchange", "transport"):
        monkeypatch.setattr(f"kfx.kube.{module}.REQUEST_TIMEOUT", 0.5)


WRITES: list[tuple[Callable[[Client], Any], str, str, object]] = [
    (
        lambda client: client.create(CONFIG_MAPS, {"metadata": {"namespace": "ns"}}, dry_run=True),
        "POST /api/v1/namespaces/ns/configmaps?dryRun=All",
        "application/json",
        {"metadata": {"namespace": "ns"}},
    ),
    (
        lambda client: client.patch(CONFIG_MAPS, "ns", "a", {"x": None}, subresource="status"),
        "PATCH /api/v1/namespaces/ns/configmaps/a/status",
        "application/merge-patch+json",
        {"x": None},
    ),
    (
        lambda client: client.patch(CONFIG_MAPS, "ns", "a", [{"op": "remove", "path": "/x"}]),
        "PATCH /api/v1/namespaces/ns/configmaps/a",
        "application/json-patch+json",
        [{"op": "remove", "path": "/x"}],
    ),
    (
        lambda client: client.patch(
            CONFIG_MAPS, "ns", "a", {}, content_type=APPLY_PATCH, field_manager="k f&x", force=True
        ),
        "PATCH /api/v1/namespaces/ns/configmaps/a?fieldManager=k+f%26x&force=true",
        "application/apply-patch+yaml",
        {},
    ),
    (
        lambda client: client.replace(CONFIG_MAPS, "ns", "a/b%", {"y": "ä"}),
        "PUT /api/v1/namespaces/ns/configmaps/a%2Fb%25",
        "application/json",
        {"y": "ä"},
    ),
    (
        lambda client: client.delete(CONFIG_MAPS, "ns", "a", uid="u", propagation="Orphan"),
        "DELETE /api/v1/namespaces/ns/configmaps/a",
        "application/json",
        {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": "u"},
            "propagationPolicy": "Orphan",
        },
    ),
]


@pytest.mark.parametrize(("write", "target", "content_type", "body"), WRITES)
async def test_a_write_is_sent_as_kubernetes_expects_it(
    write: Callable[[Client], Any], target: str, content_type: str, body: object
) -> None:
    async with talk(OK) as (client, playback):
        await write(client)
    (sent,) = playback.requests
    assert f"{sent.method} {sent.target}" == target
    assert (sent.headers["content-type"], json.loads(sent.body)) == (content_type, body)
    assert sent.headers["user-agent"] == "kfx/test"
    assert sent.token == ""


@pytest.mark.parametrize(("write", "target", "content_type", "body"), WRITES)
async def test_a_write_behind_a_closed_fence_sends_no_byte(
    write: Callable[[Client], Any], target: str, content_type: str, body: object
) -> None:
    def fence() -> None:
        raise RuntimeError("not the leader")

    async with talk(OK, OK, fence=fence) as (client, playback):
        with pytest.raises(RuntimeError, match="not the leader"):
            await write(client)
        assert playback.requests == []
        await read(client)
        await write(client.without_fence("kfx/free"))
    assert [sent.method for sent in playback.requests] == ["GET", target.split(" ", maxsplit=1)[0]]


async def test_a_selector_reaches_the_server_as_it_was_meant() -> None:
    async with talk(answer(page())) as (client, playback):
        await client.list_page(CONFIG_MAPS, label_selector="a in (b,c),d!=e+f", limit=0, continue_token="t/=")
    query = playback.requests[0].target.partition("?")[2]
    assert query == "labelSelector=a+in+(b,c),d!%3De%2Bf&continue=t/%3D"


async def test_a_list_page_may_come_compressed() -> None:
    async with talk(answer(gzip.compress(page("a", "b", token="t")), content_encoding="gzip")) as (
        client,
        playback,
    ):
        found = await client.list_page(CONFIG_MAPS, metadata_only=True)
    assert (found.resource_version, found.continue_token, len(found.items)) == ("5", "t", 2)
    headers = playback.requests[0].headers
    assert headers["accept-encoding"] == "gzip"
    assert headers["accept"] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@pytest.mark.parametrize(
    "body", [b"\x1f\x8b\x08\x00garbage", gzip.compress(page("a"))[:-12], b"", b"plain"], ids=range(4)
)
async def test_a_page_that_was_compressed_badly_is_an_error(body: bytes) -> None:
    async with talk(answer(body, content_encoding="gzip")) as (client, _):
        with pytest.raises(errors.TransportError, match=r"GET /api/v1/configmaps: "):
            await client.list_page(CONFIG_MAPS)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>welcome</html>", id="html"),
        pytest.param(b"", id="empty"),
        pytest.param(b"[1]", id="list"),
        pytest.param(b'{"items":[', id="unfinished"),
        pytest.param(b"[" * 50_000 + b"]" * 50_000, id="deep-list"),
        pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="deep-object"),
        pytest.param(b'{"a":"\xff"}', id="no-utf-8"),
    ],
)
async def test_what_is_not_the_json_asked_for_is_an_error_that_says_so(body: bytes) -> None:
    failed = await failure(answer(body))
    assert type(failed) is errors.TransportError
    assert "/configmaps/a: the answer is not the JSON that was asked for; is http://127" in str(failed)


async def test_an_object_that_cannot_be_read_is_named() -> None:
    for body in (b'{"metadata":{"name":"a"},"spec":{"group":"\xff"}}', b'{"metadata":{"name":"a"},"spec":7}'):
        async with talk(answer(body)) as (client, _):
            with pytest.raises(Undecodable, match="Thing a cannot be read"):
                await client.get(Thing, "ns", "a")


async def test_a_deep_item_does_not_hide_the_others_of_its_page() -> None:
    deep = b"[" * 20_000 + b"]" * 20_000
    body = b'{"metadata":{"resourceVersion":"5"},"items":[{"a":1},{"b":' + deep + b"}]}"
    async with talk(answer(body)) as (client, _):
        assert len((await client.list_page(CONFIG_MAPS)).items) == 2


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        ("404 Not Found", status_text(404, "NotFound"), errors.NotFound),
        ("409 Conflict", status_text(409, "AlreadyExists"), errors.AlreadyExists),
        ("410 Gone", status_text(410, "Expired"), errors.Expired),
        ("502 Bad Gateway", b"<html>bad gateway</html>", errors.ServerError),
        ("500 Oops", b'{"kind":"Status","message":"\xff"}', errors.ServerError),
    ],
)
async def test_a_refusal_is_told_by_its_reason_or_its_code(status: str, body: bytes, kind: type) -> None:
    failed = await failure(answer(body, status))
    assert (type(failed), "GET /api/v1/namespaces/ns/configmaps/a: " in str(failed)) == (kind, True)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_what_is_put_off_is_sent_again_in_time(status: str) -> None:
    async with talk(refusal(status, "", retry_after="1"), OK) as (client, playback):
        began = asyncio.get_running_loop().time()
        assert await client.create(CONFIG_MAPS, {}) == {}
        assert asyncio.get_running_loop().time() - began >= 1
    assert (len(playback.requests), playback.connections) == (2, 1)


@pytest.mark.parametrize("when", ["", "soon", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "٣"])
async def test_a_time_that_is_no_number_of_seconds_counts_as_none(when: str) -> None:
    async with talk(refusal("503 Service Unavailable", "", retry_after=when)) as (client, playback):
        with pytest.raises(errors.ServerError) as caught:
            await read(client)
    assert (len(playback.requests), caught.value.retry_after) == (1, None)


async def test_a_request_is_put_off_at_most_ten_times() -> None:
    async with talk(*[LATER] * 12) as (client, playback):
        with pytest.raises(errors.TooManyRequests):
            await read(client)
    assert len(playback.requests) == 10


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(SILENCE, id="silence"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-", SILENCE], id="slow-headers"),
        pytest.param([answer(b"{}")[:-1], SILENCE], id="slow-body"),
        pytest.param([STREAM_HEAD, *[chunk(b" "), 0.1] * 20], id="drop-by-drop"),
    ],
)
@pytest.mark.usefixtures("hurried")
async def test_an_answer_that_takes_too_long_is_given_up(script: Script) -> None:
    failed = await failure(script)
    assert type(failed) is errors.TransportError
    assert "no answer from http://127.0.0.1:" in str(failed)
    assert "is it overloaded?" in str(failed)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([answer(b"{}")[:-1], CLOSE], id="short-body"),
        pytest.param([STREAM_HEAD, chunk(b"{"), CLOSE], id="no-last-chunk"),
        pytest.param([STREAM_HEAD, chunk(b"{"), 0.05, b"zz\r\n"], id="no-chunk"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="no-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}", id="no-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", id="large-headers"),
    ],
)
async def test_an_answer_that_is_broken_is_an_error_at_once(script: Script) -> None:
    async with asyncio.timeout(5):
        failed = await failure(script)
    assert type(failed) is errors.TransportError
    assert "/configmaps/a: unusable answer from http://127.0.0.1:" in str(failed)


async def test_a_read_on_a_connection_that_was_closed_meanwhile_is_sent_again() -> None:
    async with talk([OK, 0.05, CUT], OK, OK) as (client, playback):
        await read(client)
        await read(client)
    assert playback.connections == 2


async def test_a_server_that_closes_after_each_answer_is_asked_again_each_time() -> None:
    async with talk(*[answer(b"{}", connection="close")] * 5) as (client, playback):
        for _ in range(5):
            await client.create(CONFIG_MAPS, {})
    assert playback.connections == 5


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
async def test_a_redirect_is_refused_and_no_token_follows_it(status: str) -> None:
    async with playing(OK) as elsewhere:
        script = answer(b"", status, location=elsewhere.url)
        async with talk(script, tokens=StaticToken(SECRET)) as (client, _):
            with pytest.raises(errors.TransportError, match=f"answered {status[:3]}, a redirect"):
                await read(client)
    assert elsewhere.connections == 0


async def test_a_token_that_was_replaced_is_used_after_a_refusal(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    tokens = TokenFile(file, origin="tokenFile")
    refused = refusal("401 Unauthorized", "Unauthorized")
    async with talk(OK, refused, OK, refused, tokens=tokens) as (client, playback):
        await read(client)
        file.write_text("new")
        await client.create(CONFIG_MAPS, {})
        with pytest.raises(errors.Unauthorized):
            await read(client)
    assert [sent.token for sent in playback.requests] == ["old", "old", "new", "new"]


async def test_the_first_requests_of_a_process_all_bear_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    async with (
        talk(*[OK] * 4, tokens=TokenFile(tmp_path / "token", origin="tokenFile")) as (
            client,
            playback,
        ),
        asyncio.TaskGroup() as tasks,
    ):
        for _ in range(4):
            tasks.create_task(read(client))
    assert [sent.token for sent in playback.requests] == [SECRET] * 4


async def test_a_token_that_is_no_header_is_not_shown() -> None:
    async with talk(OK, tokens=StaticToken(f"{SECRET}\r\nX-Admin: 1")) as (client, playback):
        with capture_logs() as lines, pytest.raises(errors.TransportError) as caught:
            await read(client)
    assert SECRET not in f"{caught.value!r} {lines}"
    assert playback.requests == []


async def test_a_refused_connection_names_server_and_remedy() -> None:
    with socket.socket() as taken:  # bound, not listening: nobody else gets the port, and nobody answers
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        told: list[str] = []
        credentials = Credentials(url, tokens=StaticToken(SECRET))
        async with client_of(credentials, observe=lambda code, *_: told.append(code)) as client:
            with pytest.raises(errors.Unreachable) as caught:
                await client.create(CONFIG_MAPS, {})
            with pytest.raises(errors.Unreachable, match=r"^WATCH /api/v1/configmaps: cannot connect"):
                await anext(client.watch(CONFIG_MAPS, resource_version="1", timeout_seconds=1))
    assert f"POST /api/v1/configmaps: cannot connect to {url} (Connect call failed" in str(caught.value)
    assert str(caught.value).endswith("; is the API server running there?")
    assert told == ["<error>", "<error>"]


@pytest.mark.parametrize(
    ("tls", "why"),
    [
        pytest.param(trust(THEIRS), "unable to get local issuer certificate", id="other-authority"),
        pytest.param(trust(OURS, server_name="x.example"), "Hostname mismatch", id="other-name"),
        pytest.param(Tls(), "unable to get local issuer certificate", id="system-authorities"),
    ],
)
async def test_a_server_that_is_not_trusted_gets_no_byte(tls: Tls, why: str, tmp_path: Path) -> None:
    async with (
        playing(OK, tls=server_context(tmp_path, SERVER)) as playback,
        client_of(Credentials(playback.url, tls=tls, tokens=StaticToken(SECRET))) as client,
    ):
        with pytest.raises(errors.Unreachable) as caught:
            await client.create(CONFIG_MAPS, {})
    text = str(caught.value)
    assert text.startswith(f"POST /api/v1/configmaps: no trusted TLS connection to {playback.url} (")
    assert why in text
    assert text.endswith("; check certificate-authority and tls-server-name")
    assert SECRET not in text
    assert playback.requests == []


async def test_a_trusted_server_is_asked_under_the_name_that_was_given(tmp_path: Path) -> None:
    tls = trust(OURS, OURS.issue("kfx"), server_name="api.example")
    mutual = playing(OK, tls=server_context(tmp_path, SERVER, clients=OURS))
    async with mutual as playback, client_of(Credentials(playback.url, tls=tls)) as client:
        assert await read(client) == {}


async def test_a_client_certificate_that_is_wanted_and_missing_is_an_error(tmp_path: Path) -> None:
    async with (
        playing(OK, tls=server_context(tmp_path, SERVER, clients=OURS)) as playback,
        client_of(Credentials(playback.url, tls=trust(OURS))) as client,
    ):
        with pytest.raises(errors.TransportError, match=f" {playback.url}"):
            await client.create(CONFIG_MAPS, {})
    assert playback.requests == []


async def test_a_server_without_tls_is_an_error_that_names_it() -> None:
    async with playing(OK) as playback:
        url = playback.url.replace("http:", "https:")
        async with client_of(Credentials(url, tls=trust(OURS))) as client:
            with pytest.raises(errors.TransportError, match=url):
                await client.create(CONFIG_MAPS, {})
