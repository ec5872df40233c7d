"""What the list says of a campaign."""

from hack.verify.kill_list import Part, Round, is_clean, ranges, render
from hack.verify.kill_points import Point
from hack.verify.watch_faults import watch_points

FIRST, SECOND, THIRD = (Point("create jobs", number, "before") for number in (1, 2, 3))


def part(*rounds: Round, planned: tuple[Point, ...] = (FIRST, SECOND), title: str = "Killed") -> Part:
    return Part(title, "It is killed.", {"create jobs": 3}, planned, rounds=list(rounds), commit="abc")


def test_it_is_clean_once_every_point_was_reached_and_nothing_was_wrong() -> None:
    assert not is_clean([part(Round([FIRST], []))])
    found = [part(Round([FIRST], []), Round([SECOND], []))]
    assert is_clean(found)
    text = render(found)
    assert "- 2 of 2 points in 2 runs" in text
    assert "| create jobs | 3 | 1–2 | none | none |" in text
    assert "Not reached" not in text


def test_what_was_wrong_stands_at_its_head() -> None:
    found = [part(Round([FIRST, SECOND], ["I1 jobs.batch ns/a: twice"]))]
    assert not is_clean(found)
    assert "  - I1 jobs.batch ns/a: twice" in render(found)
    assert "| 1 | create jobs 1 before, create jobs 2 before | 1 complaints |" in render(found)


def test_a_point_that_does_not_exist_is_none_and_that_is_said() -> None:
    found = part(Round([FIRST, SECOND], []), Round([], []), planned=(FIRST, SECOND, THIRD))
    assert not is_clean([found])
    assert "- Not reached: create jobs 3 before." in render([found])
    found.absent[THIRD] = 2
    assert is_clean([found])
    assert "- 2 of 2 points" in render([found])
    assert "- No points: create jobs 3 before. A run to which nothing was done came to 2" in render([found])


def test_a_part_that_was_tried_alone_takes_the_place_of_its_section_only() -> None:
    both = render([part(title="A"), part(title="B")])
    again = render([part(Round([FIRST], []), title="B")], both)
    assert again.count("## A\n") == again.count("## B\n") == 1
    assert again.count("0 of 2 points") == again.count("1 of 2 points") == 1
    assert render([part(title="A"), part(Round([FIRST], []), title="B")]) == again


def test_faults_of_watches_are_listed_by_run() -> None:
    points = watch_points()[:2]
    text = render([Part("Watches", "They are cut.", {}, points, rounds=[Round(points, [])])])
    assert (
        "| 1 | cut experiments at create trials 2, cut suggestions at create trials 2 | nothing wrong |"
        in text
    )


def test_numbers_in_a_row_become_a_range() -> None:
    assert ranges([4, 1, 2, 3, 6]) == "1–4, 6"
