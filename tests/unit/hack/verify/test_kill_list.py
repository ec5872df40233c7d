"""What the list says of a campaign."""

from hack.verify.kill_list import Campaign, Part, Round, ranges, render
from hack.verify.kill_points import Point
from hack.verify.watch_faults import watch_points

FIRST, SECOND, THIRD = (Point("create jobs", number, "before") for number in (1, 2, 3))


def campaign(*rounds: Round, planned: tuple[Point, ...] = (FIRST, SECOND)) -> Campaign:
    part = Part("Killed", "It is killed.", {"create jobs": 3}, planned, rounds=list(rounds))
    return Campaign(date="2026-01-02", commit="abc", parts=[part])


def test_it_is_clean_once_every_point_was_reached_and_nothing_was_wrong() -> None:
    assert not campaign(Round([FIRST], [])).is_clean
    found = campaign(Round([FIRST], []), Round([SECOND], []))
    assert found.is_clean
    text = render(found)
    assert "- 2 points in 2 runs" in text
    assert "2 of 2 points, 2 runs, 0 violations." in text
    assert "| create jobs | 3 | 1–2 | none | none |" in text
    assert "Not reached" not in text


def test_what_was_wrong_stands_at_its_head() -> None:
    found = campaign(Round([FIRST, SECOND], ["I1 jobs.batch ns/a: twice"]))
    assert not found.is_clean
    assert "  - I1 jobs.batch ns/a: twice" in render(found)
    assert "| 1 | create jobs 1 before, create jobs 2 before | 1 complaints |" in render(found)


def test_a_point_that_does_not_exist_is_none_and_that_is_said() -> None:
    found = campaign(Round([FIRST, SECOND], []), Round([], []), planned=(FIRST, SECOND, THIRD))
    assert not found.is_clean
    assert "Not reached: create jobs 3 before." in render(found)
    found.parts[0].absent[THIRD] = 2
    assert found.is_clean
    assert "2 of 2 points" in render(found)
    assert "- No point: create jobs 3 before. With nothing done before it, a run came to 2" in render(found)


def test_faults_of_watches_are_listed_by_run() -> None:
    points = watch_points()[:2]
    part = Part("Watches", "They are cut.", {}, points, rounds=[Round(points, [])])
    text = render(Campaign(date="2026-01-02", commit="abc", parts=[part]))
    assert (
        "| 1 | cut experiments at create trials 2, cut suggestions at create trials 2 | nothing wrong |"
        in text
    )


def test_numbers_in_a_row_become_a_range() -> None:
    assert ranges([4, 1, 2, 3, 6]) == "1–4, 6"
