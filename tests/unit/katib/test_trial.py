from typing import Any

import msgspec
import pytest

from kfx.apis.common import CollectorSpec, MetricsCollectorSpec, Observation
from kfx.apis.trial import Trial
from kfx.katib.hold_up import HoldUp, say
from kfx.katib.job_state import JobState, Phase
from kfx.katib.trial import JobSeen, TrialSeen, needs_observation, plan_held_up, plan_trial
from kfx.runtime.plan import Count, Note, Plan
from tests.katib_objects import JOBS, NOW, observed, said, trial

JOB = JobSeen("job-uid")
STARTED = ("Created", "Running")
RUNS = JobState(Phase.RUNNING)
SUCCEEDED = JobState(Phase.SUCCEEDED)
FAILED = JobState(Phase.FAILED)
NAMESPACE = (("namespace", "ns"),)
STUCK = HoldUp("PodUnschedulable", "pod p has no node", "add one")
PUSH = MetricsCollectorSpec(collector=CollectorSpec(kind="Push"))


def plan(of: Trial, job: JobSeen | None = JOB, **more: Any) -> Plan:
    """Without more said, the job runs if there is one."""
    seen = {"trial": of, "resource": JOBS, "job": job, "state": RUNS if job else None}
    return plan_trial(TrialSeen(**seen | more), NOW)


def conditions_of(found: Plan) -> list[str]:
    assert found.status is not None
    return said(found.status.conditions)


def counted(step: str) -> tuple[Count, ...]:
    return (Count(f"katib_trial_{step}_total", NAMESPACE),)


@pytest.mark.parametrize(
    ("of", "more", "writes"),
    [
        pytest.param(trial(), {"job": None}, "intent create status", id="new"),
        pytest.param(trial("Created"), {"job": None}, "create status", id="no-job-yet"),
        pytest.param(trial("Created"), {}, "status", id="job-started"),
        pytest.param(trial(*STARTED), {}, "", id="nothing-changed"),
        pytest.param(trial(*STARTED), {"job": None}, "create", id="job-gone"),
        pytest.param(trial(*STARTED), {"state": SUCCEEDED}, "requeue_after", id="metrics-late"),
        pytest.param(
            trial(*STARTED), {"state": SUCCEEDED, "observation": observed("1")}, "status", id="done"
        ),
        pytest.param(trial(*STARTED), {"state": SUCCEEDED, "gave_up": True}, "status", id="metrics-never"),
        pytest.param(trial(*STARTED), {"state": FAILED}, "status", id="failed"),
        pytest.param(trial("Created", "Succeeded"), {"state": SUCCEEDED}, "delete", id="job-cleanup"),
        pytest.param(trial("Created", "Failed"), {"state": FAILED}, "delete", id="failed-job-cleanup"),
        pytest.param(trial("MetricsUnavailable", "Created"), {"state": SUCCEEDED}, "delete", id="no-metrics"),
        pytest.param(trial("Created", "Succeeded"), {"job": JobSeen("u", deleting=True)}, "", id="job-going"),
        pytest.param(trial("Created", "Succeeded", retain=True), {}, "", id="job-kept"),
        pytest.param(trial("Created", "Succeeded"), {"job": None}, "", id="all-done"),
        pytest.param(trial(*STARTED), {"hold_up": STUCK}, "status", id="held-up"),
        pytest.param(trial(*STARTED), {"look_again": 40.0}, "requeue_after", id="watched"),
        pytest.param(trial(deleting=True), {"job": None}, "release", id="deleting"),
        pytest.param(trial("Created", deleting=True, finalizers=()), {"job": None}, "", id="released"),
        pytest.param(
            trial(finalizers=()), {"job": None}, "add_finalizers intent create status", id="by-hand"
        ),
    ],
)
def test_plan_writes_only(of: Trial, more: dict[str, Any], writes: str) -> None:
    found = plan(of, **more)
    fields = ("add_finalizers", "intent", "create", "status", "delete", "release", "requeue_after")
    assert " ".join(f for f in fields if getattr(found, f)) == writes


class TestStart:
    """From nothing to a job."""

    def test_created_comes_before_the_job_and_running_after_it(self) -> None:
        found = plan(trial(), None)
        assert found.intent is not None
        assert said(found.intent.conditions) == ["Created"]
        assert (found.intent.conditions[0].reason, found.intent.conditions[0].message) == (
            "TrialCreated",
            "Trial is created",
        )
        assert found.intent.start_time == NOW
        assert conditions_of(found) == ["Created", "Running"]
        assert found.status is not None
        running = found.status.conditions[1]
        assert (running.reason, running.message) == ("TrialRunning", "Trial is running")
        (create,) = found.create
        assert (create.resource, create.owner_uid) == (JOBS, "e-1-uid")
        assert create.manifest["metadata"]["name"] == "e-1"
        assert create.manifest["metadata"]["ownerReferences"][0]["kind"] == "Trial"

    def test_both_events_are_told_together(self) -> None:
        assert plan(trial(), None).notes == (
            Note("Normal", "JobCreated", "Job e-1 has been created"),
            Note("Normal", "JobRunning", "Job e-1 is running"),
        )

    def test_a_trial_made_by_hand_is_guarded(self) -> None:
        assert plan(trial(finalizers=("other",)), None).add_finalizers == ("clean-metrics-in-db",)

    @pytest.mark.parametrize(
        ("of", "more", "steps"),
        [
            (trial(), {"job": None}, ["created"]),
            (trial("Created"), {"job": None}, ["created"]),
            (trial("Created"), {}, ["created"]),
            (trial("Created"), {"job": None, "state": FAILED}, ["created", "failed"]),
            (trial("Created"), {"state": SUCCEEDED, "gave_up": True}, ["created", "metrics_unavailable"]),
            (trial(*STARTED), {"job": None}, []),
            (trial(*STARTED), {"state": FAILED}, ["failed"]),
            (trial("Created", "Failed"), {}, []),
        ],
    )
    def test_it_is_counted_once_with_its_first_real_status(
        self, of: Trial, more: dict[str, Any], steps: list[str]
    ) -> None:
        found = plan(of, **more)
        assert found.counts == tuple(count for step in steps for count in counted(step))

    def test_a_job_that_went_is_made_again_and_that_is_said(self) -> None:
        found = plan(trial(*STARTED), None)
        assert [(n.type, n.reason) for n in found.notes] == [
            ("Warning", "JobVanished"),
            ("Normal", "JobCreated"),
        ]

    def test_a_job_that_can_never_be_is_created_and_then_fails(self) -> None:
        refused = JobState(Phase.FAILED, "KindNotFollowed", "add it to --trial-resources")
        first = plan(trial(), None, resource=None, state=refused)
        assert (first.create, first.status) == ((), None)
        assert first.intent is not None
        second = plan(trial("Created"), None, resource=None, state=refused)
        assert conditions_of(second) == ["Created", "Failed"]
        assert second.status is not None
        failed = second.status.conditions[-1]
        assert failed.reason == "TrialFailed. Job reason: KindNotFollowed"
        assert failed.message == "Trial has failed. Job message: add it to --trial-resources"


@pytest.mark.parametrize(
    ("details", "reason", "message"),
    [
        (("", ""), "", ""),
        (("R", "m"), ". Job reason: R", ". Job message: m"),
        (("R", ""), ". Job reason: R", ""),
        (("", "m"), "", ". Job message: m"),
    ],
)
@pytest.mark.parametrize(
    ("phase", "more", "kind", "lead", "text"),
    [
        (
            Phase.SUCCEEDED,
            {"observation": observed("1")},
            "Succeeded",
            "TrialSucceeded",
            "Trial has succeeded",
        ),
        (
            Phase.SUCCEEDED,
            {"observation": observed("unavailable")},
            "MetricsUnavailable",
            "MetricsUnavailable",
            "Metrics are not available",
        ),
        (Phase.FAILED, {}, "Failed", "TrialFailed", "Trial has failed"),
    ],
)
def test_the_end_carries_what_the_job_says(
    phase: Phase,
    more: dict[str, Any],
    kind: str,
    lead: str,
    text: str,
    details: tuple[str, str],
    reason: str,
    message: str,
) -> None:
    found = plan(trial(*STARTED), state=JobState(phase, *details), **more)
    assert conditions_of(found) == ["Created", "-Running", kind]
    assert found.status is not None
    assert found.status.conditions[-1].reason == lead + reason
    assert found.status.conditions[-1].message == text + message
    assert found.status.completion_time == NOW


def held_up(of: Trial, by: HoldUp = STUCK) -> Trial:
    told = say(of.status.conditions, by, NOW)
    return msgspec.structs.replace(of, status=msgspec.structs.replace(of.status, conditions=told))


class TestHoldUp:
    """Something is in the way of the job."""

    def test_it_is_told_by_an_event_and_in_the_message_of_the_condition(self) -> None:
        found = plan(trial(*STARTED), hold_up=STUCK)
        assert found.status is not None
        running = found.status.conditions[-1]
        assert (running.type, running.status, running.reason) == ("Running", "True", "Running")
        assert running.message == "Trial is running. PodUnschedulable: pod p has no node; add one"
        assert found.notes == (Note("Warning", "PodUnschedulable", "pod p has no node; add one"),)

    def test_it_is_told_once(self) -> None:
        assert plan(held_up(trial(*STARTED)), hold_up=STUCK) == Plan()

    def test_other_details_of_the_same_reason_are_not_written(self) -> None:
        other = HoldUp("PodUnschedulable", "0/2 nodes are available", "add one")
        assert plan(held_up(trial(*STARTED)), hold_up=other) == Plan()

    def test_another_reason_takes_its_place(self) -> None:
        found = plan(held_up(trial(*STARTED)), hold_up=HoldUp("PodNotStarting", "pod p waits", "see why"))
        assert found.status is not None
        assert found.status.conditions[-1].message == "Trial is running. PodNotStarting: pod p waits; see why"

    def test_once_it_is_over_the_message_is_katibs_again(self) -> None:
        found = plan(held_up(trial(*STARTED)))
        assert found.status is not None
        assert found.status.conditions[-1].message == "Trial is running"
        assert found.notes == ()

    def test_while_it_may_be_over_the_message_stays(self) -> None:
        assert plan(held_up(trial(*STARTED)), look_again=30.0) == Plan(requeue_after=30.0)

    @pytest.mark.parametrize(
        "more", [{"state": FAILED}, {"state": SUCCEEDED, "observation": observed("1")}], ids=["bad", "good"]
    )
    def test_it_does_not_outlive_the_trial(self, more: dict[str, Any]) -> None:
        found = plan(held_up(trial(*STARTED)), **more)
        assert found.status is not None
        running = found.status.conditions[1]
        assert (running.status, running.message) == ("False", "Trial is running")

    @pytest.mark.parametrize("words", [(), ("Created",), STARTED])
    def test_a_job_that_cannot_be_made_now_is_told_where_the_trial_stands(
        self, words: tuple[str, ...]
    ) -> None:
        found = plan_held_up(trial(*words), HoldUp("JobForbidden", "no", "ask"), NOW)
        assert found.status is not None
        last = found.status.conditions[-1]
        assert (last.type, last.status) == ((words or ("Created",))[-1], "True")
        assert last.message.endswith(". JobForbidden: no; ask")
        assert plan_held_up(held_up(trial("Created")), STUCK, NOW) == Plan()

    def test_a_job_that_is_made_at_last_leaves_no_trace_of_it(self) -> None:
        found = plan(held_up(trial("Created")), None)
        assert found.status is not None
        assert [each.message for each in found.status.conditions] == ["Trial is created", "Trial is running"]
        again = plan(held_up(trial(*STARTED)), None)
        assert again.status is not None
        assert again.status.conditions[-1].message == "Trial is running"


class TestSuccess:
    """The job has succeeded."""

    def test_values_that_were_left_out_are_told(self) -> None:
        found = plan(trial(*STARTED), state=SUCCEEDED, observation=observed("1"), unusable="1 of 2 values")
        assert found.notes[1] == Note("Warning", "MetricsIgnored", "1 of 2 values")
        gone = plan(trial(*STARTED), state=SUCCEEDED, gave_up=True, unusable="1 of 1 values")
        assert [note.reason for note in gone.notes] == [
            "MetricsUnavailable",
            "MetricsIgnored",
            "MetricsMissing",
        ]

    def test_the_observation_is_kept_and_counted(self) -> None:
        found = plan(trial(*STARTED), state=SUCCEEDED, observation=observed("0.1"))
        assert found.status is not None
        assert found.status.observation == observed("0.1")
        assert found.notes == (Note("Normal", "JobSucceeded", "Job e-1 has succeeded"),)
        assert found.counts == counted("succeeded")

    def test_metrics_that_have_not_come_are_waited_for(self) -> None:
        found = plan(trial(*STARTED), state=SUCCEEDED)
        assert found == Plan(requeue_after=1.0)

    @pytest.mark.parametrize("more", [{"gave_up": True}, {"observation": observed("unavailable")}])
    def test_metrics_that_never_come_are_told_with_the_remedy(self, more: dict[str, Any]) -> None:
        found = plan(trial(*STARTED), state=SUCCEEDED, **more)
        assert conditions_of(found)[-1] == "MetricsUnavailable"
        first, second = found.notes
        assert first == Note("Warning", "MetricsUnavailable", "Metrics are not available for Job e-1")
        assert "loss=<number>" in second.message
        assert found.counts == counted("metrics_unavailable")

    def test_training_that_pushes_is_not_waited_for(self) -> None:
        found = plan(trial(*STARTED, metrics_collector=PUSH), state=SUCCEEDED)
        assert conditions_of(found)[-1] == "MetricsUnavailable"

    def test_the_objective_missing_among_others_is_unavailable(self) -> None:
        found = plan(trial(*STARTED), state=SUCCEEDED, observation=Observation())
        assert conditions_of(found)[-1] == "MetricsUnavailable"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (FAILED, "Job e-1 has failed"),
        (JobState(Phase.FAILED, "R", "m"), "Job e-1 has failed. m R"),
        (JobState(Phase.FAILED, "R", ""), "Job e-1 has failed.  R"),
    ],
)
def test_a_failure_is_told_as_katib_does(state: JobState, text: str) -> None:
    found = plan(trial(*STARTED), state=state)
    assert found.notes == (Note("Normal", "JobFailed", text),)
    assert found.counts == counted("failed")


def test_a_finished_job_goes_with_its_pods_and_by_its_uid() -> None:
    (delete,) = plan(trial("Created", "-Running", "Succeeded")).delete
    assert (delete.resource, delete.namespace, delete.name) == (JOBS, "ns", "e-1")
    assert (delete.uid, delete.propagation) == ("job-uid", "Foreground")
    assert plan(trial("Created", "Succeeded")).notes == (
        Note("Normal", "JobDeleted", "Job e-1 has been deleted"),
    )


def test_deletion_is_counted_when_the_finalizer_goes() -> None:
    found = plan(trial("Created", deleting=True), None)
    assert found == Plan(release=("clean-metrics-in-db",), counts=counted("deleted"))


def test_what_is_left_in_the_store_is_told_when_the_finalizer_goes() -> None:
    found = plan(trial("Created", deleting=True), None, left_behind="rows are left")
    assert found.release == ("clean-metrics-in-db",)
    assert found.notes == (Note("Warning", "MetricsLeftBehind", "rows are left"),)


class TestEarlyStopped:
    """Stopped by the early-stopping service; Running stays True."""

    OF = trial("Created", "Running", "EarlyStopped")

    def test_the_observation_is_stored_before_the_job_goes(self) -> None:
        found = plan(self.OF, observation=observed("0.3"))
        assert found.delete == ()
        assert conditions_of(found) == ["Created", "Running", "EarlyStopped"]
        assert found.status is not None
        assert found.status.observation == observed("0.3")
        assert found.status.completion_time is None

    def test_values_that_were_left_out_are_told(self) -> None:
        found = plan(self.OF, observation=observed("0.3"), unusable="1 of 2 values")
        assert found.notes == (Note("Warning", "MetricsIgnored", "1 of 2 values"),)

    def test_then_the_job_goes(self) -> None:
        assert plan(trial("Created", "Running", "EarlyStopped", value="0.3")).delete

    def test_metrics_are_waited_for_and_then_given_up(self) -> None:
        assert plan(self.OF) == Plan(requeue_after=1.0)
        found = plan(self.OF, gave_up=True)
        assert conditions_of(found) == ["Created", "EarlyStopped", "-Running", "MetricsUnavailable"]

    def test_a_job_that_is_kept_is_left_to_its_end(self) -> None:
        kept = trial("Created", "Running", "EarlyStopped", retain=True)
        assert plan(kept) == Plan()
        assert plan(kept, state=SUCCEEDED, observation=observed("1")).status is not None

    @pytest.mark.parametrize("seen", [{"state": FAILED}, {"job": None}], ids=["failed", "gone"])
    def test_a_kept_job_that_ended_badly_or_is_gone_is_waited_for_no_longer(
        self, seen: dict[str, Any]
    ) -> None:
        """As Katib, which reads the metrics of a trial stopped early whatever became of its job."""
        kept = trial("Created", "Running", "EarlyStopped", retain=True)
        assert plan(kept, **seen) == Plan(requeue_after=1.0)
        found = plan(kept, observation=observed("0.3"), **seen)
        assert conditions_of(found) == ["Created", "Running", "EarlyStopped"]
        assert found.status is not None
        assert found.status.observation == observed("0.3")

    def test_a_job_that_ended_badly_changes_nothing(self) -> None:
        stopped = trial("Created", "Running", "EarlyStopped", value="1", retain=True)
        assert plan(stopped, state=FAILED) == Plan()


@pytest.mark.parametrize(
    ("of", "state", "yes"),
    [
        (trial(*STARTED), RUNS, False),
        (trial(*STARTED), FAILED, False),
        (trial(*STARTED), SUCCEEDED, True),
        (trial("Succeeded"), SUCCEEDED, False),
        (trial("MetricsUnavailable"), SUCCEEDED, False),
        (trial("EarlyStopped"), RUNS, True),
        (trial("EarlyStopped"), None, True),
        (trial("EarlyStopped", value="1"), SUCCEEDED, False),
        (trial("EarlyStopped", retain=True), RUNS, False),
        (trial("EarlyStopped", retain=True), SUCCEEDED, True),
        (trial("EarlyStopped", retain=True), FAILED, True),
        (trial("EarlyStopped", retain=True), None, False),
        (trial("EarlyStopped", "MetricsUnavailable"), SUCCEEDED, False),
    ],
)
def test_when_the_store_is_asked(of: Trial, state: JobState | None, yes: bool) -> None:
    assert needs_observation(TrialSeen(trial=of, job=JobSeen("uid"), state=state)) is yes
