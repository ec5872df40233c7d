import pytest

from kfx.apis.experiment import ExperimentStatus
from kfx.katib.summary import age_of, state_of
from kfx.katib.tally import summarise
from kfx.kube.model import to_builtins
from tests.katib_objects import objective, trial


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ((), "Pending"),
        (("Created",), "Pending"),
        (("Created", "Running"), "Running"),
        (("Created", "-Running", "Succeeded"), "Succeeded"),
        (("-Running", "Failed"), "Failed"),
        (("-Running", "MetricsUnavailable"), "MetricsUnavailable"),
        (("Running", "EarlyStopped"), "EarlyStopped"),
        (("EarlyStopped", "Succeeded"), "Succeeded"),
        (("EarlyStopped", "MetricsUnavailable"), "EarlyStopped"),
        (("Succeeded", "Killed"), "Killed"),
        (("Succeeded", "Failed"), "Failed"),
        (("-Running",), "Pending"),
    ],
)
def test_a_trial_is_counted_under(words: tuple[str, ...], state: str) -> None:
    assert state_of(trial(*words)) == state


def test_trials_are_ordered_by_age_and_then_by_name() -> None:
    trials = [trial(name="b", age=1), trial(name="c", age=0), trial(name="a", age=1)]
    assert [t.metadata.name for t in sorted(trials, key=age_of)] == ["c", "a", "b"]


def test_every_list_and_count_of_the_status_is_filled() -> None:
    states = ["Pending", "Running", "Succeeded", "Failed", "Killed", "EarlyStopped", "MetricsUnavailable"]
    trials = [trial("Created", state, name=state.lower()) for state in states]
    summary = summarise(trials, objective())
    assert to_builtins(summary.apply_to(ExperimentStatus())) == {
        "currentOptimalTrial": {"observation": {}},
        "runningTrialList": ("running",),
        "pendingTrialList": ("pending",),
        "failedTrialList": ("failed",),
        "succeededTrialList": ("succeeded",),
        "killedTrialList": ("killed",),
        "earlyStoppedTrialList": ("earlystopped",),
        "metricsUnavailableTrialList": ("metricsunavailable",),
        "trials": 7,
        "trialsSucceeded": 1,
        "trialsFailed": 1,
        "trialsKilled": 1,
        "trialsPending": 1,
        "trialsRunning": 1,
        "trialsEarlyStopped": 1,
        "trialMetricsUnavailable": 1,
    }
    assert (summary.active, summary.done, summary.unsuccessful, summary.unobserved) == (2, 5, 2, 1)


def test_an_early_stopped_trial_with_a_value_is_complete() -> None:
    assert summarise([trial("EarlyStopped", value="1")], objective()).unobserved == 0
    assert summarise([trial("EarlyStopped", value="unavailable")], objective()).unobserved == 1


def test_a_value_that_was_given_up_is_not_waited_for() -> None:
    ended = trial("EarlyStopped", "-Running", "MetricsUnavailable")
    assert summarise([ended], objective()).unobserved == 0


def test_the_order_in_which_trials_come_does_not_matter() -> None:
    trials = [trial("Running", name=f"t{i}", age=i) for i in range(5)]
    assert summarise(trials[::-1], objective()) == summarise(trials, objective())


def test_nothing_is_left_of_trials_that_are_gone() -> None:
    before = summarise([trial("Running")], objective()).apply_to(ExperimentStatus())
    assert before.trials_running == 1
    after = summarise([], objective()).apply_to(before)
    assert (after.trials, after.trials_running, after.running_trial_list) == (0, 0, ())
