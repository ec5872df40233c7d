"""What a Suggestion needs next, when its algorithm runs in an image of its own. Values in, a plan out.

(Katib's suggestion controller, ``ReconcileSuggestion``.) Objects, readiness, validation, assignments follow
one another; nothing is asked of an algorithm whose Deployment is not available.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace

import msgspec

from kfx.apis.apps import Deployment, Service
from kfx.apis.common import AlgorithmSetting
from kfx.apis.suggestion import Suggestion, SuggestionSpec, SuggestionStatus, TrialAssignment
from kfx.katib import conditions as c
from kfx.katib.names import is_controlled_by
from kfx.katib.suggestion import (
    is_live,
    made,
    mark_created,
    mark_ready,
    mark_running,
    refuse,
    take_answer,
    wait_for_ideas,
)
from kfx.katib.tally import Tally
from kfx.kube.model import KubeObject
from kfx.runtime.plan import Create, Delete, Note, Plan

AVAILABLE = "Available"


@dataclass(frozen=True, slots=True)
class Inside:
    """The names of algorithms and of rules for early stopping that run inside kfx."""

    algorithms: Container[str] = ()
    early_stoppings: Container[str] = ()

    def answers(self, spec: SuggestionSpec) -> bool:
        """Whether nothing of what ``spec`` names needs an image."""
        algorithm, rule = spec.algorithm, spec.early_stopping
        return (algorithm.algorithm_name if algorithm is not None else "") in self.algorithms and (
            rule is None or not rule.algorithm_name or rule.algorithm_name in self.early_stoppings
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What an algorithm answered.

    ``start``: how many assignments there ever were when it was asked; ``requests``: how many were wanted in
    all. ``settings``: those that it has changed. ``busy``: a trial ran then, whose result may matter.
    """

    start: int
    requests: int
    assignments: tuple[TrialAssignment, ...] = ()
    settings: tuple[AlgorithmSetting, ...] = ()
    busy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What is heard from an algorithm so far.

    ``problem``: what it has against the settings, ``""`` for nothing, ``None`` while that is not known.
    ``note``: why it does not answer, where that has to be told now. ``again``: seconds until it is to be
    asked again; ``None`` where an answer will wake the reconciler.
    """

    problem: str | None = None
    proposal: Proposal | None = None
    note: Note | None = None
    again: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSuggestionSeen:
    """``missing``: what has to be made. ``word``: of an algorithm that was not asked, nothing."""

    suggestion: Suggestion
    trials: Tally = field(default_factory=Tally)
    missing: tuple[Create, ...] = ()
    deployment: Deployment | None = None
    word: Word = field(default_factory=Word)


def is_available(deployment: Deployment | None) -> bool:
    """Whether its pods serve (Katib ``checkDeploymentReady``)."""
    return deployment is not None and c.has(deployment.status.conditions, AVAILABLE)


def is_stored(proposal: Proposal, status: SuggestionStatus) -> bool:
    """Whether the status has taken it up; the number of assignments ever made never goes back."""
    return made(status) > proposal.start


def plan_image_suggestion(seen: ImageSuggestionSeen, now: str) -> Plan:
    """The next writes; an empty plan where all that is asked for has been answered, or is being asked."""
    suggestion, status = seen.suggestion, seen.suggestion.status
    if suggestion.metadata.deletion_timestamp is not None:
        return Plan()
    if not c.has(status.conditions, c.CREATED):
        return Plan(status=mark_created(status, now))
    if not is_live(suggestion):
        return Plan()
    plan = _plan_live(seen, now)
    plan = replace(plan, create=seen.missing, notes=(*plan.notes, *_notes(seen.word)))
    if plan.requeue_after is None:
        plan = replace(plan, requeue_after=seen.word.again)
    return replace(plan, status=None) if plan.status == status else plan


def plan_clean_up(suggestion: Suggestion, *objects: Deployment | Service | None) -> Plan:
    """Of a Suggestion that has ended, Deployment and Service go; volumes and rights stay, as in Katib."""
    return Plan(
        delete=tuple(
            Delete(
                resource=each.resource,
                namespace=each.metadata.namespace,
                name=each.metadata.name,
                uid=each.metadata.uid,
                propagation="Background",
            )
            for each in objects
            if each is not None and _is_to_go(each, suggestion)
        )
    )


def _is_to_go(found: KubeObject, suggestion: Suggestion) -> bool:
    metadata = found.metadata
    return metadata.deletion_timestamp is None and is_controlled_by(metadata.controller, suggestion)


def _notes(word: Word) -> Iterator[Note]:
    if word.note is not None:
        yield word.note


def _plan_live(seen: ImageSuggestionSeen, now: str) -> Plan:
    suggestion, status, word = seen.suggestion, seen.suggestion.status, seen.word
    if not is_available(seen.deployment):
        return Plan(status=_with(status, mark_ready(status.conditions, now, ready=False)))
    status = _with(status, mark_ready(status.conditions, now))
    if not c.has(status.conditions, c.RUNNING):
        if word.problem is None:
            return Plan(status=status)
        if word.problem:
            return refuse(status, word.problem, now)
        status = mark_running(status, now)
    proposal = word.proposal
    if proposal is None or is_stored(proposal, status):
        return Plan(status=status)
    status = _overwrite(status, proposal.settings)
    if not proposal.assignments and proposal.busy:
        return wait_for_ideas(status)
    seed = suggestion.metadata.uid  # what is asked once is named once, however often it is written
    return take_answer(suggestion, seen.trials, status, proposal.assignments, seed=seed, now=now)


def _with(status: SuggestionStatus, conditions: c.Conditions) -> SuggestionStatus:
    return msgspec.structs.replace(status, conditions=conditions)


def _overwrite(status: SuggestionStatus, settings: tuple[AlgorithmSetting, ...]) -> SuggestionStatus:
    """Settings replaced by name, new ones behind (Katib ``updateAlgorithmSettings``)."""
    if not settings:
        return status
    found = {each.name: each for each in (*status.algorithm_settings, *settings)}
    return msgspec.structs.replace(status, algorithm_settings=tuple(found.values()))
