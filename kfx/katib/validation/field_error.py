"""One fault of a document, as Go's ``field.Error`` shows it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

REQUIRED = "Required value"
INVALID = "Invalid value"
FORBIDDEN = "Forbidden"
_MAX_SHOWN = 1024


@dataclass(frozen=True, slots=True)
class FieldError:
    """``type`` and ``path`` are part of the contract, ``detail`` is free and ends with what to do."""

    type: str
    path: str
    detail: str
    value: Any = None

    def __str__(self) -> str:
        what = f"{self.type}: {_show(self.value)}" if self.type == INVALID else self.type
        return f"{self.path}: {what}: {self.detail}"


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
    """One text for all: the only one as it is, several in brackets, equal ones once (Go ``Aggregate``)."""
    texts = list(dict.fromkeys(str(error) for error in errors))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
