"""One fault of a document, as Go's ``field.Error`` shows it."""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

REQUIRED = "Required value"
INVALID = "Invalid value"
FORBIDDEN = "Forbidden"
_MAX_SHOWN = 1024
_MAX_DETAIL = 2000
MAX_ERRORS = 100
"""Errors of one Experiment that are told."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """``type`` and ``path`` are part of the contract, ``detail`` is free and ends with what to do."""

    type: str
    path: str
    detail: str
    value: Any = None

    def __str__(self) -> str:
        what = f"{self.type}: {_show(self.value)}" if self.type == INVALID else self.type
        return f"{self.path}: {what}: {_cut(self.detail, _MAX_DETAIL)}"


def required(path: str, detail: str) -> FieldError:
    """A field that must not be empty."""
    return FieldError(REQUIRED, path, detail)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """A field whose value cannot be; it is shown."""
    return FieldError(INVALID, path, detail, value)


def forbidden(path: str, detail: str) -> FieldError:
    """A field that may not be set, or not changed."""
    return FieldError(FORBIDDEN, path, detail)


def aggregate(errors: Iterable[FieldError]) -> str:
    """One text for all: the only one as it is, several in brackets, equal ones once (Go ``Aggregate``).

    Of more than 100 only the first 100 are told, and that there are more.
    """
    found = list(itertools.islice(errors, MAX_ERRORS + 1))
    texts = list(dict.fromkeys(str(error) for error in found[:MAX_ERRORS]))
    if len(found) > MAX_ERRORS:
        texts.append("and more; correct these first")
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _show(value: Any) -> str:
    if isinstance(value, str):
        value = value[: _MAX_SHOWN + 1]
    return _cut(json.dumps(value, ensure_ascii=False, separators=(",", ":")), _MAX_SHOWN)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
