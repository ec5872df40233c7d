"""The whole process but for its ports, and what a node would do to the jobs of trials."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from kfx.apis.common import MetricLog
from kfx.apis.core import Pod
from kfx.apis.trial import Trial
from kfx.build import Parts, build_manager, open_store, utc_now
from kfx.config import Config, load_config
from kfx.katib.names import LABEL_TRIAL
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.transport import Transport
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.spans import Spans
from kfx.services.algorithm_client import Dial, dial_cluster_ip
from kfx.services.external_store import ExternalStore
from kfx.store.observations import ObservationStore
from tests.katib_objects import FAILURE, JOBS, SUCCESS
from tests.serving import new_pair, write_pair

NAMESPACE = "default"


def settings(folder: Path, *more: str, environ: Mapping[str, str] | None = None) -> Config:
    """As the process is started, with short patience, a webhook port of its own and no other server.

    ``more`` flags win over these.
    """
    flags = {
        "metrics-addr": "0", "healthz-addr": "0", "db-manager-addr": "0",
        "cert-dir": str(folder), "sqlite-path": str(folder / "observations.db"),
        "metrics-wait": "2s", "image-wait": "2s",
    }  # fmt: skip
    kinds = [f"--trial-resources={kind}" for kind in ("Job.v1.batch", "TFJob.v1.kubeflow.org")]
    config = load_config(
        [f"--{name}={value}" for name, value in flags.items()] + kinds + list(more), environ or {}
    )
    stated = any(flag.startswith("--webhook-port=") for flag in more)
    return config if stated else replace(config, webhook_port=0)


class Platform:
    """The API server, the controllers, and what a node would do."""

    def __init__(
        self, client: Client, store: ObservationStore | ExternalStore, metrics: RuntimeMetrics
    ) -> None:
        self.client, self.store, self.metrics = client, store, metrics

    async def read(self, kind: Any, name: str) -> Any:
        resource = getattr(kind, "resource", kind)
        return await self.client.get_document(resource, NAMESPACE, name)

    async def items(self, kind: Any, selector: str = "") -> list[dict[str, Any]]:
        resource = getattr(kind, "resource", kind)
        found = await self.client.request(
            "GET", resource.path(NAMESPACE), query={"labelSelector": selector} if selector else None
        )
        items: list[dict[str, Any]] = found["items"]
        return items

    async def trials(self, experiment: str) -> list[dict[str, Any]]:
        return await self.items(Trial, f"katib.kubeflow.org/experiment={experiment}")

    async def until(self, true: Callable[[], Any], seconds: float = 30) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := await true()):
                await asyncio.sleep(0.05)
        return found

    async def ended(self, kind: Any, name: str, *, seconds: float = 30) -> dict[str, Any]:
        async def done() -> Any:
            found = await self.read(kind, name)
            return found if condition(found, "Succeeded") or condition(found, "Failed") else None

        found: dict[str, Any] = await self.until(done, seconds)
        return found

    async def running_trials(
        self, experiment: str, count: int, *, besides: Collection[str] = ()
    ) -> list[str]:
        """So many that run, not counting ``besides``: those that were finished may still seem to run."""

        async def enough() -> Any:
            running = [
                t["metadata"]["name"] for t in await self.trials(experiment) if words(t)[-1:] == ["Running"]
            ]
            names = [name for name in running if name not in besides]
            return names if len(names) == count else None

        names: list[str] = await self.until(enough)
        return names

    async def make_pod(self, job: str) -> dict[str, Any]:
        """A pod as the job controller and the pod webhook would have left it."""
        uid = (await self.read(JOBS, job))["metadata"]["uid"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": uid, "controller": True}
        metadata = {"name": job, "labels": {LABEL_TRIAL: job}, "ownerReferences": [owner]}
        spec = {"restartPolicy": "Never", "containers": [{"name": "train", "image": "example.org/none"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        return await self.client.create(Pod.resource, pod, namespace=NAMESPACE)

    async def finish(self, name: str, kind: str = "Complete", value: str | None = None) -> None:
        """As the collector and the job controller would, in this order."""
        now = utc_now()
        if value is not None:
            await self.store.report(name, [MetricLog(time_stamp=now, name="loss", value=value)], NAMESPACE)
        first = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[kind]
        entries = [
            {
                "type": t,
                "status": "True",
                "reason": "Test",
                "message": f"said {kind}",
                "lastTransitionTime": now,
            }
            for t in (first, kind)
        ]
        status: dict[str, Any] = {"startTime": now, "conditions": entries, "uncountedTerminatedPods": {}}
        if kind == "Complete":
            status["completionTime"] = now
        await self.client.patch(JOBS, NAMESPACE, name, {"status": status}, subresource="status")


def words(document: dict[str, Any]) -> list[str]:
    found = document.get("status", {}).get("conditions", [])
    return [c["type"] if c["status"] == "True" else f"-{c['type']}" for c in found]


def condition(document: dict[str, Any], kind: str) -> dict[str, Any] | None:
    found = document.get("status", {}).get("conditions", [])
    return next((c for c in found if c["type"] == kind and c["status"] == "True"), None)


@asynccontextmanager
async def working(
    client: Client,
    credentials: Credentials,
    folder: Path,
    *flags: str,
    spans: Spans | None = None,
    environ: Mapping[str, str] | None = None,
    dial: Dial = dial_cluster_ip,
    strict_kinds: bool = True,
) -> AsyncIterator[Platform]:
    """The process at work. Under the name ``katib-controller`` kinds are not ``strict_kinds``."""
    write_pair(folder, new_pair())
    config = replace(settings(folder, *flags, environ=environ), strict_kinds=strict_kinds)
    stop = asyncio.Event()
    async with (
        open_store(config) as store,
        spans.transport(credentials) if spans else Transport.open(credentials) as transport,
        asyncio.TaskGroup() as group,
    ):
        parts = Parts(config, credentials, transport, store, spans=spans, dial=dial)
        group.create_task(build_manager(parts).run(stop))
        try:
            yield Platform(client, store, parts.metrics)
        finally:
            stop.set()


def manifest(name: str, *, most: int = 4, parallel: int = 2, **spec: Any) -> dict[str, Any]:
    """Complete, as the defaulter would have left it; no job controller touches its jobs."""
    container = {"name": "train", "image": "example.org/train", "args": ["--x=${trialParameters.x}"]}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    space = {"min": "0", "max": "1", "distribution": "uniform"}
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"team": "a"}},
        "spec": {
            "objective": {
                "type": "minimize",
                "objectiveMetricName": "loss",
                "metricStrategies": [{"name": "loss", "value": "min"}],
            },
            "algorithm": {"algorithmName": "random"},
            "parallelTrialCount": parallel,
            "maxTrialCount": most,
            "resumePolicy": "Never",
            "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": space}],
            "trialTemplate": {
                "primaryContainerName": "train",
                "successCondition": SUCCESS,
                "failureCondition": FAILURE,
                "trialParameters": [{"name": "x", "reference": "x"}],
                "trialSpec": {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "spec": {"managedBy": "example.org/test", "template": pod},
                },
            },
            **spec,
        },
    }
