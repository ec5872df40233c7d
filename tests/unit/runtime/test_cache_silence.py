"""What a cache tells of itself: how far each selection has got, and of which nothing is heard any more."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from kfx.kube.errors import Forbidden, Interrupted, NotFound, TransportError, Unreachable
from kfx.kube.listwatch import Page, WatchMessage
from kfx.kube.resource import Resource
from kfx.runtime.cache import Cache, Following
from kfx.runtime.metrics import RuntimeMetrics
from tests.things import FOREVER, Script, Thing, end_of_list, event, play

OTHERS = Resource("example.org", "v1", "others", "Other")
LIMIT = 180.0


class Server:
    """Lists every kind as empty; then each kind's watch is as ``watches`` says, and silent without a word."""

    def __init__(self, watches: Mapping[str, Script] | None = None) -> None:
        self.watches = watches or {}
        self.failure: Exception | None = None

    async def list_page(self, resource: Resource, **options: Any) -> Page:
        raise self.failure or TransportError("streams only")

    async def watch(self, resource: Resource, **options: Any) -> AsyncGenerator[WatchMessage, None]:
        if self.failure is not None:
            raise self.failure
        script = [end_of_list(5)] if options.get("initial_events") else self.watches.get(str(resource))
        async for message in play(script or [FOREVER]):
            yield message

    async def reachable(self) -> None:
        await asyncio.Event().wait()


def cache_of(server: Server, metrics: RuntimeMetrics | None = None) -> Cache:
    return Cache(server, metrics=metrics)  # type: ignore[arg-type]


def every_minute() -> Script:
    return [step for version in range(6, 20) for step in (60, event("BOOKMARK", "", version))]


async def test_a_kind_whose_server_fell_silent_is_named_and_no_other() -> None:
    cache = cache_of(Server({"others.example.org": every_minute()}))
    cache.informer(Thing)
    cache.dynamic(OTHERS)
    async with cache.running():
        await asyncio.sleep(LIMIT)
        assert cache.silent(LIMIT) == []
        await asyncio.sleep(20)
        assert cache.silent(LIMIT) == ["things.example.org: nothing heard for 200 s (limit 180 s)"]


async def test_bookmarks_once_a_minute_are_enough() -> None:
    cache = cache_of(Server({"things.example.org": every_minute()}))
    cache.informer(Thing)
    async with cache.running():
        for _ in range(100):
            await asyncio.sleep(7)
            assert cache.silent(LIMIT) == []


async def test_a_server_without_bookmarks_is_heard_of_whenever_an_idle_watch_is_opened_again() -> None:
    cache = cache_of(Server({"things.example.org": [70, Interrupted("silent")]}))
    cache.informer(Thing)
    async with cache.running():
        for _ in range(100):
            await asyncio.sleep(7)
            assert cache.silent(LIMIT) == []


async def test_an_api_server_that_is_away_is_noticed_by_every_kind_and_forgiven_when_it_is_back() -> None:
    server = Server({"things.example.org": [10, Unreachable("gone")]})
    cache = cache_of(server)
    cache.informer(Thing)
    async with cache.running():
        await asyncio.sleep(5)
        server.failure = Unreachable("gone")
        await asyncio.sleep(LIMIT)
        assert len(cache.silent(LIMIT)) == 1
        server.failure, server.watches = None, {"things.example.org": every_minute()}
        await asyncio.sleep(120)
        assert cache.silent(LIMIT) == []


async def test_a_kind_without_a_first_list_is_left_to_the_other_check() -> None:
    cache = cache_of(Server())
    cache.informer(Thing)
    assert cache.silent(LIMIT) == []
    assert cache.states() == [Following("things.example.org", 0, False, True, None, None)]


@pytest.mark.parametrize(("failure", "served"), [(NotFound, False), (Forbidden, True)])
async def test_what_is_not_served_or_not_allowed_does_not_count(failure: Any, served: bool) -> None:
    server = Server({"things.example.org": [10]})
    cache = cache_of(server)
    cache.informer(Thing)
    async with cache.running():
        await asyncio.sleep(5)
        server.failure = failure("no", status=404, method="LIST", path="/")
        await asyncio.sleep(300)
        (state,) = cache.states()
        assert (state.served, state.problem is None) == (served, failure is NotFound)
        server.failure = Unreachable("gone")
        await asyncio.sleep(1000)
        assert cache.silent(LIMIT) == []


async def test_a_kind_counts_again_once_it_is_served() -> None:
    server = Server()
    server.failure = NotFound("no", status=404, method="LIST", path="/")
    cache = cache_of(server)
    cache.informer(Thing)
    async with cache.running():
        await asyncio.sleep(100)
        assert [state.served for state in cache.states()] == [False]
        server.failure = None
        await asyncio.sleep(LIMIT + 40)
        assert [state.served for state in cache.states()] == [True]
        assert len(cache.silent(LIMIT)) == 1


async def test_the_age_of_every_kind_is_a_metric() -> None:
    metrics = RuntimeMetrics()
    cache = cache_of(Server(), metrics)
    cache.informer(Thing)

    def age() -> float | None:
        name = "kfx_informer_last_event_age_seconds"
        return metrics.registry.get_sample_value(name, {"resource": "things.example.org"})

    assert age() == -1
    async with cache.running():
        await asyncio.sleep(42)
        assert age() == pytest.approx(42)


async def test_of_two_selections_of_a_kind_the_metric_shows_the_one_longest_unheard_of() -> None:
    metrics = RuntimeMetrics()
    server = Server()
    cache = cache_of(server, metrics)
    cache.informer(Thing, namespace="quiet")

    def age() -> float | None:
        name = "kfx_informer_last_event_age_seconds"
        return metrics.registry.get_sample_value(name, {"resource": "things.example.org"})

    async with cache.running():
        await asyncio.sleep(40)
        cache.informer(Thing, namespace="new")
        await asyncio.sleep(2)
        assert age() == pytest.approx(42)
