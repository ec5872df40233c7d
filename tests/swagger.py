"""What an object has that ``docs/swagger.json`` does not describe so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEFINITIONS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "docs" / "swagger.json").read_text(encoding="utf-8")
)["definitions"]
PREFIX = "#/definitions/"
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str, "boolean": bool, "integer": int, "number": (int, float), "object": dict, "array": list,
}  # fmt: skip


def problems(value: Any, name: str) -> list[str]:
    """A line for each wrong type, missing field, and field that is not described; none for ``null``."""
    return list(_problems(value, {"$ref": PREFIX + name}, name.rpartition(".")[2]))


def _problems(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = DEFINITIONS[schema["$ref"].removeprefix(PREFIX)]
    wanted = _TYPES[schema["type"]]
    number_as_text = schema.get("format") == "int-or-string" and isinstance(value, int)
    if value is None or number_as_text:
        return
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        yield f"{path} is {value!r}: expected {schema['type']}"
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _problems(each, schema["items"], f"{path}[{number}]")
    elif isinstance(value, dict):
        yield from _fields(value, schema, path)


def _fields(value: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[str]:
    described = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name} is missing"
    for name, each in value.items():
        if name in described:
            yield from _problems(each, described[name], f"{path}.{name}")
        elif "additionalProperties" in schema:
            yield from _problems(each, schema["additionalProperties"], f"{path}.{name}")
        elif "x-kubernetes-preserve-unknown-fields" not in schema:
            yield f"{path}.{name} is not described"
