"""kfx's own collector under a real kubelet, as a container and as an init container that stays."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.e2e.experiments import container, small
from tests.e2e.platform import NAMESPACE, Platform, ending, stop, wait_for

EXPERIMENT = "katib.kubeflow.org/experiment"
COLLECTOR = "metrics-logger-and-collector"
FLAGS = ("--metrics-wait=10s", "--image-wait=10s")

WRITES_A_FILE = """
import json
with open("/metrics/log.json", "w") as log:
    print(json.dumps({"loss": 0.25, "accuracy": 0.5}), file=log)
"""
FAILS_ONCE = """
import pathlib, sys
mark = pathlib.Path("/var/log/katib/tried")
tried = mark.exists()
mark.touch()
print("loss=0.25" if tried else "loss=7")
sys.exit(not tried)
"""
IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("loss=7", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module", params=["native", "classic"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def kfx(platform: Platform, form: str) -> Iterator[Platform]:
    """A kfx whose collector has the form, and which a test may have replaced by another."""
    platform.start_kfx(*FLAGS, f"--collector-sidecar={form}")
    try:
        platform.wait_until_ready()
        yield platform
    finally:
        statuses = stop(platform.replicas)
        platform.replicas.clear()
    assert statuses == [0], f"see {platform.log}"


@pytest.fixture(scope="module")
def names(kfx: Platform, form: str) -> dict[str, str]:
    """Experiments that all run at once, by what is special about them."""
    manifests = {
        "output": one_trial("output", "print('loss=0.25')"),
        "file": one_trial("file", WRITES_A_FILE),
        "again": one_trial("again", FAILS_ONCE, restartPolicy="OnFailure"),
        "limited": one_trial("limited", "print('loss=0.25')", securityContext={"runAsUser": 1000}),
        "broken": one_trial("broken", "print('loss=7'); raise SystemExit(3)"),
        "deaf": one_trial("deaf", IGNORES_SIGTERM),
    }
    manifests["file"]["spec"]["metricsCollectorSpec"] = {
        "collector": {"kind": "File"},
        "source": {"fileSystemPath": {"path": "/metrics/log.json", "kind": "File", "format": "JSON"}},
    }
    job(manifests["again"])["backoffLimit"] = 4
    if form == "native":  # a container would wait for a sidecar that waits for it
        image = container(manifests["output"])["image"]
        proxy = {"name": "proxy", "image": image, "command": ["sleep", "600"], "restartPolicy": "Always"}
        manifests["proxied"] = one_trial("proxied", "print('loss=0.25')", initContainers=[proxy])
    return {case: kfx.create(manifest) for case, manifest in manifests.items()}


def test_a_trial_has_the_metrics_of_its_training_and_its_pod_ends(
    kfx: Platform, form: str, names: dict[str, str]
) -> None:
    for case in names.keys() - {"broken", "deaf"}:
        assert succeeded(kfx, names[case]) == {"loss": "0.25"} | (
            {"accuracy": "0.5"} if case == "file" else {}
        )
        (pod,) = kfx.get("pods", selector=f"{EXPERIMENT}={names[case]}")
        assert pod["status"]["phase"] == "Succeeded"
        assert collector_of(pod, form)["state"]["terminated"]["exitCode"] == 0, case


def test_a_training_that_fails_fails_its_trial(kfx: Platform, form: str, names: dict[str, str]) -> None:
    found = ending(kfx.ended(names["broken"], timeout=120))
    assert found is not None
    assert found["type"] == "Failed"
    (pod,) = kfx.get("pods", selector=f"{EXPERIMENT}={names['broken']}")
    assert pod["status"]["phase"] == "Failed"
    assert "terminated" in collector_of(pod, form)["state"]


def test_a_pod_can_be_deleted_at_once_whatever_its_training_does_about_sigterm(
    kfx: Platform, names: dict[str, str]
) -> None:
    name = names["deaf"]
    wait_for("the training to run", lambda: training(kfx, name).get("running"), timeout=60)
    kfx.kubectl("-n", NAMESPACE, "delete", "pod", "-l", f"{EXPERIMENT}={name}", "--timeout=20s")
    kfx.kubectl("-n", NAMESPACE, "delete", "experiment", name, "--timeout=50s")


@pytest.mark.parametrize("form", ["native"], indirect=True, scope="module")
def test_a_report_outlives_a_restart_of_kfx_and_the_pods_own_grace(kfx: Platform, form: str) -> None:
    """A container is not told to end: no grace of the pod limits its report."""
    code = "import time; time.sleep(1); print('loss=0.25')"
    name = kfx.create(one_trial("patient", code, terminationGracePeriodSeconds=1))
    wait_for("the training to run", lambda: training(kfx, name).get("running"), timeout=60)
    assert stop(kfx.replicas) == [0]
    kfx.replicas.clear()
    wait_for("the training to end", lambda: training(kfx, name).get("terminated"), timeout=60)
    with pytest.raises(AssertionError, match="did not happen"):
        wait_for("the pod to end", lambda: not is_running(kfx, name), timeout=3)
    kfx.start_kfx(*FLAGS, f"--collector-sidecar={form}")
    kfx.wait_until_ready()
    assert succeeded(kfx, name) == {"loss": "0.25"}


def one_trial(name: str, code: str, **pod: Any) -> dict[str, Any]:
    """An Experiment whose one trial runs ``code``, and keeps its pod, which ``pod`` adds to."""
    manifest = small(name, trials=1, command=["python3", "-c", code])
    manifest["spec"]["trialTemplate"]["retain"] = True
    job(manifest)["template"]["spec"] |= pod
    return manifest


def job(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["trialTemplate"]["trialSpec"]["spec"]
    return found


def succeeded(kfx: Platform, name: str) -> dict[str, str]:
    """What the only trial's metrics were at last."""
    found = ending(kfx.ended(name, timeout=120))
    (trial,) = kfx.get("trials", selector=f"{EXPERIMENT}={name}")
    assert found is not None
    if found["type"] != "Succeeded":
        (pod,) = kfx.get("pods", selector=f"{EXPERIMENT}={name}")
        log = kfx.kubectl("-n", NAMESPACE, "logs", pod["metadata"]["name"], "-c", COLLECTOR)
        pytest.fail(f"{trial['status']}\npod: {pod['status']}\ncollector: {log}", pytrace=False)
    return {
        metric["name"]: metric["latest"]
        for metric in trial["status"]["observation"]["metrics"]
        if metric["latest"] != "unavailable"
    }


def collector_of(pod: Mapping[str, Any], form: str) -> Mapping[str, Any]:
    """The collector's status, in the list of its form."""
    field = "initContainerStatuses" if form == "native" else "containerStatuses"
    (found,) = [each for each in pod["status"][field] if each["name"] == COLLECTOR]
    return dict(found)


def training(kfx: Platform, name: str) -> Mapping[str, Any]:
    """The state of the only trial's training container; empty where it is not there yet."""
    for pod in kfx.get("pods", selector=f"{EXPERIMENT}={name}"):
        for status in pod["status"].get("containerStatuses", ()):
            if status["name"] == "training":
                return dict(status["state"])
    return {}


def is_running(kfx: Platform, name: str) -> bool:
    (pod,) = kfx.get("pods", selector=f"{EXPERIMENT}={name}")
    return bool(pod["status"]["phase"] == "Running")
