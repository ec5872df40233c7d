import asyncio
from typing import Any, NoReturn

import msgspec
import pytest

from kfx.apis.common import CollectorSpec, MetricLog, MetricsCollectorSpec, Observation
from kfx.apis.core import ContainerState, ContainerStateWaiting, ContainerStatus, Pod, PodStatus
from kfx.apis.trial import Trial
from kfx.controllers.trial import trial_limiter
from kfx.kube.errors import ApiError, BadRequest, Forbidden, Invalid, NotFound, ServerError
from kfx.kube.model import ConditionsOnly, ObjectMeta, OwnerReference, Unreadable, unreadable_kind
from kfx.runtime.controller import Controller
from kfx.runtime.plan import Plan
from kfx.runtime.reconcile import Result, StaleRead, TerminalError
from kfx.store.errors import StoreError
from tests.katib_objects import NOW, job_document, observed, said, trial
from tests.unit.controllers.parts import KEY
from tests.unit.controllers.trial_bench import Bench

STARTED = ("Created", "Running")
SCORE = MetricLog(time_stamp=NOW, name="loss", value="0.1")


def refused(kind: type[ApiError], method: str = "POST") -> Exception:
    return kind("spec.template: Required value", status=422, reason="Invalid", method=method, path="/x")


async def test_a_trial_that_is_gone_needs_nothing() -> None:
    assert await Bench(None).run() == Plan()


async def test_a_new_trial_gets_its_job_without_a_read_of_the_server() -> None:
    bench = Bench(trial())
    found = await bench.run()
    assert [create.manifest["kind"] for create in found.create] == ["Job"]
    assert bench.live.reads == 0


async def test_a_job_that_vanished_is_made_again_after_a_look_at_the_server() -> None:
    bench = Bench(trial(*STARTED))
    found = await bench.run()
    assert found.create
    assert found.notes[0].reason == "JobVanished"
    assert bench.live.reads == 2


def log(value: str, at: str = NOW) -> MetricLog:
    return MetricLog(time_stamp=at, name="loss", value=value)


ZERO = "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("words", "logs", "state", "seen"),
    [
        pytest.param(("FailureTarget", "Failed"), [SCORE], "Failed", None, id="12.3-2"),
        pytest.param(
            ("SuccessCriteriaMet", "Complete"),
            [log("0.99", "2019-12-02T14:47:38Z"), log("0.11", "2019-12-02T14:50:38Z")],
            "Succeeded",
            observed("0.11", low="0.11", high="0.99"),
            id="12.3-3",
        ),
        pytest.param(
            ("Complete",),
            [log("unavailable", ZERO)],
            "MetricsUnavailable",
            observed("unavailable"),
            id="12.3-4",
        ),
    ],
)
async def test_the_jobs_end_is_the_trials(
    words: tuple[str, ...], logs: list[MetricLog], state: str, seen: Observation | None
) -> None:
    found = await Bench(trial(*STARTED), job_document(*words), logs=logs).run()
    assert said(found.status.conditions) == ["Created", "-Running", state]
    assert found.status.observation == seen


async def test_training_that_pushes_nothing_ends_once_that_could_be_reported() -> None:
    """12.3-5: the first report fails and is tried again."""
    push = MetricsCollectorSpec(collector=CollectorSpec(kind="Push"))
    bench = Bench(trial(*STARTED, metrics_collector=push), job_document("Complete"))
    bench.logs.away = True
    with pytest.raises(StoreError):
        await bench.run()
    bench.logs.away = False
    found = await bench.run()
    assert said(found.status.conditions)[-1] == "MetricsUnavailable"
    assert found.status.observation == observed("unavailable")
    (line,) = bench.logs.rows[KEY.name, KEY.namespace]
    assert (line.time_stamp, line.value) == (ZERO, "unavailable")


async def test_the_observation_is_what_the_store_has() -> None:
    found = await Bench(trial(*STARTED), job_document("Complete"), logs=[SCORE]).run()
    assert found.status.observation == observed("0.1")


async def test_missing_metrics_are_polled_and_then_given_up_with_the_remedy() -> None:
    bench = Bench(trial(*STARTED), job_document("Complete"))
    assert (await bench.run()) == Plan(requeue_after=1.0)
    bench.clock.now += 120
    found = await bench.run()
    assert said(found.status.conditions)[-1] == "MetricsUnavailable"
    assert "metrics-collector-injection=enabled" in found.notes[1].message


async def test_a_running_trial_at_rest_writes_nothing() -> None:
    assert await Bench(trial(*STARTED), job_document()).run() == Plan(requeue_after=60.0)  # for its pods


async def test_an_image_that_does_not_exist_ends_the_trial() -> None:
    state = ContainerState(waiting=ContainerStateWaiting(reason="ErrImageNeverPull", message="not present"))
    owner = OwnerReference(api_version="batch/v1", kind="Job", name="e-1", uid="job-uid", controller=True)
    labels = {"katib.kubeflow.org/trial": "e-1"}
    pod = Pod(
        metadata=ObjectMeta(name="p", namespace="ns", labels=labels, owner_references=(owner,)),
        status=PodStatus(container_statuses=(ContainerStatus(name="train", state=state),)),
    )
    found = await Bench(trial(*STARTED), job_document(), pods=[pod]).run()
    failed = found.status.conditions[-1]
    assert failed.reason == "TrialFailed. Job reason: ErrImageNeverPull"
    assert failed.message == (
        "Trial has failed. Job message: container train of pod p cannot start: not present; "
        "load the image onto the nodes, or allow it to be pulled"
    )


async def test_a_kind_that_is_not_followed_ends_the_trial_naming_the_flag() -> None:
    of = trial("Created", run_spec={"apiVersion": "example.org/v1", "kind": "Run"})
    found = await Bench(of).run()
    assert "--trial-resources" in found.status.conditions[-1].message


def with_conditions(*words: str, success: str, failure: str = "") -> Trial:
    of = trial(*words)
    spec = msgspec.structs.replace(of.spec, success_condition=success, failure_condition=failure)
    return msgspec.structs.replace(of, spec=spec)


async def test_an_expression_that_cannot_be_evaluated_ends_the_trial() -> None:
    found = await Bench(with_conditions(*STARTED, success="a" * 5000), job_document()).run()
    assert found.status.conditions[-1].reason == "TrialFailed. Job reason: InvalidCondition"


async def test_the_job_of_a_trial_that_has_ended_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_: object) -> NoReturn:
        raise AssertionError("evaluated")

    monkeypatch.setattr("kfx.controllers.trial.evaluate", look)
    found = await Bench(trial(*STARTED, "Succeeded"), job_document("Complete")).run()
    assert [delete.name for delete in found.delete] == ["e-1"]


async def test_a_state_that_cannot_be_read_is_told_and_waited_out() -> None:
    job = job_document() | {"status": {"a": ["text"]}}
    found = await Bench(with_conditions(*STARTED, success="status.a"), job).run()
    assert found.status.conditions[-1].message.startswith(
        "Trial is running. ConditionUnreadable: status.a matches a list whose first element is no object; "
    )
    assert [note.reason for note in found.notes] == ["ConditionUnreadable"]


@pytest.mark.parametrize("success", ['status.conditions.#(type=="Complete"#|#(', "status.finished", ""])
async def test_an_ended_job_that_meets_no_condition_is_told_in_time(success: str) -> None:
    """Malformed GJSON, a wrong path, none at all: nothing is Running for ever without a reason."""
    bench = Bench(with_conditions(*STARTED, success=success), job_document("Complete"))
    assert await bench.run() == Plan(requeue_after=60)
    bench.clock.now += 60
    found = await bench.run()
    assert "ConditionNotMet: Job e-1 has ended (condition Complete is True)" in (
        found.status.conditions[-1].message
    )
    assert [note.reason for note in found.notes] == ["ConditionNotMet"]


async def test_a_suspended_job_is_told_in_time() -> None:
    bench = Bench(trial(*STARTED), job_document() | {"spec": {"suspend": True}})
    await bench.run()
    bench.clock.now += 60
    assert [note.reason for note in (await bench.run()).notes] == ["JobSuspended"]


async def test_a_trial_of_a_used_name_begins_without_the_old_rows() -> None:
    """12.3 and decision 37: the same name, another uid."""
    bench = Bench(trial(), logs=[SCORE])
    assert (await bench.run()).create
    assert bench.logs.rows == {}


async def test_a_trial_that_has_begun_keeps_its_rows() -> None:
    bench = Bench(trial("Created"), logs=[SCORE])
    await bench.run()
    assert bench.logs.rows


async def test_a_name_that_is_taken_is_told_once_and_looked_at_again() -> None:
    job = job_document()
    job["metadata"]["ownerReferences"] = None
    bench = Bench(trial("Created"), job)
    assert await bench.reconciler.reconcile(KEY) == Result(30)
    assert "JobNameTaken: Job ns/e-1 exists already" in bench.plans.last.status.conditions[-1].message
    assert [note.reason for note in bench.notes.told] == ["ReconcileError"]
    bench.trials.put(msgspec.structs.replace(trial("Created"), status=bench.plans.last.status))
    assert await bench.reconciler.reconcile(KEY) == Result(30)
    assert (len(bench.plans.made), len(bench.notes.told)) == (1, 1)


async def test_the_job_of_a_namesake_is_waited_out_and_then_told() -> None:
    job = job_document()
    job["metadata"]["ownerReferences"][0]["uid"] = "an earlier one"
    bench = Bench(trial("Created"), job)
    with pytest.raises(StaleRead):
        await bench.reconciler.reconcile(KEY)
    bench.clock.now += 60
    assert await bench.reconciler.reconcile(KEY) == Result(30)
    assert "see which of its finalizers keeps it" in bench.plans.last.status.conditions[-1].message


async def test_a_store_that_was_away_for_ten_minutes_is_noticed_within_one() -> None:
    bench = Bench(trial(*STARTED), job_document("Complete"))
    bench.logs.away = True
    controller = Controller("trials", bench.reconciler, limiter=trial_limiter())
    controller.queue.add(KEY)
    async with controller.running():
        await asyncio.sleep(600)
        assert bench.plans.made == []
        bench.logs.away = False
        await bench.logs.report(KEY.name, [SCORE], KEY.namespace)
        await asyncio.sleep(60)
    assert said(bench.plans.last.status.conditions)[-1] == "Succeeded"


class TestRefusedJob:
    """The server does not take the job."""

    @pytest.mark.parametrize("kind", [Invalid, BadRequest])
    async def test_what_can_never_be_made_ends_the_trial(self, kind: type[BadRequest]) -> None:
        found = await Bench(trial("Created"), refusals=[refused(kind)]).run()
        assert found.create == ()
        failed = found.status.conditions[-1]
        assert failed.type == "Failed"
        assert "spec.template: Required value; correct the trial template" in failed.message

    async def test_what_is_forbidden_is_told_and_tried_again(self) -> None:
        """O9: with back-off, and the event of every failure."""
        bench = Bench(trial("Created"), refusals=[refused(Forbidden)])
        with pytest.raises(Forbidden):
            await bench.run()
        assert (
            "JobForbidden: the API server refuses the Job" in bench.plans.last.status.conditions[-1].message
        )
        assert bench.plans.last.notes == ()

    async def test_a_kind_that_is_not_served_is_told_and_tried_every_half_minute(self) -> None:
        bench = Bench(trial("Created"), refusals=[refused(NotFound)])
        assert await bench.reconciler.reconcile(KEY) == Result(30)
        assert [note.reason for note in bench.plans.last.notes] == ["KindNotServed"]

    async def test_a_kind_that_may_not_be_followed_gets_no_job_and_the_trial_says_so(self) -> None:
        (bench := Bench(trial("Created"))).jobs.problem = "forbidden: grant the rule {}"
        assert await bench.reconciler.reconcile(KEY) == Result(30)
        assert "KindForbidden: jobs of kind Job" in bench.plans.last.status.conditions[-1].message
        bench.jobs.problem = None
        assert (await bench.run()).create

    @pytest.mark.parametrize("of", [trial("Created", "Succeeded"), trial("Running", deleting=True)])
    async def test_a_trial_that_ended_or_goes_does_not_speak_of_a_missing_right(self, of: Trial) -> None:
        (bench := Bench(of)).jobs.problem = "forbidden: grant the rule {}"
        assert "KindForbidden" not in str(await bench.run())

    async def test_a_namespace_that_goes_is_no_reason_to_speak(self) -> None:
        """O4."""
        error = Forbidden(
            "unable to create new content in namespace ns because it is being terminated",
            status=403,
            method="POST",
        )
        bench = Bench(trial("Created"), refusals=[error])
        assert await bench.reconciler.reconcile(KEY) == Result()
        assert (len(bench.plans.made), bench.notes.told) == (1, [])

    async def test_a_name_taken_since_the_cache_was_read_is_told(self) -> None:
        bench = Bench(trial("Created"), refusals=[TerminalError("Job ns/e-1 exists already: delete it")])
        assert await bench.reconciler.reconcile(KEY) == Result(30)
        assert bench.notes.told[0].message == "Failed to reconcile: Job ns/e-1 exists already: delete it"

    async def test_other_errors_are_the_controllers(self) -> None:
        with pytest.raises(ServerError):
            await Bench(trial("Created"), refusals=[refused(ServerError)]).run()

    async def test_a_refused_status_is_no_refused_job(self) -> None:
        with pytest.raises(Invalid):
            await Bench(trial("Created"), refusals=[refused(Invalid, "PATCH")]).run()


class TestDeletion:
    """The trial is on its way out."""

    async def test_its_rows_go_before_its_finalizer(self) -> None:
        """12.3-2, its second half."""
        bench = Bench(trial(*STARTED, deleting=True), job_document(), logs=[SCORE])
        found = await bench.run()
        assert found.release == ("clean-metrics-in-db",)
        assert bench.logs.rows == {}

    async def test_no_job_is_made_for_a_trial_without_finalizer_that_is_kept_by_others(self) -> None:
        """D18."""
        bench = Bench(trial("Created", deleting=True, finalizers=("foregroundDeletion",)))
        assert await bench.run() == Plan()

    async def test_without_the_store_the_finalizer_stays(self) -> None:
        bench = Bench(trial(*STARTED, deleting=True), logs=[SCORE])
        bench.logs.away = True
        with pytest.raises(StoreError):
            await bench.run()
        assert bench.plans.made == []


def unreadable(*words: str, **metadata: Any) -> Unreadable:
    """As the API server has it: ``retainRun: "yes"``."""
    of = trial(*words)
    meta = msgspec.structs.replace(of.metadata, **metadata)
    return unreadable_kind(Trial.resource)(
        metadata=meta,
        status=ConditionsOnly(conditions=of.status.conditions),
        problem="Expected `bool`, got `str` - at `$.spec.retainRun`",
    )


class TestUnreadable:
    """A Trial that is not of its declared shape."""

    async def test_it_goes_when_it_is_deleted(self) -> None:
        bench = Bench(trial(*STARTED), job_document(), logs=[SCORE])
        bench.trials.put_unreadable(unreadable(*STARTED, deletion_timestamp=NOW))
        found = await bench.run()
        assert found.release == ("clean-metrics-in-db",)
        assert [count.metric for count in found.counts] == ["katib_trial_deleted_total"]
        assert bench.logs.rows == {}

    async def test_what_is_wrong_is_told_once_and_its_job_is_left_alone(self) -> None:
        bench = Bench(trial(*STARTED), job_document("Complete"))
        bench.trials.put_unreadable(unreadable(*STARTED))
        found = await bench.run()
        assert "TrialUnreadable: the Trial cannot be read: Expected `bool`" in (
            found.status.conditions[-1].message
        )
        assert [note.reason for note in found.notes] == ["TrialUnreadable"]
        assert (found.delete, found.create) == ((), ())
        told = msgspec.structs.replace(unreadable(), status=found.status)
        bench.trials.put_unreadable(told)
        assert await bench.run() == Plan()

    async def test_one_that_has_not_begun_is_told_by_an_event(self) -> None:
        bench = Bench(None)
        bench.trials.put_unreadable(unreadable())
        found = await bench.run()
        assert (found.status, [note.reason for note in found.notes]) == (None, ["TrialUnreadable"])

    async def test_one_that_has_ended_is_left_alone(self) -> None:
        bench = Bench(None)
        bench.trials.put_unreadable(unreadable("Created", "Succeeded"))
        assert await bench.run() == Plan()
