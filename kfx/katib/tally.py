"""An experiment's trials, kept in order as they come and go: a look at them costs no more than what changed.

Stands beside :mod:`kfx.katib.summary`: what that says of all trials is known here after each change of one.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from kfx.apis.common import UNAVAILABLE, ObjectiveSpec
from kfx.apis.trial import Trial
from kfx.katib import conditions as c
from kfx.katib.floats import parse_float
from kfx.katib.observation import is_available, objective_value
from kfx.katib.optimal import MAXIMIZE, MINIMIZE, Optimum, find_optimum, reaches_goal
from kfx.katib.summary import PENDING, Summary, age_of, state_of
from kfx.katib.unreadable import TrialStandIn
from kfx.kube.model import Unreadable

Age = tuple[str, str]
"""Creation time and name, by which trials are ordered."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What counts of one trial. ``number``: its objective value; ``text``: it has one that is no number."""

    age: Age
    state: str
    number: float | None
    text: bool
    awaited: bool
    told: bool


class Tally:
    """Trials by name, with what an experiment needs to know of all of them.

    :meth:`put` and :meth:`drop` take O(log n) steps and move O(n) pointers.
    """

    def __init__(self) -> None:
        self._trials: dict[str, Trial] = {}
        self._rows: dict[str, _Row] = {}
        self._by_state: dict[str, _Names] = {}
        self._all, self._told = _Names(), _Names()
        self._numbers: list[tuple[float, Age]] = []
        self._texts: list[Age] = []
        self._awaited = 0
        self._problems: dict[str, str] = {}

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> "Tally":
        """A tally of these."""
        found = cls()
        for trial in trials:
            found.put(trial)
        return found

    def __len__(self) -> int:
        return len(self._trials)

    def __contains__(self, name: object) -> bool:
        return name in self._trials

    def __iter__(self) -> Iterator[Trial]:
        """Oldest first."""
        return (self._trials[name] for name in self._all)

    @property
    def names(self) -> Collection[str]:
        """Every name, for a quick ``in``."""
        return self._trials.keys()

    def get(self, name: str) -> Trial | None:
        """The trial of that name."""
        return self._trials.get(name)

    def put(self, trial: Trial) -> None:
        """Take the newest state of one trial."""
        self._problems.pop(trial.metadata.name, None)
        self._take(trial)

    def put_unreadable(self, found: Unreadable) -> None:
        """Take that a trial cannot be read: it counts as it was last, or else as its conditions say."""
        name = found.metadata.name
        if name not in self._trials or isinstance(self._trials[name], TrialStandIn):
            self._take(TrialStandIn.of(found))
        self._problems[name] = found.problem

    def drop_unreadable(self, name: str) -> None:
        """Forget one that could not be read, and cannot be read now either."""
        if self._problems.pop(name, None) is not None and isinstance(self._trials[name], TrialStandIn):
            self.drop(name)

    def unreadable(self) -> dict[str, str]:
        """What is wrong with trials that hold a place and cannot be read, by name."""
        active = (PENDING, c.RUNNING)
        return {name: text for name, text in self._problems.items() if self._rows[name].state in active}

    def _take(self, trial: Trial) -> None:
        name, row = trial.metadata.name, _row_of(trial)
        self._trials[name] = trial
        old = self._rows.get(name)
        if old == row:
            return
        if old is not None:
            self._take_out(old)
        self._rows[name] = row
        self._enter(row)

    def drop(self, name: str) -> None:
        """Forget one trial, if it is there."""
        if self._trials.pop(name, None) is not None:
            self._take_out(self._rows.pop(name))
            self._problems.pop(name, None)

    def in_state(self, *states: str) -> list[Trial]:
        """The trials counted under one of ``states``, state after state, oldest first."""
        return [self._trials[name] for state in states for name in self._by_state.get(state, ())]

    def told(self) -> list[Trial]:
        """The trials an algorithm is told of, oldest first: not those that ended without a value."""
        return [self._trials[name] for name in self._told]

    def summary(self, objective: ObjectiveSpec | None) -> Summary:
        """All of them at a glance."""
        return Summary(
            pending=self._names(PENDING),
            running=self._names(c.RUNNING),
            succeeded=self._names(c.SUCCEEDED),
            failed=self._names(c.FAILED),
            killed=self._names(c.KILLED),
            early_stopped=self._names(c.EARLY_STOPPED),
            metrics_unavailable=self._names(c.METRICS_UNAVAILABLE),
            unobserved=self._awaited,
            optimum=self._optimum(objective),
        )

    def _names(self, state: str) -> tuple[str, ...]:
        found = self._by_state.get(state)
        return found.as_tuple() if found is not None else ()

    def _optimum(self, objective: ObjectiveSpec | None) -> Optimum:
        """As :func:`find_optimum` of all trials."""
        kind = objective.type if objective is not None else ""
        if kind not in {MINIMIZE, MAXIMIZE}:
            return find_optimum(self, objective)
        if not self._numbers:
            return Optimum(self._trials[self._texts[-1][1]] if self._texts else None)
        best = self._numbers[0]
        if kind == MAXIMIZE:  # the oldest of those with the largest
            best = self._numbers[bisect_left(self._numbers, (self._numbers[-1][0],))]
        return Optimum(self._trials[best[1][1]], reaches_goal(best[0], objective))

    def _enter(self, row: _Row) -> None:
        self._all.add(row.age)
        self._by_state.setdefault(row.state, _Names()).add(row.age)
        if row.told:
            self._told.add(row.age)
        if row.number is not None:
            insort(self._numbers, (row.number, row.age))
        if row.text:
            insort(self._texts, row.age)
        self._awaited += row.awaited

    def _take_out(self, row: _Row) -> None:
        self._all.remove(row.age)
        self._by_state[row.state].remove(row.age)
        if row.told:
            self._told.remove(row.age)
        if row.number is not None:
            _remove(self._numbers, (row.number, row.age))
        if row.text:
            _remove(self._texts, row.age)
        self._awaited -= row.awaited


class _Names:
    """Names in the order of their ages."""

    def __init__(self) -> None:
        self._ages: list[Age] = []
        self._names: list[str] = []
        self._tuple: tuple[str, ...] | None = ()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def add(self, age: Age) -> None:
        at = bisect_left(self._ages, age)
        self._ages.insert(at, age)
        self._names.insert(at, age[1])
        self._tuple = None

    def remove(self, age: Age) -> None:
        at = bisect_left(self._ages, age)
        del self._ages[at], self._names[at]
        self._tuple = None

    def as_tuple(self) -> tuple[str, ...]:
        """The names; the same object until one comes or goes."""
        if self._tuple is None:
            self._tuple = tuple(self._names)
        return self._tuple


def summarise(trials: Iterable[Trial], objective: ObjectiveSpec | None) -> Summary:
    """The summary of ``trials``, which come in any order."""
    return Tally.of(trials).summary(objective)


def _row_of(trial: Trial) -> _Row:
    state, text = state_of(trial), objective_value(trial.status.observation, trial.spec.objective)
    number = None if text == UNAVAILABLE else parse_float(text, clamp=True)
    unmeasured = state == c.EARLY_STOPPED or c.has(trial.status.conditions, c.EARLY_STOPPED)
    unmeasured = unmeasured and not is_available(trial.status.observation, trial.spec.objective)
    given_up = c.has(trial.status.conditions, c.METRICS_UNAVAILABLE)
    return _Row(
        age=age_of(trial),
        state=state,
        number=None if number is None or math.isnan(number) else number,
        text=number is None and text != UNAVAILABLE,
        awaited=unmeasured and state == c.EARLY_STOPPED and not given_up,
        told=not given_up and not unmeasured and not isinstance(trial, TrialStandIn),
    )


def _remove(found: list[tuple[float, Age]] | list[Age], row: tuple[float, Age] | Age) -> None:
    del found[bisect_left(found, row)]
