"""What an invariant is to the tool: something that sees every write and names those that may not be."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from hack.verify.audit import Write
from hack.verify.world import Change, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """In seconds. ``lowered``: until fewer trials run after the user asked for fewer. ``leak``: until nothing
    is left of a deleted Experiment. ``settle``: until kfx rests after the end of an Experiment. ``pending``:
    until an assignment has its trial. ``lease``: ``namespace/name`` of the Lease that every kfx of the log
    must hold to write; without one only those are judged that have written a Lease. ``all_ended``: whether
    every Experiment has to have ended with the log.
    """

    lowered: float = 120.0
    leak: float = 120.0
    settle: float = 60.0
    pending: float = 120.0
    lease: str = ""
    all_ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """``at``: seconds since the epoch, by the API server. ``requests``: their ids in the log."""

    invariant: str
    object: str
    text: str
    at: float
    requests: tuple[str, ...]
    resource: str = ""
    agent: str = ""


class Check(Protocol):
    """One invariant. ``judged``: how often it could have been broken."""

    invariant: str
    says: str
    judged: int

    def see(self, write: Write, change: Change | None, world: World) -> Iterable[Violation]:
        """``change``: what the write did, None where no Experiment is concerned."""
        ...

    def end(self, world: World) -> Iterable[Violation]:
        """The log is over."""
        ...

    def forget(self, root: str) -> None:
        """The Experiment of this uid is gone, and so is all that hung on it."""
        ...


class PerTree:
    """The common part: most invariants have nothing to say in the end, and remember things by Experiment."""

    invariant = ""

    def __init__(self) -> None:
        self.judged = 0

    def end(self, world: World) -> Iterable[Violation]:
        del world
        return ()

    def forget(self, root: str) -> None:
        del root

    def broken(self, write: Write, text: str, *also: str, of: object = "") -> Violation:
        """By this write; ``also``: other requests that one should look at."""
        return Violation(
            invariant=self.invariant,
            object=str(of or write.object),
            text=text,
            at=write.answered,
            requests=(*also, write.id),
            resource=write.resource,
            agent=write.agent,
        )

    def left(self, world: World, of: object, text: str, *requests: str) -> Violation:
        """At the end of the log."""
        return Violation(invariant=self.invariant, object=str(of), text=text, at=world.now, requests=requests)
