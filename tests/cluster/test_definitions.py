"""The CRDs on a real API server: what they take, and what kubectl shows of it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.binaries import CONTROL_PLANE, find
from hack.cluster.layout import Layout
from kfx.apis.common import API_VERSION
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.kube.client import Client
from kfx.kube.credentials import load_credentials
from tests.cluster.katib import NAMESPACE, manifest, working
from tests.swagger import problems

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]

CRDS = Path(__file__).resolve().parents[2] / "config" / "crd"
KINDS = (Experiment, Suggestion, Trial)
STATE = {"conditions": [{"type": "Created", "status": "True"}, {"type": "Running", "status": "True"}]}
Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(cluster: Layout) -> Kubectl:
    """kubectl with the CRDs served; what it prints."""
    program = find(CONTROL_PLANE, cluster.cache)["kubectl"]

    def run(*words: str, given: str | None = None) -> str:
        return subprocess.run(
            [program, "--kubeconfig", cluster.kubeconfig, "--namespace", NAMESPACE, *words],
            input=given, capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    run("apply", "--kustomize", str(CRDS))
    run("wait", "--for=condition=Established", "crd", *(str(kind.resource) for kind in KINDS))
    return run


def katibs(kind: str, name: str, **parts: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, **parts}


ACCEPTED = [
    # as Katib's controller of v0.17 and v0.19 writes them: embedded structs never vanish, zero times are null
    katibs(
        "Experiment", "written",
        spec={"parameters": [{"name": "lr", "feasibleSpace": {}}], "nasConfig": {"graphConfig": {}}},
        status={
            "conditions": [{"type": "Created", "status": "True", "lastUpdateTime": None}],
            "currentOptimalTrial": {"observation": {}},
        },
    ),
    katibs("Suggestion", "written", spec={"requests": 1}, status={"suggestions": [{"name": "a"}]}),
    katibs("Trial", "written", spec={"metricsCollector": {}, "runSpec": {"kind": "Job"}}, status={}),
    # of v0.17: MXJob, a metric without a format; of others: fields that nobody knows
    katibs(
        "Experiment", "old",
        spec={
            "trialTemplate": {"retain": True, "trialSpec": {"kind": "MXJob"}},
            "metricsCollectorSpec": {"source": {"fileSystemPath": {"kind": "Invalid"}}},
            "fromTheFuture": {"deep": [1, {"x": None}]},
        },
    ),
    # types that only webhooks and controllers look at
    katibs("Trial", "typed", spec={"retainRun": "yes", "parameterAssignments": [{"value": 0.1}]}),
    katibs("Experiment", "typed", spec={"maxTrialCount": "many", "parameters": "none", "objective": [1.5]}),
    katibs("Suggestion", "typed", spec={"requests": 10**12, "algorithm": "random"}),
    katibs("Experiment", "bare"),
    katibs("Experiment", "no-spec", spec=None),
]  # fmt: skip


@pytest.mark.parametrize("found", ACCEPTED, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_what_katibs_server_takes_is_taken_and_kept(found: dict[str, Any], kubectl: Kubectl) -> None:
    kept = json.loads(kubectl("create", "--filename=-", "--output=json", given=json.dumps(found)))
    whole = json.dumps(kept | found | {"metadata": kept["metadata"]})
    kept = json.loads(
        kubectl("replace", "--subresource=status", "--filename=-", "--output=json", given=whole)
    )
    assert kept | {"metadata": found["metadata"]} == found


def shown(kubectl: Kubectl, kind: str, name: str, *words: str) -> dict[str, str]:
    """The line of one object by column; columns are as wide as their heads say."""
    head, line = kubectl("get", kind, name, *words).splitlines()
    starts = [i for i, letter in enumerate(head) if letter != " " and head[max(i - 2, 0) : i].strip() == ""]
    ends = [*starts[1:], None]
    return {head[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends, strict=True)}


SHOWN = [
    (
        katibs(
            "Experiment", "shown",
            status=STATE | {
                "trials": 7, "trialsRunning": 2, "trialsSucceeded": 4, "trialsFailed": 1,
                "currentOptimalTrial": {"bestTrialName": "shown-x1"},
            },
        ),
        {"NAME": "shown", "TYPE": "Running", "STATUS": "True"},
        {"TRIALS": "7", "RUNNING": "2", "SUCCEEDED": "4", "FAILED": "1", "OPTIMAL TRIAL": "shown-x1"},
    ),
    (
        katibs(
            "Suggestion", "shown",
            spec={"requests": 7, "algorithm": {"algorithmName": "random"}},
            status=STATE | {"suggestionCount": 6},
        ),
        {"NAME": "shown", "TYPE": "Running", "STATUS": "True", "REQUESTED": "7", "ASSIGNED": "6"},
        {"ALGORITHM": "random"},
    ),
    (
        katibs(
            "Trial", "shown",
            status=STATE | {
                "observation": {
                    "metrics": [{"name": "loss", "min": "0.1", "max": "unavailable", "latest": "0.2"}]
                }
            },
        ),
        {"NAME": "shown", "TYPE": "Running", "STATUS": "True"},
        {"METRIC": "loss", "MIN": "0.1", "MAX": "unavailable", "LATEST": "0.2"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("found", "default", "wide"), SHOWN, ids=lambda each: each.get("kind", ""))
def test_kubectl_shows_katibs_columns_and_with_wide_output_kfxs_too(
    found: dict[str, Any], default: dict[str, str], wide: dict[str, str], kubectl: Kubectl
) -> None:
    kind = found["kind"].lower()
    kubectl("create", "--filename=-", given=json.dumps(found))
    patch = json.dumps({"status": found["status"]})
    kubectl("patch", kind, "shown", "--subresource=status", "--type=merge", "--patch", patch)
    line = shown(kubectl, kind, "shown")
    assert line.pop("AGE")
    assert line == default
    line = shown(kubectl, kind, "shown", "--output=wide")
    assert list(line) == [*default, "AGE", *wide]
    assert {column: line[column] for column in wide} == wide


async def test_what_the_controllers_leave_is_as_the_openapi_file_describes_it(
    cluster: Layout, kubectl: Kubectl, tmp_path: Path
) -> None:
    credentials = load_credentials(str(cluster.kubeconfig))
    async with (
        Client.connect(credentials, user_agent="test") as client,
        working(client, credentials, tmp_path) as platform,
    ):
        await client.create(Experiment.resource, manifest("real", most=1, parallel=1), namespace=NAMESPACE)
        (name,) = await platform.running_trials("real", 1)
        await platform.finish(name, value="0.5")
        found = [
            await platform.ended(Experiment, "real"),
            await platform.ended(Suggestion, "real"),
            await platform.read(Trial, name),
        ]
    for each in found:
        assert problems(each, f"v1beta1.{each['kind']}") == []
    assert shown(kubectl, "experiment", "real", "--output=wide")["OPTIMAL TRIAL"] == name
