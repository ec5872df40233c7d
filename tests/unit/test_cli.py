"""From the command line to an exit status, in a process of its own where that is what counts."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from structlog.testing import capture_logs

from kfx import __version__
from kfx.cli import _report, main
from kfx.kube.credentials import CredentialsError
from kfx.runtime.address import Address, AddressInUse
from kfx.runtime.leader import LeadershipLost
from tests.playback import answer, playing

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """kfx on free ports, with an API server that is not there."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return [
        sys.executable, "-m", "kfx",
        "--kubeconfig", str(tmp_path / "kubeconfig"),
        "--sqlite-path", str(tmp_path / "observations.db"),
        "--cert-dir", str(tmp_path),
        "--metrics-addr", "0", "--healthz-addr", f"127.0.0.1:{free_port()}", "--db-manager-addr", "0",
        "--webhook-port", str(free_port()),
    ]  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("", 0)) as server:
        yield int(server.getsockname()[1])


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"kfx {__version__}\n"


def test_help_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-h"]) == 0
    assert capsys.readouterr().out.startswith("Usage: kfx [flags]")


@pytest.mark.parametrize(
    "words", [["--nope"], ["stray"], ["--webhook-port=0"], ["--katib-config", "/nope"], ["--debug-addr=:1"]]
)
def test_a_wrong_command_line_is_status_2_with_reason_and_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    reason, usage, *_ = capsys.readouterr().err.splitlines()
    assert words[0].lstrip("-").partition("=")[0] in reason
    assert usage.startswith("Usage: kfx")


@pytest.mark.parametrize("flag", ["--webhook-port", "--healthz-addr"])
def test_a_taken_port_is_status_1_and_names_the_flag(command: list[str], taken: int, flag: str) -> None:
    value = str(taken) if flag == "--webhook-port" else f":{taken}"
    ended = subprocess.run([*command, flag, value], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert f"cannot listen on :{taken} ({flag})" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    """A kubeconfig that leads to nobody."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return str(tmp_path / "kubeconfig")


@pytest.mark.parametrize("words", [["get", "pods"], ["describe", "trial"], ["explain"]])
def test_a_question_that_makes_no_sense_is_status_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert f"usage: kfx {words[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["get", "trials"], ["describe", "trial", "t"]])
def test_a_question_to_nobody_is_status_1_and_one_line(words: list[str], nowhere: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "kfx", *words, "--kubeconfig", nowhere],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: ")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("kubeconfig", ["", "/nope"])
def test_an_api_server_that_is_away_is_the_first_broken_link(nowhere: str, kubeconfig: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "kfx", "explain", "e", "-o", "json", "--kubeconfig", kubeconfig or nowhere],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    found = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert (found["healthy"], found["link"]) == (False, "api-server")
    assert found["remedy"]
    assert ("/nope" if kubeconfig else "127.0.0.1:1") in found["problem"]


WITHOUT_OPENTELEMETRY = """
import sys
sys.modules["opentelemetry"] = None
from kfx.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("by", ["--tracing-endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_spans_without_their_packages_are_status_2_before_anything_is_begun(tmp_path: Path, by: str) -> None:
    url, store = "http://127.0.0.1:1", tmp_path / "observations.db"
    words = ["--sqlite-path", str(store), *([by, url] if by.startswith("--") else [])]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_OPENTELEMETRY, *words],
        env={**os.environ, "KFX_FLAGS": "", **({} if by.startswith("--") else {by: url})},
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr == (
        f"{by}: spans need OpenTelemetry's packages, and opentelemetry.sdk is not installed: "
        "pip install 'kfx[otel]'\n"
    )
    assert not store.exists()


@pytest.mark.real_time
async def test_spans_of_a_process_reach_the_collector_that_the_flag_names(command: list[str]) -> None:
    async with playing(*[answer(b"")] * 100) as collector:
        process = await asyncio.create_subprocess_exec(
            *command, "--tracing-endpoint", collector.url, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        async for line in process.stderr:
            if b"no connection to the API server" in line:
                break
        process.send_signal(signal.SIGTERM)
        await process.stderr.read()
        assert await process.wait() == 0
    sent = [ExportTraceServiceRequest.FromString(request.body) for request in collector.requests]
    spans = [
        s for each in sent for of in each.resource_spans for scope in of.scope_spans for s in scope.spans
    ]
    told = {
        (span.name, a.value.string_value) for span in spans for a in span.attributes if a.key == "error.type"
    }
    assert any(name.endswith(" experiments.kubeflow.org") for name, error in told if error == "Unreachable")


def test_a_missing_kubeconfig_is_status_1_without_a_traceback(command: list[str]) -> None:
    ended = subprocess.run(
        [*command, "--kubeconfig", "/nope"], capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.returncode == 1
    assert "/nope: there is no such kubeconfig; correct --kubeconfig" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_though_no_api_server_is_there(
    command: list[str], number: signal.Signals
) -> None:
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "no connection to the API server" in line:
                break
        process.send_signal(number)
        lines += process.stderr.readlines()
        assert process.wait(30) == 0
    assert sum("no connection" in line for line in lines) == 1, "one line for one outage"
    assert not any("Traceback" in line for line in lines)


STUBBORN = """
import asyncio, kfx.build, sys
async def serve(config, stop):
    print("up", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    await asyncio.sleep(60)
kfx.build.serve = serve
from kfx.cli import main
sys.exit(main([]))
"""


def test_a_second_signal_ends_it_at_once() -> None:
    environment = {**os.environ, "KFX_FLAGS": ""}
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for word in ("up\n", "stopping\n"):
            assert process.stdout.readline() == word
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 1


def reported(failure: BaseException, *, stopping: bool = False) -> tuple[int, list[tuple[str, bool]]]:
    with capture_logs() as lines:
        status = _report(failure, stopping=stopping)
    return status, [(line.get("error", line["event"]), "exc_info" in line) for line in lines]


def test_every_cause_is_told_once_and_only_a_defect_with_its_place() -> None:
    taken = AddressInUse(Address("", 80), "--metrics-addr")
    failure = ExceptionGroup(
        "all", [CredentialsError("no file"), ExceptionGroup("in", [taken, KeyError("x")])]
    )
    assert reported(failure) == (
        1,
        [("no file", False), (str(taken), False), ("KeyError: 'x'", True)],
    )


def test_a_lost_lease_is_a_failure() -> None:
    assert reported(ExceptionGroup("all", [LeadershipLost("gone")])) == (1, [("gone", False)])


def test_work_that_was_cut_off_by_the_stop_is_a_good_end() -> None:
    status, lines = reported(TimeoutError(), stopping=True)
    assert status == 0
    assert len(lines) == 1
    assert reported(TimeoutError())[0] == 1


def test_the_loop_is_the_fast_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []

    async def serve(config: object, stop: asyncio.Event) -> None:
        seen.append(type(asyncio.get_running_loop()).__module__)

    monkeypatch.setattr("kfx.build.serve", serve)
    monkeypatch.setattr("kfx.runtime.log.configure_logging", lambda **_: None)
    assert main(["--sqlite-path", str(tmp_path / "o.db")]) == 0
    assert seen == ["uvloop"]
