from typing import Any

from kfx.apis.common import (
    AlgorithmSpec,
    CollectorSpec,
    EarlyStoppingRule,
    MetricsCollectorSpec,
    NameValue,
)
from kfx.apis.experiment import Experiment, TrialTemplate
from kfx.apis.suggestion import TrialAssignment
from kfx.katib.compose import compose_job, compose_suggestion, compose_trial
from tests.katib_objects import RUN_SPEC, experiment, trial

OWNED = [
    {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "name": "e",
        "uid": "e-uid",
        "controller": True,
        "blockOwnerDeletion": True,
    }
]
ASSIGNED = TrialAssignment(name="e-1", parameter_assignments=(NameValue(name="x", value="0.5"),))


def _changed(**spec: Any) -> Experiment:
    found = experiment(labels={"team": "a", "katib.kubeflow.org/experiment": "wrong"})
    return Experiment(
        metadata=found.metadata,
        spec=type(found.spec)(**{f: getattr(found.spec, f) for f in found.spec.__struct_fields__} | spec),
    )


def test_a_suggestion_copies_labels_annotations_and_algorithm() -> None:
    found = experiment(labels={"team": "a"})
    found = Experiment(
        metadata=type(found.metadata)(
            name="e", namespace="ns", uid="e-uid", labels={"team": "a"}, annotations={"note": "b"}
        ),
        spec=found.spec,
    )
    assert compose_suggestion(found, 3) == {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Suggestion",
        "metadata": {
            "name": "e",
            "namespace": "ns",
            "ownerReferences": OWNED,
            "labels": {"team": "a"},
            "annotations": {"note": "b"},
        },
        "spec": {"requests": 3, "algorithm": {"algorithmName": "random"}, "resumePolicy": "Never"},
    }


def test_a_suggestion_takes_early_stopping_along() -> None:
    stopping = AlgorithmSpec(algorithm_name="medianstop")
    found = compose_suggestion(_changed(early_stopping=stopping), 1)
    assert found["spec"]["earlyStopping"] == {"algorithmName": "medianstop"}


def test_a_trial_is_complete_and_born_with_its_finalizer() -> None:
    found = compose_trial(_changed(), ASSIGNED, RUN_SPEC)
    assert found == {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Trial",
        "metadata": {
            "name": "e-1",
            "namespace": "ns",
            "ownerReferences": OWNED,
            "labels": {"team": "a", "katib.kubeflow.org/experiment": "e"},
            "finalizers": ["clean-metrics-in-db"],
        },
        "spec": {
            "objective": {
                "type": "minimize",
                "objectiveMetricName": "loss",
                "metricStrategies": ({"name": "loss", "value": "min"},),
            },
            "parameterAssignments": [{"name": "x", "value": "0.5"}],
            "runSpec": RUN_SPEC,
            "metricsCollector": {},
        },
    }


def test_labels_of_the_assignment_override_even_that_of_the_experiment() -> None:
    assigned = TrialAssignment(name="e-1", labels={"katib.kubeflow.org/experiment": "pbt", "g": "1"})
    found = compose_trial(_changed(), assigned, RUN_SPEC)["metadata"]["labels"]
    assert found == {"team": "a", "katib.kubeflow.org/experiment": "pbt", "g": "1"}


def test_a_trial_takes_what_the_template_says() -> None:
    template = TrialTemplate(
        retain=True,
        primary_pod_labels={"role": "master"},
        primary_container_name="train",
        success_condition="s",
        failure_condition="f",
    )
    collector = MetricsCollectorSpec(collector=CollectorSpec(kind="File"))
    found = compose_trial(
        _changed(trial_template=template, metrics_collector_spec=collector), ASSIGNED, RUN_SPEC
    )["spec"]
    assert found["retainRun"] is True
    assert found["primaryPodLabels"] == {"role": "master"}
    assert found["primaryContainerName"] == "train"
    assert (found["successCondition"], found["failureCondition"]) == ("s", "f")
    assert found["metricsCollector"] == {"collector": {"kind": "File"}}


def test_the_conditions_are_copied_only_together() -> None:
    found = compose_trial(_changed(trial_template=TrialTemplate(success_condition="s")), ASSIGNED, RUN_SPEC)
    assert not {"successCondition", "failureCondition"} & set(found["spec"])


def test_rules_are_copied_only_where_the_experiment_stops_early() -> None:
    rule = EarlyStoppingRule(name="loss", value="1", comparison="less")
    assigned = TrialAssignment(name="e-1", early_stopping_rules=(rule,))
    assert "earlyStoppingRules" not in compose_trial(_changed(), assigned, RUN_SPEC)["spec"]
    stopping = _changed(early_stopping=AlgorithmSpec(algorithm_name="medianstop"))
    assert compose_trial(stopping, assigned, RUN_SPEC)["spec"]["earlyStoppingRules"] == [
        {"name": "loss", "value": "1", "comparison": "less"}
    ]


def test_a_job_is_named_placed_and_owned_as_its_trial() -> None:
    template = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "x", "generateName": "y", "labels": {"a": "b"}},
        "spec": {"suspend": False},
    }
    found = compose_job(trial(run_spec=template))
    assert found["spec"] == {"suspend": False}
    assert found["metadata"] == {
        "name": "e-1",
        "namespace": "ns",
        "labels": {"a": "b"},
        "ownerReferences": [OWNED[0] | {"kind": "Trial", "name": "e-1", "uid": "e-1-uid"}],
    }


def test_a_job_takes_no_metadata_but_labels_and_annotations_from_its_trial() -> None:
    """R 3.4 D2, at creation time: a Trial need not come from an Experiment whose template was checked."""
    written = {
        "namespace": "kube-system",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}],
        "finalizers": ["a/b"],
        "managedFields": [{"manager": "m"}],
        "resourceVersion": "5",
        "uid": "u",
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"c": "d"},
    }
    found = compose_job(trial(run_spec={"apiVersion": "batch/v1", "kind": "Job", "metadata": written}))
    assert found["metadata"] == {
        "name": "e-1",
        "namespace": "ns",
        "annotations": {"c": "d"},
        "ownerReferences": [OWNED[0] | {"kind": "Trial", "name": "e-1", "uid": "e-1-uid"}],
    }
