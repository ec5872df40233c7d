"""From an object's JSON to its typed form, forgiving what Kubernetes forgives."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from kfx.kube.model import (
    ConditionsOnly,
    KubeObject,
    Model,
    ObjectMeta,
    PartialObjectMetadata,
    Unstructured,
    unreadable_kind,
)
from kfx.kube.resource import Resource
from kfx.kube.shallow import split_members

M = TypeVar("M", bound=Model)
T = TypeVar("T", bound=KubeObject)
Raw = bytes | msgspec.Raw


class ObjectHead(msgspec.Struct, rename="camel"):
    """What identifies an object, read without the rest of it."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class Undecodable(Exception):
    """An object that is not of its declared shape; the text names kind, key and field.

    ``stand_in`` is what can be read of it; its name is ``""`` where not even that can.
    """

    def __init__(self, resource: Resource, raw: Raw, problem: str) -> None:
        members = _members_of(raw)
        self.stand_in = unreadable_kind(resource)(
            metadata=_as_far_as_readable(ObjectMeta, members.get("metadata", b"")),
            status=_as_far_as_readable(ConditionsOnly, members.get("status", b"")),
            problem=problem,
        )
        namespace, name = self.stand_in.key
        where = f"{namespace}/{name}" if namespace else name
        super().__init__(f"{resource.kind} {where or '(no name)'} cannot be read: {problem}")


def decoder_for(kind: type[T]) -> Callable[[Raw], T]:
    """A function from JSON to ``kind``; it raises :class:`Undecodable`.

    An explicit ``null`` where the type wants a value counts as absent: on failure the text is read a
    second time without its null members. The result may hold ``msgspec.Raw`` views of the text.
    """
    return _typed_decoder(kind, kind.resource)


def metadata_decoder_for(resource: Resource) -> Callable[[Raw], PartialObjectMetadata]:
    """As :func:`decoder_for`, for what a list or watch of metadata alone holds of ``resource``."""
    return _typed_decoder(PartialObjectMetadata, resource)


def unstructured_decoder_for(resource: Resource) -> Callable[[Raw], Unstructured]:
    """A function from JSON to :class:`Unstructured` that drops ``metadata.managedFields``.

    Items of a list carry no ``apiVersion`` and ``kind`` for built-in kinds; they are filled in.
    """

    def decode(raw: Raw) -> Unstructured:
        try:
            members = _members_decoder.decode(raw)
            metadata = _members_decoder.decode(members["metadata"])
            metadata.pop("managedFields", None)
            members["metadata"] = msgspec.Raw(msgspec.json.encode(metadata))
            members.setdefault("apiVersion", msgspec.Raw(msgspec.json.encode(resource.api_version)))
            members.setdefault("kind", msgspec.Raw(msgspec.json.encode(resource.kind)))
            return Unstructured(
                api_version=msgspec.json.decode(members["apiVersion"], type=str),
                kind=msgspec.json.decode(members["kind"], type=str),
                metadata=_decode_metadata(members["metadata"]),
                raw=msgspec.json.encode(members),
            )
        except (ValueError, RecursionError, KeyError) as failed:
            raise Undecodable(resource, raw, _describe(failed)) from None

    return decode


def strict(
    decode: Callable[[Raw], T], resource: Resource, *, kind: str, api_version: str
) -> Callable[[Raw], T]:
    """``decode``, but :class:`Undecodable` for what is no stored object of ``resource``.

    That is another kind or version than the one given, or no name, uid or namespace where there must be one.
    An object of a list may leave out both kind and version. What has no place in the collection has a
    stand-in without a name; that of an object without uid keeps its own.
    """
    names = [("kind", kind), ("apiVersion", api_version)]
    texts = [",".join(f'"{name}":"{value}"' for name, value in order) for order in (names, names[::-1])]
    # as API servers begin their objects: of these nothing is read twice
    openings = tuple(f"{{{text}".encode() for text in texts)
    longest = len(openings[0])

    def check(raw: Raw) -> T:
        if not bytes(memoryview(raw)[:longest]).startswith(openings):
            found = _read_type(raw)
            if (found.kind or kind, found.api_version or api_version) != (kind, api_version):
                raise Undecodable(resource, b"", f"it is a {found.kind} of {found.api_version}")
        obj = decode(raw)
        meta = obj.metadata
        if not meta.name or (resource.namespaced and not meta.namespace):
            problem = "it has no name or no namespace; a cluster-wide kind is declared with namespaced=False"
            raise Undecodable(resource, b"", problem)
        if not meta.uid:
            raise Undecodable(resource, raw, "it has no uid")
        return obj

    return check


def read_head(raw: Raw) -> ObjectHead:
    """Name, namespace and resourceVersion, as far as they can be read at all."""
    try:
        return _with_head_decoder.decode(raw).metadata
    except (ValueError, RecursionError):
        pass
    try:
        return msgspec.json.decode(_members_of(raw)["metadata"], type=ObjectHead)
    except (ValueError, KeyError, RecursionError):
        return ObjectHead()


def ends_initial_events(bookmark: Raw) -> bool:
    """Whether a watch's bookmark says that every object there was has been sent."""
    try:
        annotations = _bookmark_decoder.decode(bookmark).metadata.annotations
    except (ValueError, RecursionError):
        return False
    return annotations.get("k8s.io/initial-events-end") == "true"


class _Type(msgspec.Struct, rename="camel"):
    kind: str = ""
    api_version: str = ""


class _Annotations(msgspec.Struct):
    annotations: dict[str, str] = {}


class _Bookmark(msgspec.Struct):
    metadata: _Annotations


class _WithHead(msgspec.Struct):
    metadata: ObjectHead


_with_head_decoder = msgspec.json.Decoder(_WithHead)
_type_decoder = msgspec.json.Decoder(_Type)
_bookmark_decoder = msgspec.json.Decoder(_Bookmark)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_metadata_decoder = msgspec.json.Decoder(ObjectMeta)


def _members_of(raw: Raw) -> Mapping[str, Raw]:
    """The members of an object, none where the text is no object."""
    try:
        return _members_decoder.decode(raw)
    except (ValueError, RecursionError):
        pass
    try:
        return split_members(bytes(raw))
    except ValueError:
        return {}


def _as_far_as_readable(kind: type[M], raw: Raw) -> M:
    """Those fields of ``kind`` that are what they should be; the others have their defaults."""
    members, found = _members_of(raw), {}
    for field in msgspec.structs.fields(kind):
        try:
            found[field.name] = msgspec.json.decode(members[field.encode_name], type=field.type)
        except (ValueError, KeyError, RecursionError):
            continue
    return kind(**found)


def _read_type(raw: Raw) -> _Type:
    """Empty where the text is no object: what decodes it says so better."""
    try:
        return _type_decoder.decode(raw)
    except (ValueError, RecursionError):
        return _Type()


def _typed_decoder(kind: type[T], resource: Resource) -> Callable[[Raw], T]:
    decoder = msgspec.json.Decoder(kind)

    def decode(raw: Raw) -> T:
        try:
            return decoder.decode(raw)
        except (ValueError, RecursionError):
            return _decode_without_nulls(decoder, raw, resource)

    return decode


def _decode_without_nulls(decoder: msgspec.json.Decoder[T], raw: Raw, resource: Resource) -> T:
    try:
        return decoder.decode(msgspec.json.encode(_without_nulls(msgspec.json.decode(raw))))
    except (ValueError, RecursionError) as failed:
        raise Undecodable(resource, raw, _describe(failed)) from None


def _decode_metadata(raw: Raw) -> ObjectMeta:
    try:
        return _metadata_decoder.decode(raw)
    except msgspec.ValidationError:
        return _metadata_decoder.decode(msgspec.json.encode(_without_nulls(msgspec.json.decode(raw))))


def _without_nulls(value: Any) -> Any:
    """The same value without the null members of its objects; nulls in lists stay."""
    if isinstance(value, dict):
        return {key: _without_nulls(v) for key, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(v) for v in value]
    return value


def _describe(failed: Exception) -> str:
    match failed:
        case RecursionError():
            return "it is nested too deeply"
        case KeyError():
            return f"it has no {failed.args[0]}"
        case _:
            return str(failed)
