"""The Trial reconciler, with the world around it made of parts."""

from collections.abc import Sequence
from typing import Any

from kfx.apis.common import MetricLog
from kfx.apis.core import Pod
from kfx.apis.trial import Trial
from kfx.controllers.event_reader import EventReader
from kfx.controllers.job_finder import JobFinder
from kfx.controllers.jobs import JobLister
from kfx.controllers.metrics import MetricsObserver
from kfx.controllers.patience import Patience
from kfx.controllers.pods import PodObserver
from kfx.controllers.trial import TrialReconciler
from kfx.runtime.plan import Plan
from kfx.runtime.reconcile import Result
from tests.katib_objects import JOBS, NOW, as_unstructured
from tests.unit.controllers.listed_events import Events
from tests.unit.controllers.parts import KEY, Live, Logs, Notes, Plans, Seconds, pods_of, store_of


class Bench:
    """A reconciler with everything around it at hand."""

    def __init__(
        self,
        of: Trial | None,
        job: dict[str, Any] | None = None,
        *,
        logs: Sequence[MetricLog] = (),
        pods: Sequence[Pod] = (),
        refusals: Sequence[Exception] = (),
    ) -> None:
        self.trials = store_of(*([of] if of else []))
        self.clock, self.logs, self.notes = Seconds(), Logs(*logs), Notes()
        self.plans = Plans(*refusals)
        self.live = Live({}, *([of] if of else []))
        self.jobs = store_of(*([as_unstructured(job)] if job else []))
        jobs = JobLister({JOBS: self.jobs})
        self.reconciler = TrialReconciler(
            trials=self.trials,
            jobs=JobFinder(jobs=jobs, client=self.live, now=lambda: NOW),
            pods=PodObserver(pods=pods_of(*pods), events=EventReader(Events()), clock=self.clock),
            metrics=MetricsObserver(observations=self.logs, clock=self.clock),
            writer=self.plans,  # type: ignore[arg-type]
            recorder=self.notes,
            patience=Patience(self.clock, 60),
            now=lambda: NOW,
        )

    async def run(self) -> Plan:
        result = await self.reconciler.reconcile(KEY)
        plan = self.plans.last if self.plans.made else Plan()
        assert result == Result(plan.requeue_after)
        return plan
