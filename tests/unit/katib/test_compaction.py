"""What of a Trial stays in memory."""

import gc
from typing import Any

import msgspec
import pytest

from kfx.apis.apps import Deployment, DeploymentStatus, Service
from kfx.apis.trial import Trial
from kfx.katib.compaction import compact, only_made_for_suggestions
from kfx.kube.decode import decoder_for
from kfx.kube.model import ObjectMeta, OwnerReference
from tests.katib_objects import conditions, owner

RUN_SPEC = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {"containers": []}}}}


def trial(name: str = "a", *, condition: str = "Running", **spec: Any) -> Trial:
    """One of an experiment, as it is decoded."""
    owner = {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "name": "e", "uid": "u"}
    times = dict.fromkeys(("lastUpdateTime", "lastTransitionTime"), "2026-01-01T00:00:00Z")
    document = {
        "metadata": {
            "name": name, "namespace": "ns", "labels": {"katib.kubeflow.org/experiment": "e"},
            "ownerReferences": [owner], "finalizers": ["f"],
        },
        "spec": {
            "objective": {"type": "maximize", "goal": 0.9, "objectiveMetricName": "accuracy"},
            "parameterAssignments": [{"name": "lr", "value": "0.1"}],
            "metricsCollector": {"collector": {"kind": "StdOut"}},
            "primaryPodLabels": {"job-name": name}, "runSpec": RUN_SPEC, **spec,
        },
        "status": {
            "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": condition, "status": "True", "reason": "R", "message": "m", **times}],
            "observation": {"metrics": [{"name": "accuracy", "min": "1", "max": "1", "latest": "1"}]},
        },
    }  # fmt: skip
    return decoder_for(Trial)(msgspec.json.encode(document))


def test_a_running_trial_stays_equal_in_every_field() -> None:
    found = trial(labels={"a": "b"}, successCondition="s", failureCondition="f", retainRun=True)
    kept = compact(found)
    assert msgspec.json.encode(kept) == msgspec.json.encode(found)
    assert kept.spec.run_document() == RUN_SPEC


@pytest.mark.parametrize("condition", ["Succeeded", "Failed", "Killed", "EarlyStopped", "MetricsUnavailable"])
def test_an_ended_trial_keeps_of_its_job_only_what_kind_it_was(condition: str) -> None:
    found = trial(condition=condition)
    kept = compact(found)
    assert kept.spec.run_document() == {"apiVersion": "batch/v1", "kind": "Job"}
    whole = msgspec.structs.replace(kept.spec, run_spec=found.spec.run_spec)
    assert msgspec.json.encode(msgspec.structs.replace(kept, spec=whole)) == msgspec.json.encode(found)


def test_trials_of_one_experiment_share_what_is_equal() -> None:
    first, second = compact(trial("a", condition="Succeeded")), compact(trial("b", condition="Succeeded"))
    assert first.metadata.labels is second.metadata.labels
    assert first.metadata.owner_references is second.metadata.owner_references
    assert first.spec.objective is second.spec.objective
    assert first.spec.metrics_collector is second.spec.metrics_collector
    assert first.spec.run_spec is second.spec.run_spec
    assert first.status.conditions[0].message is second.status.conditions[0].message


def test_nothing_keeps_the_message_alive() -> None:
    text = bytearray(msgspec.json.encode(trial()))
    kept = compact(decoder_for(Trial)(text))
    gc.collect()
    text.clear()  # raises BufferError while somebody has a view of it
    assert kept.spec.run_document() == RUN_SPEC


def test_a_custom_collector_is_kept_though_it_has_no_hash() -> None:
    custom = {"collector": {"kind": "Custom", "customCollector": {"name": "c", "image": "i"}}}
    collector = compact(trial(metricsCollector=custom)).spec.metrics_collector.collector
    assert collector is not None
    assert collector.custom_collector == {"name": "c", "image": "i"}


def test_an_ended_trial_without_a_readable_job_is_kept_all_the_same() -> None:
    assert compact(trial(condition="Failed", runSpec=[1, 2])).spec.run_document() == {}


def kept(kind: type[Deployment] | type[Service], owners: tuple[OwnerReference, ...]) -> tuple[Any, Any]:
    noted = {"kubectl.kubernetes.io/last-applied-configuration": "x" * 1000}
    metadata = ObjectMeta(
        name="d", namespace="ns", uid="u", resource_version="3", annotations=noted, owner_references=owners
    )
    whole = kind(metadata=metadata)
    return whole, only_made_for_suggestions(whole)


@pytest.mark.parametrize("kind", [Deployment, Service])
def test_of_what_no_suggestion_controls_only_the_name_is_kept(kind: type[Deployment] | type[Service]) -> None:
    for owners in ((), owner("Experiment", "e", "e-uid")):
        _, found = kept(kind, owners)
        assert found == kind(metadata=ObjectMeta(name="d", namespace="ns", uid="u", resource_version="3"))


def test_of_what_a_suggestion_controls_all_that_is_read_is_kept() -> None:
    whole, found = kept(Service, owner("Suggestion", "e", "s-uid"))
    assert found.metadata.annotations is None
    assert found.metadata.controller == whole.metadata.controller
    ready = DeploymentStatus(conditions=conditions("Available"))
    deployment = Deployment(metadata=whole.metadata, status=ready)
    assert only_made_for_suggestions(deployment).status == ready
