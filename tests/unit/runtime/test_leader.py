"""Who leads, and when: the rules of the lease."""

import asyncio
import re
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from kfx.runtime.leader import (
    LONGEST_DURATION,
    MOST_TRANSITIONS,
    AlwaysLeader,
    LeaderElector,
    LeadershipLost,
    Lease,
    WriteHeld,
    own_identity,
)
from tests.leases import Candidate, MemoryLock, later


async def test_the_first_candidate_leads_at_once(a, register, clock):
    assert await a.acquire()
    assert clock == 0
    stored = register.lease
    assert (stored.holder, stored.duration, stored.transitions) == ("a", 15, 0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stored.renewed)
    assert stored.acquired <= stored.renewed
    a.elector.check()


async def test_the_second_leads_once_the_lease_has_stood_still_for_its_duration(a, b, register, clock):
    await a.acquire()
    assert await b.acquire()
    assert clock == 16  # the first try after 15 s
    assert (register.holder, register.lease.transitions) == ("b", 1)
    assert not a.elector.is_leader


async def test_a_renewed_lease_is_not_taken(a, b, register):
    await a.acquire()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(b.acquire())
        await a.lead(seconds=121)
        assert register.writers[:-1] == ["a"] * 61
        await asyncio.sleep(2)
        assert waiting.done()  # a has released it


async def test_renewing_is_one_request_every_two_seconds(a):
    await a.acquire()
    before = a.lock.reads
    async with a.elector.renewing():
        await asyncio.sleep(60.5)
        assert (a.lock.reads - before, a.lock.writes) == (0, 31)


async def test_a_rivals_clock_does_not_matter(a, b, register, clock):
    """Only how long the record stands still counts, not the times written in it."""
    await a.acquire()
    register.put(replace(register.lease, renewed="2999-01-01T00:00:00.000000Z"))
    assert await b.acquire()
    assert clock == 16


@pytest.mark.parametrize(("duration", "seconds"), [(-5, 2), (0, 2), (40, 40), (10**9, LONGEST_DURATION)])
async def test_a_rivals_duration_is_believed_within_bounds(b, register, clock, duration, seconds):
    register.put(Lease(holder="x", duration=duration))
    assert await b.acquire()
    assert clock == seconds


async def test_a_lease_of_nobody_is_taken_at_once(b, register, clock):
    register.put(Lease(holder="", transitions=MOST_TRANSITIONS))
    assert await b.acquire()
    assert clock == 0
    assert register.lease.transitions == MOST_TRANSITIONS  # it would not fit otherwise


async def test_somebody_who_touches_the_object_does_not_keep_a_dead_holder_alive(b, register, clock):
    register.put(Lease(holder="x", duration=15))

    def annotate():
        if register.holder == "x":
            register.put(register.lease)
            later(0.03, annotate)

    annotate()
    assert await b.acquire()
    assert clock.now == pytest.approx(16)


async def test_a_storm_of_other_writers_does_not_end_leadership(a, register):
    a.lock.delay = 0.01
    await a.acquire()

    def annotate():
        register.put(register.lease)
        later(0.05, annotate)

    annotate()
    await a.lead(seconds=600)
    assert set(register.writers) == {"a", "kubectl"}
    assert register.lease.transitions == 0


async def test_losing_the_api_server_loses_leadership_in_time(a, clock):
    await a.acquire()
    later(20.5, setattr, a.lock, "down", True)
    await a.lose()
    assert clock == 30  # last renewal at 20 s, valid for 10 s


async def test_an_api_server_that_swallows_requests_loses_leadership_in_time(a, clock):
    await a.acquire()
    later(20.5, setattr, a.lock, "delay", 1000.0)
    await a.lose()
    assert clock == 30


async def test_renewals_whose_replies_are_lost_do_not_count(a, b, register, clock):
    await a.acquire()
    a.lock.lose_replies = True
    async with asyncio.TaskGroup() as group:
        taken = group.create_task(b.acquire())
        await a.lose()
        assert clock == 10
        assert register.holder == "a"
        await taken
    assert clock == 18  # one renewal arrived, at 2 s, unknown to a


async def test_a_short_outage_is_survived(a, register):
    await a.acquire()
    later(3, setattr, a.lock, "down", True)
    later(9, setattr, a.lock, "down", False)
    await a.lead(seconds=60)
    assert register.lease.transitions == 0


async def test_a_claim_is_valid_from_before_it_was_sent(a, clock):
    """client-go counts from the reply: here 3 s more, in which a rival may lead."""
    a.lock.delay = 1.5
    await a.acquire()
    assert clock == 6  # read 3 s, write 3 s
    await asyncio.sleep(6.9)
    assert a.elector.is_leader
    await asyncio.sleep(0.2)  # 13.1: the write was sent at 3
    assert not a.elector.is_leader
    with pytest.raises(WriteHeld):
        a.elector.check()


async def test_the_first_sight_of_another_holder_ends_leading(a, register, clock):
    """client-go goes on until its renew deadline, 10 s later."""
    await a.acquire()
    later(20.5, register.put, Lease(holder="b", duration=15, transitions=1))
    await a.lose()
    assert clock == 22
    assert register.holder == "b"


async def test_a_deleted_lease_is_made_again(a, register):
    await a.acquire()
    later(5, register.delete)
    await a.lead(seconds=9)
    assert set(register.writers) == {"a"}


async def test_a_deleted_lease_that_somebody_else_made_is_lost(a, b, register, clock):
    await a.acquire()

    async def take():
        await asyncio.sleep(5)
        register.delete()
        await b.acquire()

    async with asyncio.TaskGroup() as group:
        group.create_task(take())
        await a.lose()
    assert clock == 6
    assert register.holder == "b"


async def test_a_clean_stop_gives_the_lease_back(a, b, register, clock):
    await a.acquire()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(b.acquire())
        await a.lead(seconds=7)
        assert (register.holder, register.lease.duration, register.lease.transitions) == ("", 1, 0)
        await waiting
    assert clock == 8
    assert register.lease.transitions == 1


async def test_nothing_is_written_after_giving_the_lease_back(a):
    await a.acquire()
    await a.lead(seconds=7)
    with pytest.raises(LeadershipLost):
        a.elector.check()


async def test_a_lease_of_somebody_else_is_never_released(a, register):
    """client-go writes an empty holder over the record that it finds."""
    await a.acquire()
    later(6.5, register.put, Lease(holder="b", duration=15, transitions=1))
    await a.lead(seconds=7)
    assert register.holder == "b"
    assert register.writers[-1] == "kubectl"


async def test_a_release_that_is_overtaken_changes_nothing(a, register):
    await a.acquire()
    a.lock.delay = 0.25
    async with a.elector.renewing():
        await asyncio.sleep(1)
        later(0.6, register.put, Lease(holder="b", transitions=1))  # after the read, before the write
    assert register.holder == "b"


async def test_a_release_that_fails_is_no_error(a, register):
    await a.acquire()
    later(6.5, setattr, a.lock, "down", True)
    with capture_logs() as logs:
        await a.lead(seconds=7)
    assert register.holder == "a"
    assert [line["event"] for line in logs] == ["lease not released"]


async def test_a_failure_keeps_the_lease(a, register):
    """What failed may still be writing, so nobody is asked to hurry."""
    await a.acquire()
    with pytest.raises(ExceptionGroup):
        async with a.elector.renewing():
            raise RuntimeError("controller failed")
    assert register.holder == "a"
    with pytest.raises(LeadershipLost):
        a.elector.check()


async def test_stop_while_waiting_for_leadership(a, b, clock):
    await a.acquire()
    stop = asyncio.Event()
    later(5, stop.set)
    assert not await b.elector.acquire(stop)
    assert clock == 5


async def test_stop_before_waiting_for_leadership(a, register):
    stop = asyncio.Event()
    stop.set()
    assert not await a.elector.acquire(stop)
    assert register.lease is None


async def test_waiting_tries_are_spread(register, clock):
    register.put(Lease(holder="x", duration=15))
    lock = MemoryLock(register)
    chances = iter([0.0, 0.5, 0.99, 0.0])
    elector = LeaderElector(lock, "b", clock=lambda: clock.now, jitter=lambda: next(chances))
    stop = asyncio.Event()
    later(2 + 3.2 + 4.3, stop.set)
    await elector.acquire(stop)
    assert lock.reads == 3


async def test_five_candidates_elect_one(register, clock):
    candidates = [Candidate(register, name) for name in "abcde"]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(candidate.acquire()) for candidate in candidates]
        await asyncio.sleep(1)
        assert [candidate.elector.is_leader for candidate in candidates].count(True) == 1
        for task in tasks:
            task.cancel()


async def test_nobody_writes_before_leading(a):
    with pytest.raises(LeadershipLost, match="does not hold lease lock"):
        a.elector.check()
    assert a.metrics.registry.get_sample_value("kfx_fenced_writes_total") == 1


async def test_the_gauge_shows_who_leads(a):
    def shown():
        return a.metrics.registry.get_sample_value("leader_election_master_status", {"name": "lock"})

    assert shown() == 0
    await a.acquire()
    assert shown() == 1
    await a.lead(seconds=3)
    assert shown() == 0


async def test_an_outage_is_one_line_with_its_cause(a, clock):
    a.lock.down = True
    later(60, setattr, a.lock, "down", False)
    with capture_logs() as logs:
        assert await a.acquire()
    assert [(line["event"], line.get("error")) for line in logs] == [
        ("lease not written", "TransportError: no answer"),
        ("leading", None),
    ]


@pytest.mark.parametrize(
    "times",
    [(10, 10, 2), (15, 2.3, 2), (15, 10, 0), (15, 16, 2)],
    ids=lambda times: "-".join(map(str, times)),
)
async def test_times_that_cannot_work_are_refused(register, times):
    lease_duration, renew_deadline, retry_period = times
    with pytest.raises(ValueError, match="lease_duration > renew_deadline"):
        Candidate(
            register,
            "a",
            lease_duration=lease_duration,
            renew_deadline=renew_deadline,
            retry_period=retry_period,
        )


def test_no_two_processes_share_a_name():
    assert own_identity() != own_identity()


async def test_without_election_the_process_always_leads():
    leader, stop = AlwaysLeader(), asyncio.Event()
    assert await leader.acquire(stop)
    async with leader.renewing():
        leader.check()
        assert leader.is_leader
    stop.set()
    assert not await leader.acquire(stop)


async def test_a_leader_is_not_alive_20_s_after_its_lease_ran_out(a, register):
    """R 5.3: nobody renews here, as where the task that should has stuck."""
    assert a.elector.alive() is None
    await a.acquire()
    await asyncio.sleep(35)
    assert a.elector.alive() is None
    await asyncio.sleep(1)
    assert a.elector.alive() == "lease lock was last renewed 36 s ago, and leading has not ended"
    register.put(Lease(holder="x", duration=15))
    await a.lose()
    assert a.elector.alive() is None


async def test_who_only_waits_for_the_lease_is_alive(a, b):
    await a.acquire()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(b.acquire())
        await a.lead(seconds=100)
        assert b.elector.alive() is None
        waiting.cancel()
    assert AlwaysLeader().alive() is None
