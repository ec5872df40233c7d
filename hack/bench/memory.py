"""What it costs to hold every Trial: resident bytes, the first list, the loop's lag, collections."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from hack.bench.contender import ROOT, Contender, Cost, build_go_peer
from hack.bench.figures import Figures, Section
from hack.bench.server import DEFINITIONS, NAMESPACE, make_all, served
from hack.cluster.layout import Layout
from kfx.apis.trial import Trial
from kfx.kube.client import Client

SIZE = 3500
"""Bytes of a Trial as the API server sends it."""
SETTLE, LIMIT = 2.0, 300.0
NOTE = (
    f"Finished Trials of {SIZE} bytes on the API server; each contender is started anew and lists them all. "
    "MiB: resident two seconds after the list is whole, and the peak. GC ms: the pause of one full "
    "collection. lag p99 ms: how late kfx's loop wakes a sleep of 5 ms while it lists. controller-runtime "
    "holds Katib's type with the job unstructured, as Katib does, and drops managedFields."
)


def contenders() -> list[Contender]:
    """kfx and controller-runtime."""
    return [
        Contender("kfx", (sys.executable, "-m", "hack.bench.operators.trials", "{}", "{}")),
        Contender("controller-runtime", (str(build_go_peer()), "trials", "{}", "{}")),
    ]


async def measure(layout: Layout, client: Client, *, counts: list[int], rounds: int) -> dict[str, Section]:
    """A section for each count, ascending; the Trials stay."""
    await client.create(DEFINITIONS, definition())
    await served(client, Trial.resource)
    sections, made = {}, 0
    for count in sorted(counts):
        first = made

        async def make(number: int, first: int = first) -> None:
            await client.create(Trial.resource, trial(first + number), namespace=NAMESPACE)

        await make_all(count - made, make)
        made = count
        section = sections[f"memory-{count}"] = Section(f"memory: {count:,} Trials", NOTE)
        for _ in range(rounds):
            for contender in contenders():
                section.add(contender.name, await asyncio.to_thread(_measure, contender, layout, count))
    return sections


def _measure(contender: Contender, layout: Layout, count: int) -> Figures:
    with tempfile.TemporaryDirectory() as name:
        result = Path(name) / "result.json"
        with contender.running(layout.kubeconfig, result) as cost:
            return asyncio.run(_read(cost, result, count))


async def _read(cost: Cost, result: Path, count: int) -> Figures:
    async with asyncio.timeout(LIMIT):
        while not result.exists() or not result.stat().st_size:
            await asyncio.sleep(0.05)
    spent = cost.cpu_seconds
    await asyncio.sleep(SETTLE)
    found: dict[str, float] = json.loads(result.read_bytes())
    if found.pop("objects") != count:
        raise RuntimeError(f"{count} Trials expected, the cache holds another number")
    return {
        "MiB": cost.resident_mib,
        "peak MiB": cost.peak_mib,
        "sync s": found["sync s"],
        "CPU s": spent,
        "GC ms": found["GC ms"],
        "lag p99 ms": found.get("lag p99 ms"),
    }


def definition() -> dict[str, Any]:
    """Katib's, but one write makes a Trial with its status."""
    path = ROOT / "config" / "crd" / "bases" / "kubeflow.org_trials.yaml"
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for version in found["spec"]["versions"]:
        version.pop("subresources", None)
    return found


def trial(number: int) -> dict[str, Any]:
    """One of a hundred Trials of its Experiment, finished, of the size that the others have."""
    experiment, name = f"random-{number // 100:04}", f"random-{number // 100:04}-{number:08x}"
    values = {"lr": f"{0.01 + number / 1e7:.7f}", "layers": str(2 + number % 4), "optimizer": "adam"}
    labels = {"katib.kubeflow.org/experiment": experiment}
    found: dict[str, Any] = {
        "apiVersion": Trial.resource.api_version,
        "kind": "Trial",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "labels": labels, "ownerReferences": [owner(experiment)],
        },
        "spec": {
            "objective": {
                "type": "maximize", "goal": 0.99, "objectiveMetricName": "accuracy",
                "metricStrategies": [{"name": "accuracy", "value": "max"}],
            },
            "parameterAssignments": [{"name": key, "value": value} for key, value in values.items()],
            "metricsCollector": {"collector": {"kind": "StdOut"}},
            "primaryPodLabels": {"batch.kubernetes.io/job-name": name},
            "primaryContainerName": "training-container",
            "successCondition": 'status.conditions.#(type=="Complete")#|#(status=="True")#',
            "failureCondition": 'status.conditions.#(type=="Failed")#|#(status=="True")#',
            "runSpec": job(name, values),
        },
        "status": status(values),
    }  # fmt: skip
    filling = SIZE - SERVER_ADDS - len(json.dumps(found, separators=(",", ":")))
    container = found["spec"]["runSpec"]["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "FILLING", "value": "x" * (filling - 40)}]
    return found


SERVER_ADDS = 330
"""Bytes that the API server adds: uid, versions, times, managedFields."""


def owner(experiment: str) -> dict[str, Any]:
    """A reference to an Experiment that need not be there: no garbage collector looks at Trials here."""
    return {
        "apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "name": experiment, "controller": True,
        "blockOwnerDeletion": True, "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
    }  # fmt: skip


def job(name: str, values: dict[str, str]) -> dict[str, Any]:
    """What the Trial ran."""
    container = {
        "name": "training-container",
        "image": "example.org/team/trainer:v1",
        "command": ["python3", "/opt/train.py", *(f"--{key}={value}" for key, value in values.items())],
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}},
    }
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}


def status(values: dict[str, str]) -> dict[str, Any]:
    """Succeeded, with an observation."""
    told = (
        ("Created", "TrialCreated", "Trial is created"),
        ("Running", "TrialRunning", "Trial is running"),
        ("Succeeded", "TrialSucceeded", "Trial has succeeded"),
    )
    conditions = [
        {
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, reason, message in told
    ]  # fmt: skip
    latest = values["lr"]
    metrics = [{"name": "accuracy", "min": latest, "max": latest, "latest": latest}]
    return {
        "startTime": "2026-01-01T00:00:00Z",
        "completionTime": "2026-01-01T00:01:00Z",
        "conditions": conditions,
        "observation": {"metrics": metrics},
    }
