from typing import Any

import msgspec

from kfx.controllers.pace import StatusPace, gather_for
from kfx.katib.budget import ExperimentSeen
from kfx.katib.experiment import plan_experiment
from kfx.katib.trial_template import render_trial
from kfx.runtime.plan import Plan
from tests.katib_objects import NOW, experiment, suggestion, trial
from tests.unit.controllers.parts import Seconds, tallies_of

OF = experiment("Created", "Running", parallel=100, most=100)


def told(running: int, **more: Any) -> Plan:
    """The status that so many running trials call for."""
    status = msgspec.structs.replace(OF.status, trials=running, trials_running=running)
    return Plan(status=status, **more)


def test_the_longer_the_lists_the_more_changes_make_a_look() -> None:
    assert [gather_for(trials) for trials in (0, 100, 1_000, 5_000, 20_000)] == [0.1, 0.1, 0.2, 1.0, 1.0]


def test_a_status_that_only_counts_waits_for_its_turn() -> None:
    clock = Seconds()
    pace = StatusPace(clock, 0.5)
    assert pace.hold_back(OF, told(1)) == told(1)
    clock.now += 0.125
    assert pace.hold_back(OF, told(2)) == Plan(requeue_after=0.375)
    clock.now += 0.375
    assert pace.hold_back(OF, told(3)) == told(3)


def test_a_change_of_conditions_goes_at_once() -> None:
    pace = StatusPace(Seconds(), 0.5)
    pace.hold_back(OF, told(1))
    ended = Plan(status=experiment("Created", "-Running", "Succeeded").status)
    assert pace.hold_back(OF, ended) is ended


def test_everything_else_in_a_plan_is_done_at_once() -> None:
    pace = StatusPace(Seconds(), 0.5)
    pace.hold_back(OF, told(1))
    held = pace.hold_back(OF, told(2, release=("a",), requeue_after=0.25))
    assert held == Plan(release=("a",), requeue_after=0.25)


def test_each_experiment_has_its_own_pace() -> None:
    pace = StatusPace(Seconds(), 0.5)
    other = msgspec.structs.replace(OF, metadata=msgspec.structs.replace(OF.metadata, uid="other"))
    pace.hold_back(OF, told(1))
    assert pace.hold_back(other, told(1)) == told(1)


def test_a_hundred_trials_that_begin_and_end_within_seconds_cost_few_writes() -> None:
    """One change every 20 ms, as at 25 trials a second with two changes each."""
    clock, seen, written = Seconds(), OF, 0
    pace = StatusPace(clock, 0.5)
    for ended in range(100):
        clock.now += 0.02
        trials = [trial("Succeeded" if n < ended else "Running", name=f"e-{n:03}") for n in range(100)]
        look = ExperimentSeen(
            experiment=seen,
            trials=tallies_of(*trials).counted(seen),
            suggestion=suggestion("Running", requests=100, names=[t.metadata.name for t in trials]),
            render=render_trial,
        )
        plan = pace.hold_back(seen, plan_experiment(look, NOW))
        if plan.status is not None:
            written += 1
            seen = msgspec.structs.replace(seen, status=plan.status)
    assert 3 <= written <= 5
