"""What an Experiment means where it says nothing.

Pure. The defaulter's webhook turns the difference into a patch; the validator defaults the stored object
likewise before it compares. Numbers of rows refer to the table of defaults, D1 to D21.
"""

from collections.abc import Mapping
from typing import Any

_BATCH_SUCCESS = 'status.conditions.#(type=="Complete")#|#(status=="True")#'
_OPERATOR_SUCCESS = 'status.conditions.#(type=="Succeeded")#|#(status=="True")#'
_FAILURE = 'status.conditions.#(type=="Failed")#|#(status=="True")#'
_OPERATOR_KINDS = ("TFJob", "PyTorchJob", "XGBoostJob", "MPIJob")
_SUCCESS = {
    "Job": _BATCH_SUCCESS,
    "TrainJob": _BATCH_SUCCESS,
    **dict.fromkeys(_OPERATOR_KINDS, _OPERATOR_SUCCESS),
}
_MASTER = {"training.kubeflow.org/job-role": "master"}
_PRIMARY_POD_LABELS = {
    **dict.fromkeys(_OPERATOR_KINDS, _MASTER),
    "TrainJob": {
        "jobset.sigs.k8s.io/replicatedjob-name": "node",
        "batch.kubernetes.io/job-completion-index": "0",
    },
}
DEFAULT_PARALLEL_TRIALS = 3


def default_experiment(document: Mapping[str, Any]) -> dict[str, Any]:
    """An Experiment's document with D1 to D21 filled in; nothing is ever removed.

    What has no default is shared with the document given, which stays as it was: change neither. The
    document must decode (:func:`kfx.katib.experiment_document.decode_experiment`).
    """
    found = dict(document)
    spec = _child(found, "spec")
    _default_counts(spec)
    if isinstance(spec.get("objective"), dict):
        _default_strategies(_child(spec, "objective"))
    if isinstance(spec.get("trialTemplate"), dict):
        _default_template(_child(spec, "trialTemplate"))
    _default_collector(spec)
    if parameters := spec.get("parameters"):
        spec["parameters"] = [_default_parameter(parameter) for parameter in parameters]
    return found


def _default_counts(spec: dict[str, Any]) -> None:
    """D1, D2. Never more trials at a time than there are in all, as far as that is a possible number."""
    if spec.get("parallelTrialCount") is None:
        most = spec.get("maxTrialCount")
        few = isinstance(most, int) and 0 < most < DEFAULT_PARALLEL_TRIALS
        spec["parallelTrialCount"] = most if few else DEFAULT_PARALLEL_TRIALS
    _set_empty(spec, "resumePolicy", "Never")


def _default_strategies(objective: dict[str, Any]) -> None:
    """D3, D4: the metrics without a strategy follow the objective's type."""
    value = {"minimize": "min", "maximize": "max"}.get(objective.get("type") or "", "latest")
    name = objective.get("objectiveMetricName") or ""
    given = objective.get("metricStrategies") or []
    named = {strategy.get("name") or "" for strategy in given if isinstance(strategy, dict)}
    missing = [] if name in named else [name]
    missing += [other for other in objective.get("additionalMetricNames") or () if other not in named]
    if missing:
        added = [{"name": other, "value": value} if other else {"value": value} for other in missing]
        objective["metricStrategies"] = [*given, *added]


def _default_template(template: dict[str, Any]) -> None:
    """D5 to D11, by the kind of an inline template."""
    if not isinstance(template.get("trialSpec"), dict):
        return
    kind = template["trialSpec"].get("kind")
    if kind in _SUCCESS:
        _set_empty(template, "successCondition", _SUCCESS[kind])
        _set_empty(template, "failureCondition", _FAILURE)
    if kind in _PRIMARY_POD_LABELS:
        _set_empty(template, "primaryPodLabels", dict(_PRIMARY_POD_LABELS[kind]))


def _default_collector(spec: dict[str, Any]) -> None:
    """D12 to D20."""
    collectors = _child(spec, "metricsCollectorSpec")
    if collectors.get("collector") is None:
        collectors["collector"] = {"kind": "StdOut"}
    kind = collectors["collector"].get("kind")
    if kind == "PrometheusMetric":
        get = _child(_child(collectors, "source"), "httpGet")
        _set_empty(get, "path", "/metrics")
        if get.get("port") in (None, 0, "0"):
            get["port"] = 8080
    if kind == "File":
        path = _child(_child(collectors, "source"), "fileSystemPath")
        _set_empty(path, "kind", "File")
        _set_empty(path, "path", "/var/log/katib/metrics.log")
        _set_empty(path, "format", "TEXT")
    if kind == "TensorFlowEvent":
        path = _child(_child(collectors, "source"), "fileSystemPath")
        _set_empty(path, "kind", "Directory")
        _set_empty(path, "path", "/var/log/katib/tfevent/")


def _default_parameter(parameter: Any) -> Any:
    """D21."""
    if not isinstance(parameter, dict) or (parameter.get("feasibleSpace") or {}).get("distribution"):
        return parameter
    return {
        **parameter,
        "feasibleSpace": {**(parameter.get("feasibleSpace") or {}), "distribution": "uniform"},
    }


def _child(parent: dict[str, Any], key: str) -> dict[str, Any]:
    """A copy of one member, in its place; empty where there is none."""
    child = dict(parent.get(key) or {})
    parent[key] = child
    return child


def _set_empty(parent: dict[str, Any], key: str, value: Any) -> None:
    if not parent.get(key):
        parent[key] = value
