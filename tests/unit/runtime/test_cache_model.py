"""Random histories behind a random network: in the end the cache is the list, and nobody was misled.

The server keeps versions and a history of changes and hands them out as asked; everything that can go
wrong on the way is drawn: cuts, repeats, silence, forgotten versions, lists in pages, streams without end,
a kind that seems to be gone, objects that cannot be read for a while, objects of another kind.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from kfx.kube import errors
from kfx.kube.listwatch import Page, WatchMessage
from kfx.runtime.event import Event
from kfx.runtime.informer import Informer
from kfx.runtime.reconcile import Request
from tests.things import Thing, end_of_list, event, informer_of, raw, stray
from tests.virtual_time import VirtualTimeLoop

KEYS, GROUPS = "abcdef", ("x", "y", "z")
FAULTS_UNTIL, ENDS_AT = 600.0, 1200.0  # seconds
GONE = errors.Expired("forgotten", status=410, method="WATCH", path="/things")
ABSENT = errors.NotFound("no such kind", status=404, method="GET", path="/things")
DOWN = errors.TransportError("down")
AWAY = errors.Unreachable("away")


class Model:
    """The objects as they are, and the changes that led there."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.version = 10
        self.objects: dict[str, tuple[int, str, str]] = {}  # name -> version, group, uid
        self.unreadable: set[str] = set()
        self.deleted: dict[str, int] = {}  # name -> version of its last deletion
        self.history: list[tuple[int, WatchMessage]] = []
        self.forgotten = 0
        self.absent = False  # whether it was the last answer to a list that the kind is not there
        self.changed = asyncio.Condition()

    @property
    def faulty(self) -> bool:
        return asyncio.get_running_loop().time() < FAULTS_UNTIL

    def fails(self, one_in: int) -> bool:
        return self.faulty and self.chance.randrange(one_in) == 0

    async def change(self) -> None:
        name = self.chance.choice(KEYS)
        if name in self.objects and self.chance.random() < 0.4:
            await self.delete(name)
        else:
            await self.write(name, readable=not self.fails(6))

    async def delete(self, name: str) -> None:
        self.version += 1
        message = WatchMessage("DELETED", self.text(name, self.version))
        del self.objects[name]
        self.deleted[name] = self.version
        await self.publish(message)

    async def write(self, name: str, *, readable: bool) -> None:
        self.version += 1
        old = self.objects.get(name)
        uid = old[2] if old else f"uid-{self.version}"
        self.objects[name] = (self.version, self.chance.choice(GROUPS), uid)
        (self.unreadable.discard if readable else self.unreadable.add)(name)
        await self.publish(WatchMessage("MODIFIED" if old else "ADDED", self.text(name, self.version)))

    async def publish(self, message: WatchMessage) -> None:
        self.history.append((self.version, message))
        if self.fails(12):
            self.forgotten = self.version
        async with self.changed:
            self.changed.notify_all()

    def text(self, name: str, version: int) -> bytes:
        _, group, uid = self.objects[name]
        spoilt = {"labels": "no mapping"} if name in self.unreadable else {}
        return raw(name, version, group=group, uid=uid, **spoilt)

    def listed(self) -> list[bytes]:
        strays = [self.stray()] if self.fails(4) else []
        return [*strays, *(self.text(name, version) for name, (version, _, _) in self.objects.items())]

    def stray(self) -> bytes:
        """With the name that a Thing has, or could have."""
        return stray(self.chance.choice(KEYS), self.version + self.chance.randrange(-5, 5))

    def refusal(self) -> Exception:
        """Not twice in a row that the kind is not there: that would mean what it says."""
        found = self.chance.choice([DOWN, GONE] if self.absent else [DOWN, GONE, ABSENT])
        self.absent = found is ABSENT or (self.absent and found is not DOWN)
        return found

    async def list_page(self, *, limit: int, continue_token: str) -> Page:
        if self.fails(4):
            raise self.refusal()
        if continue_token:
            await asyncio.sleep(self.chance.uniform(0, 30))  # the rest is of the same moment, however late
            self.absent = False
            return self.pending
        items = self.listed()
        if not self.fails(2):
            self.absent = False
            return Page(str(self.version), "", items)
        self.pending = Page(str(self.version), "", items[len(items) // 2 :])
        return Page(str(self.version), "more", items[: len(items) // 2])

    async def stream(self, *, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        if self.fails(6):
            raise errors.Invalid("no", status=422, method="WATCH", path="/things")
        if self.fails(6):
            raise self.refusal()
        for text in self.listed():
            if self.fails(10):
                self.absent = False
                raise errors.Interrupted("cut")
            if self.fails(20):
                await asyncio.Event().wait()
            yield WatchMessage("ADDED", text)
        self.absent = False
        yield end_of_list(self.version)

    async def watch(self, *, since: str, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        if self.fails(5):
            raise self.chance.choice([DOWN, GONE, AWAY])
        if int(since) < self.forgotten:
            raise GONE
        at, began = int(since), asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + timeout_seconds:
            for version, message in [entry for entry in self.history if entry[0] > at]:
                if self.fails(15):
                    raise errors.Interrupted("cut")
                yield message
                if self.fails(6):
                    yield message
                if self.fails(6):
                    yield WatchMessage(self.chance.choice(["ADDED", "MODIFIED", "DELETED"]), self.stray())
                at = version
            if self.fails(10):
                return
            if self.chance.random() < 0.2:
                yield event("BOOKMARK", "", max(at, int(since)))
            try:
                async with asyncio.timeout(20), self.changed:
                    await self.changed.wait()
            except TimeoutError:
                continue

    async def reachable(self) -> None:
        return


class Witness:
    """A listener that believes only what it is told, and checks every departure with the model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.last: dict[str, Event[Thing]] = {}
        self.wrong: list[str] = []

    def hear(self, heard: Event[Thing]) -> None:
        name = heard.obj.metadata.name
        before = self.last.get(name)
        known = before.new if before is not None else None
        if heard.new is not None and heard.old is not known:
            self.wrong.append(f"{name}: changed from a state that was never told")
        if heard.new is None and known is None:
            self.wrong.append(f"{name}: gone, but was not there")
        if heard.new is None and known is not None:
            held = int(known.metadata.resource_version)
            if self.model.deleted.get(name, 0) < held:
                self.wrong.append(f"{name}: gone, but nobody deleted it after version {held}")
        if not heard.listed and known is not None and heard.new is not None:
            old, new = int(known.metadata.resource_version), int(heard.new.metadata.resource_version)
            if new <= old:
                self.wrong.append(f"{name}: from version {old} back to {new}")
        self.last[name] = heard


def marks(found: Thing) -> list[str]:
    """Several values of one object, some of them twice."""
    version = int(found.metadata.resource_version)
    return [found.spec.group, found.metadata.uid, f"mod-{version % 3}", found.spec.group]


async def run(seed: int, changes: int, *, streaming: bool) -> None:
    chance = Random(seed)
    model = Model(chance)
    witness, informer = Witness(model), informer_of(model, streaming=streaming)
    informer.store.add_indexers({"marks": marks})
    informer.on_event(witness.hear)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(informer.follow())
        for _ in range(changes):
            await asyncio.sleep(chance.expovariate(changes / FAULTS_UNTIL))
            await model.change()
        for name in sorted(model.unreadable & set(model.objects)):
            await model.write(name, readable=True)
        await asyncio.sleep(max(60.0, ENDS_AT - asyncio.get_running_loop().time()))
        following.cancel()
    assert witness.wrong == []
    assert_cached(model, witness, informer)


def assert_cached(model: Model, witness: Witness, informer: Informer[Thing]) -> None:
    cached = {t.metadata.name: (int(t.metadata.resource_version), t.spec.group, t.metadata.uid)
              for t in informer.store.all()}  # fmt: skip
    assert cached == model.objects
    assert {name for name, heard in witness.last.items() if heard.new is not None} == set(cached)
    recomputed = defaultdict(set)
    for name, (_, found, _) in model.objects.items():
        recomputed[found].add(Request("ns", name))
    for each in GROUPS:
        indexed = {Request(*t.key) for t in informer.store.by_index("group", each)}
        assert indexed == recomputed[each]
    marked = defaultdict(list)
    for found in informer.store.all():
        for mark in set(marks(found)):
            marked[mark].append(found)
    assert set(informer.store._indices["marks"]) == set(marked)
    for mark, expected in marked.items():
        indexed = informer.store.by_index("marks", mark)
        assert sorted(indexed, key=str) == sorted(expected, key=str)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(0, 60), streaming=st.booleans())
def test_in_the_end_the_cache_is_the_list_and_every_listener_knows_it(
    seed: int, changes: int, streaming: bool
) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run(seed, changes, streaming=streaming))
