from typing import Any

import pytest

from kfx.apis.experiment import Experiment
from kfx.katib.trial_template import RenderError
from kfx.kube.model import to_builtins
from kfx.runtime.plan import Count, Note, Plan
from tests.katib_objects import NOW, condition, experiment, said, suggestion, trial
from tests.unit.katib.plans import conditions_of, last, plan_of, trials_of

NAMESPACE = (("namespace", "ns"),)


class TestStart:
    """The first look."""

    def test_finalizer_then_created_then_the_suggestion(self) -> None:
        found = plan_of(experiment(finalizers=(), most=1))
        assert found.add_finalizers == ("update-prometheus-metrics",)
        assert found.intent is not None
        assert said(found.intent.conditions) == ["Created"]
        created = found.intent.conditions[0]
        assert (created.reason, created.message) == ("ExperimentCreated", "Experiment is created")
        assert to_builtins(found.intent)["currentOptimalTrial"] == {"observation": {}}
        assert found.intent.start_time == NOW
        assert [c.manifest["kind"] for c in found.create] == ["Suggestion"]
        assert found.create[0].manifest["spec"]["requests"] == 1
        assert found.status is None
        assert found.counts == (Count("katib_experiment_created_total", NAMESPACE),)

    def test_a_suggestion_that_is_there_is_not_made_again(self) -> None:
        assert plan_of(experiment(), found=suggestion()).create == ()

    def test_a_finalizer_that_somebody_removed_comes_back(self) -> None:
        found = plan_of(experiment("Created", "Failed", finalizers=("other",)))
        assert found.add_finalizers == ("update-prometheus-metrics",)

    def test_what_cannot_be_followed_is_created_and_then_fails_with_the_text(self) -> None:
        assert plan_of(experiment(), refusal="objective is required").create == ()
        found = plan_of(experiment("Created"), refusal="objective is required")
        assert conditions_of(found) == ["Created", "Failed"]
        assert last(found).message == "objective is required"
        assert last(found).reason == "ExperimentFailed"
        assert found.create == ()
        assert found.notes == (Note("Warning", "ExperimentFailed", "objective is required"),)

    def test_a_refusal_is_not_counted_as_admission_would_not_count_it(self) -> None:
        assert plan_of(experiment("Created"), refusal="objective is required").counts == ()


class TestDeletion:
    """An experiment on its way out."""

    def test_its_finalizer_goes_and_is_counted(self) -> None:
        found = plan_of(experiment("Created", "Running", deleting=True), trials_of("Running"))
        assert found == Plan(
            release=("update-prometheus-metrics",),
            counts=(Count("katib_experiment_deleted_total", NAMESPACE),),
        )

    def test_after_that_nothing_is_done_any_more(self) -> None:
        assert plan_of(experiment("Created", deleting=True, finalizers=("foregroundDeletion",))) == Plan()


SPEC_ROWS = [
    pytest.param({}, ("Running",), "0.5", "Running", "ExperimentRunning", id="running"),
    pytest.param({"goal": 0.35}, ("Succeeded",), "0.3", "Succeeded", "ExperimentGoalReached", id="goal"),
    pytest.param(
        {"goal": 0.35}, ("Running",), "0.3", "Succeeded", "ExperimentGoalReached", id="goal-while-running"
    ),
    pytest.param({"goal": 0.35}, ("Succeeded",), "nan", "Running", "ExperimentRunning", id="nan-is-no-goal"),
    pytest.param({"most_failed": 0}, ("Running",), None, "Running", "ExperimentRunning", id="no-failure"),
    pytest.param({"most_failed": 0}, ("Failed",), None, "Failed", "ExperimentFailed", id="first-failure"),
    pytest.param(
        {"most": 2, "most_failed": 1},
        ("Succeeded", "Failed"),
        None,
        "Failed",
        "ExperimentFailed",
        id="failure-before-max",
    ),
    pytest.param(
        {"most_failed": 1}, ("MetricsUnavailable",), None, "Failed", "ExperimentFailed", id="no-metrics"
    ),
    pytest.param(
        {"most_failed": 2}, ("Failed",), None, "Running", "ExperimentRunning", id="failures-allowed"
    ),
    pytest.param(
        {"goal": 1.0, "most_failed": 1},
        ("Succeeded", "Failed"),
        "0.5",
        "Succeeded",
        "ExperimentGoalReached",
        id="goal-before-failure",
    ),
    pytest.param(
        {"most": 2}, ("Succeeded", "EarlyStopped"), None, "Succeeded", "ExperimentMaxTrialsReached", id="max"
    ),
    pytest.param(
        {"most": 2},
        ("Succeeded", "MetricsUnavailable"),
        None,
        "Succeeded",
        "ExperimentMaxTrialsReached",
        id="max-counts-no-metrics",
    ),
    pytest.param({"most": 2}, ("Succeeded", "Running"), None, "Running", "ExperimentRunning", id="one-left"),
    pytest.param({"most": None}, ("Succeeded",) * 5, None, "Running", "ExperimentRunning", id="no-max"),
]


@pytest.mark.parametrize(("spec", "words", "value", "kind", "reason"), SPEC_ROWS)
def test_trials_decide_the_condition(
    spec: dict[str, Any], words: tuple[str, ...], value: str | None, kind: str, reason: str
) -> None:
    names = tuple(f"t{i}" for i in range(len(words)))
    found = plan_of(
        experiment("Created", "Running", **spec),
        trials_of(*words, value=value),
        suggestion("Running", names=names, requests=len(names)),
    )
    if kind == "Running":
        assert conditions_of(found) == ["Created", "Running"]
        assert found.status is not None
        assert found.status.completion_time is None
        return
    assert conditions_of(found) == ["Created", "-Running", kind]
    assert last(found).reason == reason
    assert found.status is not None
    assert found.status.completion_time == NOW
    assert found.counts == (Count(f"katib_experiment_{kind.lower()}_total", NAMESPACE),)
    assert (found.create, found.patch, found.delete) == ((), (), ())


@pytest.mark.parametrize(
    ("of", "words", "message"),
    [
        ({"goal": 1.0}, "Succeeded", "Experiment has succeeded because Objective goal has reached"),
        ({"most": 1}, "Succeeded", "Experiment has succeeded because max trial count has reached"),
        ({"most_failed": 1}, "Failed", "Experiment has failed because max failed count has reached"),
    ],
)
def test_the_end_is_told_in_katibs_words(of: dict[str, Any], words: str, message: str) -> None:
    assert last(plan_of(experiment("Created", **of), trials_of(words, value="0.5"))).message == message


def test_running_appears_with_the_first_trial() -> None:
    found = plan_of(experiment("Created"), [], suggestion("Running", requests=3))
    assert found.status is None or conditions_of(found) == ["Created"]
    found = plan_of(
        experiment("Created"), trials_of("Created"), suggestion("Running", names=("t0",), requests=3)
    )
    assert conditions_of(found) == ["Created", "Running"]
    assert last(found).message == "Experiment is running"
    assert found.status is not None
    assert found.status.pending_trial_list == ("t0",)


def test_when_all_trials_are_deleted_the_counts_follow_and_trials_are_made_again() -> None:
    stale = {"trials": 1, "trials_running": 1, "running_trial_list": ("t0",)}
    found = plan_of(
        experiment("Created", "Running", parallel=1, status=stale),
        [],
        suggestion("Running", names=("t0",), requests=1),
    )
    assert found.status is not None
    assert found.status.trials_running == 0
    assert [c.manifest["metadata"]["name"] for c in found.create] == ["t0"]


def test_exhaustion_ends_the_experiment_once_nothing_runs() -> None:
    ended = suggestion(condition("Succeeded", reason="SuggestionEndReached"), names=("t0",), requests=3)
    running = plan_of(experiment("Created", "Running"), trials_of("Running"), ended)
    assert conditions_of(running) == ["Created", "Running"]
    found = plan_of(experiment("Created", "Running"), trials_of("Succeeded"), ended)
    assert last(found).reason == "ExperimentSuggestionEndReached"
    assert last(found).message == "Experiment has succeeded because suggestion service has reached the end"


def test_a_retired_suggestion_is_not_taken_for_an_exhausted_one() -> None:
    retired = suggestion(condition("Succeeded", reason="Experiment is succeeded"), names=("t0",))
    assert (
        conditions_of(plan_of(experiment("Created", "Running"), trials_of("Succeeded"), retired))[-1]
        == "Running"
    )


def test_a_failed_suggestion_fails_the_experiment_at_a_time_and_with_its_cause() -> None:
    failed = suggestion(condition("Failed", message="Validation failed: x"))
    found = plan_of(experiment("Created"), [], failed)
    assert conditions_of(found) == ["Created", "Failed"]
    assert (last(found).reason, last(found).message) == ("ExperimentFailed", "Suggestion has failed")
    assert found.status is not None
    assert found.status.completion_time == NOW
    assert found.notes == (
        Note("Warning", "ExperimentFailed", "Suggestion has failed: Validation failed: x"),
    )
    assert found.counts == (Count("katib_experiment_failed_total", NAMESPACE),)


def test_a_template_that_cannot_be_rendered_is_told_and_the_experiment_goes_on() -> None:
    def refuse(*_: object) -> dict[str, Any]:
        raise RenderError("illegal reference of trial metadata: x")

    found = plan_of(
        experiment("Created", "Running"),
        trials_of("Succeeded"),
        suggestion("Running", names=("t0", "t1"), requests=4),
        render=refuse,
    )
    assert conditions_of(found) == ["Created", "Running"]
    assert found.status is not None
    assert found.status.trials_succeeded == 1
    assert found.notes == (
        Note("Warning", "ReconcileError", "Failed to reconcile: illegal reference of trial metadata: x"),
    )


def test_a_failure_names_the_last_trial_that_failed() -> None:
    broken = trial(
        condition("Failed", reason="TrialFailed. Job reason: R", message="Trial has failed"), age=2
    )
    found = plan_of(experiment("Created", most_failed=2), [broken, *trials_of("MetricsUnavailable")])
    assert found.notes == (
        Note(
            "Warning",
            "ExperimentFailed",
            "Experiment has failed because max failed count has reached; "
            "the last one: Trial e-1: TrialFailed. Job reason: R: Trial has failed",
        ),
    )


def test_nothing_changed_writes_nothing() -> None:
    trials = trials_of("Succeeded", "Running", value="0.5")
    found = suggestion("Running", names=("t0", "t1"), requests=2)
    of = experiment("Created", parallel=1)
    once = plan_of(of, trials, found)
    assert once.status is not None
    settled = Experiment(metadata=of.metadata, spec=of.spec, status=once.status)
    assert plan_of(settled, trials, found) == Plan()
    assert plan_of(settled, trials[::-1], found) == Plan()
