"""AdmissionReview as bytes: read with bounds, answered in the caller's version."""

import re
from codecs import getincrementaldecoder
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from kfx.kube.model import Model

DEEPEST = 100
"""Levels of nesting: what walks a document may recurse."""
MOST_VALUES = 100_000
"""Members and elements of a whole review: decoded, each takes up to 250 bytes, and half a microsecond."""
INT64_DIGITS = 19
LONGEST_MESSAGE = 64 * 1024
"""Characters of an answer's message."""
VERSIONS = ("admission.k8s.io/v1", "admission.k8s.io/v1beta1")

T = TypeVar("T")


class InvalidRequest(Exception):
    """What was sent cannot be judged; the text tells the sender why. Answered with code 400."""


class GroupVersionKind(Model):
    """The kind under review."""

    group: str = ""
    version: str = ""
    kind: str = ""


class GroupVersionResource(Model):
    """The kind under review as the URL names it."""

    group: str = ""
    version: str = ""
    resource: str = ""


class UserInfo(Model):
    """Who asks."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] | None = None


class AdmissionRequest(Model):
    """One request under review. ``operation``: CREATE, UPDATE, DELETE or CONNECT.

    ``object`` and ``old_object`` are JSON bytes, empty or ``null`` where there is none: a field that no type
    declares must survive a patch.
    """

    uid: str = ""
    kind: GroupVersionKind = GroupVersionKind()
    resource: GroupVersionResource = GroupVersionResource()
    sub_resource: str = ""
    name: str = ""
    namespace: str = ""
    operation: str = ""
    user_info: UserInfo = UserInfo()
    object: msgspec.Raw = msgspec.Raw(b"")
    old_object: msgspec.Raw = msgspec.Raw(b"")
    dry_run: bool | None = False

    def document(self) -> dict[str, Any]:
        """The object, decoded anew at each call, so the caller may change it.

        Raises InvalidRequest if there is none.
        """
        found = _decode(self.object, "request.object")
        if found is None:
            raise InvalidRequest("request.object is missing")
        return found

    def old_document(self) -> dict[str, Any] | None:
        """The object as stored before an UPDATE or DELETE; None where there is none."""
        return _decode(self.old_object, "request.oldObject")


class _Review(Model):
    api_version: str = ""
    kind: str = ""
    request: AdmissionRequest | None = None


_REVIEW = msgspec.json.Decoder(_Review)
_DOCUMENT = msgspec.json.Decoder(dict[str, Any] | None)


class Review(msgspec.Struct, frozen=True, gc=False):
    """A review that was understood; ``api_version`` is the one to answer in."""

    api_version: str
    request: AdmissionRequest


def decode_review(body: bytes) -> Review:
    """Read a v1 or v1beta1 review; one that names no version is taken as v1 (controller-runtime does so).

    Raises InvalidRequest for anything but an AdmissionReview in UTF-8 JSON with a request and its uid, at
    most 100 levels deep, of at most 100,000 values, all integers within int64. The text repeats nothing of
    the body.
    """
    try:
        _check_utf8(body)
        review = _REVIEW.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as failed:
        raise InvalidRequest(f"the body is no AdmissionReview: {_reason(failed)}") from None
    except RecursionError:
        raise InvalidRequest(_TOO_DEEP) from None
    if review.kind not in ("", "AdmissionReview") or review.api_version not in ("", *VERSIONS):
        raise InvalidRequest(f"the body is no AdmissionReview of {' or '.join(VERSIONS)}")
    if review.request is None or not review.request.uid:
        raise InvalidRequest("the AdmissionReview has no request with a uid")
    _check_bounds(body)
    return Review(review.api_version or VERSIONS[0], review.request)


def _check_utf8(body: bytes) -> None:
    """Piece by piece: as text the whole body may take four times its size."""
    if body.isascii():
        return
    decoder = getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _PIECE):
        decoder.decode(body[start : start + _PIECE])
    decoder.decode(b"", final=True)


_PIECE = 256 * 1024
_TOO_DEEP = f"the AdmissionReview is nested more than {DEEPEST} levels deep"
_TOO_MANY = f"the AdmissionReview has more than {MOST_VALUES} values"
_STRINGS = re.compile(rb'(?:"[^"]*+")++')  # possessive, so that no text makes it slow
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_MARKS = bytes(each for each in range(256) if each not in b'[]{},"')
_SCANNED = bytes.maketrans(b"{123456789", b"[000000000")  # openings alike, digits alike
_LONG_NUMBER = b"0" * INT64_DIGITS


def _check_bounds(body: bytes) -> None:
    """One pass for all bounds: it finds hardly any body worth a closer look."""
    scanned = body.translate(_SCANNED)
    is_large, has_long_number = len(body) > MOST_VALUES, _LONG_NUMBER in scanned
    may_be_deep = scanned.count(b"[") > DEEPEST
    del scanned  # as long as the body
    if is_large or may_be_deep:
        _check_shape(body)
    if has_long_number:
        _check_integers(body)


def _check_shape(body: bytes) -> None:
    """Count over all bytes first; strings are taken out only where that may change the answer."""
    openings = body.count(b"[") + body.count(b"{")
    if openings <= DEEPEST and openings + body.count(b",") <= MOST_VALUES:
        return
    if body.count(b'"') - body.count(b'\\"') > 4 * MOST_VALUES:
        raise InvalidRequest(_TOO_MANY)
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    marks = plain.translate(_SQUARE, _NO_MARKS).replace(b'""', b"")  # strings without marks, or between two
    marks = _STRINGS.sub(b"", marks)
    if marks.count(b",") + marks.count(b"[") > MOST_VALUES:
        raise InvalidRequest(_TOO_MANY)
    brackets = marks.translate(None, b",")
    for _ in range(DEEPEST):
        brackets = brackets.replace(b"[]", b"")  # takes away the innermost level everywhere
    if brackets:
        raise InvalidRequest(_TOO_DEEP)


def _check_integers(body: bytes) -> None:
    """Of a body with a long run of digits, which may be text."""
    try:
        waiting = [msgspec.json.decode(body)]
    except msgspec.DecodeError as failed:
        raise InvalidRequest(f"the body is no AdmissionReview: {_reason(failed)}") from None
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, int) and not -(2**63) <= each < 2**63:
            raise InvalidRequest("the AdmissionReview has an integer beyond 64 bits")


def _decode(raw: msgspec.Raw, where: str) -> dict[str, Any] | None:
    if not bytes(raw):
        return None
    try:
        found: dict[str, Any] | None = _DOCUMENT.decode(raw)
    except msgspec.DecodeError as failed:
        raise InvalidRequest(f"{where} is no JSON object: {_reason(failed)}") from None
    return found


def _reason(failed: Exception) -> str:
    return "not UTF-8" if isinstance(failed, UnicodeDecodeError) else str(failed)[:200]


def encode_answer(
    *,
    api_version: str,
    uid: str,
    allowed: bool,
    code: int,
    message: str = "",
    patch: Sequence[Mapping[str, Any]] = (),
    warnings: Sequence[str] = (),
) -> bytes:
    """The AdmissionReview of an answer; ``patch`` is RFC 6902."""
    status = {"code": code, **({"message": _cut(message)} if message else {})}
    response: dict[str, Any] = {"uid": uid, "allowed": allowed, "status": status}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = msgspec.json.encode(patch)  # bytes become Base64, as in Go
    if warnings:
        response["warnings"] = list(warnings)
    answer = {"kind": "AdmissionReview", "apiVersion": api_version, "response": response}
    return msgspec.json.encode(answer if api_version else {"response": response})


def _cut(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"


def encode_refusal(code: int, message: str) -> bytes:
    """The answer to what was not understood: no version and an empty uid (controller-runtime's form)."""
    return encode_answer(api_version="", uid="", allowed=False, code=code, message=message)
