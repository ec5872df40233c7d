"""The defaulter's patches, as golden files, judged by a library for JSON Patch."""

import json
from typing import Any

import jsonpatch
import pytest

from kfx.katib.defaults import default_experiment
from kfx.runtime.admission import Allowed, Denied
from kfx.webhooks.experiment_defaulter import ExperimentDefaulter
from tests.experiment_cases import change, load
from tests.golden_files import assert_golden
from tests.unit.webhooks.documents import request

TEMPLATE = "/spec/trialTemplate/trialSpec"
COLLECTORS = "/spec/metricsCollectorSpec"

CASES: dict[str, dict[str, Any]] = {
    "minimal": {},
    "few_trials": {"/spec/maxTrialCount": 2},
    "null_count": {"/spec/parallelTrialCount": None},
    "a_strategy_given": {"/spec/objective/metricStrategies": [{"name": "acc", "value": "latest"}]},
    "unknown_fields": {
        "/bar": 1,
        "/spec/foo": {"x": 1},
        "/spec/parameters/0/extra": 1,
        "/spec/MaxTrialCount": 1,
    },
    "explicit_empties": {"/metadata/finalizers": [], "/spec/trialTemplate/primaryPodLabels": {}},
    "pytorch_job": {f"{TEMPLATE}/kind": "PyTorchJob", f"{TEMPLATE}/apiVersion": "kubeflow.org/v1"},
    "train_job": {f"{TEMPLATE}/kind": "TrainJob", "/spec/trialTemplate/primaryPodLabels": {}},
    "file": {COLLECTORS: {"collector": {"kind": "File"}}},
    "tensor_flow_event": {COLLECTORS: {"collector": {"kind": "TensorFlowEvent"}}},
    "prometheus_metric": {COLLECTORS: {"collector": {"kind": "PrometheusMetric"}}},
    "prometheus_port_0": {
        COLLECTORS: {"collector": {"kind": "PrometheusMetric"}, "source": {"httpGet": {"port": "0"}}}
    },
    "architecture_search": {
        "/spec/nasConfig": {"operations": [{"operationType": "o", "parameters": [{"name": "p"}]}]}
    },
    "custom_collector": {COLLECTORS: {"collector": {"kind": "Custom", "customCollector": {"name": "c"}}}},
    "many_parameters": {
        f"/spec/parameters/{i}": {"name": f"p{i}", "parameterType": "int", "feasibleSpace": {"min": "1"}}
        for i in range(2, 12)
    },
}

STATUS = ("K11", {"op": "add", "path": "/status", "value": {"currentOptimalTrial": {"observation": {}}}})
KATIB: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "few_trials": [("K1", {"op": "add", "path": "/spec/parallelTrialCount", "value": 3})],
    "unknown_fields": [
        ("K11", {"op": "remove", "path": path})
        for path in ("/bar", "/spec/foo", "/spec/parameters/0/extra", "/spec/MaxTrialCount")
    ],
    "explicit_empties": [
        ("K11", {"op": "remove", "path": path})
        for path in ("/metadata/finalizers", "/spec/trialTemplate/primaryPodLabels")
    ],
    "architecture_search": [
        ("K11", {"op": "add", "path": f"/spec/nasConfig/{path}", "value": {}})
        for path in ("graphConfig", "operations/0/parameters/0/feasibleSpace")
    ],
    "custom_collector": [
        ("K11", {"op": "add", "path": f"{COLLECTORS}/collector/customCollector/resources", "value": {}})
    ],
}
"""What Katib sends beside, or instead of, kfx's operation for that path; the row says why kfx does not."""


async def patch(document: dict[str, Any]) -> list[Any]:
    verdict = await ExperimentDefaulter().handle(request(document))
    assert isinstance(verdict, Allowed)
    return list(verdict.patch or ())


@pytest.mark.parametrize("name", CASES)
async def test_the_patch_holds_the_defaults_and_no_more(name: str) -> None:
    """3.4.1, 3.4.2, 3.4.3, 3.4.4, 3.4.5, 3.4.6, 3.4.7, K11, G48, G52, G54: two expectations in a file."""
    document = change(load("base.yaml"), CASES[name])
    found = await patch(document)
    only_katib = [f"katib, not kfx ({row}): {json.dumps(op)}\n" for row, op in (*KATIB.get(name, ()), STATUS)]
    lines = [f"{json.dumps(operation)}\n" for operation in found]
    assert_golden(f"defaulter/{name}.txt", "".join([*only_katib, *lines]))
    assert jsonpatch.apply_patch(document, found) == default_experiment(document)
    assert {operation["op"] for operation in found} <= {"add", "replace"}


async def test_an_experiment_with_all_defaults_is_not_patched() -> None:
    """3.4.8: no change, no patch."""
    verdict = await ExperimentDefaulter().handle(request(default_experiment(load("base.yaml"))))
    assert verdict == Allowed()


async def test_a_wrong_type_is_refused_by_name() -> None:
    document = change(load("base.yaml"), {"/spec/parallelTrialCount": "3"})
    verdict = await ExperimentDefaulter().handle(request(document))
    assert verdict == Denied(
        "spec.parallelTrialCount: expected int, found str; write the value without quotes", code=400
    )


async def test_what_is_going_passes_even_if_it_cannot_be_read() -> None:
    document = {"metadata": {"name": "e", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": 1}
    assert await ExperimentDefaulter().handle(request(document, document)) == Allowed()
