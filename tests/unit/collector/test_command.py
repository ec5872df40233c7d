"""The whole collector against a real server and store."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kfx.apis.common import MetricLog
from kfx.collector import command, main
from kfx.collector.arguments import parse_arguments
from kfx.collector.errors import CollectorError
from kfx.collector.processes import ProcessTable
from kfx.services.db_manager import DBManager
from kfx.services.grpc_server import GrpcServer
from kfx.store.observations import ObservationStore

pytestmark = pytest.mark.real_time

OWN_PROCESSES = ("unshare", "--pid", "--fork", "--mount-proc")

FLAG = "--db-manager-addr"


@asynccontextmanager
async def running_store(path: Path) -> AsyncIterator[tuple[str, ObservationStore]]:
    async with ObservationStore.open(path) as store:
        server = GrpcServer({FLAG: "127.0.0.1:0"}, [DBManager(store)])
        async with server.serving():
            yield f"127.0.0.1:{server.ports[FLAG]}", store


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The metrics file of a training that has ended well."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "7.pid").write_text("completed\n")
    (tmp_path / "proc").mkdir()
    path = folder / "metrics.log"
    path.write_text("2026-01-01T00:00:00Z loss=0.5\nloss=0.25 accuracy=0.9\n")
    return path


def words(path: Path, address: str) -> list[str]:
    return ["-t", "trial", "-m", "loss;accuracy", "-s-db", address, "-path", str(path), "-format", "TEXT"]


def run(path: Path, address: str) -> None:
    command.run(parse_arguments(words(path, address)), ProcessTable(path.parents[1] / "proc"))


async def test_metrics_travel_from_the_file_into_the_store(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "team-a")
    async with running_store(tmp_path / "observations.db") as (address, store):
        for _ in range(2):  # the second is a container that was started again after its report
            await asyncio.to_thread(run, finished, address)
        assert await store.get("trial", namespace="team-a") == [
            MetricLog(time_stamp="0001-01-01T00:00:00Z", name="loss", value="0.25"),
            MetricLog(time_stamp="0001-01-01T00:00:00Z", name="accuracy", value="0.9"),
            MetricLog(time_stamp="2026-01-01T00:00:00Z", name="loss", value="0.5"),
        ]
    shown = capfd.readouterr()
    assert shown.out == finished.read_text() * 2
    assert f"reported the metrics of trial trial to {address}" in shown.err


async def test_a_training_without_metrics_reports_unavailable(finished: Path, tmp_path: Path) -> None:
    finished.write_text("nothing to see\n")
    async with running_store(tmp_path / "observations.db") as (address, store):
        await asyncio.to_thread(run, finished, address)
        (only,) = await store.get("trial")
        assert (only.name, only.value) == ("loss", "unavailable")


async def test_a_report_the_server_refuses_is_not_repeated(finished: Path, tmp_path: Path) -> None:
    server = GrpcServer({FLAG: "127.0.0.1:0"}, [])
    async with server.serving():
        with pytest.raises(CollectorError, match="refused the report: UNIMPLEMENTED"):
            await asyncio.to_thread(run, finished, f"127.0.0.1:{server.ports[FLAG]}")


async def test_a_store_that_comes_late_gets_the_report(
    finished: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with ObservationStore.open(tmp_path / "observations.db") as store:
        address = f"127.0.0.1:{unused_tcp_port}"
        async with asyncio.TaskGroup() as group:
            reporting = group.create_task(asyncio.to_thread(run, finished, address))
            await asyncio.sleep(0.2)
            assert not reporting.done()
            async with GrpcServer({FLAG: address}, [DBManager(store)]).serving():
                await reporting
        assert len(await store.get("trial")) == 3


SIDECAR = """
import sys
from pathlib import Path
from kfx.collector import command
from kfx.collector.arguments import parse_arguments
from kfx.collector.processes import ProcessTable

command.run(parse_arguments(sys.argv[2:]), ProcessTable(Path(sys.argv[1])))
"""


async def test_a_native_sidecar_reports_once_and_ends_when_it_is_told(finished: Path, tmp_path: Path) -> None:
    async with running_store(tmp_path / "observations.db") as (address, store):
        given = [*words(finished, address), "-p", "10ms", "-native", "true"]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SIDECAR,
            str(tmp_path / "proc"),
            *given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        assert b"reported the metrics of trial trial" in await process.stderr.readline()
        await asyncio.sleep(0.2)
        assert process.returncode is None
        process.terminate()
        assert await process.wait() == 0
        assert len(await store.get("trial")) == 3


def test_an_unusable_command_line_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-stop-rule", "loss;1;less;0"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("kfx metrics-collector: -stop-rule loss;1;less;0: early stopping is not built")
    assert "Usage of kfx metrics-collector:" in shown


def test_a_bad_filter_ends_before_the_training_is_waited_for(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words(finished, "127.0.0.1:1"), "-f", "(a"]) == 2
    assert "-f (a: no RE2 expression" in capsys.readouterr().err


def test_a_training_that_left_nothing_ends_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.log").write_text("Traceback\n")
    script = "import sys; from kfx.collector import main; sys.exit(main(sys.argv[1:]))"
    given = words(tmp_path / "metrics.log", "127.0.0.1:1")
    ended = subprocess.run(
        [*OWN_PROCESSES, sys.executable, "-c", script, *given],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not permitted" in ended.stderr:
        pytest.skip("a process namespace of its own needs root")
    assert ended.returncode == 1
    assert "ended before it could be watched" in ended.stderr
    assert ended.stdout == "Traceback\n"


def test_help_ends_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "-s-db" in capsys.readouterr().out


MEASURED = """
import sys
from pathlib import Path
from kfx.collector import command, report
from kfx.collector.arguments import parse_arguments
from kfx.collector.processes import ProcessTable

most = 0

def look():
    global most
    status = Path("/proc/self/status").read_text().split()
    most = max(most, int(status[status.index("RssAnon:") + 1]))

class Measured(report.Channel):
    def send(self, request):
        look()
        super().send(request)
        look()

command.Channel = Measured
command.run(parse_arguments(sys.argv[2:]), ProcessTable(Path(sys.argv[1])))
print(most, "grpc" in sys.modules, "kfx.apis" in sys.modules)
"""


async def test_memory_does_not_grow_with_the_file(finished: Path, tmp_path: Path) -> None:
    with finished.open("w") as file:
        for number in range(60_000):
            file.write(f"2026-01-01T00:00:00Z step {number} of a long training, loss={number}\n")
    async with running_store(tmp_path / "observations.db") as (address, store):
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", MEASURED, str(tmp_path / "proc"), *words(finished, address)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert len(await store.get("trial")) == 60_000
    kibibytes, grpc, kfx = ended.stdout.splitlines()[-1].split()
    assert int(kibibytes) < 40 * 1024
    assert (grpc, kfx) == ("True", "False")
