"""CRDs as open as Katib's, with columns that show something."""

import re
from typing import Any

import pytest
import yaml

from hack.generate.crds import COLUMNS, definition, render
from hack.generate.openapi import KINDS
from tests.swagger import DEFINITIONS, PREFIX

PATHS = [(kind, column["jsonPath"]) for kind, columns in COLUMNS.items() for column in columns]


def follow(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema of what a column shows; KeyError where the type has no such field."""
    for step in re.findall(r"\.(\w+)|\[(-?\d+:?)\]", path):
        if "$ref" in schema:
            schema = DEFINITIONS[schema["$ref"].removeprefix(PREFIX)]
        schema = schema["properties"][step[0]] if step[0] else schema["items"]
    return schema


@pytest.mark.parametrize(("kind", "path"), PATHS)
def test_a_column_shows_a_single_value_of_the_type(kind: str, path: str) -> None:
    assert follow(DEFINITIONS[f"v1beta1.{kind}"], path)["type"] in {"string", "integer"}


def test_a_column_of_numbers_is_of_numbers() -> None:
    for kind, columns in COLUMNS.items():
        for column in columns:
            if column["type"] == "integer":
                assert follow(DEFINITIONS[f"v1beta1.{kind}"], column["jsonPath"])["type"] == "integer"


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_says_that_it_is_generated_and_reads_back_as_it_was_meant(kind: Any) -> None:
    text = render(kind)
    assert text.startswith("# Written by `make generate`.")
    assert yaml.safe_load(text) == definition(kind)
