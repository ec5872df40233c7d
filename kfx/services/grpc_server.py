"""Serves the gRPC services, all of them on every address."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from kfx.runtime.address import Address, AddressInUse, bind, parse_address
from kfx.runtime.log import get_logger
from kfx.services.rpc import MAX_MESSAGE, NAMESPACE_KEY, Call, Method, RpcFailure, Service

MAX_SECONDS = 60.0
"""A call that states no deadline ends after this."""

MAX_CONCURRENT = 4096
"""Calls in hand at once; more are told RESOURCE_EXHAUSTED, so that memory stays bounded."""

GRACE_SECONDS = 5.0

_log = get_logger("grpc-server")

_OPTIONS = (
    # With SO_REUSEPORT a second process on the port would get half of the calls, silently.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
)


class GrpcServer:
    """Plaintext gRPC on several addresses.

    ``addresses`` maps the flag to its value, as ``{"--db-manager-addr": ":6789"}``; "0" is off.
    ``ports`` maps the flags that are served to the port in use, while serving.
    """

    def __init__(self, addresses: Mapping[str, str], services: Sequence[Service]) -> None:
        self._addresses = dict(addresses)
        self._services = tuple(services)
        self.ports: dict[str, int] = {}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answers calls inside; calls in hand get some seconds to end.

        Raises ListenError, of which AddressInUse is one, and InvalidAddress; each names the flag.
        """
        server = grpc.aio.server(
            handlers=[_handler(service) for service in self._services],
            options=_OPTIONS,
            maximum_concurrent_rpcs=MAX_CONCURRENT,
        )
        try:
            for flag, text in self._addresses.items():
                address = parse_address(text, flag=flag)
                if address is not None:
                    self.ports[flag] = await _bind(server, flag, address)
            await server.start()
            for flag, port in self.ports.items():
                _log.info("listening", flag=flag, port=port)
            yield
        finally:
            await server.stop(GRACE_SECONDS)
            self.ports.clear()


async def _bind(server: grpc.aio.Server, flag: str, address: Address) -> int:
    """gRPC takes no bound socket, and says of a failure only that it failed. So a socket of our own
    finds out first, and leaves the place to gRPC."""
    probe = await bind(address, flag=flag)
    host, port = probe.getsockname()[:2]
    probe.close()
    try:
        return server.add_insecure_port(str(Address(host, port)))
    except RuntimeError:
        raise AddressInUse(address, flag) from None


def _handler(service: Service) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(
        service.name,
        {
            name: grpc.unary_unary_rpc_method_handler(_answering(f"{service.name}/{name}", method))
            for name, method in service.methods().items()
        },
    )


def _answering(name: str, method: Method) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def answer(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        left = context.time_remaining()
        try:
            async with asyncio.timeout(min(left, MAX_SECONDS) if left is not None else MAX_SECONDS):
                reply = await method(request, _call_of(context))
        except RpcFailure as error:
            if error.code is grpc.StatusCode.UNAVAILABLE:  # ours to mend; all else is the caller's
                _log.warning("call failed", method=name, error=str(error))
            await context.abort(error.code, str(error))
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer within the deadline: try again")
        if len(reply) > MAX_MESSAGE:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"the reply exceeds {MAX_MESSAGE} bytes: ask for less"
            )
        return reply

    return answer


def _call_of(context: grpc.aio.ServicerContext[bytes, bytes]) -> Call:
    for key, value in context.invocation_metadata() or ():
        if key == NAMESPACE_KEY and isinstance(value, str) and value:
            return Call(namespace=value)
    return Call()
