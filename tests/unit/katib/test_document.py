"""Text to documents: Go's readings, within bounds."""

from typing import Any

import pytest

from kfx.katib.document import DocumentError, compact_json, parse_object, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1e-05", 1e-05),
        ("a: 1e3", 1000.0),
        ("a: .5", 0.5),
        ("a: 0x1F", 31),
        ("a: 010", 8),
        ("a: yes", True),
        ("a: off", False),
        ("a: ~", None),
        ("a: 1:30", "1:30"),
        ("a: 2020-01-01", "2020-01-01"),
        ("a: '1'", "1"),
        ("a: ${trialParameters.x}", "${trialParameters.x}"),
    ],
)
def test_scalars_read_as_in_go(text: str, value: object) -> None:
    assert parse_value(text) == {"a": value}


def test_keys_become_strings() -> None:
    assert parse_value("2: a\ntrue: b\n1.5: c\n") == {"2": "a", "true": "b", "1.5": "c"}


def test_only_the_first_document_counts() -> None:
    assert parse_value("a: 1\n---\nb: {") == {"a": 1}
    assert parse_value('{"a": 1} {"b": 2}') == {"a": 1}


def test_json_with_a_raw_line_break_is_read_as_yaml() -> None:
    assert parse_value('{"a": "x\ny"}') == {"a": "x y"}


def test_an_empty_text_is_nothing() -> None:
    assert parse_value("") is None


LAUGHS = "a0: &a0 [1, 2]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x 1\nb: [*x, *x]", {"a": 1, "b": [1, 1]}),
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}),
    ],
)
def test_an_alias_stands_for_what_it_names(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_what_aliases_would_grow_to_is_counted() -> None:
    many = "a: &x [" + "1," * 199 + "]\n"
    assert len(parse_value(many + "".join(f"b{n}: *x\n" for n in range(17)))) == 18
    with pytest.raises(DocumentError, match="4000 values of YAML"):
        parse_value(many + "".join(f"b{n}: *x\n" for n in range(20)))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: &x [*x]", "stands inside what it names"),
        (LAUGHS, "4000 values of YAML"),
        ("a: &x " + "[" * 60 + "]" * 60 + "\nb: " + "[" * 60 + "*x" + "]" * 60, "100 levels"),
        ("a: *x", "undefined alias"),
        ("[" * 101, "100 levels"),
        ("a: " + "x" * (1024 * 1024), "longer than"),
        ("[" + "1," * 4_001 + "]", "4000 values of YAML"),
        ("".join(f"%TAG !a{i}! b\n" for i in range(101)), "100 %TAG directives"),
        ('{"a":[' + "1," * 20_001 + "1]}", "20000 of JSON"),
        ('{"a":[' + "{}," * 300_000 + "1]}", "20000 of JSON"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: !!binary aGk=", "YAML type bytes"),
        ("? [a]\n: b", "unhashable"),
        ("a: [${trialParameters.x}]", "flow sequence"),
        ("a: b: c", "mapping values"),
    ],
)
def test_what_could_hurt_is_refused(text: str, part: str) -> None:
    with pytest.raises(DocumentError, match=part):
        parse_value(text)


def test_as_many_values_as_anybody_has_are_read() -> None:
    assert parse_value("env:\n" + "- {name: A, value: b}\n" * 650)["env"][649] == {"name": "A", "value": "b"}
    assert parse_value('{"a":[' + '"x",' * 19_990 + '{"b":"[,{"}]}')["a"][-1] == {"b": "[,{"}
    assert parse_value('%TAG !a! b\n---\n"' + "%TAG" * 99 + '"') == "%TAG" * 99


@pytest.mark.parametrize(("text", "part"), [("- 1", "a list"), ("", "nothing"), ("x", "a string")])
def test_an_object_is_asked_for(text: str, part: str) -> None:
    with pytest.raises(DocumentError, match=part):
        parse_object(text)


def test_json_is_written_as_go_writes_it() -> None:
    value = {"b": [1.0, 0.1, 1e22], "a": "<é&>\u2028", "c": {"y": None, "x": True}}
    text = '{"a":"\\u003cé\\u0026\\u003e\\u2028","b":[1,0.1,1e+22],"c":{"x":true,"y":null}}'
    assert compact_json(value) == text
    assert parse_value(text) == {"b": [1, 0.1, 1e22], "a": "<é&>\u2028", "c": {"y": None, "x": True}}


def test_what_json_cannot_say_is_an_error() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        compact_json({"a": float("nan")})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":"\\ud800"}', {"a": "\ufffd"}),
        ('{"\\udc00x":1}', {"\ufffdx": 1}),
        ('{"a":NaN}', {"a": "NaN"}),
        ('{"a":123456789012345678901234567890}', {"a": 123456789012345678901234567890.0}),
        ("a: 0x1FFFFFFFFFFFFFFFFFFFF", {"a": float(0x1FFFFFFFFFFFFFFFFFFFF)}),
        ('{"a":18446744073709551615}', {"a": 18446744073709551615}),
    ],
)
def test_what_json_can_write_and_go_cannot_hold_is_read_as_go_reads_it(text: str, value: Any) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' + "1" * 5000 + "}",
        '{"a":1e999}',
        '{"a":' + "1" * 400 + "}",
        '{"a":-' + "1" * 400 + "}",
        "a: " + "1" * 400,
        '{"a":' * 200 + "1" + "}" * 200,
        "a: 0x" + "f" * 5000,
        "a: .inf",
        "!!int ",
        "a: !!bool x",
        "a: !!float x",
        "a: !!timestamp x",
        "!!omap 1",
    ],
)
def test_odd_texts_are_refused_as_documents_and_not_otherwise(text: str) -> None:
    with pytest.raises(DocumentError):
        parse_value(text)
