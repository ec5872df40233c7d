"""The components of a GJSON path: text in, parsed parts out. What they lead to is :mod:`kfx.katib.gjson`.

A component reads differently on an object and on an array, so both readings exist. All are cached: the
expressions of an experiment are few and evaluated for every job.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import msgspec

MODIFIERS = (
    *("pretty", "ugly", "reverse", "this", "flatten", "join"),
    *("valid", "keys", "values", "tostr", "fromstr", "group"),
)
CACHED = 1024  # parsed components

_OPENING, _CLOSING = "([{", ")]}"
_OPERATOR = re.compile(r"!=|!%|<=|>=|==|[<>=%]|!(?=\s*\Z)")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SIMPLE_NAME = re.compile(r"[^\x00-\x1f\[\]{}()#|!]+")


class ExpressionError(ValueError):
    """An expression that is not evaluated, whatever the document: too large, or not supported."""


@dataclass(frozen=True, slots=True)
class ModifierPart:
    """``@name``, and the path behind it where there is one.

    ``options``: the members that are true of the argument, as in ``@flatten:{"deep":true}``.
    """

    name: str
    rest: str
    more: bool
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Multipath:
    """``[a,b]`` (``names`` is None) or ``{a,b}``, and the path behind it where there is one."""

    names: tuple[str, ...] | None
    paths: tuple[str, ...]
    rest: str
    more: bool


@dataclass(frozen=True, slots=True)
class ObjectPart:
    """A key. ``rest`` goes on inside its value (``more``) or from its result (``piped``)."""

    key: str
    rest: str = ""
    wild: bool = False
    more: bool = False
    piped: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """``#(path operator value)``; ``all``: every match, not the first. ``operator`` may be ``""``.

    ``plain``: ``path`` is a key and nothing more, where an object is asked.
    """

    path: str
    operator: str
    value: str
    all: bool
    plain: bool


@dataclass(frozen=True, slots=True)
class ArrayPart:
    """An index (-1: none), ``#``, ``#.rest`` (``each``) or a query, and how ``rest`` goes on."""

    index: int = -1
    count: bool = False
    each: bool = False
    query: Query | None = None
    rest: str = ""
    more: bool = False
    piped: bool = False


@lru_cache(CACHED)
def modifier_part(path: str) -> ModifierPart | None:
    """The modifier that ``path`` begins with. Raises :class:`ExpressionError` for a static value."""
    if len(path) < 2 or path[0] not in "@!":
        return None
    if path[0] == "!":
        raise ExpressionError(
            "a static value (!) is not supported in an expression; compare in a query instead"
        )
    end = next((i for i, char in enumerate(path) if char in ":|."), len(path))
    name, rest = path[1:end], path[end:]
    if name not in MODIFIERS:
        return None
    argument = ""
    if rest.startswith(":"):
        argument, rest = _split_argument(rest[1:])
    more = rest[:1] in {"|", "."}
    return ModifierPart(name, rest[1:] if more else "", more, _options(argument))


def _split_argument(text: str) -> tuple[str, str]:
    """A JSON text as far as its brackets or quotes go, anything else up to the next pipe."""
    if text[:1] == '"':
        end = _closing_quote(text, 0) + 1
    elif text[:1] in {"{", "["}:
        end = next((i + 1 for i, _, depth in _walk(text) if depth == 0), len(text))
    else:
        end = text.find("|") if "|" in text else len(text)
    return text[:end], text[end:]


def _options(argument: str) -> frozenset[str]:
    try:
        found = msgspec.json.decode(argument) if argument else None
    except (msgspec.DecodeError, RecursionError):
        return frozenset()
    if not isinstance(found, dict):
        return frozenset()
    return frozenset(name for name, value in found.items() if truth(value))


def truth(found: object) -> bool:
    """(gjson ``Result.Bool``.)"""
    if isinstance(found, str):
        return found.lower() in {"1", "t", "true"}
    return isinstance(found, bool | int | float) and bool(found)


@lru_cache(CACHED)
def multipath(path: str) -> Multipath | None:
    """The multipath that ``path`` begins with; ``None`` too where its brackets do not balance."""
    if len(path) < 2 or path[0] not in "[{":
        return None
    commas, end = [0], -1
    for i, char, depth in _walk(path):
        if char == "," and depth == 1:
            commas.append(i)
        elif char in _CLOSING and depth == 0:
            end = i
            break
    behind = path[end + 1 :]
    if end < 0 or (behind and behind[0] not in ".|"):
        return None
    ends = [*commas[1:], end]
    members = [_member(path[start + 1 : stop]) for start, stop in zip(commas, ends, strict=True)]
    names = tuple(name for name, _ in members) if path[0] == "{" else None
    return Multipath(names, tuple(p for _, p in members), behind[1:], bool(behind))


@lru_cache(CACHED)
def object_part(path: str) -> ObjectPart:
    """The first component of ``path``, as an object reads it."""
    key: list[str] = []
    wild = escaped = False
    i = 0
    while i < len(path):
        char = path[i]
        if char == "|":
            return ObjectPart("".join(key), path[i + 1 :], wild, piped=True)
        if char == ".":
            piped = not escaped and _pipes_after_dot(path[i + 1 :])
            return ObjectPart("".join(key), path[i + 1 :], wild, more=not piped, piped=piped)
        if char == "\\":
            escaped = True  # and from here on a dot is only a dot, in gjson too
            i += 1
            char = path[i : i + 1]
        elif char in "*?":
            wild = True
        key.append(char)
        i += 1
    return ObjectPart("".join(key), wild=wild)


@lru_cache(CACHED)
def array_part(path: str) -> ArrayPart:
    """The first component of ``path``, as an array reads it."""
    if path.startswith("#."):
        return ArrayPart(each=True, rest=path[2:])
    query, start, known = None, 0, True
    if path.startswith(("#(", "#[")):
        query, start = _query(path)
        known = query is not None
    end = next((i for i in range(start, len(path)) if path[i] in "|."), len(path))
    text, rest = path[:end], path[end + 1 :]
    hashed = "#" in text
    piped = path[end : end + 1] == "|" or (
        path[end : end + 1] == "." and not hashed and _pipes_after_dot(rest)
    )
    more = path[end : end + 1] == "." and not piped
    index = int(text) if not hashed and text.isascii() and text.isdigit() and len(text) < 10 else -1
    return ArrayPart(index, known and text == "#", False, query, rest, more, piped)


@lru_cache(CACHED)
def split_pipe(path: str) -> tuple[str, str | None]:
    """``path`` before and after its first pipe outside of brackets; the second is ``None`` without one."""
    for i, char, depth in _walk(path):
        if char == "|" and depth == 0:
            return path[:i], path[i + 1 :]
    return path, None


def _query(path: str) -> tuple[Query | None, int]:
    """The query at the start of an array's component, and where the text behind its bracket starts."""
    operator_at, end = -1, -1
    for i, char, depth in _walk(path[1:]):
        if char in "!=<>%" and depth == 1 and operator_at < 0:
            operator_at = i
        elif char in _CLOSING and depth == 0:
            end = i
            break
    if end < 0:
        return None, 0
    inside = path[1:]
    head = inside[1 : operator_at if operator_at >= 0 else end].strip()
    operator, value = _relation(inside[operator_at:end].strip()) if operator_at >= 0 else ("", "")
    every = path[end + 2 : end + 3] == "#"
    return Query(head, operator, value, every, _PLAIN_KEY.fullmatch(head) is not None), end + 2


def _relation(text: str) -> tuple[str, str]:
    match = _OPERATOR.match(text)
    operator = match.group() if match else ""
    value = text[len(operator) :].strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return ("=" if operator == "==" else operator), value


def _member(text: str) -> tuple[str, str]:
    """Name and path of one member of a multipath; the name is the path's last component by default."""
    for i, char, depth in _walk(text):
        if char == ":" and depth == 0 and "@" not in text[:i]:
            return text[:i].strip('"'), text[i + 1 :]
    last = re.split(r"[.|]", text)[-1]
    return (last if _SIMPLE_NAME.fullmatch(last) else "_"), text


def _pipes_after_dot(rest: str) -> bool:
    """Whether the dot before ``rest`` acts as a pipe: a multipath, a modifier or a static value follows."""
    if rest[:1] == "@":
        name = re.split(r"[.|:]", rest[1:], maxsplit=1)[0]
        return name in MODIFIERS
    return rest[:1] in {"[", "{", "!"}


def _walk(text: str) -> Iterator[tuple[int, str, int]]:
    """Index, character and bracket depth behind it, of all that is neither escaped nor quoted."""
    depth, i = 0, 0
    while i < len(text):
        char = text[i]
        if char == "\\":
            i += 2
            continue
        if char == '"':
            i = _closing_quote(text, i) + 1
            continue
        if char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
        yield i, char, depth
        i += 1


def _closing_quote(text: str, start: int) -> int:
    i = start + 1
    while i < len(text) and text[i] != '"':
        i += 2 if text[i] == "\\" else 1
    return i
