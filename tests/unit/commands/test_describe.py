from datetime import UTC, datetime

import msgspec

from kfx.apis.common import NameValue
from kfx.apis.experiment import OptimalTrial
from kfx.apis.workload import Event
from kfx.commands.describe import render
from kfx.katib.explanation import Unread
from tests.explanation_cases import event
from tests.katib_objects import condition, experiment, observed, suggestion, trial

NOW = datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC)


def below(lines: list[str], heading: str) -> list[str]:
    """The lines of one section."""
    start = lines.index(f"{heading}:") + 1
    return [line for line in lines[start:] if line.startswith("  ")]


def test_an_experiment_is_shown_from_its_goal_to_its_best_trial() -> None:
    best = OptimalTrial(
        best_trial_name="e-1",
        parameter_assignments=(NameValue(name="x", value="0.5"),),
        observation=observed("0.25"),
    )
    status = {"trials": 3, "trials_running": 2, "trials_succeeded": 1, "current_optimal_trial": best}
    lines = render(experiment("Created", "Running", goal=0.1, most_failed=2, status=status), (), NOW)
    assert lines[0] == "Experiment:   ns/e"
    assert "Objective:    minimize loss, goal 0.1" in lines
    assert "Budget:       at most 12 trials, 3 at once, given up after 2 failed" in lines
    assert "Trials:       3: 2 running, 1 succeeded" in lines
    assert below(lines, "Best trial")[:3] == ["  e-1", "    loss   0.25", "    x      0.5"]
    assert below(lines, "Conditions")[0].split() == ["TYPE", "STATUS", "AGE", "REASON", "MESSAGE"]
    assert lines[-1] == "Events:       <none>"


def test_an_experiment_tells_what_holds_its_trials_up() -> None:
    text = "Trial is running. PodUnschedulable: pod e-{} has no node; add one"
    trials = [
        trial("Created", condition("Running", message=text.format(n)), name=f"e-{n}", age=n) for n in (1, 2)
    ]
    trials.append(trial("Created", "Running", name="e-3"))
    lines = render(experiment("Created", "Running"), (), NOW, trials)
    assert below(lines, "Held up")[0] == "  PodUnschedulable (and 1 more)  e-1: pod e-1 has no node; add one"
    assert "Held up:" not in render(experiment("Created", "Running"), (), NOW, trials[2:])


def test_an_experiment_that_nobody_has_touched_is_shown_too() -> None:
    lines = render(experiment(deleting=True), Unread("events", "forbidden"), NOW)
    assert "Deleting:     for 55s" in lines
    assert "Best trial:   none yet" in lines
    assert "Conditions:   <none>" in lines
    assert lines[-1] == "Events:       could not check events (forbidden)"


def test_an_event_that_was_said_often_is_one_line_with_its_count() -> None:
    said = msgspec.structs.replace(
        event("Trial", "e-1", "ReconcileError", "no", count=7), first_timestamp="2026-01-02T03:00:00Z"
    )
    lines = render(trial("Created"), (said,), NOW)
    assert lines[-1].split(maxsplit=6) == [
        "2s",
        "(x7",
        "over",
        "5m)",
        "Warning",
        "ReconcileError",
        "Trial/e-1   no",
    ]


def test_of_many_events_the_newest_are_shown_last() -> None:
    many: list[Event] = [event("Suggestion", "e", f"R{number}", "m") for number in range(20)]
    lines = render(suggestion("Created"), many, NOW)
    assert "  (5 earlier ones are left out)" in lines
    assert "R19" in lines[-1]
    assert not any("R4 " in line for line in lines)
