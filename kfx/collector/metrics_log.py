"""Reads values out of what the training wrote, as Katib's file collector does.

The file is read line by line, however long it is; nothing is kept of a line but its values.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import re2

from kfx.collector.errors import CollectorError, UsageError
from kfx.collector.times import ZERO_TIME, is_time, time_of_number

DEFAULT_FILTER = r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)"
"""``name=value`` (Katib ``DefaultFilter``)."""

UNAVAILABLE = "unavailable"

MAX_LINE = 4 * 1024 * 1024
"""Bytes of a line that are held at once. A progress bar writes one endless line, parted by ``\\r``."""


class Value(NamedTuple):
    """One value of one metric. ``time`` is RFC 3339, as it stood in the log."""

    time: str
    metric: str
    value: str


Parse = Callable[[str], Iterator[Value]]


def text_parser(metrics: Sequence[str], filters: Sequence[str]) -> Parse:
    """Lines of text, searched with RE2 expressions: group 1 is the metric, group 2 its value.

    Values need not be numbers. Raises UsageError for an expression that is not RE2.
    """
    expressions = [_compile(text) for text in filters or (DEFAULT_FILTER,)]
    wanted = frozenset(metrics)

    def parse(line: str) -> Iterator[Value]:
        if not any(metric in line for metric in metrics):
            return
        first, blank, _ = line.partition(" ")
        time = first if blank and is_time(first) else ZERO_TIME
        for expression in expressions:
            if expression.groups < 2:
                continue
            for match in expression.finditer(line):
                name = (match.group(1) or "").strip()
                if name in wanted:
                    yield Value(time, name, (match.group(2) or "").strip())

    return parse


def _compile(text: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # the error is told once, as ours
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        shown = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        raise UsageError(
            f"-f {text}: no RE2 expression: {shown}; correct metricsCollectorSpec.source.filter.metricsFormat"
        ) from None


class _Number(str):
    """A JSON number in the digits it was written with."""

    __slots__ = ()


def json_parser(metrics: Sequence[str]) -> Parse:
    """One JSON object a line; blank lines are skipped. Strings count as values, and so do numbers.

    The time is under ``timestamp``: RFC 3339, or a number of seconds.
    """

    def parse(line: str) -> Iterator[Value]:
        if not line.strip():
            return
        try:
            entry = json.loads(line, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
        except (ValueError, RecursionError) as error:
            raise CollectorError(f"failed to parse the json object: {error}: {line[:200]}") from None
        if entry is None:
            return
        if not isinstance(entry, dict):
            raise CollectorError(f"failed to parse the json object: no object: {line[:200]}")
        time = _time_of(entry.get("timestamp"))
        for metric in metrics:
            value = entry.get(metric)
            if isinstance(value, str):
                yield Value(time, metric, str(value))

    return parse


def _time_of(stamp: object) -> str:
    if isinstance(stamp, _Number):
        return time_of_number(stamp)
    return stamp if isinstance(stamp, str) and is_time(stamp) else ZERO_TIME


def read_values(path: Path, parse: Parse) -> Iterator[Value]:
    """All values in the order of the file. Raises CollectorError where the file cannot be read."""
    try:
        with path.open("rb") as file:
            for line in _lines(file):
                yield from parse(line.decode(errors="replace"))
    except OSError as error:
        raise CollectorError(
            f"failed to open the file: {path}: {error.strerror}; the training has to write its metrics there"
        ) from None


def collect(path: Path, parse: Parse, objective: str) -> Iterator[Value]:
    """All values if one of them is the objective's, else a single ``unavailable`` for it.

    The file is read twice, so that memory does not grow with it.
    """
    if sum(value.metric == objective for value in read_values(path, parse)):
        yield from read_values(path, parse)
    else:
        yield Value(ZERO_TIME, objective, UNAVAILABLE)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    kept = b""
    while piece := file.readline(MAX_LINE - len(kept)):
        line = kept + piece
        kept = b""
        if len(line) >= MAX_LINE and not line.endswith(b"\n"):
            cut = line.rfind(b"\r") + 1 or len(line)
            line, kept = line[:cut], line[cut:]
        yield line.removesuffix(b"\n")
    if kept:
        yield kept
