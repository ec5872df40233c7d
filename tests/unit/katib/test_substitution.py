"""Values in a template: text where that is harmless, data where it would not be."""

import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.katib.document import MAX_BYTES, DocumentError, compact_json, parse_object
from kfx.katib.substitution import placeholder, substitute

JSON = compact_json(
    {"kind": "Job", "a": "--lr=${trialParameters.lr} x", "b": ["${trialParameters.lr}"], "c": 1}
)
YAML = "kind: Job\na: ${trialParameters.lr}\nb: '${trialParameters.lr}'\nc: [x]\n"


def json_with(value: str) -> object:
    return substitute(JSON, {"lr": value})


def yaml_with(value: str) -> object:
    return substitute(YAML, {"lr": value})


@pytest.mark.parametrize("value", ["0.1", "", "a b", "{'x': 1}", "é", "${trialParameters.other}"])
def test_a_plain_value_stands_as_it_is(value: str) -> None:
    assert json_with(value) == {"kind": "Job", "a": f"--lr={value} x", "b": [value], "c": 1}


@pytest.mark.parametrize(("value", "seen"), [("a\\nb", "a\nb"), ("a\nb", "a b"), ("\\u0041", "A")])
def test_what_katib_makes_of_a_backslash_or_a_line_break_stays(value: str, seen: str) -> None:
    assert json_with(value) == {"kind": "Job", "a": f"--lr={seen} x", "b": [seen], "c": 1}


@pytest.mark.parametrize(
    "value",
    [
        'say "x"',
        '","c":"2',
        '"],"c":2,"d":["',
        '"}\n- ${trialParameters.y}',
        "\\",
        '", "b": ["evil"], "z": "',
    ],
)
def test_a_value_cannot_leave_its_place_in_json(value: str) -> None:
    assert json_with(value) == {"kind": "Job", "a": f"--lr={value} x", "b": [value], "c": 1}


@pytest.mark.parametrize(
    ("value", "seen"), [("0.1", 0.1), ("1e-05", 1e-05), ("true", True), ("relu", "relu")]
)
def test_an_unquoted_placeholder_in_yaml_becomes_what_it_reads_as(value: str, seen: object) -> None:
    assert yaml_with(value) == {"kind": "Job", "a": seen, "b": value, "c": ["x"]}


@pytest.mark.parametrize("value", ["[1, 2]", "{x: y}", "x: y", "x # y", "it's", "*x", "- x"])
def test_a_value_cannot_leave_its_place_in_yaml(value: str) -> None:
    found = yaml_with(value)
    assert isinstance(found, dict)
    assert (found["b"], found["c"]) == (value, ["x"])
    assert isinstance(found["a"], str)


def test_a_value_cannot_say_a_key_of_the_template_again() -> None:
    text = "kind: Job\nc: [x]\na: ${trialParameters.lr}\n"
    value = "1\nc: [evil]"
    assert substitute(text, {"lr": value}) == {"kind": "Job", "c": ["x"], "a": value}


def test_only_the_value_that_would_break_out_is_treated_as_data() -> None:
    text = "kind: Job\na: ${trialParameters.lr}\nb: ${trialParameters.list}\n"
    assert substitute(text, {"lr": "0.1", "list": "[1]"}) == {"kind": "Job", "a": 0.1, "b": "[1]"}


def test_a_value_that_holds_a_placeholder_is_not_expanded_again() -> None:
    text = compact_json({"kind": "Job", "a": "${trialParameters.x}", "b": "${trialParameters.y}"})
    found = substitute(text, {"x": '"${trialParameters.y}', "y": '"1'})
    assert found == {"kind": "Job", "a": '"${trialParameters.y}', "b": '"1'}


def test_a_harmless_value_that_names_a_treated_one_stays_too() -> None:
    text = compact_json({"kind": "Job", "a": "${trialParameters.x}", "b": "${trialParameters.y}"})
    found = substitute(text, {"x": "${trialParameters.y}", "y": '"1'})
    assert found == {"kind": "Job", "a": "${trialParameters.y}", "b": '"1'}


def test_a_placeholder_of_another_name_stays() -> None:
    text = compact_json({"kind": "Job", "a": "${trialParameters.x} ${trialParameters.y}"})
    assert substitute(text, {"x": "1"}) == {"kind": "Job", "a": "1 ${trialParameters.y}"}


def test_keys_are_filled_too() -> None:
    text = compact_json({"kind": "Job", "${trialParameters.x}": 1})
    assert substitute(text, {"x": 'a"b'}) == {"kind": "Job", 'a"b': 1}


def test_keys_that_become_equal_are_an_error() -> None:
    text = compact_json({"kind": "Job", "${trialParameters.x}": 1, "${trialParameters.y}": 2})
    with pytest.raises(DocumentError, match="two keys of one object became equal"):
        substitute(text, {"x": "a", "y": "a"})


def test_a_template_that_does_not_parse_is_an_error() -> None:
    with pytest.raises(DocumentError):
        substitute("a: [${trialParameters.x}]", {"x": "1"})


def shape(value: object) -> object:
    """The structure without its texts."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value)


@given(st.dictionaries(st.sampled_from(["lr", "other"]), st.text(max_size=40), min_size=1))
def test_no_value_changes_the_structure_of_an_inline_template(values: dict[str, str]) -> None:
    template = {
        "kind": "Job",
        "a": ["x ${trialParameters.lr}", {"b": "${trialParameters.other}", "c": None}],
        "d": "${trialParameters.lr}${trialParameters.other}",
        "e": 1,
    }
    found = substitute(compact_json(template), values)
    assert shape(found) == shape(template)
    assert (found["kind"], found["e"]) == ("Job", 1)


@given(st.text(max_size=40))
def test_no_value_reaches_its_neighbours_in_yaml(value: str) -> None:
    found = yaml_with(value)
    assert isinstance(found, dict)
    assert set(found) == {"kind", "a", "b", "c"}
    assert (found["kind"], found["c"]) == ("Job", ["x"])
    assert not isinstance(found["a"], dict | list)


@pytest.mark.parametrize("written", ["${trialParameters.lr}", "${trialParameters.\\u006cr}"])
@pytest.mark.parametrize("value", ["x" * 1000, '"' * 1000])
def test_a_long_value_in_many_places_is_refused_before_it_fills_the_memory(written: str, value: str) -> None:
    text = '{"kind":"Job","a":"${trialParameters.lr}","b":"%s"}' % (written * 20_000)
    tracemalloc.start()
    try:
        with suppress(DocumentError):
            assert len(str(substitute(text, {"lr": value}))) < 2 * MAX_BYTES
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()
    with pytest.raises(DocumentError, match="give shorter values, or use them in fewer places"):
        substitute(text, {"lr": '"' * 100_000})


@pytest.mark.parametrize(("values", "most"), [(3, 7), (300, 30), (3_000, 4)])
def test_many_values_that_break_out_do_not_have_the_template_read_as_often(
    values: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []

    def parse(text: str) -> dict[str, Any]:
        texts.append(text)
        return parse_object(text)

    monkeypatch.setattr("kfx.katib.substitution.parse_object", parse)
    names = [f"p{index}" for index in range(values)]
    text = compact_json({"kind": "Job", "a": [placeholder(name) for name in names]})
    assert substitute(text, dict.fromkeys(names, '"'))["a"] == ['"'] * values
    assert len(texts) <= most


def test_words_and_numbers_are_told_from_what_breaks_out_in_one_go() -> None:
    names = [f"p{index}" for index in range(1_000)]
    text = "kind: Job\na:\n" + "".join(f"- {placeholder(name)}\n" for name in [*names, "bad"])
    values = {**dict.fromkeys(names, "0.5"), "bad": "x: y"}
    assert substitute(text, values)["a"] == [*[0.5] * 1_000, "x: y"]
