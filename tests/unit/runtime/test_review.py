"""What is accepted as an AdmissionReview, and what is answered."""

import base64
import json

import msgspec
import pytest

from kfx.kube.model import Model
from kfx.runtime.review import InvalidRequest, decode_review, encode_answer, encode_refusal
from tests.serving import review


def of(inner: bytes) -> bytes:
    return (
        b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","object":%s}}'
        % inner
    )


def test_a_request_is_read_with_all_that_handlers_use() -> None:
    body = review(
        {"kind": "Pod", "x-unknown": [1, None]},
        kind={"group": "", "version": "v1", "kind": "Pod"},
        resource={"group": "", "version": "v1", "resource": "pods"},
        subResource="status",
        userInfo={"username": "ada", "groups": ["team"], "extra": {"a": ["b"]}},
        oldObject={"kind": "Old"},
        dryRun=True,
        options={"unknown": "ignored"},
    )
    request = decode_review(body).request
    assert (request.uid, request.namespace, request.name, request.operation) == (
        "uid-1",
        "team",
        "trial",
        "CREATE",
    )
    assert (request.kind.kind, request.resource.resource, request.sub_resource) == ("Pod", "pods", "status")
    assert (request.user_info.username, request.user_info.groups) == ("ada", ("team",))
    assert request.document() == {"kind": "Pod", "x-unknown": [1, None]}
    assert request.old_document() == {"kind": "Old"}
    assert request.dry_run


def test_each_document_is_a_new_one() -> None:
    request = decode_review(review({"a": 1})).request
    request.document()["a"] = 2
    assert request.document() == {"a": 1}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_version_of_the_caller_is_kept(version: str) -> None:
    assert decode_review(review({}, version=version)).api_version == f"admission.k8s.io/{version}"


def test_a_review_without_a_version_is_taken_as_v1() -> None:
    assert decode_review(b'{"request":{"uid":"u"}}').api_version == "admission.k8s.io/v1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"request":null}',
        b'{"request":{}}',
        b'{"request":{"uid":""}}',
        b'{"request":{"uid":7}}',
        b'{"apiVersion":"admission.k8s.io/v2","kind":"AdmissionReview","request":{"uid":"u"}}',
        b'{"apiVersion":"v1","kind":"Pod","request":{"uid":"u"}}',
        review({})[:-1],
        review({}).decode().encode("utf-16"),
        b"\xef\xbb\xbf" + review({}),
        of(b'{"a":NaN}'),
        of(b'{"a":-Infinity}'),
        of(b'{"a":"\xff"}'),
        of(b'"\\ud800"'),
        b'{"request":{"uid":"%s"}}' % (b"u" * 600_000),
        b'{"request":{"uid":"u","options":"%s"}}' % (b"u" * 600_000),
        b'{"request":{"uid":"u","object":"%s","object":{}}}' % (b"u" * 600_000),
    ],
)
def test_what_is_no_review_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_review(body)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "content", [b"9223372036854775807", b"-9223372036854775808", b'"99999999999999999999"', b"1e30"]
)
def test_numbers_within_64_bits_and_digits_in_text_pass(content: bytes) -> None:
    assert decode_review(of(b'{"a":%s}' % content)).request.document()["a"] == json.loads(content)


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":9223372036854775808}',
        b'{"a":[-9223372036854775809]}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":9223372036854775808,"b":1e999}',
    ],
)
@pytest.mark.parametrize("fields", [(), ("a",)])
def test_numbers_beyond_64_bits_are_refused_where_they_are_read(content: bytes, fields: tuple[str]) -> None:
    request = decode_review(of(content)).request
    with pytest.raises(InvalidRequest, match=r"request\.object") as caught:
        request.document(*fields)
    assert len(str(caught.value)) < 300
    assert request.document("x.c", "d") == {}


def read(content: bytes) -> dict[str, object]:
    """As an object of two members, of which one is asked for."""
    return decode_review(of(b'{"spec":%s,"status":%s}' % (content, content))).request.document("spec")


@pytest.mark.parametrize("levels", [101, 1_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_nesting_is_refused(levels: int, opening: bytes, closing: bytes) -> None:
    with pytest.raises(InvalidRequest, match="nested more than 100 levels"):
        read(opening * levels + b"1" + closing * levels)


def test_nesting_is_counted_where_there_is_any() -> None:
    in_text = b'["' + b"[" * 300 + b'", "\\"' + b"{" * 300 + b'\\\\"]'
    side_by_side = b"[" + b",".join([b"[]"] * 300) + b"]"
    deepest = b"[" * 99 + b"]" * 99  # one more level is the object's own
    for inner in (in_text, side_by_side, deepest):
        read(inner)
    with pytest.raises(InvalidRequest):
        read(b"[" * 100 + b"]" * 100)


def test_values_are_counted_where_there_are_many() -> None:
    in_text = b'"' + rb"[{,\\\"" * 60_000 + b'"'
    most = b"[" + b"1," * 14_990 + b"1]"
    for inner in (in_text, most, b"[" + in_text + b"," + in_text + b"]"):
        read(inner)
    for piece in (b"1," * 20_000, b'{"a":"b"},' * 12_000, b'"",' * 100_000):
        with pytest.raises(InvalidRequest, match=r"request\.object \(spec\) has more than 15000 values"):
            read(b"[" + piece + b"1]")


def test_text_is_bounded_where_it_is_read() -> None:
    text = b'"%s"' % (b"x" * 1_600_000)
    request = decode_review(of(b'{"spec":{"a":1},"status":{"trials":2,"text":%s}}' % text)).request
    assert request.document("spec", "status.trials") == {"spec": {"a": 1}, "status": {"trials": 2}}
    for fields in (("status",), ("status.text", "spec"), ()):
        with pytest.raises(InvalidRequest, match="more than 1572864; make it smaller"):
            request.document(*fields)


def test_an_object_that_no_api_server_stores_is_refused_unread() -> None:
    large = b'{"a":"%s","b":1}' % (b"x" * 2_100_000)
    request = decode_review(b'{"request":{"uid":"u","object":%s,"oldObject":%s}}' % (large, large)).request
    with pytest.raises(InvalidRequest, match=r"request\.object has 2100014 bytes; no API server stores"):
        request.document("b")
    with pytest.raises(InvalidRequest, match=r"request\.oldObject has 2100014 bytes"):
        request.old_document()


def test_only_the_fields_asked_for_are_read() -> None:
    content = b'{"a":{"b":1,"c":null,"d":2},"e":null,"f":[1e999],"a.b":7}'
    request = decode_review(of(content)).request
    assert request.document("a.b", "a.c", "a.x", "e", "x") == {"a": {"b": 1, "c": None}, "e": None}
    assert request.document("x.y") == {}
    with pytest.raises(InvalidRequest, match=r"request\.object is no JSON object"):
        request.document("e", "f.g")
    assert decode_review(of(b'{"a":null}')).request.document("a.b") == {}


def test_a_message_that_nobody_could_read_is_cut() -> None:
    found = json.loads(encode_refusal(400, "x" * 1_000_000))
    assert len(found["response"]["status"]["message"]) == 64 * 1024 + 1


def test_text_that_is_no_utf_8_is_refused_wherever_it_is_cut() -> None:
    whole = of(b'"' + "é".encode() * 400_000 + b'"')
    decode_review(whole)
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        decode_review(whole.replace(b'\xa9"', b'"'))


@pytest.mark.parametrize("content", [b"", b"null"])
def test_a_missing_object_is_said_to_be_missing(content: bytes) -> None:
    body = of(content) if content else b'{"request":{"uid":"u"}}'
    request = decode_review(body).request
    with pytest.raises(InvalidRequest, match=r"request\.object is missing"):
        request.document()
    assert request.old_document() is None


@pytest.mark.parametrize("content", [b"7", b'"text"', b"[]", b'{"a":1e999}'])
def test_an_object_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"request\.object is no JSON object"):
        decode_review(of(content)).request.document()


class Thing(Model):
    """As much of an object as one handler looks at."""

    names: tuple[str, ...] = ()


THING = msgspec.json.Decoder(Thing)


def read_thing(inner: bytes) -> Thing:
    return decode_review(of(inner)).request.read(THING, noun="thing")


def test_what_a_type_does_not_name_is_skipped_unread() -> None:
    deep = b"[" * 150 + b"]" * 150
    assert read_thing(b'{"names":["a"],"x":12345678901234567890,"y":%s}' % deep) == Thing(names=("a",))


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (b"null", "request.object is missing"),
        (b"[]", "request.object is no thing: Expected `object`, got `array`"),
        (b'{"names":"a"}', "request.object is no thing: Expected `array`, got `str` - at `$.names`"),
        (b'{"names":[%s""]}' % (b'"",' * 15_000), "request.object has more than 15000 values; shorten"),
        (b'{"x":"%s"}' % (b"x" * 1_600_000), "request.object has 1600008 bytes, more than 1572864"),
        (b'{"x":"%s"}' % (b"x" * 2_100_000), "request.object has 2100008 bytes; no API server stores more"),
        (b'{"x":%s1%s}' % (b"[" * 5_000, b"]" * 5_000), "the AdmissionReview is nested more than 100 levels"),
    ],
)
def test_an_object_that_is_not_of_the_type_is_refused(inner: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_thing(inner)
    assert str(caught.value).startswith(reason)


def test_a_patch_comes_with_its_type_and_an_empty_one_not_at_all() -> None:
    patch = [{"op": "add", "path": "/a", "value": "ü"}]
    answer = json.loads(encode_answer(api_version="v", uid="u", allowed=True, code=200, patch=patch))
    assert answer["response"]["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(answer["response"]["patch"])) == patch
    plain = json.loads(encode_answer(api_version="v", uid="u", allowed=True, code=200))
    assert plain == {
        "kind": "AdmissionReview",
        "apiVersion": "v",
        "response": {"uid": "u", "allowed": True, "status": {"code": 200}},
    }


def test_a_refusal_has_no_version_and_an_empty_uid() -> None:
    assert json.loads(encode_refusal(413, "too large")) == {
        "response": {"uid": "", "allowed": False, "status": {"code": 413, "message": "too large"}}
    }
