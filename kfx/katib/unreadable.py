"""What is done about an Experiment, a Suggestion or a Trial that is not of its declared shape.

Katib's typed informers fail over such an object, and with it over all others of its kind.
"""

from collections.abc import Mapping

from kfx.apis.common import Observation
from kfx.apis.experiment import ExperimentStatus, OptimalTrial
from kfx.apis.trial import Trial, TrialStatus
from kfx.katib import conditions as c
from kfx.katib.experiment_document import explain_problem
from kfx.katib.names import EXPERIMENT_FINALIZER
from kfx.katib.summary import PENDING, state_of
from kfx.kube.model import Unreadable
from kfx.runtime.plan import Count, Note, Plan


class TrialStandIn(Trial, kw_only=True):
    """What an Experiment goes by of a Trial that has never been readable to this process.

    It holds its place as its conditions say, has no parameters and no value.
    """

    @classmethod
    def of(cls, found: Unreadable) -> "TrialStandIn":
        """From what can be read of it."""
        return cls(metadata=found.metadata, status=TrialStatus(conditions=found.status.conditions))


def holds_place(found: Unreadable) -> bool:
    """Whether a Trial counts against parallelTrialCount though it cannot be read."""
    return state_of(TrialStandIn.of(found)) in {PENDING, c.RUNNING}


def trials_unreadable(problems: Mapping[str, str], places: int) -> Note:
    """To whom waits for them: which Trials keep places though nothing is done for them, by name."""
    name, problem = min(problems.items())
    more = f", and {len(problems) - 1} more that cannot be read" if len(problems) > 1 else ""
    taken = f"{len(problems)} of the {places} places of parallelTrialCount"
    text = f"Trial {name} cannot be read: {explain_problem(problem)}, or delete the Trial"
    return Note("Warning", "TrialUnreadable", f"{text}{more}; until then {taken} are held")


def plan_unreadable_experiment(found: Unreadable, now: str) -> Plan:
    """Let it go if it is being deleted. Fail it, in the webhook's words, if it has not begun.

    One that has begun, or has ended, was changed into this: it waits for its correction.
    """
    metadata, conditions = found.metadata, found.status.conditions
    namespace = (("namespace", metadata.namespace),)
    owned = EXPERIMENT_FINALIZER in (metadata.finalizers or ())
    if metadata.deletion_timestamp is not None:
        deleted = Count("katib_experiment_deleted_total", namespace)
        return Plan(release=(EXPERIMENT_FINALIZER,), counts=(deleted,)) if owned else Plan()
    problem = explain_problem(found.problem)
    if c.has_any(conditions, (c.SUCCEEDED, c.FAILED)):
        return Plan()
    if any(condition.type != c.CREATED for condition in conditions):
        return Plan(notes=(Note("Warning", "ReconcileError", f"Failed to reconcile: {problem}"),))
    return Plan(
        add_finalizers=() if owned else (EXPERIMENT_FINALIZER,),
        status=_fail(conditions, problem, now),
        notes=(Note("Warning", "ExperimentFailed", problem),),
        counts=() if owned else (Count("katib_experiment_created_total", namespace),),
    )


def plan_unreadable_suggestion(found: Unreadable) -> Plan:
    """It has no finalizer, and kfx has made it well: somebody has to correct or delete it."""
    if found.metadata.deletion_timestamp is not None:
        return Plan()
    return Plan(notes=(Note("Warning", "ReconcileError", explain_unreadable(found)),))


def explain_unreadable(found: Unreadable) -> str:
    """The object, its field and the remedy."""
    return f"{found} cannot be read: {explain_problem(found.problem)}, or delete the object"


def _fail(conditions: c.Conditions, problem: str, now: str) -> ExperimentStatus:
    created = c.set_condition(
        conditions, c.CREATED, True, reason="ExperimentCreated", message="Experiment is created", now=now
    )
    return ExperimentStatus(
        start_time=now,
        completion_time=now,
        conditions=c.finish(created, c.FAILED, reason="ExperimentFailed", message=problem, now=now),
        current_optimal_trial=OptimalTrial(observation=Observation()),
    )
