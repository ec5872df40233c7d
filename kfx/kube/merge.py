"""The difference of two documents as a JSON merge patch (RFC 7386)."""

from collections.abc import Mapping
from typing import Any


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest merge patch that turns ``old`` into ``new``; ``{}`` when they are equal.

    Members that are gone become ``null``; lists are replaced whole. ``null`` in ``new`` means absent, as
    everywhere in Kubernetes.
    """
    patch: dict[str, Any] = {key: None for key in old if new.get(key) is None and old[key] is not None}
    for key, value in new.items():
        before = old.get(key)
        if value is None:
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif not _same(before, value):
            patch[key] = value
    return patch


def _same(a: Any, b: Any) -> bool:
    """Equal as JSON: ``1`` is ``1.0``, but ``true`` is not ``1``."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)
