"""Nobody swallows a cancellation: what is told to stop stops (P6)."""

import ast
from collections.abc import Iterator

from tests.rules.source_tree import name_of, parse, python_files

CATCH_ALL = {"BaseException", "CancelledError", "GeneratorExit"}
LAST_LINE = "kfx/cli.py"  # the process ends there


def caught(handler: ast.ExceptHandler) -> set[str]:
    """The names of what is caught; BaseException where no name stands."""
    if handler.type is None:
        return {"BaseException"}
    each = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in each}


def swallowing(tree: ast.Module) -> Iterator[int]:
    """The lines of handlers that may catch a cancellation and do not end by raising."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            swallows = caught(node) & CATCH_ALL and not isinstance(node.body[-1], ast.Raise)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "suppress":
            swallows = {getattr(each, "attr", getattr(each, "id", "")) for each in node.args} & CATCH_ALL
        else:
            continue
        if swallows:
            yield node.lineno


def test_a_swallowed_cancellation_is_found() -> None:
    for text in (
        "try:\n    x()\nexcept asyncio.CancelledError:\n    pass",
        "try:\n    x()\nexcept:\n    log()",
        "try:\n    x()\nexcept (ValueError, BaseException) as e:\n    log(e)",
        "with suppress(asyncio.CancelledError):\n    x()",
    ):
        assert list(swallowing(ast.parse(text)))
    assert not list(swallowing(ast.parse("try:\n    x()\nexcept BaseException:\n    y()\n    raise")))


def test_no_module_swallows_a_cancellation() -> None:
    found = [
        f"{name_of(path)}:{line}"
        for path in python_files("kfx")
        if name_of(path) != LAST_LINE
        for line in swallowing(parse(path))
    ]
    assert found == []
