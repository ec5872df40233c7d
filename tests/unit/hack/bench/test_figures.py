"""Figures of contenders: medians, ranges and ratios."""

from hack.bench.figures import Section, cell, middle, quantile, shown


def section() -> Section:
    found = Section("speed", "A note.")
    for value in (1.0, 3.0, 2.0):
        found.add("kfx", {"ms": value, "MiB": 50.0})
    found.add("peer", {"ms": 6.0, "MiB": None})
    return found


def test_each_row_has_median_range_and_its_multiple_of_the_first() -> None:
    assert section().cells() == [
        ["kfx", "2 1–3", "50 50–50"],
        ["peer", "6 (3.00×)", "–"],
    ]


def test_the_first_row_can_be_chosen_afterwards() -> None:
    found = section()
    found.order("peer")
    assert [row[0] for row in found.cells()] == ["peer", "kfx"]
    assert found.cells()[1] == ["kfx", "2 1–3 (0.33×)", "50 50–50"]


def test_a_heading_that_only_some_have_is_a_column_for_all() -> None:
    found = section()
    found.add("third", {"extra": 1.0})
    assert found.headings == ["ms", "MiB", "extra"]
    assert found.cells()[0] == ["kfx", "2 1–3", "50 50–50", "–"]


def test_what_was_never_measured_has_no_median() -> None:
    assert middle([None, None]) is None
    assert middle([None, 4.0]) == 4.0


def test_a_base_of_nothing_gives_no_ratio() -> None:
    assert cell(2.0, [2.0], 0.0) == "2"
    assert cell(2.0, [2.0], None) == "2"


def test_figures_are_shown_in_three_digits() -> None:
    assert [shown(value) for value in (1234.5, 99.96, 0.01234)] == ["1234", "100", "0.0123"]


def test_a_quantile_of_one_value_is_that_value() -> None:
    assert quantile([5.0], 0.99) == 5.0
    assert quantile([float(n) for n in range(100)], 0.99) == 99.0
