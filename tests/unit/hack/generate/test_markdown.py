"""Pages in Markdown."""

import pytest

from hack.generate import markdown

ANY = "x-kubernetes-preserve-unknown-fields"


def test_a_page_begins_with_its_title_and_says_what_it_was_written_from() -> None:
    lines = markdown.page("Flags", "`kfx.config.FLAGS`", "one", "two").splitlines()
    assert lines[0] == "# Flags"
    assert "`make generate` from `kfx.config.FLAGS`" in lines[2]
    assert lines[4:] == ["one", "", "two"]


def test_a_bar_within_a_cell_does_not_end_it() -> None:
    assert markdown.table(["a", "b"], [["x|y", "z"]]) == "| a | b |\n| --- | --- |\n| x\\|y | z |"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "date-time"}, "time"),
        ({"type": "string", "format": "int-or-string"}, "integer or string"),
        ({"type": "integer", "format": "int32"}, "integer (32 bits)"),
        ({"type": "number", "format": "double"}, "number"),
        ({"type": "object", ANY: True}, "any object"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "map of string to string"),
        ({"type": "array", "items": {"$ref": "#/definitions/v1beta1.Metric"}}, "list of [Metric](#metric)"),
    ],
)
def test_a_type_is_named_in_words(schema: dict[str, object], text: str) -> None:
    assert markdown.type_of(schema) == text


def test_a_type_has_a_heading_that_links_lead_to_and_marks_what_must_be_there() -> None:
    schema = {
        "description": "One value.",
        "required": ["name"],
        "properties": {"name": {"type": "string", "description": "Whose."}, "min": {"type": "string"}},
    }
    heading, text, table = markdown.types({"v1beta1.Metric": schema}, level=2)
    assert (heading, text) == ("## Metric", "One value.")
    assert table.splitlines()[2:] == ["| `name` * | string | Whose. |", "| `min` | string |  |"]
