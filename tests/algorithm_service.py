"""A small algorithm with a rule for early stopping, served over gRPC as Katib's images serve theirs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from grpc import StatusCode

from kfx.services.algorithm_client import Endpoint
from kfx.services.grpc_server import GrpcServer
from kfx.services.pb import api_pb2
from kfx.services.rpc import Call, Method, RpcFailure


class AlgorithmService:
    """Point number i of ``x`` is i; of points there are ``size``.

    ``failures``: by method, what the next call ends with, ``None`` to hang. ``requests``: every request that
    came, with its method. ``changes``: settings that each answer changes.
    """

    name = "api.v1.beta1.Suggestion"

    def __init__(self, size: int = 1000) -> None:
        self.size = size
        self.given = 0
        self.requests: list[tuple[str, Any]] = []
        self.failures: dict[str, list[tuple[StatusCode, str] | None]] = {}
        self.changes: dict[str, str] = {}
        self.surplus = 0
        self.trial_name = ""
        self.arrived = asyncio.Event()
        self.in_hand = 0
        self.most_in_hand = 0

    def methods(self) -> Mapping[str, Method]:
        return {
            "ValidateAlgorithmSettings": self.validate,
            "GetSuggestions": self.get_suggestions,
        }

    def of(self, method: str) -> list[Any]:
        return [request for name, request in self.requests if name == method]

    async def validate(self, data: bytes, _call: Call) -> bytes:
        request = api_pb2.ValidateAlgorithmSettingsRequest.FromString(data)
        await self.note("ValidateAlgorithmSettings", request)
        return b""

    async def get_suggestions(self, data: bytes, _call: Call) -> bytes:
        request = api_pb2.GetSuggestionsRequest.FromString(data)
        await self.note("GetSuggestions", request)
        reply = api_pb2.GetSuggestionsReply()
        for _ in range(min(request.current_request_number, self.size - self.given) + self.surplus):
            point = reply.parameter_assignments.add(trial_name=self.trial_name)
            point.assignments.add(name="x", value=str(self.given))
            self.given += 1
        for name, value in self.changes.items():
            reply.algorithm.algorithm_settings.add(name=name, value=value)
        encoded: bytes = reply.SerializeToString()
        return encoded

    async def note(self, method: str, request: Any) -> None:
        self.requests.append((method, request))
        self.in_hand += 1
        self.most_in_hand = max(self.most_in_hand, self.in_hand)
        try:
            await self._fail(method)
        finally:
            self.in_hand -= 1

    async def _fail(self, method: str) -> None:
        if self.failures.get(method):
            failure = self.failures[method].pop(0)
            if failure is None:
                self.arrived.set()
                await asyncio.Event().wait()
            else:
                raise RpcFailure(*failure)


class StoppingService:
    """One rule for every trial; its calls are noted with the algorithm's."""

    name = "api.v1.beta1.EarlyStopping"

    def __init__(self, algorithm: AlgorithmService) -> None:
        self._algorithm = algorithm

    def methods(self) -> Mapping[str, Method]:
        return {
            "ValidateEarlyStoppingSettings": self.validate,
            "GetEarlyStoppingRules": self.get_rules,
        }

    async def validate(self, data: bytes, _call: Call) -> bytes:
        request = api_pb2.ValidateEarlyStoppingSettingsRequest.FromString(data)
        await self._algorithm.note("ValidateEarlyStoppingSettings", request)
        return b""

    async def get_rules(self, data: bytes, _call: Call) -> bytes:
        request = api_pb2.GetEarlyStoppingRulesRequest.FromString(data)
        await self._algorithm.note("GetEarlyStoppingRules", request)
        reply = api_pb2.GetEarlyStoppingRulesReply()
        reply.early_stopping_rules.add(name="loss", value="0.5", comparison=api_pb2.GREATER, start_step=4)
        encoded: bytes = reply.SerializeToString()
        return encoded


class Served:
    """A service on this machine; ``dial`` leads every Service of the cluster to it."""

    def __init__(self, service: AlgorithmService, server: GrpcServer) -> None:
        self.service = service
        self.dialled: list[tuple[Endpoint, int]] = []
        self._server = server

    def dial(self, endpoint: Endpoint, port: int) -> str:
        self.dialled.append((endpoint, port))
        return f"ipv4:127.0.0.1:{self._server.ports[str(port)]}"


@asynccontextmanager
async def serving(service: AlgorithmService) -> AsyncIterator[Served]:
    """Both ports, while the block lasts."""
    addresses = {"6789": "127.0.0.1:0", "6788": "127.0.0.1:0"}
    server = GrpcServer(addresses, [service, StoppingService(service)])
    async with server.serving():
        yield Served(service, server)
