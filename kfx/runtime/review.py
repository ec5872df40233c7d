"""AdmissionReview as bytes: read with bounds, answered in the caller's version."""

from codecs import getincrementaldecoder
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from kfx.kube.model import Model
from kfx.runtime.json_bounds import DEEPEST, ExcessiveJson, check_json

LARGEST_OBJECT = 2 * 1024 * 1024
"""Bytes. kube-apiserver sends no more to etcd (etcd's client/v3, ``defaultMaxCallSendMsgSize``)."""
LARGEST_TEXT = 1536 * 1024
"""Bytes of what is read of an object; decoded it takes up to nine times as much for a moment. etcd takes no
larger object as a whole, unless it was told to."""
LARGEST_FRAME = 512 * 1024
"""Bytes of a review beside its objects."""
MOST_VALUES = 15_000
"""Members and elements of what is read of an object; a handler takes up to 1.5 µs and 800 bytes for each."""
LONGEST_MESSAGE = 64 * 1024
"""Characters of an answer's message."""
VERSIONS = ("admission.k8s.io/v1", "admission.k8s.io/v1beta1")

T = TypeVar("T")

_NOTHING = msgspec.Raw(b"")


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
    object: msgspec.Raw = _NOTHING
    old_object: msgspec.Raw = _NOTHING
    dry_run: bool | None = False

    def document(self, *fields: str) -> dict[str, Any]:
        """The object, decoded anew at each call, so the caller may change it.

        Of ``fields`` (``"spec"``, ``"status.trials"``) where some are named, the rest being skipped unread.
        Raises InvalidRequest if there is no object, or one of more than 2 MiB, or if what is read has more
        than 15,000 values, 100 levels, or an integer beyond int64.
        """
        found = _decode(self.object, "request.object", fields)
        if found is None:
            raise InvalidRequest("request.object is missing")
        return found

    def read(self, decoder: msgspec.json.Decoder[T], *, noun: str) -> T:
        """The object as what ``decoder`` makes of it; what its type does not name is skipped unread.

        The type must bound its integers itself, and what is skipped may be nested as deep as Python allows.
        Raises InvalidRequest as :meth:`document` does otherwise, and, with the field's path, where the object
        is no ``noun``.
        """
        if memoryview(self.object).nbytes <= len(b"null") and bytes(self.object) in (b"", b"null"):
            raise InvalidRequest("request.object is missing")
        try:
            _check_size(self.object, "request.object")
            return _read_typed(decoder, self.object)
        except _UNREADABLE as failed:
            raise _explain(failed, "request.object", read="request.object", noun=noun) from None

    def old_document(self, *fields: str) -> dict[str, Any] | None:
        """The object as stored before an UPDATE or DELETE; None where there is none. As :meth:`document`."""
        return _decode(self.old_object, "request.oldObject", fields)


class _Review(Model):
    api_version: str = ""
    kind: str = ""
    request: AdmissionRequest | None = None


class _Objects(Model):
    object: msgspec.Raw = _NOTHING
    old_object: msgspec.Raw = _NOTHING


class _Frame(Model):
    request: _Objects | None = None


_REVIEW = msgspec.json.Decoder(_Review)
_FRAME = msgspec.json.Decoder(_Frame)
_DOCUMENT = msgspec.json.Decoder(dict[str, Any] | None)
_VALUES = msgspec.json.Decoder(list[Any])


class Review(msgspec.Struct, frozen=True, gc=False):
    """A review that was understood; ``api_version`` is the one to answer in."""

    api_version: str
    request: AdmissionRequest


def decode_review(body: bytes) -> Review:
    """Read a v1 or v1beta1 review; one that names no version is taken as v1 (controller-runtime does so).

    The objects are not read yet. Raises InvalidRequest for anything but an AdmissionReview in UTF-8 JSON with
    a request and its uid, and of at most 512 KiB beside the objects. The text repeats nothing of the body.
    """
    try:
        _check_utf8(body)
        if len(body) > LARGEST_FRAME:
            _check_frame(body)
        review = _REVIEW.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as failed:
        raise InvalidRequest(f"the body is no AdmissionReview: {_reason(failed)}") from None
    except RecursionError:
        raise InvalidRequest(_TOO_DEEP) from None
    if review.kind not in ("", "AdmissionReview") or review.api_version not in ("", *VERSIONS):
        raise InvalidRequest(f"the body is no AdmissionReview of {' or '.join(VERSIONS)}")
    if review.request is None or not review.request.uid:
        raise InvalidRequest("the AdmissionReview has no request with a uid")
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


def _check_frame(body: bytes) -> None:
    """Before anything is read of it: one text of 7 MiB would take 60 MiB."""
    request = _FRAME.decode(body).request or _Objects()
    objects = memoryview(request.object).nbytes + memoryview(request.old_object).nbytes
    if len(body) - objects > LARGEST_FRAME:
        raise InvalidRequest(f"the AdmissionReview has more than {LARGEST_FRAME} bytes beside its objects")


def _decode(raw: msgspec.Raw, where: str, fields: tuple[str, ...]) -> dict[str, Any] | None:
    if not memoryview(raw).nbytes:
        return None
    try:
        _check_size(raw, where)
        return _read_fields(raw, fields) if fields else _read(_DOCUMENT, bytes(raw))
    except _UNREADABLE as failed:
        read = f"{where} ({', '.join(fields)})" if fields else where
        raise _explain(failed, where, read=read) from None


def _check_size(raw: msgspec.Raw, where: str) -> None:
    size = memoryview(raw).nbytes
    if size > LARGEST_OBJECT:
        raise InvalidRequest(
            f"{where} has {size} bytes; no API server stores more than {LARGEST_OBJECT}: make it smaller"
        )


_UNREADABLE = (msgspec.DecodeError, ExcessiveJson, RecursionError)


def _explain(failed: Exception, where: str, *, read: str, noun: str = "JSON object") -> InvalidRequest:
    """What made it unreadable, for the sender; ``read`` names as much of it as was looked at."""
    if isinstance(failed, msgspec.DecodeError):
        return InvalidRequest(f"{where} is no {noun}: {_reason(failed)}")
    if isinstance(failed, ExcessiveJson):
        return InvalidRequest(f"{read} {failed}")
    return InvalidRequest(f"{where} is nested more than {DEEPEST} levels deep")


def _read(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """Decode, if its bounds are kept."""
    _check_length(len(text))
    may_be_long = check_json(text, most_values=MOST_VALUES)
    found = decoder.decode(text)
    if may_be_long:
        _check_integers(found)
    return found


def _read_typed(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw) -> T:
    """Decode what nests no deeper than its type and whose integers the type bounds."""
    size = memoryview(raw).nbytes
    _check_length(size)
    if size > MOST_VALUES:  # a shorter text has no more of them
        check_json(bytes(raw), most_values=MOST_VALUES)
    return decoder.decode(raw)


def _check_length(size: int) -> None:
    if size > LARGEST_TEXT:
        raise ExcessiveJson(f"has {size} bytes, more than {LARGEST_TEXT}; make it smaller")


def _read_fields(raw: msgspec.Raw, fields: tuple[str, ...]) -> dict[str, Any] | None:
    """Find each as bytes first, so that what is not asked for costs nothing and counts for nothing."""
    found = _finder(fields).decode(raw)
    if found is None:
        return None
    texts = {field: text for field in fields if memoryview(text := _text_at(found, field)).nbytes}
    values = _read(_VALUES, b"[%s]" % b",".join(texts.values()))
    document: dict[str, Any] = {}
    for field, value in zip(texts, values, strict=True):
        outer, _, inner = field.rpartition(".")
        parent = document.setdefault(outer, {}) if outer else document
        parent[inner] = value
    return document


@cache
def _finder(fields: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    plain = [(field, msgspec.Raw, _NOTHING) for field in fields if "." not in field]
    nested: dict[str, list[tuple[str, Any, Any]]] = {}
    for outer, _, inner in (field.partition(".") for field in fields if "." in field):
        nested.setdefault(outer, []).append((inner, msgspec.Raw, _NOTHING))
    inside = [(outer, msgspec.defstruct("Inner", members) | None, None) for outer, members in nested.items()]
    return msgspec.json.Decoder(msgspec.defstruct("Found", [*plain, *inside]) | None)


def _text_at(found: Any, field: str) -> msgspec.Raw:
    """The JSON of a field, empty where it is absent."""
    for name in field.split("."):
        found = getattr(found, name, _NOTHING)
    text: msgspec.Raw = found
    return text


def _check_integers(document: Any) -> None:
    waiting = [document]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, int) and not -(2**63) <= each < 2**63:
            raise ExcessiveJson("has an integer beyond 64 bits; write a smaller one")


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
