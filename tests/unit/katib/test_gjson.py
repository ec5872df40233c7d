"""The grammar, and the table of expressions seen in the wild with what gjson makes of them."""

import contextlib
import string
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.katib import gjson_path
from kfx.katib.gjson import LONGEST, get
from kfx.katib.gjson_modifiers import MISSING
from kfx.katib.gjson_path import ExpressionError
from kfx.katib.wildcard import compile_wildcard

COMPLETE = 'status.conditions.#(type=="Complete")#|#(status=="True")#'
ARGO = 'status.[@this].#(phase=="Succeeded")#'
TRUE = {"type": "Complete", "status": "True", "reason": "R"}
FALSE = {"type": "Complete", "status": "False"}


def job(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"status": {"conditions": list(conditions)}}


@pytest.mark.parametrize(
    ("path", "document", "found"),
    [
        pytest.param(COMPLETE, {}, MISSING, id="no-status"),
        pytest.param(COMPLETE, {"status": {"conditions": None}}, MISSING, id="conditions-null"),
        pytest.param(COMPLETE, job(), [], id="no-conditions"),
        pytest.param(COMPLETE, job(FALSE), [], id="status-False"),
        pytest.param(COMPLETE, job({"type": "Complete", "status": True}), [], id="status-boolean"),
        pytest.param(COMPLETE, job({"type": "Failed", "status": "True"}, TRUE), [TRUE], id="met"),
        pytest.param(COMPLETE.removesuffix("#"), job(TRUE), TRUE, id="first-of-all"),
        pytest.param(COMPLETE.replace("|", "."), job(TRUE), [], id="dot-acts-inside-each"),
        pytest.param('status.conditions.#(type=="Complete")', job(FALSE), FALSE, id="first-whatever-status"),
        pytest.param(ARGO, {"status": {"phase": "Succeeded"}}, [{"phase": "Succeeded"}], id="argo"),
        pytest.param(ARGO, {"status": {"phase": "Running"}}, [], id="argo-running"),
        pytest.param(ARGO, {}, [], id="argo-no-status"),
        pytest.param(
            "status.[@this].#(succeeded==1)", {"status": {"succeeded": 1}}, {"succeeded": 1}, id="number"
        ),
        pytest.param(
            'status.conditions.#(type=="Complete")#|#(status=="False")#', job(FALSE), [FALSE], id="tekton"
        ),
        pytest.param("status", job(), {"conditions": []}, id="object"),
    ],
)
def test_expressions_seen_in_the_wild(path: str, document: dict[str, Any], found: Any) -> None:
    assert get(document, path) == found


PEOPLE = {
    "name": {"first": "Tom", "last": "Anderson"},
    "age": 37,
    "children": ["Sara", "Alex", "Jack"],
    "fav.movie": "Deer Hunter",
    "nothing": None,
    "friends": [
        {"first": "Dale", "last": "Murphy", "age": 44, "nets": ["ig", "fb"], "ok": True},
        {"first": "Roger", "last": "Craig", "age": 68, "nets": ["fb"], "ok": False},
        {"first": "Jane", "last": "Murphy", "age": 47, "nets": ["ig"]},
    ],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("name.last", "Anderson"),
        ("name.none", MISSING),
        ("age.years", MISSING),
        ("nothing", None),
        ("children.#", 3),
        ("children.1", "Alex"),
        ("children.3", MISSING),
        ("children.-1", MISSING),
        ("child*.2", "Jack"),
        ("c?ildren.0", "Sara"),
        (r"fav\.movie", "Deer Hunter"),
        (r"f*\.movie", "Deer Hunter"),
        ("friends.#.first", ["Dale", "Roger", "Jane"]),
        ("friends.#.ok", [True, False]),
        ("friends.#.first|1", "Roger"),
        ("friends.1.last", "Craig"),
        ('friends.#(last=="Murphy").first', "Dale"),
        ('friends.#(last=="Murphy")#.first', ["Dale", "Jane"]),
        ('friends.#(last=="Murphy")#.first|0', "Dale"),
        ('friends.#(last="Murphy")#|#', 2),
        ('friends.#(first!="Dale")#.first', ["Roger", "Jane"]),
        ("friends.#(age>45)#.last", ["Craig", "Murphy"]),
        ("friends.#(age>=47)#.age", [68, 47]),
        ("friends.#(age<47)#.age", [44]),
        ("friends.#(age<=47)#.age", [44, 47]),
        ("friends.#(age==44.0).first", "Dale"),
        ('friends.#(first<"E").first', "Dale"),
        ('friends.#(first%"D*").last', "Murphy"),
        ('friends.#(first!%"D*").last', "Craig"),
        ("friends.#(ok==true).first", "Dale"),
        ("friends.#(ok!=true).first", "Roger"),
        ("friends.#(ok>false).first", "Dale"),
        ("friends.#(ok<true).first", "Roger"),
        ("friends.#(ok>=true)#|#", 1),
        ("friends.#(ok<=false)#|#", 1),
        ("friends.#(ok==~true)#.first", ["Dale"]),
        ("friends.#(ok==~false)#.first", ["Roger", "Jane"]),
        ("friends.#(age==~true)#|#", 3),
        ("children.#(==~true)", MISSING),
        ("friends.#(ok)#.first", ["Dale", "Roger"]),
        ("friends.#(ok%true)", MISSING),
        ('friends.#(nets.#(=="ig"))#.first', ["Dale", "Jane"]),
        ('children.#(!%"*a*")', "Alex"),
        ('children.#(%"S*")', "Sara"),
        ("children.#(first=1)", MISSING),
        ("friends.#(nets)", PEOPLE["friends"][0]),  # type: ignore[index]
        ("friends.#(age", MISSING),
        ("friends.#x", MISSING),
        ("name|last", "Anderson"),
        ("*.last.[@this]", ["Anderson"]),
        ("friends.0.*.0.@this", "ig"),
        ("*.none.[@this]", []),
        ("none|name", MISSING),
        ("name.@this.first", "Tom"),
        ("name|@keys", ["first", "last"]),
        ("name.@values|1", "Anderson"),
        ("children|@reverse|0", "Jack"),
        ("name|@reverse|@keys|0", "last"),
        ("age|@keys", [None]),
        ("none|@keys", []),
        ("age|@values", [37]),
        (r"fav\.movie.@this", MISSING),
        ("children.@keys", [None, None, None]),
        ("@this.age", 37),
        ("@ugly", PEOPLE),
        ("@pretty:{}|age", 37),
        ("@unknown", MISSING),
        ("[age,name.first,none]", [37, "Tom"]),
        ("{age,name.first}", {"age": 37, "first": "Tom"}),
        ('{"years":age,children.#}', {"years": 37, "_": 3}),
        ("[name.first,[age]].1.0", 37),
        ("name.[first,last].#", 2),
        ("[age", MISSING),
        ("..#", 1),
        ("..0.age", 37),
        ("", MISSING),
    ],
)
def test_the_grammar_is_that_of_gjson(path: str, found: Any) -> None:
    assert get(PEOPLE, path) == found


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("a" * 4097, "4096 are allowed"),
        ("|".join(["@this"] * 100), "deep"),
        ("|".join(["[@this,@this]"] * 30) + "|" + ".".join(["#"] * 31), "more than 40000 steps"),
        ("friends|!1", "static value"),
    ],
)
def test_what_is_too_much_or_unknown_is_refused_by_name(path: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=said):
        get(PEOPLE, path)


MANY = [{"type": "Progress", "status": "True", "reason": "R", "message": "m" * 20} for _ in range(12_000)]
TEXT = [{"type": "a" * 1_000_000, "status": "True"}]
PARSERS = (
    gjson_path.modifier_part,
    gjson_path.multipath,
    gjson_path.object_part,
    gjson_path.array_part,
    gjson_path.split_pipe,
    compile_wildcard,
)
DOCUMENTS = {
    "many": {"status": {"conditions": MANY}},
    "one": {"status": {"conditions": TEXT, "a": "a" * 1_000_000}},
    "texts": {"status": {"conditions": [{"type": "a" * 1000, "status": "True"}] * 1000}},
    "keys": {"status": {f"k{i:06}": i for i in range(60_000)}},
    "numbers": {"status": {"conditions": list(range(150_000)), "n": [{"n": i} for i in range(60_000)]}},
}
HOSTILE = {
    "stars": 'status.conditions.#(type%"' + "*a" * 2000 + '*b")#',
    "long part": 'status.conditions.#(type%"*' + "a" * 4000 + 'b*")#',
    "any": 'status.conditions.#(type%"*' + "?" * 4000 + 'b")#',
    "any and stars": 'status.conditions.#(type%"*' + "a?" * 2000 + 'b")#',
    "stars in a key": "status." + "*a" * 2000 + "b",
    "stars in each": "status.conditions.#." + "*" * 2000,
    "many members": "status.conditions.#.[" + ",".join(f"a{i}" for i in range(800)) + "]",
    "many queries": "[" + ",".join(['status.conditions.#(type=="x")#'] * 120) + "]",
    "nested": "[" * 60 + "a" * 3900 + "]" * 60,
    "open": "#(" * 2000,
    "long number": "status.n.#(n==" + "9" * 4000 + ")#",
    "dots": ".".join(["#"] * 2000),
    "chained": "status.conditions" + '|#(type!="x")#' * 60,
    "quotes": 'status.conditions.#(a=="' + '\\"' * 1900 + '")#',
    "reversed": "status.conditions|[" + ",".join(["@reverse"] * 400) + "]",
    "flattened": "status|@values|[" + ",".join(['@flatten:{"deep":true}'] * 150) + "]",
    "joined": "status.conditions|[" + ",".join(["@join"] * 400) + "]",
    "grouped": "status|[" + ",".join(["@group"] * 400) + "]",
    "written": "status" + "|@tostr" * 60,
    "read": "status|@tostr|[" + ",".join(["@fromstr"] * 400) + "]",
    "doubled": "status.conditions" + "|[@this,@this]" * 60 + "|#.#.#.#.#.#",
}


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def count_to_a_million() -> int:
    """The yardstick, 20 ms on a quiet machine of today: a slow or busy one is slow at both."""
    return sum(1 for _ in range(1_000_000))


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_expression_on_a_megabyte_costs_less_than_counting_to_three_millions(
    hostile: str, document: str
) -> None:
    def evaluate() -> None:
        for parse in PARSERS:
            parse.cache_clear()
        with contextlib.suppress(ExpressionError):
            get(DOCUMENTS[document], HOSTILE[hostile][:LONGEST])

    costs = [(cpu_seconds(evaluate), cpu_seconds(count_to_a_million)) for _ in range(8)]
    assert min(cost for cost, _ in costs) < 3 * min(yardstick for _, yardstick in costs)


def test_an_honest_expression_is_evaluated_on_a_megabyte() -> None:
    document = {"status": {"conditions": [*MANY, {"type": "Complete", "status": "True"}]}}
    assert get(document, 'status.conditions.#(type=="Complete")#|#(status=="True")#') == [
        {"type": "Complete", "status": "True"}
    ]


def test_a_number_beyond_any_float_compares_as_infinite() -> None:
    document = {"a": [{"n": 10**400}, {"n": -(10**400)}, {"n": 1}]}
    assert get(document, "a.#(n>1)#.n") == [10**400]
    assert get(document, "a.#(n<1)#.n") == [-(10**400)]


@given(st.text(alphabet=string.ascii_lowercase[:4] + '#()[]{}|.\\"@*?=!<>%~,: 01', max_size=60))
def test_no_expression_does_worse_than_find_nothing(path: str) -> None:
    document = {"a": [{"b": 1}, {"c": [True, None, "d"]}], "b": {"a": "x"}}
    with contextlib.suppress(ExpressionError):
        get(document, path)
