"""What leaves a list that has become too long, and how the user learns of it."""

import msgspec

from kfx.apis.common import NameValue
from kfx.apis.experiment import ExperimentStatus
from kfx.apis.suggestion import Suggestion, SuggestionStatus, TrialAssignment
from kfx.katib.experiment import plan_experiment
from kfx.katib.long_lists import ANNOTATION, LIMIT, STEP, shorten_assignments, shorten_names
from kfx.katib.suggestion import SuggestionSeen, give_up, made, plan_suggestion
from kfx.katib.tally import Tally
from kfx.kube.model import KubeObject, to_builtins
from kfx.runtime.plan import Plan
from tests.katib_objects import NOW, experiment, suggestion, trial
from tests.unit.katib.plans import seen_of

RUNNING = ("Created", "DeploymentReady", "Running")
BIG = "x" * 10_000
ENDED = 52
NAMES = tuple(f"e-{i:03}" for i in range(ENDED))
"""So many of :data:`BIG` are just within the limit."""


def big(name: str) -> TrialAssignment:
    return TrialAssignment(name=name, parameter_assignments=(NameValue(name="x", value=BIG),))


def full(count: int = ENDED) -> Suggestion:
    found = suggestion(*RUNNING, requests=count + 1)
    listed = tuple(big(name) for name in NAMES[:count])
    status = msgspec.structs.replace(found.status, suggestions=listed, suggestion_count=count)
    return msgspec.structs.replace(found, status=status)


def annotated(found: KubeObject) -> KubeObject:
    metadata = msgspec.structs.replace(found.metadata, annotations={ANNOTATION: "true"})
    return msgspec.structs.replace(found, metadata=metadata)


def trials(*running: str) -> Tally:
    return Tally.of(
        trial("Created", "Running" if name in running else "Succeeded", name=name, value="1")
        for name in NAMES
    )


def answered(found: KubeObject, told: Tally) -> Plan:
    answer = [(NameValue(name="x", value=BIG),)]
    seen = SuggestionSeen(suggestion=found, experiment=experiment("Created"), trials=told, answer=answer)
    return plan_suggestion(seen, NOW)


def test_a_list_within_the_limit_is_complete() -> None:
    status = full().status
    assert len(msgspec.json.encode(status.suggestions)) < LIMIT
    assert shorten_assignments(status, trials()) is status


def test_first_the_object_says_that_its_lists_are_not_complete() -> None:
    found = answered(full(), trials())
    assert found.status is None
    assert found.patch[0].changes == {"metadata": {"annotations": {ANNOTATION: "true"}}}
    assert [note.reason for note in found.notes] == ["ListsShortened"]


def test_then_the_oldest_of_ended_trials_leave_and_the_count_stays() -> None:
    status = answered(annotated(full()), trials("e-001")).status
    assert isinstance(status, SuggestionStatus)
    names = [each.name for each in status.suggestions]
    assert names[:2] == ["e-001", "e-008"]
    assert (len(names), status.suggestion_count, made(status)) == (ENDED + 1 - 7, ENDED + 1, ENDED + 1)
    assert len(msgspec.json.encode(status.suggestions)) < LIMIT - STEP // 2


def test_what_is_given_up_later_is_taken_off_the_total() -> None:
    status = answered(annotated(full()), trials()).status
    assert isinstance(status, SuggestionStatus)
    left = give_up(status, {"e-050"})
    assert (left.suggestion_count, made(left)) == (ENDED, ENDED + 1)


def test_an_ended_trial_that_somebody_deletes_is_replaced_though_it_is_not_on_the_list() -> None:
    of = experiment("Created", "Running", parallel=1, most=100)
    short = annotated(suggestion(*RUNNING, requests=9, names=("e-7", "e-8"), count=9))
    names = [f"e-{i}" for i in range(1, 9)]  # e-0 is deleted
    told = [trial("Succeeded", name=name, value="1") for name in names]
    found = plan_experiment(seen_of(of, told, short), NOW)
    assert found.patch[0].changes == {"spec": {"requests": 10}}


def names_of(count: int, length: int) -> tuple[str, ...]:
    return tuple(f"{i:0{length}}" for i in range(count))


class TestExperiment:
    """Its lists of names, together."""

    LENGTH = 61  # with quotes and comma a 1/8192 of the limit

    def status(self, succeeded: int, failed: int = 0, running: int = 0) -> ExperimentStatus:
        return ExperimentStatus(
            succeeded_trial_list=names_of(succeeded, self.LENGTH),
            failed_trial_list=names_of(failed, self.LENGTH),
            running_trial_list=names_of(running, self.LENGTH),
            trials=succeeded + failed + running,
            trials_succeeded=succeeded,
        )

    def test_they_are_complete_up_to_the_limit(self) -> None:
        status = self.status(8000, 92, 100)
        assert shorten_names(status) is status

    def test_the_oldest_of_the_longest_leave_and_counts_stay(self) -> None:
        found = shorten_names(self.status(8000, 92, 101))
        assert (found.trials, found.trials_succeeded) == (8193, 8000)
        assert found.succeeded_trial_list == names_of(8000, self.LENGTH)[1024:]
        assert (len(found.failed_trial_list), len(found.running_trial_list)) == (92, 101)

    def test_they_stay_as_they_are_while_a_step_fills_up(self) -> None:
        cut = 8000 - len(shorten_names(self.status(8000, 92, 101)).succeeded_trial_list)
        assert 9000 - len(shorten_names(self.status(9000, 92, 101)).succeeded_trial_list) == cut
        assert 9100 - len(shorten_names(self.status(9100, 92, 101)).succeeded_trial_list) == 2 * cut

    def test_running_trials_never_leave(self) -> None:
        found = shorten_names(self.status(0, 0, 9000))
        assert len(found.running_trial_list) == 9000

    def test_it_is_told_before_the_first_name_leaves(self) -> None:
        told = [
            trial("Created", "Succeeded", name=f"e-{'x' * 230}-{i:06}", age=i % 60, value="1")
            for i in range(2200)
        ]
        of = experiment("Created", "Running", most=9999)
        found = plan_experiment(seen_of(of, told), NOW)
        assert found.status is None
        assert found.patch[0].changes == {"metadata": {"annotations": {ANNOTATION: "true"}}}
        found = plan_experiment(seen_of(annotated(of), told), NOW)
        assert found.status is not None
        assert len(to_builtins(found.status)["succeededTrialList"]) < 2000
        assert to_builtins(found.status)["trialsSucceeded"] == 2200
