"""The three controllers, and which change of what concerns whom."""

import time
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from kfx.apis.apps import Deployment, Service
from kfx.apis.core import Pod
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.build.parts import WITHOUT_JOBS, Parts, utc_now
from kfx.controllers import indexes
from kfx.controllers.event_reader import EventReader
from kfx.controllers.experiment import ExperimentReconciler
from kfx.controllers.failures import PREFIX, FailureReporter
from kfx.controllers.gauges import experiments_gauge, trials_gauge
from kfx.controllers.image_suggestion import ImageSuggestions
from kfx.controllers.job_finder import JobFinder
from kfx.controllers.jobs import JobLister, unless_expected
from kfx.controllers.left_behind import LeftBehind
from kfx.controllers.metrics import MetricsObserver
from kfx.controllers.pace import gather_for
from kfx.controllers.patience import Patience
from kfx.controllers.pods import PodObserver
from kfx.controllers.suggestion import SuggestionReconciler
from kfx.controllers.trial import TrialReconciler, trial_limiter
from kfx.katib import conditions
from kfx.katib.compaction import only_made_for_suggestions
from kfx.kube.errors import ApiError, TransportError
from kfx.kube.model import KubeObject, Unstructured
from kfx.kube.resource import Resource
from kfx.runtime.controller import Controller
from kfx.runtime.events import EventRecorder
from kfx.runtime.handler import EnqueueRequestForObject, EnqueueRequestForOwner, EnqueueRequestsFromMapFunc
from kfx.runtime.leader import LeadershipLost, WriteHeld
from kfx.runtime.log import get_logger
from kfx.runtime.ratelimit import RateLimiter
from kfx.runtime.reconcile import Reconciler, Request
from kfx.runtime.source import Gathering
from kfx.runtime.store import Lister
from kfx.services.external_store import ExternalStore

DELETION_PATIENCE = 600.0  # seconds for which a Trial is kept while an external store does not answer
EXPERIMENT, SUGGESTION, TRIAL = "experiment-controller", "suggestion-controller", "trial-controller"
WORKERS = 4
TRIAL_WORKERS = 16
"""A trial takes six writes one after the other, and waits for the API server nearly all that time."""
log = get_logger("trial-controller")

T = TypeVar("T", bound=KubeObject)


def build_controllers(parts: Parts) -> Sequence[Controller]:
    """Experiment's, Suggestion's and Trial's."""
    controllers = _build_experiment(parts), _build_suggestion(parts), _build_trial(parts)
    _watch(parts, *controllers)
    return controllers


def _watch(parts: Parts, experiment: Controller, suggestion: Controller, trial: Controller) -> None:
    """Which change of what concerns whom."""
    itself, registry = EnqueueRequestForObject(), parts.metrics.registry
    of_experiment = EnqueueRequestForOwner("kubeflow.org", "Experiment")
    watch = parts.cache.watch
    watch(Experiment, itself, experiment.queue)
    watch(Trial, of_experiment, Gathering(experiment.queue, partial(_gather_for, parts)))
    watch(Suggestion, of_experiment, experiment.queue)
    watch(Suggestion, itself, suggestion.queue)
    of_suggestion = EnqueueRequestForOwner("kubeflow.org", "Suggestion")
    watch(Deployment, of_suggestion, suggestion.queue)
    watch(Service, of_suggestion, suggestion.queue)
    watch(Trial, itself, trial.queue)
    for kind in parts.jobs:
        _watch_jobs(parts, kind, trial)
    of_pod = EnqueueRequestsFromMapFunc(indexes.trial_of_pod)
    watch(Pod, of_pod, trial.queue, label_selector=indexes.TRIAL_PODS)
    watch(Experiment, experiments_gauge(registry), experiment.queue)
    watch(Trial, trials_gauge(registry), trial.queue)
    watch(Trial, parts.tallies, experiment.queue)


def _watch_jobs(parts: Parts, kind: Resource, trial: Controller) -> None:
    of_trial = EnqueueRequestForOwner("kubeflow.org", "Trial")
    parts.cache.watch(kind, of_trial, trial.queue, unless_expected(parts.trials))


def _gather_for(parts: Parts, request: Request) -> float:
    """Nothing is gathered before it is Running: the first trial changes its conditions."""
    experiment = parts.experiments.get(request)
    if experiment is None or conditions.find(experiment.status.conditions, conditions.RUNNING) is None:
        return 0.0
    return gather_for(len(parts.tallies.owned(experiment)))


def _build_experiment(parts: Parts) -> Controller:
    recorder, writer = parts.recording(EXPERIMENT)
    reconciler = ExperimentReconciler(
        experiments=parts.experiments,
        suggestions=parts.suggestions,
        trials=parts.tallies,
        templates=parts.templates,
        writer=writer,
        now=utc_now,
        prepare=parts.prepare,
    )
    return _controller(parts, EXPERIMENT, reconciler, parts.experiments, recorder)


def _build_suggestion(parts: Parts) -> Controller:
    recorder, writer = parts.recording(SUGGESTION)
    reconciler = SuggestionReconciler(
        suggestions=parts.suggestions,
        experiments=parts.experiments,
        trials=parts.tallies,
        algorithms=parts.algorithms,
        images=ImageSuggestions(
            deployments=parts.cache.informer(Deployment, transform=only_made_for_suggestions),
            services=parts.cache.informer(Service, transform=only_made_for_suggestions),
            exchanges=parts.exchanges,
            config=parts.katib_config.read,
            probes=parts.config.enable_grpc_probe_in_suggestion,
            clock=time.monotonic,
        ),
        writer=writer,
        now=utc_now,
        prepare=parts.prepare,
    )
    controller = _controller(parts, SUGGESTION, reconciler, parts.suggestions, recorder, prefix="")
    parts.exchanges.wake(controller.queue.add)
    return controller


def _build_trial(parts: Parts) -> Controller:
    recorder, writer = parts.recording(TRIAL)
    pods = parts.cache.informer(
        Pod,
        indexers=indexes.POD_INDEXERS,
        label_selector=indexes.TRIAL_PODS,
        optional="trials do not fail for pods that cannot start, nor tell of them",
    )
    jobs = JobLister(parts.jobs, is_known=parts.cache.is_known)
    reconciler = TrialReconciler(
        trials=parts.trials,
        jobs=JobFinder(jobs=jobs, client=parts.reader, now=utc_now),
        pods=PodObserver(
            pods=pods,
            events=EventReader(parts.reader),
            clock=time.monotonic,
            patience=parts.config.image_wait,
        ),
        metrics=_metrics_observer(parts),
        writer=writer,
        recorder=recorder,
        patience=Patience(time.monotonic, parts.config.image_wait),
        now=utc_now,
    )
    controller = _controller(
        parts, TRIAL, reconciler, parts.trials, recorder, limiter=trial_limiter(), workers=TRIAL_WORKERS
    )
    if not parts.config.strict_kinds:
        jobs.follow_others(partial(_follow, parts, controller))
    return controller


def _follow(parts: Parts, trial: Controller, kind: Resource) -> Lister[Unstructured]:
    """Jobs of a kind, from now on; for want of the right to, trials of it wait and say why."""
    found = parts.cache.dynamic(kind, optional=WITHOUT_JOBS)
    _watch_jobs(parts, kind, trial)
    return found


def _metrics_observer(parts: Parts) -> MetricsObserver:
    """The own store is part of kfx and comes back with it; another one may be gone for good."""
    external = parts.store if isinstance(parts.store, ExternalStore) else None
    observer = MetricsObserver(
        observations=parts.store,
        clock=time.monotonic,
        patience=parts.config.metrics_wait,
        deletion_patience=DELETION_PATIENCE if external else None,
        left=LeftBehind(parts.client, parts.config.core_namespace) if external else None,
    )
    if external:
        external.on_answer(partial(_sweep, parts, observer))
    return observer


async def _sweep(parts: Parts, observer: MetricsObserver) -> None:
    """Only who leads may: what others remember may be old. What the API server refuses now is tried again."""
    if not parts.elector.is_leader:
        return
    try:
        await observer.sweep()
    except (ApiError, TransportError, LeadershipLost, WriteHeld) as failed:
        log.warning("observations that were left behind cannot be swept now", error=str(failed))


def _controller(
    parts: Parts,
    name: str,
    reconciler: Reconciler,
    objects: Lister[T],
    recorder: EventRecorder,
    *,
    prefix: str = PREFIX,
    limiter: RateLimiter[Request] | None = None,
    workers: int = WORKERS,
) -> Controller:
    report = FailureReporter(objects, recorder, prefix=prefix)
    if parts.spans is not None:
        reconciler = parts.spans.reconciler(name, reconciler)
    return Controller(
        name, reconciler, workers=workers, limiter=limiter, metrics=parts.metrics, report=report
    )
