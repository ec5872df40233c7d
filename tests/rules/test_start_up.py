"""What starts must not pay for what it does not use."""

import subprocess
import sys
import time

import pytest

from tests.rules.source_tree import ROOT

_HEAVY = ("kubernetes_asyncio", "grpc", "sqlalchemy", "aiohttp", "cryptography", "rich")


def _modules_after(statement: str, *, stop_at_exit: bool = False) -> set[str]:
    """Top-level names of the modules that are loaded once ``statement`` has run in a new process."""
    guard = "try:\n    {}\nexcept SystemExit:\n    pass\n" if stop_at_exit else "{}\n"
    code = "import sys\n" + guard.format(statement) + "print('\\n'.join(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(ran.stdout.split())


def test_help_loads_no_client_server_or_database() -> None:
    loaded = _modules_after("from kfx.cli import main; main(['--help'])", stop_at_exit=True)
    assert "kfx.cli" in loaded
    assert loaded.isdisjoint(_HEAVY)


@pytest.mark.parametrize("command", ["get", "describe", "explain"])
def test_help_of_a_question_to_a_cluster_loads_no_client_and_no_wire_type(command: str) -> None:
    loaded = _modules_after(f"from kfx.cli import main; main(['{command}', '-h'])")
    assert "kfx.commands.arguments" in loaded
    assert loaded.isdisjoint({*_HEAVY, "kfx.kube.client", "kfx.apis.common", "kfx.commands.run"})


@pytest.mark.parametrize("command", ["get", "describe", "explain"])
def test_a_question_to_a_cluster_loads_neither_controllers_nor_servers(command: str) -> None:
    loaded = _modules_after(f"import kfx.commands.run, kfx.commands.{command}")
    assert loaded.isdisjoint({"grpc", "sqlalchemy", "kubernetes_asyncio", "kfx.build", "kfx.controllers"})


def test_help_of_get_is_there_in_300_milliseconds() -> None:
    def seconds() -> float:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "kfx", "get", "-h"], cwd=ROOT, capture_output=True, check=True, timeout=60
        )
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.3


def test_spans_cost_nothing_where_nobody_asks_for_them() -> None:
    loaded = _modules_after("import kfx.build, kfx.runtime.tracing")
    assert "kfx.runtime.tracing" in loaded
    assert "kfx.runtime.spans" not in loaded
    assert {name for name in loaded if name.partition(".")[0] in {"opentelemetry", "requests"}} == set()


def test_help_names_every_flag() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "kfx", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    for flag in ("metrics-addr", "healthz-addr", "webhook-port", "cert-dir", "enable-leader-election"):
        assert f"--{flag}" in shown


def test_an_unknown_flag_ends_with_status_2_and_the_usage() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "kfx", "-no-such-flag"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "-no-such-flag" in ran.stderr
    assert "Usage" in ran.stderr


def test_the_collector_loads_nothing_of_the_controllers() -> None:
    loaded = _modules_after("import kfx.collector")
    own = {name for name in loaded if name == "kfx" or name.startswith("kfx.")}
    assert own
    assert {name for name in own if not name.startswith("kfx.collector") and name != "kfx"} <= {
        "kfx.services",
        "kfx.services.pb",
        "kfx.services.pb.api_pb2",
        "kfx.services.pb.api_pb2_grpc",
    }
    assert loaded.isdisjoint({"sqlalchemy", "kubernetes_asyncio", "aiohttp", "cryptography", "rich"})
