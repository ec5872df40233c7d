"""``docs/reference/api.md`` leaves nothing out."""

import re

from hack.generate import api_reference
from tests.swagger import DEFINITIONS


def test_every_type_and_every_field_is_on_the_page() -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", api_reference.render(), re.M | re.S))
    for full, schema in DEFINITIONS.items():
        name = full.partition(".")[2]
        if name.endswith("List") or name == "ListMeta":
            continue
        assert re.findall(r"^\| `(\w+)`", sections[name], re.M) == list(schema["properties"])


def test_every_link_leads_to_a_heading_of_the_page() -> None:
    text = api_reference.render()
    headings = {f"#{name.lower()}" for name in re.findall(r"^## (\w+)$", text, re.M)}
    assert set(re.findall(r"\]\((#\w+)\)", text)) <= headings
