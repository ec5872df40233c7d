"""The walk along the chain."""

from collections.abc import Callable, Iterator

from kfx.apis.trial import Trial
from kfx.katib.explanation import platform, progress, runs
from kfx.katib.explanation.ending import (
    check_deletion,
    check_ending,
    check_existence,
    describe_failures,
)
from kfx.katib.explanation.facts import Facts, Unread
from kfx.katib.explanation.finding import (
    BROKEN,
    OK,
    UNKNOWN,
    Broken,
    Check,
    Explanation,
    Finished,
    Outcome,
    Passed,
    Ref,
    Unchecked,
)
from kfx.katib.explanation.view import View, look_at
from kfx.katib.job_state import Phase

Link = tuple[str, Outcome]

_OF_ALL_TRIALS: tuple[tuple[str, runs.Step, str], ...] = (
    ("job", runs.check_job, "each active trial has its job"),
    ("pod", runs.check_pod, "no job waits for its pod"),
    ("start", runs.check_start, "no pod is kept from starting"),
    ("training", runs.check_training, "no container crashes"),
    ("collector", runs.check_collector, "no running pod lacks its metrics collector"),
    ("metrics", runs.check_metrics, "no finished training lacks its metrics"),
)


def explain(facts: Facts) -> Explanation:
    """The first broken link with its remedy, or what is being waited for."""
    checked: list[Check] = []
    about = Ref("Experiment", facts.namespace, facts.name)
    for link, outcome in _walk(facts):
        match outcome:
            case Passed(text):
                checked.append(Check(link, OK, text))
            case Unchecked(text):
                checked.append(Check(link, UNKNOWN, text))
            case Finished(text, complete):
                summary = text + _confess(checked)
                return Explanation(
                    experiment=about, summary=summary, complete=complete, checked=tuple(checked)
                )
            case Broken():
                checked.append(Check(link, BROKEN, outcome.problem))
                summary = f"{link}: {outcome.object}: {outcome.problem}"
                return Explanation(
                    experiment=about, summary=summary, link=link, broken=outcome, checked=tuple(checked)
                )
    raise AssertionError("the walk ends with what is waited for")


def _confess(checked: list[Check]) -> str:
    unknown = [check.link for check in checked if check.state == UNKNOWN]
    return f" (as far as can be seen: {', '.join(unknown)} could not be checked)" if unknown else ""


def _walk(facts: Facts) -> Iterator[Link]:
    yield "api-server", platform.check_api_server(facts)
    yield "definitions", platform.check_definitions(facts)
    outcome, experiment = check_existence(facts)
    if experiment is None:
        yield "experiment", outcome
        return
    view = look_at(facts, experiment)
    yield "experiment", check_ending(view) or outcome
    yield "controller", platform.check_controller(facts)
    if (deletion := check_deletion(view)) is not None:
        yield "deletion", deletion
    yield "webhooks", platform.check_webhooks(facts, collects=progress.collects(view))
    yield from _follow(view)


def _follow(view: View) -> Iterator[Link]:
    """From the namespace down to the metrics."""
    steps: tuple[tuple[str, Callable[[View], Outcome]], ...] = (
        ("namespace", progress.check_namespace),
        ("acceptance", progress.check_acceptance),
        ("suggestion", progress.check_suggestion),
        ("assignments", progress.check_assignments),
        ("trials", progress.check_trials),
    )
    for link, step in steps:
        yield link, step(view)
    for link, of_trial, passed in _OF_ALL_TRIALS:
        yield link, runs.first_broken(view, of_trial, passed)
    yield "progress", Finished(_describe_wait(view))


def _describe_wait(view: View) -> str:
    """``3 trials are active (2 running, 1 starting), the oldest for 4m12s; nothing is wrong``."""
    failed = describe_failures(view)
    if not view.active:
        count = view.experiment.status.trials_running + view.experiment.status.trials_pending
        return f"{count} trials are active; nothing wrong is seen{failed}"
    noun = "trial is" if len(view.active) == 1 else "trials are"
    oldest = f"the oldest for {progress.spell_oldest(view)}"
    return f"{len(view.active)} {noun} active{_count_phases(view)}, {oldest}; nothing is wrong{failed}"


def _count_phases(view: View) -> str:
    """`` (2 running, 1 starting)``; nothing where the pods could not be read."""
    if isinstance(view.facts.pods, Unread):
        return ""
    count, running = len(view.active), sum(1 for trial in view.active if _trains(view, trial))
    finishing = sum(1 for trial in view.active if _has_finished(view, trial))
    parts = [(running, "running"), (finishing, "reporting"), (count - running - finishing, "starting")]
    words = ", ".join(f"{number} {word}" for number, word in parts if number)
    return f" ({words})"


def _trains(view: View, trial: Trial) -> bool:
    pods = runs.pods_of(view, trial)
    return any(pod.status.phase == "Running" for pod in pods) and not _has_finished(view, trial)


def _has_finished(view: View, trial: Trial) -> bool:
    state = runs.state_of_job(view, trial)
    return state is not None and state.phase is not Phase.RUNNING
