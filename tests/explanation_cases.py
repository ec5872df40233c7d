"""An Experiment whose chain holds, and what breaks one link of it after the other."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from kfx.apis.common import CollectorSpec, MetricsCollectorSpec
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.apis.workload import Deployment, DetailedPod, Event
from kfx.katib.explanation import Facts, HookSeen, LeaseSeen, Unread
from kfx.katib.explanation.platform import POD_HOOK
from kfx.katib.names import LABEL_INJECTION
from kfx.kube.model import to_builtins
from tests.katib_objects import condition, experiment, job_document, suggestion, trial

NOW = datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC)
RECENT = "2026-01-02T03:04:58Z"
OLD = "2026-01-02T03:00:00Z"
COLLECTOR = "metrics-logger-and-collector"
LABELS = {LABEL_INJECTION: "enabled"}
FORBIDDEN = Unread("things", "forbidden")
JOB = ("batch/v1", "Job")


def facts(**changes: Any) -> Facts:
    """Two trials of ``ns/e`` that train; ``changes`` replace what was read."""
    names = ("e-1", "e-2")
    whole: dict[str, Any] = {
        "namespace": "ns",
        "name": "e",
        "now": NOW,
        "lease_name": "lease",
        "algorithms": ("random",),
        "server": "https://api",
        "version": "v1.36.3",
        "served": frozenset({"Experiment", "Suggestion", "Trial"}),
        "leases": (LeaseSeen("kubeflow", "lease", "kfx-1", RECENT, 15.0),),
        "hooks": (hook(),),
        "experiment": document("Created", "Running", parallel=2),
        "namespace_labels": LABELS,
        "suggestion": suggestion("Created", "Running", requests=2, names=names),
        "trials": tuple(running(name) for name in names),
        "kinds": {JOB: True},
        "jobs": {name: job(name) for name in names},
        "pods": {name: (pod(name),) for name in names},
    }
    return Facts(**(whole | changes))


def hook(**changes: Any) -> HookSeen:
    """The pods' webhook."""
    whole = {
        "configuration": "MutatingWebhookConfiguration",
        "name": POD_HOOK,
        "service": "kubeflow/katib-controller",
        "selector": {"matchLabels": LABELS},
    }
    return HookSeen(**(whole | changes))


def document(*words: Any, created: str = OLD, **spec: Any) -> dict[str, Any]:
    """The Experiment as it stands on the server."""
    found = to_builtins(experiment(*words, **spec))
    found["metadata"]["creationTimestamp"] = created
    return found


def running(name: str = "e-1", *words: Any, **spec: Any) -> Trial:
    """A trial with a collector."""
    collector = MetricsCollectorSpec(collector=CollectorSpec(kind=spec.pop("kind", "StdOut")))
    return trial(
        *(words or ("Created", "Running")),
        name=name,
        metrics_collector=collector,
        primary_container_name="train",
        **spec,
    )


def job(name: str = "e-1", *words: str, created: str = OLD, **spec: Any) -> dict[str, Any]:
    """The trial's job."""
    found = job_document(*words, of=name)
    found["metadata"]["creationTimestamp"] = created
    return found | {"spec": spec}


def pod(name: str = "e-1", phase: str = "Running", *, created: str = OLD, **states: Any) -> DetailedPod:
    """Its pod; ``states``: of ``train`` and ``collector``, running where nothing is said.

    ``native``: the collector is an init container that stays, behind another.
    """
    names = {"train": "train", "collector": COLLECTOR}
    entries = [
        {"name": names[key], "image": "i", **states.get(key, {"state": {"running": {"startedAt": OLD}}})}
        for key in names
    ]
    containers = [{"name": each} for each in names.values()]
    stay = [{**entries[-1], "name": "proxy"}, entries.pop()] if states.get("native") else []
    return decode_pod(
        {
            "metadata": {"name": f"{name}-pod", "namespace": "ns", "uid": name, "creationTimestamp": created},
            "spec": {
                "nodeName": states.get("node", "node-1"),
                "containers": containers[: len(entries)],
                "initContainers": [{"name": each["name"]} for each in stay],
            },
            "status": {
                "phase": phase,
                "conditions": states.get("conditions", []),
                "containerStatuses": entries if phase == "Running" else [],
                "initContainerStatuses": stay,
            },
        }
    )


def decode_pod(found: Mapping[str, Any]) -> DetailedPod:
    """A pod from its JSON."""
    return msgspec.convert(found, DetailedPod)


def event(kind: str, name: str, reason: str, message: str, *, at: str = RECENT, count: int = 1) -> Event:
    """A Warning."""
    about = {"kind": kind, "name": name, "namespace": "ns"}
    whole = {"metadata": {}, "involvedObject": about, "type": "Warning", "reason": reason, "message": message}
    return msgspec.convert(whole | {"count": count, "lastTimestamp": at}, Event)


def deployment(
    *args: str, available: int = 1, replicas: int = 1, name: str = "katib-controller"
) -> Deployment:
    """A controller's Deployment."""
    containers = [{"name": "c", "image": "i", "args": list(args)}]
    return msgspec.convert(
        {
            "metadata": {"name": name, "namespace": "kubeflow"},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}},
            "status": {"availableReplicas": available},
        },
        Deployment,
    )


def one(name: str = "e-1", **changes: Any) -> Facts:
    """As :func:`facts` with a single trial; ``job``, ``pods`` and ``trial`` replace what it has."""
    of = changes.pop("trial", None) or running(name)
    return facts(
        experiment=document("Created", "Running", parallel=1),
        suggestion=suggestion("Created", "Running", requests=1, names=(name,)),
        trials=(of,),
        jobs={name: changes.pop("job", job(name))},
        pods={name: tuple(changes.pop("pods", (pod(name),)))},
        **changes,
    )


def failed(message: str, **changes: Any) -> Facts:
    """An Experiment that has failed."""
    word = condition("Failed", reason="ExperimentFailed", message=message)
    return facts(experiment=document("Created", "-Running", word), **changes)


def unstarted(*words: Any) -> Suggestion:
    """A Suggestion that does not run."""
    return suggestion(*words)


def failed_pod(name: str) -> DetailedPod:
    """A pod that is over."""
    found = pod(name, train={"state": {"terminated": {"exitCode": 2, "reason": "Error"}}})
    return msgspec.structs.replace(found, status=msgspec.structs.replace(found.status, phase="Failed"))


_UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu"}
_ENDED = {"state": {"terminated": {"exitCode": 0, "finishedAt": OLD}}}
_OOM = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": OLD}
_LOOP = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 4}
_PULL = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
_QUOTA = 'jobs.batch "e-1" is forbidden: exceeded quota: none, requested: count/jobs.batch=1'

CASES: dict[str, Callable[[], Facts]] = {
    "all_is_well": facts,
    "server_away": lambda: facts(outage=("it does not answer: refused", "start it")),
    "no_definitions": lambda: facts(served=frozenset()),
    "one_definition_missing": lambda: facts(served=frozenset({"Experiment", "Suggestion"})),
    "no_experiment": lambda: facts(experiment=None),
    "experiment_unreadable": lambda: facts(experiment=FORBIDDEN),
    "experiment_does_not_decode": lambda: facts(
        experiment=document() | {"spec": {"parallelTrialCount": "3"}}
    ),
    "complete": lambda: facts(
        experiment=document("Created", "-Running", condition("Succeeded", message="It has succeeded"))
    ),
    "refused_by_validation": lambda: failed('spec.parameters[0].feasibleSpace: Invalid value: "x": empty'),
    "failed_by_its_suggestion": lambda: failed(
        "Suggestion has failed",
        suggestion=unstarted("Created", condition("Failed", message="Validation failed: no such setting")),
    ),
    "failed_by_its_trials": lambda: failed(
        "Experiment has failed because max failed count has reached",
        trials=(
            trial("Created", condition("Failed", reason="TrialFailed", message="Trial has failed. exit 1")),
        ),
    ),
    "failed_without_metrics": lambda: failed(
        "Experiment has failed because max failed count has reached",
        trials=(trial("Created", condition("MetricsUnavailable", message="Metrics are not available")),),
    ),
    "being_deleted": lambda: facts(experiment=document("Created", deleting=True)),
    "deletion_hangs": lambda: replace(
        facts(experiment=document("Created", deleting=True)), now=NOW.replace(minute=15), leases=()
    ),
    "lease_abandoned": lambda: facts(leases=(LeaseSeen("kubeflow", "lease", "kfx-1", OLD, 15.0),)),
    "no_sign_of_a_controller": lambda: facts(leases=(), experiment=document()),
    "controller_outside": lambda: facts(leases=()),
    "controller_not_available": lambda: facts(leases=(), deployments=(deployment(available=0),)),
    "controller_without_its_image": lambda: facts(
        leases=(),
        deployments=(deployment(available=0),),
        controller_pods=(
            msgspec.structs.replace(
                pod(train=_PULL),
                metadata=msgspec.structs.replace(pod().metadata, namespace="kubeflow"),
            ),
        ),
    ),
    "controller_scaled_to_nothing": lambda: facts(
        leases=(), deployments=(deployment(available=0, replicas=0),)
    ),
    "nobody_takes_the_lease": lambda: facts(leases=(), deployments=(deployment("--enable-leader-election"),)),
    "controller_without_election": lambda: facts(leases=(), deployments=(deployment(),)),
    "two_replicas_without_election": lambda: facts(leases=(), deployments=(deployment(available=2),)),
    "two_leaders": lambda: facts(deployments=(deployment("--enable-leader-election=false"),)),
    "election_by_a_file": lambda: facts(
        deployments=(deployment(),),
        leases=(LeaseSeen("kubeflow", "lease", "katib-controller-7f-x_1", RECENT, 15.0),),
    ),
    "controller_unreadable": lambda: facts(leases=FORBIDDEN, deployments=FORBIDDEN),
    "bundle_empty": lambda: facts(hooks=(hook(bundle_problem="is empty"),)),
    "webhook_unanswered": lambda: facts(hooks=(hook(service_problem="has no endpoint that is ready"),)),
    "webhooks_missing": lambda: facts(hooks=()),
    "webhooks_unreadable": lambda: facts(hooks=FORBIDDEN),
    "certificate_unreadable": lambda: facts(hooks=(hook(unread=(FORBIDDEN,)),)),
    "namespace_without_label": lambda: facts(namespace_labels={}),
    "namespace_left_out": lambda: facts(
        hooks=(hook(selector={"matchExpressions": [{"key": "x", "operator": "Exists"}]}),)
    ),
    "reconcile_error": lambda: facts(
        events=(event("Experiment", "e", "ReconcileError", "Failed to reconcile: no ConfigMap t", count=7),)
    ),
    "not_looked_at": lambda: facts(experiment=document(), trials=(), suggestion=None),
    "just_created": lambda: facts(experiment=document(created=RECENT), trials=(), suggestion=None),
    "no_suggestion": lambda: facts(trials=(), suggestion=None),
    "suggestion_failed": lambda: facts(
        suggestion=unstarted("Created", condition("Failed", message="Validation failed: no"))
    ),
    "algorithm_unknown": lambda: facts(suggestion=unstarted("Created"), algorithms=("tpe",), trials=()),
    "algorithm_deployment_not_ready": lambda: facts(
        suggestion=unstarted("Created", "-DeploymentReady"),
        suggestion_deployment=deployment(available=0, name="e-random"),
        suggestion_pods=(pod(train=_PULL),),
    ),
    "assignments_missing": lambda: facts(
        suggestion=suggestion("Created", "Running", requests=5, names=("e-1", "e-2"))
    ),
    "assignments_refused": lambda: facts(
        suggestion=suggestion("Created", "Running", requests=5, names=("e-1", "e-2")),
        events=(event("Suggestion", "e", "ReconcileError", "the algorithm fell over"),),
    ),
    "assignment_without_trial": lambda: facts(
        suggestion=suggestion("Created", "Running", requests=3, names=("e-1", "e-2", "e-3"))
    ),
    "an_empty_place": lambda: facts(experiment=document("Created", "Running", parallel=3)),
    "all_trials_ended": lambda: facts(
        experiment=document("Created", "Running", parallel=2, most=2),
        trials=tuple(running(name, "Created", "Succeeded", value="1") for name in ("e-1", "e-2")),
    ),
    "algorithm_at_its_end": lambda: facts(
        experiment=document("Created", "Running", parallel=2, most=9),
        suggestion=suggestion(
            "Created", condition("Succeeded", reason="SuggestionEndReached"), requests=3, names=("e-1", "e-2")
        ),
    ),
    "suggestion_unreadable": lambda: facts(suggestion=FORBIDDEN),
    "kind_not_served": lambda: facts(kinds={JOB: False}),
    "job_refused_by_quota": lambda: one(
        job=None, trial=running("e-1", "Created"), events=(event("Trial", "e-1", "ReconcileError", _QUOTA),)
    ),
    "job_missing": lambda: one(job=None),
    "job_of_somebody_else": lambda: one(job=job("e-1") | {"metadata": {}}),
    "job_suspended": lambda: one(job=job(suspend=True), pods=()),
    "job_queued_by_kueue": lambda: one(
        job=job(suspend=True)
        | {
            "metadata": job()["metadata"] | {"labels": {"kueue.x-k8s.io/queue-name": "team"}},
        },
        pods=(),
    ),
    "pod_refused_by_webhook": lambda: one(
        pods=(),
        events=(
            event("Job", "e-1", "FailedCreate", 'failed calling webhook "mutator": x509: unknown authority'),
        ),
    ),
    "pod_missing": lambda: one(pods=()),
    "pod_missing_by_manager": lambda: one(job=job(managedBy="example.org/m"), pods=()),
    "pod_without_node": lambda: one(pods=(pod(phase="Pending", conditions=[_UNSCHEDULABLE]),)),
    "pod_without_scheduler": lambda: one(pods=(pod(phase="Pending", node=""),)),
    "pod_without_volume": lambda: one(
        pods=(pod(phase="Pending"),),
        events=(event("Pod", "e-1-pod", "FailedMount", 'secret "x" not found', count=3),),
    ),
    "pod_starting_for_long": lambda: one(pods=(pod(phase="Pending"),)),
    "image_not_there": lambda: one(pods=(pod(train=_PULL),)),
    "out_of_memory": lambda: one(pods=(pod(train={"state": {"terminated": _OOM}}),)),
    "tried_again_after_a_failure": lambda: one(
        pods=(failed_pod("e-1"), pod("e-1")),
    ),
    "failed_with_nothing_after": lambda: one(pods=(failed_pod("e-1"),)),
    "crash_loop": lambda: one(
        pods=(pod(train=_LOOP | {"lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}),)
    ),
    "failed_job_unnoticed": lambda: one(job=job("e-1", "Failed")),
    "no_collector": lambda: one(
        pods=(
            msgspec.structs.replace(
                pod(), spec=msgspec.structs.replace(pod().spec, containers=pod().spec.containers[:1])
            ),
        )
    ),
    "native_collector_does_not_end": lambda: one(pods=(pod(train=_ENDED, native=True),)),
    "collector_does_not_end": lambda: one(pods=(pod(train=_ENDED),)),
    "metrics_do_not_come": lambda: one(
        job=job("e-1", "Complete") | {"status": job("e-1", "Complete")["status"] | {"completionTime": OLD}},
        pods=(pod(train=_ENDED, collector=_ENDED),),
    ),
    "trial_unreadable": lambda: facts(
        trials=(running("e-1"),), unreadable={"e-2": "Expected `bool`, got `str` - at `$.spec.retainRun`"}
    ),
    "pods_unreadable": lambda: replace(facts(), pods=FORBIDDEN),
    "events_unreadable": lambda: facts(events=FORBIDDEN),
    "one_trial_failed_already": lambda: facts(
        suggestion=suggestion("Created", "Running", requests=3, names=("e-0", "e-1", "e-2")),
        trials=(
            trial("Created", condition("Failed", message="Trial has failed"), name="e-0"),
            running("e-1"),
            running("e-2"),
        ),
    ),
}
