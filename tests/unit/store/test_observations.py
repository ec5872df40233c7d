import asyncio
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from kfx.apis.common import MetricLog
from kfx.store.errors import AmbiguousTrial, BadTime, StoreError
from kfx.store.observations import ObservationStore

pytestmark = pytest.mark.real_time

ZERO = "0001-01-01T00:00:00Z"


def log(value: str, time: str = ZERO, name: str = "loss") -> MetricLog:
    return MetricLog(time_stamp=time, name=name, value=value)


def values(logs: list[MetricLog]) -> list[str]:
    return [each.value for each in logs]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "on demand" / "observations.db"


async def test_a_report_comes_back_whole(path: Path) -> None:
    sent = [
        log("0.5", "2026-01-01T10:00:00+02:00"),
        log("not a number", "2026-01-01T09:00:00.25Z", "note"),
        log("", "2026-01-01T09:00:01Z"),
    ]
    async with ObservationStore.open(path) as store:
        await store.report("t", sent, "n")
        assert await store.get("t") == [
            log("0.5", "2026-01-01T08:00:00Z"),
            log("not a number", "2026-01-01T09:00:00.25Z", "note"),
            log("", "2026-01-01T09:00:01Z"),
        ]


async def test_rows_are_there_after_reopening(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        await store.report("t", [log("1")])
    async with ObservationStore.open(path) as store:
        assert await store.get("t") == [log("1")]


async def test_rows_come_by_time_and_those_of_one_time_in_the_order_they_came(path: Path) -> None:
    late = "2026-01-01T00:00:00Z"
    async with ObservationStore.open(path) as store:
        await store.report("t", [log("b", late), log("z"), log("a")])
        await store.report("t", [log("c"), log("a", late)])
        assert values(await store.get("t")) == ["z", "a", "c", "b", "a"]


async def test_a_time_sorts_among_times_with_fractions(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        await store.report(
            "t",
            [
                log("2", "2026-01-01T00:00:00.1Z"),
                log("1", "2026-01-01T00:00:00Z"),
                log("3", "2026-01-01T00:00:01Z"),
            ],
        )
        assert values(await store.get("t")) == ["1", "2", "3"]


async def test_the_order_they_came_in_holds_across_namespaces(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        await store.report("t", [log("first")], "a")
        await store.report("t", [log("second")])
        await store.report("t", [log("third")], "a")
        assert values(await store.get("t")) == ["first", "second", "third"]


async def test_filters_are_inclusive_and_combine(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        await store.report("t", [log(str(s), f"2026-01-01T00:00:0{s}Z") for s in range(5)])
        await store.report("t", [log("other", "2026-01-01T00:00:02Z", "accuracy")])
        found = await store.get(
            "t", metric="loss", start="2026-01-01T01:00:01+01:00", end="2026-01-01T00:00:03Z"
        )
        assert values(found) == ["1", "2", "3"]
        assert values(await store.get("t", metric="accuracy")) == ["other"]


async def test_an_unknown_trial_has_no_rows(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        assert await store.get("t", namespace="n") == []
        await store.delete("t")


async def test_an_empty_report_is_accepted(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        await store.report("t", [])
        await store.report("t", [log("1", "")])
        assert await store.get("t") == []


async def test_a_report_with_a_bad_time_stores_nothing(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        with pytest.raises(BadTime, match="Error parsing start time yesterday: "):
            await store.report("t", [log("1"), log("2", "yesterday")])
        assert await store.get("t") == []
        with pytest.raises(BadTime, match="Error parsing end time now: "):
            await store.get("t", end="now")


async def test_a_report_sent_again_is_not_doubled(path: Path) -> None:
    report = [log(str(i)) for i in range(2_500)]
    async with ObservationStore.open(path) as store:
        await store.report("t", report, "n")
        await store.report("t", report, "n")
        assert await store.get("t") == report


async def test_a_report_equal_to_an_earlier_one_counts_again(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        for value in ("0.5", "0.9", "0.5"):
            await store.report("t", [log(value)])
        assert values(await store.get("t")) == ["0.5", "0.9", "0.5"]


async def test_a_report_that_only_begins_like_the_last_one_is_kept(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        await store.report("t", [log("2")])
        await store.report("t", [log("1"), log("2")])
        assert values(await store.get("t")) == ["2", "1", "2"]


async def test_equal_values_within_one_report_are_all_kept(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        await store.report("t", [log("1")] * 3)
        assert values(await store.get("t")) == ["1", "1", "1"]


async def test_a_read_prefers_its_namespace_over_rows_of_unknown_namespace(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        await store.report("t", [log("unknown")])
        assert values(await store.get("t", namespace="a")) == ["unknown"]
        await store.report("t", [log("of a")], "a")
        assert values(await store.get("t", namespace="a")) == ["of a"]
        assert values(await store.get("t", namespace="b")) == ["unknown"]
        assert values(await store.get("t")) == ["unknown", "of a"]


async def test_a_read_without_namespace_refuses_to_mix_two_trials(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        await store.report("t", [log("1")], "b")
        await store.report("t", [log("2")], "a")
        with pytest.raises(AmbiguousTrial, match="trial t is ambiguous: a/t and b/t; send"):
            await store.get("t")
        with pytest.raises(AmbiguousTrial):
            await store.delete("t")
        assert values(await store.get("t", namespace="a")) == ["2"]


async def test_a_deletion_spares_the_trial_of_another_namespace(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        for namespace in ("a", "b", None):
            await store.report("t", [log(str(namespace))], namespace)
        await store.report("other", [log("1")], "a")
        await store.delete("t", "a")
        assert await store.get("t", namespace="a") == []
        assert values(await store.get("t", namespace="b")) == ["b"]
        assert values(await store.get("other")) == ["1"]
        await store.delete("t")
        assert await store.get("t", namespace="b") == []


async def test_reads_go_on_while_another_process_holds_the_write_lock(path: Path) -> None:
    async with ObservationStore.open(path, busy_timeout=0.01) as store:
        await store.report("t", [log("1")])
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            assert values(await store.get("t")) == ["1"]
            with pytest.raises(StoreError, match="locked; another process holds its write lock"):
                await store.report("t", [log("2")])
            other.execute("ROLLBACK")
        other.close()
        await store.report("t", [log("2")])
        assert values(await store.get("t")) == ["1", "2"]


async def test_a_file_that_stays_locked_is_told_with_who_holds_it(path: Path) -> None:
    async with ObservationStore.open(path):
        pass
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        told = f"--sqlite-path {path}: database is locked; another process holds its write lock"
        with pytest.raises(StoreError, match=told):
            async with ObservationStore.open(path, busy_timeout=0.01):
                pass
    other.close()


def report_some(path: Path, trial: str) -> None:
    async def run() -> None:
        async with ObservationStore.open(path) as store:
            for number in range(40):
                await store.report(trial, [log(str(number))])

    asyncio.run(run())


async def test_processes_may_share_one_new_file(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=report_some, args=(path, f"t-{n}")) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        await asyncio.to_thread(worker.join)
        assert worker.exitcode == 0
    async with ObservationStore.open(path) as store:
        for number in range(4):
            assert values(await store.get(f"t-{number}")) == [str(n) for n in range(40)]


async def test_a_new_file_that_is_locked_for_a_moment_is_opened_all_the_same(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.3, other.execute, "ROLLBACK")
        async with ObservationStore.open(path, busy_timeout=0.01) as store:
            await store.report("t", [log("1")])
    other.close()


ENDLESS_REPORTER = """
import asyncio, itertools, sys
from kfx.apis.common import MetricLog
from kfx.store.observations import ObservationStore

async def run():
    async with ObservationStore.open(sys.argv[1]) as store:
        for number in itertools.count():
            log = MetricLog(time_stamp="0001-01-01T00:00:00Z", name="m", value=str(number))
            await store.report("t", [log])
            print(number, flush=True)

asyncio.run(run())
"""


async def test_what_was_acknowledged_survives_the_kill_of_the_process(path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_REPORTER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(20)]
    os.kill(child.pid, signal.SIGKILL)
    acknowledged += child.stdout.read().split()
    child.stdout.close()
    child.wait()
    async with ObservationStore.open(path) as store:
        found = values(await store.get("t"))
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) <= len(acknowledged) + 1


async def test_a_commit_waits_for_the_disk(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        with store._writer.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


async def test_what_was_submitted_is_written_before_the_store_closes(path: Path) -> None:
    async with asyncio.TaskGroup() as group, ObservationStore.open(path) as store:
        for number in range(50):
            group.create_task(store.report(f"t-{number}", [log("1")]))
        await asyncio.sleep(0)
    async with ObservationStore.open(path) as store:
        assert [len(await store.get(f"t-{number}")) for number in range(50)] == [1] * 50


@pytest.mark.parametrize("taken_by", ["folder", "file", "other data"])
async def test_a_path_that_cannot_be_a_store_is_told_with_its_flag(tmp_path: Path, taken_by: str) -> None:
    path = tmp_path / "db"
    if taken_by == "folder":
        path.mkdir()
    elif taken_by == "other data":
        path.write_bytes(b"no database" * 100)
    else:
        path.write_text("")
        path = path / "observations.db"
    with pytest.raises(StoreError, match=rf"--sqlite-path {path}: .*make the folder writable"):
        async with ObservationStore.open(path):
            pass


async def test_a_ping_fails_when_the_table_is_gone(path: Path) -> None:
    async with ObservationStore.open(path) as store:
        await store.ping()
        with sqlite3.connect(path) as other:
            other.execute("DROP TABLE observation_logs")
        other.close()
        with pytest.raises(StoreError, match="no such table"):
            await store.ping()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT time FROM observation_logs WHERE trial_name = 't' AND metric_name = 'm' ORDER BY time, id",
        "SELECT time FROM observation_logs WHERE trial_name = 't' AND namespace = 'n' ORDER BY id DESC",
        "SELECT min(namespace) FROM observation_logs WHERE trial_name = 't'",
    ],
)
async def test_the_indexes_serve_the_queries_without_sorting(path: Path, query: str) -> None:
    async with ObservationStore.open(path):
        with sqlite3.connect(path) as other:
            plan = " ".join(str(row[3]) for row in other.execute(f"EXPLAIN QUERY PLAN {query}"))
        other.close()
    assert "INDEX observation_logs_by" in plan
    assert "TEMP B-TREE" not in plan


async def test_values_are_folded_in_the_order_in_which_they_are_got(path: Path) -> None:
    sent = [log("1", "2026-01-01T00:00:02Z"), log("2"), log("3", name="accuracy"), log("4")]
    async with ObservationStore.open(path) as store:
        await store.report("t", sent, "n")
        assert await store.fold("t", list, namespace="n") == await store.get("t", namespace="n")
        assert values(await store.fold("t", list, metrics=("loss", "other"))) == ["2", "4", "1"]
        assert await store.fold("t", lambda logs: next(iter(logs)).value) == "2"
        assert values(await store.fold("t", list)) == ["2", "3", "4", "1"], (
            "a fold that ends early harms none"
        )


MANY_ROWS = """
WITH RECURSIVE row(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM row WHERE n < 999999)
INSERT INTO observation_logs (trial_name, time, metric_name, value, namespace)
SELECT 't', '2026-01-01 00:00:00.' || printf('%06d', n), 'loss', '0.' || (1000000 + n), 'n' FROM row
"""
FOLDING = r"""
import asyncio, pathlib, re, sys
from functools import partial
from kfx.apis.common import MetricStrategy, ObjectiveSpec
from kfx.katib.observation import observe
from kfx.store.observations import ObservationStore

def peak():
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])

async def main():
    strategies = (MetricStrategy(name="loss", value="min"),)
    objective = ObjectiveSpec(objective_metric_name="loss", metric_strategies=strategies)
    async with ObservationStore.open(sys.argv[1]) as store:
        await store.ping()
        before = peak()
        found = await store.fold("t", partial(observe, objective=objective), namespace="n", metrics=("loss",))
        metric = found.observation.metrics[0]
        print(metric.min, metric.max, metric.latest, peak() - before)

asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
async def test_a_million_values_are_gone_through_within_64_MiB(path: Path) -> None:
    async with ObservationStore.open(path):
        with sqlite3.connect(path) as connection:
            connection.execute(MANY_ROWS)
        connection.close()
    ran = subprocess.run(
        [sys.executable, "-c", FOLDING, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    low, high, latest, grown = ran.stdout.split()
    assert (low, high, latest) == ("0.1000000", "0.1999999", "0.1999999")
    assert int(grown) < 64 * 1024
