"""ConfigMap katib-config: any text under any of its keys, and a file in which one place is wrong."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import yaml
from hypothesis import strategies as st

from hack.fuzz.inputs import pointers, strange_values
from hack.fuzz.target import Target
from kfx.katib.katib_config import CONFIG_KEY, KatibConfigError, parse_runtime_config, with_built_ins

_ENTRY = {"image": "i", "imagePullPolicy": "Always", "resources": {"limits": {"cpu": "1", "memory": -1}}}
_FILE: dict[str, Any] = {
    "apiVersion": "config.kubeflow.org/v1beta1",
    "kind": "KatibConfig",
    "init": {"controller": {"webhookPort": 8443, "trialResources": ["Job.v1.batch"]}},
    "runtime": {
        "metricsCollectors": [{"kind": "StdOut", **_ENTRY}],
        "suggestions": [{"algorithmName": "random", **_ENTRY, "volumeMountPath": "/x"}],
        "earlyStoppings": [{"algorithmName": "medianstop", **_ENTRY}],
    },
}
_PLACES = tuple(pointers(_FILE))
_KEYS = (CONFIG_KEY, "suggestion", "early-stopping", "metrics-collector-sidecar", "other")
_LONG = (
    "[",
    "{a: ",
    "- a\n",
    "a: &a [*a]\n",
    "? ",
    "x",
    "1",
    '"\\ud800"',
    "<<: {a: 1}\n",
    "{},",
    "!!int ",
    "--- ",
)
_NUMBERED = ("%%TAG !a%d! b\n", "k%d: 1\n", "&a%d ", "%d,", "- {a: %d}\n")


@st.composite
def _files(draw: st.DrawFn) -> str:
    document: Any = copy.deepcopy(_FILE)
    *path, last = draw(st.sampled_from(_PLACES))
    parent = document
    for key in path:
        parent = parent[key]
    parent[last] = draw(strange_values)
    if draw(st.booleans()):
        return json.dumps(document)
    try:
        return str(yaml.safe_dump(document, allow_unicode=True))
    except (yaml.YAMLError, ValueError, RecursionError):
        return json.dumps(document)


_texts = st.one_of(
    _files(),
    st.text("{}[]:-,'\"&*!? \nab01.e#|>%@\\\t", max_size=60),
    st.tuples(st.sampled_from(_LONG), st.integers(1, 400_000)).map(lambda pair: pair[0] * pair[1]),
    st.tuples(st.sampled_from(_NUMBERED), st.integers(1, 60_000)).map(
        lambda pair: "".join(pair[0] % number for number in range(pair[1]))
    ),
)


def _act(data: Mapping[str, str]) -> None:
    try:
        found = with_built_ins(parse_runtime_config(data), collector_image="kfx:1")
        for name in ("StdOut", "File"):
            found.metrics_collector(name)
        found.suggestion("random")
        found.early_stopping("medianstop")
    except KatibConfigError as error:
        assert str(error)


TARGET = Target(
    name="katib_config",
    inputs=st.dictionaries(st.sampled_from(_KEYS), _texts, min_size=1, max_size=2),
    act=_act,
)
