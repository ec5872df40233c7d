from typing import Any

import msgspec
import pytest

from kfx.apis.common import NameValue
from kfx.apis.suggestion import Suggestion
from kfx.katib.names import controller_reference
from kfx.katib.suggestion import (
    SuggestionSeen,
    give_up,
    made,
    needs_validation,
    overlay_settings,
    plan_suggestion,
    wanted,
)
from kfx.katib.tally import Tally
from kfx.kube.model import to_builtins
from kfx.runtime.plan import Note, Plan
from tests.katib_objects import NOW, condition, experiment, objective, said, suggestion, trial

RUNNING = ("Created", "DeploymentReady", "Running")


def answers(*values: str) -> list[tuple[NameValue, ...]]:
    return [(NameValue(name="x", value=value),) for value in values]


def plan(of: Suggestion, **more: Any) -> Plan:
    return plan_suggestion(SuggestionSeen(**{"suggestion": of, "experiment": experiment()} | more), NOW)


def conditions_of(found: Plan) -> list[tuple[str, str, str]]:
    assert found.status is not None
    return [(c.type, c.reason, c.message) for c in found.status.conditions]


def test_first_it_is_created_and_nothing_else() -> None:
    found = plan(suggestion(requests=3))
    assert conditions_of(found) == [("Created", "SuggestionCreated", "Suggestion is created")]
    assert found.status is not None
    assert found.status.start_time == NOW


def test_then_it_is_ready_and_running_with_all_assignments_in_one_write() -> None:
    found = plan(suggestion("Created", requests=2), answer=answers("0.1", "0.2"))
    assert conditions_of(found)[1:] == [
        ("DeploymentReady", "DeploymentReady", "Deployment is ready"),
        ("Running", "SuggestionRunning", "Suggestion is running"),
    ]
    assert found.status is not None
    assert found.status.suggestion_count == 2
    first, second = found.status.suggestions
    assert first.name != second.name
    assert first.name.startswith("e-")
    assert first.parameter_assignments == (NameValue(name="x", value="0.1"),)


def test_the_same_ask_names_its_trials_as_before() -> None:
    of = suggestion("Created", requests=2)
    assert plan(of, answer=answers("1", "2")) == plan(of, answer=answers("1", "2"))


def test_an_ask_after_assignments_were_given_up_uses_other_names() -> None:
    of = suggestion(*RUNNING, requests=1)
    later = Suggestion(
        metadata=type(of.metadata)(name="e", namespace="ns", uid="s-uid", generation=5),
        spec=of.spec,
        status=of.status,
    )
    first, second = plan(of, answer=answers("1")).status, plan(later, answer=answers("1")).status
    assert first is not None
    assert second is not None
    assert first.suggestions[0].name != second.suggestions[0].name


def test_new_assignments_stand_behind_the_old_ones() -> None:
    found = plan(suggestion(*RUNNING, requests=3, names=("a", "b")), answer=answers("9"))
    assert found.status is not None
    assert [s.name for s in found.status.suggestions][:2] == ["a", "b"]
    assert found.status.suggestion_count == 3


def test_a_name_that_a_trial_has_is_not_given_again() -> None:
    of = suggestion(*RUNNING, requests=1)
    first = plan(of, answer=answers("1")).status
    assert first is not None
    taken = trial("Succeeded", name=first.suggestions[0].name)
    again = plan(of, answer=answers("1"), trials=Tally.of([taken])).status
    assert again is not None
    assert again.suggestions[0].name != first.suggestions[0].name


def test_after_some_were_given_up_the_next_is_numbered_as_if_they_were_there() -> None:
    of = suggestion(*RUNNING, requests=4, names=("a", "b", "c", "d"))
    status = give_up(of.status, {"b", "c"})
    assert ([s.name for s in status.suggestions], status.suggestion_count, made(status)) == (["a", "d"], 2, 4)
    of = msgspec.structs.replace(of, status=status)
    later = plan(of, answer=answers("4", "5")).status
    assert later is not None
    assert (later.suggestion_count, made(later)) == (4, 6)
    assert made(give_up(later, {"a"})) == 6


def test_nothing_of_kfxs_own_is_in_a_status_of_which_nothing_was_given_up() -> None:
    status = plan(suggestion(*RUNNING, requests=2, names=("a",)), answer=answers("1")).status
    assert status is not None
    assert "assignmentsMade" not in to_builtins(status)
    assert made(status) == 2


@pytest.mark.parametrize(("given", "count"), [(("1",), 1), (("1", "2", "3", "4", "5"), 3)])
def test_fewer_answers_are_taken_and_no_more_than_asked_for(given: tuple[str, ...], count: int) -> None:
    found = plan(suggestion(*RUNNING, requests=3), answer=answers(*given))
    assert found.status is not None
    assert found.status.suggestion_count == count


def test_settings_that_are_refused_fail_it_in_katibs_words() -> None:
    found = plan(suggestion("Created", requests=3), problem="ValidateAlgorithmSettings Error: bad")
    message = "Validation failed: ValidateAlgorithmSettings Error: bad"
    assert conditions_of(found)[1:] == [
        ("DeploymentReady", "DeploymentReady", "Deployment is ready"),
        ("Failed", "SuggestionFailed", message),
    ]
    assert found.notes == (Note("Warning", "SuggestionFailed", message),)


class TestVolume:
    """The claim of an experiment that may be resumed from its volume."""

    def test_it_is_made_before_the_suggestion_runs_with_katibs_defaults(self) -> None:
        found = plan(suggestion("Created", requests=1, policy="FromVolume"), answer=answers("1"))
        (create,) = found.create
        assert create.manifest == {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": "e-random",
                "namespace": "ns",
                "ownerReferences": [controller_reference(suggestion())],
            },
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        assert create.owner_uid == "s-uid"

    def test_what_katib_config_says_of_it_stays(self) -> None:
        claim = {"storageClassName": "fast", "resources": {"requests": {"storage": "9Gi"}}}
        found = plan(suggestion("Created", policy="FromVolume"), claim=claim)
        assert found.create[0].manifest["spec"] == {**claim, "accessModes": ["ReadWriteOnce"]}

    def test_it_is_looked_for_again_after_a_restart(self) -> None:
        restarting = condition("-Running", reason="Experiment is restarting")
        assert len(plan(suggestion("Created", restarting, policy="FromVolume")).create) == 1

    @pytest.mark.parametrize(
        ("of", "more"),
        [
            (suggestion(policy="FromVolume"), {}),
            (suggestion(*RUNNING, policy="FromVolume"), {}),
            (suggestion("Created", "Succeeded", policy="FromVolume"), {}),
            (suggestion("Created", policy="LongRunning"), {}),
            (suggestion("Created", policy="FromVolume"), {"problem": "no"}),
            (suggestion("Created", policy="FromVolume"), {"experiment": None}),
        ],
        ids=["new", "running", "ended", "other-policy", "refused", "no-experiment"],
    )
    def test_otherwise_there_is_none(self, of: Suggestion, more: dict[str, Any]) -> None:
        assert plan(of, **more).create == ()


class TestExhaustion:
    """The algorithm has nothing more."""

    def test_while_a_trial_runs_it_is_asked_again_later(self) -> None:
        of = suggestion(*RUNNING, requests=3, names=("e-1",))
        found = plan(of, answer=[], trials=Tally.of([trial("Running")]))
        assert found.status is None
        assert found.notes == (Note("Warning", "ReconcileError", "The response contains unexpected trials"),)
        assert found.requeue_after == 10

    def test_an_assignment_whose_trial_is_not_made_yet_counts_as_running(self) -> None:
        of = suggestion(*RUNNING, requests=3, names=("e-1",))
        assert plan(of, answer=[]).requeue_after == 10

    def test_with_nothing_running_it_ends(self) -> None:
        of = suggestion(*RUNNING, requests=3, names=("e-1",))
        found = plan(of, answer=[], trials=Tally.of([trial("Succeeded")]))
        assert found.status is not None
        assert said(found.status.conditions) == ["Created", "-Running", "-DeploymentReady", "Succeeded"]
        assert found.status.conditions[-1].reason == "SuggestionEndReached"


@pytest.mark.parametrize(
    "of",
    [
        suggestion(*RUNNING, requests=2, names=("a", "b")),
        suggestion("Created", "-Running", "Succeeded", requests=5),
        suggestion("Created", "Failed", requests=5),
    ],
    ids=["all-answered", "succeeded", "failed"],
)
def test_nothing_changed_writes_nothing(of: Suggestion) -> None:
    assert plan(of) == Plan()


def test_without_its_experiment_it_is_left_alone() -> None:
    assert plan(suggestion("Created", requests=3), experiment=None) == Plan()


def test_after_a_restart_it_is_ready_and_running_again() -> None:
    restarting = condition("-Running", reason="Experiment is restarting")
    found = plan(suggestion("Created", "-DeploymentReady", restarting), answer=None)
    assert found.status is not None
    assert said(found.status.conditions) == ["Created", "DeploymentReady", "Running"]


@pytest.mark.parametrize(
    ("words", "validate", "count"),
    [
        ((), False, 0),
        (("Created",), True, 3),
        (RUNNING, False, 3),
        (("Created", "-Running"), True, 3),
        (("Created", "Failed"), False, 0),
        (("Created", "Succeeded"), False, 0),
    ],
)
def test_when_it_is_validated_and_asked(words: tuple[str, ...], validate: bool, count: int) -> None:
    of = suggestion(*words, requests=5, names=("a", "b"))
    assert needs_validation(of) is validate
    assert wanted(of) == count


def test_less_requested_than_given_asks_nothing() -> None:
    assert wanted(suggestion(*RUNNING, requests=1, names=("a", "b"))) == 0


def test_trials_without_a_value_are_not_told() -> None:
    trials = [
        trial("Created", name="new", age=5),
        trial("Running", name="running", age=4),
        trial("Failed", name="failed", age=3),
        trial("MetricsUnavailable", name="none", age=2),
        trial("EarlyStopped", name="stopped", age=1),
        trial("EarlyStopped", name="useful", value="1", age=0, target=objective()),
    ]
    assert [t.metadata.name for t in Tally.of(trials).told()] == ["useful", "failed", "running", "new"]


def test_settings_of_earlier_answers_are_laid_over_the_experiments() -> None:
    of = experiment()
    assert overlay_settings(of, suggestion()) is of
    algorithm = type(of.spec.algorithm)(
        algorithm_name="hyperband",
        algorithm_settings=(NameValue(name="r_l", value="9"), NameValue(name="eta", value="3")),
    )
    of = type(of)(metadata=of.metadata, spec=type(of.spec)(algorithm=algorithm))
    found = suggestion()
    status = type(found.status)(
        algorithm_settings=(NameValue(name="eta", value="4"), NameValue(name="s", value="1"))
    )
    overlaid = overlay_settings(of, type(found)(metadata=found.metadata, status=status))
    assert overlaid.spec.algorithm is not None
    assert [(s.name, s.value) for s in overlaid.spec.algorithm.algorithm_settings] == [
        ("r_l", "9"),
        ("eta", "4"),
        ("s", "1"),
    ]
