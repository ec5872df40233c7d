"""A server that may be off, and the answers it gives."""

import pytest
from aiohttp import web

from kfx.runtime.address import Address, InvalidAddress
from kfx.runtime.optional_server import OptionalServer, plain
from tests.serving import get


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return plain(200, f"{request.path}\n")


@pytest.mark.real_time
async def test_it_answers_while_its_block_lasts() -> None:
    server = OptionalServer("127.0.0.1:0", hello, flag="--x")
    assert server.address == Address("127.0.0.1", 0)
    async with server.serving():
        assert server.bound is not None
        answer = await get(server.bound[1], "/a")
    assert (answer.status, answer.body) == (200, b"/a\n")
    assert answer.headers["cache-control"] == "no-cache, private"
    assert answer.headers["x-content-type-options"] == "nosniff"
    with pytest.raises(RuntimeError, match="--x is not serving"):
        _ = server.bound


@pytest.mark.parametrize("addr", ["0", ""])
async def test_it_is_off_where_its_flag_says_so(addr: str) -> None:
    server = OptionalServer(addr, hello, flag="--x")
    async with server.serving():
        assert server.bound is None
    assert server.address is None


def test_its_flag_is_named_where_the_address_is_none() -> None:
    with pytest.raises(InvalidAddress, match="--x: '8080' is no address"):
        OptionalServer("8080", hello, flag="--x")
