"""Random histories behind a random network: in the end the cache is the list, and nobody was misled.

The server keeps versions and a history of changes and hands them out as asked; everything that can go
wrong on the way is drawn: cuts, repeats, silence, forgotten versions, lists in pages, streams without end.
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
from kfx.runtime.reconcile import Request
from tests.things import Thing, end_of_list, event, informer_of, raw
from tests.virtual_time import VirtualTimeLoop

KEYS, GROUPS = "abcdef", ("x", "y", "z")
FAULTS_UNTIL, ENDS_AT = 600.0, 1200.0  # seconds
GONE = errors.Expired("forgotten", status=410, method="WATCH", path="/things")


class Model:
    """The objects as they are, and the changes that led there."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.version = 10
        self.objects: dict[str, tuple[int, str, str]] = {}  # name -> version, group, uid
        self.history: list[tuple[int, WatchMessage]] = []
        self.forgotten = 0
        self.changed = asyncio.Condition()

    @property
    def faulty(self) -> bool:
        return asyncio.get_running_loop().time() < FAULTS_UNTIL

    def fails(self, one_in: int) -> bool:
        return self.faulty and self.chance.randrange(one_in) == 0

    async def change(self) -> None:
        self.version += 1
        name, version = self.chance.choice(KEYS), self.version
        old = self.objects.get(name)
        if old and self.chance.random() < 0.4:
            del self.objects[name]
            message = event("DELETED", name, version, group=old[1], uid=old[2])
        else:
            group, uid = self.chance.choice(GROUPS), old[2] if old else f"uid-{version}"
            self.objects[name] = (version, group, uid)
            message = event("MODIFIED" if old else "ADDED", name, version, group=group, uid=uid)
        self.history.append((version, message))
        if self.fails(12):
            self.forgotten = self.version
        async with self.changed:
            self.changed.notify_all()

    def listed(self) -> list[bytes]:
        return [raw(name, v, group=group, uid=uid) for name, (v, group, uid) in self.objects.items()]

    async def list_page(self, *, limit: int, continue_token: str) -> Page:
        if self.fails(4):
            raise self.chance.choice([errors.TransportError("down"), GONE])
        items = self.listed()
        if continue_token or not self.fails(2):
            return Page(str(self.version), "", items)
        self.pending = Page(str(self.version), "", items[len(items) // 2 :])
        return Page(str(self.version), "more", items[: len(items) // 2])

    async def stream(self, *, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        if self.fails(6):
            raise errors.Invalid("no", status=422, method="WATCH", path="/things")
        for name, (version, group, uid) in list(self.objects.items()):
            if self.fails(10):
                raise errors.Interrupted("cut")
            if self.fails(20):
                await asyncio.Event().wait()
            yield event("ADDED", name, version, group=group, uid=uid)
        yield end_of_list(self.version)

    async def watch(self, *, since: str, timeout_seconds: int) -> AsyncGenerator[WatchMessage, None]:
        if self.fails(5):
            raise self.chance.choice([errors.TransportError("down"), GONE])
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
    """A listener that believes only what it is told."""

    def __init__(self) -> None:
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
        if not heard.listed and known is not None and heard.new is not None:
            old, new = int(known.metadata.resource_version), int(heard.new.metadata.resource_version)
            if new <= old:
                self.wrong.append(f"{name}: from version {old} back to {new}")
        self.last[name] = heard


async def run(seed: int, changes: int, *, streaming: bool) -> None:
    chance = Random(seed)
    model, witness = Model(chance), Witness()
    informer = informer_of(model, streaming=streaming)
    informer.on_event(witness.hear)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(informer.follow())
        for _ in range(changes):
            await asyncio.sleep(chance.expovariate(changes / FAULTS_UNTIL))
            await model.change()
        await asyncio.sleep(max(0.0, ENDS_AT - asyncio.get_running_loop().time()))
        following.cancel()
    assert witness.wrong == []
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


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(0, 60), streaming=st.booleans())
def test_in_the_end_the_cache_is_the_list_and_every_listener_knows_it(
    seed: int, changes: int, streaming: bool
) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run(seed, changes, streaming=streaming))
