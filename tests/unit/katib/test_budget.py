from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from kfx.apis.common import ParameterAssignment
from kfx.apis.experiment import ConfigMapSource, Experiment, TrialTemplate
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.budget import (
    MADE_AGAIN,
    MADE_AT_ONCE,
    ExperimentSeen,
    Hopeless,
    ask_first,
    places,
    plan_budget,
)
from kfx.katib.tally import Tally, summarise
from kfx.katib.trial_template import RenderError
from kfx.runtime.plan import Note, Plan
from tests.katib_objects import RUN_SPEC, condition, experiment, suggestion, trial


def render(
    _: Experiment, name: str, assignments: Sequence[ParameterAssignment], text: str | None
) -> dict[str, Any]:
    return RUN_SPEC | {"metadata": {"name": name}, "spec": {"x": assignments[0].value, "text": text}}


def refuse(*_: object) -> dict[str, Any]:
    raise RenderError("unable to find non-meta parameter")


def seen(
    trials: Sequence[Trial] = (),
    found: Suggestion | None = None,
    of: Experiment | None = None,
    **more: Any,
) -> ExperimentSeen:
    defaults: dict[str, Any] = {"experiment": of or experiment(), "suggestion": found, "render": render}
    return ExperimentSeen(**{**defaults, "trials": Tally.of(trials)} | more)


def decide(state: ExperimentSeen) -> Plan | Hopeless:
    return plan_budget(state, summarise(state.trials, state.experiment.spec.objective))


def planned(state: ExperimentSeen) -> Plan:
    plan = decide(state)
    assert isinstance(plan, Plan)
    return plan


def made(plan: Plan) -> list[str]:
    return [create.manifest["metadata"]["name"] for create in plan.create]


def requested(plan: Plan) -> list[Any]:
    return [patch.changes["spec"]["requests"] for patch in plan.patch]


def _many(state: str, count: int, start: int = 0) -> list[Trial]:
    return [trial("Created", state, name=f"t{start + i}", age=start + i) for i in range(count)]


@pytest.mark.parametrize(
    ("trials", "parallel", "most", "free"),
    [
        ([], 3, 12, 3),
        ([], 3, 2, 2),
        ([], 3, None, 3),
        ([], None, None, 3),
        (_many("Running", 2), 3, 12, 1),
        (_many("Running", 3), 3, 12, 0),
        (_many("Running", 4), 3, 12, -1),
        (_many("Pending", 2), 3, 12, 1),
        (_many("Succeeded", 11), 3, 12, 1),
        (_many("Succeeded", 11) + _many("Running", 1, 11), 3, 12, 0),
        (_many("Failed", 1) + _many("Killed", 1, 1) + _many("EarlyStopped", 1, 2), 3, 5, 2),
        (_many("MetricsUnavailable", 4), 3, 5, 1),
        (_many("MetricsUnavailable", 4) + _many("Running", 1, 4), 3, 5, 0),
        (_many("Succeeded", 50), 3, None, 3),
    ],
)
def test_trials_leave_so_many_places(
    trials: list[Trial], parallel: int | None, most: int | None, free: int
) -> None:
    spec = experiment(parallel=parallel, most=most).spec
    assert places(spec, summarise(trials, spec.objective)) == free


def test_without_a_suggestion_one_is_made_with_the_request_in_it() -> None:
    plan = planned(seen(of=experiment(parallel=3, most=2)))
    assert plan.create[0].manifest["kind"] == "Suggestion"
    assert plan.create[0].manifest["spec"]["requests"] == 2
    assert plan.create[0].owner_uid == "e-uid"


def test_the_first_request_counts_the_trials_that_are_there() -> None:
    of = experiment()
    found = ask_first(of, summarise(_many("Succeeded", 2), of.spec.objective))
    assert found.manifest["spec"]["requests"] == 5


@pytest.mark.parametrize(
    ("trials", "requests", "patched"),
    [
        ([], 3, []),
        ([], 0, [3]),
        (_many("Running", 2) + _many("Succeeded", 1, 2), 3, [4]),
        (_many("Succeeded", 3), 3, [6]),
        (_many("Succeeded", 3), 9, [6]),
        (_many("EarlyStopped", 1) + _many("Running", 2, 1), 5, [3]),
        (_many("Running", 3), 9, []),
    ],
)
def test_requests_are_trials_and_places_less_those_stopped_without_a_value(
    trials: list[Trial], requests: int, patched: list[int]
) -> None:
    found = suggestion("Running", requests=requests, names=tuple(t.metadata.name for t in trials))
    assert requested(planned(seen(trials, found))) == patched


def test_an_exhausted_suggestion_is_not_asked() -> None:
    ended = condition("Succeeded", reason="SuggestionEndReached")
    assert planned(seen([], suggestion(ended, requests=0))) == Plan()


def test_assignments_without_trial_become_trials() -> None:
    trials = [trial("Succeeded", name="t1"), trial("Running", name="t3")]
    plan = planned(seen(trials, suggestion("Running", requests=4, names=("t1", "t2", "t3"))))
    assert made(plan) == ["t2"]
    assert plan.create[0].manifest["spec"]["runSpec"]["spec"] == {"x": "1", "text": None}
    assert plan.create[0].owner_uid == "e-uid"


def test_no_more_trials_than_places() -> None:
    found = suggestion("Running", requests=2, names=("t1", "t2", "t3"))
    assert made(planned(seen([], found, experiment(parallel=2, most=2)))) == ["t1", "t2"]


def test_after_so_many_trials_it_is_the_turn_of_other_experiments() -> None:
    names = [f"t{number:02}" for number in range(MADE_AT_ONCE + 6)]
    of, found = experiment(parallel=30, most=30), suggestion("Running", requests=30, names=names)
    plan = planned(seen([], found, of))
    assert made(plan) == names[:MADE_AT_ONCE]
    assert plan.requeue_after == MADE_AGAIN
    there = [trial("Created", name=name) for name in names[:MADE_AT_ONCE]]
    plan = planned(seen(there, found, of))
    assert made(plan) == names[MADE_AT_ONCE:]
    assert plan.requeue_after is None


def test_a_trial_that_somebody_deleted_comes_back_under_its_name() -> None:
    found = suggestion("Running", requests=3, names=("t1", "t2", "t3"))
    trials = [trial("Running", name="t1"), trial("Running", name="t3")]
    assert made(planned(seen(trials, found))) == ["t2"]


def test_nothing_is_made_while_every_place_is_taken() -> None:
    found = suggestion("Running", requests=3, names=("t0", "t1", "t2", "t9"))
    assert planned(seen(_many("Running", 3), found)) == Plan()


def test_a_failed_suggestion_ends_the_experiment_with_its_cause_told() -> None:
    failed = condition("Failed", message="Validation failed: x")
    assert decide(seen([], suggestion(failed))) == Hopeless(
        "Suggestion has failed", "Suggestion has failed: Validation failed: x"
    )


def test_a_trial_that_cannot_be_rendered_stops_those_behind_it_and_is_told() -> None:
    def only_the_first(of: Experiment, name: str, *more: Any) -> dict[str, Any]:
        return render(of, name, *more) if name == "t1" else refuse()

    found = suggestion("Running", requests=1, names=("t1", "t2", "t3"))
    plan = planned(seen([], found, render=only_the_first))
    assert (made(plan), requested(plan)) == (["t1"], [3])
    text = "Failed to reconcile: unable to find non-meta parameter"
    assert plan.notes == (Note("Warning", "ReconcileError", text),)
    assert plan.requeue_after == 600


@pytest.mark.parametrize("problem", [{"render": refuse}, {"template_problem": "configMap not found"}])
def test_a_template_in_a_config_map_may_still_be_corrected(problem: dict[str, Any]) -> None:
    of = experiment(template=TrialTemplate(config_map=ConfigMapSource(config_map_name="c")))
    plan = planned(seen([], suggestion("Running", requests=3, names=("t1",)), of, **problem))
    assert plan.create == ()
    assert plan.notes[0].message.startswith("Failed to reconcile: ")
    assert plan.requeue_after == 30


def test_the_text_of_a_config_map_is_rendered() -> None:
    found = suggestion("Running", requests=3, names=("t1",))
    plan = planned(seen([], found, template_text="text"))
    assert plan.create[0].manifest["spec"]["runSpec"]["spec"]["text"] == "text"


class TestScaleDown:
    """Fewer places than active trials."""

    OF = experiment(parallel=1)
    TRIALS = (
        trial("Succeeded", name="done", age=9),
        trial("Running", name="old", age=1),
        trial("Running", name="new", age=2),
        trial("Created", name="pending", age=0),
    )
    NAMES = ("done", "old", "new", "pending")

    def test_first_no_more_is_requested_than_will_be_left(self) -> None:
        plan = planned(seen(self.TRIALS, suggestion("Running", requests=4, names=self.NAMES), self.OF))
        assert requested(plan) == [2]
        assert plan.delete == ()

    def test_then_pending_and_the_newest_running_go_with_their_assignments(self) -> None:
        plan = planned(seen(self.TRIALS, suggestion("Running", requests=2, names=self.NAMES), self.OF))
        assert [(d.name, d.uid) for d in plan.delete] == [("pending", "pending-uid"), ("new", "new-uid")]
        (patch,) = plan.patch
        assert patch.subresource == "status"
        status = patch.changes["status"]
        assert [a["name"] for a in status["suggestions"]] == ["done", "old"]
        assert status["suggestionCount"] == 2
        assert status["assignmentsMade"] == 4

    def test_a_trial_that_has_changed_meanwhile_is_not_deleted(self) -> None:
        plan = planned(seen(self.TRIALS, suggestion("Running", requests=2, names=self.NAMES), self.OF))
        assert [d.resource_version for d in plan.delete] == ["3", "3"]

    def test_it_knows_how_many_assignments_there_were_though_it_happens_again(self) -> None:
        found = suggestion("Running", requests=2, names=self.NAMES)
        status = msgspec.structs.replace(found.status, assignments_made=9)
        plan = planned(seen(self.TRIALS, msgspec.structs.replace(found, status=status), self.OF))
        assert plan.patch[0].changes["status"]["assignmentsMade"] == 9

    def test_what_is_going_already_counts_and_is_not_deleted_again(self) -> None:
        trials = (
            *self.TRIALS[:2],
            trial("Running", name="new", age=2, deleting=True),
            trial("Created", name="pending", deleting=True),
        )
        plan = planned(seen(trials, suggestion("Running", requests=2, names=("done", "old")), self.OF))
        assert plan == Plan()

    def test_after_a_crash_those_whose_assignment_is_forgotten_go_first(self) -> None:
        trials = (trial("Running", name="a", age=1), trial("Running", name="b", age=2))
        plan = planned(seen(trials, suggestion("Running", requests=1, names=("b",)), self.OF))
        assert [d.name for d in plan.delete] == ["a"]
        assert plan.patch == ()

    def test_trials_go_even_where_there_is_no_suggestion(self) -> None:
        plan = planned(seen(self.TRIALS, None, self.OF))
        assert [d.name for d in plan.delete] == ["pending", "new"]
