"""Every row of the contract about admission, and about Suggestions, has a test that names it.

A test names rows at the start of its docstring ("V12, K3: why."), a case of a golden file at the start of its
``id``, and the row of a known defect in ``row``.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.rules.source_tree import ROOT, functions, parse, python_files


def _numbered(prefix: str, last: int, *, first: int = 1) -> list[str]:
    return [f"{prefix}{number}" for number in range(first, last + 1)]


ROWS: dict[str, list[str]] = {
    "types": ["2.2", "2.3"],
    "reviews": _numbered("3.1.", 7),
    "defaults": [*_numbered("D", 21), *_numbered("3.3.", 7)],
    "patches": _numbered("3.4.", 8),
    "the validator's flow": _numbered("4.1.", 5),
    "rules": [*_numbered("V", 58), "V5a"],
    "conversion of jobs": _numbered("4.4.", 12),
    "Katib's own tests": [
        *_numbered("8.1.", 27),
        *_numbered("8.2.", 7),
        *_numbered("8.3.", 22),
        *_numbered("8.4.", 4),
        *_numbered("8.5.", 13),
        "8.6",
    ],
    "Katib's tests of pods and configuration": [
        *_numbered("8.7.", 4),
        *_numbered("8.8.", 9),
        "8.9",
        "8.10",
        "8.11",
    ],
    "golden outputs": [row for row in _numbered("G", 58) if row != "G45"],  # that is the conversion of jobs
    "pods": _numbered("P", 22),
    "updates": _numbered("U", 13),
    "known defects": _numbered("K", 29),
    "the suggestion controller": _numbered("12.5.", 9),
    "the suggestion client": _numbered("12.6.", 12),
    "the composer": _numbered("12.7.", 12),
    "checklist": ["10.1.4", "10.1.6", "10.1.9"],
}
CASES = {"12.1": 9, "12.2": 16, "12.3": 8, "12.4": 4, "12.5": 9, "12.8": 8}
"""Tables of the contract about the controllers, and their rows. Those of 12.9 have ids W1.4 and W8.10."""
DEFECTS = [f"D{n}" for n in range(1, 31) if n not in {22, 23}]  # early stopping's, the collector's
_CASE = re.compile(r"12[._](\d)[-_](\d+)(?:(?: to |_to_|_and_)(\d+))?")
_ROW = re.compile(r"[A-Z]\d+a?|\d+(?:\.\d+)+")


def _rows_at_the_start(text: str) -> Iterator[str]:
    while match := _ROW.match(text):
        yield match.group()
        text = text[match.end() :]
        if not text.startswith(", "):
            return
        text = text[2:]


def _in_docstrings() -> Iterator[str]:
    for path in python_files("tests"):
        for name, node in functions(parse(path)):
            if name.rpartition(".")[2].startswith("test_"):
                yield from _rows_at_the_start(ast.get_docstring(node) or "")


def _cases() -> Iterator[dict[str, Any]]:
    for path in sorted((ROOT / "tests" / "golden").glob("*/*.yaml")):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        yield from found if isinstance(found, list) else ()


def _in_cases() -> Iterator[str]:
    for case in _cases():
        yield from _rows_at_the_start(str(case.get("id", "")))
        yield from _rows_at_the_start(str(case.get("row", "")))


def test_every_row_of_the_contract_has_a_test() -> None:
    tested = {*_in_docstrings(), *_in_cases()}
    missing = {area: [row for row in rows if row not in tested] for area, rows in ROWS.items()}
    assert {area: rows for area, rows in missing.items() if rows} == {}


def _cases_of_the_controllers() -> Iterator[str]:
    for path in python_files("tests"):
        if path != Path(__file__):
            for table, first, last in _CASE.findall(path.read_text(encoding="utf-8")):
                yield from (f"12.{table}-{row}" for row in range(int(first), int(last or first) + 1))


def test_every_case_of_katibs_tests_of_its_controllers_has_a_test() -> None:
    tested = set(_cases_of_the_controllers())
    rows = [f"{table}-{row}" for table, last in CASES.items() for row in range(1, last + 1)]
    assert [row for row in rows if row not in tested] == []


def test_every_defect_of_katibs_controllers_is_decided() -> None:
    text = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    assert [row for row in DEFECTS if not re.search(rf"\b{row}\b", text)] == []


def test_every_defect_that_is_mended_or_kept_is_told_to_the_users() -> None:
    lines = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8").splitlines()
    told = {row for line in lines if line.startswith("| ") for row in re.findall(r"\bK\d+\b", line)}
    assert [row for row in ROWS["known defects"] if row not in told] == []


def test_rows_are_found_at_the_start_only() -> None:
    assert list(_rows_at_the_start("V5a, 8.1.16: and V7")) == ["V5a", "8.1.16"]
    assert list(_rows_at_the_start("See V5")) == []
