"""Whatever is sent as a pod, there is an answer, and a second call changes nothing."""

import asyncio
import contextlib
from typing import Any

import jsonpatch
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfx.runtime.admission import AdmissionRequest, Allowed, InvalidRequest, Verdict
from tests.experiment_cases import change
from tests.unit.katib.test_injection import BASE
from tests.unit.webhooks.test_pod_injector import SERVER, World


def _mutated(pod: dict[str, Any], pointers: list[str], values: list[Any]) -> dict[str, Any]:
    """The pod with values at some of its places, as far as they still exist."""
    for pointer, value in zip(pointers, values, strict=False):
        with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError, ValueError):
            pod = change(pod, {pointer: value})
    return pod


def _pointers(document: Any, path: str = "") -> list[str]:
    items = document.items() if isinstance(document, dict) else enumerate(document)
    found = []
    for key, value in items:
        here = f"{path}/{key}"
        found += [here, *(_pointers(value, here) if isinstance(value, dict | list) else ())]
    return found


PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "env", "uid", "kind", "labels"]) | st.text(), inner, max_size=3
        )
    ),
    max_leaves=8,
)
RICH = change(
    BASE["pod"],
    {
        "/spec/initContainers": [{"name": "fetch", "image": "i"}],
        "/spec/volumes": [{"name": "v", "emptyDir": {}}],
        "/spec/securityContext": {"runAsUser": 5},
        "/spec/imagePullSecrets": [{"name": "s"}],
        "/spec/nodeSelector": {"kubernetes.io/arch": "arm64"},
        "/spec/serviceAccountName": "trainer",
        "/spec/containers/0/env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
        "/spec/containers/0/volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "/spec/containers/0/securityContext": {"runAsNonRoot": True},
    },
)


@pytest.mark.real_time
@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(_pointers(RICH)), min_size=1, max_size=3),
    st.lists(JSON, min_size=3, max_size=3),
    st.sampled_from(["classic", "native"]),
)
def test_whatever_a_pod_holds_there_is_an_answer_that_a_second_call_leaves_alone(
    pointers: list[str], values: list[Any], form: str
) -> None:
    pod = _mutated(RICH, pointers, values)

    async def judge(document: dict[str, Any]) -> Verdict | None:
        version = {("", "/version"): {"major": "1", "minor": "36"}}
        try:
            return await World({**SERVER, **version}, form=form).handle(document)
        except InvalidRequest:
            return None

    verdict = asyncio.run(judge(pod))
    if not isinstance(verdict, Allowed):
        return
    assert all(operation["op"] == "add" for operation in verdict.patch or ())
    changed = jsonpatch.apply_patch(pod, list(verdict.patch or ()))
    assert asyncio.run(judge(changed)) == Allowed()


@pytest.mark.real_time
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64) | JSON.map(msgspec.json.encode))
def test_bytes_that_are_no_pod_are_answered_or_refused(body: bytes) -> None:
    asked = AdmissionRequest(uid="u", namespace="user", operation="CREATE", object=msgspec.Raw(body))
    with contextlib.suppress(InvalidRequest):
        assert asyncio.run(World().judge(asked)) == Allowed()
