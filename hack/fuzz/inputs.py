"""Inputs that several targets share: JSON of any kind, Experiments that are almost right, and long ones."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

MOST = 7 * 1024 * 1024 - 64 * 1024
"""Bytes of the largest input; the frame of a review comes on top."""

_CONTAINER = {
    "name": "training-container",
    "image": "docker.io/library/python:3.11",
    "command": ["python3", "train.py", "--lr=${trialParameters.lr}", "--mode=${trialParameters.mode}"],
    "env": [{"name": "A", "value": "b"}],
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
}
EXPERIMENT: dict[str, Any] = {
    "apiVersion": "kubeflow.org/v1beta1",
    "kind": "Experiment",
    "metadata": {"name": "base", "namespace": "user", "labels": {"a": "b"}, "finalizers": ["x"]},
    "spec": {
        "maxTrialCount": 12,
        "maxFailedTrialCount": 3,
        "parallelTrialCount": 3,
        "resumePolicy": "Never",
        "objective": {
            "type": "minimize",
            "goal": 0.001,
            "objectiveMetricName": "loss",
            "additionalMetricNames": ["acc"],
            "metricStrategies": [{"name": "loss", "value": "min"}],
        },
        "algorithm": {
            "algorithmName": "random",
            "algorithmSettings": [{"name": "random_state", "value": "1"}],
        },
        "earlyStopping": {"algorithmName": "medianstop", "algorithmSettings": []},
        "parameters": [
            {"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "0.01", "max": "0.05"}},
            {"name": "mode", "parameterType": "categorical", "feasibleSpace": {"list": ["a", "b"]}},
        ],
        "nasConfig": {
            "graphConfig": {"numLayers": 1, "inputSizes": [1], "outputSizes": [1]},
            "operations": [{"operationType": "o", "parameters": [{"name": "p", "parameterType": "int"}]}],
        },
        "metricsCollectorSpec": {
            "collector": {"kind": "File", "customCollector": copy.deepcopy(_CONTAINER)},
            "source": {
                "httpGet": {"path": "/metrics", "port": 8080},
                "fileSystemPath": {"path": "/a", "kind": "File", "format": "TEXT"},
                "filter": {"metricsFormat": [r"(\w+)=(\d+)"]},
            },
        },
        "trialTemplate": {
            "retain": True,
            "primaryContainerName": "training-container",
            "primaryPodLabels": {"a": "b"},
            "successCondition": "status.phase",
            "failureCondition": "status.phase",
            "configMap": {"configMapName": "c", "configMapNamespace": "user", "templatePath": "t"},
            "trialParameters": [
                {"name": "lr", "description": "d", "reference": "lr"},
                {"name": "mode", "reference": "mode"},
            ],
            "trialSpec": {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"labels": {"a": "b"}},
                "spec": {"template": {"spec": {"containers": [copy.deepcopy(_CONTAINER)]}}},
            },
        },
    },
    "status": {
        "trials": 3,
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "ExperimentMaxTrialsReached"}],
        "currentOptimalTrial": {"observation": {}},
    },
}

texts = st.text(st.characters(exclude_categories=()), max_size=20)
"""Also halves of surrogate pairs, which JSON can write and UTF-8 cannot."""

numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**30]),
    st.floats(),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
json_values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


def nested(levels: int) -> Any:
    """A list in a list in a list."""
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


strange_values = st.one_of(
    json_values,
    st.integers(90, 300).map(nested),
    st.sampled_from(
        ["x", "1", "${trialParameters.", "${trialParameters.lr}", "(a)", "\\", "\u2028<>&"]
    ).flatmap(lambda piece: st.integers(1, 30_000).map(lambda count: piece * count)),
    st.tuples(json_values, st.integers(1, 2_000)).map(lambda pair: [pair[0]] * pair[1]),
)


def pointers(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member and element, from the outside in."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from pointers(item, (*path, key))


_RUNNABLE = copy.deepcopy(EXPERIMENT)
"""As valid as an Experiment can be."""
del _RUNNABLE["spec"]["nasConfig"], _RUNNABLE["spec"]["trialTemplate"]["configMap"], _RUNNABLE["status"]

PLACES = tuple(pointers(EXPERIMENT))


@st.composite
def experiments(draw: st.DrawFn) -> dict[str, Any]:
    """An Experiment with a few members taken away, and a few that hold something else."""
    document = copy.deepcopy(EXPERIMENT)
    gone = draw(
        st.sets(
            st.sampled_from([("spec", "nasConfig"), ("spec", "trialTemplate", "configMap"), *PLACES]),
            max_size=4,
        )
    )
    for place in sorted(gone, key=len, reverse=True):
        _edit(document, place, remove=True)
    for place, value in draw(st.lists(st.tuples(st.sampled_from(PLACES), strange_values), max_size=3)):
        _edit(document, place, value)
    return document


def _edit(document: Any, place: tuple[Any, ...], value: Any = None, *, remove: bool = False) -> None:
    """Change one place, if an earlier change has left it."""
    *path, last = place
    try:
        for key in path:
            document = document[key]
        if remove:
            del document[last]
        else:
            document[last] = value
    except (LookupError, TypeError):
        return


def encode(value: Any) -> bytes:
    """JSON as somebody may write it who does not care whether it is any: NaN, halves of pairs."""
    return json.dumps(value, separators=(",", ":")).encode()


@st.composite
def long_json(draw: st.DrawFn) -> bytes:
    """A few pieces, again and again, up to the largest body."""
    piece = draw(
        st.sampled_from(
            [b"[],", b"1,", b'"",', b'{"a":1},', b'"\\u00e9",', b'{"name":"a"},', b"0.5,", b"null,"]
        )
    )
    count = draw(st.integers(1, draw(st.sampled_from([MOST, 2_000_000, 1_500_000])) // len(piece)))
    field = draw(st.sampled_from([b"x", b"spec", b"metadata", b"status"]))
    return b'{"' + field + b'":[' + piece * count + b"1]}"


_ITEMS: tuple[Any, ...] = (
    *("a", 1, {}, [], None, "\U0001f600"),
    {"name": "a", "value": "b"},
    {"name": "\u00e9", "reference": "${trialSpec.Name}"},
    {"name": "a", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "2"}},
    {"type": "a", "status": "True"},
)
_FILLERS = ("x", "\u00e9", "\U0001f600", "\\", '"', ",", "[", "<", "\n", "\x01", "${trialParameters.", "9")


@st.composite
def full_experiments(draw: st.DrawFn) -> bytes:
    """As many values and as much text as are let in, or a little more, at one place each."""
    document = copy.deepcopy(draw(st.sampled_from([EXPERIMENT, _RUNNABLE])))
    item, count = draw(st.sampled_from(_ITEMS)), draw(st.integers(1, 21_000))
    items: Any = [item] * count
    if draw(st.booleans()):
        items = [f"{number}{item}" for number in range(count)]
    if draw(st.booleans()):
        items = {str(number): each for number, each in enumerate(items)}
    filler = draw(st.sampled_from(_FILLERS))
    text = filler * (draw(st.integers(0, 1_700_000)) // len(json.dumps(filler))) + draw(
        st.sampled_from(["", "\u00e9", "\U0001f600"])
    )
    places = st.sampled_from(PLACES)
    for value in (text, items):
        _edit(document, draw(st.one_of(places, st.just(("spec", "x")))), value)
    return json.dumps(document, separators=(",", ":"), ensure_ascii=draw(st.booleans())).encode()


def spoiled(bodies: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    """Bodies with a few bytes put in, taken out, or doubled."""

    @st.composite
    def spoil(draw: st.DrawFn) -> bytes:
        body = draw(bodies)
        for _ in range(draw(st.integers(0, 3))):
            start, length = draw(st.integers(0, len(body))), draw(st.integers(0, 40))
            part = body[start : start + length]
            put = draw(
                st.one_of(
                    st.binary(max_size=6),
                    st.just(part + part),
                    st.sampled_from([b"[" * 200, b"9" * 400, b"e999"]),
                )
            )
            body = body[:start] + put + body[start + length :]
        return body

    return spoil()
