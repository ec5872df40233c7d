"""Cases of the validator's golden files: an Experiment, changed by JSON pointers, and two expectations.

``katib`` says what Katib answers, ``kfx`` what kfx does where that differs; then ``row`` names the row of the
contract that justifies it.
"""

import copy
from pathlib import Path
from typing import Any

import yaml

from kfx.katib.validation import FieldError
from kfx.kube.model import to_builtins

FOLDER = Path(__file__).parent / "golden" / "validator"
LETTERS = {"Required value": "R", "Invalid value": "I", "Forbidden": "F"}


def load(name: str) -> Any:
    """One file of the folder."""
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def expected(case: dict[str, Any]) -> Any:
    """What kfx must answer; a difference to Katib without a row is an error of the case."""
    if "kfx" not in case:
        return case["katib"]
    assert case.get("row"), f"{case['id']}: a difference to Katib needs the row that justifies it"
    assert case["kfx"] != case["katib"], f"{case['id']}: no difference, so no row"
    return case["kfx"]


def change(base: dict[str, Any], values: dict[str, Any], remove: list[str] | tuple[str, ...] = ()) -> Any:
    """A copy of ``base`` with values set, then members removed, each named by a JSON pointer."""
    document = copy.deepcopy(base)
    for pointer, value in values.items():
        parent, last = _find(document, pointer)
        if isinstance(parent, list) and int(last) == len(parent):
            parent.append(None)
        parent[int(last) if isinstance(parent, list) else last] = copy.deepcopy(value)
    for pointer in remove:
        parent, last = _find(document, pointer)
        del parent[int(last) if isinstance(parent, list) else last]
    return document


def _find(document: Any, pointer: str) -> tuple[Any, str]:
    *path, last = pointer.lstrip("/").split("/")
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document.setdefault(part, {})
    return document, last


def describe(errors: list[FieldError], spec: Any) -> Any:
    """Errors as the files write them: type, path, and the value of an invalid field as it is shown."""
    texts = []
    for error in errors:
        text = f"{LETTERS[error.type]} {error.path}"
        if error.type == "Invalid value":
            whole = error.path == "spec" and error.value == to_builtins(spec)
            shown = (
                str(error).removeprefix(f"{error.path}: Invalid value: ").removesuffix(f": {error.detail}")
            )
            text += " SPEC" if whole else f" {shown}"
        texts.append(text)
    return texts or "ok"
