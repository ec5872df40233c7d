"""What a gRPC service is here: a name, and methods from request bytes to reply bytes.

Services know neither sockets nor contexts; :mod:`kfx.services.grpc_server` carries the bytes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import grpc

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes either way. gRPC's own 4 MiB would refuse the log of a long training."""

NAMESPACE_KEY = "kfx-namespace"
"""The metadata by which a caller names the namespace of a trial."""

LARGE_MESSAGE = 64 * 1024
"""Bytes from which a message is decoded or encoded beside the event loop."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a caller says beside its request. ``namespace`` is its metadata ``kfx-namespace``."""

    namespace: str | None = None


Method = Callable[[bytes, Call], Awaitable[bytes]]


class Service(Protocol):
    """A gRPC service under its full name, such as ``api.v1.beta1.DBManager``."""

    @property
    def name(self) -> str: ...

    def methods(self) -> Mapping[str, Method]:
        """Method by its name, such as ``GetObservationLog``. A method may raise RpcFailure."""
        ...


class RpcFailure(Exception):
    """Ends a call with a status other than OK; the text is for the caller."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


async def beside(size: int, function: Callable[[A], B], argument: A) -> B:
    """The function's result, without holding up the event loop where ``size``, in bytes, is large."""
    return await asyncio.to_thread(function, argument) if size > LARGE_MESSAGE else function(argument)
