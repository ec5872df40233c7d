import asyncio

import pytest

from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.workqueue import AGED_AFTER, AGED_SHARE, Priority, QueueShutDown, WorkQueue


@pytest.fixture
def queue():
    return WorkQueue("c")


async def take(queue, count):
    """The next keys, each given back before the next is taken."""
    found = []
    for _ in range(count):
        item = await queue.get()
        queue.done(item)
        found.append(item)
    return found


async def test_keys_come_in_the_order_they_were_added(queue):
    for item in "cab":
        queue.add(item)
    assert await take(queue, 3) == ["c", "a", "b"]


async def test_a_key_is_queued_at_most_once(queue):
    for _ in range(3):
        queue.add("a")
    assert len(queue) == 1


async def test_a_key_added_while_held_runs_again_after_done(queue):
    queue.add("a")
    held = await queue.get()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0  # never in two hands
    queue.done(held)
    assert await take(queue, 1) == ["a"]
    assert len(queue) == 0


async def test_giving_back_what_nobody_holds_changes_nothing(queue):
    queue.add("a")
    queue.done("a")
    assert len(queue) == 1


async def test_a_waiting_getter_is_woken(queue, clock):
    asyncio.get_running_loop().call_later(3, queue.add, "a")
    assert await queue.get() == "a"
    assert clock == 3


async def test_two_getters_get_two_keys(queue):
    async with asyncio.TaskGroup() as group:
        getters = [group.create_task(queue.get()) for _ in range(2)]
        await asyncio.sleep(1)
        queue.add("a")
        queue.add("b")
    assert sorted(getter.result() for getter in getters) == ["a", "b"]


@pytest.mark.parametrize("woken_first", [True, False])
async def test_a_cancelled_getter_loses_no_key(queue, woken_first):
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(queue.get()), group.create_task(queue.get())
        await asyncio.sleep(1)
        if woken_first:
            queue.add("a")
            first.cancel()
        else:
            first.cancel()
            queue.add("a")
    assert first.cancelled()
    assert second.result() == "a"


async def test_failures_wait_longer_each_time(queue, clock):
    delays = []
    for _ in range(5):
        before = clock.now
        queue.add_rate_limited("a")
        await take(queue, 1)
        delays.append(round(clock.now - before, 3))
    assert delays == [0.005, 0.01, 0.02, 0.04, 0.08]
    assert queue.failures("a") == 5
    queue.forget("a")
    assert queue.failures("a") == 0


@pytest.mark.parametrize("delays", [(60, 1, 30), (1, 60, 30), (30, 60, 1)])
async def test_an_earlier_delay_wins(queue, clock, delays):
    for delay in delays:
        queue.add_after("a", delay)
    await queue.get()
    assert clock == 1
    await asyncio.sleep(100)
    queue.done("a")
    assert len(queue) == 0  # the later ones were not kept


async def test_a_delay_that_was_shortened_does_not_end_twice(queue, clock):
    queue.add_after("a", 60)
    queue.add_after("a", 1)
    await take(queue, 1)
    queue.add_after("a", 100)
    await take(queue, 1)
    assert clock == 101


async def test_delayed_keys_come_in_the_order_of_their_time(queue, clock):
    for item, delay in (("c", 3), ("a", 1), ("b", 2)):
        queue.add_after(item, delay)
    assert await take(queue, 3) == ["a", "b", "c"]
    assert clock == 3


@pytest.mark.parametrize("delay", [0, -1])
async def test_no_delay_is_now(queue, delay):
    queue.add_after("a", delay)
    assert len(queue) == 1


async def test_a_delay_that_ends_while_the_key_is_held_runs_it_again(queue, clock):
    queue.add("a")
    await queue.get()
    queue.add_after("a", 1)
    await asyncio.sleep(2)
    queue.done("a")
    assert await take(queue, 1) == ["a"]


async def test_shut_down_wakes_waiting_workers(queue):
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(get_or_none(queue)) for _ in range(3)]
        await asyncio.sleep(1)
        queue.shut_down()
    assert [getter.result() for getter in waiting] == [None] * 3


async def test_nothing_is_queued_after_shut_down(queue):
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    for item in "ab":
        queue.add(item)
    held = await queue.get()
    queue.add(held)
    queue.add_after("c", 1)
    queue.shut_down(drop=True)
    queue.add("d")
    queue.add_after("e", 1)
    queue.add_rate_limited("f")
    queue.done(held)
    await asyncio.sleep(10)
    assert (len(queue), failures) == (0, [])
    with pytest.raises(QueueShutDown):
        await queue.get()


async def test_what_is_queued_at_shut_down_is_still_given_out_but_nothing_new(queue):
    """R 5.1: in hand, queued, wanted again, delayed; then one that comes too late."""
    for item in "ab":
        queue.add(item)
    held = await queue.get()
    queue.add(held)
    queue.add_after("c", 1)
    queue.shut_down()
    queue.add("d")
    queue.add(held)
    queue.done(held)
    await asyncio.sleep(10)
    assert await take(queue, 2) == ["b", "a"]
    with pytest.raises(QueueShutDown):
        await queue.get()


async def test_a_drain_waits_for_the_keys_in_hand(queue, clock):
    """R 5.1: not for those that are queued."""
    for item in "abc":
        queue.add(item)
    for number in (1, 2):
        item = await queue.get()
        asyncio.get_running_loop().call_later(number, queue.done, item)
    await queue.shut_down_with_drain()
    assert (clock.now, len(queue)) == (2, 1)
    await queue.shut_down_with_drain()


async def test_a_second_shut_down_ends_a_drain(queue, clock):
    queue.add("a")
    await queue.get()
    asyncio.get_running_loop().call_later(3, queue.shut_down)
    await queue.shut_down_with_drain()
    assert clock.now == 3


async def test_a_change_overtakes_what_came_with_a_list(queue):
    queue.add("listed", priority=Priority.LOW)
    queue.add("changed")
    assert await take(queue, 2) == ["changed", "listed"]


async def test_a_change_raises_a_listed_key_and_nothing_lowers_it(queue):
    for item in "ab":
        queue.add(item, priority=Priority.LOW)
    queue.add("c")
    queue.add("b")
    queue.add("c", priority=Priority.LOW)
    assert len(queue) == 3
    assert await take(queue, 3) == ["c", "b", "a"]


async def test_the_highest_priority_asked_for_while_held_counts(queue):
    queue.add("a")
    await queue.get()
    queue.add("a", priority=Priority.LOW)
    queue.add("a")
    queue.add("a", priority=Priority.LOW)
    queue.add("b", priority=Priority.LOW)
    queue.done("a")
    assert await take(queue, 2) == ["a", "b"]
    assert len(queue) == 0


async def test_a_delay_keeps_the_highest_priority(queue):
    queue.add_after("a", 1, priority=Priority.LOW)
    queue.add_after("a", 2)
    queue.add_after("b", 1, priority=Priority.LOW)
    await asyncio.sleep(1)
    queue.add("c")
    assert await take(queue, 3) == ["a", "c", "b"]


async def test_listed_keys_that_have_waited_get_their_share_of_turns(queue):
    for number in range(3):
        queue.add(f"listed-{number}", priority=Priority.LOW)
    await asyncio.sleep(AGED_AFTER)
    for number in range(3 * AGED_SHARE):
        queue.add(f"changed-{number}")
    turns = await take(queue, 3 * AGED_SHARE)
    assert [n for n, item in enumerate(turns, 1) if item.startswith("listed")] == [4, 8, 12]


async def test_changes_keep_their_share_of_turns_behind_any_number_of_listed_keys(queue):
    for number in range(1000):
        queue.add(f"listed-{number}", priority=Priority.LOW)
    await asyncio.sleep(100 * AGED_AFTER)
    for number in range(6):
        queue.add(f"changed-{number}")
    turns = await take(queue, 8)
    assert sum(item.startswith("changed") for item in turns) == 6


async def test_the_figures_follow_the_keys():
    metrics = RuntimeMetrics()
    queue = WorkQueue("c", metrics=metrics.queue("c"))

    def value(name, **labels):
        return metrics.registry.get_sample_value(name, {"name": "c", "controller": "c", **labels})

    queue.add("a")
    queue.add("a")
    queue.add("b", priority=Priority.LOW)
    assert value("workqueue_depth", priority="0") == 1
    assert value("workqueue_depth", priority="-100") == 1
    await asyncio.sleep(2)
    held = await queue.get()
    queue.add(held)
    await asyncio.sleep(3)
    await queue.get()
    await asyncio.sleep(4)
    assert value("workqueue_adds_total") == 3
    assert value("workqueue_queue_duration_seconds_sum") == 2 + 5
    assert value("workqueue_unfinished_work_seconds") == 7 + 4
    assert value("workqueue_longest_running_processor_seconds") == 7
    queue.done(held)
    assert value("workqueue_work_duration_seconds_sum") == 7
    assert value("workqueue_depth", priority="0") == 1
    queue.add_rate_limited("c")
    assert value("workqueue_retries_total") == 1


async def test_nothing_is_remembered_of_keys_that_are_done(queue):
    for number in range(100):
        queue.add(f"a-{number}")
        queue.add_after(f"b-{number}", 1)
        queue.add_rate_limited(f"b-{number}")
    for item in await take(queue, 200):
        queue.forget(item)
    state = (queue._ready[Priority.NORMAL], queue._again, queue._held, queue._delayed)
    assert [len(each) for each in (*state, queue._limiter._failures, queue._getters)] == [0] * 6


async def get_or_none(queue):
    try:
        return await queue.get()
    except QueueShutDown:
        return None
