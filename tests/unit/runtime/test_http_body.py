"""Bodies: read whole or refused, with nothing left on the books."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import StreamReader

from kfx.runtime.http_body import BodyBudget, BodyTooLarge, Overloaded, read_body


def request_with(*pieces: bytes, whole: bool) -> Any:
    loop = asyncio.get_running_loop()
    link: Any = SimpleNamespace(connected=True, resume_reading=lambda resume_parser=True: None)
    content = StreamReader(link, 2**16, loop=loop)
    for piece in pieces:
        content.feed_data(piece)
    if whole:
        content.feed_eof()
    else:
        loop.call_soon(content.feed_eof)
    client = SimpleNamespace(
        address="a", request_begun=lambda: None, request_read=lambda: None, take_body=lambda content: None
    )
    return SimpleNamespace(content=content, content_length=None, protocol=client)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("pieces", [(), (b"abc",), (b"ab", b"c", b"def")])
async def test_a_body_is_read_whether_it_is_there_or_on_its_way(
    pieces: tuple[bytes, ...], whole: bool
) -> None:
    budget = BodyBudget()
    body = await read_body(request_with(*pieces, whole=whole), limit=100, budget=budget)
    assert body == b"".join(pieces)
    assert budget.held == len(body)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("limit", "total", "refusal"), [(6, 100, BodyTooLarge), (100, 5, Overloaded)])
async def test_nothing_stays_taken_for_a_body_refused(
    limit: int, total: int, refusal: type[Exception], whole: bool
) -> None:
    budget = BodyBudget(total=total)
    with pytest.raises(refusal):
        await read_body(request_with(b"ab", b"c", b"def", whole=whole), limit=limit, budget=budget)
    assert (budget.held, budget.by_address) == (0, {})


def test_one_address_cannot_take_all_the_room_for_bodies() -> None:
    budget = BodyBudget(total=10, per_address=6)
    budget.take("a", 6)
    with pytest.raises(Overloaded):
        budget.take("a", 1)
    budget.take("b", 4)
    with pytest.raises(Overloaded):
        budget.take("b", 1)
    budget.give_back("a", 6)
    budget.take("b", 2)
    budget.give_back("b", 6)
    assert (budget.held, budget.by_address) == (0, {})
