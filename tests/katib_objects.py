"""The least that is valid of each of Katib's kinds, and short words for conditions."""

from collections.abc import Mapping
from typing import Any

import msgspec

from kfx.apis.common import (
    AlgorithmSpec,
    Metric,
    MetricStrategy,
    NameValue,
    ObjectiveSpec,
    Observation,
)
from kfx.apis.experiment import Experiment, ExperimentSpec, ExperimentStatus, TrialTemplate
from kfx.apis.suggestion import Suggestion, SuggestionSpec, SuggestionStatus, TrialAssignment
from kfx.apis.trial import Trial, TrialSpec, TrialStatus
from kfx.katib.names import EXPERIMENT_FINALIZER, LABEL_EXPERIMENT, TRIAL_FINALIZER
from kfx.katib.pod_shape import POD, Pod
from kfx.kube.model import (
    Condition,
    ConditionsOnly,
    KubeObject,
    ObjectMeta,
    OwnerReference,
    Unreadable,
    Unstructured,
    unreadable_kind,
)
from kfx.kube.resource import Resource

NOW = "2026-01-02T03:04:05Z"
EARLIER = "2026-01-02T03:00:00Z"
JOBS = Resource("batch", "v1", "jobs", "Job")
SUCCESS = 'status.conditions.#(type=="Complete")#|#(status=="True")#'
FAILURE = 'status.conditions.#(type=="Failed")#|#(status=="True")#'
RUN_SPEC = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "e-1", "namespace": "ns"},
    "spec": {},
}


def condition(word: str, *, reason: str = "", message: str = "", at: str = EARLIER) -> Condition:
    """``Running`` is True, ``-Running`` is False; the reason is the type's where none is given."""
    kind = word.removeprefix("-")
    return Condition(
        type=kind,
        status="False" if word.startswith("-") else "True",
        reason=reason or kind,
        message=message,
        last_update_time=at,
        last_transition_time=at,
    )


def conditions(*words: str | Condition) -> tuple[Condition, ...]:
    """Conditions by :func:`condition`, in order."""
    return tuple(condition(word) if isinstance(word, str) else word for word in words)


def said(found: tuple[Condition, ...]) -> list[str]:
    """Conditions as words, to compare with."""
    return [c.type if c.status == "True" else f"-{c.type}" for c in found]


def owner(kind: str, name: str, uid: str) -> tuple[OwnerReference, ...]:
    """The controller's reference."""
    return (
        OwnerReference(
            api_version="kubeflow.org/v1beta1",
            kind=kind,
            name=name,
            uid=uid,
            controller=True,
            block_owner_deletion=True,
        ),
    )


def objective(
    kind: str = "minimize", *, goal: float | None = None, strategy: str | None = None
) -> ObjectiveSpec:
    """Of the metric ``loss``; the strategy is the defaulter's, none with ``""``."""
    value = {"minimize": "min", "maximize": "max"}[kind] if strategy is None else strategy
    strategies = (MetricStrategy(name="loss", value=value),) if value else ()
    return ObjectiveSpec(type=kind, goal=goal, objective_metric_name="loss", metric_strategies=strategies)


def experiment(
    *words: str | Condition,
    parallel: int | None = 3,
    most: int | None = 12,
    most_failed: int | None = None,
    policy: str = "Never",
    goal: float | None = None,
    deleting: bool = False,
    finalizers: tuple[str, ...] = (EXPERIMENT_FINALIZER,),
    template: TrialTemplate | None = None,
    status: Mapping[str, Any] | None = None,
    kind: str = "minimize",
    labels: Mapping[str, str] | None = None,
) -> Experiment:
    """Experiment ``ns/e``, uid ``e-uid``."""
    return Experiment(
        metadata=ObjectMeta(
            name="e",
            namespace="ns",
            uid="e-uid",
            resource_version="1",
            finalizers=finalizers,
            labels=labels,
            deletion_timestamp=NOW if deleting else None,
        ),
        spec=ExperimentSpec(
            objective=objective(kind, goal=goal),
            algorithm=AlgorithmSpec(algorithm_name="random"),
            trial_template=template or TrialTemplate(trial_spec=RUN_SPEC),
            parallel_trial_count=parallel,
            max_trial_count=most,
            max_failed_trial_count=most_failed,
            resume_policy=policy,
        ),
        status=ExperimentStatus(conditions=conditions(*words), **(status or {})),
    )


def suggestion(
    *words: str | Condition,
    requests: int = 0,
    names: tuple[str, ...] = (),
    uid: str = "s-uid",
    experiment_uid: str = "e-uid",
    policy: str = "Never",
    count: int | None = None,
) -> Suggestion:
    """Suggestion ``ns/e`` of :func:`experiment`, with an assignment for each of ``names``."""
    assigned = tuple(
        TrialAssignment(name=name, parameter_assignments=(NameValue(name="x", value=str(i)),))
        for i, name in enumerate(names)
    )
    return Suggestion(
        metadata=ObjectMeta(
            name="e",
            namespace="ns",
            uid=uid,
            resource_version="7",
            generation=1,
            owner_references=owner("Experiment", "e", experiment_uid),
        ),
        spec=SuggestionSpec(
            algorithm=AlgorithmSpec(algorithm_name="random"), requests=requests, resume_policy=policy
        ),
        status=SuggestionStatus(
            conditions=conditions(*words),
            suggestions=assigned,
            suggestion_count=len(assigned) if count is None else count,
        ),
    )


def observed(latest: str, *, low: str | None = None, high: str | None = None) -> Observation:
    """One observation of ``loss``."""
    return Observation(metrics=(Metric(name="loss", min=low or latest, max=high or latest, latest=latest),))


def trial(
    *words: str | Condition,
    name: str = "e-1",
    age: int = 0,
    value: str | None = None,
    retain: bool = False,
    deleting: bool = False,
    finalizers: tuple[str, ...] = (TRIAL_FINALIZER,),
    run_spec: Mapping[str, Any] | bytes = RUN_SPEC,
    target: ObjectiveSpec | None = None,
    **spec: Any,
) -> Trial:
    """Trial ``ns/<name>`` of :func:`experiment`; larger ``age`` (seconds, below 60) was created later."""
    text = run_spec if isinstance(run_spec, bytes) else msgspec.json.encode(run_spec)
    return Trial(
        metadata=ObjectMeta(
            name=name,
            namespace="ns",
            uid=f"{name}-uid",
            resource_version="3",
            creation_timestamp=f"2026-01-02T03:00:{age:02}Z",
            deletion_timestamp=NOW if deleting else None,
            finalizers=finalizers,
            labels={LABEL_EXPERIMENT: "e"},
            owner_references=owner("Experiment", "e", "e-uid"),
        ),
        spec=TrialSpec(
            objective=target or objective(),
            parameter_assignments=(NameValue(name="x", value="0"),),
            run_spec=msgspec.Raw(text),
            retain_run=retain,
            success_condition=SUCCESS,
            failure_condition=FAILURE,
            **spec,
        ),
        status=TrialStatus(
            conditions=conditions(*words), observation=observed(value) if value is not None else None
        ),
    )


def unreadable(
    kind: type[KubeObject],
    problem: str,
    *words: str | Condition,
    deleting: bool = False,
    finalizers: tuple[str, ...] = (),
) -> Unreadable:
    """What stands in for an object ``ns/e`` that does not decode."""
    return unreadable_kind(kind.resource)(
        metadata=ObjectMeta(
            name="e",
            namespace="ns",
            uid="u",
            resource_version="1",
            finalizers=finalizers,
            deletion_timestamp=NOW if deleting else None,
        ),
        status=ConditionsOnly(conditions=conditions(*words)),
        problem=problem,
    )


def job_document(*words: str, uid: str = "job-uid", of: str = "e-1", **details: str) -> dict[str, Any]:
    """A batch Job with conditions, controlled by the trial named ``of``."""
    reference = msgspec.to_builtins(owner("Trial", of, f"{of}-uid")[0])
    found: list[dict[str, Any]] = [
        {"type": w.removeprefix("-"), "status": "False" if w.startswith("-") else "True"} | details
        for w in words
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": of, "namespace": "ns", "uid": uid, "ownerReferences": [reference]},
        "status": {"conditions": found} if found else {},
    }


def as_pod(document: Mapping[str, Any]) -> Pod:
    """A document as the webhook reads it."""
    return POD.decode(msgspec.json.encode(document))


def as_unstructured(document: Mapping[str, Any]) -> Unstructured:
    """A document as the cache holds it."""
    return Unstructured(
        api_version=document["apiVersion"],
        kind=document["kind"],
        metadata=msgspec.convert(document["metadata"], ObjectMeta),
        raw=msgspec.json.encode(document),
    )
