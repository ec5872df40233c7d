"""What an algorithm in an image may answer: its reply is as trustworthy as the image."""

import math
import re
from collections.abc import Container, Iterable

from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import TrialAssignment

LONGEST_NAME = 63
"""Characters: a trial's name is a label's value, too."""
_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?")
_NUMERIC = ("int", "double")
_SHOWN = 100


def find_problem(
    experiment: Experiment, assignments: Iterable[TrialAssignment], taken: Container[str]
) -> str:
    """What is wrong with an answer, ``""`` for nothing. ``taken``: names of trials that there are.

    A name that the algorithm gives must make an object of its own; a number must be one.
    """
    numeric = {each.name for each in experiment.spec.parameters if each.parameter_type in _NUMERIC}
    seen: set[str] = set()
    for assignment in assignments:
        name = assignment.name
        if name and (len(name) > LONGEST_NAME or not _NAME.fullmatch(name)):
            return f"{name[:_SHOWN]!r} can name no trial (RFC 1123, at most {LONGEST_NAME} characters)"
        if name in seen or (name and name in taken):
            return f"the trial name {name!r} is taken already"
        if name:
            seen.add(name)
        for value in assignment.parameter_assignments:
            if value.name in numeric and not _is_finite(value.value):
                return f"{value.value[:_SHOWN]!r} is no number, which parameter {value.name[:_SHOWN]!r} needs"
    return ""


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
