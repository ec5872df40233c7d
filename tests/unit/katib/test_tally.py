"""What is kept up change by change is what a look at all trials would have found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.apis.trial import Trial
from kfx.katib import conditions as c
from kfx.katib.optimal import find_optimum
from kfx.katib.summary import age_of, state_of
from kfx.katib.tally import Tally
from tests.katib_objects import objective, trial

STATES = ["", "Running", "Succeeded", "Failed", "Killed", "EarlyStopped", "MetricsUnavailable"]
VALUES = [None, "unavailable", "0.1", "0.2", "-3", "nan", "inf", "1e400", "genotype-a", "genotype-b"]
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 7),
        st.booleans(),
        st.lists(st.sampled_from(STATES), max_size=2),
        st.sampled_from(VALUES),
    ),
    max_size=25,
)


@given(CHANGES, st.sampled_from(["minimize", "maximize"]), st.none() | st.just(0.1))
def test_changes_one_by_one_come_to_the_same_as_a_look_at_all(changes, kind, goal):
    tally, all_of_them, target = Tally(), {}, objective(kind, goal=goal)
    for number, gone, words, value in changes:
        name = f"t{number}"
        if gone:
            tally.drop(name)
            all_of_them.pop(name, None)
        else:
            found = trial("Created", *words, name=name, age=number % 3, value=value, target=target)
            tally.put(found)
            all_of_them[name] = found
    trials = sorted(all_of_them.values(), key=age_of)
    assert list(tally) == trials
    summary = tally.summary(target)
    assert summary.optimum == find_optimum(trials, target)
    assert summary.running == tuple(t.metadata.name for t in trials if state_of(t) == c.RUNNING)
    assert summary.trials == len(trials) == len(tally)
    assert tally.in_state(c.FAILED) == [t for t in trials if state_of(t) == c.FAILED]
    assert tally.told() == [t for t in trials if _is_told(t)]


def _is_told(found: Trial) -> bool:
    words = {condition.type for condition in found.status.conditions}
    observation = found.status.observation
    measured = observation is not None and observation.metrics[0].latest != "unavailable"
    return "MetricsUnavailable" not in words and (measured or "EarlyStopped" not in words)


def test_without_a_direction_the_first_number_is_the_best():
    target = type(objective())(objective_metric_name="loss", metric_strategies=objective().metric_strategies)
    trials = [trial("Succeeded", name=f"t{i}", age=9 - i, value=str(i), target=target) for i in range(3)]
    assert Tally.of(trials).summary(target).optimum == find_optimum(trials[::-1], target)


def test_lists_that_did_not_change_are_the_same_objects():
    tally = Tally.of([trial("Succeeded", name="a"), trial("Running", name="b")])
    before = tally.summary(objective())
    tally.put(trial("Running", name="c"))
    after = tally.summary(objective())
    assert after.succeeded is before.succeeded
    assert after.running == ("b", "c")


def test_it_knows_names_and_trials_by_name():
    tally = Tally.of([trial(name="a")])
    assert ("a" in tally, "b" in tally, tally.get("b")) == (True, False, None)
    assert tally.get("a") == trial(name="a")


@pytest.mark.parametrize("kind", ["minimize", "maximize"])
def test_of_equal_values_the_oldest_trials_is_the_best(kind):
    target = objective(kind)
    trials = [trial("Succeeded", name=f"t{age}", age=age, value="0.5", target=target) for age in (2, 1, 3)]
    best = Tally.of(trials).summary(target).optimum.trial
    assert best is not None
    assert best.metadata.name == "t1"
