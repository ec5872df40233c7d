from typing import Any

import msgspec
import pytest

from kfx.apis.apps import Deployment, Service
from kfx.apis.common import AlgorithmSpec, EarlyStoppingRule, NameValue
from kfx.apis.suggestion import Suggestion, SuggestionSpec, TrialAssignment
from kfx.apis.trial import Trial
from kfx.katib.image_suggestion import (
    ImageSuggestionSeen,
    Inside,
    Proposal,
    Word,
    plan_clean_up,
    plan_image_suggestion,
)
from kfx.katib.tally import Tally
from kfx.kube.model import Condition, ObjectMeta
from kfx.runtime.plan import Create, Note, Plan
from tests.katib_objects import NOW, condition, conditions, owner, said, suggestion, trial

RUNNING = (
    "Created",
    condition("DeploymentReady"),
    condition("Running", reason="SuggestionRunning"),
)
MISSING = (Create(resource=Service.resource, manifest={}, owner_uid="s-uid"),)


def meta(**more: Any) -> ObjectMeta:
    given = {
        "name": "e-random",
        "namespace": "ns",
        "uid": "d-uid",
        "owner_references": owner("Suggestion", "e", "s-uid"),
    }
    return ObjectMeta(**{**given, **more})


def deployment(*words: str, **more: Any) -> Deployment:
    found = Deployment(metadata=meta(**more))
    status = msgspec.structs.replace(found.status, conditions=conditions(*words))
    return msgspec.structs.replace(found, status=status)


def service(**more: Any) -> Service:
    return Service(metadata=meta(**more))


def proposal(*values: str, start: int = 0, **more: Any) -> Proposal:
    assignments = tuple(
        TrialAssignment(parameter_assignments=(NameValue(name="x", value=value),)) for value in values
    )
    return Proposal(start=start, requests=start + len(values), assignments=assignments, **more)


def plan(
    of: Suggestion,
    *,
    trials: tuple[Trial, ...] = (),
    ready: bool = True,
    missing: tuple[Create, ...] = (),
    **word: Any,
) -> Plan:
    seen = ImageSuggestionSeen(
        suggestion=of,
        trials=Tally.of(trials),
        missing=missing,
        deployment=deployment("Available") if ready else None,
        word=Word(**word),
    )
    return plan_image_suggestion(seen, NOW)


def told(found: Plan) -> list[tuple[str, str, str]]:
    assert found.status is not None
    return [(c.type, c.status, c.message) for c in found.status.conditions]


def test_3_9_it_is_created_before_anything_is_made() -> None:
    found = plan(suggestion(), missing=MISSING, ready=False)
    assert found.create == ()
    assert told(found) == [("Created", "True", "Suggestion is created")]


def test_3_9_then_its_objects_are_made_and_it_waits_for_the_pod() -> None:
    found = plan(suggestion("Created"), missing=MISSING, ready=False, again=180.0)
    assert found.create == MISSING
    assert found.requeue_after == 180.0
    assert told(found)[1:] == [("DeploymentReady", "False", "Deployment is not ready")]
    assert found.status.conditions[-1].reason == "DeploymentNotReady"


def test_3_9_an_available_deployment_alone_does_not_make_it_run() -> None:
    found = plan(suggestion("Created", condition("-DeploymentReady", reason="DeploymentNotReady")))
    assert told(found)[1:] == [("DeploymentReady", "True", "Deployment is ready")]


def test_12_5_it_runs_once_the_settings_are_found_valid() -> None:
    """12.5.2: the Deployment is available."""
    found = plan(suggestion("Created", requests=2), problem="")
    assert told(found)[1:] == [
        ("DeploymentReady", "True", "Deployment is ready"),
        ("Running", "True", "Suggestion is running"),
    ]


@pytest.mark.parametrize("method", ["ValidateAlgorithmSettings", "ValidateEarlyStoppingSettings"])
def test_12_5_settings_that_are_refused_fail_it(method: str) -> None:
    """12.5.8, 12.5.9: in Katib's words."""
    found = plan(suggestion("Created", requests=2), problem=f"{method} Error: no")
    assert told(found)[1:] == [
        ("DeploymentReady", "True", "Deployment is ready"),
        ("Failed", "True", f"Validation failed: {method} Error: no"),
    ]
    assert found.notes == (Note("Warning", "SuggestionFailed", f"Validation failed: {method} Error: no"),)


def test_3_9_a_pod_that_goes_away_later_leaves_it_running() -> None:
    found = plan(suggestion(*RUNNING, requests=1), ready=False)
    assert said(found.status.conditions) == ["Created", "Running", "-DeploymentReady"]
    back = msgspec.structs.replace(suggestion(), status=found.status)
    assert said(plan(back).status.conditions) == ["Created", "Running", "DeploymentReady"]


def test_3_9_a_restart_begins_with_the_deployment() -> None:
    of = suggestion(
        "Created",
        condition("-DeploymentReady", reason="Suggestion is succeeded"),
        condition("-Running", reason="Experiment is restarting"),
        policy="FromVolume",
    )
    found = plan(of, missing=MISSING, ready=False)
    assert found.create == MISSING
    assert said(found.status.conditions) == ["Created", "-Running", "-DeploymentReady"]
    again = plan(msgspec.structs.replace(of, status=found.status), problem="")
    assert said(again.status.conditions) == ["Created", "DeploymentReady", "Running"]


def test_12_5_where_nothing_changes_nothing_is_written() -> None:
    """12.5.6: also while an answer is on its way."""
    of = msgspec.structs.replace(suggestion(), status=plan(suggestion("Created"), problem="").status)
    assert plan(of) == Plan()


@pytest.mark.parametrize("ended", ["Succeeded", "Failed"])
def test_one_that_has_ended_needs_nothing_but_its_cleaning_up(ended: str) -> None:
    of = suggestion(*RUNNING, ended, requests=3)
    assert plan(of, missing=MISSING, proposal=proposal("1")) == Plan()


def test_an_answer_is_taken_up_with_names_rules_and_labels() -> None:
    rules = (EarlyStoppingRule(name="loss", value="1", comparison="less"),)
    given = TrialAssignment(name="e-pbt", labels={"a": "b"}, early_stopping_rules=rules)
    answer = proposal("1", "2")
    found = plan(
        suggestion(*RUNNING, requests=3),
        proposal=Proposal(start=0, requests=3, assignments=(*answer.assignments, given)),
    )
    first, second, third = found.status.suggestions
    assert [first.parameter_assignments[0].value, second.parameter_assignments[0].value] == ["1", "2"]
    assert first.name[:2] == second.name[:2] == "e-"
    assert first.name != second.name
    assert third == given
    assert found.status.suggestion_count == 3


def test_an_answer_is_named_alike_however_often_it_is_written() -> None:
    """D8: also when the Experiment has raised its requests meanwhile."""
    of = suggestion(*RUNNING, requests=2)
    later = msgspec.structs.replace(
        of,
        spec=msgspec.structs.replace(of.spec, requests=5),
        metadata=msgspec.structs.replace(of.metadata, generation=2),
    )
    answer = proposal("1", "2")
    assert plan(of, proposal=answer).status.suggestions == plan(later, proposal=answer).status.suggestions


def test_an_answer_is_taken_up_once() -> None:
    of = suggestion(*RUNNING, requests=2, names=("e-1", "e-2"))
    assert plan(of, proposal=proposal("1", "2")).status is None


def test_an_answer_counts_though_less_is_wanted_by_now() -> None:
    """A stateful algorithm must see every point that it gave come back."""
    found = plan(suggestion(*RUNNING, requests=1), proposal=proposal("1", "2", "3"))
    assert found.status.suggestion_count == 3


def test_fewer_assignments_than_requested_are_taken() -> None:
    """12.6.4: D10."""
    found = plan(suggestion(*RUNNING, requests=2), proposal=proposal("1"))
    assert found.status.suggestion_count == 1


def test_settings_that_an_answer_changes_are_replaced_by_name() -> None:
    of = suggestion(*RUNNING, requests=1)
    kept = (NameValue(name="a", value="1"), NameValue(name="b", value="2"))
    of = msgspec.structs.replace(of, status=msgspec.structs.replace(of.status, algorithm_settings=kept))
    changed = (NameValue(name="b", value="3"), NameValue(name="c", value="4"))
    found = plan(of, proposal=proposal("1", settings=changed)).status.algorithm_settings
    assert [(s.name, s.value) for s in found] == [("a", "1"), ("b", "3"), ("c", "4")]


def test_3_8_nothing_while_a_trial_runs_is_told_and_asked_again() -> None:
    of = suggestion(*RUNNING, requests=2, names=("e-1",))
    for busy, state in ((True, "Succeeded"), (False, "Running")):
        found = plan(of, trials=(trial(state, value="1"),), proposal=proposal(start=1, busy=busy))
        assert found.notes[0].message == "The response contains unexpected trials"
        assert found.requeue_after == 10.0
        assert found.status is None


def test_3_8_nothing_though_no_trial_runs_is_the_end() -> None:
    of = suggestion(*RUNNING, requests=2, names=("e-1",))
    found = plan(of, trials=(trial("Succeeded", value="1"),), proposal=proposal(start=1))
    assert said(found.status.conditions) == ["Created", "-Running", "-DeploymentReady", "Succeeded"]
    assert found.status.conditions[-1].reason == "SuggestionEndReached"


def test_what_keeps_an_algorithm_from_answering_is_told() -> None:
    note = Note("Warning", "ReconcileError", "GetSuggestions: away")
    found = plan(suggestion(*RUNNING, requests=1), note=note, again=3.0)
    assert (found.notes, found.requeue_after) == ((note,), 3.0)


def test_12_5_deployment_and_service_go_with_the_end() -> None:
    """12.5.3: exactly those that were seen, once."""
    of = suggestion("Created", "Succeeded")
    found = plan_clean_up(of, deployment(), service(uid="v-uid"))
    assert [(d.resource.plural, d.namespace, d.name, d.uid) for d in found.delete] == [
        ("deployments", "ns", "e-random", "d-uid"),
        ("services", "ns", "e-random", "v-uid"),
    ]
    assert plan_clean_up(of, None, None) == Plan()
    assert plan_clean_up(of, deployment(deletion_timestamp=NOW), service(deletion_timestamp=NOW)) == Plan()


def test_what_belongs_to_somebody_else_does_not_go() -> None:
    others = owner("Suggestion", "e", "earlier")
    of = suggestion("Created", "Succeeded")
    assert plan_clean_up(of, deployment(owner_references=others), service(owner_references=())) == Plan()


@pytest.mark.parametrize(
    ("algorithm", "rule", "inside"),
    [
        ("random", "", True),
        ("random", "medianstop", True),
        ("random", "other", False),
        ("tpe", "", False),
        ("", "", False),
    ],
)
def test_what_runs_inside_needs_no_image(algorithm: str, rule: str, inside: bool) -> None:
    spec = SuggestionSpec(
        algorithm=AlgorithmSpec(algorithm_name=algorithm) if algorithm else None,
        early_stopping=AlgorithmSpec(algorithm_name=rule) if rule else None,
    )
    assert Inside(("random",), ("medianstop",)).answers(spec) is inside


def test_a_deployment_is_available_by_its_condition_alone() -> None:
    of = suggestion("Created", requests=1)
    for words in ((), ("-Available",), ("Progressing",)):
        seen = ImageSuggestionSeen(suggestion=of, deployment=deployment(*words), word=Word(problem=""))
        found: tuple[Condition, ...] = plan_image_suggestion(seen, NOW).status.conditions
        assert said(found) == ["Created", "-DeploymentReady"]
