"""What becomes of a completed Experiment and its Suggestion, and when it goes on."""

import pytest

from kfx.apis.suggestion import Suggestion
from kfx.katib.experiment import is_restarted
from kfx.kube.model import Condition
from kfx.runtime.plan import Plan
from tests.katib_objects import condition, experiment, suggestion
from tests.unit.katib.plans import MAX_REACHED, conditions_of, plan_of, trials_of


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
        found = plan_of(
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
        assert plan_of(experiment("Created", "Succeeded"), found=found) == Plan()

    def test_a_long_running_one_is_kept(self) -> None:
        of = experiment("Created", "Succeeded", policy="LongRunning")
        assert plan_of(of, found=suggestion("Created", "Running")) == Plan()

    def test_trials_that_still_run_are_followed_but_decide_nothing(self) -> None:
        of = experiment(
            "Created", "-Running", "Succeeded", status={"trials_running": 2, "trials": 2}, goal=0.1
        )
        found = plan_of(of, trials_of("Succeeded", "Running"), suggestion("Succeeded"))
        assert conditions_of(found) == ["Created", "-Running", "Succeeded"]
        assert found.status is not None
        assert (found.status.trials_running, found.status.trials_succeeded) == (1, 1)

    def test_once_none_runs_nothing_is_followed(self) -> None:
        of = experiment("Created", "Succeeded", status={"trials_pending": 1})
        assert plan_of(of, trials_of("Succeeded"), suggestion("Succeeded")) == Plan()


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
        found = plan_of(
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
        found = plan_of(of, trials_of("Succeeded", "Succeeded"), ended)
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
        found = plan_of(of, trials_of("Succeeded", "Succeeded"))
        assert conditions_of(found) == ["Created", "Restarting", "-Running", "Succeeded"]

    def test_a_second_restart_leaves_the_first_ones_time(self) -> None:
        first = condition("Restarting", reason="ExperimentRestarting")
        of = experiment(
            "Created", first, "-Running", MAX_REACHED, policy="LongRunning", most=4, status={"trials": 2}
        )
        found = plan_of(of, trials_of("Succeeded", "Succeeded"), suggestion("Running", requests=4))
        assert found.status is not None
        assert found.status.conditions[1] == first
