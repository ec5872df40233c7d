"""``docs/events.md`` names the reasons of events that the code gives, and no others."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from tests.rules.source_tree import ROOT, name_of, parse, python_files

DOCUMENT = ROOT / "docs" / "events.md"
_PLACES = {"Note": 1, "HoldUp": 0}
"""Which argument of these is a reason."""
_REASON = re.compile(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`")


def named() -> set[str]:
    """The first word in code of each row."""
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return {found[1] for row in rows if (found := _REASON.search(row))}


def reasons(path: Path) -> Iterator[str]:
    """Those that stand in the call itself, or are a constant there; not what is computed."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _PLACES:
            place = _PLACES[node.func.id]
            by_name = [each.value for each in node.keywords if each.arg == "reason"]
            match [*node.args[place : place + 1], *by_name]:
                case [ast.Constant(value=str(reason))]:
                    yield reason
                case [ast.Name(id=name)]:
                    module = importlib.import_module(name_of(path).removesuffix(".py").replace("/", "."))
                    if isinstance(reason := getattr(module, name, None), str):
                        yield reason


def test_every_reason_that_the_code_gives_has_a_row() -> None:
    given = {reason for path in python_files("kfx") for reason in reasons(path)}
    assert len(given) > 3
    assert given - named() == set()


def test_every_reason_that_has_a_row_stands_in_the_code() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in python_files("kfx"))
    assert {reason for reason in named() if f'"{reason}"' not in code} == set()
