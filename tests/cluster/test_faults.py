"""The client and the cache behind a bad network and a bad server, faults by number in the catalogue."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from hack.cluster import binaries, control_plane
from hack.cluster.api import Api
from hack.cluster.layout import Layout
from hack.cluster.process import kill, recorded
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials, load_credentials
from kfx.kube.errors import AlreadyExists, ApiError, TransportError
from kfx.kube.resource import Resource
from kfx.runtime.cache import Cache
from kfx.runtime.event import Event
from kfx.runtime.reconcile import Request
from tests.cluster.fault_proxy import (
    Act,
    Exchange,
    FaultProxy,
    byte_by_byte,
    cut_after,
    events,
    fault_proxy,
    hold,
    reset_before_asking,
    reset_before_the_reply,
    status,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NUMBERS = count()
WATCH = r"configmaps\?watch=true.*resourceVersion=\d"
STREAM = "sendInitialEvents=true"
GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}

NO_STREAM = {**GONE, "reason": "Invalid", "code": 422, "message": "sendInitialEvents is forbidden"}


@dataclass
class Rig:
    """A cache behind the proxy, and a client that reaches the server past it."""

    direct: Client
    client: Client
    proxy: FaultProxy
    namespace: str
    told: list[tuple[str, str]] = field(default_factory=list)

    async def put(self, *names: str, text: str = "x") -> None:
        for name in names:
            manifest = {"metadata": {"name": name, "labels": {"app": "test"}}, "data": {"text": text}}
            await self.direct.create(CONFIG_MAPS, manifest, namespace=self.namespace)

    async def drop(self, *names: str) -> None:
        for name in names:
            await self.direct.delete(CONFIG_MAPS, self.namespace, name)

    def hear(self, event: Event[Any]) -> None:
        kind = "gone" if event.new is None else "came" if event.old is None else "changed"
        self.told.append((kind, event.obj.metadata.name))

    @asynccontextmanager
    async def following(self) -> AsyncIterator[Callable[[], set[str]]]:
        """The names in the cache."""
        cache = Cache(self.client)
        lister = cache.dynamic(CONFIG_MAPS, namespace=self.namespace, label_selector="app=test")
        next(iter(cache._informers.values())).on_event(self.hear)
        async with cache.running():
            assert await cache.wait_for_sync(asyncio.Event())
            yield lambda: {obj.metadata.name for obj in lister.all()}


@pytest.fixture
def credentials(cluster: Layout) -> Credentials:
    return load_credentials(str(cluster.kubeconfig))


@pytest.fixture
async def rig(credentials: Credentials) -> AsyncIterator[Rig]:
    async with (
        fault_proxy(credentials) as proxy,
        Client.connect(credentials, user_agent="test") as direct,
        Client.connect(Credentials(proxy.url), user_agent="behind-the-proxy") as client,
    ):
        namespace = f"space-{next(NUMBERS)}"
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await direct.create(NAMESPACES, manifest)
        yield Rig(direct, client, proxy, namespace)


async def until(true: Callable[[], Any], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


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
