"""Why a trial does not get on, kept in the message of the condition that it stands at.

Type, status and reason of the condition stay Katib's. The message is also the memory of what was said, so
that neither a restart nor the next look says it again.
"""

from dataclasses import dataclass

import msgspec

from kfx.katib import conditions as c
from kfx.katib.conditions import Conditions
from kfx.kube.model import Condition
from kfx.runtime.plan import Note

LONGEST = 1000  # characters of a message, the size of an event's
_PLAIN = {c.CREATED: "Trial is created", c.RUNNING: "Trial is running"}
"""What these conditions say where nothing is in the way, word for word Katib's."""


@dataclass(frozen=True, slots=True)
class HoldUp:
    """What is in a trial's way, though it may pass.

    ``reason``: the one word that it goes by. ``lead``: which object does what. ``remedy``: what a person can
    do. ``about``: uid of the object whose events may tell more. ``said``: what they told. ``at_once``: it is
    said without waiting whether it passes.
    """

    reason: str
    lead: str
    remedy: str
    about: str = ""
    said: str = ""
    at_once: bool = False

    @property
    def message(self) -> str:
        """One sentence, cut to the length of an event."""
        lead = f"{self.lead}: {self.said}" if self.said else self.lead
        room = LONGEST - len(self.remedy) - 2
        return f"{lead[:room]}; {self.remedy}"

    def note(self) -> Note:
        """The same as an event."""
        return Note("Warning", self.reason, self.message)


def is_said(conditions: Conditions, reason: str) -> bool:
    """Whether the conditions tell of this reason already."""
    bearer = _bearer(conditions)
    return bearer is not None and bearer.message.startswith(_lead(bearer, reason))


def said_of(conditions: Conditions) -> tuple[str, str]:
    """Reason and message of what is told now; two empty texts for nothing."""
    bearer = _bearer(conditions)
    if bearer is None or not _is_talking(bearer):
        return "", ""
    reason, _, message = bearer.message.removeprefix(f"{_PLAIN[bearer.type]}. ").partition(": ")
    return reason, message


def say(conditions: Conditions, hold_up: HoldUp, now: str) -> Conditions:
    """The conditions with the reason told where the trial stands; those given if they tell of it already.

    Details that change under one reason are not written again: each write wakes the Experiment.
    """
    bearer = _bearer(conditions)
    if bearer is None or is_said(conditions, hold_up.reason):
        return conditions
    message = f"{_lead(bearer, hold_up.reason)}{hold_up.message}"
    return tuple(
        msgspec.structs.replace(each, message=message, last_update_time=now)
        if each.type == bearer.type
        else each
        for each in settle(conditions)
    )


def settle(conditions: Conditions) -> Conditions:
    """The conditions with Katib's own messages again; those given where nothing was said."""
    if not any(_is_talking(each) for each in conditions):
        return conditions
    return tuple(
        msgspec.structs.replace(each, message=_PLAIN[each.type]) if _is_talking(each) else each
        for each in conditions
    )


def _bearer(conditions: Conditions) -> Condition | None:
    """Running while it is True, Created before."""
    for kind in (c.RUNNING, c.CREATED):
        found = c.find(conditions, kind)
        if found is not None and found.status == "True":
            return found
    return None


def _lead(bearer: Condition, reason: str) -> str:
    return f"{_PLAIN[bearer.type]}. {reason}: "


def _is_talking(condition: Condition) -> bool:
    plain = _PLAIN.get(condition.type)
    return plain is not None and condition.message.startswith(f"{plain}. ")
