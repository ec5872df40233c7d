"""One informer for each selection, and what becomes of the cache when one fails."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from kfx.kube.listwatch import Page, WatchMessage
from kfx.kube.resource import Resource
from kfx.runtime.cache import Cache
from kfx.runtime.handler import EnqueueRequestForObject
from kfx.runtime.reconcile import Request
from kfx.runtime.workqueue import WorkQueue
from tests.things import Thing, end_of_list, event, play, raw

OTHERS = Resource("example.org", "v1", "others", "Other")


class Playback:
    """As much of a client as a cache uses: every list is ``page``, every watch is silent."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def list_page(self, resource: Resource, **options: Any) -> Page:
        return Page("5", "", [raw(name, 1) for name in self.names])

    async def watch(self, resource: Resource, **options: Any) -> AsyncGenerator[WatchMessage, None]:
        self.asked.append((str(resource), {key: value for key, value in options.items() if value}))
        script: list[Any] = ["forever"]
        if options.get("initial_events"):
            script = [*(event("ADDED", name, 1) for name in self.names), end_of_list(5)]
        async for message in play(script):
            yield message


def cache_of(*names: str) -> tuple[Cache, Playback]:
    playback = Playback(*names)
    return Cache(playback), playback  # type: ignore[arg-type]


def test_the_same_selection_is_followed_once() -> None:
    cache, _ = cache_of()
    first = cache.informer(Thing, indexers={"group": lambda t: (t.spec.group,)})
    assert cache.informer(Thing) is first
    assert cache.informer(Thing, namespace="ns") is not first
    assert cache.informer(Thing, label_selector="a=b") is not first
    assert len(cache._informers) == 3


def test_the_ways_to_read_a_kind_do_not_mix() -> None:
    cache, _ = cache_of()
    typed, untyped, metadata = (
        cache.informer(Thing),
        cache.dynamic(Thing.resource),
        cache.metadata(Thing.resource),
    )
    assert len({id(each) for each in (typed, untyped, metadata)}) == 3


def test_two_transforms_of_one_selection_contradict_each_other() -> None:
    cache, _ = cache_of()
    cache.informer(Thing)
    with pytest.raises(ValueError, match=r"things\.example\.org: declare the transform with the first use"):
        cache.informer(Thing, transform=lambda found: found)


async def test_it_is_in_step_once_every_informer_has_its_list() -> None:
    cache, playback = cache_of("a")
    things = cache.informer(Thing, namespace="ns", label_selector="x=y", field_selector="metadata.name=a")
    assert cache.unsynced() == ["things.example.org (ns, x=y, metadata.name=a): not listed yet"]
    async with cache.running():
        assert await cache.wait_for_sync(asyncio.Event())
        assert cache.unsynced() == []
        assert things.get(Request("ns", "a")) is not None
    assert cache.sizes() == {"things.example.org (ns, x=y, metadata.name=a)": 1}
    asked = playback.asked[0][1]
    assert (asked["namespace"], asked["label_selector"], asked["initial_events"]) == ("ns", "x=y", True)


async def test_waiting_ends_when_the_process_is_to_stop() -> None:
    cache, _ = cache_of()
    cache.informer(Thing)
    stop = asyncio.Event()
    stop.set()
    assert not await cache.wait_for_sync(stop)


async def test_a_kind_may_be_added_while_it_runs() -> None:
    cache, _ = cache_of("a")
    async with cache.running():
        late = cache.metadata(OTHERS)
        assert await cache.wait_for_sync(asyncio.Event())
        assert late.keys() == [Request("ns", "a")]


async def test_events_reach_the_queue_of_each_watch() -> None:
    cache, _ = cache_of("a", "b")
    first, second = WorkQueue[Request](), WorkQueue[Request]()
    for queue in (first, second):
        cache.watch(Thing, EnqueueRequestForObject(), queue)
    async with cache.running():
        await cache.wait_for_sync(asyncio.Event())
    assert (len(first), len(second)) == (2, 2)


async def test_a_defect_in_one_informer_ends_them_all_and_is_told() -> None:
    def defect(found: Thing) -> Thing:
        raise KeyError("a defect")

    cache, _ = cache_of("a")
    cache.informer(Thing, transform=defect)
    cache.informer(Thing, namespace="other")
    with pytest.raises(ExceptionGroup) as caught:
        async with cache.running(), asyncio.timeout(60):
            await asyncio.Event().wait()
    assert caught.group_contains(KeyError)
