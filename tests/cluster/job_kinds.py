"""Kinds of jobs as small as a CRD can be, and a program that does to their jobs what an operator would."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kfx.apis.common import MetricLog
from kfx.build import utc_now
from kfx.controllers.jobs import parse_trial_resource
from kfx.controllers.metrics import Observations
from kfx.kube.client import Client
from kfx.kube.errors import Conflict, NotFound
from kfx.kube.resource import Resource
from tests.cluster.crds import DEFINITIONS, served
from tests.cluster.katib import NAMESPACE

OPERATOR = 'status.conditions.#(type=="Succeeded")#|#(status=="True")#'
FAILED = 'status.conditions.#(type=="Failed")#|#(status=="True")#'


@dataclass(frozen=True, slots=True, eq=False)
class JobKind:
    """One kind: ``flag`` as in ``--trial-resources``, its conditions, and the status of one that is done."""

    flag: str
    success: str
    done: Mapping[str, Any]
    failure: str = FAILED

    @property
    def resource(self) -> Resource:
        return parse_trial_resource(self.flag)

    def trial(self, name: str, **spec: Any) -> dict[str, Any]:
        """A Trial of this kind, as the Experiment's controller would have made it."""
        meta = {"name": name, "namespace": NAMESPACE}
        job = {"apiVersion": self.resource.api_version, "kind": self.resource.kind, "metadata": meta}
        return {
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "Trial",
            "metadata": meta | {"finalizers": ["clean-metrics-in-db"]},
            "spec": {
                "objective": {
                    "type": "minimize",
                    "objectiveMetricName": "loss",
                    "metricStrategies": [{"name": "loss", "value": "min"}],
                },
                "runSpec": job | {"spec": {}},
                "successCondition": self.success,
                "failureCondition": self.failure,
            }
            | spec,
        }

    def definition(self) -> dict[str, Any]:
        """Its CRD: anything goes, and it has a status."""
        found = self.resource
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {
            "name": found.version, "served": True, "storage": True,
            "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}},
        }  # fmt: skip
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": str(found)},
            "spec": {
                "group": found.group,
                "scope": "Namespaced",
                "names": {"plural": found.plural, "kind": found.kind, "singular": found.kind.lower()},
                "versions": [version],
            },
        }


def conditions(*types: str) -> dict[str, Any]:
    return {"conditions": [{"type": t, "status": "True", "reason": "R", "message": f"{t}!"} for t in types]}


OPERATORS = tuple(
    JobKind(f"{kind}.v1.kubeflow.org", OPERATOR, conditions("Created", "Running", "Succeeded"))
    for kind in ("TFJob", "PyTorchJob", "MPIJob", "XGBoostJob")
)
TRAIN_JOB = JobKind(
    "TrainJob.v1alpha1.trainer.kubeflow.org",
    'status.conditions.#(type=="Complete")#|#(status=="True")#',
    conditions("Complete"),
)
WORKFLOW = JobKind(
    "Workflow.v1alpha1.argoproj.io",
    'status.[@this].#(phase=="Succeeded")#',
    {"phase": "Succeeded", "message": "all steps done"},
    'status.[@this].#(phase=="Failed")#',
)
RUN = JobKind("Run.v1.example.org", "status.[@this].#(succeeded==1)", {"succeeded": 1})
ALL = (*OPERATORS, TRAIN_JOB, WORKFLOW, RUN)


async def install(client: Client, *kinds: JobKind) -> None:
    for kind in kinds:
        await client.create(DEFINITIONS, kind.definition())
    for kind in kinds:
        await served(client, kind.resource)


async def remove(client: Client, *kinds: JobKind) -> None:
    for kind in kinds:
        with suppress(NotFound):
            await client.delete(DEFINITIONS, "", str(kind.resource))


@asynccontextmanager
async def operating(client: Client, store: Observations, *kinds: JobKind) -> AsyncIterator[None]:
    """Every job of these kinds reports a loss and is done, as soon as it is there."""

    async def operate() -> None:
        while True:
            for kind in kinds:
                await _finish_all(client, store, kind)
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(operate())
        try:
            yield
        finally:
            task.cancel()


async def _finish_all(client: Client, store: Observations, kind: JobKind) -> None:
    with suppress(NotFound, Conflict):
        found = await client.request("GET", kind.resource.path(NAMESPACE))
        for job in found["items"]:
            name = job["metadata"]["name"]
            if "status" in job or "deletionTimestamp" in job["metadata"]:
                continue
            line = MetricLog(time_stamp=utc_now(), name="loss", value="0.25")
            await store.report(name, [line], NAMESPACE)
            changes = {"status": kind.done}
            await client.patch(kind.resource, NAMESPACE, name, changes, subresource="status")
