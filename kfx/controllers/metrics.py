"""What trials have reported, and how long one waits for it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from kfx.apis.common import MetricLog
from kfx.apis.trial import Trial
from kfx.controllers.stopwatch import Stopwatches
from kfx.katib.names import TRIAL_FINALIZER
from kfx.katib.observation import Observed, observe, unavailable_log, wanted_metrics
from kfx.katib.trial import TrialSeen, pushes
from kfx.kube.model import KubeObject
from kfx.runtime.reconcile import Request
from kfx.store.errors import StoreError

T = TypeVar("T")


class Observations(Protocol):
    """Where metrics are kept; each call raises StoreError while the store does not answer."""

    async def fold(
        self,
        trial: str,
        into: Callable[[Iterable[MetricLog]], T],
        *,
        namespace: str | None = None,
        metrics: Sequence[str] = (),
    ) -> T: ...

    async def report(self, trial: str, logs: Sequence[MetricLog], namespace: str | None = None) -> None: ...

    async def delete(self, trial: str, namespace: str | None = None) -> None: ...


MOST_LEFT = 10_000  # trials whose rows are remembered to be deleted later
SWEPT_AT_ONCE = 100


class MetricsObserver:
    """Reads the metrics of trials whose jobs have succeeded, and deletes those of trials that go.

    ``patience``: seconds for metrics that do not come, counted only while the store answers.
    ``deletion_patience``: seconds after which a trial may go though the store does not answer, ``None`` for
    never; what is left in the store is deleted once it answers again.
    """

    def __init__(
        self,
        *,
        observations: Observations,
        clock: Callable[[], float],
        patience: float = 120.0,
        deletion_patience: float | None = None,
    ) -> None:
        self._observations = observations
        self._patience = patience
        self._deletion_patience = deletion_patience
        self._waiting = Stopwatches(clock)
        self._deleting = Stopwatches(clock)
        self._left: dict[Request, None] = {}

    async def look(self, seen: TrialSeen) -> TrialSeen:
        """What is seen of a trial, with its observation, or with the end of the wait for one."""
        request = Request(*seen.trial.key)
        try:
            observed = await self._observe(seen.trial)
        except StoreError:
            self._waiting.stop(request)
            raise
        await self._sweep()
        seen = replace(seen, observation=observed.observation, unusable=observed.unusable)
        if observed.observation is not None:
            self._waiting.stop(request)
            return seen
        return replace(seen, gave_up=self._waiting.elapsed(request) >= self._patience)

    async def start_clean(self, trial: Trial) -> None:
        """Before the first job of a trial: what a trial of this name reported before is not this one's.

        A collector may have reported after its trial was deleted. Raises StoreError.
        """
        namespace, name = trial.key
        if await self._observations.fold(name, _has_any, namespace=namespace):
            await self._observations.delete(name, namespace)
        self._left.pop(Request(namespace, name), None)

    async def delete(self, trial: KubeObject) -> str:
        """Before the finalizer goes: nobody would find the rows of a trial that is gone.

        Returns what is left behind, ``""`` for nothing. Raises StoreError while there is hope.
        """
        if TRIAL_FINALIZER not in (trial.metadata.finalizers or ()):
            return ""
        request = Request(*trial.key)
        try:
            await self._observations.delete(request.name, request.namespace)
        except StoreError as error:
            return self._leave(request, error)
        self._deleting.stop(request)
        await self._sweep()
        return ""

    async def sweep(self) -> None:
        """Delete what was left behind, as far as the store answers."""
        left = len(self._left) + 1
        while 0 < len(self._left) < left:
            left = len(self._left)
            await self._sweep()

    def forget(self, request: Request) -> None:
        """Nothing is waited for."""
        self._waiting.stop(request)

    def _leave(self, request: Request, error: StoreError) -> str:
        if self._deletion_patience is None or self._deleting.elapsed(request) < self._deletion_patience:
            raise error
        self._deleting.stop(request)
        if len(self._left) < MOST_LEFT:
            self._left[request] = None
        return (
            f"the observations of Trial {request} are left in the store, which has not answered for "
            f"{self._deletion_patience:.0f} s ({error}); they are deleted once it answers"
        )

    async def _sweep(self) -> None:
        """The store answers again: delete some of what is left."""
        for request in list(self._left)[:SWEPT_AT_ONCE]:
            try:
                await self._observations.delete(request.name, request.namespace)
            except StoreError:
                return
            self._left.pop(request, None)

    async def _observe(self, trial: Trial) -> Observed:
        namespace, name = trial.key
        objective = trial.spec.objective
        found = await self._observations.fold(
            name,
            partial(observe, objective=objective),
            namespace=namespace,
            metrics=wanted_metrics(objective),
        )
        if found.observation is None and pushes(trial):
            missing = unavailable_log(objective)
            await self._observations.report(name, missing, namespace)
            return replace(observe(missing, objective), unusable=found.unusable)
        return found


def _has_any(logs: Iterable[MetricLog]) -> bool:
    return next(iter(logs), None) is not None
