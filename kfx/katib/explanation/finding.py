"""What comes of looking at one link of the chain, and of the whole chain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OK, UNKNOWN, BROKEN = "ok", "unknown", "broken"


@dataclass(frozen=True, slots=True)
class Ref:
    """An object, as a person would look it up."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}"


@dataclass(frozen=True, slots=True)
class Passed:
    """The link holds, or was not reached yet and need not hold."""

    text: str


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Nobody can tell; the walk goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The walk ends here, and nothing is wrong: ``text`` says what is, or what is waited for."""

    text: str
    complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The link that keeps the Experiment. ``field`` is a path within ``object``, ``""`` for none."""

    object: Ref
    problem: str
    remedy: str
    field: str = ""


Outcome = Passed | Unchecked | Finished | Broken


@dataclass(frozen=True, slots=True)
class Check:
    """One link that was looked at; ``state`` is ``ok``, ``unknown`` or ``broken``."""

    link: str
    state: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer. ``link`` and ``broken`` are set unless all is well; ``summary`` says it in one sentence."""

    experiment: Ref
    summary: str
    complete: bool = False
    link: str = ""
    broken: Broken | None = None
    checked: tuple[Check, ...] = field(default=())

    @property
    def healthy(self) -> bool:
        """Whether no link is broken."""
        return self.broken is None

    def as_json(self) -> Mapping[str, Any]:
        """The form of ``-o json``; what does not apply is ``null``."""
        broken = self.broken
        about = broken.object if broken is not None else self.experiment
        return {
            "healthy": self.healthy,
            "complete": self.complete,
            "summary": self.summary,
            "link": self.link or None,
            "object": {"kind": about.kind, "namespace": about.namespace, "name": about.name},
            "field": (broken.field or None) if broken is not None else None,
            "problem": broken.problem if broken is not None else None,
            "remedy": broken.remedy if broken is not None else None,
            "checked": [{"link": c.link, "state": c.state, "text": c.text} for c in self.checked],
        }
