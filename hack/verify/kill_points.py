"""Where kfx can be killed: at the n-th write of a kind, before it is sent, before its reply, after that."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PHASES = ("before", "between", "after")
"""Before the server gets the request; once it was accepted, with no reply; once the reply was handed over."""
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_TARGET = re.compile(r"/(experiments|suggestions|trials|jobs)(?:/[^/?]+)?(?:/(\w+))?(?:\?|$)")


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """``write``: such as ``patch trials/status``; ``number``: among the accepted ones of a run, from 1."""

    write: str
    number: int
    phase: str

    def __str__(self) -> str:
        return f"{self.write} {self.number} {self.phase}"


def name_write(method: str, target: str) -> str:
    """``patch trials/status``; "" for what is no write of Katib's kinds or of jobs."""
    verb, found = VERBS.get(method, ""), _TARGET.search(target)
    if not verb or not found:
        return ""
    kind, subresource = found.groups()
    return f"{verb} {kind}/{subresource}" if subresource else f"{verb} {kind}"


def all_points(writes: Mapping[str, int]) -> list[Point]:
    """Every point of a run that made so many accepted writes of each kind."""
    return [
        Point(write, number, phase)
        for write, count in sorted(writes.items())
        for number in range(1, count + 1)
        for phase in PHASES
    ]


def sample(writes: Mapping[str, int], seed: int) -> list[Point]:
    """One point of each kind of write and phase.

    Not of the last writes of a kind: with faults fewer are made, since two changes become one.
    """
    chance = random.Random(seed)  # noqa: S311 — repeatable
    points = []
    for write, count in sorted(writes.items()):
        numbers = range(1, max(1, count * 2 // 3) + 1)
        chosen = chance.sample(numbers, min(len(PHASES), len(numbers)))
        points += [Point(write, chosen[i % len(chosen)], phase) for i, phase in enumerate(PHASES)]
    return points


def spread(points: Iterable[Point], kills: int) -> list[list[Point]]:
    """In rounds of about ``kills`` points that lie far apart; one write is never in a round twice.

    A round of a kill before a write and one after it could not tell which of them did harm.
    """
    waiting = sorted(points, key=lambda point: (point.phase, point.number, point.write))
    rounds: list[list[Point]] = [[] for _ in range(max(1, -(-len(waiting) // kills)))]
    taken: list[set[tuple[str, int]]] = [set() for _ in rounds]
    for index, point in enumerate(waiting):
        write = point.write, point.number
        place = next(
            (
                p % len(rounds)
                for p in range(index, index + len(rounds))
                if write not in taken[p % len(rounds)]
            ),
            None,
        )
        if place is None:
            rounds.append([])
            taken.append(set())
            place = len(rounds) - 1
        rounds[place].append(point)
        taken[place].add(write)
    return [each for each in rounds if each]


class Schedule:
    """The points of one run: which are left, which were hit, and how many writes have been accepted."""

    def __init__(self, points: Sequence[Point] = ()) -> None:
        self.left = set(points)
        self.hit: list[Point] = []
        self.accepted: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()

    def is_due(self, write: str, phase: str) -> bool:
        """Whether this is the moment to kill; counts as hit then.

        ``before``: the write will be the next one, behind those that are under way.
        """
        number = self.accepted[write]
        if phase == "before":
            number += self.under_way[write] + 1
        point = Point(write, number, phase)
        if point not in self.left:
            return False
        self.left.discard(point)
        self.hit.append(point)
        return True
