"""Users meet the wire types in the reference: no field there is without a word on what it means."""

import pytest

from hack.generate.definitions import Schema, describe
from hack.generate.openapi import KINDS
from kfx.apis.katib_config import RuntimeSection

TYPES = {**describe(*KINDS), **describe(RuntimeSection)}


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_type_and_each_of_its_fields_is_described(name: str) -> None:
    found: Schema = TYPES[name]
    assert found["description"]
    assert [key for key, field in found["properties"].items() if not field.get("description")] == []
