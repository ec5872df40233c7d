"""Observations that another process keeps: kfx's own service over gRPC, and servers like Katib's."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from structlog.testing import capture_logs

from kfx.apis.common import MetricLog
from kfx.services import external_store
from kfx.services.convert import filter_from_wire, logs_to_wire, report_from_wire
from kfx.services.db_manager import DBManager
from kfx.services.external_store import ExternalStore
from kfx.services.grpc_server import GrpcServer
from kfx.services.health import Health
from kfx.services.rpc import Call, Method, RpcFailure, Service
from kfx.store.errors import StoreError
from kfx.store.observations import ObservationStore

pytestmark = pytest.mark.real_time

FLAG = "--db-manager-addr"


def log(value: str, name: str = "loss") -> MetricLog:
    return MetricLog(time_stamp="2026-01-01T00:00:00Z", name=name, value=value)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ObservationStore]:
    async with ObservationStore.open(tmp_path / "observations.db") as opened:
        yield opened


@asynccontextmanager
async def serving(port: int, *services: Service) -> AsyncIterator[ExternalStore]:
    """A client of a server with these services."""
    async with GrpcServer({FLAG: f"127.0.0.1:{port}"}, services).serving(), client(port) as external:
        yield external


@asynccontextmanager
async def client(port: int) -> AsyncIterator[ExternalStore]:
    async with ExternalStore.open(f"127.0.0.1:{port}") as external:
        yield external


async def values(store: ExternalStore, trial: str = "t", **options: object) -> list[str]:
    found: list[MetricLog] = await store.fold(trial, list, **options)  # type: ignore[arg-type]
    return [each.value for each in found]


class Katibs:
    """Answers as Katib's server does where it is in trouble, and keeps what it was asked."""

    name = "api.v1.beta1.DBManager"

    def __init__(self, failure: RpcFailure | None = None) -> None:
        self.failure = failure
        self.asked: list[tuple[str, bytes, str | None]] = []

    def methods(self) -> Mapping[str, Method]:
        return {
            "ReportObservationLog": self.report,
            "GetObservationLog": self.get,
            "DeleteObservationLog": self.delete,
        }

    async def report(self, request: bytes, call: Call) -> bytes:
        return self._answer("report", request, call)

    async def get(self, request: bytes, call: Call) -> bytes:
        return self._answer("get", request, call)

    async def delete(self, request: bytes, call: Call) -> bytes:
        return self._answer("delete", request, call)

    def _answer(self, method: str, request: bytes, call: Call) -> bytes:
        self.asked.append((method, request, call.namespace))
        if self.failure is not None:
            raise self.failure
        return b""


async def test_what_is_reported_is_read_until_it_is_deleted(port: int, store: ObservationStore) -> None:
    async with serving(port, DBManager(store)) as external:
        await external.report("t", [log("1"), log("2")], "ns")
        assert await values(external, namespace="ns") == ["1", "2"]
        assert await values(external, trial="unknown") == []
        await external.delete("t", "ns")
        await external.delete("t", "ns")
        assert await values(external) == []
        assert external.check() is None


async def test_the_namespace_is_told_so_that_namesakes_are_kept_apart(
    port: int, store: ObservationStore
) -> None:
    async with serving(port, DBManager(store)) as external:
        await external.report("t", [log("1")], "a")
        await external.report("t", [log("2")], "b")
        assert await values(external, namespace="b") == ["2"]
        with pytest.raises(StoreError, match="FAILED_PRECONDITION: trial t is ambiguous"):
            await values(external)


async def test_all_metrics_come_in_one_call(port: int) -> None:
    """C 2.7: an empty metric_name is every metric."""
    async with serving(port, katibs := Katibs()) as external:
        await values(external, metrics=("loss", "accuracy"))
    ((_, request, _),) = katibs.asked
    assert filter_from_wire(request).metric == ""


async def test_values_that_make_broken_SQL_of_an_insert_are_not_sent(port: int) -> None:
    """C 6.3: Katib's server fails for a report without a value that has a time."""
    async with serving(port, katibs := Katibs()) as external:
        await external.report("t", [])
        await external.report("t", [MetricLog(time_stamp="", name="loss", value="1")])
        assert katibs.asked == []
        await external.report("t", [MetricLog(time_stamp="", name="loss", value="1"), log("2")])
    ((_, request, _),) = katibs.asked
    assert [each.value for each in report_from_wire(request).logs] == ["2"]


class TooMany(Katibs):
    """Has more than one message can carry, unless one metric is asked for."""

    def _answer(self, method: str, request: bytes, call: Call) -> bytes:
        metric = filter_from_wire(request).metric
        self.asked.append((method, request, call.namespace))
        if not metric:
            raise RpcFailure(StatusCode.RESOURCE_EXHAUSTED, "ask for less")
        return logs_to_wire([log("1", metric)])


async def test_what_fits_into_no_message_is_asked_for_metric_by_metric(port: int) -> None:
    async with serving(port, TooMany()) as external:
        assert await values(external, metrics=("loss", "accuracy")) == ["1", "1"]
        with pytest.raises(StoreError, match="RESOURCE_EXHAUSTED: ask for less"):
            await values(external)


async def test_katibs_trouble_with_its_database_is_a_store_that_does_not_answer(port: int) -> None:
    katibs = Katibs(RpcFailure(StatusCode.UNKNOWN, "dial tcp: lookup katib-mysql: no such host"))
    async with serving(port, katibs) as external:
        with pytest.raises(StoreError) as failed:
            await values(external)
        assert external.check() == str(failed.value)
    assert str(failed.value) == (
        f"database manager 127.0.0.1:{port} does not answer "
        "(UNKNOWN: dial tcp: lookup katib-mysql: no such host); see that it runs and that "
        "KATIB_DB_MANAGER_SERVICE_IP, _NAMESPACE and _PORT name its address"
    )


async def test_a_reply_that_is_none_is_an_error_of_the_store(port: int) -> None:
    class Strange(Katibs):
        def _answer(self, method: str, request: bytes, call: Call) -> bytes:
            return b"\xff\xff"

    async with serving(port, Strange()) as external:
        with pytest.raises(StoreError, match="not a GetObservationLogReply"):
            await values(external)


async def test_a_server_that_never_answers_costs_one_deadline(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Katibs):
        async def get(self, request: bytes, call: Call) -> bytes:
            await asyncio.Event().wait()
            return b""

    monkeypatch.setattr(external_store, "CALL_SECONDS", 0.1)
    monkeypatch.setattr("kfx.services.grpc_server.GRACE_SECONDS", 0.1)
    async with serving(port, Silent()) as external:
        with pytest.raises(StoreError, match="DEADLINE_EXCEEDED"):
            await values(external)


class Slow(Katibs):
    """Answers no read until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.may = asyncio.Event()

    async def get(self, request: bytes, call: Call) -> bytes:
        self.reads += 1
        await self.may.wait()
        return logs_to_wire([log("1")])


async def test_a_server_that_hangs_is_not_asked_again_before_a_probe_gets_an_answer(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_store, "CALL_SECONDS", 0.2)
    monkeypatch.setattr("kfx.services.grpc_server.GRACE_SECONDS", 0.1)
    slow = Slow()
    async with serving(port, slow) as external:
        with pytest.raises(StoreError, match="DEADLINE_EXCEEDED"):
            await values(external)
        for _ in range(50):
            with pytest.raises(StoreError, match="DEADLINE_EXCEEDED"):
                await values(external)
        assert slow.reads == 1
        slow.may.set()
        async with external.running(), asyncio.timeout(10):
            while external.check() is not None:
                await asyncio.sleep(0.01)
            assert await values(external) == ["1"]


async def test_a_call_without_an_answer_is_followed_by_a_probe_at_once(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One trial with very many values must not keep all others from theirs."""
    monkeypatch.setattr(external_store, "CALL_SECONDS", 0.2)
    monkeypatch.setattr("kfx.services.grpc_server.GRACE_SECONDS", 0.1)
    slow = Slow()
    async with serving(port, slow) as external, external.running(), asyncio.timeout(10):
        while external.check() is not None:
            await asyncio.sleep(0.01)
        with pytest.raises(StoreError, match="DEADLINE_EXCEEDED"):
            await values(external)
        slow.may.set()
        while external.check() is not None:
            await asyncio.sleep(0.01)
        assert await values(external) == ["1"]


async def test_one_channel_outlives_the_server_and_an_outage_is_two_lines(
    port: int, store: ObservationStore
) -> None:
    async with client(port) as external:
        with capture_logs() as lines:
            for _ in range(3):
                with pytest.raises(StoreError, match="UNAVAILABLE"):
                    await external.delete("t")
            async with GrpcServer({FLAG: f"127.0.0.1:{port}"}, [DBManager(store)]).serving():
                async with asyncio.timeout(20):
                    while external.check() is not None:
                        try:
                            await external.report("t", [log("1")])
                        except StoreError:
                            await asyncio.sleep(0.1)
                assert await values(external) == ["1"]
        said = [(line["log_level"], line["event"]) for line in lines if line["event"] != "listening"]
    assert said == [
        ("warning", "trials wait for their metrics until the database manager answers"),
        ("info", "the database manager answers again"),
    ]


async def test_a_probe_finds_out_that_the_store_is_back_and_tells_who_waits(
    port: int, store: ObservationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_store, "PROBE_INTERVAL", 0.05)
    back = asyncio.Event()

    async def told() -> None:
        back.set()

    async with client(port) as external, external.running():
        external.on_answer(told)
        assert "has not been asked yet" in str(external.check())
        await asyncio.sleep(0.3)
        assert "does not answer (UNAVAILABLE" in str(external.check())
        assert not back.is_set()
        services = [DBManager(store), Health(store.ping)]
        async with GrpcServer({FLAG: f"127.0.0.1:{port}"}, services).serving(), asyncio.timeout(20):
            await back.wait()
            assert external.check() is None


class Sick:
    """The health service of a server whose database is gone."""

    name = "grpc.health.v1.Health"

    def methods(self) -> Mapping[str, Method]:
        return {"Check": self.check}

    async def check(self, _request: bytes, _call: Call) -> bytes:
        status = health_pb2.HealthCheckResponse.NOT_SERVING
        reply: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
        return reply


async def test_health_speaks_of_the_database_behind_the_server(port: int) -> None:
    async with serving(port, Sick()) as external:
        with pytest.raises(StoreError, match="it does not reach its database"):
            await external.ping()


async def test_a_server_without_a_health_service_answers_all_the_same(port: int) -> None:
    async with serving(port, Katibs()) as external:
        await external.ping()
        assert external.check() is None


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux gives up a dead connection so")
async def test_a_connection_that_nobody_acknowledges_is_given_up_before_a_call_is(port: int) -> None:
    async with serving(port, Katibs()) as external:
        await values(external)
        limits = [limit for limit in user_timeouts(port) if limit]
    assert limits == [20_000]
    assert max(limits) < external_store.CALL_SECONDS * 1000


def user_timeouts(port: int) -> Iterator[int]:
    """TCP_USER_TIMEOUT, in ms, of this process's connections to ``port``."""
    for entry in Path("/proc/self/fd").iterdir():
        if not entry.is_socket():
            continue
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as found:
            if found.family in (socket.AF_INET, socket.AF_INET6) and found.getpeername()[1] == port:
                yield found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


async def test_a_proxy_of_the_environment_is_passed_by(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serving(port, Katibs()) as external:
        assert await values(external) == []
