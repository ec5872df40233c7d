"""The difference of two statuses, as small as it can be sent."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from kfx.kube.merge import merge_patch
from kfx.kube.model import Model, to_builtins

APPENDED_FROM = 50
"""Elements from which on a list that has only grown is not sent again as a whole."""


def status_patch(
    old: Model | None, new: Model, resource_version: str
) -> Mapping[str, Any] | Sequence[Mapping[str, Any]] | None:
    """A merge patch, or a JSON patch where a long list has grown at its end; ``None`` where nothing differs.

    The server refuses either as a conflict if the object is not at ``resource_version`` any more. Members
    that are equal are compared, but never turned into JSON.
    """
    before, after, grown = _differing(old, new)
    changes = merge_patch(before, after)
    if not grown:
        guard = {"metadata": {"resourceVersion": resource_version}}
        return {**guard, "status": changes} if changes else None
    operations: list[Mapping[str, Any]] = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version}
    ]
    for name, value in changes.items():
        # a nested object is sent as it is to be, not as its difference
        set_it = {"op": "add", "path": f"/status/{name}", "value": after.get(name)}
        operations.append({"op": "remove", "path": f"/status/{name}"} if value is None else set_it)
    for name, elements in grown.items():
        operations += [{"op": "add", "path": f"/status/{name}/-", "value": value} for value in elements]
    return operations


def _differing(
    old: Model | None, new: Model
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Sequence[Any]]]:
    """The members that differ, before and after, and what has come to long lists, which are in neither."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    grown: dict[str, Sequence[Any]] = {}
    if old is None or type(old) is not type(new):
        return (to_builtins(old) if old is not None else {}), to_builtins(new), {}
    for field, name in zip(new.__struct_fields__, new.__struct_encode_fields__, strict=True):
        was, to_be = getattr(old, field), getattr(new, field)
        if was is to_be or was == to_be:
            continue
        if _has_grown(was, to_be):
            grown[name] = msgspec.to_builtins(to_be[len(was) :])
            continue
        before |= _member(old, field, name)
        after |= _member(new, field, name)
    return before, after, grown


def _has_grown(was: Any, to_be: Any) -> bool:
    return (
        isinstance(was, tuple)
        and isinstance(to_be, tuple)
        and APPENDED_FROM <= len(was) < len(to_be)
        and to_be[: len(was)] == was
    )


def _member(model: Model, field: str, name: str) -> dict[str, Any]:
    """One member as JSON; none where it has its default, which is left out."""
    value = getattr(model, field)
    return {} if value == _defaults(type(model))[field] else {name: msgspec.to_builtins(value)}


@cache
def _defaults(kind: type[Model]) -> Mapping[str, Any]:
    return {
        field.name: field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        for field in msgspec.structs.fields(kind)
    }
