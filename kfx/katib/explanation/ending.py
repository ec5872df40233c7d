"""Whether the Experiment is there, readable, and not over already."""

import re

from kfx.apis.experiment import Experiment
from kfx.apis.trial import Trial
from kfx.katib import conditions as c
from kfx.katib.ages import seconds_since, spell, spell_age
from kfx.katib.experiment import is_restarted
from kfx.katib.experiment_document import ExperimentDecodeError, decode_experiment
from kfx.katib.explanation.facts import Facts, Unread
from kfx.katib.explanation.finding import Broken, Finished, Outcome, Passed, Ref
from kfx.katib.explanation.view import View
from kfx.katib.metrics_remedy import explain_missing_metrics
from kfx.katib.names import EXPERIMENT_FINALIZER
from kfx.katib.summary import state_of

_FIELD = re.compile(r"(spec[\w.\[\]]*)")
DELETION = 60.0  # seconds that an orderly deletion may take
ANEW = "then delete the Experiment and create it anew: a failed one does not begin again"


def check_existence(facts: Facts) -> tuple[Outcome, Experiment | None]:
    """The Experiment, or why there is none to speak of."""
    about = Ref("Experiment", facts.namespace, facts.name)
    found = facts.experiment
    if isinstance(found, Unread):
        rights = f"kubectl auth can-i get experiments.kubeflow.org -n {facts.namespace}"
        problem = f"it cannot be read ({found.why})"
        return Broken(object=about, problem=problem, remedy=f"ask for the right to read it; {rights}"), None
    if found is None:
        problem = f"there is no Experiment {facts.name} in namespace {facts.namespace}"
        return Broken(
            object=about,
            problem=problem,
            remedy="correct name or namespace; kfx get experiments -A lists all",
        ), None
    try:
        experiment = decode_experiment(found)
    except ExperimentDecodeError as error:
        field = str(error).partition(":")[0]
        remedy = "correct the field: kubectl edit, or create the Experiment anew"
        return Broken(object=about, field=field, problem=str(error), remedy=remedy), None
    return Passed(f"created {spell_age(experiment.metadata.creation_timestamp, facts.now)} ago"), experiment


def check_ending(view: View) -> Outcome | None:
    """The end of the walk where the Experiment is over or on its way out; else ``None``."""
    conditions = view.experiment.status.conditions
    if view.experiment.metadata.deletion_timestamp is None and not is_restarted(view.experiment):
        if c.has(conditions, c.FAILED):
            return _explain_failure(view)
        if c.has(conditions, c.SUCCEEDED):
            return Finished(_praise(view), complete=True)
    return None


def check_deletion(view: View) -> Outcome | None:
    """What an Experiment waits for that is being deleted."""
    metadata = view.experiment.metadata
    age = seconds_since(metadata.deletion_timestamp, view.facts.now)
    if age is None:
        return None
    held = ", ".join(metadata.finalizers or ()) or "none"
    if age < DELETION:
        return Finished(f"it is being deleted, for {spell(age)}; finalizers: {held}")
    return Broken(
        object=view.ref,
        field="metadata.finalizers",
        problem=f"it has been waiting to be deleted for {spell(age)}; finalizers: {held}",
        remedy=f"{EXPERIMENT_FINALIZER} is taken away by the controller: see its log; any other by whoever "
        "put it there",
    )


def _praise(view: View) -> str:
    status = view.experiment.status
    condition = c.find(status.conditions, c.SUCCEEDED)
    said = f"{condition.message} ({condition.reason})" if condition is not None else ""
    since = f", {spell_age(status.completion_time, view.facts.now)} ago" if status.completion_time else ""
    best = status.current_optimal_trial
    if best is None or not best.best_trial_name:
        return f"it is complete{since}: {said}; no trial has a value: see kfx get trials -o wide"
    return f"it is complete{since}: {said}; the best trial is {best.best_trial_name}"


def _explain_failure(view: View) -> Broken:
    condition = c.find(view.experiment.status.conditions, c.FAILED)
    message = condition.message if condition is not None else ""
    field = _FIELD.match(message)
    if field is not None:
        return Broken(
            object=view.ref,
            field=field[1],
            problem=f"it was refused: {message}",
            remedy=f"correct {field[1]}, {ANEW}",
        )
    suggestion = view.suggestion
    refused = c.find(suggestion.status.conditions, c.FAILED) if suggestion is not None else None
    if suggestion is not None and refused is not None and refused.status == "True":
        return Broken(
            object=Ref("Suggestion", *suggestion.key),
            problem=refused.message,
            remedy=f"correct spec.algorithm or spec.parameters, {ANEW}",
        )
    if view.failed:
        return _blame_trial(view, message, view.failed[-1])
    problem = message or "it has failed, and its condition gives no reason"
    remedy = f"correct what that says, {ANEW}"
    return Broken(object=view.ref, problem=problem, remedy=remedy)


def _blame_trial(view: View, message: str, trial: Trial) -> Broken:
    condition = c.find(trial.status.conditions, state_of(trial))
    said = f"{condition.reason}: {condition.message}" if condition is not None else "it gives no reason"
    counts = f"{len(view.failed)} of {len(view.ended)} ended trials failed"
    problem = f"{message}; {counts}, the last one with {said}"
    return Broken(object=Ref("Trial", *trial.key), problem=problem, remedy=f"{heal_trial(trial)}; {ANEW}")


def heal_trial(trial: Trial) -> str:
    """What to do about a trial that has failed."""
    if state_of(trial) == c.METRICS_UNAVAILABLE:
        return explain_missing_metrics(trial, trial.status.observation)
    name, namespace = trial.metadata.name, trial.metadata.namespace
    if trial.spec.retain_run:
        return (
            f"read its log: kubectl -n {namespace} logs -l katib.kubeflow.org/trial={name} --all-containers"
        )
    return (
        "correct the training or its template; its pods are deleted with the job, so set "
        "spec.trialTemplate.retain: true to read their logs the next time"
    )


def describe_failures(view: View) -> str:
    """A clause on trials that failed while the Experiment goes on; ``""`` for none."""
    if not view.failed:
        return ""
    last = view.failed[-1]
    condition = c.find(last.status.conditions, state_of(last))
    said = condition.message if condition is not None else "no reason given"
    return f"; {len(view.failed)} failed so far, the last one {last.metadata.name}: {said}"
