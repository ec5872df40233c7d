"""What a gRPC service is here: a name, and methods from request bytes to reply bytes.

Services know neither sockets nor contexts; :mod:`kfx.services.grpc_server` carries the bytes.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import grpc


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
