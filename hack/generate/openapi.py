"""``docs/swagger.json``: Katib's three kinds, for generators of clients; Swagger 2.0 as Katib's file."""

import json
from typing import Any

from hack.generate.definitions import PREFIX, Schema, describe
from kfx.apis.common import GROUP, VERSION
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion
from kfx.apis.trial import Trial

KINDS = (Experiment, Suggestion, Trial)


def document() -> dict[str, Any]:
    """The whole file; the definitions in alphabetical order, as Katib's."""
    definitions = describe(*KINDS)
    for kind in KINDS:
        name = f"{VERSION}.{kind.__name__}"
        definitions[f"{name}List"] = _list_of(name)
    definitions["v1.ListMeta"] = _LIST_META
    return {
        "swagger": "2.0",
        "info": {
            "title": "kfx",
            "description": f"The kinds of {GROUP}/{VERSION}, as Katib defined them.",
            "version": VERSION,
        },
        "paths": {},
        "definitions": dict(sorted(definitions.items())),
    }


def render() -> str:
    """The file's text."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


_LIST_META: Schema = {
    "description": "Where a list was taken, and how it goes on.",
    "type": "object",
    "properties": {
        "resourceVersion": {"description": "Where a watch begins.", "type": "string"},
        "continue": {"description": "What to ask for to get the rest.", "type": "string"},
        "remainingItemCount": {"description": "How many are left.", "type": "integer", "format": "int64"},
    },
}


def _list_of(name: str) -> Schema:
    return {
        "description": f"A list of {name.partition('.')[2]}s.",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"description": f"`{GROUP}/{VERSION}`.", "type": "string"},
            "kind": {"description": f"`{name.partition('.')[2]}List`.", "type": "string"},
            "metadata": {"$ref": f"{PREFIX}v1.ListMeta"},
            "items": {"type": "array", "items": {"$ref": PREFIX + name}},
        },
    }
