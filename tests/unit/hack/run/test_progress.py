"""What the table shows follows from the objects."""

import pytest

from hack.run.progress import metric_value, observe, shorten, state_of
from kfx.apis.common import Metric, NameValue, ObjectiveSpec, Observation
from kfx.apis.experiment import Experiment, ExperimentSpec, ExperimentStatus, OptimalTrial
from kfx.apis.trial import Trial, TrialSpec, TrialStatus
from kfx.kube.model import Condition, ObjectMeta

OBJECTIVE = ObjectiveSpec(
    type="minimize", objective_metric_name="loss", metric_strategies=(NameValue(name="loss", value="min"),)
)
SEEN = Observation(metrics=(Metric(name="loss", min="0.1", max="0.9", latest="0.2"),))


def _trial(name: str, *types: str, created: str = "2026-01-01T00:00:00Z") -> Trial:
    conditions = tuple(Condition(type=t, status="True", message=f"{t} it is") for t in types)
    return Trial(
        metadata=ObjectMeta(name=name, namespace="default", creation_timestamp=created),
        spec=TrialSpec(parameter_assignments=(NameValue(name="lr", value="0.25"),)),
        status=TrialStatus(conditions=conditions, observation=SEEN if "Succeeded" in types else None),
    )


def _experiment(*conditions: Condition, best: str = "") -> Experiment:
    optimal = OptimalTrial(best_trial_name=best, observation=SEEN if best else None)
    return Experiment(
        metadata=ObjectMeta(name="e", namespace="default"),
        spec=ExperimentSpec(objective=OBJECTIVE, max_trial_count=12),
        status=ExperimentStatus(conditions=conditions, current_optimal_trial=optimal),
    )


@pytest.mark.parametrize(
    ("types", "state"),
    [
        ((), "Pending"),
        (("Created",), "Pending"),
        (("Created", "Running"), "Running"),
        (("Created", "Succeeded"), "Succeeded"),
        (("Created", "Failed"), "Failed"),
        (("Created", "MetricsUnavailable"), "MetricsUnavailable"),
        (("Created", "EarlyStopped"), "EarlyStopped"),
    ],
)
def test_a_trial_is_in_the_state_of_its_true_conditions(types: tuple[str, ...], state: str) -> None:
    assert state_of([Condition(type=t, status="True") for t in types])[0] == state


def test_a_condition_that_is_false_says_nothing() -> None:
    conditions = [Condition(type="Running", status="True"), Condition(type="Succeeded", status="False")]
    assert state_of(conditions) == ("Running", "")


@pytest.mark.parametrize(("strategy", "value"), [("min", "0.1"), ("max", "0.9"), ("latest", "0.2")])
def test_the_objective_is_read_by_its_strategy(strategy: str, value: str) -> None:
    strategies = (NameValue(name="loss", value=strategy),)
    objective = ObjectiveSpec(objective_metric_name="loss", metric_strategies=strategies)
    assert metric_value(SEEN, objective) == value


def test_a_metric_that_was_not_reported_has_no_value() -> None:
    assert metric_value(None, OBJECTIVE) == ""
    assert metric_value(SEEN, ObjectiveSpec(objective_metric_name="accuracy")) == ""


def test_trials_are_shown_oldest_first_and_counted_by_state() -> None:
    trials = [
        _trial("e-b", "Created", created="2026-01-01T00:00:02Z"),
        _trial("e-c", "Failed", created="2026-01-01T00:00:01Z"),
        _trial("e-a", "Created", created="2026-01-01T00:00:02Z"),
    ]
    progress = observe(_experiment(), trials)
    assert [row.name for row in progress.rows] == ["e-c", "e-a", "e-b"]
    assert progress.counts == {"Pending": 2, "Failed": 1}
    assert progress.rows[0].reason == "Failed it is"
    assert progress.rows[0].parameters == {"lr": "0.25"}


def test_the_best_trial_is_the_one_that_the_experiment_names() -> None:
    assert observe(_experiment(), []).best is None
    best = observe(_experiment(best="e-a"), [_trial("e-a", "Succeeded")]).best
    assert best is not None
    assert (best.name, best.value) == ("e-a", "0.1")


def test_the_end_comes_with_its_reason_and_message() -> None:
    running = Condition(type="Running", status="False", reason="Done")
    failed = Condition(type="Failed", status="True", reason="ExperimentFailed", message="too many")
    progress = observe(_experiment(running, failed), [])
    assert (progress.ending, progress.reason, progress.message) == ("Failed", "ExperimentFailed", "too many")
    assert observe(_experiment(running), []).ending == ""


@pytest.mark.parametrize(
    ("text", "short"),
    [("0.123456789", "0.1235"), ("12", "12"), ("123456", "123456"), ("-3", "-3"), ("relu", "relu"), ("", "")],
)
def test_long_numbers_are_shortened_and_words_are_not(text: str, short: str) -> None:
    assert shorten(text) == short
