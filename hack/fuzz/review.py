"""Bytes that are posted to the defaulter and the validator: always an AdmissionReview comes back."""

import base64
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from hack.fuzz.inputs import encode, experiments, full_experiments, long_json, spoiled
from hack.fuzz.target import Target
from kfx.algorithms import ALGORITHMS
from kfx.apis.core import ConfigMap
from kfx.apis.experiment import Experiment
from kfx.config import TRIAL_RESOURCES
from kfx.katib.names import LABEL_INJECTION
from kfx.kube.errors import NotFound
from kfx.kube.resource import Resource
from kfx.runtime.admission import AdmissionHandler, Denied, InvalidRequest, encode_verdict
from kfx.runtime.review import decode_review, encode_refusal
from kfx.runtime.store import Store
from kfx.webhooks.config_reader import KatibConfigReader
from kfx.webhooks.experiment_defaulter import ExperimentDefaulter
from kfx.webhooks.experiment_validator import ExperimentValidator

LONGEST_ANSWER = 24 * 1024 * 1024
"""Bytes. A patch repeats a list it adds to, in base64; the API server reads no more than some MiB anyway."""


class Cluster:
    """Every namespace has the label, and nothing else is there."""

    async def get_document(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """See :class:`kfx.webhooks.experiment_validator.DocumentReader`."""
        if resource.kind == "Namespace":
            return {"metadata": {"labels": {LABEL_INJECTION: "enabled"}}}
        raise NotFound("not found", status=404, reason="NotFound")


@dataclass(frozen=True, slots=True)
class Template:
    """The text of a ConfigMap."""

    text: str | None
    problem: str = ""


class Templates:
    """One text, whichever ConfigMap is named."""

    async def read(self, experiment: Experiment) -> Template:
        """See :class:`kfx.webhooks.experiment_validator.TemplateReader`."""
        return Template("apiVersion: batch/v1\nkind: Job\nspec: {a: '${trialParameters.lr}'}")


def handlers() -> tuple[AdmissionHandler, AdmissionHandler]:
    """Defaulter and validator, without a cluster."""
    nothing: Store[ConfigMap] = Store()
    validator = ExperimentValidator(
        client=Cluster(),
        templates=Templates(),
        config=KatibConfigReader(config_maps=nothing, core_namespace="kubeflow", collector_image="kfx:1"),
        algorithms=ALGORITHMS,
        early_stoppings=("medianstop",),
        trial_resources=TRIAL_RESOURCES,
    )
    return ExperimentDefaulter(), validator


def frame(content: bytes, old: bytes = b"", *, version: str = "v1") -> bytes:
    """A review of ``content``, of an update where there is an ``old`` object."""
    operation = b"UPDATE" if old else b"CREATE"
    before = b',"oldObject":' + old if old else b""
    return (
        b'{"apiVersion":"admission.k8s.io/%s","kind":"AdmissionReview","request":{"uid":"u","namespace":"user",'
        b'"operation":"%s","object":%s%s}}' % (version.encode(), operation, content, before)
    )


async def answer(body: bytes, handler: AdmissionHandler) -> bytes:
    """The way of a body through the server, without its sockets and its net for exceptions."""
    try:
        review = decode_review(body)
    except InvalidRequest as refused:
        return encode_refusal(400, str(refused))
    try:
        return encode_verdict(review, await handler.handle(review.request))
    except InvalidRequest as refused:
        return encode_verdict(review, Denied(str(refused)))


def check_answer(found: bytes) -> Mapping[str, Any]:
    """The response of an answer that the API server would accept; raises AssertionError for any other."""
    document = json.loads(found)
    response: Mapping[str, Any] = document["response"]
    allowed, code = response["allowed"], response["status"]["code"]
    assert isinstance(allowed, bool), response
    assert (code == 200) == allowed, response
    assert allowed or response["status"]["message"], response
    assert len(found) <= LONGEST_ANSWER, len(found)
    if "kind" in document:
        assert document["kind"] == "AdmissionReview", document
        assert document["apiVersion"] in ("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), document
        assert response["uid"], document
    else:
        assert not allowed, document
        assert document == {"response": {"uid": "", "allowed": False, "status": response["status"]}}, document
    if "patch" in response:
        assert response["patchType"] == "JSONPatch", response
        operations = json.loads(base64.b64decode(response["patch"]))
        assert {operation["op"] for operation in operations} <= {"add", "replace"}, operations
    return response


_HANDLERS = handlers()
reviews = st.one_of(
    st.builds(frame, experiments().map(encode), version=st.sampled_from(["v1", "v1beta1"])),
    st.builds(frame, experiments().map(encode), experiments().map(encode)),
    spoiled(st.builds(frame, experiments().map(encode), st.one_of(st.just(b""), experiments().map(encode)))),
    st.builds(frame, long_json()),
    st.builds(frame, long_json(), long_json()),
    st.builds(frame, full_experiments()),
    full_experiments().map(lambda content: frame(content.replace(b'Count":12', b'Count":13'), content)),
    st.builds(frame, full_experiments(), full_experiments()),
    st.builds(frame, full_experiments(), experiments().map(encode)),
    st.binary(max_size=200),
)


def run(waiting: Coroutine[Any, Any, bytes]) -> bytes:
    """The result of a coroutine that never waits, without a loop."""
    try:
        waiting.send(None)
    except StopIteration as ended:
        found: bytes = ended.value
        return found
    raise AssertionError("it waits")


def _act(value: tuple[bytes, int]) -> bytes:
    body, which = value
    return run(answer(body, _HANDLERS[which]))


def _judge(found: bytes) -> None:
    check_answer(found)


TARGET = Target(
    name="review",
    inputs=st.tuples(reviews, st.sampled_from([0, 1])),
    act=_act,
    judge=lambda value, outcome: _judge(outcome),
)
