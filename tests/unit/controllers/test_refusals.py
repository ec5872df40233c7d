import pytest

from kfx.controllers.refusals import is_of_creation, judge, name_taken, withheld
from kfx.katib.hold_up import HoldUp
from kfx.katib.job_state import JobState, Phase
from kfx.kube.errors import ApiError, BadRequest, Forbidden, Invalid, NotFound, ServerError
from kfx.runtime.plan import Create, Plan
from kfx.runtime.reconcile import TerminalError
from tests.katib_objects import JOBS, RUN_SPEC

CREATION = Plan(create=(Create(resource=JOBS, manifest=RUN_SPEC, owner_uid="u"),))


def refused(kind: type[ApiError], message: str = "no", status: int = 400, method: str = "POST") -> ApiError:
    return kind(message, status=status, reason=kind.__name__, method=method, path="/x")


def test_only_a_refused_post_of_a_plan_that_creates_is_a_refused_job() -> None:
    assert is_of_creation(CREATION, refused(Invalid))
    assert not is_of_creation(CREATION, refused(Invalid, method="PATCH"))
    assert not is_of_creation(Plan(), refused(Invalid))


@pytest.mark.parametrize("kind", [BadRequest, Invalid])
def test_what_can_never_be_made_is_the_end(kind: type[ApiError]) -> None:
    found = judge(JOBS, refused(kind, "spec.template: Required value"))
    assert found == JobState(
        Phase.FAILED, kind.__name__, "spec.template: Required value; correct the trial template"
    )


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (refused(Forbidden, "exceeded quota: jobs", 403), "JobForbidden", "exceeded quota: jobs; raise the"),
        (refused(NotFound, "not found", 404), "KindNotServed", "install the CRD jobs.batch, then"),
    ],
)
def test_what_may_pass_is_in_the_way(error: ApiError, reason: str, text: str) -> None:
    found = judge(JOBS, error)
    assert isinstance(found, HoldUp)
    assert found.reason == reason
    assert text in found.message


def test_an_error_of_the_server_is_neither() -> None:
    assert judge(JOBS, refused(ServerError, status=500)) is None


def test_a_kind_that_may_not_be_followed_names_the_rule() -> None:
    found = withheld(JOBS, "forbidden: grant the rule {}")
    assert found.reason == "KindForbidden"
    assert found.message == "jobs of kind Job may not be followed (forbidden); grant the rule {}"


def test_a_name_that_is_taken_keeps_object_and_remedy() -> None:
    assert name_taken(TerminalError("Job ns/e-1 exists already: delete it")).message == (
        "Job ns/e-1 exists already; delete it"
    )
