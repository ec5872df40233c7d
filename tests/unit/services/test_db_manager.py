import gc
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from grpc import StatusCode

from kfx.apis.common import MetricLog
from kfx.services import db_manager
from kfx.services.convert import (
    LogFilter,
    Report,
    deleted_trial_to_wire,
    filter_to_wire,
    logs_from_wire,
    report_to_wire,
)
from kfx.services.db_manager import DBManager
from kfx.services.rpc import Call, RpcFailure
from kfx.store.observations import ObservationStore

pytestmark = pytest.mark.real_time

NOBODY = Call()


def log(value: str, time: str = "2026-01-01T00:00:00Z") -> MetricLog:
    return MetricLog(time_stamp=time, name="loss", value=value)


def report(*values: str, trial: str = "t") -> bytes:
    return report_to_wire(Report(trial=trial, logs=tuple(log(value) for value in values)))


def wanted(trial: str = "t", **filters: str) -> bytes:
    return filter_to_wire(LogFilter(trial=trial, **filters))


def values(reply: bytes) -> list[str]:
    return [each.value for each in logs_from_wire(reply)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ObservationStore]:
    async with ObservationStore.open(tmp_path / "observations.db") as opened:
        yield opened


def knowing(store: ObservationStore, **trials: Sequence[str]) -> DBManager:
    return DBManager(store, namespaces_of=lambda trial: trials.get(trial, ()))


async def test_what_is_reported_is_read_until_it_is_deleted(store: ObservationStore) -> None:
    service = DBManager(store)
    assert await service.report(report("1", "2"), NOBODY) == b""
    assert values(await service.get(wanted(), NOBODY)) == ["1", "2"]
    assert values(await service.get(wanted(metric="accuracy"), NOBODY)) == []
    assert values(await service.get(wanted(end="2025-01-01T00:00:00Z"), NOBODY)) == []
    assert await service.delete(deleted_trial_to_wire("t"), NOBODY) == b""
    assert values(await service.get(wanted(), NOBODY)) == []


async def test_the_callers_namespace_is_stored(store: ObservationStore) -> None:
    await knowing(store, t=["cached"]).report(report("1"), Call(namespace="told"))
    assert len(await store.get("t", namespace="told")) == 1
    assert await store.get("t", namespace="cached") == []


@pytest.mark.parametrize(
    ("known", "stored"), [((), None), (("a",), "a"), (("a", "b"), None)], ids=["unknown", "one", "two"]
)
async def test_without_it_the_one_known_trial_names_the_namespace(
    store: ObservationStore, known: Sequence[str], stored: str | None
) -> None:
    await knowing(store, t=known).report(report("1"), NOBODY)
    await store.report("t", [log("2")], "elsewhere")
    found = [each.value for each in await store.get("t", namespace=stored or "nobody's")]
    assert found == ["1"]


async def test_a_read_of_a_name_two_namespaces_have_is_refused(store: ObservationStore) -> None:
    service = knowing(store, t=["b", "a"])
    await service.report(report("1"), Call(namespace="a"))
    for call in (service.get(wanted(), NOBODY), service.delete(deleted_trial_to_wire("t"), NOBODY)):
        with pytest.raises(RpcFailure, match="ambiguous: a/t and b/t") as raised:
            await call
        assert raised.value.code is StatusCode.FAILED_PRECONDITION
    assert values(await service.get(wanted(), Call(namespace="a"))) == ["1"]


async def test_a_read_without_metadata_uses_the_known_namespace(store: ObservationStore) -> None:
    await store.report("t", [log("a")], "a")
    await store.report("t", [log("b")], "b")
    assert values(await knowing(store, t=["b"]).get(wanted(), NOBODY)) == ["b"]


@pytest.mark.parametrize(
    ("request_bytes", "text"),
    [
        (report_to_wire(Report(trial="t", logs=(log("1", "today"),))), "Error parsing start time today: "),
        (report("1", trial=""), "trial_name is empty"),
        (b"\x0a\xff", "not a ReportObservationLogRequest"),
    ],
)
async def test_a_bad_report_is_an_invalid_argument(
    store: ObservationStore, request_bytes: bytes, text: str
) -> None:
    with pytest.raises(RpcFailure, match=text) as raised:
        await DBManager(store).report(request_bytes, NOBODY)
    assert raised.value.code is StatusCode.INVALID_ARGUMENT


async def test_a_store_that_fails_is_unavailable_so_that_collectors_come_again(tmp_path: Path) -> None:
    path = tmp_path / "observations.db"
    async with ObservationStore.open(path) as store:
        with store._writer.begin() as connection:
            connection.exec_driver_sql("DROP TABLE observation_logs")
        with pytest.raises(RpcFailure, match="no such table") as raised:
            await DBManager(store).report(report("1"), NOBODY)
    assert raised.value.code is StatusCode.UNAVAILABLE


async def test_a_reply_beyond_the_limit_says_how_to_ask_for_less(
    store: ObservationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db_manager, "MAX_ROWS", 3)
    service = DBManager(store)
    await service.report(report("1", "2", "3"), NOBODY)
    assert values(await service.get(wanted(), NOBODY)) == ["1", "2", "3"]
    await service.report(report("4"), NOBODY)
    with pytest.raises(RpcFailure, match="trial t has more than 3 values: ask for less by") as raised:
        await service.get(wanted(), NOBODY)
    assert raised.value.code is StatusCode.RESOURCE_EXHAUSTED


async def test_a_large_report_comes_back_whole(store: ObservationStore) -> None:
    sent = [str(number) for number in range(5_000)]
    service = DBManager(store)
    await service.report(report(*sent), NOBODY)
    assert values(await service.get(wanted(), NOBODY)) == sent


async def test_a_large_reply_is_made_without_all_its_rows_in_memory(store: ObservationStore) -> None:
    """200,000 rows as objects are 60 MB and more; their message is 9 MB."""
    for part in range(4):
        await store.report("t", [log(str(number)) for number in range(part * 50_000, (part + 1) * 50_000)])
    service = DBManager(store)
    gc.collect()
    tracemalloc.start()
    try:
        reply = await service.get(wanted(), NOBODY)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(values(reply)) == 200_000
    assert peak < 3 * len(reply)


async def test_a_reply_of_too_many_bytes_is_refused_before_it_is_made(
    store: ObservationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db_manager, "MAX_MESSAGE", 10_000)
    service = DBManager(store)
    await service.report(report(*["x" * 100] * 50), NOBODY)
    assert len(values(await service.get(wanted(), NOBODY))) == 50
    await service.report(report(*["y" * 100] * 50), NOBODY)
    with pytest.raises(RpcFailure, match="trial t has values of more than 10000 bytes: ask") as raised:
        await service.get(wanted(), NOBODY)
    assert raised.value.code is StatusCode.RESOURCE_EXHAUSTED
