"""Lists in a status that would make an object larger than a server takes well.

Both lists are complete until they reach :data:`LIMIT`. Beyond it the oldest entries of trials that have ended
leave, counts stay totals, and the object says so in an annotation.
"""

from dataclasses import replace

import msgspec

from kfx.apis.experiment import ExperimentStatus
from kfx.apis.suggestion import SuggestionStatus, TrialAssignment
from kfx.katib import conditions as c
from kfx.katib.summary import PENDING, state_of
from kfx.katib.tally import Tally
from kfx.kube.model import KubeObject, Model
from kfx.runtime.plan import Note, Patch, Plan

LIMIT = 512 * 1024
"""Bytes of JSON that a list, or an experiment's lists together, may take."""

STEP = LIMIT // 8
"""Bytes that leave at once, so that entries do not leave one by one."""

ANNOTATION = "kfx.kubeflow.org/lists-shortened"

_SPARE = 32  # characters by which names of one experiment's trials may differ
_QUOTES = len('"",')
_ENDED = (
    "succeeded_trial_list",
    "failed_trial_list",
    "killed_trial_list",
    "early_stopped_trial_list",
    "metrics_unavailable_trial_list",
)


def shorten_assignments(status: SuggestionStatus, trials: Tally) -> SuggestionStatus:
    """The status, without the oldest assignments of trials that have ended if there are too many."""
    if not status.suggestions or len(status.suggestions) * 2 * _bytes_of(status.suggestions[-1]) <= LIMIT:
        return status  # they are much alike: not each of them has to be looked at
    sizes = [_bytes_of(each) for each in status.suggestions]
    excess, kept = _excess(sum(sizes)), []
    if excess <= 0:
        return status
    for each, size in zip(status.suggestions, sizes, strict=True):
        trial = trials.get(each.name)
        if excess > 0 and trial is not None and state_of(trial) not in {PENDING, c.RUNNING}:
            excess -= size
        else:
            kept.append(each)
    return msgspec.structs.replace(status, suggestions=tuple(kept))


def shorten_names(status: ExperimentStatus) -> ExperimentStatus:
    """The status, without the oldest names of trials that have ended, from the longest lists, if too many."""
    some = max((len(first) for field in _ENDED for first in getattr(status, field)[:1]), default=0)
    if status.trials * (some + _SPARE) <= LIMIT:
        return status
    active = _size(status.pending_trial_list) + _size(status.running_trial_list)
    sizes = {field: _size(getattr(status, field)) for field in _ENDED}
    excess = _excess(active + sum(sizes.values()))
    if excess <= 0:
        return status
    shortened: dict[str, tuple[str, ...]] = {}
    for field in sorted(sizes, key=lambda each: sizes[each], reverse=True):
        names: tuple[str, ...] = getattr(status, field)
        at = 0
        while excess > 0 and at < len(names):
            excess -= len(names[at]) + _QUOTES
            at += 1
        shortened[field] = names[at:]
    return msgspec.structs.replace(status, **shortened)


def told_first(owner: KubeObject, plan: Plan, shortened: Model) -> Plan:
    """``plan`` with the ``shortened`` status, once the object says that its lists are not complete."""
    if ANNOTATION in (owner.metadata.annotations or {}):
        return replace(plan, status=shortened)
    changes = {"metadata": {"annotations": {ANNOTATION: "true"}}}
    text = (
        f"status has reached {LIMIT // 1024} KiB: the oldest trials that have ended leave its lists, "
        "its counts stay complete; list the Trials themselves"
    )
    note = Note("Warning", "ListsShortened", text)
    return Plan(patch=(Patch(target=owner, changes=changes),), notes=(note,))


def _excess(size: int) -> int:
    """How much has to leave: the same while a list grows by less than a step."""
    return -((LIMIT - size) // STEP) * STEP


def _bytes_of(assignment: TrialAssignment) -> int:
    return len(msgspec.json.encode(assignment)) + 1


def _size(names: tuple[str, ...]) -> int:
    return sum(map(len, names)) + _QUOTES * len(names)
