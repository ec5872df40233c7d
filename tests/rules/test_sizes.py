"""Functions and files stay small enough to be read at one sitting."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

from tests.rules.source_tree import functions, name_of, parse, python_files

FUNCTION_LIMIT = 40
FILE_LIMIT = 400
EXCEPTIONS: dict[str, str] = {}
"""``path`` or ``path:function`` → why it is better in one piece."""

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
FILES = python_files("kfx", "hack", "tests", "config")


def _code_lines(text: str) -> set[int]:
    """Numbers of the lines that hold more than a comment."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {
        line
        for token in tokens
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[int]:
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is None or first.end_lineno is None:
        return set()
    return set(range(first.lineno, first.end_lineno + 1))


def long_functions(path: Path) -> dict[str, int]:
    """Functions beyond the limit with their lines of code, the docstring not counted."""
    code = _code_lines(path.read_text(encoding="utf-8"))
    found = {}
    for name, node in functions(parse(path)):
        end = node.end_lineno or node.lineno
        lines = len(code & set(range(node.lineno, end + 1)) - _docstring_lines(node))
        if lines > FUNCTION_LIMIT:
            found[f"{name_of(path)}:{name}"] = lines
    return found


def long_file(path: Path) -> dict[str, int]:
    """The file with its number of lines, if that is beyond the limit."""
    lines = path.read_text(encoding="utf-8").count("\n")
    return {name_of(path): lines} if lines > FILE_LIMIT else {}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_within_their_limits(path: Path) -> None:
    too_long = long_functions(path) | long_file(path)
    assert {name: lines for name, lines in too_long.items() if name not in EXCEPTIONS} == {}


def test_every_exception_is_still_needed() -> None:
    too_long = {name for path in FILES for name in long_functions(path) | long_file(path)}
    assert set(EXCEPTIONS) <= too_long


def test_comments_blank_lines_and_the_docstring_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.rules.test_sizes.name_of", lambda path: path.name)
    body = "\n".join(f"    x{i} = {i}\n\n    # why" for i in range(FUNCTION_LIMIT - 1))
    source = tmp_path / "sample.py"
    source.write_text(f'def f():\n    """One\n    two."""\n{body}\n')
    assert long_functions(source) == {}
    source.write_text(f"def f():\n{body}\n    y = 1\n")
    assert long_functions(source) == {"sample.py:f": FUNCTION_LIMIT + 1}
