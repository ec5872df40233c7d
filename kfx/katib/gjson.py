"""GJSON paths over decoded JSON, as far as conditions of jobs use them (semantics of gjson 1.14).

A path is read against the value it meets: the same ``#`` is a key of an object and a query on an array.
Parsed components are cached, so that a path is taken apart once and not once per job.

Keys (``*`` and ``?`` are wildcards, a backslash escapes), array indexes, ``#`` (length), ``#.key``,
``#(key op value)`` (first match) and ``#(...)#`` (all) with ``== = != < <= > >= % !%``, the pipe, the
multipaths ``[a,b]`` and ``{a,b}``, and gjson's own modifiers (:mod:`kfx.katib.gjson_modifiers`). Expressions
come from users: their length, nesting and work are bounded, so that a hostile one is refused in 50 ms.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

from kfx.katib.floats import parse_float
from kfx.katib.gjson_modifiers import MISSING, modify
from kfx.katib.gjson_path import (
    ArrayPart,
    ExpressionError,
    ObjectPart,
    Query,
    array_part,
    modifier_part,
    multipath,
    object_part,
    split_pipe,
    truth,
)
from kfx.katib.wildcard import compile_wildcard

T = TypeVar("T")

LONGEST: Final = 4096  # characters of an expression
DEEPEST: Final = 64  # nested steps
MOST_WORK: Final = 40_000  # steps of about half a microsecond

_STEP = 4  # of them for one component of a path, and one more for every
_CHARACTERS = 2  # characters of the path, which is taken apart unless that was done before


def get(document: Any, path: str) -> Any:
    """The value that ``path`` leads to in ``document`` (decoded JSON), or ``MISSING``.

    Raises :class:`ExpressionError` where the path is too long, too deep, too costly, or uses what is not
    supported.
    """
    if len(path) > LONGEST:
        raise ExpressionError(f"the expression has {len(path)} characters; {LONGEST} are allowed")
    return _Search().get(document, path)


_Found = tuple[Any, str | None]
"""What was found, and the path behind the pipe, which is followed once all before it has been."""


class _Search:
    """One evaluation, with the work it has done."""

    def __init__(self) -> None:
        self._work = 0
        self._depth = 0

    def get(self, value: Any, path: str) -> Any:
        """The whole grammar."""
        return self._deeper(self._get, value, path)

    def _deeper(self, step: Callable[[Any, str], T], value: Any, path: str) -> T:
        self._charge(_STEP + len(path) // _CHARACTERS)
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(f"the expression is nested more than {DEEPEST} deep")
        try:
            return step(value, path)
        finally:
            self._depth -= 1

    def _get(self, value: Any, path: str) -> Any:
        if modified := modifier_part(path):
            found = modify(modified.name, value, modified.options, self._charge)
            return self.get(found, modified.rest) if modified.more else found
        if selected := multipath(path):
            found = self._select(value, selected.names, selected.paths)
            return self.get(found, selected.rest) if selected.more else found
        if path.startswith(".."):
            found, pipe = self._in_array([] if value is MISSING else [value], path[2:])
        else:
            found, pipe = self._read_members(value, path)
        return found if pipe is None else self.get(found, pipe)

    def _read_members(self, value: Any, path: str) -> _Found:
        """Keys and indexes only: behind a plain dot there is no modifier and no multipath."""
        if isinstance(value, Mapping):
            return self._in_object(value, path)
        if isinstance(value, list):
            return self._in_array(value, path)
        return MISSING, None  # no members, and so no pipe either

    def _select(self, value: Any, names: tuple[str, ...] | None, paths: tuple[str, ...]) -> Any:
        found = [self.get(value, path) for path in paths]
        if names is None:
            return [v for v in found if v is not MISSING]
        return {name: v for name, v in zip(names, found, strict=True) if v is not MISSING}

    def _in_object(self, value: Mapping[str, Any], path: str) -> _Found:
        part = object_part(path)
        found, pipe = self._member(value, part)
        return found, part.rest if part.piped else pipe

    def _member(self, value: Mapping[str, Any], part: ObjectPart) -> _Found:
        """A wildcard stands for the first member in which the rest of the path, up to its pipe, leads on."""
        if not part.wild:
            return self._onward(value.get(part.key, MISSING), part)
        pipe = None
        pattern = compile_wildcard(part.key)
        for key, member in value.items():
            self._charge(pattern.cost(key))
            if pattern.matches(key):
                found, pipe = self._onward(member, part)
                if found is not MISSING:
                    return found, pipe
        return MISSING, pipe

    def _onward(self, member: Any, part: ObjectPart | ArrayPart) -> _Found:
        if part.more and member is not MISSING:
            return self._deeper(self._read_members, member, part.rest)
        return member, None

    def _in_array(self, value: list[Any], path: str) -> _Found:
        part = array_part(path)
        if part.each:
            return self._each(value, part.rest), None
        pipe = None
        if part.query is not None:
            found = self._matches(value, part, part.query)
        elif part.count:
            found = len(value)
        else:
            found = value[part.index] if 0 <= part.index < len(value) else MISSING
            found, pipe = self._onward(found, part)
        return found, part.rest if part.piped else pipe

    def _each(self, value: list[Any], path: str) -> Any:
        """``#.key``: the members of all elements, without those that have none; then the pipe, if any."""
        inner, pipe = split_pipe(path)
        found = [v for v in (self.get(element, inner) for element in value) if v is not MISSING]
        return found if pipe is None else self.get(found, pipe)

    def _matches(self, value: list[Any], part: ArrayPart, query: Query) -> Any:
        inner, pipe = split_pipe(part.rest) if part.more else ("", None)
        hits: list[Any] = []
        matched = False
        for element in value:
            self._charge(1)
            if not self._satisfies(element, query):
                continue
            matched = True
            found = self.get(element, inner) if part.more else element
            if not query.all:
                return found if pipe is None else self.get(found, pipe)
            if found is not MISSING:
                hits.append(found)
        if not query.all:
            return MISSING
        return self.get(hits, pipe) if matched and pipe is not None else hits

    def _satisfies(self, element: Any, query: Query) -> bool:
        if not isinstance(element, Mapping | list):
            return not query.path and self._holds(element, query)
        if query.plain and isinstance(element, Mapping):
            return self._holds(element.get(query.path, MISSING), query)
        return self._holds(self.get(element, query.path), query)

    def _holds(self, found: Any, query: Query) -> bool:
        if isinstance(found, str) and query.operator in {"%", "!%"}:
            self._charge(compile_wildcard(query.value.removeprefix("~")).cost(found))
        return compare(found, query.operator, query.value)

    def _charge(self, steps: int) -> None:
        self._work += steps
        if self._work > MOST_WORK:
            raise ExpressionError(
                f"the expression takes more than {MOST_WORK} steps on this object; make it shorter"
            )


def compare(found: Any, operator: str, value: str) -> bool:
    """Whether what a query's path found stands in relation ``operator`` to ``value``.

    Without an operator, existing is enough. Text compares with text, numbers with the number that
    ``value`` reads as (0 where it is none), booleans with ``true`` and ``false``; anything else never holds.
    A ``~`` before ``value`` turns what was found, even nothing, into a boolean first.
    """
    if value.startswith("~"):
        found, value = truth(found), value[1:]
    if found is MISSING:
        return False
    if not operator:
        return True
    if isinstance(found, bool):
        return _compare_bool(found, operator, value)
    if isinstance(found, str):
        if operator in {"%", "!%"}:
            return compile_wildcard(value).matches(found) == (operator == "%")
        return _ORDER[operator](found, value)
    if isinstance(found, int | float) and operator in _ORDER:
        return _ORDER[operator](_as_float(found), _number(value))
    return False


def _as_float(found: float) -> float:
    try:
        return float(found)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf if found > 0 else -math.inf


@lru_cache(256)
def _number(value: str) -> float:
    return parse_float(value, clamp=True) or 0.0


def _compare_bool(found: bool, operator: str, value: str) -> bool:
    match operator:
        case "=":
            return value == str(found).lower()
        case "!=":
            return value != str(found).lower()
        case ">" if found:
            return value == "false"
        case "<" if not found:
            return value == "true"
        case ">=":
            return found
        case "<=":
            return not found
        case _:
            return False


_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}
