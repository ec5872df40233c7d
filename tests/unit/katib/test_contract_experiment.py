"""Katib's own tables of cases for its Experiment controller, row by row (contract 12.1 and 12.2).

Where kfx does something else on purpose, the row says by which entry of docs/differences.md.

Elsewhere: 12.1-1 in test_build.py; 12.5-1 as far as it needs no image, TestVolume in test_suggestion.py;
12.5-6, test_nothing_changed_writes_nothing there. 12.1-8, 12.5-5 and 12.5-7 are about an API server that does
not know the object; here its owner is gone, and the plan is void: test_writer.py.
"""

from typing import Any

import msgspec
import pytest

from kfx.apis.common import NameValue
from kfx.apis.experiment import Experiment, ExperimentStatus
from kfx.katib.suggestion import SuggestionSeen, plan_suggestion
from kfx.kube.model import Condition, to_builtins
from kfx.runtime.plan import Plan
from tests.katib_objects import NOW, condition, experiment, objective, said, suggestion, trial
from tests.unit.katib.plans import MAX_REACHED, conditions_of, last, plan_of

Rows = list[tuple[tuple[str, ...], str | None]]
OK, BAD, RUN, NONE = ("Succeeded",), ("Failed",), ("Running",), ("MetricsUnavailable",)


def status_of(spec: dict[str, Any], rows: Rows, **target: Any) -> ExperimentStatus:
    trials = [
        trial("Created", *words, name=f"t{i}", age=i, value=value, target=objective(**target))
        for i, (words, value) in enumerate(rows)
    ]
    found = plan_of(experiment("Created", **spec), trials).status
    assert isinstance(found, ExperimentStatus)
    return found


def best_of(status: ExperimentStatus) -> str:
    assert status.current_optimal_trial is not None
    return status.current_optimal_trial.best_trial_name


@pytest.mark.parametrize(
    ("spec", "rows", "best", "end"),
    [
        pytest.param(
            {"most": 10}, [(OK, "0.5"), (OK, "0.3"), (OK, "0.4")], "t1", "ExperimentRunning", id="12.2-1"
        ),
        pytest.param(
            {"most": 10}, [(OK, "0.3"), (OK, "0.4"), (OK, "0.5")], "t0", "ExperimentRunning", id="12.2-2"
        ),
        # Katib: t0. A number is compared with numbers only (C3)
        pytest.param({}, [(OK, "text"), (OK, "0.3")], "t1", "ExperimentRunning", id="12.2-3"),
        # Katib: t0, and the goal is not reached (C3)
        pytest.param({"goal": 0.35}, [(OK, "nan"), (OK, "0.3")], "t1", "ExperimentGoalReached", id="12.2-4"),
        pytest.param({"goal": 0.35}, [(OK, "0.3"), (OK, "nan")], "t0", "ExperimentGoalReached", id="12.2-5"),
        pytest.param({"goal": 0.35}, [(RUN, "0.3")], "t0", "ExperimentGoalReached", id="12.2-6"),
        pytest.param({"most_failed": 0}, [(OK, "0.3")], "t0", "ExperimentRunning", id="12.2-7"),
        pytest.param({"most_failed": 0}, [(BAD, None)], "", "ExperimentFailed", id="12.2-8"),
        pytest.param(
            {"most": 2, "most_failed": 1}, [(OK, "1"), (BAD, None)], "t0", "ExperimentFailed", id="12.2-9"
        ),
        pytest.param({"most_failed": 1}, [(NONE, None)], "", "ExperimentFailed", id="12.2-10"),
        pytest.param({}, [(OK, "0.5"), (OK, "0.5")], "t0", "ExperimentRunning", id="12.2-14"),
        pytest.param({"most": None}, [(OK, "0.5")], "t0", "ExperimentRunning", id="12.2-15"),
    ],
)
def test_trials_make_the_status(spec: dict[str, Any], rows: Rows, best: str, end: str) -> None:
    status = status_of(spec, rows)
    assert (best_of(status), status.conditions[-1].reason) == (best, end)


def test_12_2_2_names_stand_in_the_order_of_age_whatever_the_order_of_the_list() -> None:
    trials = [trial("Created", "Succeeded", name=f"t{i}", age=i, value="0.3") for i in range(3)]
    for order in (trials, trials[::-1]):
        found = plan_of(experiment("Created"), order).status
        assert isinstance(found, ExperimentStatus)
        assert found.succeeded_trial_list == ("t0", "t1", "t2")


def test_12_2_6_a_running_trial_that_reaches_the_goal_still_runs() -> None:
    assert status_of({"goal": 0.35}, [(RUN, "0.3")]).trials_running == 1


@pytest.mark.parametrize(
    ("words", "counted"),
    [
        pytest.param(("EarlyStopped", "Succeeded"), "trialsSucceeded", id="12.2-11"),
        pytest.param(("Running", "EarlyStopped"), "trialsEarlyStopped", id="12.2-12"),
    ],
)
def test_a_trial_of_two_states_is_counted_once(words: tuple[str, ...], counted: str) -> None:
    found = to_builtins(status_of({}, [(words, "0.3")]))
    counts = {key: value for key, value in found.items() if key.startswith("trials") and key != "trials"}
    assert counts == {counted: 1}


def test_12_2_13_without_a_strategy_there_is_no_optimum() -> None:
    found = to_builtins(status_of({}, [(OK, "0.3")], strategy=""))
    assert found["currentOptimalTrial"] == {"observation": {}}


def test_12_2_16_a_restart_ends_with_restarting_true_and_running_false() -> None:
    of = experiment("Created", "-Running", MAX_REACHED, policy="LongRunning", most=2, status={"trials": 1})
    trials = [trial("Created", "Succeeded", name="t0", value="1")]
    found = suggestion("Created", "Running", requests=1, names=("t0",), policy="LongRunning")
    again = plan_of(of, trials, found)
    assert conditions_of(again) == ["Created", "Restarting", "Running"]
    of = Experiment(metadata=of.metadata, spec=of.spec, status=again.status)
    trials.append(trial("Created", "Succeeded", name="t1", value="1"))
    assert conditions_of(plan_of(of, trials, found)) == ["Created", "Restarting", "-Running", "Succeeded"]


def test_12_1_2_the_assignment_that_no_trial_has_taken_up_is_taken_up() -> None:
    trials = [trial("Created", "Running", name=name) for name in ("t1", "t3")]
    found = plan_of(
        experiment("Created", parallel=3), trials, suggestion(requests=3, names=("t1", "t2", "t3"))
    )
    assert [each.manifest["metadata"]["name"] for each in found.create] == ["t2"]


def test_12_1_3_a_surplus_of_assignments_never_becomes_a_surplus_of_trials() -> None:
    """Katib makes three and deletes one (C5)."""
    assigned = suggestion("Created", "Running", requests=2, names=("t1", "t2", "t3"), count=0)
    of = experiment("Created", parallel=2, most=2)
    found = plan_of(of, [], assigned)
    assert [each.manifest["metadata"]["name"] for each in found.create] == ["t1", "t2"]
    trials = [trial("Created", name=name) for name in ("t1", "t2")]
    assert conditions_of(plan_of(of, trials, assigned)) == ["Created", "Running"]
    assert plan_of(of, trials, assigned).create == ()


def test_12_1_4_the_suggestion_loses_the_assignment_of_a_trial_that_is_given_up() -> None:
    trials = [trial("Created", name=f"t{i}", age=i) for i in range(3)]
    assigned = suggestion("Created", "Running", requests=2, names=("t0", "t1", "t2"))
    found = plan_of(experiment("Created", parallel=2), trials, assigned)
    (patch,) = found.patch
    assert [each["name"] for each in patch.changes["status"]["suggestions"]] == ["t0", "t1"]
    assert [each.name for each in found.delete] == ["t2"]


def test_12_1_5_the_suggestion_of_a_failed_experiment_is_ended_and_cannot_be_restarted() -> None:
    failed = condition("Failed", reason="ExperimentMaxTrialsReached")
    found = plan_of(experiment("Created", failed), [], suggestion("Created", "Running"))
    ended = found.patch[0].changes["status"]["conditions"][-1]
    assert (ended["type"], ended["reason"]) == ("Succeeded", "Experiment is succeeded")
    assert ended["message"] == "Suggestion is succeeded, can't be restarted"


def test_12_1_6_one_from_a_volume_is_ended_then_restarted() -> None:
    ended = plan_of(
        experiment("Created", MAX_REACHED, policy="FromVolume", most=1, status={"trials": 1}),
        [],
        suggestion("Created", "Running", policy="FromVolume"),
    )
    (patch,) = ended.patch
    words = patch.changes["status"]["conditions"]
    text = "Suggestion is succeeded, suggestion volume is not deleted, can be restarted"
    assert words[-1]["message"] == text
    of = experiment("Created", MAX_REACHED, policy="FromVolume", most=5, status={"trials": 1})
    stored = suggestion("Created", policy="FromVolume")
    conditions = msgspec.convert(words, tuple[Condition, ...])
    stored = msgspec.structs.replace(stored, status=type(stored.status)(conditions=conditions))
    again = plan_of(of, [trial("Created", "Succeeded", value="1")], stored)
    running = again.patch[0].changes["status"]["conditions"][-1]
    assert (running["type"], running["status"]) == ("Running", "False")
    assert running["reason"] == "Experiment is restarting"
    assert {"Succeeded", "Failed"}.isdisjoint(conditions_of(again))
    assert "Restarting" in conditions_of(again)


def test_12_1_7_a_deleted_experiment_lets_go() -> None:
    assert plan_of(experiment("Created", deleting=True)).release == ("update-prometheus-metrics",)


def test_12_1_9_without_a_suggestion_there_is_nothing_to_end() -> None:
    assert plan_of(experiment("Created", "Succeeded"), [], None) == Plan()


def test_12_5_2_to_4_a_suggestion_runs_and_is_gone_when_it_is_ended() -> None:
    """Without a Deployment, ready and running at once (C8); ended by hand it does nothing."""
    answer = [(NameValue(name="x", value="1"),)]
    seen = SuggestionSeen(
        suggestion=suggestion("Created", requests=1), experiment=experiment("Created"), answer=answer
    )
    status = plan_suggestion(seen, NOW).status
    assert status is not None
    assert said(to_conditions(status)) == ["Created", "DeploymentReady", "Running"]
    by_hand = suggestion("Created", "-Running", "-DeploymentReady", "Succeeded", requests=1)
    assert plan_suggestion(SuggestionSeen(suggestion=by_hand, experiment=experiment()), NOW) == Plan()


def to_conditions(status: Any) -> Any:
    return status.conditions


@pytest.mark.parametrize("kind", ["ValidateAlgorithmSettings", "ValidateEarlyStoppingSettings"])
def test_12_5_8_and_9_what_is_refused_fails(kind: str) -> None:
    seen = SuggestionSeen(
        suggestion=suggestion("Created", requests=1), experiment=experiment(), problem=f"{kind} Error: no"
    )
    found = plan_suggestion(seen, NOW)
    assert said(to_conditions(found.status)) == ["Created", "DeploymentReady", "Failed"]
    assert last(found).message == f"Validation failed: {kind} Error: no"
