"""The facts about one Experiment, decoded and sorted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.apis.workload import Event
from kfx.katib import conditions as c
from kfx.katib.ages import change_times, latest, seconds_since
from kfx.katib.explanation.facts import Facts
from kfx.katib.explanation.finding import Ref
from kfx.katib.summary import PENDING, state_of

PATIENCE = 15.0  # seconds that a controller may take for its next step


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """``active`` trials hold a place, ``ended`` ones do not; both oldest first.

    ``warnings`` by kind and name of what they are about. ``quiet``: seconds since anything of the
    Experiment, its Suggestion or its Trials was written that bears a time.
    """

    facts: Facts
    experiment: Experiment
    suggestion: Suggestion | None
    active: Sequence[Trial]
    ended: Sequence[Trial]
    warnings: Mapping[tuple[str, str], Sequence[Event]]
    last_change: str
    quiet: float

    @property
    def namespace(self) -> str:
        """The Experiment's."""
        return self.facts.namespace

    @property
    def ref(self) -> Ref:
        """The Experiment."""
        return Ref("Experiment", *self.experiment.key)

    @property
    def is_overdue(self) -> bool:
        """Whether what the controllers should do at once has not been done for too long."""
        return self.quiet > PATIENCE

    @property
    def failed(self) -> Sequence[Trial]:
        """The trials that ended badly."""
        return [t for t in self.ended if state_of(t) in {c.FAILED, c.METRICS_UNAVAILABLE}]


def look_at(facts: Facts, experiment: Experiment) -> View:
    """The view of ``experiment``."""
    trials = sorted(facts.trials if isinstance(facts.trials, tuple) else (), key=_age)
    active: list[Trial] = []
    ended: list[Trial] = []
    for trial in trials:
        (active if state_of(trial) in {PENDING, c.RUNNING} else ended).append(trial)
    suggestion = facts.suggestion if isinstance(facts.suggestion, Suggestion) else None
    changed = latest(
        [
            *_times(experiment),
            *(_times(suggestion) if suggestion is not None else ()),
            *(time for trial in trials for time in _times(trial)),
        ]
    )
    return View(
        facts=facts,
        experiment=experiment,
        suggestion=suggestion,
        active=active,
        ended=ended,
        warnings=_sort(facts.events if isinstance(facts.events, tuple) else ()),
        last_change=changed,
        quiet=seconds_since(changed, facts.now) or 0.0,
    )


def _age(trial: Trial) -> tuple[str, str]:
    return trial.metadata.creation_timestamp or "", trial.metadata.name


def _sort(events: Iterable[Event]) -> Mapping[tuple[str, str], Sequence[Event]]:
    found: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if event.type == "Warning":
            found.setdefault((event.involved_object.kind, event.involved_object.name), []).append(event)
    return found


def _times(obj: Experiment | Suggestion | Trial) -> list[str | None]:
    return [obj.metadata.creation_timestamp, *change_times(obj.status.conditions)]
