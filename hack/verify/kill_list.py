"""The list of points at which something was done to kfx, as it is committed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hack.verify.kill_points import PHASES, Point
from hack.verify.watch_faults import WatchPoint

AnyPoint = Point | WatchPoint

INTRODUCTION = (
    "Written by `make verify-kill`, not by hand. kfx is a process of its own, as `config/` installs it:",
    "as ServiceAccount `kubeflow/katib-controller` with the rights of `config/rbac`, with leader",
    "election, its webhooks registered and asked for each Experiment and for the pod of each trial. An",
    "Experiment of 12 trials lives from its creation to its deletion; something happens to kfx at the",
    "n-th accepted write of each kind: *before* the API server got the request, *between* its acceptance",
    "and the reply, *after* the reply was handed over. After each run the Experiment had to have",
    "succeeded with 12 trials, nothing to be left of it, and `hack/verify/invariants.py` to find nothing",
    "wrong in the API server's audit log (I1 to I10). Events are no points: they tell of writes that were",
    "accepted, and nothing follows from them. A Lease stands for 3 s here, not for 15 s, so that there is",
    "time for all points; `tests/cluster/test_audited_faults.py` has the 15 s.",
)


@dataclass(frozen=True, slots=True)
class Round:
    """One run: the points in the order in which they came, and what was wrong afterwards.

    ``lost``: how often a replica gave up by itself since it could not renew its Lease in time.
    """

    hit: Sequence[AnyPoint]
    complaints: Sequence[str]
    lost: int = 0


@dataclass
class Part:
    """Runs of one kind. ``writes``, ``complaints``: of the run in which nothing happened, by kind of write.

    ``absent``: points that do not exist, each with how many such writes a run made that nothing happened to.
    """

    title: str
    says: str
    writes: Mapping[str, int]
    planned: Sequence[AnyPoint]
    complaints: list[str] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    absent: dict[AnyPoint, int] = field(default_factory=dict)
    date: str = ""
    commit: str = ""
    seconds: float = 0.0

    @property
    def tried(self) -> int:
        return sum(len(each.hit) for each in self.rounds)

    @property
    def missed(self) -> list[AnyPoint]:
        """Points that exist and were not reached."""
        hit = {point for each in self.rounds for point in each.hit}
        return [point for point in self.planned if point not in hit and point not in self.absent]

    @property
    def wrong(self) -> list[str]:
        return [*self.complaints, *(text for each in self.rounds for text in each.complaints)]


def is_clean(parts: Iterable[Part]) -> bool:
    """Nothing was wrong, and every point there is was reached."""
    return not any(part.wrong or part.missed for part in parts)


def render(parts: Iterable[Part], before: str = "") -> str:
    """Markdown, a section for each part. ``before``: a list whose sections of other parts are kept."""
    sections = dict(_sections(before))
    sections.update({part.title: "\n".join(_render_part(part)) for part in parts})
    head = "\n".join(("# Points at which something happened to kfx", "", *INTRODUCTION))
    return "\n\n".join([head, *(sections[title].strip() for title in sorted(sections))]) + "\n"


def _sections(text: str) -> Iterable[tuple[str, str]]:
    for section in text.split("\n## ")[1:]:
        yield section.splitlines()[0], f"## {section}"


def _render_part(part: Part) -> Iterable[str]:
    exist = len(part.planned) - len(part.absent)
    wrong = part.wrong
    yield from (f"## {part.title}", "", part.says, "")
    yield f"- {part.date}, commit {part.commit}, {part.seconds / 60:.0f} minutes"
    yield f"- {part.tried} of {exist} points in {len(part.rounds)} runs"
    yield f"- Violations and runs that did not end well: {len(wrong)}"
    yield from (f"  - {text.splitlines()[0]}" for text in wrong)
    if lost := sum(each.lost for each in part.rounds):
        yield f"- {lost} times a replica could not renew its Lease in time here, ended and was started again."
    for made in sorted(set(part.absent.values())):
        names = _names(point for point in sorted(part.absent, key=str) if part.absent[point] == made)
        yield f"- No points: {names}. A run to which nothing was done came to {made} of these writes:"
        yield "  changes that meet are one write, and an Experiment is counted at most twice a second."
    if part.missed:
        yield f"- Not reached: {_names(part.missed)}."
    yield ""
    if any(isinstance(point, Point) for point in part.planned):
        yield from ("| write | without faults | before | between | after |", "|---|---|---|---|---|")
        yield from _by_write(part)
        yield ""
    yield from ("| run | points, in order | result |", "|---|---|---|")
    for number, each in enumerate(part.rounds, 1):
        result = "nothing wrong" if not each.complaints else f"{len(each.complaints)} complaints"
        yield f"| {number} | {_names(each.hit) or 'none: it made fewer such writes'} | {result} |"


def _by_write(part: Part) -> Iterable[str]:
    numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
    for each in part.rounds:
        for point in each.hit:
            if isinstance(point, Point):
                numbers[point.write, point.phase].add(point.number)
    for write, count in sorted(part.writes.items()):
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


def _names(points: Iterable[AnyPoint]) -> str:
    return ", ".join(map(str, points))
