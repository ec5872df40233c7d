from collections.abc import Sequence
from typing import Any

import pytest

from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial
from kfx.katib.budget import ExperimentSeen
from kfx.katib.experiment import is_restarted, plan_experiment
from kfx.katib.trial_template import RenderError
from kfx.kube.model import Condition, to_builtins
from kfx.runtime.plan import Count, Note, Plan
from tests.katib_objects import NOW, RUN_SPEC, condition, experiment, said, suggestion, trial

NAMESPACE = (("namespace", "ns"),)
MAX_REACHED = condition("Succeeded", reason="ExperimentMaxTrialsReached")


def plan(
    of: Experiment,
    trials: Sequence[Trial] = (),
    found: Suggestion | None = None,
    **more: Any,
) -> Plan:
    def render(*_: object) -> dict[str, Any]:
        return RUN_SPEC

    defaults: dict[str, Any] = {"experiment": of, "trials": trials, "suggestion": found, "render": render}
    return plan_experiment(ExperimentSeen(**defaults | more), NOW)


def conditions_of(found: Plan) -> list[str]:
    assert found.status is not None
    return said(found.status.conditions)


def last(found: Plan) -> Condition:
    assert found.status is not None
    condition_: Condition = found.status.conditions[-1]
    return condition_


def trials_of(*words: str | tuple[str, ...], value: str | None = None) -> list[Trial]:
    return [
        trial(*((w,) if isinstance(w, str) else w), name=f"t{i}", age=i, value=value)
        for i, w in enumerate(words)
    ]


class TestStart:
    """The first look."""

    def test_finalizer_then_created_then_the_suggestion(self) -> None:
        found = plan(experiment(finalizers=(), most=1))
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
        assert plan(experiment(), found=suggestion()).create == ()

    def test_a_finalizer_that_somebody_removed_comes_back(self) -> None:
        found = plan(experiment("Created", "Failed", finalizers=("other",)))
        assert found.add_finalizers == ("update-prometheus-metrics",)

    def test_what_cannot_be_followed_is_created_and_then_fails_with_the_text(self) -> None:
        assert plan(experiment(), refusal="objective is required").create == ()
        found = plan(experiment("Created"), refusal="objective is required")
        assert conditions_of(found) == ["Created", "Failed"]
        assert last(found).message == "objective is required"
        assert last(found).reason == "ExperimentFailed"
        assert found.create == ()


class TestDeletion:
    """An experiment on its way out."""

    def test_its_finalizer_goes_and_is_counted(self) -> None:
        found = plan(experiment("Created", "Running", deleting=True), trials_of("Running"))
        assert found == Plan(
            release=("update-prometheus-metrics",),
            counts=(Count("katib_experiment_deleted_total", NAMESPACE),),
        )

    def test_after_that_nothing_is_done_any_more(self) -> None:
        assert plan(experiment("Created", deleting=True, finalizers=("foregroundDeletion",))) == Plan()


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
    found = plan(
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
    assert last(plan(experiment("Created", **of), trials_of(words, value="0.5"))).message == message


def test_running_appears_with_the_first_trial() -> None:
    found = plan(experiment("Created"), [], suggestion("Running", requests=3))
    assert found.status is None or conditions_of(found) == ["Created"]
    found = plan(
        experiment("Created"), trials_of("Created"), suggestion("Running", names=("t0",), requests=3)
    )
    assert conditions_of(found) == ["Created", "Running"]
    assert last(found).message == "Experiment is running"
    assert found.status is not None
    assert found.status.pending_trial_list == ("t0",)


def test_when_all_trials_are_deleted_the_counts_follow_and_trials_are_made_again() -> None:
    stale = {"trials": 1, "trials_running": 1, "running_trial_list": ("t0",)}
    found = plan(
        experiment("Created", "Running", parallel=1, status=stale),
        [],
        suggestion("Running", names=("t0",), requests=1),
    )
    assert found.status is not None
    assert found.status.trials_running == 0
    assert [c.manifest["metadata"]["name"] for c in found.create] == ["t0"]


def test_exhaustion_ends_the_experiment_once_nothing_runs() -> None:
    ended = suggestion(condition("Succeeded", reason="SuggestionEndReached"), names=("t0",), requests=3)
    running = plan(experiment("Created", "Running"), trials_of("Running"), ended)
    assert conditions_of(running) == ["Created", "Running"]
    found = plan(experiment("Created", "Running"), trials_of("Succeeded"), ended)
    assert last(found).reason == "ExperimentSuggestionEndReached"
    assert last(found).message == "Experiment has succeeded because suggestion service has reached the end"


def test_a_retired_suggestion_is_not_taken_for_an_exhausted_one() -> None:
    retired = suggestion(condition("Succeeded", reason="Experiment is succeeded"), names=("t0",))
    assert (
        conditions_of(plan(experiment("Created", "Running"), trials_of("Succeeded"), retired))[-1]
        == "Running"
    )


def test_a_failed_suggestion_fails_the_experiment_at_a_time_and_with_its_cause() -> None:
    failed = suggestion(condition("Failed", message="Validation failed: x"))
    found = plan(experiment("Created"), [], failed)
    assert conditions_of(found) == ["Created", "Failed"]
    assert (last(found).reason, last(found).message) == ("ExperimentFailed", "Suggestion has failed")
    assert found.status is not None
    assert found.status.completion_time == NOW
    assert found.notes == (
        Note("Warning", "ExperimentFailed", "Suggestion has failed: Validation failed: x"),
    )
    assert found.counts == (Count("katib_experiment_failed_total", NAMESPACE),)


def test_a_template_that_can_never_be_rendered_fails_the_experiment_with_its_text() -> None:
    def refuse(*_: object) -> dict[str, Any]:
        raise RenderError("illegal reference of trial metadata: x")

    found = plan(experiment("Created"), [], suggestion("Running", names=("t0",), requests=3), render=refuse)
    assert conditions_of(found) == ["Created", "Failed"]
    assert last(found).message == "illegal reference of trial metadata: x"
    assert found.notes[0].message == "Failed to reconcile: illegal reference of trial metadata: x"


def test_a_failure_names_the_last_trial_that_failed() -> None:
    broken = trial(
        condition("Failed", reason="TrialFailed. Job reason: R", message="Trial has failed"), age=2
    )
    found = plan(experiment("Created", most_failed=2), [broken, *trials_of("MetricsUnavailable")])
    assert found.notes == (
        Note(
            "Warning",
            "ExperimentFailed",
            "Experiment has failed because max failed count has reached; "
            "the last one: Trial e-1: TrialFailed. Job reason: R: Trial has failed",
        ),
    )


class TestCompleted:
    """After the end."""

    @pytest.mark.parametrize(
        ("policy", "message"),
        [
            ("Never", "Suggestion is succeeded, can't be restarted"),
            ("", "Suggestion is succeeded, can't be restarted"),
            ("FromVolume", "Suggestion is succeeded, suggestion volume is not deleted, can be restarted"),
        ],
    )
    @pytest.mark.parametrize("end", ["Succeeded", "Failed"])
    def test_the_suggestion_is_let_go(self, policy: str, message: str, end: str) -> None:
        found = plan(
            experiment("Created", "-Running", end, policy=policy),
            found=suggestion("Created", "DeploymentReady", "Running"),
        )
        (patch,) = found.patch
        changed = patch.changes["status"]["conditions"]
        words = [(c["type"], c["status"], c["reason"]) for c in changed]
        assert words == [
            ("Created", "True", "Created"),
            ("Running", "False", "Suggestion is succeeded"),
            ("DeploymentReady", "False", "Suggestion is succeeded"),
            ("Succeeded", "True", "Experiment is succeeded"),
        ]
        assert [c["message"] for c in changed[1:]] == [
            "Suggestion is not running",
            "Deployment is not ready",
            message,
        ]
        assert patch.subresource == "status"

    @pytest.mark.parametrize(
        "found",
        [
            None,
            suggestion("Created", "Succeeded"),
            suggestion("Created", "Failed"),
            suggestion("Created", condition("-Running", reason="Experiment is restarting")),
        ],
    )
    def test_nothing_is_done_about_a_suggestion_that_is_gone_done_or_restarting(
        self, found: Suggestion | None
    ) -> None:
        assert plan(experiment("Created", "Succeeded"), found=found) == Plan()

    def test_a_long_running_one_is_kept(self) -> None:
        of = experiment("Created", "Succeeded", policy="LongRunning")
        assert plan(of, found=suggestion("Created", "Running")) == Plan()

    def test_trials_that_still_run_are_followed_but_decide_nothing(self) -> None:
        of = experiment(
            "Created", "-Running", "Succeeded", status={"trials_running": 2, "trials": 2}, goal=0.1
        )
        found = plan(of, trials_of("Succeeded", "Running"), suggestion("Succeeded"))
        assert conditions_of(found) == ["Created", "-Running", "Succeeded"]
        assert found.status is not None
        assert (found.status.trials_running, found.status.trials_succeeded) == (1, 1)

    def test_once_none_runs_nothing_is_followed(self) -> None:
        of = experiment("Created", "Succeeded", status={"trials_pending": 1})
        assert plan(of, trials_of("Succeeded"), suggestion("Succeeded")) == Plan()


@pytest.mark.parametrize(
    ("end", "policy", "most", "trials", "again"),
    [
        (MAX_REACHED, "LongRunning", 5, 3, True),
        (MAX_REACHED, "FromVolume", 5, 3, True),
        (MAX_REACHED, "Never", 5, 3, False),
        (MAX_REACHED, "LongRunning", 3, 3, False),
        (MAX_REACHED, "LongRunning", None, 3, False),
        (condition("Succeeded", reason="ExperimentGoalReached"), "LongRunning", 5, 3, False),
        (condition("Failed", reason="ExperimentFailed"), "LongRunning", 5, 3, False),
    ],
)
def test_restarted_is_what_had_all_its_trials_and_gets_more(
    end: Condition, policy: str, most: int | None, trials: int, again: bool
) -> None:
    of = experiment("Created", end, policy=policy, most=most, status={"trials": trials})
    assert is_restarted(of) is again


class TestRestart:
    """A completed experiment with a larger budget."""

    def test_a_long_running_one_goes_on_in_the_same_pass(self) -> None:
        of = experiment(
            "Created", "-Running", MAX_REACHED, policy="LongRunning", most=4, status={"trials": 2}
        )
        found = plan(
            of,
            trials_of("Succeeded", "Succeeded"),
            suggestion("Running", names=("t0", "t1"), requests=2, policy="LongRunning"),
        )
        assert conditions_of(found) == ["Created", "Restarting", "Running"]
        assert found.status is not None
        restarting = found.status.conditions[1]
        assert (restarting.reason, restarting.message) == ("ExperimentRestarting", "Experiment is restarted")
        assert found.patch[0].changes == {"spec": {"requests": 4}}

    def test_one_from_a_volume_restarts_its_suggestion_first(self) -> None:
        of = experiment("Created", "-Running", MAX_REACHED, policy="FromVolume", most=4, status={"trials": 2})
        ended = suggestion(
            "Created", "-DeploymentReady", "-Running", "Succeeded", names=("t0", "t1"), requests=2
        )
        found = plan(of, trials_of("Succeeded", "Succeeded"), ended)
        assert conditions_of(found) == ["Created", "Restarting", "Running"]
        (patch,) = found.patch
        assert [(c["type"], c["status"]) for c in patch.changes["status"]["conditions"]] == [
            ("Created", "True"),
            ("DeploymentReady", "False"),
            ("Running", "False"),
        ]
        assert patch.changes["status"]["conditions"][-1]["reason"] == "Experiment is restarting"

    def test_done_again_keeps_restarting(self) -> None:
        of = experiment("Created", "Restarting", "Running", policy="LongRunning", most=2)
        found = plan(of, trials_of("Succeeded", "Succeeded"))
        assert conditions_of(found) == ["Created", "Restarting", "-Running", "Succeeded"]

    def test_a_second_restart_leaves_the_first_ones_time(self) -> None:
        first = condition("Restarting", reason="ExperimentRestarting")
        of = experiment(
            "Created", first, "-Running", MAX_REACHED, policy="LongRunning", most=4, status={"trials": 2}
        )
        found = plan(of, trials_of("Succeeded", "Succeeded"), suggestion("Running", requests=4))
        assert found.status is not None
        assert found.status.conditions[1] == first


def test_nothing_changed_writes_nothing() -> None:
    trials = trials_of("Succeeded", "Running", value="0.5")
    found = suggestion("Running", names=("t0", "t1"), requests=2)
    of = experiment("Created", parallel=1)
    once = plan(of, trials, found)
    assert once.status is not None
    settled = Experiment(metadata=of.metadata, spec=of.spec, status=once.status)
    assert plan(settled, trials, found) == Plan()
    assert plan(settled, trials[::-1], found) == Plan()
