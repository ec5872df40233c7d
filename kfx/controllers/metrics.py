"""What trials have reported, and how long one waits for it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from kfx.apis.common import MetricLog, Observation
from kfx.apis.trial import Trial
from kfx.controllers.stopwatch import Stopwatches
from kfx.katib.names import TRIAL_FINALIZER
from kfx.katib.observation import BadTimestamp, observe, unavailable_log
from kfx.katib.trial import TrialSeen, pushes
from kfx.runtime.reconcile import Request
from kfx.store.errors import StoreError


class Observations(Protocol):
    """Where metrics are kept; each call raises StoreError while the store does not answer."""

    async def get(self, trial: str, *, namespace: str | None = None) -> Sequence[MetricLog]: ...

    async def report(self, trial: str, logs: Sequence[MetricLog], namespace: str | None = None) -> None: ...

    async def delete(self, trial: str, namespace: str | None = None) -> None: ...


class MetricsObserver:
    """Reads the metrics of trials whose jobs have succeeded.

    ``patience``: seconds for metrics that do not come, counted only while the store answers.
    """

    def __init__(
        self, *, observations: Observations, clock: Callable[[], float], patience: float = 120.0
    ) -> None:
        self._observations = observations
        self._patience = patience
        self._waiting = Stopwatches(clock)

    async def look(self, seen: TrialSeen) -> TrialSeen:
        """What is seen of a trial, with its observation, or with the end of the wait for one."""
        request = Request(*seen.trial.key)
        try:
            observation = await self._observe(seen.trial)
        except StoreError:
            self._waiting.stop(request)
            raise
        if observation is not None:
            self._waiting.stop(request)
            return replace(seen, observation=observation)
        return replace(seen, gave_up=self._waiting.elapsed(request) >= self._patience)

    async def delete(self, trial: Trial) -> None:
        """Before the finalizer goes: nobody would find the rows of a trial that is gone."""
        if TRIAL_FINALIZER in (trial.metadata.finalizers or ()):
            namespace, name = trial.key
            await self._observations.delete(name, namespace)

    def forget(self, request: Request) -> None:
        """Nothing is waited for."""
        self._waiting.stop(request)

    async def _observe(self, trial: Trial) -> Observation | None:
        """A line without a usable time makes all of them useless, as if nothing had come."""
        namespace, name = trial.key
        objective = trial.spec.objective
        try:
            found = observe(await self._observations.get(name, namespace=namespace), objective)
        except BadTimestamp:
            return None
        if found is None and pushes(trial):
            missing = unavailable_log(objective)
            await self._observations.report(name, missing, namespace)
            return observe(missing, objective)
        return found
