"""The links of one Experiment from its acceptance to its Trials."""

from kfx.apis.suggestion import Suggestion
from kfx.katib import conditions as c
from kfx.katib.ages import latest, spell, spell_age
from kfx.katib.experiment_document import explain_problem
from kfx.katib.explanation.facts import Unread
from kfx.katib.explanation.finding import Broken, Finished, Outcome, Passed, Ref, Unchecked
from kfx.katib.explanation.platform import POD_HOOK, describe_pods, selects
from kfx.katib.explanation.said import heal, label_command, last_warning, listing, quote
from kfx.katib.explanation.view import View
from kfx.katib.names import LABEL_INJECTION, SERVICE
from kfx.katib.suggestion import is_exhausted
from kfx.katib.trial import PUSH

RECONCILE_ERROR = ("ReconcileError",)
MEND = "mend what that says"
SEE_LOG = "read the controller's log: kubectl -n {core} logs deployment/" + SERVICE


def see_log(view: View) -> str:
    """Where to look when nobody says why."""
    return SEE_LOG.format(core=view.facts.core_namespace)


def collects(view: View) -> bool:
    """Whether the trials' pods need a collector beside them."""
    spec = view.experiment.spec.metrics_collector_spec
    return spec is None or spec.collector is None or spec.collector.kind != PUSH


def check_namespace(view: View) -> Outcome:
    """Whether the pods of its namespace are given collectors."""
    labels = view.facts.namespace_labels
    if isinstance(labels, Unread):
        return Unchecked(str(labels))
    about = Ref("Namespace", "", view.namespace)
    hooks = view.facts.hooks if isinstance(view.facts.hooks, tuple) else ()
    selectors = [hook.selector for hook in hooks if hook.name == POD_HOOK]
    labelled = labels is not None and labels.get(LABEL_INJECTION) == "enabled"
    if all(selects(selector, labels or {}) for selector in selectors) and (selectors or labelled):
        return Passed(f"{view.namespace} is labelled: its trials' pods are given a metrics collector")
    if labelled:
        return Broken(
            object=about,
            field="metadata.labels",
            problem=f"webhook {POD_HOOK} leaves this namespace out, so no metrics are ever collected in it",
            remedy="use another namespace, or correct the webhook's namespaceSelector",
        )
    return Broken(
        object=about,
        field=f"metadata.labels[{LABEL_INJECTION}]",
        problem=f"the namespace lacks the label {LABEL_INJECTION}: enabled, so its trials' pods get no "
        "metrics collector and no trial ever has a value",
        remedy=f"{label_command(view.namespace)}, and delete the trials' running jobs: they are made again",
    )


def check_acceptance(view: View) -> Outcome:
    """Whether the controller has begun with it, and goes on without an error."""
    conditions = view.experiment.status.conditions
    warning = last_warning(view, *_name(view), RECONCILE_ERROR, since=view.last_change)
    if warning is not None:
        return Broken(
            object=view.ref,
            problem=f"the controller cannot go on with it: {quote(warning, view.facts.now)}",
            remedy=heal(
                warning.message, view.namespace, f"mend what that says, it is tried again; {see_log(view)}"
            ),
        )
    if c.has(conditions, c.CREATED):
        if isinstance(view.facts.events, Unread):
            return Unchecked(f"the controller has taken it up; {view.facts.events}")
        return Passed("the controller has taken it up")
    if not view.is_overdue:
        return Finished(f"it was created {spell(view.quiet)} ago; the controller has not looked at it yet")
    return Broken(
        object=view.ref,
        field="status.conditions",
        problem=f"the controller has not looked at it in {spell(view.quiet)}",
        remedy=see_log(view),
    )


def _name(view: View) -> tuple[str, str]:
    return view.ref.kind, view.ref.name


def check_suggestion(view: View) -> Outcome:
    """Whether its Suggestion is there and at work."""
    if isinstance(view.facts.suggestion, Unread):
        return Unchecked(str(view.facts.suggestion))
    suggestion = view.suggestion
    about = Ref("Suggestion", *view.experiment.key)
    if suggestion is None:
        if not view.is_overdue:
            return Finished("its Suggestion is about to be created")
        problem = f"there is no Suggestion though the Experiment was taken up {spell(view.quiet)} ago"
        return Broken(object=about, problem=problem, remedy=see_log(view))
    failed = c.find(suggestion.status.conditions, c.FAILED)
    if failed is not None and failed.status == "True":
        remedy = "correct spec.algorithm or spec.parameters, and create the Experiment anew"
        return Broken(object=about, problem=f"it has failed: {failed.message}", remedy=remedy)
    if broken := _check_algorithm(view, suggestion):
        return broken
    word = "has given all it has" if is_exhausted(suggestion) else "is at work"
    algorithm = suggestion.spec.algorithm.algorithm_name if suggestion.spec.algorithm else "?"
    return Passed(f"algorithm {algorithm} {word}")


def _check_algorithm(view: View, suggestion: Suggestion) -> Outcome | None:
    """Where it does not run: the Deployment of its image, or nobody's answer."""
    conditions = suggestion.status.conditions
    if c.has(conditions, c.RUNNING) or is_exhausted(suggestion):
        return None
    name = suggestion.spec.algorithm.algorithm_name if suggestion.spec.algorithm else ""
    deployment = view.facts.suggestion_deployment
    if deployment is not None and not isinstance(deployment, Unread):
        about = Ref("Deployment", *deployment.key)
        if deployment.status.available_replicas:
            return Finished(f"algorithm {name} has started, its settings are being checked")
        pods = view.facts.suggestion_pods if isinstance(view.facts.suggestion_pods, tuple) else ()
        said = describe_pods(pods)
        if not said and not view.is_overdue:
            return Finished(f"algorithm {name} is starting, for {spell(view.quiet)}")
        where = f"-n {about.namespace}"
        return Broken(
            object=about,
            problem=f"the algorithm's Deployment is not ready{f': {said}' if said else ''}",
            remedy=f"kubectl {where} describe deployment {about.name}, and its pods, say why; mend that",
        )
    if not view.is_overdue:
        return Finished("the Suggestion is being checked")
    known = ", ".join(view.facts.algorithms)
    if name not in view.facts.algorithms:
        return Broken(
            object=view.ref,
            field="spec.algorithm.algorithmName",
            problem=f"nobody provides algorithm {name!r}",
            remedy=f"use one that kfx brings along ({known}), or name its image in ConfigMap katib-config",
        )
    problem = f"it does not run yet, and nothing has changed for {spell(view.quiet)}"
    return Broken(object=Ref("Suggestion", *suggestion.key), problem=problem, remedy=see_log(view))


def check_assignments(view: View) -> Outcome:
    """Whether the algorithm has given as many assignments as were asked for, and enough were."""
    suggestion = view.suggestion
    if suggestion is None:
        return Unchecked("without the Suggestion nobody can tell what was asked for")
    about = Ref("Suggestion", *suggestion.key)
    requested, given = suggestion.spec.requests, suggestion.status.suggestion_count
    spec, now = view.experiment.spec, view.facts.now
    if given >= requested or is_exhausted(suggestion):
        most = f" of at most {spec.max_trial_count}" if spec.max_trial_count is not None else ""
        return Passed(f"{given} given, {requested} asked for{most}")
    since = latest([t.metadata.creation_timestamp for t in (*view.active, *view.ended)])
    warning = last_warning(view, about.kind, about.name, RECONCILE_ERROR, since=since)
    if warning is not None and "unexpected trials" in warning.message and view.active:
        return Passed(
            f"{given} given; the algorithm waits for results of the {len(view.active)} active trials"
        )
    if warning is not None:
        return Broken(
            object=about,
            problem=f"{given} of {requested} assignments were given: {quote(warning, now)}",
            remedy=heal(warning.message, view.namespace, f"{MEND}; {see_log(view)}"),
        )
    if not view.is_overdue:
        return Finished(f"{given} of {requested} assignments are given, the algorithm is asked for the rest")
    return Broken(
        object=about,
        field="status.suggestionCount",
        problem=f"{requested} assignments were asked for and {given} given; nothing has come for "
        f"{spell(view.quiet)}",
        remedy=see_log(view),
    )


def check_trials(view: View) -> Outcome:
    """Whether every assignment has become a Trial, and no place is left empty."""
    if isinstance(view.facts.trials, Unread):
        return Unchecked(str(view.facts.trials))
    if view.facts.unreadable:
        name, problem = min(view.facts.unreadable.items())
        remedy = f"correct that field, or kubectl -n {view.namespace} delete trial {name}"
        return Broken(
            object=Ref("Trial", view.namespace, name),
            problem=f"it cannot be read, and keeps its place meanwhile: {explain_problem(problem)}",
            remedy=remedy,
        )
    left_undone = _find_undone(view)
    if not left_undone:
        return Passed(f"{len(view.active)} active, {len(view.ended)} ended")
    if not view.is_overdue:
        return Finished(f"{left_undone}; the last change was {spell(view.quiet)} ago, so it is at work")
    return Broken(
        object=view.ref,
        problem=f"{left_undone}; nothing has changed for {spell(view.quiet)}",
        remedy=see_log(view),
    )


def _find_undone(view: View) -> str:
    """What the Experiment's controller has to do next; ``""`` for nothing, or where nobody can tell."""
    suggestion, active = view.suggestion, len(view.active)
    if suggestion is None:
        return ""
    known = {t.metadata.name for t in (*view.active, *view.ended)}
    missing = [each.name for each in suggestion.status.suggestions if each.name not in known]
    if missing:
        return f"assignments without a Trial: {listing(missing)}"
    left = _count_left(view)
    if not active and left == 0:
        return f"all {len(view.ended)} trials have ended, and the Experiment has not"
    places = view.experiment.spec.parallel_trial_count or 3
    empty = min(places - active, places if left is None else left - active)
    if empty <= 0 or suggestion.spec.requests > suggestion.status.suggestion_count:
        return ""
    return f"{active} trials are active, room is for {empty} more, and none is asked for"


def _count_left(view: View) -> int | None:
    """How many trials are still to end, ``None`` where there is no bound."""
    if view.suggestion is not None and is_exhausted(view.suggestion):
        return len(view.active)
    most = view.experiment.spec.max_trial_count
    return None if most is None else max(0, most - len(view.ended))


def spell_oldest(view: View) -> str:
    """Since when the oldest active trial has been there."""
    return spell_age(view.active[0].metadata.creation_timestamp, view.facts.now)
