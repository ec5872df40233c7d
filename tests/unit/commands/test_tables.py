import pytest

from kfx.commands.tables import align, indent, measure, paragraph, printable, shorten


def test_columns_are_as_wide_as_their_widest_cell_and_end_without_blanks() -> None:
    rows = [["NAME", "AGE"], ["a-long-name", "3s"], ["b", ""]]
    assert align(rows) == ["NAME          AGE", "a-long-name   3s", "b"]
    assert measure(rows) == [11, 3]
    assert align([["b", "3s"]], widths=[11, 3]) == ["b             3s"]


def test_nothing_from_a_cluster_steers_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc\td\u2028e é") == "a [31mb c d e é"
    assert "\x1b" not in "".join(align([["\x1b]0;x\x07"]])) + "".join(paragraph("\x1b[2J"))


def test_a_paragraph_breaks_between_words_and_never_within_one() -> None:
    label = "katib.kubeflow.org/metrics-collector-injection=enabled"
    lines = paragraph(f"kubectl label namespace ns {label}", first="Remedy: ", width=40)
    assert lines == ["Remedy: kubectl label namespace ns", f"        {label}"]


def test_empty_lines_are_not_indented() -> None:
    assert indent(["a", "", "b"]) == ["  a", "", "  b"]


@pytest.mark.parametrize(
    ("text", "short"),
    [("0.123456", "0.1235"), ("123456", "123456"), ("1e-9", "1e-09"), ("relu", "relu"), ("", "")],
)
def test_numbers_keep_the_digits_that_count(text: str, short: str) -> None:
    assert shorten(text) == short
