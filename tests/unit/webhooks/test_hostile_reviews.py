"""Bodies that somebody made to hurt: each gets an answer, in bounded time and memory."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings

from hack.fuzz.inputs import EXPERIMENT, MOST, PLACES, nested
from hack.fuzz.review import TARGET, answer, check_answer, frame, handlers, reviews, run
from kfx.katib.defaults import default_experiment
from tests.experiment_cases import change

UNUSED = ("/spec/nasConfig", "/spec/trialTemplate/configMap", "/spec/earlyStopping", "/status")
PLAIN = change(EXPERIMENT, {}, UNUSED)
TEMPLATE = "/spec/trialTemplate/trialSpec/spec/x"
PARAMETERS = "/spec/trialTemplate/trialParameters"
FORMATS = "/spec/metricsCollectorSpec/source/filter/metricsFormat"
OPEN = "${trialParameters."
MOST_READ = 1_500_000
COUNTED = [{"name": f"n{i}", "reference": f"r{i}"} for i in range(20_000)]

LARGE: dict[str, Any] = {
    "text": {TEMPLATE: "x" * MOST},
    "placeholders that are never closed": {TEMPLATE: OPEN * (MOST // len(OPEN))},
    "placeholders": {TEMPLATE: "".join(f"{OPEN}{i}}}" for i in range(30_000))},
    "meta references that are never closed": {f"{PARAMETERS}/0/reference": "${trialSpec." * 500_000},
    "meta references with an index": {f"{PARAMETERS}/0/reference": "${trialSpec.a[" + "][" * 3_000_000 + "}"},
    "trial parameters that nothing declares": {PARAMETERS: COUNTED},
    "parameters": {"/spec/parameters": [{"name": "a"}] * 20_000},
    "a name": {"/metadata/name": "a" * MOST},
    "an algorithm": {"/spec/algorithm/algorithmName": "a" * MOST},
    "digits": {"/spec/parameters/0/feasibleSpace/min": "1" * MOST},
    "a port": {"/spec/metricsCollectorSpec/source/httpGet/port": "1" * MOST},
    "filters": {FORMATS: ["(a)(b)"] * 40_000},
    "a filter that grows": {FORMATS: ["(a)(b)" + "x{1000}" * 5_000]},
    "filters that grow": {FORMATS: ["(a)(b)" + "x{900}" * 20] * 400},
    "unknown fields of a container": {
        "/spec/metricsCollectorSpec/collector/customCollector": {f"imag{i}": 1 for i in range(40_000)}
    },
    "unknown fields of a job": {"/spec/trialTemplate/trialSpec/spec": {f"x{i}": 1 for i in range(40_000)}},
    "a field with a long name": {f"/spec/trialTemplate/trialSpec/spec/{'x' * 3_000_000}": 1},
}
SHAPES = {
    "lists": b"[],",
    "numbers": b"1,",
    "texts": b'"",',
    "objects": b'{"a":1},',
    "escapes": b'"\\u00e9\\\\\\"",',
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("which", [0, 1], ids=["defaulter", "validator"])
def test_a_large_experiment_is_answered_within_its_bounds(name: str, which: int) -> None:
    body = frame(json.dumps(change(PLAIN, LARGE[name])).encode())
    TARGET.run((body, which), slack=4.0)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("which", [0, 1], ids=["defaulter", "validator"])
def test_more_values_than_any_experiment_has_are_refused_unread(name: str, which: int) -> None:
    piece = SHAPES[name]
    body = frame(b'{"spec":{"x":[%s1]}}' % (piece * (MOST_READ // len(piece))))
    response = check_answer(run(answer(body, handlers()[which])))
    wanted = "request.object (metadata, spec) has more than 15000 values; shorten its lists"
    assert response["status"]["message"] == wanted


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("which", [0, 1], ids=["defaulter", "validator"])
def test_what_the_webhooks_do_not_need_may_hold_any_number_of_values(name: str, which: int) -> None:
    many = b"[%s1]" % (SHAPES[name] * (MOST_READ // len(SHAPES[name])))
    plain = json.dumps(default_experiment(PLAIN)).encode()
    changed = plain.replace(b'"maxTrialCount": 12', b'"maxTrialCount": 11')
    assert changed != plain
    for field in (b"x", b"status"):
        new, old = (b'{"%s":{"y":%s},%s' % (field, many, each[1:]) for each in (changed, plain))
        assert check_answer(run(answer(frame(new, old), handlers()[which])))["allowed"]


@pytest.mark.parametrize("which", [0, 1], ids=["defaulter", "validator"])
def test_an_object_that_could_not_be_stored_is_refused_with_its_size(which: int) -> None:
    body = frame(b'{"spec":{"x":"%s"}}' % (b"x" * MOST))
    message = check_answer(run(answer(body, handlers()[which])))["status"]["message"]
    assert message == (
        f"request.object has {MOST + 17} bytes; no API server stores more than 2097152: make it smaller"
    )


@pytest.mark.parametrize("which", [0, 1], ids=["defaulter", "validator"])
def test_nothing_stands_in_the_way_of_a_large_experiment_that_is_being_deleted(which: int) -> None:
    values = b"[%s1]" % (b"1," * 50_000)
    content = b'{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"x":%s}}' % values
    assert check_answer(run(answer(frame(content, content), handlers()[which])))["allowed"]


def test_what_stands_in_texts_does_not_count_as_values() -> None:
    text = json.dumps('[{,\\"' * 100_000)
    body = frame(json.dumps(change(PLAIN, {"/metadata/annotations": {"a": text}})).encode())
    assert check_answer(run(answer(body, handlers()[0])))["allowed"]


@pytest.mark.parametrize("which", [0, 1], ids=["defaulter", "validator"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: "/".join(map(str, place)))
def test_a_wrong_type_at_any_place_is_answered(place: tuple[Any, ...], which: int) -> None:
    for value in (None, True, 7, -1.5, 2**63, "x", "", [], [None], {}, {"a": None}, nested(150)):
        document = copy.deepcopy(EXPERIMENT)
        parent: Any = document
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = value
        for body in (
            frame(json.dumps(document).encode()),
            frame(json.dumps(PLAIN).encode(), json.dumps(document).encode()),
        ):
            check_answer(run(answer(body, handlers()[which])))


@pytest.mark.parametrize(
    "content",
    [
        b'{"metadata":{"name":"a","name":7},"metadata":{"name":"b"}}',
        b'{"metadata":{"name":"\\ud800"}}',
        b'{"metadata":{"name":"\\udc00\\ud800"}}',
        b'{"\\u0000":"\\u0000"}',
        b'{"spec":{"objective":{"goal":1e308}}}',
        b'{"spec":{"objective":{"goal":1e309}}}',
        b'{"spec":{"objective":{"goal":-0.0}}}',
        b'{"spec":{"maxTrialCount":12345678901234567890}}',
        b'{"spec":{"maxTrialCount":1.0}}',
        b'{"spec":{"maxTrialCount":true}}',
        b'{"spec":NaN}',
        b'{"a":1}{"a":2}',
        b"[" * 50_000 + b"]" * 50_000,
    ],
)
def test_odd_json_is_answered(content: bytes) -> None:
    for body in (frame(content), frame(b"{}", content), content):
        for handler in handlers():
            check_answer(run(answer(body, handler)))


@settings(max_examples=60, deadline=None)
@given(reviews)
def test_whatever_is_sent_a_review_comes_back(body: bytes) -> None:
    for handler in handlers():
        check_answer(run(answer(body, handler)))
