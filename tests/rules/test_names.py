"""Names say what a thing is, and private ones stay where they are made."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rules.source_tree import functions, name_of, parse, python_files

_EMPTY_WORDS = re.compile(r"Helper|Utils?(?![a-z])|^Base(?=[A-Z])|Manager\d|Misc")
SOURCES = python_files("kfx", "hack", "config")
TESTS = [path for path in python_files("tests") if path.name.startswith("test_")]


def _private_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in {"kfx", "hack"}:
            for alias in node.names:
                if alias.name.startswith("_") and not alias.name.startswith("__"):
                    yield f"{node.module}.{alias.name}"


def _undocumented(tree: ast.Module, *, functions_too: bool) -> Iterator[str]:
    if ast.get_docstring(tree) is None:
        yield "the module"
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef if functions_too else ast.ClassDef
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield node.name


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_module_takes_a_private_name_of_another(path: Path) -> None:
    assert list(_private_imports(parse(path))) == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_modules_and_public_classes_have_docstrings_and_in_the_package_functions_too(path: Path) -> None:
    assert list(_undocumented(parse(path), functions_too=name_of(path).startswith("kfx/"))) == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_class_is_named_by_a_word_without_meaning(path: Path) -> None:
    names = [node.name for node in ast.walk(parse(path)) if isinstance(node, ast.ClassDef)]
    assert [name for name in names if _EMPTY_WORDS.search(name)] == []


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_the_name_of_a_test_is_a_sentence(path: Path) -> None:
    names = [name.rpartition(".")[2] for name, _ in functions(parse(path))]
    assert [name for name in names if name.startswith("test_") and name.count("_") < 3] == []


def test_these_rules_see_what_they_forbid() -> None:
    tree = ast.parse("from kfx.kube.client import _secret, Client\nclass PodHelper: ...\n")
    assert list(_private_imports(tree)) == ["kfx.kube.client._secret"]
    assert list(_undocumented(tree, functions_too=False)) == ["the module", "PodHelper"]
    assert _EMPTY_WORDS.search("PodHelper")
