"""etcd that hangs, dies, forgets or is set back, and API servers that take turns; by number."""

import asyncio
import json
import os
import shutil
import signal
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hack.cluster import binaries, control_plane
from hack.cluster.api import Api
from hack.cluster.layout import Layout
from hack.cluster.process import kill, recorded
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.errors import AlreadyExists, TransportError, Unreachable
from kfx.kube.tls import Material, Tls
from kfx.runtime.cache import Cache
from tests.cluster.fault_proxy import Exchange
from tests.cluster.fault_rig import CONFIG_MAPS, STREAM, WATCH, Rig, until
from tests.pki import authority

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SECOND = "kube-apiserver-2"
SECOND_PORT = 7444


@pytest.fixture
def programs(cluster: Layout) -> Mapping[str, Path]:
    return binaries.find(binaries.CONTROL_PLANE, cluster.cache)


@contextmanager
def frozen(cluster: Layout, name: str) -> Iterator[None]:
    process = recorded(cluster.records / name)
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def end(cluster: Layout, name: str) -> None:
    process = recorded(cluster.records / name)
    assert process is not None
    kill(process)


async def start_api_server(cluster: Layout, programs: Mapping[str, Path]) -> None:
    control_plane.start_api_server(cluster, programs)
    await asyncio.to_thread(control_plane.wait_for_api, cluster, Api.load(cluster.kubeconfig))


async def compact(cluster: Layout, version: str) -> None:
    """Have etcd forget what was before ``version``."""
    body = json.dumps({"revision": version, "physical": True}).encode()
    request = urllib.request.Request(f"{cluster.etcd}/v3/kv/compaction", body)
    with await asyncio.to_thread(urllib.request.urlopen, request, timeout=20) as answer:
        assert answer.status == 200


async def version_of(rig: Rig, name: str) -> str:
    found = await rig.direct.get_document(CONFIG_MAPS, rig.namespace, name)
    version: str = found["metadata"]["resourceVersion"]
    return version


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_N11_an_api_server_that_is_not_the_one_expected_is_told_nothing(
    credentials: Credentials, wrong: str
) -> None:
    other = Material("clusters: certificate-authority-data", data=authority("somebody else").pem)
    tls = Tls(ca=other) if wrong == "authority" else Tls(ca=credentials._tls.ca, server_name="elsewhere")
    async with Client.connect(Credentials(credentials.server, tls=tls), user_agent="test") as client:
        with pytest.raises(Unreachable, match="no trusted TLS connection"):
            await client.get_document(CONFIG_MAPS, "default", "kube-root-ca.crt")


async def test_C3_C4_while_etcd_hangs_nothing_is_lost_or_done_twice_and_nobody_starts_work(
    cluster: Layout, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.put("before")
    late = Cache(rig.direct)
    lister = late.dynamic(CONFIG_MAPS, namespace=rig.namespace, label_selector="app=test")
    async with rig.following() as names, late.running():
        with frozen(cluster, "etcd"):
            monkeypatch.setattr("kfx.kube.exchange.REQUEST_TIMEOUT", 2.0)
            with pytest.raises(TransportError, match="no answer"):
                await rig.put("meanwhile")
            assert not late.synced(), "a first list is a consistent read, never the server's memory"
            assert names() == {"before"}
            monkeypatch.undo()
        await until(lambda: late.synced() and names() >= {"before"}, seconds=15)
        with suppress(AlreadyExists):  # the server had got it after all
            await rig.put("meanwhile")
        await until(lambda: names() == {"before", "meanwhile"} == {o.metadata.name for o in lister.all()}, 15)
    assert [kind for kind, _ in rig.told if kind == "gone"] == []


async def test_C3_after_the_death_of_etcd_all_goes_on(
    cluster: Layout, rig: Rig, programs: Mapping[str, Path]
) -> None:
    async with rig.following() as names:
        await rig.put("before")
        await until(lambda: names() == {"before"})
        end(cluster, "etcd")
        await asyncio.sleep(2)
        control_plane.start_etcd(cluster, programs)
        await asyncio.to_thread(control_plane.wait_for_api, cluster, Api.load(cluster.kubeconfig))
        await rig.put("after")
        await until(lambda: names() == {"before", "after"}, seconds=15)
    assert [kind for kind, _ in rig.told if kind == "gone"] == []


async def test_A4_what_was_deleted_before_a_compaction_is_told_as_gone(
    cluster: Layout, rig: Rig, programs: Mapping[str, Path]
) -> None:
    let_go = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await let_go.wait()
        await exchange.pass_on()

    async with rig.following() as names:
        await rig.put("a", "b")
        await until(lambda: names() == {"a", "b"})
        held = rig.proxy.inject("GET", WATCH, wait)
        rig.proxy.cut_all()
        await until(lambda: held.hits)
        await rig.drop("a")
        await rig.put("c", "d")
        await compact(cluster, await version_of(rig, "d"))
        end(cluster, "kube-apiserver")  # whose memory of changes would answer still
        await start_api_server(cluster, programs)
        let_go.set()
        await until(lambda: names() == {"b", "c", "d"})
    assert ("gone", "a") in rig.told
    assert rig.told.count(("came", "b")) == 1


@dataclass
class Relay:
    """Between an API server and etcd; what comes is held while it is not ``open``."""

    target: str
    group: asyncio.TaskGroup
    open: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(self.group.create_task(self._join(reader, writer)))

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        where = urlsplit(self.target)
        other_reader, other_writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, other_writer))
                both.create_task(self._pass_on(other_reader, writer))
        finally:
            writer.transport.abort()
            other_writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self.open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()


@asynccontextmanager
async def relay_to(target: str) -> AsyncIterator[Relay]:
    async with asyncio.TaskGroup() as group:
        relay = Relay(target, group)
        relay.open.set()
        async with await asyncio.start_server(relay.accept, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            relay.url = f"http://{host}:{port}"
            yield relay
        for task in relay.tasks:
            task.cancel()


@asynccontextmanager
async def second_api_server(
    cluster: Layout, programs: Mapping[str, Path], relay: Relay
) -> AsyncIterator[str]:
    """One more on the same etcd; its URL."""
    port = f"--secure-port={SECOND_PORT}"
    control_plane.start_api_server(cluster, programs, extra=[port], name=SECOND, etcd=relay.url)
    url = f"https://{urlsplit(cluster.api_server).hostname}:{SECOND_PORT}"
    api = replace(Api.load(cluster.kubeconfig), server=url)
    try:
        await asyncio.to_thread(
            control_plane.await_part, cluster, SECOND, lambda: api.answers("/readyz"), timeout=60
        )
        yield url
    finally:
        end(cluster, SECOND)


async def test_C2_S2_of_two_api_servers_the_one_that_lags_behind_is_never_believed(
    cluster: Layout, rig: Rig, programs: Mapping[str, Path]
) -> None:
    first = rig.proxy.server
    async with (
        relay_to(cluster.etcd) as relay,
        second_api_server(cluster, programs, relay) as second,
        rig.following() as names,
    ):
        for name, server in zip("abcd", (second, first) * 2, strict=True):
            rig.proxy.server = server
            rig.proxy.cut_all()
            await rig.put(name)
            await until(lambda: ("came", name) in rig.told, seconds=10)  # noqa: B023 — used at once
        assert rig.told == [("came", name) for name in "abcd"]
        assert rig.proxy.count(STREAM) == 1, "taking turns makes no list"

        relay.open.clear()
        await rig.drop("a")
        await rig.put("e")
        await until(lambda: names() == set("bcde"))
        rig.proxy.server = second
        rig.proxy.cut_all()
        await asyncio.sleep(4)
        assert names() == set("bcde"), "what was deleted does not come back"
        relay.open.set()
        await rig.put("f")
        await until(lambda: names() == set("bcdef"), seconds=30)
    assert rig.told.count(("came", "a")) == 1


async def test_A5_a_store_that_was_set_back_is_followed_back(
    cluster: Layout, rig: Rig, programs: Mapping[str, Path], tmp_path: Path
) -> None:
    data, backup = cluster.folder / "etcd", tmp_path / "etcd"
    async with rig.following() as names:
        await rig.put("a", "b")
        end(cluster, "etcd")
        shutil.copytree(data, backup)
        control_plane.start_etcd(cluster, programs)
        await asyncio.to_thread(control_plane.wait_for_api, cluster, Api.load(cluster.kubeconfig))
        await rig.drop("a")
        await rig.put("c")
        await until(lambda: names() == {"b", "c"})

        end(cluster, "kube-apiserver")
        end(cluster, "etcd")
        shutil.rmtree(data)
        shutil.copytree(backup, data)
        control_plane.start_etcd(cluster, programs)
        await start_api_server(cluster, programs)
        await until(lambda: names() == {"a", "b"})
        assert rig.told[-2:].count(("gone", "c")) == 1
        await rig.put("d")
        await until(lambda: names() == {"a", "b", "d"})
