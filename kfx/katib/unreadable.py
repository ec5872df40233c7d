"""What is done about an Experiment or a Suggestion that is not of its declared shape.

Katib's typed informers fail over such an object, and with it over all others of its kind.
"""

from kfx.apis.common import Observation
from kfx.apis.experiment import ExperimentStatus, OptimalTrial
from kfx.katib import conditions as c
from kfx.katib.experiment_document import explain_problem
from kfx.katib.names import EXPERIMENT_FINALIZER
from kfx.kube.model import Unreadable
from kfx.runtime.plan import Count, Note, Plan


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
