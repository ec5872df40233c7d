from datetime import UTC, datetime

import pytest

from kfx.apis.common import NameValue
from kfx.apis.experiment import Experiment, OptimalTrial
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.commands.rows import by_objective, columns_of, row
from kfx.kube.model import KubeObject
from tests.katib_objects import condition, experiment, objective, observed, suggestion, trial

NOW = datetime(2026, 1, 2, 3, 4, 0, tzinfo=UTC)


def shown(obj: KubeObject, *, wide: bool = False) -> dict[str, str]:
    columns = columns_of(type(obj), wide=wide, with_namespace=wide)
    return dict(zip([c.heading for c in columns], row(obj, columns, NOW), strict=True))


def test_an_experiment_shows_its_counts_and_the_best_so_far() -> None:
    best = OptimalTrial(
        best_trial_name="e-1",
        parameter_assignments=(NameValue(name="x", value="0.123456"), NameValue(name="act", value="relu")),
        observation=observed("0.5", low="0.25"),
    )
    counts = {"trials": 6, "trials_running": 1, "trials_pending": 1, "trials_succeeded": 2}
    counts |= {"trials_failed": 1, "trial_metrics_unavailable": 1}
    found = shown(
        experiment("Created", "Running", status={"current_optimal_trial": best, **counts}), wide=True
    )
    assert found["NAMESPACE"] == "ns"
    assert (found["TYPE"], found["STATUS"], found["TRIALS"]) == ("Running", "True", "6/12")
    assert (found["RUNNING"], found["SUCCEEDED"], found["FAILED"]) == ("2", "2", "2")
    assert (found["BEST"], found["BEST TRIAL"]) == ("loss=0.25", "e-1")
    assert found["PARAMETERS OF THE BEST"] == "x=0.1235 act=relu"


@pytest.mark.parametrize("obj", [experiment(most=None), trial(), suggestion()])
def test_an_object_that_nobody_has_touched_has_a_row_too(obj: KubeObject) -> None:
    found = shown(obj, wide=True)
    assert (found["TYPE"], found["STATUS"]) == ("", "")
    assert found.get("BEST", "-") == found.get("VALUE", "-") == "-"


def test_a_trial_shows_its_value_its_time_and_why_it_failed() -> None:
    found = shown(trial("Created", condition("Failed", message="exit 1"), value="0.5"), wide=True)
    assert (found["VALUE"], found["AGE"], found["MESSAGE"]) == ("0.5", "4m", "exit 1")
    assert (found["EXPERIMENT"], found["PARAMETERS"], found["DURATION"]) == ("e", "x=0", "-")


def test_a_trial_that_does_not_get_on_shows_what_holds_it_up() -> None:
    text = "Trial is running. PodNotStarting: pod e-1 has not started: no Secret x; create it"
    found = shown(trial("Created", condition("Running", message=text)), wide=True)
    assert found["HELD UP BY"] == "PodNotStarting"
    assert found["MESSAGE"] == "pod e-1 has not started: no Secret x; create it"
    plain = shown(trial("Created", condition("Running", message="Trial is running")), wide=True)
    assert (plain["HELD UP BY"], plain["MESSAGE"]) == ("-", "-")


def test_a_suggestion_shows_what_kubectl_shows() -> None:
    found = shown(suggestion("Created", requests=3, names=("e-1",)))
    assert list(found) == ["NAME", "TYPE", "STATUS", "REQUESTED", "ASSIGNED", "AGE"]
    assert (found["REQUESTED"], found["ASSIGNED"]) == ("3", "1")


def test_kubectls_columns_come_in_kubectls_order() -> None:
    for kind in (Experiment, Trial, Suggestion):
        headings = [c.heading for c in columns_of(kind, wide=False, with_namespace=False)]
        assert [h for h in headings if h in {"NAME", "TYPE", "STATUS", "AGE"}] == [
            "NAME",
            "TYPE",
            "STATUS",
            "AGE",
        ]


@pytest.mark.parametrize(("kind", "order"), [("minimize", "bac"), ("maximize", "abc")])
def test_the_best_trial_is_first_and_those_without_a_value_are_last(kind: str, order: str) -> None:
    target = objective(kind)
    values = {"a": "10", "b": "9.5", "c": None, "d": "nan"}
    trials = [
        trial(name=name, value=value, age=age, target=target)
        for age, (name, value) in enumerate(values.items())
    ]
    assert "".join(t.metadata.name for t in by_objective(trials)) == f"{order}d"
