import pytest

from kfx.apis.common import Observation
from kfx.apis.experiment import OptimalTrial
from kfx.katib.optimal import Optimum, find_optimum
from tests.katib_objects import objective, observed, trial


def _best(*values: str, kind: str = "minimize", goal: float | None = None) -> tuple[str, bool]:
    spec = objective(kind, goal=goal)
    trials = [trial("Succeeded", name=f"t{i}", value=v, target=spec) for i, v in enumerate(values)]
    found = find_optimum(trials, spec)
    return found.trial.metadata.name if found.trial is not None else "", found.goal_reached


@pytest.mark.parametrize(
    ("values", "kind", "best"),
    [
        (("0.5", "0.3", "0.4"), "minimize", "t1"),
        (("0.4", "0.5", "0.3"), "minimize", "t2"),
        (("0.5", "0.3", "0.4"), "maximize", "t0"),
        (("0.5", "0.5"), "minimize", "t0"),
        (("0.5", "0.5"), "maximize", "t0"),
        (("nan", "0.3"), "minimize", "t1"),
        (("0.3", "nan"), "minimize", "t0"),
        (("nan",), "minimize", ""),
        (("1e400", "0.3"), "minimize", "t1"),
        (("0.3", "1e400"), "minimize", "t0"),
        (("0.3", "Inf"), "maximize", "t1"),
        (("-inf", "0.3"), "minimize", "t0"),
        (("text", "0.3"), "minimize", "t1"),
        (("0.3", "text"), "minimize", "t0"),
        (("genotype-a", "genotype-b"), "maximize", "t1"),
        (("unavailable",), "minimize", ""),
        (("0x1p-2", "0.3"), "minimize", "t0"),
        (("1_000", "2"), "maximize", "t0"),
        ((), "minimize", ""),
    ],
)
def test_the_best_of(values: tuple[str, ...], kind: str, best: str) -> None:
    assert _best(*values, kind=kind)[0] == best


@pytest.mark.parametrize(
    ("values", "kind", "goal", "reached"),
    [
        (("0.5", "0.3"), "minimize", 0.35, True),
        (("0.5", "0.3"), "minimize", 0.3, True),
        (("0.5", "0.4"), "minimize", 0.35, False),
        (("0.5", "0.4"), "maximize", 0.5, True),
        (("0.5", "0.4"), "maximize", 0.6, False),
        (("0.3", "nan"), "minimize", 0.35, True),
        (("nan", "0.3"), "minimize", 0.35, True),
        (("0.3",), "minimize", None, False),
        (("0",), "minimize", 0.0, True),
        (("text",), "minimize", 5.0, False),
        ((), "minimize", 5.0, False),
    ],
)
def test_the_goal_is_reached_by(
    values: tuple[str, ...], kind: str, goal: float | None, reached: bool
) -> None:
    assert _best(*values, kind=kind, goal=goal)[1] is reached


def test_a_trial_that_still_runs_may_be_the_best() -> None:
    found = find_optimum([trial("Running", value="0.3")], objective(goal=0.35))
    assert found.trial is not None
    assert found.goal_reached


def test_a_trial_without_strategy_never_is() -> None:
    found = find_optimum([trial("Succeeded", value="0.3", target=objective(strategy=""))], objective())
    assert found == Optimum()


def test_the_status_takes_name_parameters_and_all_metrics() -> None:
    best = trial("Succeeded", value="0.3")
    found = Optimum(best).as_status(None)
    assert found.best_trial_name == "e-1"
    assert found.parameter_assignments == best.spec.parameter_assignments
    assert found.observation == observed("0.3")


def test_without_a_best_the_former_one_stays_and_there_is_always_an_observation() -> None:
    assert Optimum().as_status(None) == OptimalTrial(observation=Observation())
    former = OptimalTrial(best_trial_name="gone", observation=observed("0.1"))
    assert Optimum().as_status(former) == former
