"""Asks an algorithm that runs in an image of its own, over ``api.v1.beta1.Suggestion`` and ``EarlyStopping``.

One client for each Suggestion; its channels are kept as long as they serve. Codes are taken as Katib's
suggestion client takes them, but for those that only say that there is no answer now.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
import grpc.aio
import msgspec
from grpc import StatusCode

from kfx.apis.common import EarlyStoppingRule
from kfx.apis.experiment import Experiment
from kfx.apis.trial import Trial
from kfx.katib.image_suggestion import Proposal
from kfx.katib.reply_check import find_problem
from kfx.katib.suggestion_objects import EARLY_STOPPING_PORT, SUGGESTION_PORT
from kfx.services import algorithm_convert as wire
from kfx.services.convert import MalformedMessage
from kfx.services.rpc import MAX_MESSAGE

DEADLINE = 60.0
"""Seconds for one call (Katib's)."""

BESIDE = 200
"""Trials from which a request is put together beside the event loop."""

UNEXPECTED = "The response contains unexpected trials"

_PASSING = (
    StatusCode.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.CANCELLED,
)
_REFUSING = (StatusCode.INVALID_ARGUMENT, StatusCode.UNKNOWN, StatusCode.INTERNAL)
_LONGEST = 500  # characters of a foreign text
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.enable_http_proxy", 0),  # a Service's address is behind no proxy
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 10_000),
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A Suggestion's Service. ``address``: its cluster IP; ``host``: its name and namespace, with a dot."""

    address: str
    host: str


Dial = Callable[[Endpoint, int], str]
"""gRPC's name of the place where a port of a Service is reached."""


def dial_cluster_ip(endpoint: Endpoint, port: int) -> str:
    """The Service's cluster IP: the Service's name means nothing outside the cluster."""
    address = endpoint.address
    return f"ipv6:[{address}]:{port}" if ":" in address else f"ipv4:{address}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What ``count`` assignments are asked with. ``experiment`` has the settings that earlier answers gave.

    ``start``, ``requests`` and ``busy`` as in :class:`Proposal`.
    """

    experiment: Experiment
    trials: Sequence[Trial]
    start: int
    count: int
    requests: int
    busy: bool = False


class NoAnswer(Exception):
    """A call ended without a usable answer. ``passing``: there may be one later, without anybody's help."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class AlgorithmClient:
    """One algorithm. Never two calls at once: Katib's images do not stand that.

    ``db_manager_address``: ``host:port`` that a rule for early stopping reads observations from.
    """

    def __init__(self, endpoint: Endpoint, *, db_manager_address: str, dial: Dial = dial_cluster_ip) -> None:
        self.endpoint = endpoint
        self._db_manager_address = db_manager_address
        self._dial = dial
        self._channels: dict[int, grpc.aio.Channel] = {}

    async def validate(self, experiment: Experiment) -> str:
        """What the algorithm, or the rule for early stopping, has against the settings; ``""`` for nothing.

        Raises NoAnswer.
        """
        problem = await self._check(
            SUGGESTION_PORT,
            "Suggestion/ValidateAlgorithmSettings",
            wire.validation_to_wire(experiment),
        )
        rule = experiment.spec.early_stopping
        if problem or rule is None or not rule.algorithm_name:
            return problem
        request = wire.stopping_validation_to_wire(rule)
        return await self._check(EARLY_STOPPING_PORT, "EarlyStopping/ValidateEarlyStoppingSettings", request)

    async def propose(self, question: Question) -> Proposal:
        """Assignments, no more than were asked for, each with the rules for early stopping there are.

        Raises NoAnswer.
        """
        experiment, trials = question.experiment, question.trials
        request = await _beside(
            len(trials),
            lambda: wire.suggestions_to_wire(experiment, trials, question.count, question.requests),
        )
        assignments, settings = await self._read(
            SUGGESTION_PORT, "Suggestion/GetSuggestions", request, wire.suggestions_from_wire
        )
        if len(assignments) > question.count:
            raise NoAnswer(UNEXPECTED, passing=False)
        taken = {trial.metadata.name for trial in trials}
        if problem := find_problem(experiment, assignments, taken):
            raise NoAnswer(f"{UNEXPECTED}: {problem}", passing=False)
        rule = experiment.spec.early_stopping
        if assignments and rule is not None and rule.algorithm_name:
            rules = await self._rules(experiment, trials)
            assignments = tuple(
                msgspec.structs.replace(each, early_stopping_rules=rules) for each in assignments
            )
        return Proposal(
            start=question.start,
            requests=question.requests,
            assignments=assignments,
            settings=settings,
            busy=question.busy,
        )

    async def close(self) -> None:
        """End the connections."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close()

    async def _rules(self, experiment: Experiment, trials: Sequence[Trial]) -> tuple[EarlyStoppingRule, ...]:
        address, method = self._db_manager_address, "EarlyStopping/GetEarlyStoppingRules"
        request = await _beside(len(trials), lambda: wire.rules_to_wire(experiment, trials, address))
        return await self._read(EARLY_STOPPING_PORT, method, request, wire.rules_from_wire)

    async def _check(self, port: int, method: str, request: bytes) -> str:
        """(Katib ``ValidateAlgorithmSettings``, which takes an answer that is missing for a refusal.)"""
        try:
            await self._call(port, method, request, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() in _PASSING:
                raise await self._no_answer(port, method, error) from None
            if error.code() in _REFUSING:
                return f"{method.partition('/')[2]} Error: {_short(error.details())}"
        return ""

    async def _ask(self, port: int, method: str, request: bytes) -> bytes:
        try:
            return await self._call(port, method, request)
        except grpc.aio.AioRpcError as error:
            raise await self._no_answer(port, method, error) from None

    async def _call(self, port: int, method: str, request: bytes, *, wait_for_ready: bool = False) -> bytes:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        call = self._channel(port).unary_unary(f"/api.v1.beta1.{method}")
        return await call(request, timeout=DEADLINE, wait_for_ready=wait_for_ready)

    def _channel(self, port: int) -> grpc.aio.Channel:
        if port not in self._channels:
            authority = ("grpc.default_authority", f"{self.endpoint.host}:{port}")
            target = self._dial(self.endpoint, port)
            self._channels[port] = grpc.aio.insecure_channel(target, options=(*_OPTIONS, authority))
        return self._channels[port]

    async def _no_answer(self, port: int, method: str, error: grpc.aio.AioRpcError) -> NoAnswer:
        code = error.code()
        if code is StatusCode.DEADLINE_EXCEEDED and port in self._channels:
            await self._channels.pop(port).close()  # its connection may lead to a node that is no more
        text = f"{self._subject(port, method)}: {code.name}: {_short(error.details())}"
        return NoAnswer(text, passing=code in _PASSING)

    def _subject(self, port: int, method: str) -> str:
        return f"{method.partition('/')[2]} at {self.endpoint.host}:{port}"

    async def _read(self, port: int, method: str, request: bytes, decode: Callable[[bytes], T]) -> T:
        reply = await self._ask(port, method, request)
        try:
            return decode(reply)
        except MalformedMessage as error:
            raise NoAnswer(f"{self._subject(port, method)}: {error}", passing=False) from None


async def _beside(size: int, make: Callable[[], T]) -> T:
    return await asyncio.to_thread(make) if size > BESIDE else make()


def _short(text: str | None) -> str:
    found = text or ""
    return found if len(found) <= _LONGEST else f"{found[:_LONGEST]}…"
