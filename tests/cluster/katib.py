"""The three controllers wired as the process does it, and what a node would do to their jobs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from kfx.algorithms import ALGORITHMS
from kfx.apis.common import MetricLog
from kfx.apis.core import Pod
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial, compact
from kfx.controllers import indexes
from kfx.controllers.experiment import ExperimentReconciler
from kfx.controllers.failures import FailureReporter
from kfx.controllers.gauges import KATIB_COUNTERS, trials_gauge
from kfx.controllers.job_finder import JobFinder
from kfx.controllers.jobs import JobLister, parse_trial_resources
from kfx.controllers.metrics import MetricsObserver
from kfx.controllers.pods import PodObserver
from kfx.controllers.suggestion import SuggestionReconciler
from kfx.controllers.templates import TemplateReader
from kfx.controllers.trial import TrialReconciler
from kfx.kube.client import Client
from kfx.runtime.cache import Cache
from kfx.runtime.controller import Controller
from kfx.runtime.events import EventRecorder
from kfx.runtime.handler import EnqueueRequestForObject, EnqueueRequestForOwner, EnqueueRequestsFromMapFunc
from kfx.runtime.leader import AlwaysLeader
from kfx.runtime.manager import Manager
from kfx.runtime.metrics import RuntimeMetrics
from kfx.runtime.writer import Writer
from kfx.store.observations import ObservationStore
from tests.katib_objects import FAILURE, JOBS, SUCCESS

NAMESPACE = "default"


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Wiring:
    """As the process does it, with short patience and without servers."""

    def __init__(self, client: Client, store: ObservationStore, metrics: RuntimeMetrics) -> None:
        self.client, self.store, self.metrics = client, store, metrics
        self.cache = Cache(client, metrics=metrics)
        self.experiments = self.cache.informer(Experiment)
        self.suggestions = self.cache.informer(Suggestion)
        self.trials = self.cache.informer(Trial, indexers=indexes.TRIAL_INDEXERS, transform=compact)
        self.kinds = parse_trial_resources(["Job.v1.batch", "TFJob.v1.kubeflow.org"])
        self.recorders: list[EventRecorder] = []

    def manager(self) -> Manager:
        experiment, suggestion, trial = self.experiment(), self.suggestion(), self.trial()
        watch_all(self.cache, experiment, suggestion, trial)
        self.cache.watch(Trial, trials_gauge(self.metrics.registry), trial.queue)
        for kind in self.kinds:
            self.cache.watch(kind, EnqueueRequestForOwner("kubeflow.org", "Trial"), trial.queue)
        return Manager(
            servers=[],
            cache=self.cache,
            elector=AlwaysLeader(),
            controllers=[experiment, suggestion, trial],
            background=self.recorders,
        )

    def experiment(self) -> Controller:
        recorder, writer = self.recording("experiment-controller")
        reconciler = ExperimentReconciler(
            experiments=self.experiments,
            suggestions=self.suggestions,
            trials=self.trials,
            templates=TemplateReader(client=self.client, core_namespace="kubeflow"),
            writer=writer,
            now=utc_now,
        )
        report = FailureReporter(self.experiments, recorder)
        return Controller("experiment-controller", reconciler, metrics=self.metrics, report=report)

    def suggestion(self) -> Controller:
        recorder, writer = self.recording("suggestion-controller")
        reconciler = SuggestionReconciler(
            suggestions=self.suggestions,
            experiments=self.experiments,
            trials=self.trials,
            algorithms=ALGORITHMS,
            writer=writer,
            now=utc_now,
        )
        report = FailureReporter(self.suggestions, recorder, prefix="")
        return Controller("suggestion-controller", reconciler, metrics=self.metrics, report=report)

    def trial(self) -> Controller:
        recorder, writer = self.recording("trial-controller")
        jobs = JobLister({kind: self.cache.dynamic(kind) for kind in self.kinds})
        pods = self.cache.informer(Pod, indexers=indexes.POD_INDEXERS, label_selector=indexes.TRIAL_PODS)
        reconciler = TrialReconciler(
            trials=self.trials,
            jobs=JobFinder(jobs=jobs, client=self.client, now=utc_now),
            pods=PodObserver(pods=pods, clock=time.monotonic, patience=2),
            metrics=MetricsObserver(observations=self.store, clock=time.monotonic, patience=2),
            writer=writer,
            recorder=recorder,
            now=utc_now,
        )
        report = FailureReporter(self.trials, recorder)
        return Controller("trial-controller", reconciler, metrics=self.metrics, report=report)

    def recording(self, component: str) -> tuple[EventRecorder, Writer]:
        recorder = EventRecorder(self.client, component)
        self.recorders.append(recorder)
        return recorder, Writer(self.client, recorder, self.metrics)


def watch_all(cache: Cache, experiment: Controller, suggestion: Controller, trial: Controller) -> None:
    itself, owner = EnqueueRequestForObject(), EnqueueRequestForOwner("kubeflow.org", "Experiment")
    cache.watch(Experiment, itself, experiment.queue)
    cache.watch(Trial, owner, experiment.queue)
    cache.watch(Suggestion, owner, experiment.queue)
    cache.watch(Suggestion, itself, suggestion.queue)
    cache.watch(Trial, itself, trial.queue)
    of_pod = EnqueueRequestsFromMapFunc(indexes.trial_of_pod)
    cache.watch(Pod, of_pod, trial.queue, label_selector=indexes.TRIAL_PODS)


class Platform:
    """The API server, the controllers, and what a node would do."""

    def __init__(self, client: Client, store: ObservationStore, metrics: RuntimeMetrics) -> None:
        self.client, self.store, self.metrics = client, store, metrics

    async def read(self, kind: Any, name: str) -> Any:
        resource = getattr(kind, "resource", kind)
        return await self.client.get_document(resource, NAMESPACE, name)

    async def items(self, kind: Any, selector: str = "") -> list[dict[str, Any]]:
        resource = getattr(kind, "resource", kind)
        found = await self.client.request(
            "GET", resource.path(NAMESPACE), query={"labelSelector": selector} if selector else None
        )
        items: list[dict[str, Any]] = found["items"]
        return items

    async def trials(self, experiment: str) -> list[dict[str, Any]]:
        return await self.items(Trial, f"katib.kubeflow.org/experiment={experiment}")

    async def until(self, true: Callable[[], Any], seconds: float = 30) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := await true()):
                await asyncio.sleep(0.05)
        return found

    async def ended(self, kind: Any, name: str) -> dict[str, Any]:
        async def done() -> Any:
            found = await self.read(kind, name)
            return found if condition(found, "Succeeded") or condition(found, "Failed") else None

        found: dict[str, Any] = await self.until(done)
        return found

    async def running_trials(self, experiment: str, count: int) -> list[str]:
        async def enough() -> Any:
            names = [
                t["metadata"]["name"] for t in await self.trials(experiment) if words(t)[-1:] == ["Running"]
            ]
            return names if len(names) == count else None

        names: list[str] = await self.until(enough)
        return names

    async def finish(self, name: str, kind: str = "Complete", value: str | None = None) -> None:
        """As the collector and the job controller would, in this order."""
        now = utc_now()
        if value is not None:
            await self.store.report(name, [MetricLog(time_stamp=now, name="loss", value=value)], NAMESPACE)
        first = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[kind]
        entries = [
            {
                "type": t,
                "status": "True",
                "reason": "Test",
                "message": f"said {kind}",
                "lastTransitionTime": now,
            }
            for t in (first, kind)
        ]
        status: dict[str, Any] = {"startTime": now, "conditions": entries, "uncountedTerminatedPods": {}}
        if kind == "Complete":
            status["completionTime"] = now
        await self.client.patch(JOBS, NAMESPACE, name, {"status": status}, subresource="status")


def words(document: dict[str, Any]) -> list[str]:
    found = document.get("status", {}).get("conditions", [])
    return [c["type"] if c["status"] == "True" else f"-{c['type']}" for c in found]


def condition(document: dict[str, Any], kind: str) -> dict[str, Any] | None:
    found = document.get("status", {}).get("conditions", [])
    return next((c for c in found if c["type"] == kind and c["status"] == "True"), None)


@asynccontextmanager
async def working(client: Client, folder: Path) -> AsyncIterator[Platform]:
    """The controllers at work."""
    metrics, stop = RuntimeMetrics(CollectorRegistry()), asyncio.Event()
    for name, (text, labels) in KATIB_COUNTERS.items():
        metrics.register_counter(name, text, labels)
    async with ObservationStore.open(folder / "observations.db") as store, asyncio.TaskGroup() as group:
        group.create_task(Wiring(client, store, metrics).manager().run(stop))
        try:
            yield Platform(client, store, metrics)
        finally:
            stop.set()


def manifest(name: str, *, most: int = 4, parallel: int = 2, **spec: Any) -> dict[str, Any]:
    """Complete, as the defaulter would have left it; no job controller touches its jobs."""
    container = {"name": "train", "image": "example.org/train", "args": ["--x=${trialParameters.x}"]}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    space = {"min": "0", "max": "1", "distribution": "uniform"}
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"team": "a"}},
        "spec": {
            "objective": {
                "type": "minimize",
                "objectiveMetricName": "loss",
                "metricStrategies": [{"name": "loss", "value": "min"}],
            },
            "algorithm": {"algorithmName": "random"},
            "parallelTrialCount": parallel,
            "maxTrialCount": most,
            "resumePolicy": "Never",
            "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": space}],
            "trialTemplate": {
                "primaryContainerName": "train",
                "successCondition": SUCCESS,
                "failureCondition": FAILURE,
                "trialParameters": [{"name": "x", "reference": "x"}],
                "trialSpec": {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "spec": {"managedBy": "example.org/test", "template": pod},
                },
            },
            **spec,
        },
    }
