"""What becomes of a trial whose job the API server does not take."""

from kfx.katib.hold_up import HoldUp
from kfx.katib.job_state import JobState, Phase
from kfx.kube.errors import ApiError, BadRequest, Forbidden, Invalid, NotFound
from kfx.kube.resource import Resource
from kfx.runtime.plan import Plan
from kfx.runtime.reconcile import TerminalError

NAME_TAKEN = "JobNameTaken"


def is_of_creation(plan: Plan, error: ApiError) -> bool:
    """Whether it is the job that was refused, and not a change of the trial."""
    return bool(plan.create) and error.method == "POST"


def judge(resource: Resource, error: ApiError) -> JobState | HoldUp | None:
    """The trial's end where the job can never be made, else what is in its way; ``None`` for neither."""
    match error:
        case BadRequest() | Invalid():
            message = f"{error.message}; correct the trial template"
            return JobState(Phase.FAILED, error.reason or "BadRequest", message)
        case Forbidden():
            lead = f"the API server refuses the {resource.kind}: {error.message}"
            return HoldUp("JobForbidden", lead, "raise the quota, change the policy or grant the right")
        case NotFound():
            lead = f"the API server does not serve {resource.kind} ({resource.api_version})"
            remedy = f"install the CRD {resource}, then the Trial goes on by itself"
            return HoldUp("KindNotServed", lead, remedy)
    return None


def withheld(resource: Resource, problem: str) -> HoldUp:
    """The outcome of a job of this kind would never be seen; ``problem`` ends with the remedy."""
    lead, _, remedy = problem.partition(": ")
    return HoldUp("KindForbidden", f"jobs of kind {resource.kind} may not be followed ({lead})", remedy)


def name_taken(error: TerminalError) -> HoldUp:
    """The job's name is somebody else's; the error's text names the object and the remedy."""
    lead, _, remedy = str(error).partition(": ")
    return HoldUp(NAME_TAKEN, lead, remedy)
