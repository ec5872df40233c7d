"""``grpc.health.v1.Health``, for the kubelet's gRPC probes. Only ``Check``, as Katib's images have it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from google.protobuf.message import DecodeError
from grpc import StatusCode
from grpc_health.v1 import health_pb2

from kfx.services.rpc import Call, Method, RpcFailure
from kfx.store.errors import StoreError

PROBE_SECONDS = 2.0

SUGGESTION = "manager.v1beta1.Suggestion"
"""The name the probes of suggestion pods ask for; not the service's name on the wire."""


class Health:
    """Answers for the process ("" and its own name) by asking the store, for SUGGESTION always."""

    name = "grpc.health.v1.Health"

    def __init__(self, ping: Callable[[], Awaitable[None]]) -> None:
        self._ping = ping

    def methods(self) -> Mapping[str, Method]:
        """See :class:`kfx.services.rpc.Service`."""
        return {"Check": self.check}

    async def check(self, request: bytes, _call: Call) -> bytes:
        """NOT_FOUND for a name nobody here answers for; NOT_SERVING where the store does not answer."""
        try:
            asked: str = health_pb2.HealthCheckRequest.FromString(request).service
        except DecodeError as error:
            raise RpcFailure(StatusCode.INVALID_ARGUMENT, f"not a HealthCheckRequest: {error}") from None
        if asked not in {"", self.name, SUGGESTION}:
            raise RpcFailure(StatusCode.NOT_FOUND, f"service {asked} is unknown here")
        serving = asked == SUGGESTION or await self._store_answers()
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        reply: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
        return reply

    async def _store_answers(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._ping()
        except (TimeoutError, StoreError):
            return False
        return True
