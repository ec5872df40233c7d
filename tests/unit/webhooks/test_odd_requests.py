"""Requests that are large or unlike what the configuration asks for; by number in the catalogue.

What is sent to a path is judged as that path's object, whatever kind, operation or subresource stands beside
it: the API server alone decides what it sends. A review without an object is refused with code 400.
"""

import json
from contextlib import nullcontext
from typing import Any

import jsonpatch
import msgspec
import pytest

from kfx.runtime.admission import Allowed, Denied
from kfx.runtime.review import AdmissionRequest, InvalidRequest, decode_review
from kfx.webhooks.experiment_defaulter import ExperimentDefaulter
from tests.experiment_cases import change
from tests.steps import counted
from tests.unit.webhooks import test_experiment_validator as experiments
from tests.unit.webhooks import test_pod_injector as pods
from tests.unit.webhooks.documents import request

ODD: list[dict[str, Any]] = [
    {"operation": "DELETE"},
    {"operation": "CONNECT"},
    {"operation": "FROBNICATE"},
    {"kind": {"group": "example.org", "version": "v9", "kind": "Gadget"}},
    {"resource": {"group": "", "version": "v1", "resource": "secrets"}},
    {"sub_resource": "status"},
    {"old_object": msgspec.Raw(b"null")},
    {"dry_run": True},
]


def altered(plain: AdmissionRequest, alteration: dict[str, Any]) -> AdmissionRequest:
    return msgspec.structs.replace(plain, **{k: msgspec.convert(v, _TYPES[k]) for k, v in alteration.items()})


_TYPES = {name: field.type for field in msgspec.structs.fields(AdmissionRequest) for name in [field.name]}


@pytest.mark.parametrize("alteration", ODD, ids=lambda alteration: str(next(iter(alteration))))
async def test_W10_what_a_review_says_beside_its_object_changes_no_verdict(
    alteration: dict[str, Any],
) -> None:
    pod = request(pods.BASE["pod"])
    world, plain = pods.World(), await pods.World().handle()
    assert await world._injector.handle(altered(pod, alteration)) == plain
    experiment = request(experiments.BASE)
    defaulter = ExperimentDefaulter()
    assert await defaulter.handle(altered(experiment, alteration)) == await defaulter.handle(experiment)


@pytest.mark.parametrize("content", [b"", b"null"])
async def test_W10_a_review_without_an_object_is_refused(content: bytes) -> None:
    empty = msgspec.structs.replace(request({}), object=msgspec.Raw(content))
    for handler in (ExperimentDefaulter(), pods.World()._injector):
        with pytest.raises(InvalidRequest, match=r"request\.object is missing"):
            await handler.handle(empty)


async def test_W10_a_dry_run_tells_nobody_anything() -> None:
    refused = change(pods.BASE["pod"], {}, ["/spec/containers/0/command"])
    world = pods.World(trials=(pods.TRIAL,))
    verdict = await world._injector.handle(altered(request(refused), {"dry_run": True}))
    assert isinstance(verdict, Denied)
    assert world.told == []


async def test_W9_ten_times_the_parameters_are_ten_times_the_work() -> None:
    few, many = await judging(200), await judging(2_000)
    assert 2_000 < many < 11 * few


async def judging(parameters: int) -> int:
    """Steps of both webhooks for an Experiment of so many parameters."""
    parameter = experiments.BASE["spec"]["parameters"][0]
    several = [{**parameter, "name": f"p{number}"} for number in range(parameters)]
    document = change(experiments.BASE, {"/spec/parameters": several})
    with counted() as steps:
        await ExperimentDefaulter().handle(request(document))
        await experiments.judge(document)
    return steps.count


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"text": "x" * 1_500_000}, ""),
        ({"text": "x" * 6_000_000}, "has 6000011 bytes"),
        ({"list": [0] * 14_000, "text": "x" * 1_400_000}, ""),
        ({f"key-{number}": {"a": "x" * 60} for number in range(7_000)}, ""),
        ({"list": [0] * 700_000}, "more than 15000 values"),
        ({f"key-{number}": {"a": [number]} for number in range(60_000)}, "more than 15000 values"),
    ],
    ids=["text", "too much text", "numbers", "members", "too many numbers", "too many members"],
)
def test_W9_a_large_review_is_read_or_refused_without_a_look_at_each_value(
    content: dict[str, Any], problem: str
) -> None:
    body = json.dumps({"request": {"uid": "u", "object": content}}, separators=(",", ":")).encode()
    with counted() as steps, pytest.raises(InvalidRequest, match=problem) if problem else nullcontext():
        decode_review(body).request.document()
    assert steps.count < 200, "what is done for each byte or value is done in C"


async def test_W13_the_patch_of_a_pod_of_a_thousand_containers_is_within_the_apis_bounds() -> None:
    more = [{"name": f"c{number}", "image": "i", "command": ["c"]} for number in range(1000)]
    pod = change(pods.BASE["pod"], {"/spec/containers": [*pods.BASE["pod"]["spec"]["containers"], *more]})
    verdict = await pods.World().handle(pod)
    assert isinstance(verdict, Allowed)
    assert verdict.patch is not None
    assert len(verdict.patch) <= 10_000
    assert len(json.dumps(verdict.patch)) <= 1.5 * 1024 * 1024
    found = jsonpatch.apply_patch(pod, list(verdict.patch))["spec"]["containers"]
    assert [each["name"] for each in found][-1] == "metrics-logger-and-collector"
    assert [each["name"] for each in found[:-1]] == [each["name"] for each in pod["spec"]["containers"]]
