from dataclasses import replace
from typing import Any

import msgspec
import pytest

from kfx.controllers.pace import AskPace, ExperimentPace, StatusPace, gather_for
from kfx.katib.budget import ExperimentSeen
from kfx.katib.experiment import plan_experiment
from kfx.katib.trial_template import render_trial
from kfx.runtime.plan import Patch, Plan
from tests.katib_objects import NOW, experiment, suggestion, trial
from tests.unit.controllers.parts import Seconds, tallies_of

OF = experiment("Created", "Running", parallel=100, most=100)


def told(running: int, **more: Any) -> Plan:
    """The status that so many running trials call for."""
    status = msgspec.structs.replace(OF.status, trials=running, trials_running=running)
    return Plan(status=status, **more)


def test_the_longer_the_lists_the_more_changes_make_a_look() -> None:
    assert [gather_for(trials) for trials in (0, 100, 250, 1_000, 20_000)] == [0.1, 0.1, 0.25, 1.0, 2.0]


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


def ask(requests: int, *, of: int = 3, answered: int = 3) -> Plan:
    """A request for more than the ``of`` assignments that were asked for before."""
    names = [f"e-{number}" for number in range(answered)]
    patch = Patch(
        target=suggestion("Created", "Running", requests=of, names=names),
        changes={"spec": {"requests": requests}},
    )
    return Plan(patch=(patch,), release=("a",))


def test_requests_follow_one_another_as_changes_of_trials_are_gathered() -> None:
    clock = Seconds()
    pace = AskPace(clock)
    assert pace.hold_back(ask(4), trials=250) == ask(4)
    clock.now += 0.125
    more = ask(5, of=4, answered=4)
    assert pace.hold_back(more, trials=250) == Plan(release=("a",), requeue_after=0.125)
    clock.now += 0.125
    assert pace.hold_back(more, trials=250) == more


@pytest.mark.parametrize("of", [4, 3], ids=["seen in the cache", "not in the cache yet"])
def test_a_request_is_not_raised_before_its_answer_but_the_wait_ends(of: int) -> None:
    clock = Seconds()
    pace = AskPace(clock)
    pace.hold_back(ask(4), trials=10)
    clock.now += 0.5
    unanswered = ask(6, of=of, answered=3)
    assert pace.hold_back(unanswered, trials=10) == Plan(release=("a",), requeue_after=0.5)
    clock.now += 0.5
    assert pace.hold_back(unanswered, trials=10) == unanswered


def test_fewer_are_requested_at_once() -> None:
    pace = AskPace(Seconds())
    pace.hold_back(ask(4), trials=10)
    assert pace.hold_back(ask(2), trials=10) == ask(2)


def test_a_plan_that_is_to_come_again_sooner_comes_sooner() -> None:
    pace = AskPace(Seconds())
    pace.hold_back(ask(4), trials=500)
    assert pace.hold_back(replace(ask(5), requeue_after=0.25), trials=500).requeue_after == 0.25


def test_status_and_request_of_one_plan_are_both_held_back() -> None:
    clock = Seconds()
    pace = ExperimentPace(clock)
    both = replace(ask(4), status=told(1).status)
    assert pace.hold_back(OF, both, trials=1_000) == both
    later = replace(ask(5), status=told(2).status)
    assert pace.hold_back(OF, later, trials=1_000) == Plan(release=("a",), requeue_after=0.5)
