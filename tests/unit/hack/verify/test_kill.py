"""What a run that missed its only point says of the points there are."""

from collections import Counter

from hack.verify.invariants import Report
from hack.verify.kill import _note_absence
from hack.verify.kill_list import Part
from hack.verify.kill_points import Point
from hack.verify.run import Outcome

THIRD, FOURTH, OTHER = Point("a", 3, "after"), Point("a", 4, "before"), Point("b", 9, "after")


def outcome(made: int, *missed: Point) -> Outcome:
    return Outcome([], missed, Counter({"a": made}), Report(), 12)


def test_later_writes_of_its_kind_are_no_points() -> None:
    part = Part("", "", {}, [THIRD, FOURTH, OTHER])
    _note_absence(part, FOURTH, outcome(3, FOURTH))
    assert part.absent == {FOURTH: 3}
    _note_absence(part, THIRD, outcome(2, THIRD))
    assert part.absent == {FOURTH: 3, THIRD: 2}
    assert part.missed == [OTHER]


def test_one_that_came_to_its_point_says_nothing() -> None:
    part = Part("", "", {}, [THIRD, FOURTH])
    _note_absence(part, THIRD, outcome(3))
    assert part.absent == {}
