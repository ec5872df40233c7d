"""Success and failure conditions of templates, evaluated on jobs."""

from typing import Any

from hypothesis import strategies as st

from hack.fuzz.inputs import json_values
from hack.fuzz.target import Target
from kfx.katib.gjson import get
from kfx.katib.gjson_path import ExpressionError

_PIECES = (
    *("status", "conditions", "type", "True", "0", "1", "99999999999999999999", '"', "\\", "*", "?", "~"),
    *(".", "..", "#", "|", "(", ")", "#(", ")#", "==", "!=", "%", "!%", "<=", "[", "]", "{", "}", ",", ":"),
    *("@reverse", "@this", "@flatten"),
)
_JOB: dict[str, Any] = {
    "status": {"conditions": [{"type": "Complete", "status": "True"}, {"type": "Failed", "status": "False"}]},
    "a": [[1, 2.5, None, True, "x"], {"b": {}}],
}
_paths = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=14).map("".join),
    st.text(max_size=30),
    st.tuples(st.sampled_from(_PIECES), st.integers(1, 6_000)).map(lambda pair: pair[0] * pair[1]),
    st.sampled_from(
        [
            'status.conditions.#(type=="Complete")#|#(status=="True")#',
            'status.conditions.#(type%"C**e").status',
        ]
    ),
)
_documents = st.one_of(
    st.just(_JOB),
    json_values,
    st.tuples(json_values, st.integers(1, 2_000)).map(
        lambda pair: {"status": {"conditions": [pair[0]] * pair[1]}}
    ),
    st.sampled_from(["a" * 3000, "*" * 300]).map(lambda text: {"status": {text: text}}),
)


def _act(value: tuple[Any, str]) -> None:
    try:
        get(*value)
    except ExpressionError:
        return


TARGET = Target(name="gjson", inputs=st.tuples(_documents, _paths), act=_act)
