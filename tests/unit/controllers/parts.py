"""What the reconcilers are handed in these tests: real stores, and a writer that keeps the plans."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kfx.apis.apps import Deployment, Service
from kfx.apis.common import MetricLog
from kfx.apis.trial import Trial
from kfx.controllers.exchanges import Exchanges
from kfx.controllers.image_suggestion import ImageSuggestions
from kfx.controllers.indexes import POD_INDEXERS, TRIAL_INDEXERS
from kfx.controllers.tallies import TrialTallies
from kfx.katib.katib_config import EMPTY_CONFIG, RuntimeConfig
from kfx.kube.errors import NotFound
from kfx.kube.model import KubeObject, Unreadable
from kfx.kube.resource import Resource
from kfx.runtime.event import Event
from kfx.runtime.plan import Note, Plan
from kfx.runtime.reconcile import Request, Result
from kfx.runtime.store import Store
from kfx.services.algorithm_client import AlgorithmClient
from kfx.store.errors import StoreError

KEY = Request("ns", "e-1")


def store_of(*objects: KubeObject | None) -> Store[Any]:
    """A cache with these objects, where they are any."""
    found: Store[Any] = Store()
    for obj in objects:
        if isinstance(obj, Unreadable):
            found.put_unreadable(obj)
        elif obj is not None:
            found.put(obj)
    return found


def trials_of(*trials: KubeObject) -> Store[Any]:
    """A cache of trials, indexed as in the process."""
    found: Store[Any] = Store(TRIAL_INDEXERS)
    for obj in trials:
        found.put(obj)
    return found


def tallies_of(*trials: Trial) -> TrialTallies:
    """Trials as the reconcilers of their experiment see them."""
    found = TrialTallies()
    for each in trials:
        found.requests(Event(None, each))
    return found


def pods_of(*pods: KubeObject) -> Store[Any]:
    """A cache of pods, indexed by trial."""
    found: Store[Any] = Store(POD_INDEXERS)
    for obj in pods:
        found.put(obj)
    return found


def images_of(
    *objects: Deployment | Service,
    exchanges: Exchanges | None = None,
    config: RuntimeConfig = EMPTY_CONFIG,
    clock: Callable[[], float] = time.monotonic,
) -> ImageSuggestions:
    """Algorithms in images, with what there is of their objects; without ``exchanges`` nobody is asked."""
    nobody = Exchanges(partial(AlgorithmClient, db_manager_address="db:6789"))
    return ImageSuggestions(
        deployments=store_of(*(each for each in objects if isinstance(each, Deployment))),
        services=store_of(*(each for each in objects if isinstance(each, Service))),
        exchanges=nobody if exchanges is None else exchanges,
        config=lambda: config,
        probes=True,
        clock=clock,
    )


class Plans:
    """Keeps each plan with its owner; may refuse as the API server would."""

    def __init__(self, *refusals: Exception) -> None:
        self.made: list[tuple[KubeObject, Plan]] = []
        self.refusals = list(refusals)

    async def apply(self, owner: KubeObject, plan: Plan) -> Result:
        self.made.append((owner, plan))
        if self.refusals:
            raise self.refusals.pop(0)
        return Result(plan.requeue_after)

    def refuse_stale(self, owner: KubeObject) -> None:
        """Nothing is written, so that nothing is stale."""

    @property
    def last(self) -> Plan:
        return self.made[-1][1]


class Notes:
    """Keeps what was told."""

    def __init__(self) -> None:
        self.told: list[Note] = []

    def note(self, owner: KubeObject, note: Note) -> None:
        assert owner.metadata.name
        self.told.append(note)


class Live:
    """Documents and objects by (resource, namespace, name); all others are not found."""

    def __init__(self, documents: Mapping[Any, Any] | None = None, *objects: KubeObject) -> None:
        self.documents = dict(documents or {})
        self.objects = {(type(o), *o.key): o for o in objects}
        self.reads = 0

    async def get_document(self, resource: Resource, namespace: str, name: str) -> Any:
        return self._find(self.documents, (resource, namespace, name))

    async def get(self, kind: Any, namespace: str, name: str) -> Any:
        return self._find(self.objects, (kind, namespace, name))

    def _find(self, found: Mapping[Any, Any], key: Any) -> Any:
        self.reads += 1
        if key not in found:
            raise NotFound("not there", status=404, reason="NotFound", method="GET", path="/")
        return found[key]


class Logs:
    """Reported lines by (trial, namespace); ``away`` makes every call fail."""

    def __init__(self, *lines: MetricLog) -> None:
        self.rows: dict[tuple[str, str | None], list[MetricLog]] = {(KEY.name, KEY.namespace): list(lines)}
        self.away = False

    async def fold(
        self, trial: str, into: Any, *, namespace: str | None = None, metrics: Sequence[str] = ()
    ) -> Any:
        self._check()
        found = self.rows.get((trial, namespace), [])
        return into(log for log in found if not metrics or log.name in metrics)

    async def report(self, trial: str, logs: Sequence[MetricLog], namespace: str | None = None) -> None:
        self._check()
        self.rows.setdefault((trial, namespace), []).extend(logs)

    async def delete(self, trial: str, namespace: str | None = None) -> None:
        self._check()
        self.rows.pop((trial, namespace), None)

    def _check(self) -> None:
        if self.away:
            raise StoreError("the store does not answer")


class Seconds:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
