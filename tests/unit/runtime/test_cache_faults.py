"""Very many objects and events, and histories forgotten all at once; by number in the catalogue."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

from kfx.kube.errors import Expired
from kfx.kube.listwatch import Page, WatchMessage
from kfx.kube.resource import Resource
from kfx.runtime.cache import Cache
from kfx.runtime.event import Event
from kfx.runtime.handler import EnqueueRequestForObject
from kfx.runtime.reconcile import Request
from kfx.runtime.reflector import SLICE
from kfx.runtime.workqueue import Priority, WorkQueue
from tests.things import Script, Thing, end_of_list, event, play


class Server:
    """Streams ``listed``; then each kind's watch is as ``watch`` says."""

    def __init__(self, listed: Script, watch: Script) -> None:
        self.listed, self.watch_script = listed, watch
        self.lists: list[float] = []

    async def list_page(self, resource: Resource, **options: Any) -> Page:
        raise AssertionError("streams only")

    async def watch(self, resource: Resource, **options: Any) -> AsyncGenerator[WatchMessage, None]:
        initial = bool(options.get("initial_events"))
        if initial:
            self.lists.append(asyncio.get_running_loop().time())
        async for message in play(self.listed if initial else self.watch_script):
            yield message


def cache_of(server: Server) -> Cache:
    return Cache(server)  # type: ignore[arg-type]


async def test_P11_a_long_list_is_taken_in_slices_and_a_live_change_overtakes_it() -> None:
    count = 20_000
    listed = [*(event("ADDED", f"t{number}", 1) for number in range(count)), end_of_list(5)]
    cache = cache_of(Server(listed, [1, event("MODIFIED", f"t{count - 1}", 9), "forever"]))
    queue: WorkQueue[Request] = WorkQueue()
    handed_on = most = 0

    def hear(_: Event[Any]) -> None:
        nonlocal handed_on
        handed_on += 1

    async def watch_the_loop() -> None:
        nonlocal handed_on, most
        while True:
            most, handed_on = max(most, handed_on), 0
            await asyncio.sleep(0)

    cache.watch(Thing, EnqueueRequestForObject(), queue)
    next(iter(cache._informers.values())).on_event(hear)
    async with asyncio.TaskGroup() as group, cache.running():
        watching = group.create_task(watch_the_loop())
        assert await cache.wait_for_sync(asyncio.Event())
        watching.cancel()
        assert queue.state().ready == {Priority.NORMAL: 0, Priority.LOW: count}
        await asyncio.sleep(0.5)
        assert await queue.get() == Request("ns", "t0")
        await asyncio.sleep(1)
        assert await queue.get() == Request("ns", f"t{count - 1}")
    assert 0 < most <= SLICE


async def test_P12_a_storm_of_events_leaves_one_key_for_each_object() -> None:
    storm = [event("MODIFIED", f"t{number % 100}", number + 10) for number in range(50_000)]
    listed = [*(event("ADDED", f"t{number}", 1) for number in range(100)), end_of_list(5)]
    cache = cache_of(Server(listed, [1, *storm, "forever"]))
    queue: WorkQueue[Request] = WorkQueue()
    lister = cache.informer(Thing)
    cache.watch(Thing, EnqueueRequestForObject(), queue)
    async with cache.running():
        await asyncio.sleep(10)
        assert len(queue) == 100
        versions = {int(thing.metadata.resource_version) for thing in lister.all()}
    assert versions == set(range(50_000 + 10 - 100, 50_000 + 10))


async def test_P13_kinds_whose_history_is_forgotten_at_once_are_not_listed_at_once() -> None:
    kinds, times = 20, 10
    gone = Expired("too old", status=410, method="WATCH", path="/")
    server = Server([event("ADDED", "a", 1), end_of_list(5)], [60, gone])
    cache = cache_of(server)
    told: list[Event[Any]] = []
    for number in range(kinds):
        cache.dynamic(Resource("example.org", "v1", f"kind{number}", "Thing"))
    for informer in cache._informers.values():
        informer.on_event(told.append)
    async with cache.running():
        await asyncio.sleep(150 * times)
    assert len(server.lists) >= kinds * times
    in_one_tenth = Counter(math.floor(moment * 10) for moment in server.lists[kinds:])
    assert max(in_one_tenth.values()) <= kinds // 2
    assert not [each for each in told if each.new is None], "nothing seemed to have gone"
