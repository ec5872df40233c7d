"""What is accepted as an AdmissionReview, and what is answered."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        of(b'{"a":9223372036854775808}'),
        of(b'{"a":[-9223372036854775809]}'),
        of(b'{"a":' + b"9" * 5000 + b"}"),
        of(b'{"a":9223372036854775808,"b":1e999}'),
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


@pytest.mark.parametrize("levels", [101, 1_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_nesting_is_refused(levels: int, opening: bytes, closing: bytes) -> None:
    with pytest.raises(InvalidRequest, match="nested more than 100 levels"):
        decode_review(of(opening * levels + b"1" + closing * levels))


def test_nesting_is_counted_where_there_is_any() -> None:
    in_text = b'["' + b"[" * 300 + b'", "\\"' + b"{" * 300 + b'\\\\"]'
    side_by_side = b"[" + b",".join([b"[]"] * 300) + b"]"
    deepest = b"[" * 98 + b"]" * 98  # two more levels are the review's own
    for inner in (in_text, side_by_side, deepest):
        decode_review(of(inner))
    with pytest.raises(InvalidRequest):
        decode_review(of(b"[" * 99 + b"]" * 99))


def test_values_are_counted_where_there_are_many() -> None:
    in_text = b'"' + rb"[{,\\\"" * 60_000 + b'"'
    most = b"[" + b"1," * 99_990 + b"1]"
    for inner in (in_text, most, b"[" + in_text + b"," + in_text + b"]"):
        decode_review(of(inner))
    for piece in (b"1," * 100_000, b'{"a":"b"},' * 60_000, b'"",' * 500_000):
        with pytest.raises(InvalidRequest, match="more than 100000 values"):
            decode_review(of(b"[" + piece + b"1]"))


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


texts = st.text('[]{},"\\:ab\n', max_size=8)
documents = st.recursive(
    st.one_of(st.none(), st.integers(-9, 9), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(texts, inner, max_size=5)),
    max_leaves=30,
)


def values_in(document: object) -> int:
    """One for each list and object, and one for each further element and member."""
    inner = list(document.values()) if isinstance(document, dict) else document
    if not isinstance(inner, list):
        return 0
    return 1 + max(0, len(inner) - 1) + sum(map(values_in, inner))


@given(documents)
def test_values_are_counted_in_the_bytes_as_in_the_document(document: object) -> None:
    body = of(json.dumps(document).encode())
    count = values_in(json.loads(body))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kfx.runtime.review.MOST_VALUES", count)
        decode_review(body)
        patch.setattr("kfx.runtime.review.MOST_VALUES", count - 1)
        with pytest.raises(InvalidRequest, match="values"):
            decode_review(body)
