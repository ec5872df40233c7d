"""One informer for each selection, and what becomes of the cache when one fails."""

import asyncio
from collections.abc import AsyncGenerator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from kfx.kube import errors
from kfx.kube.listwatch import Page, WatchMessage
from kfx.kube.resource import Resource
from kfx.runtime.cache import Cache
from kfx.runtime.handler import EnqueueRequestForObject, EnqueueRequestsFromMapFunc
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.reconcile import Request
from kfx.runtime.workqueue import WorkQueue
from tests.things import Thing, end_of_list, event, play, raw, stray

of_reconcile: ContextVar[str] = ContextVar("of_reconcile")
OTHERS = Resource("example.org", "v1", "others", "Other")


class Playback:
    """As much of a client as a cache uses: every list holds ``names``, every watch is silent."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.pages: list[dict[str, Any]] = []
        self.failure: Exception | None = None  # of a streamed list
        self.delay = 0.0  # before a streamed list
        self.back = asyncio.Event()
        self.labels: Any = None  # of what is listed

    async def list_page(self, resource: Resource, **options: Any) -> Page:
        self.pages.append({key: value for key, value in options.items() if value})
        return Page("5", "", [raw(name, 1) for name in self.names])

    async def reachable(self) -> None:
        await self.back.wait()

    async def watch(self, resource: Resource, **options: Any) -> AsyncGenerator[WatchMessage, None]:
        self.asked.append((str(resource), {key: value for key, value in options.items() if value}))
        script: list[Any] = ["forever"]
        if options.get("initial_events"):
            await asyncio.sleep(self.delay)
            if self.failure is not None:
                raise self.failure
            script = [*(event("ADDED", name, 1, labels=self.labels) for name in self.names), end_of_list(5)]
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


class Mixed(Playback):
    """Sends, in its first stream, what has no place there beside a Thing named good."""

    async def watch(self, resource: Resource, **options: Any) -> AsyncGenerator[WatchMessage, None]:
        strays: list[Any] = [
            WatchMessage("ADDED", stray("gadget", 2)),
            event("ADDED", "", 2),
            event("ADDED", "nowhere", 2, namespace=""),
            event("ADDED", "nobody", 2, uid=""),
        ]
        deletion = WatchMessage("DELETED", stray("good", 9))
        first = [*strays, event("ADDED", "good", 1), end_of_list(5)]
        async for message in play(first if options.get("initial_events") else [*strays, deletion, "forever"]):
            yield message


@pytest.mark.parametrize("way", ["informer", "dynamic"])
async def test_what_is_of_another_kind_or_has_no_name_or_uid_is_counted_and_skipped(way: str) -> None:
    metrics = RuntimeMetrics()
    cache = Cache(Mixed(), metrics=metrics)  # type: ignore[arg-type]
    lister = getattr(cache, way)(Thing if way == "informer" else Thing.resource)
    async with cache.running():
        await asyncio.sleep(1)
        assert lister.keys() == [Request("ns", "good")]
    name = "kfx_informer_undecodable_objects_total"
    assert metrics.registry.get_sample_value(name, {"resource": "things.example.org"}) == 9


@pytest.mark.parametrize("way", ["informer", "dynamic", "metadata"])
async def test_every_way_to_read_a_kind_may_bring_indexes_and_add_more(way: str) -> None:
    cache, _ = cache_of("a", "b")
    read = partial(getattr(cache, way), Thing if way == "informer" else Thing.resource)
    found = read(indexers={"name": lambda obj: (obj.metadata.name,)})
    async with cache.running():
        await cache.wait_for_sync(asyncio.Event())
        assert read(indexers={"namespace": lambda obj: (obj.metadata.namespace,)}) is found
        assert [obj.key for obj in found.by_index("name", "b")] == [("ns", "b")]
        assert [obj.key for obj in found.by_index("namespace", "ns")] == [("ns", "a"), ("ns", "b")]


async def test_a_lister_is_the_informer_of_the_whole_kind() -> None:
    cache, _ = cache_of("a")
    found = cache.lister(Thing)
    assert found is cache.informer(Thing)
    assert cache.unsynced() == ["things.example.org: not listed yet"]


def test_two_transforms_of_one_selection_contradict_each_other() -> None:
    cache, _ = cache_of()
    cache.informer(Thing)
    with pytest.raises(ValueError, match=r"things\.example\.org: declare the transform with the first use"):
        cache.informer(Thing, transform=lambda found: found)


def test_one_transform_may_be_declared_twice_or_left_to_the_first() -> None:
    def same(found: Thing) -> Thing:
        return found

    cache, _ = cache_of()
    first = cache.informer(Thing, transform=same)
    assert cache.informer(Thing, transform=same) is first
    assert cache.informer(Thing) is first


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


@pytest.mark.parametrize("metadata_only", [True, False])
async def test_a_server_that_cannot_stream_is_asked_for_pages_of_the_same_selection(
    metadata_only: bool,
) -> None:
    cache, playback = cache_of("a")
    playback.failure = errors.Invalid("no", status=422)
    read = cache.metadata if metadata_only else cache.dynamic
    read(OTHERS, namespace="ns", label_selector="x=y", field_selector="metadata.name=a")
    async with cache.running():
        assert await cache.wait_for_sync(asyncio.Event())
        await asyncio.sleep(1)
    chosen = {"namespace": "ns", "label_selector": "x=y", "field_selector": "metadata.name=a"}
    (page,), watches = playback.pages, [options for _, options in playback.asked]
    assert [options.items() >= chosen.items() for options in (page, *watches)] == [True] * 3
    assert ["metadata_only" in options for options in (page, *watches)] == [metadata_only] * 3
    assert watches[-1]["resource_version"] == "5"


async def test_a_server_that_is_reached_again_is_asked_again_at_once(clock: Any) -> None:
    cache, playback = cache_of("a")
    cache.informer(Thing)
    playback.failure = errors.Unreachable("refused")
    async with cache.running():
        await asyncio.sleep(100)
        assert len(playback.asked) < 10
        playback.failure = None
        playback.back.set()
        assert await cache.wait_for_sync(asyncio.Event())
        assert 100 <= clock.now <= 101


async def test_a_right_that_is_missing_is_named_instead_of_the_wait() -> None:
    cache, playback = cache_of("a")
    cache.informer(Thing)
    playback.failure = errors.Forbidden("no", status=403)
    async with cache.running():
        await asyncio.sleep(0.1)
        (problem,) = cache.unsynced()
        assert problem.startswith("things.example.org: forbidden: grant the rule")
        playback.failure = None
        await cache.wait_for_sync(asyncio.Event())
        assert cache.unsynced() == []


async def test_an_optional_kind_keeps_nobody_waiting_and_comes_with_its_right() -> None:
    cache, playback = cache_of("a")
    things = cache.informer(Thing, optional="nobody greets")
    playback.failure = errors.Forbidden("no", status=403)
    async with cache.running():
        assert await cache.wait_for_sync(asyncio.Event())
        assert (cache.unsynced(), len(things)) == ([], 0)
        assert things.problem is not None
        assert things.problem.startswith("forbidden: grant the rule")
        assert cache.states()[0].problem == things.problem
        playback.failure = None
        await asyncio.sleep(31)
        assert (things.problem, len(things)) == (None, 1)


def test_a_kind_is_optional_for_all_or_for_nobody() -> None:
    cache, _ = cache_of()
    first = cache.informer(Thing, optional="nobody greets")
    assert cache.informer(Thing) is first
    with pytest.raises(ValueError, match="declare that it is optional with the first use"):
        cache.informer(Thing, optional="nobody sings")


async def test_waiting_lasts_as_long_as_the_slowest_list(clock: Any) -> None:
    cache, playback = cache_of("a")
    cache.informer(Thing)
    playback.delay = 5
    async with cache.running():
        assert await cache.wait_for_sync(asyncio.Event())
        assert clock == 5
        assert [state.age for state in cache.states()] == [0]


async def test_waiting_ends_when_the_process_is_to_stop(clock: Any) -> None:
    cache, playback = cache_of("a")
    cache.informer(Thing)
    playback.delay = 5
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(3, stop.set)
    async with cache.running():
        assert not await cache.wait_for_sync(stop)
        assert clock == 3
        await asyncio.sleep(5)
        assert cache.synced()
        assert not await cache.wait_for_sync(stop)  # in step, but about to stop


async def test_a_kind_may_be_added_while_it_runs() -> None:
    cache, _ = cache_of("a")
    async with cache.running():
        late = cache.metadata(OTHERS)
        assert await cache.wait_for_sync(asyncio.Event())
        assert late.keys() == [Request("ns", "a")]


async def test_what_an_informer_logs_is_not_of_the_reconcile_that_has_declared_it() -> None:
    cache, _ = cache_of("a")
    seen: list[str] = []

    def look(thing: Thing) -> Thing:
        seen.append(of_reconcile.get(""))
        return thing

    async with cache.running():
        of_reconcile.set("some")
        cache.informer(Thing, transform=look)
        assert await cache.wait_for_sync(asyncio.Event())
    assert seen == [""]


async def test_a_kind_is_known_once_it_has_been_listed(clock: Any) -> None:
    cache, playback = cache_of("a")
    playback.delay = 2
    async with cache.running():
        cache.dynamic(OTHERS)
        assert not cache.is_known(OTHERS)
        await asyncio.sleep(3)
        assert cache.is_known(OTHERS)


async def test_events_reach_the_queue_of_each_watch() -> None:
    cache, _ = cache_of("a", "b")
    first, second = WorkQueue[Request](), WorkQueue[Request]()
    for queue in (first, second):
        cache.watch(Thing, EnqueueRequestForObject(), queue)
    async with cache.running():
        await cache.wait_for_sync(asyncio.Event())
    assert (len(first), len(second)) == (2, 2)


@pytest.mark.parametrize("way", ["informer", "dynamic", "metadata"])
async def test_a_watch_shares_the_informer_of_those_who_read(way: str) -> None:
    cache, _ = cache_of("a")
    kind = Thing if way == "informer" else Thing.resource
    found = getattr(cache, way)(kind)
    queue = WorkQueue[Request]()
    cache.watch(kind, EnqueueRequestForObject(), queue, metadata_only=way == "metadata")
    async with cache.running():
        await cache.wait_for_sync(asyncio.Event())
    assert await queue.get() == Request("ns", "a")
    assert [state.objects for state in cache.states()] == [len(found)] == [1]


async def test_an_object_that_does_not_decode_wakes_only_those_who_need_no_more_than_metadata() -> None:
    cache, playback = cache_of()
    seen: list[Any] = []
    ours, theirs = WorkQueue[Request](), WorkQueue[Request]()
    cache.watch(Thing, EnqueueRequestForObject(), ours)
    cache.watch(Thing, EnqueueRequestsFromMapFunc(lambda obj: seen.append(obj) or ()), theirs)
    playback.names = ("a",)
    playback.labels = "unreadable"
    async with cache.running():
        assert await ours.get() == Request("ns", "a")
        assert cache.lister(Thing).unreadable(Request("ns", "a")) is not None
    assert seen == []


async def test_a_watch_of_metadata_takes_a_type_for_its_resource() -> None:
    cache, _ = cache_of("a")
    cache.metadata(Thing.resource)
    cache.watch(Thing, EnqueueRequestForObject(), WorkQueue[Request](), metadata_only=True)
    assert len(cache.states()) == 1


async def test_a_watch_alone_follows_its_kind_in_full() -> None:
    cache, playback = cache_of("a")
    queue = WorkQueue[Request]()
    cache.watch(Thing, EnqueueRequestForObject(), queue)
    async with cache.running():
        await cache.wait_for_sync(asyncio.Event())
    assert await queue.get() == Request("ns", "a")
    assert [type(each) for each in cache.lister(Thing).all()] == [Thing]
    assert not any("metadata_only" in options for _, options in playback.asked)


async def test_nothing_is_followed_any_more_once_it_has_ended() -> None:
    cache, playback = cache_of("a")
    cache.informer(Thing)
    async with cache.running():
        await cache.wait_for_sync(asyncio.Event())
        await asyncio.sleep(1)
    asked = len(playback.asked)
    cache.metadata(OTHERS)
    await asyncio.sleep(1000)
    assert len(playback.asked) == asked


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
