"""What the source of a wire type says and the type itself has forgotten: fields' texts, and names of aliases.

A field is documented by the string below it, as an alias is.
"""

import ast
import functools
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import msgspec

_ROLE = re.compile(r":\w+:(?=`)")


@dataclass(frozen=True, slots=True)
class FieldSource:
    """A field's text, and the names that its annotation uses."""

    text: str
    names: Sequence[str]


def field_sources(kind: type[msgspec.Struct]) -> Mapping[str, FieldSource]:
    """The fields of a type by their names in Python, inherited ones too."""
    found: dict[str, FieldSource] = {}
    for each in reversed(kind.__mro__):
        if issubclass(each, msgspec.Struct) and each is not msgspec.Struct:
            found |= _classes(sys.modules[each.__module__]).get(each.__name__, {})
    return found


def name_in_source(kind: type[msgspec.Struct], owner: type[msgspec.Struct], names: Sequence[str]) -> str:
    """What a field of ``owner`` calls ``kind``: the type's own name, or that of an alias."""
    for each in owner.__mro__:
        scope = vars(sys.modules[each.__module__])
        for name in names:
            if scope.get(name) is kind:
                return name
    return kind.__name__


def text_of(kind: type[msgspec.Struct], name: str) -> str:
    """The first paragraph about a type, under its own name or an alias of it."""
    if name != kind.__name__:
        for module in [each for key, each in sorted(sys.modules.items()) if key.startswith("kfx.")]:
            if vars(module).get(name) is kind and (text := _aliases(module).get(name)):
                return _plain(text, kind)
    return _plain(inspect.getdoc(kind) or "", kind)


def _plain(text: str, kind: type[msgspec.Struct]) -> str:
    """One line, in which fields are named as in JSON."""
    line = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    in_json = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    return re.sub(r"``([^`]+)``", lambda m: f"`{in_json.get(m[1], m[1])}`", _ROLE.sub("", line))


@functools.cache
def _classes(module: ModuleType) -> Mapping[str, Mapping[str, FieldSource]]:
    return {
        node.name: dict(_fields(node))
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    }


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, FieldSource]]:
    for statement, text in _with_texts(node.body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names = [each.id for each in ast.walk(statement.annotation) if isinstance(each, ast.Name)]
            line = " ".join(inspect.cleandoc(text).split())
            yield statement.target.id, FieldSource(line.replace("``", "`"), names)


@functools.cache
def _aliases(module: ModuleType) -> Mapping[str, str]:
    return {
        target.id: text
        for statement, text in _with_texts(ast.parse(inspect.getsource(module)).body)
        if isinstance(statement, ast.Assign) and text
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def _with_texts(body: Sequence[ast.stmt]) -> Iterator[tuple[ast.stmt, str]]:
    """Each statement with the string that stands below it, ``""`` for none."""
    for statement, following in zip(body, [*body[1:], None], strict=True):
        match following:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield statement, text
            case _:
                yield statement, ""
