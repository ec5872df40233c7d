import asyncio
import socket
from collections.abc import AsyncIterator, Mapping

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from kfx.runtime.address import AddressInUse, InvalidAddress, ListenError
from kfx.services import grpc_server
from kfx.services.grpc_server import GrpcServer
from kfx.services.rpc import Call, Method, RpcFailure

pytestmark = pytest.mark.real_time

FLAG = "--db-manager-addr"


class Echo:
    """Answers with what the server made of the call."""

    name = "test.Echo"

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    def methods(self) -> Mapping[str, Method]:
        return {
            "Namespace": self.namespace,
            "Same": self.same,
            "Refuse": self.refuse,
            "Hang": self.hang,
            "Fail": self.fail,
        }

    async def namespace(self, _request: bytes, call: Call) -> bytes:
        return repr(call.namespace).encode()

    async def same(self, request: bytes, _call: Call) -> bytes:
        return request

    async def refuse(self, _request: bytes, _call: Call) -> bytes:
        raise RpcFailure(grpc.StatusCode.FAILED_PRECONDITION, "not like this")

    async def fail(self, _request: bytes, _call: Call) -> bytes:
        raise RpcFailure(grpc.StatusCode.UNAVAILABLE, "the disk is full")

    async def hang(self, _request: bytes, _call: Call) -> bytes:
        self.arrived.set()
        await asyncio.Event().wait()
        return b""


@pytest.fixture
async def served() -> AsyncIterator[GrpcServer]:
    server = GrpcServer({FLAG: "127.0.0.1:0", "--early-stopping-addr": "127.0.0.1:0"}, [Echo()])
    async with server.serving():
        yield server


async def call(
    server: GrpcServer, method: str, request: bytes = b"", *, flag: str = FLAG, **options: object
) -> bytes:
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.ports[flag]}", options=limits) as channel:
        reply: bytes = await channel.unary_unary(f"/test.Echo/{method}")(request, **options)  # type: ignore[arg-type]
        return reply


async def test_every_service_is_served_on_every_address(served: GrpcServer) -> None:
    assert len(set(served.ports.values())) == 2
    for flag in served.ports:
        assert await call(served, "Same", b"hello", flag=flag) == b"hello"


async def test_the_namespace_comes_from_the_metadata(served: GrpcServer) -> None:
    assert await call(served, "Namespace", metadata=(("kfx-namespace", "n"),)) == b"'n'"
    assert await call(served, "Namespace", metadata=(("kfx-namespace", ""),)) == b"None"
    assert await call(served, "Namespace") == b"None"


async def test_a_failure_carries_its_code_and_text(served: GrpcServer) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(served, "Refuse")
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert raised.value.details() == "not like this"


async def test_a_failure_of_our_own_is_logged_and_a_callers_is_not(served: GrpcServer) -> None:
    with capture_logs() as logs:
        for method in ("Refuse", "Fail"):
            with pytest.raises(grpc.aio.AioRpcError):
                await call(served, method)
    (only,) = logs
    assert (only["method"], only["error"]) == ("test.Echo/Fail", "the disk is full")


async def test_messages_of_more_than_4_mib_pass_and_beyond_the_limit_do_not(served: GrpcServer) -> None:
    large = bytes(20 * 1024 * 1024)
    assert await call(served, "Same", large) == large
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(served, "Same", bytes(grpc_server.MAX_MESSAGE + 1))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_call_without_deadline_ends_all_the_same(
    served: GrpcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_server, "MAX_SECONDS", 0.05)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(served, "Hang")
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_port_that_is_taken_is_told_with_its_flag(served: GrpcServer) -> None:
    taken = served.ports[FLAG]
    for address in (f"127.0.0.1:{taken}", f":{taken}"):
        with pytest.raises(AddressInUse, match=f"{FLAG}.*in use") as raised:
            async with GrpcServer({FLAG: address}, [Echo()]).serving():
                pytest.fail("two servers share one port")
        assert raised.value.address.port == taken


async def test_no_other_server_may_share_the_port(served: GrpcServer) -> None:
    other = grpc.aio.server()  # by default gRPC lets servers of one user share a port
    try:
        with pytest.raises(RuntimeError, match="Failed to bind"):
            other.add_insecure_port(f"127.0.0.1:{served.ports[FLAG]}")
    finally:
        await other.stop(None)


async def test_an_address_of_another_machine_is_told_with_its_flag() -> None:
    with pytest.raises(ListenError, match=FLAG):
        async with GrpcServer({FLAG: "192.0.2.1:6789"}, []).serving():
            pytest.fail("served on an address that is not here")
    with pytest.raises(InvalidAddress, match=FLAG):
        async with GrpcServer({FLAG: "nonsense"}, []).serving():
            pytest.fail("served nowhere")


async def test_zero_switches_an_address_off() -> None:
    server = GrpcServer({FLAG: "0", "--early-stopping-addr": "127.0.0.1:0"}, [Echo()])
    async with server.serving():
        assert list(server.ports) == ["--early-stopping-addr"]
    assert server.ports == {}


async def test_an_empty_host_is_every_interface() -> None:
    server = GrpcServer({FLAG: ":0"}, [Echo()])
    async with server.serving():
        assert await call(server, "Same", b"x") == b"x"


async def test_the_port_is_free_again_afterwards() -> None:
    server = GrpcServer({FLAG: "127.0.0.1:0"}, [Echo()])
    async with server.serving():
        port = server.ports[FLAG]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


async def test_a_call_that_hangs_does_not_hold_the_end_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "GRACE_SECONDS", 0.05)
    echo = Echo()
    server = GrpcServer({FLAG: "127.0.0.1:0"}, [echo])
    async with asyncio.TaskGroup() as group:
        async with server.serving():
            hanging = group.create_task(ended(call(server, "Hang")))
            await echo.arrived.wait()
        assert await hanging in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}


async def ended(calling: object) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await calling  # type: ignore[misc]
    return raised.value.code()


async def test_an_unknown_method_is_unimplemented(served: GrpcServer) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(served, "Nothing")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
