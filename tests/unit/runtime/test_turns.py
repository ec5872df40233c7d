"""Turns: never too many at a time, none lost, first come, first served."""

import asyncio

from kfx.runtime.turns import Turns


async def enter(turns: Turns, entered: list[int], number: int) -> None:
    await turns.wait()
    entered.append(number)


async def spawn(group: asyncio.TaskGroup, turns: Turns, entered: list[int]) -> list[asyncio.Task[None]]:
    tasks = [group.create_task(enter(turns, entered, number)) for number in range(3)]
    await asyncio.sleep(0)
    assert turns.waiting == 3
    return tasks


async def test_only_so_many_are_taken_at_once() -> None:
    turns = Turns(2)
    assert [turns.take() for _ in range(3)] == [True, True, False]
    turns.give_back()
    assert [turns.take() for _ in range(2)] == [True, False]


async def test_a_turn_goes_to_who_came_first() -> None:
    turns, entered = Turns(1), list[int]()
    assert turns.take()
    async with asyncio.TaskGroup() as group:
        await spawn(group, turns, entered)
        for _ in range(3):
            turns.give_back()
        assert not turns.take()
    assert entered == [0, 1, 2]


async def test_who_has_given_up_gets_no_turn() -> None:
    turns, entered = Turns(1), list[int]()
    assert turns.take()
    async with asyncio.TaskGroup() as group:
        tasks = await spawn(group, turns, entered)
        tasks[0].cancel()
        for _ in range(2):  # before the cancelled one has run
            turns.give_back()
    assert (entered, turns.waiting) == ([1, 2], 0)


async def test_a_turn_handed_to_one_who_gives_up_then_is_passed_on() -> None:
    turns, entered = Turns(1), list[int]()
    assert turns.take()
    async with asyncio.TaskGroup() as group:
        tasks = await spawn(group, turns, entered)
        turns.give_back()
        tasks[0].cancel()
        await asyncio.sleep(0)
        turns.give_back()
    assert entered == [1, 2]
    turns.give_back()
    assert turns.take()
