"""Wire types as JSON schemas, in the form and under the names of Katib's ``swagger.json``."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from msgspec import inspect as shape

from hack.generate import sources
from kfx.apis.common import VERSION, HTTPGetAction
from kfx.kube.model import KubeObject

Schema = dict[str, Any]

PREFIX = "#/definitions/"
ANY_FIELDS = "x-kubernetes-preserve-unknown-fields"
"""An object whose further fields survive, though they are not described."""

_KUBERNETES = "kfx.kube.model"
_SCALARS: dict[type[shape.Type], Schema] = {
    shape.StrType: {"type": "string"},
    shape.BoolType: {"type": "boolean"},
    shape.FloatType: {"type": "number", "format": "double"},
    shape.RawType: {"type": "object", ANY_FIELDS: True},
    shape.AnyType: {},
}


def describe(*roots: type[msgspec.Struct]) -> dict[str, Schema]:
    """The types and all that they are made of, by name, each kind followed by what it uses first."""
    found: dict[str, Schema] = {}
    for root in roots:
        _add(found, root, root.__name__)
    return found


def short_name(reference: str) -> str:
    """``TrialSpec`` of ``#/definitions/v1beta1.TrialSpec`` or ``v1beta1.TrialSpec``."""
    return reference.removeprefix(PREFIX).partition(".")[2]


def _add(found: dict[str, Schema], kind: type[msgspec.Struct], name: str) -> str:
    """The full name under which ``kind`` is described, if it was not before."""
    of_kubernetes = kind is HTTPGetAction or (kind.__module__ == _KUBERNETES and name == kind.__name__)
    full = f"v1.{name}" if of_kubernetes else f"{VERSION}.{name}"
    if full in found:
        return full
    written = sources.field_sources(kind)
    fields = cast(shape.StructType, shape.type_info(kind)).fields
    properties: dict[str, Schema] = {}
    schema: Schema = {"description": sources.text_of(kind, name), "type": "object"}
    found[full] = schema
    if required := [field.encode_name for field in fields if field.required]:
        schema["required"] = required
    if issubclass(kind, KubeObject):
        schema |= _identity(kind, properties)
    schema["properties"] = properties
    if of_kubernetes:
        schema[ANY_FIELDS] = True  # kfx reads a part only
    for field in fields:
        source = written[field.name]
        described = {"description": source.text} if source.text else {}
        properties[field.encode_name] = described | _schema(found, field.type, kind, source.names)
    return full


def _identity(kind: type[KubeObject], properties: dict[str, Schema]) -> Schema:
    resource = kind.resource
    properties["apiVersion"] = {"description": f"`{resource.api_version}`.", "type": "string"}
    properties["kind"] = {"description": f"`{resource.kind}`.", "type": "string"}
    of_kind = {"group": resource.group, "kind": resource.kind, "version": resource.version}
    return {"x-kubernetes-group-version-kind": [of_kind]}


def _schema(
    found: dict[str, Schema], type_: shape.Type, owner: type[msgspec.Struct], names: Sequence[str]
) -> Schema:
    match type_:
        case shape.Metadata():
            return _schema(found, type_.type, owner, names) | (type_.extra_json_schema or {})
        case shape.UnionType():
            several = [each for each in type_.types if not isinstance(each, shape.NoneType)]
            return _schema(found, several[0], owner, names) if len(several) == 1 else _either(several)
        case shape.IntType():
            return {"type": "integer"} | ({"format": "int32"} if type_.le == 2**31 - 1 else {})
        case shape.VarTupleType():
            return {"type": "array", "items": _schema(found, type_.item_type, owner, names)}
        case shape.DictType():
            values = _schema(found, type_.value_type, owner, names)
            return {"type": "object"} | ({"additionalProperties": values} if values else {ANY_FIELDS: True})
        case shape.StructType():
            name = sources.name_in_source(type_.cls, owner, names)
            return {"$ref": PREFIX + _add(found, type_.cls, name)}
    return dict(_SCALARS[type(type_)])


def _either(types: Sequence[shape.Type]) -> Schema:
    """A number that may be written as text: Kubernetes' ``int-or-string``, or its quantities."""
    fractions = any(isinstance(each, shape.FloatType) for each in types)
    return {"type": "string", "format": "quantity" if fractions else "int-or-string"}
