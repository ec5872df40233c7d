import asyncio
import contextlib

import pytest

from kfx.runtime.controller import Controller
from kfx.runtime.leader import AlwaysLeader, LeaderElector, LeadershipLost, Lease
from kfx.runtime.manager import Manager
from kfx.runtime.reconcile import Request, Result
from tests.leases import MemoryLock, Register

ORDER = ["events", "http", "hooks", "cache", "lease", "ctl"]


class Part:
    """Any part of the process; writes down when it begins and ends, and fails ``fail_after`` seconds."""

    def __init__(self, name, journal, fail_after=None):
        self.name, self.journal, self.fail_after = name, journal, fail_after
        self.synced, self.elected = asyncio.Event(), asyncio.Event()
        self.synced.set()
        self.elected.set()

    @contextlib.asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as group:
            self.journal.append(f"+{self.name}")
            task = group.create_task(self._live())
            try:
                yield
            finally:
                self.journal.append(f"-{self.name}")
            task.cancel()

    serving = renewing = running

    async def _live(self):
        if self.fail_after is None:
            await asyncio.Event().wait()
        await asyncio.sleep(self.fail_after)
        raise RuntimeError(self.name)

    async def wait_for_sync(self, stop):
        return await either(self.synced, stop)

    async def acquire(self, stop):
        return await either(self.elected, stop)


async def either(event, stop):
    """Whether ``event`` came before ``stop``."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.wait()) for each in (event, stop)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
    return event.is_set()


class Process:
    def __init__(self, *, fail=None, after_sync=(), **replaced):
        self.journal, self.stop = [], asyncio.Event()
        self.parts = {name: Part(name, self.journal, (fail or {}).get(name)) for name in ORDER}
        options = {
            "background": [self.parts["events"]],
            "servers": [self.parts["http"], self.parts["hooks"]],
            "cache": self.parts["cache"],
            "elector": self.parts["lease"],
            "controllers": [self.parts["ctl"]],
        }
        self.manager = Manager(**{**options, **replaced}, after_sync=after_sync)

    async def run(self, stop_after=None):
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, self.stop.set)
        await self.manager.run(self.stop)

    async def fail(self, kind):
        with pytest.raises(ExceptionGroup) as caught:
            await self.run()
        assert caught.group_contains(kind)
        assert len(asyncio.all_tasks()) == 1
        return caught

    def log(self, entry):
        async def hook():
            self.journal.append(entry)

        return hook


def begun(*names):
    return [f"+{name}" for name in names]


def ended(*names):
    return [f"-{name}" for name in reversed(names)]


async def test_parts_stop_in_the_reverse_order(clock):
    process = Process()
    await process.run(stop_after=5)
    assert process.journal == begun(*ORDER) + ended(*ORDER)
    assert clock == 5


@pytest.mark.parametrize("name", ORDER)
async def test_any_failing_part_stops_all_and_is_raised(name, clock):
    process = Process(fail={name: 3})
    caught = await process.fail(RuntimeError)
    assert caught.group_contains(RuntimeError, match=name)
    assert process.journal == begun(*ORDER) + ended(*ORDER)
    assert clock == 3


async def test_a_part_that_cannot_begin_stops_those_before_it():
    class Taken(Part):
        @contextlib.asynccontextmanager
        async def serving(self):
            raise OSError("port taken")
            yield

    process = Process()
    process.manager = Process(servers=[process.parts["http"], Taken("hooks", [])]).manager
    await process.fail(OSError)
    assert process.journal == begun("http") + ended("http")


async def test_a_standby_serves_and_keeps_its_cache_but_runs_no_controller(clock):
    process = Process()
    process.parts["lease"].elected.clear()
    await process.run(stop_after=100)
    standby = ["events", "http", "hooks", "cache"]
    assert process.journal == begun(*standby) + ended(*standby)
    assert clock == 100


async def test_a_stop_while_the_cache_is_filled_is_no_error(clock):
    process = Process()
    process.parts["cache"].synced.clear()
    await process.run(stop_after=7)
    assert process.journal[-1] == "-events"
    assert "+lease" not in process.journal
    assert clock == 7


async def test_a_server_that_fails_while_waiting_for_leadership_ends_the_process():
    process = Process(fail={"http": 3})
    process.parts["lease"].elected.clear()
    await process.fail(RuntimeError)


async def test_hooks_run_between_the_cache_and_the_lease():
    process = Process()
    process.manager = Process(
        cache=process.parts["cache"],
        elector=process.parts["lease"],
        after_sync=[process.log("hook")],
    ).manager
    await process.run(stop_after=5)
    assert process.journal[:3] == ["+cache", "hook", "+lease"]


async def test_a_hook_that_waits_does_not_keep_the_process_from_stopping(clock):
    async def forever():
        await asyncio.Event().wait()

    await Process(after_sync=[forever]).run(stop_after=5)
    assert clock == 5


async def test_a_hook_that_fails_ends_the_process():
    async def broken():
        raise RuntimeError("hook")

    await Process(after_sync=[broken]).fail(RuntimeError)


class Slow:
    def __init__(self, seconds):
        self.seconds, self.finished = seconds, []

    async def reconcile(self, request):
        await asyncio.sleep(self.seconds)
        self.finished.append(request)
        return Result()


async def test_a_stop_lets_work_in_hand_finish(clock):
    slow = Slow(10)
    controller = Controller("c", slow, workers=1)
    for name in "ab":
        controller.queue.add(Request("ns", name))
    process = Process(controllers=[controller])
    await process.run(stop_after=1)
    assert clock == 10
    assert slow.finished == [Request("ns", "a")]  # b was queued: the next process finds it by its list
    assert process.journal[-5:] == ended("events", "http", "hooks", "cache", "lease")


async def test_work_in_hand_is_cut_when_the_grace_period_is_over(clock):
    slow = Slow(59)
    controller = Controller("c", slow)
    controller.queue.add(Request("ns", "a"))
    process = Process(controllers=[controller])
    with pytest.raises(TimeoutError):
        await process.run(stop_after=1)
    assert clock == 31
    assert slow.finished == []
    assert process.journal[-5:] == ended("events", "http", "hooks", "cache", "lease")


def elector_on(register, name, clock):
    return LeaderElector(MemoryLock(register, name), name, clock=lambda: clock.now, jitter=lambda: 0.0)


async def test_servers_and_cache_go_on_for_the_delay_and_the_lease_does_not(clock):
    process = Process(shutdown_delay=5)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run(stop_after=2))
        await asyncio.sleep(6.5)
        assert process.journal == begun(*ORDER) + ended("lease", "ctl")
    assert process.journal == begun(*ORDER) + ended(*ORDER)
    assert clock == 7


async def test_the_delay_runs_from_the_stop_and_not_from_the_end_of_the_work(clock):
    slow = Slow(6)
    controller = Controller("c", slow)
    controller.queue.add(Request("ns", "a"))
    await Process(controllers=[controller], shutdown_delay=5).run(stop_after=3)
    assert (clock == 8, slow.finished) == (True, [Request("ns", "a")])


async def test_a_standby_that_waits_for_its_cache_keeps_the_delay_too(clock):
    process = Process(shutdown_delay=5)
    process.parts["cache"].synced.clear()
    await process.run(stop_after=1)
    assert clock == 6


async def test_the_delay_does_not_shorten_the_time_for_work_in_hand(clock):
    slow = Slow(58)
    controller = Controller("c", slow)
    controller.queue.add(Request("ns", "a"))
    await Process(controllers=[controller], shutdown_delay=40, grace_period=20).run(stop_after=1)
    assert (clock == 58, slow.finished) == (True, [Request("ns", "a")])


async def test_a_part_that_fails_ends_all_without_the_delay(clock):
    await Process(fail={"ctl": 3}, shutdown_delay=5).fail(RuntimeError)
    assert clock == 3


async def test_a_stopped_leader_hands_over_after_its_controllers_have_ended(clock):
    register, slow = Register(), Slow(10)
    controller = Controller("c", slow)
    controller.queue.add(Request("ns", "a"))
    first = Process(controllers=[controller], elector=elector_on(register, "a", clock))
    second = Process(elector=elector_on(register, "b", clock))
    async with asyncio.TaskGroup() as group:
        group.create_task(first.run(stop_after=4.5))
        await asyncio.sleep(0.25)
        group.create_task(second.run(stop_after=60))
        await asyncio.sleep(9.5)
        assert register.holder == "a"  # still at work
        await asyncio.sleep(3)
        assert (register.holder, slow.finished) == ("b", [Request("ns", "a")])
        assert "+ctl" in second.journal
    assert register.holder == ""


async def test_a_leader_that_lost_its_lease_ends_without_draining(clock):
    register, slow = Register(), Slow(59)
    controller = Controller("c", slow)
    controller.queue.add(Request("ns", "a"))
    process = Process(controllers=[controller], elector=elector_on(register, "a", clock))
    asyncio.get_running_loop().call_later(5, register.put, Lease(holder="b", duration=15, transitions=1))
    await process.fail(LeadershipLost)
    assert clock == 6
    assert register.holder == "b"
    assert slow.finished == []


async def test_a_process_without_election_leads_at_once():
    process = Process(elector=AlwaysLeader())
    await process.run(stop_after=1)
    assert "+ctl" in process.journal
