"""A kfx that does not come up is told with its last words."""

import sys
from pathlib import Path

import pytest

from hack.run.controller import Ports, controller, kfx_command
from hack.run.errors import RunError

pytestmark = pytest.mark.real_time


async def test_a_controller_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "run" / "kfx.log"
    command = [sys.executable, "-c", "print('--webhook-port: 8443 is taken'); raise SystemExit(1)"]
    async with controller(command, log=log, ready_url=Ports().ready_url) as kfx:
        with pytest.raises(RunError, match="ended with status 1") as ended:
            await kfx.wait_until_ready()
    assert "--webhook-port: 8443 is taken" in str(ended.value)
    assert str(log) in str(ended.value)


async def test_a_controller_that_runs_passes_the_check_and_is_stopped_afterwards(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(300)"]
    async with controller(command, log=tmp_path / "kfx.log", ready_url="http://127.0.0.1:9/") as kfx:
        kfx.check()
    with pytest.raises(RunError, match="ended with status -15"):
        kfx.check()


def test_two_clusters_share_no_port() -> None:
    first, second = Ports.of_cluster(0), Ports.of_cluster(1)
    assert first == Ports()
    assert set(first.by_name.values()).isdisjoint(second.by_name.values())
    assert second.ready_url == "http://127.0.0.1:18180/readyz"


def test_kfx_is_started_with_the_ports_that_the_services_lead_to(tmp_path: Path) -> None:
    ports = Ports(db_manager=16789)
    command = kfx_command(
        kubeconfig=tmp_path / "k",
        observations=tmp_path / "o.db",
        collector_image="kfx.local/kfx:1",
        ports=ports,
    )
    pairs = dict(zip(command[3::2], command[4::2], strict=True))
    assert pairs["--webhook-port"] == str(ports.by_name["webhook"]) == "8443"
    assert pairs["--metrics-addr"] == ":8080"
    assert pairs["--db-manager-addr"] == f":{ports.by_name['api']}" == ":16789"
    assert pairs["--collector-image"] == "kfx.local/kfx:1"
