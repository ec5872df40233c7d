"""Values of parameters in templates: no value changes what stands around its place."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from hack.fuzz.inputs import json_values
from hack.fuzz.target import Target
from kfx.katib.document import DocumentError, compact_json
from kfx.katib.substitution import substitute

_TEMPLATES = (
    "{kind: Job, a: '${trialParameters.a}', b: [x, '--b=${trialParameters.b}']}",
    "kind: Job\na: ${trialParameters.a}\nb: |\n  line ${trialParameters.b}\n  end\n",
    '{"kind":"Job","a":"${trialParameters.a}","${trialParameters.b}":"k"}',
)
_values = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["1e400", "null", "'", '"', "}", "\n- x", "#", "${trialParameters.b}", ": ", "\\", "\ud800"]
    ),
    st.integers(1, 50_000).map(lambda count: "x" * count),
    st.integers(1, 50_000).map(lambda count: '"\U0001f600' * count),
)
_PIECES = (
    "- x\n",
    "- ${trialParameters.a}\n",
    "- {${trialParameters.b}: 1}\n",
    "- '${trialParameters.c}\U0001f600'\n",
    '- "${trialParameters.\\u0061}"\n',
    "- ${trialParameters.\n",
)
_long_templates = st.one_of(
    st.tuples(st.sampled_from(_PIECES), st.integers(1, 5_000)).map(
        lambda pair: "kind: Job\na: ${trialParameters.a}\nb:\n" + pair[0] * pair[1]
    ),
    st.tuples(
        st.sampled_from(["${trialParameters.a}", "${trialParameters.", "x", {"a": 1}]), st.integers(1, 40_000)
    ).map(lambda pair: compact_json({"kind": "Job", "b": [pair[0]] * pair[1], "a": "${trialParameters.b}"})),
    st.tuples(
        st.sampled_from(["${trialParameters.a}", "${trialParameters.", "x"]), st.integers(1, 40_000)
    ).map(lambda pair: compact_json({"kind": "Job", "b": pair[0] * pair[1], "a": "${trialParameters.b}"})),
)
_templates = st.one_of(
    _long_templates,
    st.sampled_from(_TEMPLATES),
    st.text("{}[]\"'$:,- \n\\au", max_size=40),
    json_values.map(lambda value: {"kind": "Job", "a": "${trialParameters.a}", "b": value}).map(repr),
)


def _act(value: tuple[str, Mapping[str, str]]) -> dict[str, Any] | None:
    try:
        return substitute(*value)
    except DocumentError:
        return None


def _judge(value: tuple[str, Mapping[str, str]], found: dict[str, Any] | None) -> None:
    if found is None:
        assert value[0] not in _TEMPLATES or set(value[1]) != {"a", "b"}, value
        return
    compact_json(found)
    if value[0] in _TEMPLATES:
        assert len(found) == 3
        assert found["kind"] == "Job"


TARGET = Target(
    name="substitution",
    inputs=st.tuples(_templates, st.dictionaries(st.sampled_from("abc"), _values)),
    act=_act,
    judge=_judge,
)
