"""The list of points at which kfx was killed, as it is committed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hack.verify.kill_points import PHASES, Point

WANTED = 0.95
"""Of the planned points. With kills more changes share a write, so the last of a kind may not come."""

INTRODUCTION = (
    "Written by `make verify-kill`, not by hand. kfx, a process of its own, got SIGKILL at the n-th accepted",
    "write of each kind of an Experiment of 12 trials, from its creation to its deletion: *before* the API",
    "server got the request, *between* its acceptance and the reply, *after* the reply was handed over.",
    "It was started again after each kill. After each run the Experiment had to have succeeded with 12",
    "trials, nothing to be left of it, and `hack/verify/invariants.py` to find nothing wrong in the audit",
    "log. Events are no points: they tell of writes that were accepted, and nothing follows from them.",
)


@dataclass(frozen=True, slots=True)
class Round:
    """One run: the points in the order in which they came, and what was wrong afterwards."""

    hit: Sequence[Point]
    complaints: Sequence[str]


@dataclass
class Campaign:
    """All runs. ``writes``, ``complaints``: of the run without a kill, by kind of write."""

    date: str
    commit: str
    writes: Mapping[str, int]
    planned: Sequence[Point]
    complaints: list[str] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return sum(len(each.hit) for each in self.rounds)

    @property
    def missed(self) -> Sequence[Point]:
        return sorted({*self.planned} - {point for each in self.rounds for point in each.hit})

    @property
    def wrong(self) -> Sequence[str]:
        return [*self.complaints, *(text for each in self.rounds for text in each.complaints)]

    @property
    def is_clean(self) -> bool:
        """Nothing was wrong, and so many points were reached that this says something."""
        return not self.wrong and self.tried >= WANTED * len(self.planned)


def render(campaign: Campaign) -> str:
    """Markdown: by kind of write, then run by run."""
    lines = [
        "# Points at which kfx was killed",
        "",
        *INTRODUCTION,
        "",
        f"- Date {campaign.date}, commit {campaign.commit}",
        f"- {campaign.tried} of {len(campaign.planned)} points in {len(campaign.rounds)} runs",
        f"- Violations and runs that did not end well: {len(campaign.wrong)}",
        *(f"  - {text.splitlines()[0]}" for text in campaign.wrong),
        "",
        "| write | without a kill | before | between | after |",
        "|---|---|---|---|---|",
        *_by_write(campaign),
        "",
    ]
    if campaign.missed:
        lines += [
            "Not tried, or not reached since the runs made fewer such writes: "
            + _names(campaign.missed)
            + ".",
            "",
        ]
    lines += ["| run | points, in order | result |", "|---|---|---|"]
    for number, each in enumerate(campaign.rounds, 1):
        result = "nothing wrong" if not each.complaints else f"{len(each.complaints)} complaints"
        lines.append(f"| {number} | {_names(each.hit)} | {result} |")
    return "\n".join([*lines, ""])


def _by_write(campaign: Campaign) -> Iterable[str]:
    numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
    for each in campaign.rounds:
        for point in each.hit:
            numbers[point.write, point.phase].add(point.number)
    for write, count in sorted(campaign.writes.items()):
        cells = " | ".join(ranges(numbers[write, phase]) for phase in PHASES)
        yield f"| {write} | {count} | {cells} |"


def ranges(numbers: Iterable[int]) -> str:
    """``1–4, 6``."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in found) or "none"


def _names(points: Iterable[Point]) -> str:
    return ", ".join(map(str, points))
