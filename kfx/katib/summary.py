"""An experiment's trials at a glance: who is in which state, and which is best."""

from dataclasses import dataclass, field

import msgspec

from kfx.apis.experiment import ExperimentStatus
from kfx.apis.trial import Trial
from kfx.katib import conditions as c
from kfx.katib.optimal import Optimum

# The first that is True decides; a trial with none of them is pending (Katib experiment status utilities).
_STATES = (c.KILLED, c.FAILED, c.SUCCEEDED, c.EARLY_STOPPED, c.RUNNING, c.METRICS_UNAVAILABLE)
PENDING = "Pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Names by state, oldest trial first. ``unobserved``: stopped early, and its value may still come."""

    pending: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    succeeded: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    killed: tuple[str, ...] = ()
    early_stopped: tuple[str, ...] = ()
    metrics_unavailable: tuple[str, ...] = ()
    unobserved: int = 0
    optimum: Optimum = field(default_factory=Optimum)

    @property
    def active(self) -> int:
        """Trials that hold one of the parallel places."""
        return len(self.pending) + len(self.running)

    @property
    def done(self) -> int:
        """Trials that will not change any more, in whichever way they ended."""
        ended = (self.succeeded, self.failed, self.killed, self.early_stopped, self.metrics_unavailable)
        return sum(len(names) for names in ended)

    @property
    def unsuccessful(self) -> int:
        """What counts against ``maxFailedTrialCount``."""
        return len(self.failed) + len(self.metrics_unavailable)

    @property
    def trials(self) -> int:
        """All of them."""
        return self.active + self.done

    def apply_to(self, status: ExperimentStatus) -> ExperimentStatus:
        """The status with these lists, counts and this optimum; conditions and times stay."""
        return msgspec.structs.replace(
            status,
            current_optimal_trial=self.optimum.as_status(status.current_optimal_trial),
            pending_trial_list=self.pending,
            running_trial_list=self.running,
            succeeded_trial_list=self.succeeded,
            failed_trial_list=self.failed,
            killed_trial_list=self.killed,
            early_stopped_trial_list=self.early_stopped,
            metrics_unavailable_trial_list=self.metrics_unavailable,
            trials=self.trials,
            trials_pending=len(self.pending),
            trials_running=len(self.running),
            trials_succeeded=len(self.succeeded),
            trials_failed=len(self.failed),
            trials_killed=len(self.killed),
            trials_early_stopped=len(self.early_stopped),
            trial_metrics_unavailable=len(self.metrics_unavailable),
        )


def age_of(trial: Trial) -> tuple[str, str]:
    """What trials are ordered by: creation time, equal ages by name. The same at every look."""
    return trial.metadata.creation_timestamp or "", trial.metadata.name


def state_of(trial: Trial) -> str:
    """The state the trial is counted under: a condition's type, or ``Pending``."""
    true = {condition.type for condition in trial.status.conditions if condition.status == "True"}
    return next((state for state in _STATES if state in true), PENDING)
