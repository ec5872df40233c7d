"""Random elections: three replicas, bad clocks, a network that delays, drops and repeats, pauses, crashes.

The stored lease is one register with versions, so every history has a total order, and what must hold can
be checked at each write.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kfx.kube.errors import TransportError
from kfx.runtime.leader import LeaderElector, LeadershipLost, Lease, LeaseLock, WriteHeld
from kfx.runtime.metrics import RuntimeMetrics
from tests.leases import Register
from tests.virtual_time import VirtualTimeLoop

FAULTS_UNTIL, ENDS_AT = 240.0, 330.0  # seconds
WRITE_EVERY = 0.3
FASTEST, SLOWEST = 1.5**0.5, 1.5**-0.5  # two clocks differ by at most lease_duration / renew_deadline
A_LEADER_WITHIN = 15 / SLOWEST + 2 * 2 * 2.2 + 12  # the last is for requests still on their way


@dataclass
class World:
    """What all replicas share, and the rules they must not break."""

    chance: Random
    register: Register
    replicas: list["Replica"]
    broken: list[str]
    writes: int = 0
    led: int = 0

    @property
    def faulty(self) -> bool:
        return asyncio.get_running_loop().time() < FAULTS_UNTIL

    def judge(self, before: Lease | None, lease: Lease, writer: "Replica") -> None:
        """Of a write that was accepted."""
        holder = before.holder if before else ""
        self.require((lease.holder != holder) or lease.transitions == before.transitions, "transitions moved")
        if lease.holder and before is not None and lease.holder != holder:
            self.require(lease.transitions == before.transitions + 1, "a new holder is not a new transition")
        for rival in self.replicas:
            if rival.name == holder and rival is not writer:
                self.require(not rival.elector.is_leader, f"{writer.name} overwrote the live {rival.name}")

    def require(self, holds: bool, text: str) -> None:
        if not holds:
            self.broken.append(f"{asyncio.get_running_loop().time():.3f}: {text}")


class Network(LeaseLock):
    """One replica's way to the register. A request that was given up may still arrive."""

    name = "lock"

    def __init__(self, world: World, replica: "Replica") -> None:
        self.world, self.replica = world, replica

    async def read(self) -> Lease | None:
        return await self._ask(lambda: self.world.register.lease)

    async def write(self, lease: Lease) -> Lease:
        def arrive() -> Lease:
            before = self.world.register.lease
            stored = self.world.register.compare_and_swap(lease, self.replica.name)
            self.world.judge(before, stored, self.replica)
            return stored

        return await self._ask(arrive)

    async def _ask(self, arrive):
        loop, chance = asyncio.get_running_loop(), self.world.chance
        answer = loop.create_future()
        dropped = self.world.faulty and chance.random() < self.replica.loss
        if not dropped:
            loop.call_later(self._delay(), self._arrive, arrive, answer)
            if self.world.faulty and chance.random() < 0.1:
                loop.call_later(self._delay(), self._arrive, arrive, loop.create_future())
        async with asyncio.timeout(5):
            found = await answer
        if isinstance(found, Exception):
            raise found
        return found

    def _arrive(self, arrive, answer) -> None:
        try:
            found = arrive()
        except Exception as error:  # noqa: BLE001 — travels back as the answer
            found = error
        if self.world.faulty and self.world.chance.random() < self.replica.loss:
            found = TransportError("the answer was lost")
        asyncio.get_running_loop().call_later(
            self._delay(), lambda: answer.done() or answer.set_result(found)
        )

    def _delay(self) -> float:
        usual = self.world.chance.random() / 50
        return self.world.chance.choice([usual, usual, 1, 3, 12]) if self.world.faulty else usual


class Replica:
    """Leads when it may, writes while it leads, and starts again when it ends."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = self.first_name = f"r{number}"
        self.rate = world.chance.uniform(SLOWEST, FASTEST)
        self.offset = world.chance.uniform(0, 1e6)
        self.loss = world.chance.choice([0, 0.1, 0.5])
        self.elector = self._new_elector(0)

    def _new_elector(self, life: int) -> LeaderElector:
        self.name = f"{self.first_name}-{life}"
        return LeaderElector(
            Network(self.world, self),
            self.name,
            metrics=RuntimeMetrics(),
            clock=lambda: self.offset + asyncio.get_running_loop().time() * self.rate,
            jitter=self.world.chance.random,
        )

    async def live(self) -> None:
        for life in range(1000):
            self.elector = self._new_elector(life)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._life_span()):
                    await self._lead()
            await asyncio.sleep(self.world.chance.random() * 3)

    async def _lead(self) -> None:
        if not await self.elector.acquire(asyncio.Event()):
            return
        self.world.led += 1
        try:
            async with self.elector.renewing():
                await asyncio.sleep(self._life_span() * self.world.chance.random())  # ends well: released
        except* LeadershipLost:
            pass

    def _life_span(self) -> float:
        if not self.world.faulty:
            return 1e6
        return min(self.world.chance.uniform(1, 120), FAULTS_UNTIL - asyncio.get_running_loop().time())

    async def write(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY * self.world.chance.random())
            with suppress(LeadershipLost, WriteHeld):
                self.elector.check()
                self.world.writes += 1
                leaders = [replica.name for replica in self.world.replicas if replica.elector.is_leader]
                self.world.require(leaders == [self.name], f"{self.name} writes while {leaders} lead")


async def simulate(seed: int) -> World:
    world = World(Random(seed), Register(), [], [])
    world.replicas += [Replica(world, number) for number in range(3)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for r in world.replicas for work in (r.live, r.write)]
        await asyncio.sleep(FAULTS_UNTIL + A_LEADER_WITHIN)
        leaders = sum(replica.elector.is_leader for replica in world.replicas)
        world.require(leaders == 1, f"{leaders} leaders after the faults")
        await asyncio.sleep(ENDS_AT - asyncio.get_running_loop().time())
        for task in tasks:
            task.cancel()
    return world


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
@example(seed=0)
def test_no_election_has_two_leaders_and_all_have_one_in_the_end(seed):
    loop = VirtualTimeLoop()
    try:
        world = loop.run_until_complete(simulate(seed))
    finally:
        loop.close()
    assert world.broken == []
    assert world.led
    assert world.writes
