"""The command line, in Go's syntax and with the names Katib's collectors take.

One or two dashes; the value follows as the next word or behind ``=``. Every flag takes a value.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kfx.collector.errors import UsageError

FORMATS = ("TEXT", "JSON")

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What the pod webhook tells the collector. Durations are in seconds, a timeout of 0 is none.

    ``metrics`` starts with the objective; ``filters`` are RE2 expressions, empty for the usual one.
    """

    trial: str
    metrics: tuple[str, ...]
    store_address: str
    path: str = "/var/log/katib/metrics.log"
    filters: tuple[str, ...] = field(default=())
    format: str = "TEXT"
    wait_all: bool = True
    poll_interval: float = 1.0
    timeout: float = 0.0
    native: bool = False


def _text(text: str) -> str:
    return text


def _list(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(";") if part)


def _bool(text: str) -> bool:
    if text in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    if text in {"0", "f", "F", "false", "FALSE", "False"}:
        return False
    raise ValueError("expected true or false")


def _format(text: str) -> str:
    if text not in FORMATS:
        raise ValueError("format must be set TEXT or JSON")
    return text


def _duration(text: str) -> float:
    found = list(_DURATION.finditer(text))
    if text != "0" and (not found or "".join(part.group() for part in found) != text):
        raise ValueError("expected a duration such as 1s or 1m30s")
    return sum(float(part[1]) * _UNITS[part[2]] for part in found)


def _interval(text: str) -> float:
    seconds = _duration(text)
    if seconds <= 0:
        raise ValueError("expected more than 0")
    return seconds


def _direction(text: str) -> str:
    if text not in {"minimize", "maximize"}:
        raise ValueError("expected minimize or maximize")
    return text


def _stop_rule(_text: str) -> str:
    raise ValueError("early stopping is not built in this version: remove earlyStopping from the Experiment")


# Without stop rules the direction and the early-stopping address have no use; both are still accepted.
_FLAGS: dict[str, tuple[str | None, Callable[[str], Any], str]] = {
    "t": ("trial", _text, "name of the trial"),
    "m": ("metrics", _list, "metrics, the objective first, joined by ;"),
    "o-type": (None, _direction, "minimize or maximize"),
    "s-db": ("store_address", _text, "host:port of the observation store"),
    "path": ("path", _text, "the file the training writes"),
    "f": ("filters", _list, "RE2 expressions with two groups, name and value, joined by ;"),
    "format": ("format", _format, "TEXT or JSON"),
    "w": ("wait_all", _bool, "whether to wait for the other containers too"),
    "p": ("poll_interval", _interval, "how often to look, such as 1s"),
    "timeout": ("timeout", _duration, "how long to wait for the training, 0 for ever"),
    "native": (
        "native",
        _bool,
        "whether this is a native sidecar, told by SIGTERM that the others have ended",
    ),
    "stop-rule": (None, _stop_rule, "not built in this version"),
    "s-earlystop": (None, _text, "host:port of the early-stopping service"),
}

_REQUIRED = {"trial": "-t", "metrics": "-m", "store_address": "-s-db"}


def usage() -> str:
    """The flags, one a line."""
    lines = [f"  -{name} value\n    \t{text}" for name, (_, _, text) in sorted(_FLAGS.items())]
    return "\n".join(["Usage of kfx metrics-collector:", *lines]) + "\n"


def parse_arguments(words: Sequence[str]) -> Arguments:
    """Raises UsageError naming the flag; a flag given twice keeps its last value."""
    values: dict[str, Any] = {}
    for name, text in _pairs(words):
        attribute, parse, _ = _FLAGS[name]
        try:
            value = parse(text)
        except ValueError as error:
            raise UsageError(f"-{name} {text}: {error}") from None
        if attribute is not None:
            values[attribute] = value
    missing = [flag for attribute, flag in _REQUIRED.items() if not values.get(attribute)]
    if missing:
        raise UsageError(f"missing: {' '.join(missing)}")
    return Arguments(**values)


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    left = iter(words)
    for word in left:
        dashes = len(word) - len(word.lstrip("-"))
        name, equals, text = word[dashes:].partition("=")
        if dashes not in {1, 2} or not name:
            raise UsageError(f"{word!r} is no flag: every argument is a flag with its value")
        if name not in _FLAGS:
            raise UsageError(f"flag provided but not defined: -{name}")
        if not equals:
            following = next(left, None)
            if following is None:
                raise UsageError(f"flag needs an argument: -{name}")
            text = following
        yield name, text
