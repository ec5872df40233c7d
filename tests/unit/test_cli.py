"""From the command line to an exit status, in a process of its own where that is what counts."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from kfx import __version__
from kfx.cli import _report, main
from kfx.config import Config
from kfx.kube.credentials import CredentialsError, load_credentials
from kfx.runtime.address import Address, AddressInUse
from kfx.runtime.leader import LeadershipLost
from tests.nowhere import KUBECONFIG
from tests.playback import answer, playing
from tests.serving import new_pair, write_pair


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
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: kfx [flags]")
    assert [line for line in shown.splitlines() if len(line) > 80] == []


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


def test_an_unknown_flag_shows_all_flags_and_is_named_again_below_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """W 1.1: usage on standard error, status 2."""
    assert main(["--webhookport=1"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == said[-1] == "flag provided but not defined: -webhookport; did you mean --webhook-port?"
    assert any(line.startswith("  --katib-config") for line in said)


def test_a_wrong_value_is_not_buried_under_all_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--webhook-port=0"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        'invalid value "0" for flag --webhook-port: expected a port from 1 to 65535',
        "Usage: kfx [flags]; kfx --help explains them",
    ]


def test_an_unknown_flag_in_the_variable_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KFX_FLAGS", "--zzz")
    assert main([]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "flag provided but not defined: -zzz (in KFX_FLAGS)"


def test_a_variable_with_unbalanced_quotes_is_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KFX_FLAGS", "--log-level='debug")
    assert main([]) == 2
    reason = capsys.readouterr().err.splitlines()[0]
    assert reason == """invalid value "--log-level='debug" for variable KFX_FLAGS: No closing quotation"""


@pytest.mark.parametrize("flag", ["--webhook-port", "--healthz-addr", "--metrics-addr", "--db-manager-addr"])
def test_a_taken_port_is_status_1_and_names_the_flag(command: list[str], taken: int, flag: str) -> None:
    value = str(taken) if flag == "--webhook-port" else f":{taken}"
    ended = subprocess.run([*command, flag, value], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert f"cannot listen on :{taken} ({flag})" in ended.stderr
    assert "Traceback" not in ended.stderr


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "current-context: not set; run kubectl config use-context NAME"),
        ("apiVersion: v1\nkind: Config\n", "current-context: not set; run kubectl config use-context NAME"),
        ("clusters:\n\t- {}\n", "not YAML in line 2; it must be a kubeconfig"),
        ("words", "not a kubeconfig; it must be a mapping with clusters and contexts"),
        (KUBECONFIG.replace("http://127.0.0.1:1", "nowhere"), "'nowhere' is no URL of an API server"),
    ],
)
def test_a_kubeconfig_that_is_none_is_named_with_the_remedy(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "bad").write_text(text)
    with pytest.raises(CredentialsError) as caught:
        load_credentials(str(tmp_path / "bad"))
    assert str(caught.value).startswith(f"{tmp_path / 'bad'}: ")
    assert reason in str(caught.value)


def test_half_a_key_in_the_folder_is_status_1_and_named(command: list[str], tmp_path: Path) -> None:
    pair = new_pair()
    write_pair(tmp_path, pair)
    (tmp_path / "tls.key").write_bytes(pair.key_pem[:90])
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert f"--cert-dir {tmp_path}: the private key cannot be read" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "BEGIN" not in ended.stderr


def test_what_the_file_says_without_effect_is_logged_once_at_the_start(
    command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "katib-config.yaml").write_text("init: {controller: {metricsAddress: x}}")
    options = ["--katib-config", str(tmp_path / "katib-config.yaml"), "--sqlite-path", str(tmp_path)]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert ended.stderr.count("init.controller.metricsAddress in the file of --katib-config is unknown") == 1


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


NAMES = {
    **{
        f"controller_runtime_{name}": {"controller"}
        for name in (
            "reconcile_errors_total", "terminal_reconcile_errors_total", "reconcile_panics_total",
            "reconcile_timeouts_total", "reconcile_time_seconds_bucket", "max_concurrent_reconciles",
            "active_workers",
        )
    },
    "controller_runtime_reconcile_total": {"controller", "result"},
    "controller_runtime_webhook_requests_total": {"webhook", "code"},
    "controller_runtime_webhook_latency_seconds_bucket": {"webhook"},
    "controller_runtime_webhook_requests_in_flight": {"webhook"},
    "controller_runtime_webhook_panics_total": set(),
    "controller_runtime_conversion_webhook_panics_total": set(),
    "workqueue_depth": {"name", "controller", "priority"},
    **{
        f"workqueue_{name}": {"name", "controller"}
        for name in (
            "adds_total", "queue_duration_seconds_bucket", "work_duration_seconds_bucket",
            "unfinished_work_seconds", "longest_running_processor_seconds", "retries_total",
        )
    },
    "leader_election_master_status": {"name"},
    "rest_client_requests_total": {"code", "method", "host"},
    "certwatcher_read_certificate_total": set(),
    "certwatcher_read_certificate_errors_total": set(),
    "kfx_loop_lag_seconds_bucket": set(),
    "kfx_informer_last_event_age_seconds": {"resource"},
    "kfx_informer_last_resource_version": {"resource"},
    "kfx_informer_lists_total": {"resource", "reason"},
    "kfx_informer_watch_restarts_total": {"resource", "reason"},
    "kfx_lease_age_seconds": {"name"},
    "kfx_fenced_writes_total": set(),
    "kfx_stale_reads_total": set(),
    "kfx_log_lines_dropped_total": set(),
}  # fmt: skip
"""Every metric that is there from the start, with its labels."""
LATER = {
    *(f"katib_experiment_{step}" for step in ("created", "deleted", "succeeded", "failed")),
    *(f"katib_trial_{step}" for step in ("created", "deleted", "succeeded", "failed", "metrics_unavailable")),
    "katib_experiments_current", "katib_trials_current",
}  # fmt: skip
"""Those whose series come with their first object."""


def test_metrics_of_a_running_process_have_the_names_that_dashboards_ask_for(command: list[str]) -> None:
    port = free_port()
    flags = ["--metrics-addr", f"127.0.0.1:{port}", "--enable-leader-election"]
    with subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "no connection to the API server" in line)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(30) == 0
    labels: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        labels.setdefault(sample.name, set()).update(set(sample.labels) - {"le"})
    assert {name: labels.get(name) for name in NAMES} == NAMES
    assert {family.name for family in families} >= LATER


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


@pytest.mark.parametrize(("program", "place"), [("/app/katib-controller", "image"), ("kfx", "embedded")])
def test_the_name_that_it_was_started_as_counts(
    monkeypatch: pytest.MonkeyPatch, program: str, place: str
) -> None:
    started: list[Config] = []
    monkeypatch.setattr("kfx.cli._run", lambda config: started.append(config) or 0)
    monkeypatch.setattr("sys.argv", [program, "--log-level=error"])
    assert main() == 0
    assert started[0].suggestions == place
