"""What a modifier of a GJSON path, ``@name`` or ``@name:argument``, makes of a value (as in gjson 1.14)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from kfx.katib.gjson_path import MODIFIERS, ExpressionError

Charge = Callable[[int], None]
"""Counts steps of work, and raises :class:`ExpressionError` where they are too many."""

Modifier = Callable[[Any, frozenset[str], Charge], Any]
"""From a value, the names of the argument's members that are true, and the account, to the new value."""

_COPIED = 8  # elements that are copied in one step
_WRITTEN = 100  # characters that are written or read in one


class Missing:
    """What a path that leads nowhere yields; JSON ``null`` exists and is ``None``."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


def modify(name: str, value: Any, options: frozenset[str], charge: Charge) -> Any:
    """What the modifier makes of ``value``. Raises :class:`ExpressionError` where that is too much."""
    charge(len(value) // _COPIED if isinstance(value, Mapping | list) else 0)
    return _MADE[name](value, options, charge)


def _this(value: Any, _options: frozenset[str], _charge: Charge) -> Any:
    return value


def _keys(value: Any, _options: frozenset[str], _charge: Charge) -> Any:
    if isinstance(value, Mapping):
        return list(value)
    return [None] * len(value) if isinstance(value, list) else [] if value is MISSING else [None]


def _values(value: Any, _options: frozenset[str], _charge: Charge) -> Any:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else [] if value is MISSING else [value]


def _reverse(value: Any, _options: frozenset[str], _charge: Charge) -> Any:
    if isinstance(value, list):
        return value[::-1]
    return dict(reversed(list(value.items()))) if isinstance(value, Mapping) else value


def _flatten(value: Any, options: frozenset[str], charge: Charge) -> Any:
    """``[1,[2,[3]]]`` to ``[1,2,[3]]``; with ``{"deep":true}`` to ``[1,2,3]``."""
    if not isinstance(value, list):
        return value
    charge(sum(len(each) for each in value if isinstance(each, list)) // _COPIED)
    if "deep" in options:
        return list(_leaves(value, charge))
    return [leaf for each in value for leaf in (each if isinstance(each, list) else (each,))]


def _leaves(value: list[Any], charge: Charge) -> Iterator[Any]:
    """Without recursion: a document may be nested deeper than Python's stack."""
    open_lists = [iter(value)]
    while open_lists:
        for each in open_lists[-1]:
            if isinstance(each, list):
                charge(1 + len(each) // _COPIED)
                open_lists.append(iter(each))
                break
            yield each
        else:
            open_lists.pop()


def _join(value: Any, options: frozenset[str], charge: Charge) -> Any:
    """``[{"a":1},{"a":2}]`` to ``{"a":2}``; with ``{"preserve":true}`` the first is the one that is found."""
    if not isinstance(value, list):
        return value
    found: dict[str, Any] = {}
    for each in value:
        if isinstance(each, Mapping):
            charge(1 + len(each) // 2)
            for key, member in each.items():
                if "preserve" not in options or key not in found:
                    found[key] = member
    return found


def _group(value: Any, _options: frozenset[str], charge: Charge) -> Any:
    """``{"a":[1,2],"b":[3]}`` to ``[{"a":1,"b":3},{"a":2}]``."""
    if not isinstance(value, Mapping):
        return MISSING
    found: list[dict[str, Any]] = []
    for key, members in value.items():
        if not isinstance(members, list):
            continue
        charge(1 + len(members) // 2)
        found += ({} for _ in range(len(members) - len(found)))
        for row, member in zip(found, members, strict=False):
            row[key] = member
    return found


def _to_text(value: Any, _options: frozenset[str], charge: Charge) -> Any:
    """The value's JSON as a text, keys in order: Katib evaluates on what Go has written."""
    if value is MISSING:
        return ""
    charge(len(value) // _WRITTEN if isinstance(value, str) else 0)
    try:
        text = msgspec.json.encode(value, order="sorted").decode()
    except RecursionError:
        raise ExpressionError("@tostr meets a value that is nested too deep to be written") from None
    charge(len(text) // _WRITTEN)
    return text


def _from_text(value: Any, _options: frozenset[str], charge: Charge) -> Any:
    """The value that a text is the JSON of."""
    if value is None:
        return MISSING
    if not isinstance(value, str):
        return value
    charge(len(value) // _WRITTEN * 4)
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return MISSING


_MADE: Mapping[str, Modifier] = dict.fromkeys(MODIFIERS, _this) | {
    "reverse": _reverse,
    "keys": _keys,
    "values": _values,
    "flatten": _flatten,
    "join": _join,
    "group": _group,
    "tostr": _to_text,
    "fromstr": _from_text,
}
