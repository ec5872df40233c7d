"""gjson's own modifiers; each row was compared with what gjson 1.14.1 answers."""

from typing import Any

import pytest

from kfx.katib.gjson import get
from kfx.katib.gjson_modifiers import MISSING
from kfx.katib.gjson_path import ExpressionError
from kfx.katib.job_state import JobState, Phase, evaluate

DOCUMENT = {
    "lists": [1, [2], [3, 4], [5, [6, 7]], {"x": 1}],
    "objects": [{"first": "Tom", "age": 37}, {"age": 41}, 7],
    "columns": {"id": ["1", "2", "3"], "val": [2, 1], "no": 4},
    "text": '{"id":1023,"name":"alert"}',
    "object": {"b": 1, "a": "x"},
    "plain": "hello",
    "nothing": None,
    "number": 1.5,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("lists|@flatten", [1, 2, 3, 4, 5, [6, 7], {"x": 1}]),
        ('lists|@flatten:{"deep":true}', [1, 2, 3, 4, 5, 6, 7, {"x": 1}]),
        ('lists|@flatten:{"deep":"t"}|#', 8),
        ('lists|@flatten:{"deep":0}|#', 7),
        ("lists|@flatten:true|#", 7),
        ('lists.@flatten:{"a":"|."}.1', 2),
        ("object|@flatten", {"b": 1, "a": "x"}),
        ("none|@flatten", MISSING),
        ("objects|@join", {"first": "Tom", "age": 41}),
        ('objects|@join:{"preserve":true}.age', 37),
        ("objects.@join.age", 41),
        ("lists|@join", {"x": 1}),
        ("plain|@join", "hello"),
        ("none|@join", MISSING),
        ("columns|@group", [{"id": "1", "val": 2}, {"id": "2", "val": 1}, {"id": "3"}]),
        ("columns|@group|#(val==1).id", "2"),
        ("object|@group", []),
        ("lists|@group", MISSING),
        ("none|@group", MISSING),
        ("object|@tostr", '{"a":"x","b":1}'),
        ("object|@tostr|@tostr|@fromstr|@fromstr", {"b": 1, "a": "x"}),
        ("plain|@tostr", '"hello"'),
        ("nothing|@tostr", "null"),
        ("none|@tostr", ""),
        ("text|@fromstr|id", 1023),
        ("text.@fromstr.name", "alert"),
        ("number|@fromstr", 1.5),
        ("object|@fromstr", {"b": 1, "a": "x"}),
        ("plain|@fromstr", MISSING),
        ("nothing|@fromstr", MISSING),
        ("none|@fromstr", MISSING),
        ('object|@this:"x|y"|b', 1),
        ("object|@pretty:{open|b", {"b": 1, "a": "x"}),
        ("object|@this:{}b", {"b": 1, "a": "x"}),
        ("object|@dig:b", MISSING),
    ],
)
def test_a_modifier_makes_what_gjson_makes(path: str, found: Any) -> None:
    assert get(DOCUMENT, path) == found


def test_a_condition_may_gather_those_of_every_replica() -> None:
    """A job that keeps its conditions per replica, which needs one list of them."""
    success = 'status.replicas.#.conditions|@flatten|#(type=="Succeeded")#'
    conditions = [{"type": "Running"}], [{"type": "Succeeded", "reason": "Done"}]
    document = {"status": {"replicas": [{"conditions": each} for each in conditions]}}
    assert evaluate(success, "", document) == JobState(Phase.SUCCEEDED, "Done", "")


def test_lists_nested_deeper_than_the_stack_are_flattened() -> None:
    deep: list[Any] = [1]
    for _ in range(3_000):
        deep = [deep]
    assert get({"a": deep}, 'a|@flatten:{"deep":true}') == [1]


@pytest.mark.parametrize(
    "path",
    [
        "a" + "|@tostr" * 60,
        "a" + "|[@this,@this]" * 25 + '|@flatten:{"deep":true}',
        "a|[" + ",".join(['@flatten:{"deep":true}'] * 150) + "]",
        "b|[" + ",".join(["@join"] * 300) + "]",
        "c|[" + ",".join(["@group"] * 300) + "]",
        "d|[" + ",".join(["@fromstr"] * 300) + "]",
    ],
)
def test_what_grows_too_large_is_refused(path: str) -> None:
    document = {
        "a": [[number] for number in range(3_000)],
        "b": [{f"k{number}": number for number in range(5_000)}],
        "c": {"x": [1] * 5_000},
        "d": "[" + "1," * 10_000 + "1]",
    }
    with pytest.raises(ExpressionError, match="steps"):
        get(document, path)


def test_what_is_nested_too_deep_to_be_written_is_refused() -> None:
    deep: list[Any] = [1]
    for _ in range(3_000):
        deep = [deep]
    with pytest.raises(ExpressionError, match="nested too deep"):
        get({"a": deep}, "a|@tostr")
