"""The links below a Trial: its job, the job's pods, their containers, and the metrics they report."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from kfx.apis.trial import Trial
from kfx.apis.workload import DetailedContainer, DetailedPod
from kfx.katib import conditions as c
from kfx.katib.ages import seconds_since, spell
from kfx.katib.explanation.facts import Unread
from kfx.katib.explanation.finding import Broken, Outcome, Passed, Ref, Unchecked
from kfx.katib.explanation.progress import see_log
from kfx.katib.explanation.said import heal, label_command, last_warning, quote, quote_scheduler, unplaced
from kfx.katib.explanation.view import View
from kfx.katib.gjson_path import ExpressionError
from kfx.katib.job_state import JobState, Phase, StateUnreadable, evaluate
from kfx.katib.metrics_remedy import explain_missing_metrics
from kfx.katib.pod_trouble import find_trouble
from kfx.katib.sidecar import InjectionError, collector_name
from kfx.katib.trial import PUSH

PATIENCE = 30.0  # seconds from a job to its pod, and from a node to the first container
STARTING = 120.0  # seconds after which pulling and mounting are worth a word
REPORTING = 30.0  # seconds from the end of the training to its metrics
_START_TROUBLE = (
    "FailedMount",
    "FailedAttachVolume",
    "FailedCreatePodSandBox",
    "FailedScheduling",
    "Failed",
    "InspectFailed",
)

Step = Callable[[View, Trial], Outcome | None]
"""What is wrong with one trial, ``None`` for nothing."""


def first_broken(view: View, step: Step, passed: str) -> Outcome:
    """The first trial for which the step does not hold; ``passed`` where it holds for all."""
    unchecked = None
    for trial in view.active:
        outcome = step(view, trial)
        if isinstance(outcome, Broken):
            return outcome
        unchecked = unchecked or outcome
    return unchecked or Passed(passed)


def kind_of(trial: Trial) -> tuple[str, str]:
    """``(apiVersion, kind)`` of the trial's job; empty texts for none."""
    try:
        document = trial.spec.run_document()
    except msgspec.DecodeError:
        return "", ""
    return str(document.get("apiVersion") or ""), str(document.get("kind") or "")


def check_job(view: View, trial: Trial) -> Outcome | None:
    """Whether its job is there, its own, and allowed to run."""
    api_version, kind = kind_of(trial)
    served = view.facts.kinds.get((api_version, kind), False)
    about = Ref("Trial", *trial.key)
    if isinstance(served, Unread):
        return Unchecked(str(served))
    if not served:
        return Broken(
            object=about,
            field="spec.runSpec",
            problem=f"the API server serves no kind {kind or '(none)'} of {api_version or '(no apiVersion)'}",
            remedy=f"install the custom resource definition of {kind or 'the kind'} with its operator, or "
            "use another kind in the Experiment's spec.trialTemplate",
        )
    job = view.facts.jobs.get(trial.metadata.name)
    if isinstance(job, Unread):
        return Unchecked(str(job))
    if job is None:
        return _explain_no_job(view, trial, kind)
    return _check_owner(trial, job, kind) or _check_suspension(trial, job, kind)


def _explain_no_job(view: View, trial: Trial, kind: str) -> Broken | None:
    about = Ref("Trial", *trial.key)
    warning = last_warning(view, "Trial", trial.metadata.name, ("ReconcileError",))
    if warning is not None:
        otherwise = f"mend what that says, it is tried again; {see_log(view)}"
        return Broken(
            object=about,
            problem=f"its {kind} cannot be created: {quote(warning, view.facts.now)}",
            remedy=heal(warning.message, view.namespace, otherwise),
        )
    age = seconds_since(trial.metadata.creation_timestamp, view.facts.now) or 0.0
    if age <= PATIENCE or not view.is_overdue:
        return None
    begun = c.has(trial.status.conditions, c.CREATED)
    problem = f"it has no {kind} after {spell(age)}" if begun else f"nobody has taken it up in {spell(age)}"
    return Broken(object=about, problem=problem, remedy=see_log(view))


def _check_owner(trial: Trial, job: Mapping[str, Any], kind: str) -> Broken | None:
    owners = (job.get("metadata") or {}).get("ownerReferences") or ()
    if any(owner.get("uid") == trial.metadata.uid for owner in owners):
        return None
    namespace, name = trial.key
    return Broken(
        object=Ref(kind, namespace, name),
        field="metadata.ownerReferences",
        problem=f"it bears the name of Trial {name} and belongs to somebody else",
        remedy=f"delete or rename it: kubectl -n {namespace} delete {kind.lower()} {name}",
    )


def _check_suspension(trial: Trial, job: Mapping[str, Any], kind: str) -> Broken | None:
    spec, metadata = job.get("spec") or {}, job.get("metadata") or {}
    if spec.get("suspend") is not True:
        return None
    namespace, name = trial.key
    queue = (metadata.get("labels") or {}).get("kueue.x-k8s.io/queue-name")
    patch = '\'{"spec":{"suspend":false}}\''
    remedy = f"let it go on: kubectl -n {namespace} patch {kind.lower()} {name} --type=merge -p {patch}"
    if queue:
        remedy = f"Kueue has not admitted it: see kubectl -n {namespace} describe localqueue {queue}"
    return Broken(
        object=Ref(kind, namespace, name), field="spec.suspend", problem="it is suspended", remedy=remedy
    )


def state_of_job(view: View, trial: Trial) -> JobState | None:
    """What its expressions make of the job; ``None`` where it is not there or cannot be judged."""
    job = view.facts.jobs.get(trial.metadata.name)
    if not isinstance(job, Mapping):
        return None
    try:
        return evaluate(trial.spec.success_condition, trial.spec.failure_condition, job)
    except (StateUnreadable, ExpressionError):
        return None


def pods_of(view: View, trial: Trial) -> Sequence[DetailedPod]:
    """Its pods, those on their way out left aside."""
    pods = view.facts.pods if isinstance(view.facts.pods, Mapping) else {}
    return [p for p in pods.get(trial.metadata.name, ()) if p.metadata.deletion_timestamp is None]


def _find_unread(view: View, trial: Trial) -> Unchecked | None:
    """What of the trial's job and pods could not be read."""
    for found in (view.facts.jobs.get(trial.metadata.name), view.facts.pods):
        if isinstance(found, Unread):
            return Unchecked(str(found))
    return None


def check_pod(view: View, trial: Trial) -> Outcome | None:
    """Whether its job has a pod."""
    if unchecked := _find_unread(view, trial):
        return unchecked
    job = view.facts.jobs.get(trial.metadata.name)
    state = state_of_job(view, trial)
    if not isinstance(job, Mapping) or pods_of(view, trial):
        return None
    if state is not None and state.phase is not Phase.RUNNING:
        return None
    _, kind = kind_of(trial)
    about = Ref(kind, *trial.key)
    refused = last_warning(view, "Trial", trial.metadata.name, ("PodRefused",))
    warning = last_warning(view, kind, trial.metadata.name) or refused
    describe = f"kubectl -n {about.namespace} describe {kind.lower()} {about.name}"
    if warning is not None:
        otherwise = f"mend what that says; {describe} shows more"
        return Broken(
            object=about,
            problem=f"it gets no pod: {quote(warning, view.facts.now)}",
            remedy=heal(warning.message, view.namespace, otherwise, pods=True),
        )
    return _explain_no_pod(view, job, about, describe)


def _explain_no_pod(view: View, job: Mapping[str, Any], about: Ref, describe: str) -> Broken | None:
    age = seconds_since((job.get("metadata") or {}).get("creationTimestamp"), view.facts.now) or 0.0
    if age <= PATIENCE:
        return None
    manager = (job.get("spec") or {}).get("managedBy")
    who = f"its manager {manager}" if manager else f"the controller of kind {about.kind}"
    return Broken(
        object=about,
        problem=f"it has had no pod for {spell(age)}, and no event says why",
        remedy=f"see that {who} runs; {describe}",
    )


def check_start(view: View, trial: Trial) -> Outcome | None:
    """Whether its pods have a node, their images and their volumes."""
    if unchecked := _find_unread(view, trial):
        return unchecked
    pods = pods_of(view, trial)
    waiting = [pod for pod in pods if pod.status.phase in {"", "Pending"}]
    if about := unplaced(waiting):
        return Broken(
            object=Ref("Pod", *about.key),
            problem=quote_scheduler(about),
            remedy="make room or add nodes, or lower what the trial template requests (resources, "
            "nodeSelector, tolerations), or the Experiment's spec.parallelTrialCount",
        )
    trouble = find_trouble(pods)
    if trouble is not None:
        about = next(p for p in pods if find_trouble([p]))
        problem, _, remedy = trouble.message.rpartition("; ")
        return Broken(object=Ref("Pod", *about.key), problem=f"{trouble.reason}: {problem}", remedy=remedy)
    for pod in waiting:
        if broken := _check_pending(view, pod):
            return broken
    return None


def _check_pending(view: View, pod: DetailedPod) -> Broken | None:
    about = Ref("Pod", *pod.key)
    age = seconds_since(pod.metadata.creation_timestamp, view.facts.now) or 0.0
    describe = f"kubectl -n {about.namespace} describe pod {about.name}"
    warning = last_warning(view, "Pod", about.name, _START_TROUBLE)
    if warning is not None and age > PATIENCE:
        return Broken(
            object=about,
            problem=f"it cannot start: {quote(warning, view.facts.now)}",
            remedy=f"create what is missing, or correct the trial template; {describe} shows more",
        )
    if not pod.spec.node_name and age > PATIENCE:
        return Broken(
            object=about,
            field="spec.nodeName",
            problem=f"it has been pending for {spell(age)}, and no scheduler has looked at it",
            remedy="see that the scheduler runs that its spec.schedulerName asks for",
        )
    if pod.spec.node_name and age > STARTING:
        problem = f"it has been starting for {spell(age)} on node {pod.spec.node_name}, and nothing says why"
        return Broken(object=about, problem=problem, remedy=f"see that the node is well; {describe}")
    return None


def check_training(view: View, trial: Trial) -> Outcome | None:
    """Whether its containers run, or have ended well."""
    if unchecked := _find_unread(view, trial):
        return unchecked
    state = state_of_job(view, trial)
    if state is not None and state.phase is Phase.FAILED and view.is_overdue:
        return Broken(
            object=Ref("Trial", *trial.key),
            problem=f"its job has failed{_say(state)}, and nobody takes notice",
            remedy=see_log(view),
        )
    if state is None or state.phase is not Phase.RUNNING:
        return None
    for pod in _latest_pods(view, trial):
        for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
            if broken := _check_container(pod, container):
                return broken
    return None


def _latest_pods(view: View, trial: Trial) -> Sequence[DetailedPod]:
    """Of a batch Job's pods those that count: a failed one is over once another has taken its place."""
    pods = pods_of(view, trial)
    if kind_of(trial) != ("batch/v1", "Job"):
        return pods
    return [p for p in pods if p.status.phase in {"Pending", "Running"}] or pods


def _say(state: JobState) -> str:
    said = ": ".join(part for part in (state.reason, state.message) if part)
    return f" ({said})" if said else ""


def _check_container(pod: DetailedPod, container: DetailedContainer) -> Broken | None:
    ended, waiting = container.state.terminated or container.last_state.terminated, container.state.waiting
    if ended is None or ended.exit_code == 0:
        return None
    if container.state.running is not None and container.restart_count < 2:
        return None
    namespace, name = pod.key
    again = f", {container.restart_count} restarts" if container.restart_count else ""
    crashes = f", {waiting.reason}" if waiting is not None and waiting.reason else ""
    why = f" ({ended.reason})" if ended.reason and ended.reason != "Error" else ""
    previous = " --previous" if container.restart_count else ""
    remedy = f"read what it printed: kubectl -n {namespace} logs {name} -c {container.name}{previous}"
    if ended.reason == "OOMKilled":
        remedy = f"raise resources.limits.memory of container {container.name} in the trial template"
    return Broken(
        object=Ref("Pod", namespace, name),
        field=f"status.containerStatuses[{container.name}]",
        problem=f"container {container.name} ended with exit code {ended.exit_code}{why}{again}{crashes}",
        remedy=remedy,
    )


def check_collector(view: View, trial: Trial) -> Outcome | None:
    """Whether the pod that counts has a collector, and whether something keeps the pod from ending."""
    collector = trial.spec.metrics_collector.collector
    if collector is None or collector.kind == PUSH:
        return None
    if unchecked := _find_unread(view, trial):
        return unchecked
    wanted = trial.spec.primary_pod_labels or {}
    for pod in pods_of(view, trial):
        labels = pod.metadata.labels or {}
        if any(labels.get(key) != value for key, value in wanted.items()):
            continue
        names = {each.name for each in (*pod.spec.containers, *pod.spec.init_containers)}
        try:
            name = collector_name(trial)
        except InjectionError as error:
            return Broken(
                object=Ref("Trial", *trial.key), problem=str(error), remedy="correct the Experiment"
            )
        if name not in names:
            return _explain_no_collector(view, pod)
        if broken := _check_lingering(view, trial, pod, name):
            return broken
    return None


def _explain_no_collector(view: View, pod: DetailedPod) -> Broken:
    job = f"kubectl -n {view.namespace} delete pod {pod.metadata.name}"
    return Broken(
        object=Ref("Pod", *pod.key),
        field="spec.containers",
        problem="it was created without a metrics collector, so nothing it prints is ever read",
        remedy=f"see that the namespace is labelled ({label_command(view.namespace)}) and the webhooks are "
        f"registered, then have the pod made again: {job}",
    )


def _check_lingering(view: View, trial: Trial, pod: DetailedPod, collector: str) -> Broken | None:
    """The training has ended and another container goes on: the job would wait for it for ever."""
    states = {each.name: each.state for each in pod.status.container_statuses}
    # No other sidecar among the init containers keeps a pod from ending.
    states |= {each.name: each.state for each in pod.status.init_container_statuses if each.name == collector}
    training = states.get(trial.spec.primary_container_name)
    if training is None or training.terminated is None or training.terminated.exit_code != 0:
        return None
    since = seconds_since(training.terminated.finished_at, view.facts.now) or 0.0
    left = [name for name, state in states.items() if state.running is not None]
    if not left or since <= REPORTING:
        return None
    namespace, name = pod.key
    remedy = f"see what it waits for: kubectl -n {namespace} logs {name} -c {left[0]}"
    if left[0] != collector:
        remedy = "keep that sidecar out of the trial's pods (for Istio: the label sidecar.istio.io/inject: "
        remedy += '"false" in the trial template)'
    return Broken(
        object=Ref("Pod", namespace, name),
        field=f"status.containerStatuses[{left[0]}]",
        problem=f"the training ended {spell(since)} ago, and container {left[0]} still runs",
        remedy=remedy,
    )


def check_metrics(view: View, trial: Trial) -> Outcome | None:
    """Whether the values of a finished training arrive."""
    if unchecked := _find_unread(view, trial):
        return unchecked
    state = state_of_job(view, trial)
    if state is None or state.phase is not Phase.SUCCEEDED:
        return None
    job = view.facts.jobs.get(trial.metadata.name)
    status = (job.get("status") or {}) if isinstance(job, Mapping) else {}
    since = seconds_since(status.get("completionTime"), view.facts.now)
    if since is None or since <= REPORTING:
        return None
    return Broken(
        object=Ref("Trial", *trial.key),
        field="status.observation",
        problem=f"its job ended well {spell(since)} ago, and no metrics have arrived",
        remedy=explain_missing_metrics(trial, trial.status.observation),
    )
