"""The client and the cache behind a bad network and a bad server, faults by number in the catalogue."""

import asyncio
import json
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hack.cluster import binaries, control_plane
from hack.cluster.api import Api
from hack.cluster.layout import Layout
from hack.cluster.process import kill, recorded
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.errors import AlreadyExists, ApiError, Forbidden, TransportError
from kfx.kube.resource import Resource
from kfx.kube.tls import Tls
from kfx.kube.tokens import TokenFile
from kfx.runtime.cache import Cache
from kfx.runtime.leader import LeaderElector
from kfx.runtime.lease import ApiLeaseLock
from kfx.runtime.reconcile import Request
from tests.cluster.fault_proxy import (
    Act,
    Exchange,
    byte_by_byte,
    cut_after,
    end_after,
    events,
    hold,
    late_by,
    narrow,
    reset_before_asking,
    reset_before_the_reply,
    status,
)
from tests.cluster.fault_rig import CONFIG_MAPS, STREAM, WATCH, Rig, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}

NO_STREAM = {**GONE, "reason": "Invalid", "code": 422, "message": "sendInitialEvents is forbidden"}


@pytest.mark.parametrize("size", [1500, 2200])
async def test_N1_a_watch_that_is_cut_in_mid_line_goes_on_where_it_was(rig: Rig, size: int) -> None:
    cut = rig.proxy.inject("GET", WATCH, cut_after(size), times=2)
    async with rig.following() as names:
        for name in "abcdefgh":
            await rig.put(name)
        await until(lambda: names() == set("abcdefgh"))
        await until(lambda: cut.hits == 2)
    assert rig.told == [("came", name) for name in "abcdefgh"], "each once, in order"
    assert rig.proxy.count(STREAM) == 1, "no second list"


async def test_N2_a_creation_whose_reply_is_lost_is_not_repeated(rig: Rig) -> None:
    rig.proxy.inject("POST", "configmaps", reset_before_the_reply)
    manifest = {"metadata": {"name": "once"}}
    with pytest.raises(TransportError):
        await rig.client.create(CONFIG_MAPS, manifest, namespace=rig.namespace)
    assert rig.proxy.count("POST .*configmaps") == 1
    with pytest.raises(AlreadyExists):
        await rig.client.create(CONFIG_MAPS, manifest, namespace=rig.namespace)


async def test_N2_a_read_whose_connection_is_cut_is_repeated_once(rig: Rig) -> None:
    await rig.put("a")
    rig.proxy.inject("GET", "configmaps/a", reset_before_asking)
    found = await rig.client.get_document(CONFIG_MAPS, rig.namespace, "a")
    assert found["metadata"]["name"] == "a"
    assert rig.proxy.count("GET .*configmaps/a") == 2


async def test_N3_a_watch_that_the_server_ends_is_opened_again_without_a_word_or_a_list(rig: Rig) -> None:
    ended = rig.proxy.inject("GET", WATCH, end_after(1.2), times=1)
    async with rig.following() as names:
        with capture_logs() as lines:
            await until(lambda: ended.hits == 1 and rig.proxy.count(WATCH) == 2)
            await rig.put("a")
            await until(lambda: names() == {"a"})
    assert rig.proxy.count(STREAM) == 1
    assert [line for line in lines if line["log_level"] != "debug"] == []


async def test_N4_watches_that_end_at_once_are_not_asked_for_in_a_loop(rig: Rig) -> None:
    empty = status("200 OK", headers="Content-Type: application/json\r\n")
    short = rig.proxy.inject("GET", WATCH, empty, times=3)
    async with rig.following() as names:
        await asyncio.sleep(3)
        assert short.hits <= 3
        assert rig.proxy.count("configmaps") <= 8
        await rig.put("late")
        await until(lambda: names() == {"late"})


async def test_N5_a_silent_watch_is_given_up_and_nothing_is_lost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfx.kube.transport.WATCH_IDLE", 2.0)
    deaf = rig.proxy.inject("GET", WATCH, hold)
    async with Client.connect(Credentials(rig.proxy.url), user_agent="impatient") as client:
        client._exchange.transport._watches._timeout = _silent(client, 2.0)
        rig.client = client
        async with rig.following() as names:
            await rig.put("unheard")
            await until(lambda: names() == {"unheard"})
    assert deaf.hits == 1


def _silent(client: Client, seconds: float) -> Any:
    timeout = client._exchange.transport._watches._timeout
    return type(timeout)(total=None, sock_connect=timeout.sock_connect, sock_read=seconds)


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_N6_a_request_without_an_answer_is_given_up_and_not_repeated(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("kfx.kube.exchange.REQUEST_TIMEOUT", 1.0)
    await rig.put("a")
    rig.proxy.inject(method, "configmaps/a", hold)
    path = CONFIG_MAPS.path(rig.namespace, "a")
    content = {"data": {"text": "y"}} if method == "PATCH" else None
    began = asyncio.get_running_loop().time()
    with pytest.raises(TransportError, match="no answer from"):
        await rig.client.request(method, path, body=content, content_type="application/merge-patch+json")
    assert 1 <= asyncio.get_running_loop().time() - began < 2
    assert rig.proxy.count("configmaps/a") == 1


@pytest.mark.parametrize("seconds", [0.05, 0.2, 1.0])
async def test_N8_a_slow_network_costs_its_time_and_no_list(rig: Rig, seconds: float) -> None:
    rig.proxy.inject("GET", "configmaps", late_by(seconds), times=-1)
    async with rig.following() as names:
        await rig.put("a", "b")
        await until(lambda: names() == {"a", "b"}, seconds=5)
    assert rig.proxy.count(STREAM) == 1


async def test_N8_a_lease_is_kept_over_a_network_that_takes_a_second(rig: Rig) -> None:
    for method in ("PUT", "POST"):
        rig.proxy.inject(method, "leases", late_by(1.0), times=-1)
    lock = ApiLeaseLock(rig.client, rig.namespace, "lock")
    elector = LeaderElector(lock, "a", lease_duration=15, renew_deadline=10, retry_period=0.2)
    assert await elector.acquire(asyncio.Event())
    async with elector.renewing():
        await asyncio.sleep(1.5)
        elector.check()
        assert rig.proxy.count("PUT .*leases") >= 1


async def test_N8_a_list_that_takes_long_for_its_size_is_listed_once(rig: Rig) -> None:
    rig.proxy.inject("GET", "configmaps", narrow(64 * 1024), times=-1)
    await rig.put(*"abcd", text="x" * 32 * 1024)
    async with rig.following() as names:
        assert names() == set("abcd")
    assert rig.proxy.count(STREAM) == 1


@pytest.mark.parametrize("size", [1, 7])
async def test_N9_bytes_may_come_one_by_one(rig: Rig, size: int) -> None:
    rig.proxy.inject("GET", "configmaps", byte_by_byte(size), times=-1)
    await rig.put("before", text="ä" * 50)
    async with rig.following() as names:
        await rig.put("after", text="€\r\n" * 50)
        await until(lambda: names() == {"before", "after"})
    assert rig.told == [("came", "before"), ("came", "after")]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            status("200 OK", b"<html>login</html>", headers="Content-Type: text/html\r\n"), id="html"
        ),
        pytest.param(status("200 OK", b'{"kind":"List","items":[{"meta'), id="cut-json"),
        pytest.param(status("200 OK", b"junk", headers="Content-Encoding: gzip\r\n"), id="no-gzip"),
        pytest.param(status("502 Bad Gateway", b"oops"), id="gateway"),
    ],
)
async def test_N10_an_answer_that_is_none_costs_time_and_nothing_else(rig: Rig, answer: Act) -> None:
    await rig.put("a")
    rig.proxy.inject("GET", "configmaps", answer, times=2)
    async with rig.following() as names:
        assert names() == {"a"}


async def test_N12_a_server_that_closes_after_each_answer_leaves_no_socket_behind(rig: Rig) -> None:
    await rig.put("a")

    async def ask(times: int) -> int:
        for _ in range(times):
            await rig.client.get_document(CONFIG_MAPS, rig.namespace, "a")
        return len(os.listdir("/proc/self/fd"))

    before = await ask(5)
    assert await ask(100) - before <= 5


async def test_N13_refused_connections_make_no_second_list(rig: Rig) -> None:
    async with rig.following() as names:
        await rig.put("a")
        await until(lambda: names() == {"a"})
        await rig.proxy.refuse()
        rig.proxy.cut_all()
        await rig.put("b")
        await asyncio.sleep(2)
        await rig.proxy.listen()
        await until(lambda: names() == {"a", "b"})
    assert rig.proxy.count(STREAM) == 1


async def test_A1_an_expired_watch_lists_again_and_learns_what_has_gone(rig: Rig) -> None:
    await rig.put("a", "b")
    let_go = asyncio.Event()

    async def expire(exchange: Exchange) -> None:
        await let_go.wait()
        line = json.dumps({"type": "ERROR", "object": GONE}).encode() + b"\n"
        await exchange.answer("200 OK", line, headers="Content-Type: application/json\r\n")

    rig.proxy.inject("GET", WATCH, expire)
    async with rig.following() as names:
        await rig.drop("a")
        await rig.put("c")
        let_go.set()
        await until(lambda: names() == {"b", "c"})
    assert ("gone", "a") in rig.told
    assert rig.told.count(("came", "b")) == 1
    assert rig.proxy.count(STREAM) == 2


async def test_A3_pages_of_a_forgotten_list_are_never_mixed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfx.runtime.reflector.PAGE_SIZE", 2)
    rig.proxy.inject(
        "GET", STREAM, status("422 Unprocessable Entity", json.dumps(NO_STREAM).encode()), times=-1
    )
    rig.proxy.inject("GET", "continue=", status("410 Gone", json.dumps(GONE).encode()))
    await rig.put(*"abcde")
    async with rig.following() as names:
        assert names() == set("abcde")
    assert rig.proxy.count("limit=2") == 5


async def test_A8_an_event_that_is_repeated_is_told_once(rig: Rig) -> None:
    rig.proxy.inject("GET", WATCH, events(lambda line: [line, line]), times=-1)
    async with rig.following() as names:
        await rig.put("a", "b")
        await until(lambda: names() == {"a", "b"})
        await rig.drop("a")
        await until(lambda: names() == {"b"})
    assert rig.told == [("came", "a"), ("came", "b"), ("gone", "a")]


async def test_A9_what_was_never_seen_does_not_matter_in_the_end(rig: Rig) -> None:
    lines = count()

    def swallow(line: bytes) -> list[bytes]:
        return [] if next(lines) < 3 else [line]

    rig.proxy.inject("GET", WATCH, events(swallow))
    async with rig.following() as names:
        await rig.put("a", "b")
        await rig.drop("a")
        await rig.put("c")
        await until(lambda: names() == {"c"})
        rig.proxy.inject("GET", WATCH, status("410 Gone", json.dumps(GONE).encode()))
        rig.proxy.cut_all()
        await until(lambda: names() == {"b", "c"})


async def test_A10_a_server_that_puts_off_is_asked_again_when_it_says(rig: Rig) -> None:
    busy = status("429 Too Many Requests", b"{}", headers="Retry-After: 1\r\n")
    put_off = rig.proxy.inject("POST", "configmaps", busy, times=2)
    began = asyncio.get_running_loop().time()
    await rig.client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace=rig.namespace)
    assert asyncio.get_running_loop().time() - began >= 2
    assert put_off.hits == 2


async def test_A10_a_watch_that_is_put_off_makes_no_second_list(rig: Rig) -> None:
    rig.proxy.inject("GET", WATCH, status("429 Too Many Requests", b"{}"), times=2)
    async with rig.following() as names:
        await rig.put("a")
        await until(lambda: names() == {"a"})
    assert rig.proxy.count(STREAM) == 1


@pytest.mark.parametrize("code", ["500 Internal Server Error", "503 Service Unavailable"])
async def test_A11_an_error_without_a_date_is_the_callers_to_answer(rig: Rig, code: str) -> None:
    rig.proxy.inject("POST", "configmaps", status(code, b"{}"))
    with pytest.raises(ApiError) as caught:
        await rig.client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace=rig.namespace)
    assert str(caught.value.status) in code
    assert rig.proxy.count("POST") == 1


async def test_A15_a_right_that_is_taken_away_is_named_and_does_no_harm(rig: Rig) -> None:
    await rig.put("a")
    body = {"kind": "Status", "reason": "Forbidden", "message": "no", "code": 403}
    rig.proxy.inject("GET", "configmaps", status("403 Forbidden", json.dumps(body).encode()), times=2)
    cache = Cache(rig.client)
    lister = cache.dynamic(CONFIG_MAPS, namespace=rig.namespace, label_selector="app=test")
    async with cache.running():
        await until(lambda: "grant the rule" in "".join(cache.unsynced()))
        assert 'resources: ["configmaps"]' in cache.unsynced()[0]
        await until(lambda: lister.get(Request(rig.namespace, "a")) is not None)
        assert cache.unsynced() == []


async def test_A16_a_revoked_token_is_replaced_by_what_its_file_holds_by_then(
    credentials: Credentials, rig: Rig, tmp_path: Path
) -> None:
    await rig.put("a")
    file = tmp_path / "token"
    file.write_text(await new_account(rig))
    account = Credentials(
        credentials.server,
        tls=Tls(ca=credentials._tls.ca),
        tokens=TokenFile(file, origin="service account: token"),
    )
    async with Client.connect(account, user_agent="account") as client:
        await until_granted(client, rig)
        await rig.direct.delete(ACCOUNTS, rig.namespace, "a16")
        fresh = await new_account(rig)
        assert (await first_refusal(client, rig)).status == 401
        file.write_text(fresh)
        assert (await client.get_document(CONFIG_MAPS, rig.namespace, "a"))["metadata"]["name"] == "a"


ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")


async def new_account(rig: Rig) -> str:
    """A token of the service account ``a16``, which may read everything in its namespace."""
    await rig.direct.create(ACCOUNTS, {"metadata": {"name": "a16"}}, namespace=rig.namespace)
    subject = {"kind": "ServiceAccount", "namespace": rig.namespace, "name": "a16"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    with suppress(AlreadyExists):
        binding = {"metadata": {"name": "a16"}, "subjects": [subject], "roleRef": role}
        await rig.direct.create(BINDINGS, binding, namespace=rig.namespace)
    path = ACCOUNTS.path(rig.namespace, "a16", "token")
    answer = await rig.direct.request("POST", path, body={"spec": {"expirationSeconds": 3600}})
    token: str = answer["status"]["token"]
    return token


async def first_refusal(client: Client, rig: Rig) -> ApiError:
    async with asyncio.timeout(30):
        while True:  # the server believes what it has checked for 10 s more
            try:
                await client.get_document(CONFIG_MAPS, rig.namespace, "a")
            except ApiError as refused:
                return refused
            await asyncio.sleep(0.2)


async def until_granted(client: Client, rig: Rig) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(Forbidden):
                await client.get_document(CONFIG_MAPS, rig.namespace, "a")
                return
            await asyncio.sleep(0.1)


async def test_C1_after_the_death_of_the_api_server_all_goes_on_within_seconds(
    cluster: Layout, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig, "client", rig.direct)
    async with rig.following() as names:
        await rig.put("before")
        await until(lambda: names() == {"before"})
        process = recorded(cluster.records / "kube-apiserver")
        assert process is not None
        kill(process)
        with pytest.raises(TransportError):
            await rig.put("refused")
        await asyncio.sleep(8)  # back-offs have grown by now
        control_plane.start_api_server(cluster, binaries.find(binaries.CONTROL_PLANE, cluster.cache))
        await asyncio.to_thread(control_plane.wait_for_api, cluster, Api.load(cluster.kubeconfig))
        await rig.put("after")
        await until(lambda: names() == {"before", "after"}, seconds=20)
    # a server that has forgotten its history is listed again, which tells what is there once more
    news = [entry for entry in rig.told if entry != ("changed", "before")]
    assert news == [("came", "before"), ("came", "after")]
