"""Text of users (templates, katib-config) to documents and back, bounded and with Go's readings.

Stands below everything that reads such a text. JSON is tried where the text looks like it, YAML otherwise
or when that fails, and of several YAML documents only the first counts, as in apimachinery's decoder.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from kfx.runtime.json_bounds import ExcessiveJson, check_json

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 100
MAX_NODES = 20_000
"""Values of a JSON text, of which each takes half a microsecond to read."""
MAX_YAML_NODES = 4_000
"""Of a YAML text: 650 environment variables have as many. Each takes 4 µs, and a template is read twice."""
_MAX_TAG_DIRECTIVES = 100  # libyaml compares each with all before it

_BASE_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HTML = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


class DocumentError(Exception):
    """The text is no JSON or YAML that is accepted here; the message says why."""


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_CONVERSIONS = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""What PyYAML's constructors raise where an explicit tag such as ``!!int`` does not fit its text."""
_JSON = json.JSONDecoder(parse_constant=_no_number)
_COMPACT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOO_LARGE = (
    f"more than {MAX_DEPTH} levels, or than {MAX_YAML_NODES} values of YAML or {MAX_NODES} of JSON; "
    "simplify the text"
)


class _Loader(_BASE_LOADER):  # type: ignore[misc, valid-type] # chosen at run time: C where it is built
    """Scalars as Go's YAML reads them: no dates, no base 60, exponents without a point."""

    yaml_implicit_resolvers = {  # noqa: RUF012 — PyYAML reads it from the class
        first: [
            (tag, pattern) for tag, pattern in found if not tag.endswith((":timestamp", ":int", ":float"))
        ]
        for first, found in _BASE_LOADER.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
        r"|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object a text holds. Raises :class:`DocumentError`."""
    found = parse_value(text)
    if not isinstance(found, dict):
        raise DocumentError(f"expected an object with fields, found {_name(found)}")
    return found


def parse_value(text: str) -> Any:
    """The first document of a text, ``None`` for an empty one. Raises :class:`DocumentError`."""
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        raise DocumentError(f"the text is longer than {MAX_BYTES} bytes; shorten it")
    start = text.lstrip()
    if start.startswith("{"):
        try:
            check_json(start.encode(errors="replace"), most_values=MAX_NODES)
            return _to_json(_JSON.raw_decode(start)[0])
        except (ValueError, RecursionError, ExcessiveJson):
            pass  # what is no JSON may still be YAML in flow style, and was not counted well then
    return _parse_yaml(text)


def _parse_yaml(text: str) -> Any:
    if text.count("%TAG") > _MAX_TAG_DIRECTIVES:
        raise DocumentError(f"more than {_MAX_TAG_DIRECTIVES} %TAG directives; write the tags out")
    try:
        _check_bounds(yaml.parse(text, Loader=_Loader))
        loader = _Loader(text)
        try:
            if not loader.check_data():
                return None
            return _to_json(loader.get_data())
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, *_CONVERSIONS) as error:
        raise DocumentError(" ".join(str(error).split())[:300]) from error


@dataclass(slots=True)
class _Open:
    """A list or object whose end has not come: its anchor, the count before it, its deepest level so far."""

    anchor: str | None
    start: int
    deepest: int


_Named = dict[str | None, tuple[int, int] | None]
"""Events and levels by anchor; None until the end of what it names has come."""


def _check_bounds(events: Iterator[yaml.Event]) -> None:
    """Refuse, before any node is built, what is too large, each alias counted as all that it names."""
    count = 0
    opened: list[_Open] = []
    named: _Named = {}
    for event in events:
        if isinstance(event, yaml.DocumentEndEvent):
            return
        size, levels = 1, 0
        if isinstance(event, yaml.AliasEvent):
            size, levels = _extent(event.anchor, named)
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append(_Open(event.anchor, count, len(opened)))
            named[event.anchor] = None
        elif isinstance(event, yaml.CollectionEndEvent):
            _close(opened, named, count)
        count += size
        if opened:
            opened[-1].deepest = max(opened[-1].deepest, len(opened) + levels)
        if len(opened) + levels > MAX_DEPTH or count > MAX_YAML_NODES:
            raise DocumentError(_TOO_LARGE)


def _extent(anchor: str | None, named: _Named) -> tuple[int, int]:
    found = named.get(anchor, (1, 0))
    if found is None:
        raise DocumentError(f"the YAML alias *{anchor} stands inside what it names; write the value out")
    return found


def _close(opened: list[_Open], named: _Named, count: int) -> None:
    closed = opened.pop()
    named[closed.anchor] = (count + 1 - closed.start, closed.deepest - len(opened))
    if opened:
        opened[-1].deepest = max(opened[-1].deepest, closed.deepest)


def _to_json(value: Any, depth: int = 0) -> Any:
    """What Go would hold: integers beyond 64 bits as floats, half a surrogate pair as U+FFFD."""
    if depth > MAX_DEPTH:
        raise DocumentError(_TOO_LARGE)
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value) if not value.isascii() else value
    if isinstance(value, dict):
        return {_key(key): _to_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_json(item, depth + 1) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        value = _to_float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise DocumentError(f"the number {value} has no form in JSON; write a finite one")
    if value is None or isinstance(value, bool | int | float):
        return value
    raise DocumentError(f"a value of YAML type {_name(value)} has no form in JSON")


def _to_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _key(key: Any) -> str:
    if isinstance(key, str):
        return _SURROGATE.sub("\ufffd", key) if not key.isascii() else key
    if isinstance(key, bool):
        return str(key).lower()
    if isinstance(key, int | float):
        return str(key)
    raise DocumentError(f"a key must be a string, found {_name(key)}")


def _name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", type(None): "nothing"}
    return names.get(type(value), type(value).__name__)


def compact_json(value: Any) -> str:
    """JSON as Go's encoder writes it: no blanks, sorted keys, ``<``, ``>``, ``&`` escaped, 1.0 as 1.

    Raises :class:`ValueError` for NaN and infinities.
    """
    return _COMPACT.encode(_whole(value)).translate(_HTML)


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    return value
