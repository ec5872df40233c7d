"""What trials have reported, and how long one waits for it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from kfx.apis.common import MetricLog
from kfx.apis.trial import Trial
from kfx.controllers.left_behind import LeftBehind
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


SWEPT_AT_ONCE = 100


class MetricsObserver:
    """Reads the metrics of trials whose jobs have succeeded, and deletes those of trials that go.

    ``patience``: seconds for metrics that do not come, counted only while the store answers.
    ``deletion_patience``: seconds after which a trial may go though the store does not answer, ``None`` for
    never; what is left in the store is remembered in ``left``, and deleted once it answers again.
    """

    def __init__(
        self,
        *,
        observations: Observations,
        clock: Callable[[], float],
        patience: float = 120.0,
        deletion_patience: float | None = None,
        left: LeftBehind | None = None,
    ) -> None:
        self._observations = observations
        self._patience = patience
        self._deletion_patience = deletion_patience
        self._waiting = Stopwatches(clock)
        self._deleting = Stopwatches(clock)
        self._left = left if left is not None else LeftBehind()

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
        await self._left.recall()
        if await self._observations.fold(name, _has_any, namespace=namespace):
            await self._observations.delete(name, namespace)
        await self._left.drop([Request(namespace, name)])

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
            return await self._leave(request, error)
        self._deleting.stop(request)
        await self._sweep()
        return ""

    async def sweep(self) -> None:
        """Delete what was left behind, by an earlier process too, as far as the store answers."""
        await self._left.recall()
        left = len(self._left) + 1
        while 0 < len(self._left) < left:
            left = len(self._left)
            await self._sweep()

    def forget(self, request: Request) -> None:
        """Nothing is waited for."""
        self._waiting.stop(request)

    async def _leave(self, request: Request, error: StoreError) -> str:
        if self._deletion_patience is None or self._deleting.elapsed(request) < self._deletion_patience:
            raise error
        kept = await self._left.add(request)
        self._deleting.stop(request)
        until = "" if kept else ", unless kfx ends before; then delete them by hand"
        return (
            f"the observations of Trial {request} are left in the store, which has not answered for "
            f"{self._deletion_patience:.0f} s ({error}); they are deleted once it answers{until}"
        )

    async def _sweep(self) -> None:
        """The store answers again: delete some of what is left."""
        swept: list[Request] = []
        for request in self._left.some(SWEPT_AT_ONCE):
            try:
                await self._observations.delete(request.name, request.namespace)
            except StoreError:
                break
            swept.append(request)
        if swept:
            await self._left.drop(swept)

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
