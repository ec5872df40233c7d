"""Observations in somebody else's database manager, Katib's or kfx's own, by ``api.v1.beta1.DBManager``.

Katib's opens a connection for each call and sets no deadline; here one channel is kept and every call ends.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import chain
from typing import TypeVar

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from kfx.apis.common import MetricLog
from kfx.runtime.log import get_logger
from kfx.services.convert import (
    LogFilter,
    MalformedMessage,
    Report,
    deleted_trial_to_wire,
    filter_to_wire,
    iter_logs_from_wire,
    report_to_wire,
)
from kfx.services.rpc import MAX_MESSAGE, NAMESPACE_KEY, beside
from kfx.store.errors import StoreError

CALL_SECONDS = 30.0
"""For one call. Katib's server reads a table without an index."""
PROBE_SECONDS = 5.0
PROBE_INTERVAL = 15.0
HANG_SECONDS = 60.0
"""For so long after a call without an answer no other one is tried, unless a probe gets one before: soon all
workers would wait for the store, and none be left for trials that do not need it."""
LONGEST_DETAILS = 300
"""Characters of the server's words that are quoted."""

_SERVICE = "/api.v1.beta1.DBManager/"
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.enable_http_proxy", 0),  # it is inside the cluster, whatever this pod's proxy
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Sets TCP_USER_TIMEOUT to 20 s, so that the connection to a node that is gone is given up within one call
    # and not after a quarter of an hour. The pings themselves are rarer than what servers in Go put up with.
    ("grpc.keepalive_time_ms", 600_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,  # how Katib's tells any trouble of its database
    }
)

log = get_logger("db-manager")

T = TypeVar("T")


class TooManyRows(StoreError):
    """The reply would not fit into one message."""


class ExternalStore:
    """As :class:`kfx.store.observations.ObservationStore`, kept elsewhere. Made by :meth:`open`.

    Every call raises StoreError where no usable answer comes within ``CALL_SECONDS``. The namespace is sent
    as metadata; Katib's server knows trials by name alone.
    """

    def __init__(self, address: str, channel: grpc.aio.Channel) -> None:
        self._address = address
        self._channel = channel
        self._problem: str | None = f"database manager {address} has not been asked yet"
        self._away = False
        self._hangs_until = 0.0
        self._probe_now = asyncio.Event()
        self._on_answer: list[Callable[[], Awaitable[None]]] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str) -> AsyncIterator["ExternalStore"]:
        """The store behind ``address`` (``host:port``), which need not answer yet."""
        async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
            yield cls(address, channel)

    def check(self) -> str | None:
        """Why the store gives no answer; ``None`` where it last gave one."""
        return self._problem

    def on_answer(self, listener: Callable[[], Awaitable[None]]) -> None:
        """Await ``listener`` whenever a probe finds that the store answers."""
        self._on_answer.append(listener)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Probe the store every 15 s inside."""
        async with asyncio.TaskGroup() as group:
            probing = group.create_task(self._probe(), name="db-manager")
            try:
                yield
            finally:
                probing.cancel()

    async def fold(
        self,
        trial: str,
        into: Callable[[Iterable[MetricLog]], T],
        *,
        namespace: str | None = None,
        metrics: Sequence[str] = (),
    ) -> T:
        """What ``into`` makes of the trial's values, all in one reply, or one for each of ``metrics`` where
        that is too large. Those of other metrics may be among them."""
        try:
            replies = [await self._get(trial, "", namespace)]
        except TooManyRows:
            if not metrics:
                raise
            replies = [await self._get(trial, metric, namespace) for metric in metrics]
        return await beside(sum(map(len, replies)), partial(self._read, into), replies)

    async def report(self, trial: str, logs: Sequence[MetricLog], namespace: str | None = None) -> None:
        """Appends values. Those without a time are left out; of no value Katib's server makes broken SQL."""
        timed = tuple(log for log in logs if log.time_stamp)
        if timed:
            request = report_to_wire(Report(trial=trial, logs=timed))
            await self._call("ReportObservationLog", request, namespace)

    async def delete(self, trial: str, namespace: str | None = None) -> None:
        """Forgets a trial; one that has no rows is no error."""
        await self._call("DeleteObservationLog", deleted_trial_to_wire(trial), namespace)

    async def ping(self) -> None:
        """Asks the health service, as Katib's probes do; a server without one counts as well."""
        request = health_pb2.HealthCheckRequest().SerializeToString()
        try:
            answer = await self._exchange("/grpc.health.v1.Health/Check", request, (), PROBE_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise self._failure(error) from None
        else:
            status = health_pb2.HealthCheckResponse.FromString(answer).status
            if status != health_pb2.HealthCheckResponse.SERVING:
                raise self._note_away("it does not reach its database")
        self._note_answer()

    async def _probe(self) -> None:
        while True:
            try:
                await self.ping()
                for listener in self._on_answer:
                    await listener()
            except StoreError:
                pass  # noted
            self._probe_now.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._probe_now.wait(), PROBE_INTERVAL)

    async def _get(self, trial: str, metric: str, namespace: str | None) -> bytes:
        request = filter_to_wire(LogFilter(trial=trial, metric=metric))
        return await self._call("GetObservationLog", request, namespace)

    def _read(self, into: Callable[[Iterable[MetricLog]], T], replies: Sequence[bytes]) -> T:
        try:
            logs: Iterator[MetricLog] = chain.from_iterable(map(iter_logs_from_wire, replies))
            return into(logs)
        except MalformedMessage as error:
            raise StoreError(f"database manager {self._address}: {error}") from None

    async def _call(self, method: str, request: bytes, namespace: str | None) -> bytes:
        metadata = ((NAMESPACE_KEY, namespace),) if namespace else ()
        if asyncio.get_running_loop().time() < self._hangs_until:
            raise StoreError(self._problem)
        try:
            reply = await self._exchange(f"{_SERVICE}{method}", request, metadata, CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from None
        self._note_answer()
        return reply

    async def _exchange(
        self, path: str, request: bytes, metadata: Sequence[tuple[str, str]], seconds: float
    ) -> bytes:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(path)
        return await method(request, metadata=tuple(metadata), timeout=seconds)

    def _failure(self, error: grpc.aio.AioRpcError) -> StoreError:
        said = f"{error.code().name}: {' '.join((error.details() or '').split())[:LONGEST_DETAILS]}"
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return TooManyRows(f"database manager {self._address}: {said}")
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            self._note_hanging()
        if error.code() in _AWAY:
            return self._note_away(said)
        return StoreError(f"database manager {self._address}: {said}")

    def _note_away(self, said: str) -> StoreError:
        text = (
            f"database manager {self._address} does not answer ({said}); see that it runs and that "
            "KATIB_DB_MANAGER_SERVICE_IP, _NAMESPACE and _PORT name its address"
        )
        if not self._away:
            log.warning("trials wait for their metrics until the database manager answers", error=text)
        self._away, self._problem = True, text
        return StoreError(text)

    def _note_hanging(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._hangs_until:
            self._probe_now.set()
        self._hangs_until = now + HANG_SECONDS

    def _note_answer(self) -> None:
        if self._away:
            log.info("the database manager answers again", address=self._address)
        self._away, self._problem, self._hangs_until = False, None, 0.0
