"""Raw bytes against the admission endpoint; the W numbers are those of the fault catalogue."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kfx.runtime.admission import AdmissionLimits
from kfx.runtime.http_server import Limits
from tests.serving import Answering, Running, admission, post, read_answer, read_to_end, review

LIMITS = AdmissionLimits(body=64 * 1024, connections=Limits(handshake=1.0, request=1.0))
REFUSED = "kfx_admission_connections_refused_total"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with admission(tmp_path, Answering(), limits=LIMITS) as running:
        yield running
        # whatever was tried: the next caller is served
        assert (await running.post(review({}))).status == 200


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED = {"Content-Length": "", "Transfer-Encoding": "chunked"}


async def test_w1_silence_before_the_handshake_is_cut(running: Running) -> None:
    reader, writer = await asyncio.open_connection(*running.server.bound)
    assert await read_to_end(reader) == b""
    assert running.sample(REFUSED, {"reason": "handshake"}) == 1
    writer.transport.abort()


async def test_w2_slow_headers_are_cut(running: Running) -> None:
    reader, writer = await running.connect()
    writer.write(b"POST /judge HTTP/1.1\r\nHost: x\r\nX-")
    assert await read_to_end(reader) == b""
    assert running.sample(REFUSED, {"reason": "slow"}) == 1
    writer.transport.abort()


async def test_w3_a_slow_body_is_cut(running: Running) -> None:
    reader, writer = await running.connect()
    writer.write(post(review({}))[:-1])
    assert await read_to_end(reader) == b""
    assert running.sample(REFUSED, {"reason": "slow"}) == 1
    writer.transport.abort()


async def test_w3_a_slow_body_behind_another_request_is_cut(running: Running) -> None:
    reader, writer = await running.connect()
    writer.write(post(review({})) + post(review({}))[:-1])
    assert (await read_answer(reader)).status == 200
    assert await read_to_end(reader) == b""
    writer.transport.abort()


async def test_w4_a_body_too_large_by_its_length_is_refused_before_it_is_sent(running: Running) -> None:
    """3.1.2: 7 MiB are too many."""
    reader, writer = await running.connect()
    writer.write(post(b"", headers={"Content-Length": str(LIMITS.body)}))
    answer = await read_answer(reader)
    assert (answer.status, answer.response["status"]["code"]) == (200, 413)
    assert await read_to_end(reader) == b""
    writer.transport.abort()


async def test_w4_a_body_too_large_by_chunks_is_refused_while_it_comes(running: Running) -> None:
    reader, writer = await running.connect()
    writer.write(post(b"", headers=CHUNKED))
    writer.write(chunk(b" " * 1024) * (LIMITS.body // 1024))
    answer = await read_answer(reader)
    assert answer.response == {
        "uid": "",
        "allowed": False,
        "status": {"code": 413, "message": f"the body must be smaller than {LIMITS.body} bytes"},
    }
    writer.transport.abort()


async def test_w4_the_largest_body_passes_both_ways(running: Running) -> None:
    body = review({"text": ""})
    body = review({"text": "x" * (LIMITS.body - 1 - len(body))})
    assert len(body) == LIMITS.body - 1
    assert (await running.post(body)).response["allowed"]
    chunks = b"".join(chunk(body[at : at + 4096]) for at in range(0, len(body), 4096)) + chunk(b"")
    assert (await running.exchange(post(b"", headers=CHUNKED) + chunks)).response["allowed"]


async def test_w4_large_bodies_are_judged_like_small_ones(tmp_path: Path) -> None:
    async with admission(tmp_path, Answering()) as running:
        deep = b"[" * 200_000 + b"]" * 200_000
        whole = review({"text": "x" * 1_000_000})
        assert (await running.post(whole)).response["allowed"]
        assert (await running.post(whole.replace(b"null", deep))).response["allowed"]
        refused = await running.post(whole.replace(b'"x', deep + b'"x'))
        assert refused.response["status"]["code"] == 400


@pytest.mark.parametrize("encoding", ["gzip", "identity", "br"])
async def test_w5_a_compressed_body_is_refused_unread(running: Running, encoding: str) -> None:
    answer = await running.post(b"\x1f\x8b", headers={"Content-Encoding": encoding})
    assert answer.status == 415


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/json; charset=utf-8", "Application/JSON"]
)
async def test_w6_another_content_type_is_refused(running: Running, content_type: str) -> None:
    """3.1.3: only application/json, to the letter."""
    answer = await running.post(review({}), headers={"Content-Type": content_type})
    assert (answer.status, answer.response["status"]["code"]) == (200, 400)
    assert "Content-Type must be exactly application/json" in answer.response["status"]["message"]


async def test_w6_an_empty_body_is_refused_whatever_the_method(running: Running) -> None:
    """3.1.1: and methods are not checked."""
    for raw in (post(b""), b"GET /judge HTTP/1.1\r\nHost: x\r\n\r\n"):
        answer = await running.exchange(raw)
        assert (answer.status, answer.review) == (
            200,
            {
                "response": {
                    "uid": "",
                    "allowed": False,
                    "status": {"code": 400, "message": "request body is empty"},
                }
            },
        )


@pytest.mark.parametrize("body", [b"nonsense", b"\xff\xfe{", b'{"request":' * 500, b"[" * 50_000])
async def test_w7_w8_what_is_no_review_is_denied(running: Running, body: bytes) -> None:
    """3.1.4: with code 400."""
    answer = await running.post(body)
    assert (answer.status, answer.response["status"]["code"]) == (200, 400)


@pytest.mark.parametrize(
    "path", ["/", "/Judge", "/judge/", "//judge", "/%6audge", "/x/%2e%2e/judge", "/<script>"]
)
async def test_w11_another_path_is_not_found_and_not_repeated(running: Running, path: str) -> None:
    answer = await running.post(review({}), path=path)
    assert answer.status in (400, 404)
    assert b"script" not in answer.body


@pytest.mark.parametrize(
    "head",
    [
        "POST /" + "a" * 9_000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /judge HTTP/1.1\r\nHost: x\r\n" + "X-A: b\r\n" * 200 + "\r\n",
        "POST /judge HTTP/1.1\r\nHost: x\r\nX-A: " + "b" * 20_000 + "\r\n\r\n",
    ],
)
async def test_w11_a_head_too_large_is_refused(running: Running, head: str) -> None:
    assert (await running.exchange(head.encode())).status == 400


@pytest.mark.parametrize(
    "raw",
    [
        post(review({}), headers={"Transfer-Encoding": "chunked"}),
        post(review({})).replace(b"Content-Length", b"Content-Length: 1\r\nContent-Length"),
        b"POST /judge HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n{",
        b"POST /judge HTTP/1.1\r\nHost: x\r\nX: a\r\n folded\r\n\r\n",
        b"POST /judge HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_w18_what_two_servers_could_read_differently_is_refused(running: Running, raw: bytes) -> None:
    answer = await running.exchange(raw)
    assert answer.status == 400 or answer.response["status"]["code"] == 400


async def test_w17_garbage_instead_of_tls_is_counted_not_answered(running: Running) -> None:
    for garbage in (b"GET /judge HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x00" * 300, b"\x00"):
        reader, writer = await asyncio.open_connection(*running.server.bound)
        writer.write(garbage)
        assert b"HTTP" not in await read_to_end(reader)
        writer.transport.abort()
    assert running.sample(REFUSED, {"reason": "handshake"}) == 3


async def test_w17_a_weak_suite_is_refused(running: Running) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-SHA:@SECLEVEL=0")
    with pytest.raises(OSError):
        await asyncio.open_connection(*running.server.bound, ssl=context)


async def test_one_connection_serves_many_requests(running: Running) -> None:
    reader, writer = await running.connect()
    for number in range(20):
        writer.write(post(review({}, uid=f"u{number}")))
        assert (await read_answer(reader)).response["uid"] == f"u{number}"
    writer.transport.abort()


async def test_a_client_that_leaves_in_the_middle_is_no_failure(running: Running) -> None:
    for part in (1, 40, len(post(review({}))) - 1):
        _, writer = await running.connect()
        writer.write(post(review({}))[:part])
        await writer.drain()
        writer.transport.abort()
    assert running.sample("controller_runtime_webhook_panics_total") == 0
