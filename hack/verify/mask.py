"""Which violations are none, and why: a committed list, so that each one has been thought about once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from hack.verify.check import Violation

MASK = Path(__file__).with_name("mask.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """For a violation of one of ``invariants`` that all patterns given match."""

    invariants: tuple[str, ...]
    reason: str
    resource: str = ".*"
    agent: str = ".*"
    text: str = ".*"

    def covers(self, violation: Violation) -> bool:
        return (
            violation.invariant in self.invariants
            and re.fullmatch(self.resource, violation.resource) is not None
            and re.fullmatch(self.agent, violation.agent) is not None
            and re.fullmatch(self.text, violation.text) is not None
        )


def read_mask(path: Path = MASK) -> Sequence[Excuse]:
    """Raises TypeError for an entry without a reason, or with a field that is not known."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Excuse(**{**entry, "invariants": tuple(entry["invariants"])}) for entry in entries]
