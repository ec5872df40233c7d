"""Reads one Experiment with all that hangs on it, down to the pods."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.apis.workload import Deployment, DetailedPod, Event, Namespace
from kfx.commands.session import Session, attempt, present
from kfx.katib import conditions as c
from kfx.katib.explanation import Facts, Unread
from kfx.katib.explanation.facts import KindName
from kfx.katib.explanation.runs import kind_of
from kfx.katib.names import LABEL_DEPLOYMENT, LABEL_EXPERIMENT, LABEL_TRIAL
from kfx.katib.summary import PENDING, state_of
from kfx.katib.unreadable import holds_place
from kfx.kube.errors import NotFound
from kfx.kube.resource import Resource

MOST_EVENTS = 10_000
NAMES_IN_A_SELECTOR = 50
POD_LABELS = (
    LABEL_TRIAL,
    "batch.kubernetes.io/job-name",
    "training.kubeflow.org/job-name",
    "jobset.sigs.k8s.io/jobset-name",
)
"""Labels by which the pods of a job, and so of a trial, are found; the first is the pod webhook's."""


async def read_experiment(session: Session, facts: Facts) -> Facts:
    """Add all of it; what may not be read is said in its place."""
    where, name = facts.namespace, facts.name
    async with asyncio.TaskGroup() as group:
        experiment = group.create_task(
            attempt(Experiment.resource, session.document(Experiment.resource, name))
        )
        namespace = group.create_task(attempt(f"namespace {where}", session.client.get(Namespace, "", where)))
        suggestion = group.create_task(
            attempt(Suggestion.resource, session.client.get(Suggestion, where, name))
        )
        trials = group.create_task(
            attempt(Trial.resource, session.list_all(Trial, labels=f"{LABEL_EXPERIMENT}={name}"))
        )
        events = group.create_task(attempt(Event.resource, session.list_objects(Event, most=MOST_EVENTS)))
    labels = namespace.result()
    listed = present(trials.result(), ((), ()))
    found, unreadable = (listed, ()) if isinstance(listed, Unread) else listed
    jobs = await RunReader(session).read(found if isinstance(found, tuple) else ())
    deployment, pods = await _read_algorithm(session, suggestion.result())
    return replace(
        facts,
        experiment=experiment.result(),
        namespace_labels=(labels.metadata.labels or {}) if isinstance(labels, Namespace) else labels,
        suggestion=suggestion.result(),
        suggestion_deployment=deployment,
        suggestion_pods=pods,
        trials=found,
        unreadable={each.metadata.name: each.problem for each in unreadable if holds_place(each)},
        kinds=jobs.kinds,
        jobs=jobs.jobs,
        pods=jobs.pods,
        events=present(events.result(), ()),
    )


async def _read_algorithm(
    session: Session, suggestion: Suggestion | Unread | None
) -> tuple[Deployment | Unread | None, tuple[DetailedPod, ...] | Unread]:
    """The Deployment of an algorithm's image; only asked for where the Suggestion is not at work."""
    if not isinstance(suggestion, Suggestion) or c.has(suggestion.status.conditions, c.RUNNING):
        return None, ()
    algorithm = suggestion.spec.algorithm
    name = f"{suggestion.metadata.name}-{algorithm.algorithm_name if algorithm else ''}"
    deployment = await attempt(Deployment.resource, session.client.get(Deployment, session.namespace, name))
    if not isinstance(deployment, Deployment):
        return deployment, ()
    pods = await attempt(
        DetailedPod.resource, session.list_objects(DetailedPod, labels=f"{LABEL_DEPLOYMENT}={name}")
    )
    return deployment, present(pods, ())


@dataclass(frozen=True, slots=True)
class Runs:
    """Jobs and pods by trial, and which kinds of job are served."""

    kinds: Mapping[KindName, bool | Unread]
    jobs: Mapping[str, Mapping[str, Any] | Unread | None]
    pods: Mapping[str, Sequence[DetailedPod]] | Unread


class RunReader:
    """Reads what active trials run."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def read(self, trials: Iterable[Trial]) -> Runs:
        """The jobs of the active ones among ``trials``, and these jobs' pods."""
        active = [trial for trial in trials if state_of(trial) in {PENDING, c.RUNNING}]
        kinds = {kind_of(trial) for trial in active}
        async with asyncio.TaskGroup() as group:
            resources = {kind: group.create_task(self._discover(*kind)) for kind in kinds}
            pods = group.create_task(self._read_pods([trial.metadata.name for trial in active]))
        async with asyncio.TaskGroup() as group:
            jobs = {
                trial.metadata.name: group.create_task(attempt(resource, self._read_job(resource, trial)))
                for trial in active
                if isinstance(resource := resources[kind_of(trial)].result(), Resource)
            }
        return Runs(
            {kind: _is_served(task.result()) for kind, task in resources.items()},
            {name: task.result() for name, task in jobs.items()},
            pods.result(),
        )

    async def _read_job(self, resource: Resource, trial: Trial) -> dict[str, Any]:
        return await self._session.document(resource, trial.metadata.name)

    async def _discover(self, api_version: str, kind: str) -> Resource | Unread | None:
        """The kind as the API server serves it; ``None`` where it does not."""
        if not api_version or not kind:
            return None
        what = f"kind {kind} of {api_version}"
        return await attempt(what, self._find_resource(api_version, kind))

    async def _find_resource(self, api_version: str, kind: str) -> Resource:
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{api_version}" if group else f"/api/{version}"
        found = await self._session.client.request("GET", path)
        for each in found.get("resources") or ():
            if each.get("kind") == kind and "/" not in str(each.get("name")):
                return Resource(
                    group, version, str(each["name"]), kind, namespaced=bool(each.get("namespaced"))
                )
        raise NotFound(f"no kind {kind} in {api_version}", status=404)

    async def _read_pods(self, names: Sequence[str]) -> Mapping[str, Sequence[DetailedPod]] | Unread:
        """By trial, each once though several labels name it."""
        chunks = [names[i : i + NAMES_IN_A_SELECTOR] for i in range(0, len(names), NAMES_IN_A_SELECTOR)]
        async with asyncio.TaskGroup() as group:
            tasks = [
                (label, group.create_task(self._select(label, chunk)))
                for label in POD_LABELS
                for chunk in chunks
            ]
        found: dict[str, dict[str, DetailedPod]] = {}
        for label, task in tasks:
            pods = task.result()
            if isinstance(pods, Unread):
                return pods
            for pod in pods:
                found.setdefault(pod.metadata.label(label), {})[pod.metadata.uid] = pod
        return {name: tuple(pods.values()) for name, pods in found.items()}

    async def _select(self, label: str, names: Sequence[str]) -> tuple[DetailedPod, ...] | Unread:
        selector = f"{label} in ({','.join(names)})"
        return present(await attempt("pods", self._session.list_objects(DetailedPod, labels=selector)), ())


def _is_served(found: Resource | Unread | None) -> bool | Unread:
    return found if isinstance(found, Unread) else found is not None
