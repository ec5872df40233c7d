"""Field names and JSON types of a ``batch/v1`` Job, to tell a typing error before a Job is ever made.

The table beside this module is taken from Kubernetes 1.36's OpenAPI. Notation: a type's name, ``[type]`` a
list, ``{type}`` a map from string, ``object`` anything with fields, and the scalars below.
"""

import difflib
import functools
import importlib.resources
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from kfx.katib.quantity import QuantityError, parse_quantity

_SCALARS: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "string": (str,),
        "int": (int,),
        "number": (int, float),
        "bool": (bool,),
        "int-or-string": (int, str),
        "object": (dict,),
    }
)
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that the type does not know or cannot hold: ``path``, ``fault``.

    ``unknown``: the field's name, empty where its value is at fault; ``kind``: the type it was looked for in.
    """

    path: str
    fault: str = ""
    unknown: str = ""
    kind: str = ""

    @property
    def text(self) -> str:
        """Path, fault and remedy; a name close by is looked for only now, since that takes time."""
        if not self.unknown:
            return f"{self.path}: {self.fault}"
        near = difflib.get_close_matches(self.unknown[:_LONGEST_NAME], _types()[self.kind], n=1, cutoff=0.6)
        remedy = f"did you mean {near[0]}?" if near else f"remove it, {self.kind} has no such field"
        return f"unknown field {self.path}; {remedy}"


@functools.cache
def _types() -> Mapping[str, Mapping[str, str]]:
    raw = importlib.resources.files("kfx.katib").joinpath("job_schema.json").read_bytes()
    return MappingProxyType(msgspec.json.decode(raw, type=dict[str, dict[str, str]]))


def find_problems(value: Any, kind: str, path: str = "") -> Iterator[Problem]:
    """What in ``value`` a Go client of that API could not hold, in the document's order.

    ``kind`` is a type of the table (``Job``, ``Container`` …). ``null`` counts as absent.
    """
    if value is None:
        return
    if kind.startswith("["):
        yield from _in_list(value, kind[1:-1], path)
    elif kind.startswith("{"):
        yield from _in_map(value, kind[1:-1], path)
    elif kind == "quantity":
        yield from _in_quantity(value, path)
    elif kind in _SCALARS:
        wrong_bool = isinstance(value, bool) and kind != "bool"
        if wrong_bool or not isinstance(value, _SCALARS[kind]):
            yield _mismatch(value, kind, path)
    else:
        yield from _in_fields(value, kind, path)


def _in_fields(value: Any, kind: str, path: str) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield _mismatch(value, "object", path)
        return
    fields = _types()[kind]
    for name, item in value.items():
        if type(item) in _SCALARS.get(fields.get(name, ""), ()):
            continue  # there is no more to look at, as in most values
        where = _below(path, f".{name}" if path else name)
        if name in fields:
            yield from find_problems(item, fields[name], where)
        else:
            yield Problem(where, unknown=name or "(empty)", kind=kind)


def _in_list(value: Any, kind: str, path: str) -> Iterator[Problem]:
    if not isinstance(value, list | tuple):
        yield _mismatch(value, "list", path)
        return
    scalars = _SCALARS.get(kind, ())
    for index, item in enumerate(value):
        if type(item) not in scalars:
            yield from find_problems(item, kind, f"{path}[{index}]")


def _in_map(value: Any, kind: str, path: str) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield _mismatch(value, "object", path)
        return
    scalars = _SCALARS.get(kind, ())
    for key, item in value.items():
        if type(item) not in scalars:
            yield from find_problems(item, kind, _below(path, f"[{key}]"))


def _in_quantity(value: Any, path: str) -> Iterator[Problem]:
    try:
        parse_quantity(value)
    except QuantityError as error:
        yield Problem(path, str(error))


def _mismatch(value: Any, wanted: str, path: str) -> Problem:
    names = {dict: "object", list: "list", str: "string", bool: "bool", int: "int", float: "number"}
    found = names.get(type(value), type(value).__name__)
    remedy = "put the value in quotes" if wanted == "string" else f"write it as {wanted}"
    return Problem(path, f"expected {wanted}, found {found}; {remedy}")


def _below(path: str, step: str) -> str:
    """The path of a member, whose name may be of any length."""
    return path + (step if len(step) <= _LONGEST_NAME else f"{step[:_LONGEST_NAME]}…")
