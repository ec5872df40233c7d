"""The grammar, and the table of expressions seen in the wild with what gjson makes of them."""

import contextlib
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfx.katib.gjson import MISSING, get
from kfx.katib.gjson_path import ExpressionError

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
        ("|".join(["[@this,@this]"] * 30) + "|" + ".".join(["#"] * 31), "more than"),
        ("friends|@flatten", "@flatten is not supported"),
        ("friends|!1", "static value"),
    ],
)
def test_what_is_too_much_or_unknown_is_refused_by_name(path: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=said):
        get(PEOPLE, path)


@given(st.text(alphabet=string.ascii_lowercase[:4] + '#()[]{}|.\\"@*?=!<>%~,: 01', max_size=60))
def test_no_expression_does_worse_than_find_nothing(path: str) -> None:
    document = {"a": [{"b": 1}, {"c": [True, None, "d"]}], "b": {"a": "x"}}
    with contextlib.suppress(ExpressionError):
        get(document, path)
