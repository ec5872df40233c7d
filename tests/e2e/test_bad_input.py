"""What cannot work is refused, or ends in the contract's condition; the message names the remedy."""

from dataclasses import replace

import pytest
import yaml

from hack.run.controller import Ports
from tests.e2e.experiments import container, small
from tests.e2e.platform import PORTS, Platform, ending, wait_for

EXPERIMENT = "katib.kubeflow.org/experiment"


def test_an_unknown_algorithm_is_refused_at_admission(kfx: Platform) -> None:
    manifest = small("unknown")
    manifest["spec"]["algorithm"] = {"algorithmName": "oracle"}
    assert "oracle" in _refused(kfx, manifest)


def test_a_placeholder_that_nothing_declares_is_refused_at_admission(kfx: Platform) -> None:
    manifest = small("undeclared")
    container(manifest)["command"].append("--depth=${trialParameters.depth}")
    assert "depth" in _refused(kfx, manifest)


@pytest.mark.parametrize(
    ("name", "command", "state"),
    [
        ("silent", ["python3", "-c", "print('no metric here')"], "MetricsUnavailable"),
        ("broken", ["python3", "-c", "raise SystemExit(1)"], "Failed"),
    ],
)
def test_training_that_cannot_be_used_fails_its_trial_and_the_experiment(
    kfx: Platform, name: str, command: list[str], state: str
) -> None:
    experiment = kfx.create(small(name, trials=1, command=command))
    _fails(kfx, experiment, state)


def test_an_image_that_does_not_exist_fails_its_trial_and_the_experiment(kfx: Platform) -> None:
    manifest = small("noimage", trials=1)
    container(manifest)["image"] = "kfx.local/no-such-image:1"
    _fails(kfx, kfx.create(manifest), "Failed")


def test_a_namespace_that_has_no_room_for_pods_is_told_on_the_trial(kfx: Platform) -> None:
    label = {"katib.kubeflow.org/metrics-collector-injection": "enabled"}
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": "tight"},
        "spec": {"hard": {"pods": "0"}},
    }  # fmt: skip
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tight", "labels": label}}
    kfx.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all([namespace, quota]))
    manifest = small("crowded", trials=1)
    kfx.kubectl("-n", "tight", "create", "-f", "-", stdin=yaml.safe_dump(manifest))

    def told() -> list[str]:
        events = kfx.get("events", namespace="tight")
        return [e["message"] for e in events if e["reason"] == "PodMissing"]

    (message,) = wait_for("the warning", told, timeout=60)
    assert "has had no pod for" in message
    assert "kubectl describe job" in message
    kfx.kubectl("delete", "namespace", "tight", "--timeout=60s")


FREE = Ports(webhook=28443, metrics=28081, healthz=28082, db_manager=26789)


@pytest.mark.parametrize(
    ("flag", "part"),
    [("--webhook-port", "webhook"), ("--metrics-addr", "metrics"), ("--db-manager-addr", "db_manager")],
)
def test_a_taken_port_ends_the_process_with_status_1_and_names_the_flag(
    kfx: Platform, flag: str, part: str
) -> None:
    taken = getattr(PORTS, part)
    begin = kfx.log.stat().st_size
    second = kfx.start_kfx(ports=replace(FREE, **{part: taken}))
    kfx.replicas.remove(second)
    assert second.wait(timeout=30) == 1
    said = kfx.log.read_bytes()[begin:].decode()
    assert flag in said
    assert str(taken) in said
    assert "Traceback" not in said


def _refused(kfx: Platform, manifest: dict[str, object]) -> str:
    said = kfx.kubectl("-n", "default", "create", "-f", "-", stdin=yaml.safe_dump(manifest), status=1)
    assert "denied the request" in said
    return said.split("denied the request", 1)[1]


def _fails(kfx: Platform, name: str, state: str) -> None:
    experiment = kfx.ended(name, timeout=240)
    ended = ending(experiment)
    assert ended is not None
    assert ended["type"] == "Failed"
    (trial,) = kfx.get("trials", selector=f"{EXPERIMENT}={name}")
    true = {c["type"]: c["message"] for c in trial["status"]["conditions"] if c["status"] == "True"}
    assert true.get(state), trial["status"]
