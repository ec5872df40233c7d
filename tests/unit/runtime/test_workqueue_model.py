"""The work queue against a model that is slow and obvious, over random histories."""

import asyncio
import random
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kfx.runtime.workqueue import AGED_AFTER, AGED_SHARE, Priority, QueueShutDown, WorkQueue
from tests.virtual_time import VirtualTimeLoop

KEYS = st.sampled_from("abcde")
LEVELS = st.sampled_from(list(Priority))
DELAYS = st.sampled_from([-1.0, 0.0, 0.005, 0.5, 1.0, 7.0, 60.0])
BASE, CAP = 0.005, 1000.0


@dataclass
class Waiting:
    item: str
    level: Priority
    since: float


class QueueMachine(RuleBasedStateMachine):
    """``ready`` keys may be taken; those in ``again`` want work too, but must first be given back."""

    def __init__(self):
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.queue = WorkQueue("model")
        self.ready = []
        self.again = {}
        self.held = set()
        self.delayed = {}
        self.failures = {}
        self.getters = []
        self.normal_turns = 0
        self.closed = False

    def teardown(self):
        for getter in self.getters:
            getter.cancel()
        self.settle()
        self.loop.close()

    @initialize(getters=st.integers(0, 2))
    def begin(self, getters):
        for _ in range(getters):
            self.wait()

    # what the queue may be asked

    @rule(item=KEYS, level=LEVELS)
    def add(self, item, level):
        self.call(self.queue.add, item, priority=level)
        self.expect_added(item, level)
        self.hand_out()

    @rule(item=KEYS, delay=DELAYS, level=LEVELS)
    def add_after(self, item, delay, level):
        self.call(self.queue.add_after, item, delay, priority=level)
        self.expect_delayed(item, delay, level)
        self.hand_out()

    @rule(item=KEYS)
    def add_rate_limited(self, item):
        self.call(self.queue.add_rate_limited, item)
        earlier = self.failures.get(item, 0)
        self.failures[item] = earlier + 1
        self.expect_delayed(item, min(CAP, BASE * 2**earlier), Priority.NORMAL)
        self.hand_out()

    @rule(item=KEYS)
    def forget(self, item):
        self.call(self.queue.forget, item)
        self.failures.pop(item, None)

    @precondition(lambda self: self.ready)
    @rule()
    def get(self):
        self.expect_taken(self.run(self.queue.get()))

    @precondition(lambda self: len(self.getters) < 3)
    @rule()
    def wait(self):
        self.getters.append(self.loop.create_task(self.get_or_none()))
        self.hand_out()

    @precondition(lambda self: self.getters)
    @rule(data=st.data())
    def give_up_waiting(self, data):
        getter = self.getters.pop(data.draw(st.integers(0, len(self.getters) - 1)))
        getter.cancel()
        self.settle()

    @rule(item=KEYS)
    def done(self, item):
        """Of a key that nobody holds, too."""
        self.call(self.queue.done, item)
        if item in self.held:
            self.held.remove(item)
            level = self.again.pop(item, None)
            if level is not None:
                self.ready.append(Waiting(item, level, self.loop.time()))
        self.hand_out()

    @rule(seconds=st.sampled_from([0.001, 0.3, 1.0, 20.0]))
    def advance(self, seconds):
        self.advance_by(seconds)

    def advance_by(self, seconds):
        until = self.loop.time() + seconds
        while due := [each for each in self.delayed.items() if each[1][0] <= until]:
            item, (at, level) = min(due, key=lambda each: each[1][0])
            self.run(asyncio.sleep(at - self.loop.time()))
            del self.delayed[item]
            self.expect_added(item, level)
            self.hand_out()
        self.run(asyncio.sleep(until - self.loop.time()))

    @precondition(lambda self: not self.closed)
    @rule(often=st.integers(0, 9), drop=st.booleans())
    def shut_down(self, often, drop):
        if often:  # most histories should be longer
            return
        self.call(self.queue.shut_down, drop=drop)
        self.closed, self.delayed = True, {}
        if drop:
            self.ready, self.again = [], {}
        self.hand_out()

    # what must hold at any time

    @invariant()
    def counts_what_is_ready(self):
        assert len(self.queue) == len(self.ready)

    @invariant()
    def holds_no_key_twice(self):
        levels = list(self.queue._ready.values())
        assert not set(levels[0]) & set(levels[1])
        assert not {key for level in levels for key in level} & set(self.queue._held)
        assert set(self.queue._held) == self.held
        assert set(self.queue._again) == set(self.again) <= self.held

    @invariant()
    def keeps_both_levels_in_order(self):
        for level, keys in self.queue._ready.items():
            assert list(keys) == [each.item for each in self.ready if each.level is level]
        assert self.queue._again == self.again

    @invariant()
    def counts_failures(self):
        for item in "abcde":
            assert self.queue.failures(item) == self.failures.get(item, 0)

    @invariant()
    def nobody_waits_beside_a_ready_key(self):
        assert not (self.ready and self.getters)

    # the model

    def expect_added(self, item, level):
        if self.closed:
            return
        if item in self.held:
            self.again[item] = max(level, self.again.get(item, level))
            return
        waiting = next((each for each in self.ready if each.item == item), None)
        if waiting is None:
            self.ready.append(Waiting(item, level, self.loop.time()))
        elif level > waiting.level:
            self.ready.remove(waiting)
            self.ready.append(Waiting(item, level, waiting.since))

    def expect_delayed(self, item, delay, level):
        if self.closed:
            return
        if delay <= 0:
            self.expect_added(item, level)
            return
        due, before = self.delayed.get(item, (float("inf"), level))
        self.delayed[item] = (min(due, self.loop.time() + delay), max(level, before))

    def expect_taken(self, item):
        heads = {}
        for each in reversed(self.ready):
            heads[each.level] = each
        taken = next(each for each in heads.values() if each.item == item)
        low, normal = heads.get(Priority.LOW), heads.get(Priority.NORMAL)
        aged = low is not None and self.loop.time() - low.since >= AGED_AFTER
        if taken is low and normal is not None:
            assert aged, "a listed key overtook a change"
            self.normal_turns = 0
        elif taken is normal and aged:
            self.normal_turns += 1
            assert self.normal_turns < AGED_SHARE, "a listed key starves"
        self.ready.remove(taken)
        self.held.add(item)

    def hand_out(self):
        """Whoever waits gets what is ready."""
        self.settle()
        for getter in [getter for getter in self.getters if getter.done()]:
            self.getters.remove(getter)
            if getter.result() is None:
                assert self.closed
            else:
                self.expect_taken(getter.result())

    async def get_or_none(self):
        try:
            return await self.queue.get()
        except QueueShutDown:
            return None

    def call(self, function, *args, **kwargs):
        """No two calls come at the same time, so that no two delays end at the same time."""

        async def inside():
            function(*args, **kwargs)

        self.advance_by(1e-6)
        self.run(inside())

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def settle(self):
        async def turn():
            for _ in range(3):
                await asyncio.sleep(0)

        self.run(turn())


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


async def test_eight_workers_lose_nothing_and_never_share_a_key():
    chance = random.Random(7)
    queue, busy, seen, sent = WorkQueue(), set(), {}, {}

    async def work():
        while True:
            try:
                item = await queue.get()
            except QueueShutDown:
                return
            assert item not in busy, "in two hands"
            busy.add(item)
            seen[item] = sent[item]
            await asyncio.sleep(chance.random() / 100)
            busy.remove(item)
            queue.done(item)

    async def change(first):
        for number in range(500):
            item = chance.randrange(20)
            sent[item] = (first, number)
            queue.add(item, priority=chance.choice(list(Priority)))
            await asyncio.sleep(chance.random() / 100)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(work())
        async with asyncio.TaskGroup() as producers:
            for first in range(8):
                producers.create_task(change(first))
        await asyncio.sleep(10)
        queue.shut_down()
    assert seen == sent  # the last change of each key was worked on
