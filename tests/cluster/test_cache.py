"""What a cache holds, judged by a real API server: selections, metadata alone, kinds that come and go."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import count
from typing import Any

import pytest

from kfx.kube.client import APPLY_PATCH, Client
from kfx.kube.decode import ends_initial_events, read_head
from kfx.kube.errors import ApiError, Conflict
from kfx.kube.resource import Resource
from kfx.runtime.cache import Cache
from kfx.runtime.handler import EnqueueRequestForObject
from kfx.runtime.reconcile import Request
from kfx.runtime.workqueue import WorkQueue

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
THINGS = Resource("example.org", "v1", "things", "Thing")
NUMBERS = count()


@pytest.fixture
async def namespace(client: Client) -> str:
    name = f"space-{next(NUMBERS)}"
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


@asynccontextmanager
async def following(cache: Cache) -> AsyncIterator[None]:
    async with cache.running():
        assert await cache.wait_for_sync(asyncio.Event())
        yield


async def until(true: Callable[[], Any], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


async def put(client: Client, namespace: str, name: str, **labels: str) -> dict[str, Any]:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {"text": "x" * 1000},
    }
    return await client.create(CONFIG_MAPS, manifest, namespace=namespace)


async def test_a_cache_of_metadata_is_sent_nothing_else(client: Client, namespace: str) -> None:
    await put(client, namespace, "listed", app="a")
    cache = Cache(client)
    metadata = cache.metadata(CONFIG_MAPS, namespace=namespace)
    queue: WorkQueue[Request] = WorkQueue()
    cache.watch(
        CONFIG_MAPS, EnqueueRequestForObject(), queue, namespace=namespace, metadata_only=True
    )  # fmt: skip
    page = await client.list_page(CONFIG_MAPS, namespace=namespace, metadata_only=True)
    assert page.items
    assert all(b"xxx" not in bytes(item) for item in page.items)
    async with following(cache):
        assert metadata.get(Request(namespace, "listed")).metadata.label("app") == "a"
        await put(client, namespace, "watched", app="b")
        await until(lambda: metadata.get(Request(namespace, "watched")) is not None)
        assert {await queue.get(), await queue.get()} >= {Request(namespace, "watched")}
        await client.patch(CONFIG_MAPS, namespace, "watched", {"metadata": {"labels": {"app": "c"}}})
        await until(lambda: metadata.get(Request(namespace, "watched")).metadata.label("app") == "c")
        await client.delete(CONFIG_MAPS, namespace, "watched")
        await until(lambda: metadata.get(Request(namespace, "watched")) is None)


async def test_an_object_that_leaves_a_selection_is_gone_from_its_cache(
    client: Client, namespace: str
) -> None:
    await put(client, namespace, "in", app="a")
    await put(client, namespace, "out", app="b")
    cache = Cache(client)
    by_label = cache.dynamic(CONFIG_MAPS, namespace=namespace, label_selector="app=a")
    by_field = cache.dynamic(CONFIG_MAPS, namespace=namespace, field_selector="metadata.name=out")
    async with following(cache):
        assert by_label.keys() == [Request(namespace, "in")]
        assert by_field.keys() == [Request(namespace, "out")]
        await client.patch(CONFIG_MAPS, namespace, "in", {"metadata": {"labels": {"app": "b"}}})
        await until(lambda: not by_label.keys())


def definition() -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


async def test_a_kind_may_appear_and_vanish_while_it_is_followed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfx.runtime.reflector.NOT_SERVED_PERIOD", 0.5)
    cache = Cache(client)
    things = cache.dynamic(THINGS)
    async with following(cache):
        assert things.keys() == []
        for name in ("first", "second"):
            await client.create(DEFINITIONS, definition())
            manifest = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": name}}
            await until_created(client, manifest)
            await until(lambda name=name: things.keys() == [Request("default", name)])
            await client.delete(DEFINITIONS, "", "things.example.org")
            await until(lambda: things.keys() == [])


async def until_created(client: Client, manifest: dict[str, Any]) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.create(THINGS, manifest, namespace="default")
            except ApiError:
                await asyncio.sleep(0.1)
            else:
                return


async def test_what_is_applied_belongs_to_its_manager(client: Client, namespace: str) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "owned"},
        "data": {"ours": "1"},
    }

    async def apply(manager: str, data: dict[str, str], *, force: bool = False) -> dict[str, Any]:
        changed = {**manifest, "data": data}
        found = await client.patch(
            CONFIG_MAPS, namespace, "owned", changed,
            content_type=APPLY_PATCH, field_manager=manager, force=force,
        )  # fmt: skip
        data_now: dict[str, Any] = found.get("data", {})
        return data_now

    assert await apply("a", {"ours": "1", "more": "1"}) == {"ours": "1", "more": "1"}
    with pytest.raises(Conflict, match="conflict with"):
        await apply("b", {"ours": "2"})
    assert await apply("b", {"ours": "2"}, force=True) == {"ours": "2", "more": "1"}
    assert await apply("a", {}) == {"ours": "2"}


async def test_the_server_streams_a_list_and_says_where_it_ends(client: Client, namespace: str) -> None:
    for name in ("a", "b"):
        await put(client, namespace, name)
    seen = []
    stream = client.watch(
        CONFIG_MAPS, namespace=namespace, resource_version="", timeout_seconds=10, initial_events=True
    )
    async with aclosing(stream):
        async for message in stream:
            if message.type == "BOOKMARK" and ends_initial_events(message.object):
                break
            seen.append((message.type, read_head(message.object).name))
    assert {("ADDED", "a"), ("ADDED", "b")} <= set(seen)
    assert {kind for kind, _ in seen} == {"ADDED"}
