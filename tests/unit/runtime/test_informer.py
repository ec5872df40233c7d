"""From changes to the store and on to the listeners, in this order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from kfx.kube import errors
from kfx.kube.listwatch import Page
from kfx.kube.model import KubeObject, Unreadable
from kfx.runtime.event import Event
from kfx.runtime.informer import Informer
from kfx.runtime.reconcile import Request
from kfx.runtime.reflector import Dropped, Listed, ListEnd, Put
from tests.things import FOREVER, Scripted, Thing, ThingSpec, event, informer_of, raw, thing

KEY = Request("ns", "a")


Told = list[tuple[str, str | None, str | None, bool]]


def informer(**options: Any) -> tuple[Informer[Thing], Told]:
    return informer_watching(Scripted(lists=[], watches=[]), **options)


def informer_watching(server: Scripted, **options: Any) -> tuple[Informer[Thing], Told]:
    """An informer and what it has told: the name, the versions before and after, whether listed."""
    found, told = informer_of(server, **options), []

    def hear(heard: Event[Thing]) -> None:
        told.append((heard.obj.metadata.name, _version(heard.old), _version(heard.new), heard.listed))

    found.on_event(hear)
    return found, told


@asynccontextmanager
async def following(found: Informer[Thing]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(found.follow())
        await found.synced.wait()
        yield
        task.cancel()


def _version(found: KubeObject | None) -> str | None:
    return found.metadata.resource_version if found is not None else None


def test_whoever_is_told_can_already_read_it() -> None:
    found, seen = informer_of(Scripted(lists=[], watches=[])), []
    found.on_event(lambda heard: seen.append(found.store.get(KEY) is heard.new))
    found._apply(Put(thing("a", 1)))
    found._apply(Dropped(KEY, None, "2"))
    assert seen == [True, True]


def test_a_list_adds_changes_and_takes_away() -> None:
    found, told = informer()
    for name in "abc":
        found._apply(Put(thing(name, 1)))
    told.clear()
    found._apply(Listed([thing("a", 1), thing("b", 5), thing("d", 4)]))
    assert not found.synced.is_set()
    found._apply(ListEnd({Request("ns", name) for name in "abd"}))
    assert found.synced.is_set()
    assert told == [
        ("a", "1", "1", True),
        ("b", "1", "5", True),
        ("d", None, "4", True),
        ("c", "1", None, True),
    ]


def test_an_event_that_a_list_has_overtaken_is_not_told() -> None:
    found, told = informer()
    found._apply(Put(thing("a", 10)))
    for version in (9, 10):
        found._apply(Put(thing("a", version)))
    found._apply(Dropped(KEY, None, "9"))
    assert told == [("a", None, "10", False)]


def test_a_deletion_of_what_was_never_there_is_not_told() -> None:
    found, told = informer()
    found._apply(Dropped(KEY, thing("a", 9), "9"))
    assert (told, len(found.store)) == ([], 0)


def test_versions_are_compared_as_numbers() -> None:
    found, told = informer()
    found._apply(Put(thing("a", 9)))
    found._apply(Put(thing("a", 10)))
    assert told[-1] == ("a", "9", "10", False)


def test_a_list_may_bring_an_older_state_as_after_a_restored_backup() -> None:
    found, told = informer()
    found._apply(Put(thing("a", 10)))
    found._apply(Listed([thing("a", 3)]))
    assert told[-1] == ("a", "10", "3", True)


def test_a_deletion_and_a_new_object_of_the_name_show_by_the_uid() -> None:
    found, _ = informer()
    heard: list[Event[Thing]] = []
    found._apply(Put(thing("a", 1, uid="one")))
    found.on_event(heard.append)
    found._apply(Put(thing("a", 5, uid="two")))
    assert heard[-1].old is not None
    assert (heard[-1].old.metadata.uid, heard[-1].obj.metadata.uid) == ("one", "two")


def test_a_late_listener_is_told_of_all_there_is() -> None:
    found, _ = informer()
    for name in "ab":
        found._apply(Put(thing(name, 1)))
    late: list[Event[Thing]] = []
    found.on_event(late.append)
    assert [(e.old, e.obj.metadata.name, e.listed) for e in late] == [(None, "a", True), (None, "b", True)]


def test_a_transform_decides_what_is_kept() -> None:
    found, _ = informer(transform=lambda t: msgspec.structs.replace(t, spec=ThingSpec(group="kept")))
    found._apply(Put(thing("a", 1, group="dropped")))
    kept = found.store.get(KEY)
    assert kept is not None
    assert kept.spec.group == "kept"
    assert found.store.by_index("group", "dropped") == []


async def test_it_follows_a_server_from_list_to_watch() -> None:
    page = Page("5", "", [raw("a", 1), raw("b", 2)])
    server = Scripted(lists=[page], watches=[[event("MODIFIED", "a", 6), event("DELETED", "b", 7), FOREVER]])
    found = informer_of(server)
    async with following(found):
        await asyncio.sleep(1)
    assert [(t.metadata.name, t.metadata.resource_version) for t in found.store.all()] == [("a", "6")]


async def test_what_was_known_of_an_unreadable_object_stays_until_it_is_deleted() -> None:
    pages = [Page("5", "", [raw("a", 1)]), Page("8", "", [raw("a", 7, labels="unreadable")])]
    forgotten = errors.Expired("forgotten", status=410)
    changed, gone = (
        event(kind, "a", v, labels="unreadable") for kind, v in (("MODIFIED", 6), ("DELETED", 9))
    )
    server = Scripted(lists=[*pages], watches=[[changed, 10, forgotten], [10, gone, FOREVER]])
    found = informer_of(server)
    heard: list[Event[Thing]] = []
    found.on_event(heard.append)
    async with following(found):
        await asyncio.sleep(15)
        assert [what for what, _ in server.asked] == ["list", "watch 5", "list", "watch 8"]
        assert found.store.all() == [thing("a", 1)]
        await asyncio.sleep(15)
    assert found.store.all() == []
    assert heard == [Event(None, thing("a", 1), listed=True), Event(thing("a", 1), None)]


async def test_an_object_that_does_not_decode_is_told_only_to_those_it_concerns() -> None:
    page = Page("5", "", [raw("a", 1, labels="unreadable", finalizers=["f"])])
    messages = [
        event("MODIFIED", "a", 6, labels="unreadable", deletionTimestamp="2026-01-01T00:00:00Z"),
        event("MODIFIED", "a", 6, labels="unreadable"),
        event("MODIFIED", "a", 7),
        event("MODIFIED", "a", 8, labels="unreadable"),
        event("DELETED", "a", 9, labels="unreadable"),
    ]
    found = informer_of(Scripted(lists=[page], watches=[[10, *messages, FOREVER]]))
    others: list[Event[Thing]] = []
    concerned: list[Event[Unreadable]] = []
    found.on_event(others.append)
    found.on_unreadable(concerned.append)
    async with following(found):
        stand_in = found.store.unreadable(KEY)
        assert stand_in is not None
        assert (stand_in.metadata.finalizers, str(stand_in)) == (("f",), "Thing ns/a")
        assert found.store.get(KEY) is None
        late: list[Event[Unreadable]] = []
        found.on_unreadable(late.append)
        assert late == [Event(None, stand_in, listed=True)]
        await asyncio.sleep(15)
    assert [(_version(each.old), _version(each.new)) for each in concerned] == [
        (None, "1"), ("1", "6"), (None, "8"), ("8", None),
    ]  # fmt: skip
    assert [(_version(each.old), _version(each.new)) for each in others] == [(None, "7"), ("7", None)]
    assert found.store.unreadable(KEY) is None


async def test_an_unreadable_object_that_a_list_lacks_is_gone() -> None:
    pages = [Page("5", "", [raw("a", 1, labels="unreadable")]), Page("8", "", [])]
    server = Scripted(lists=[*pages], watches=[[10, errors.Expired("forgotten", status=410)], [FOREVER]])
    found = informer_of(server)
    concerned: list[Event[Unreadable]] = []
    found.on_unreadable(concerned.append)
    async with following(found):
        await asyncio.sleep(20)
    assert [(_version(each.new), each.listed) for each in concerned] == [("1", True), (None, True)]
    assert found.store.all_unreadable() == []


async def test_a_list_after_a_gap_is_told_as_the_difference() -> None:
    first = Page("5", "", [raw("stays", 1), raw("changes", 2), raw("goes", 3)])
    second = Page("9", "", [raw("stays", 1), raw("changes", 6), raw("comes", 7)])
    server = Scripted(lists=[first, second], watches=[[10, errors.Expired("forgotten", status=410)]])
    found, told = informer_watching(server)
    async with following(found):
        told.clear()
        await asyncio.sleep(20)
    assert [each for each in told if each[1] != each[2]] == [
        ("changes", "2", "6", True),
        ("comes", None, "7", True),
        ("goes", "3", None, True),
    ]
    assert sorted(t.metadata.name for t in found.store.all()) == ["changes", "comes", "stays"]
