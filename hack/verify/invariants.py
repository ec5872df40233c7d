"""``python -m hack.verify.invariants AUDIT_LOG``: was kfx ever wrong in this run? Exit status 1 if it was.

The API server's audit log (``hack/cluster/audit-policy.yaml``) is the only witness; kfx's own logs are not
asked. It is read once, and what is held in memory grows with the Experiments there are, not with the log.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from hack.verify.audit import Write, in_stored_order, read_writes
from hack.verify.check import Check, Limits, Violation
from hack.verify.fencing import Fence
from hack.verify.leftovers import NothingLeft
from hack.verify.mask import MASK, Excuse, read_mask
from hack.verify.numbers import Most, OneJob, OneTrial, Parallel
from hack.verify.shape import SameCounts, Shape
from hack.verify.states import Optimum, Rest, Terminal
from hack.verify.world import World


@dataclass
class Report:
    """What a log shows. ``judged``: by invariant, how often it could have been broken."""

    violations: list[Violation] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)
    judged: dict[str, int] = field(default_factory=dict)
    writes: int = 0
    undecided: int = 0
    shapes: list[Shape] = field(default_factory=list)


class Judge:
    """All invariants over one log."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        mask: Sequence[Excuse] = (),
        reference: Shape | None = None,
    ) -> None:
        limits = limits or Limits()
        self._mask = mask
        self._world = World()
        self._nothing_left = NothingLeft(limits)
        self._counts = SameCounts(reference)
        self.checks: tuple[Check, ...] = (
            OneJob(),
            OneTrial(limits),
            Parallel(limits),
            Most(),
            Terminal(),
            Fence(limits),
            Rest(limits),
            self._nothing_left,
            Optimum(),
            self._counts,
        )

    def judge(self, writes: Iterable[Write]) -> Report:
        """``writes`` in the order in which they were stored."""
        report = Report()
        for write in writes:
            for each in (self._world.recall(write), write if write.certain else None):
                if each is not None:
                    self._see(each, report)
        for check in self.checks:
            self._take(report, check.end(self._world))
            report.judged[check.invariant] = check.judged
        report.undecided = self._nothing_left.undecided(self._world)
        report.shapes = self._counts.shapes
        return report

    def _see(self, write: Write, report: Report) -> None:
        report.writes += 1
        change = self._world.apply(write)
        for check in self.checks:
            self._take(report, check.see(write, change, self._world))
        self._forget()

    def _take(self, report: Report, found: Iterable[Violation]) -> None:
        for violation in found:
            if any(excuse.covers(violation) for excuse in self._mask):
                report.excused[violation.invariant] += 1
            else:
                report.violations.append(violation)

    def _forget(self) -> None:
        while self._nothing_left.done:
            tree = self._nothing_left.done.pop()
            self._world.forget(tree)
            for check in self.checks:
                check.forget(tree.uid)


def judge_log(
    path: Path,
    limits: Limits | None = None,
    *,
    reference: Shape | None = None,
    mask: Sequence[Excuse] | None = None,
    start: int = 0,
) -> Report:
    """The report on a log from byte ``start`` on. Raises OSError, and ValueError where it is no audit log."""
    excuses = read_mask() if mask is None else mask
    with path.open("rb") as stream:
        stream.seek(start)
        judge = Judge(limits, mask=excuses, reference=reference)
        return judge.judge(in_stored_order(read_writes(stream)))


def tell(report: Report, says: Iterable[Check]) -> Iterator[str]:
    """Line by line, for people."""
    for violation in report.violations:
        at = datetime.fromtimestamp(violation.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        requests = " ".join(violation.requests) or "none"
        yield f"{violation.invariant} {violation.object}: {violation.text} (at {at}, requests {requests})"
    broken = Counter(violation.invariant for violation in report.violations)
    yield f"{report.writes} accepted writes"
    for check in says:
        name = check.invariant
        yield (
            f"{name:>4}  {check.judged:>6} judged  {broken[name]:>3} violations  "
            f"{report.excused[name]:>3} excused  {check.says}"
        )
    if report.undecided:
        yield f"{report.undecided} deleted Experiments left objects; the log ends before their time is over"


def main(argv: Sequence[str] | None = None) -> int:
    """0: never wrong. 1: wrong. 2: no log to judge."""
    asked = _arguments(argv)
    given = {each.name: getattr(asked, each.name) for each in fields(Limits)}
    try:
        reference = _only_shape(asked.reference) if asked.reference else None
        with asked.log.open("rb") as stream:
            judge = Judge(Limits(**given), mask=read_mask(asked.mask), reference=reference)
            report = judge.judge(in_stored_order(read_writes(stream)))
    except (OSError, ValueError) as error:
        print(f"{asked.log}: {error}", file=sys.stderr)
        return 2
    for line in tell(report, judge.checks):
        print(line)
    if not report.judged["I3"]:
        print(f"{asked.log}: no Experiment in it; log with hack/cluster/audit-policy.yaml", file=sys.stderr)
        return 2
    return 1 if report.violations else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.verify.invariants", description=__doc__)
    parser.add_argument("log", type=Path, help="the API server's audit log")
    parser.add_argument("--reference", type=Path, help="log of one Experiment without faults, for I10")
    parser.add_argument("--mask", type=Path, default=MASK, help="what is excused")
    parser.add_argument("--lease", default="", help="namespace/name of the Lease that every kfx must hold")
    parser.add_argument("--all-ended", action="store_true", help="every Experiment must have ended")
    for name in ("lowered", "leak", "settle", "pending"):
        default = getattr(Limits(), name)
        parser.add_argument(f"--{name}", type=float, default=default, help=f"seconds (default {default:.0f})")
    return parser.parse_args(argv)


def _only_shape(path: Path) -> Shape:
    shapes = judge_log(path).shapes
    if len(shapes) != 1:
        raise ValueError(f"--reference {path} holds {len(shapes)} Experiments that ended, not one")
    return shapes[0]


if __name__ == "__main__":
    sys.exit(main())
