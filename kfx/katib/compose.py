"""The objects that kfx makes: whole manifests, complete with labels and owner."""

from collections.abc import Mapping
from typing import Any

from kfx.apis.common import MetricsCollectorSpec
from kfx.apis.experiment import Experiment, TrialTemplate
from kfx.apis.suggestion import Suggestion, TrialAssignment
from kfx.apis.trial import Trial
from kfx.katib.names import LABEL_EXPERIMENT, TRIAL_FINALIZER, controller_reference, merge_labels
from kfx.kube.model import KubeObject, Model, to_builtins
from kfx.kube.resource import Resource

VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")


def compose_suggestion(experiment: Experiment, requests: int) -> dict[str, Any]:
    """The Suggestion that asks for ``requests`` assignments on behalf of ``experiment``."""
    spec: dict[str, Any] = {"requests": requests}
    _set(spec, "algorithm", experiment.spec.algorithm)
    _set(spec, "earlyStopping", experiment.spec.early_stopping)
    if experiment.spec.resume_policy:
        spec["resumePolicy"] = experiment.spec.resume_policy
    metadata = owned_metadata(experiment.metadata.name, experiment, experiment.metadata.labels)
    if experiment.metadata.annotations:
        metadata["annotations"] = dict(experiment.metadata.annotations)
    return _manifest(Suggestion, metadata, spec)


def compose_trial(
    experiment: Experiment, assignment: TrialAssignment, run_spec: Mapping[str, Any]
) -> dict[str, Any]:
    """The Trial that runs ``run_spec`` with the parameters of ``assignment``.

    It is born with its finalizer, so that its metrics cannot outlive it.
    """
    template = experiment.spec.trial_template or TrialTemplate()
    labels = merge_labels(
        experiment.metadata.labels, {LABEL_EXPERIMENT: experiment.metadata.name}, assignment.labels
    )
    metadata = owned_metadata(assignment.name, experiment, labels) | {"finalizers": [TRIAL_FINALIZER]}
    spec: dict[str, Any] = {
        "parameterAssignments": [to_builtins(p) for p in assignment.parameter_assignments],
        "runSpec": run_spec,
        "metricsCollector": to_builtins(experiment.spec.metrics_collector_spec or MetricsCollectorSpec()),
    }
    _set(spec, "objective", experiment.spec.objective)
    if experiment.spec.early_stopping is not None and assignment.early_stopping_rules:
        spec["earlyStoppingRules"] = [to_builtins(rule) for rule in assignment.early_stopping_rules]
    return _manifest(Trial, metadata, spec | _from_template(template))


def compose_volume_claim(suggestion: Suggestion, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The volume claim of an experiment that may be resumed from it (Katib's composer, ``DesiredVolume``).

    ``spec``: from katib-config, with Katib's defaults for what it leaves open.
    """
    resources = spec.get("resources") or {}
    requests = resources.get("requests") or {"storage": "1Gi"}
    defaulted = {
        **spec,
        "accessModes": spec.get("accessModes") or ["ReadWriteOnce"],
        "resources": {**resources, "requests": requests},
    }
    return {
        "apiVersion": VOLUME_CLAIMS.api_version,
        "kind": VOLUME_CLAIMS.kind,
        "metadata": owned_metadata(service_name(suggestion), suggestion, None),
        "spec": defaulted,
    }


def service_name(suggestion: Suggestion) -> str:
    """Name of all that is made for a Suggestion (Katib ``util.GetSuggestionDeploymentName`` and others)."""
    algorithm = suggestion.spec.algorithm
    return f"{suggestion.metadata.name}-{algorithm.algorithm_name if algorithm is not None else ''}"


def compose_job(trial: Trial) -> dict[str, Any]:
    """The job of ``trial``: its ``runSpec``, named, placed and owned as the trial's.

    Of the metadata only labels and annotations are taken over: a Trial need not come from an Experiment.
    """
    job = trial.spec.run_document()
    written = job.get("metadata")
    metadata = owned_metadata(trial.metadata.name, trial, None)
    for key in ("labels", "annotations"):
        if isinstance(written, Mapping) and written.get(key):
            metadata[key] = written[key]
    return job | {"metadata": metadata}


def _from_template(template: TrialTemplate) -> dict[str, Any]:
    """What a Trial takes from the template besides the job; the conditions only together."""
    found: dict[str, Any] = {"retainRun": True} if template.retain else {}
    if template.primary_pod_labels:
        found["primaryPodLabels"] = dict(template.primary_pod_labels)
    if template.primary_container_name:
        found["primaryContainerName"] = template.primary_container_name
    if template.success_condition and template.failure_condition:
        found["successCondition"] = template.success_condition
        found["failureCondition"] = template.failure_condition
    return found


def owned_metadata(name: str, owner: KubeObject, labels: Mapping[str, str] | None) -> dict[str, Any]:
    """Metadata of an object in its owner's namespace, which ``owner`` controls."""
    found: dict[str, Any] = {
        "name": name,
        "namespace": owner.metadata.namespace,
        "ownerReferences": [controller_reference(owner)],
    }
    if labels:
        found["labels"] = dict(labels)
    return found


def _manifest(kind: type[KubeObject], metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    resource = kind.resource
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}


def _set(spec: dict[str, Any], key: str, value: Model | None) -> None:
    if value is not None:
        spec[key] = to_builtins(value)
