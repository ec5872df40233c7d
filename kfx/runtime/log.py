"""Structured logs: JSON lines under zap's keys, or plain text for a person at a terminal.

Every value passes one gate: control characters cannot reach the terminal or start a new line, and nothing
longer than 1 KiB is written. Tracebacks name places only, never local values.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, BinaryIO, cast

import orjson
import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.typing import FilteringBoundLogger

from kfx.runtime.log_stream import LogStream

__all__ = ["bound_contextvars", "configure_logging", "get_logger", "log_about", "short_path"]

LONGEST_VALUE = 1024
MOST_ITEMS = 32
DEEPEST_CAUSE = 5
LEVELS = {"debug": 10, "info": 20, "warning": 30, "warn": 30, "error": 40}
FORMATS = ("auto", "json", "text")

EventDict = MutableMapping[str, Any]


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose lines carry ``logger: name``; may be called before :func:`configure_logging`."""
    found: FilteringBoundLogger = structlog.get_logger(logger_name=name)
    return found


def configure_logging(level: str = "info", format: str = "auto", *, stream: BinaryIO | None = None) -> None:
    """Send all logs of the process, the standard library's from ``warning`` up too, to ``stream`` (stderr).

    ``format``: ``json``, ``text``, or ``auto`` for text where the stream is a terminal. Raises ValueError
    for an unknown level or format.
    """
    if level not in LEVELS:
        raise ValueError(f"log level {level!r} is unknown: choose one of {', '.join(LEVELS)}")
    if format not in FORMATS:
        raise ValueError(f"log format {format!r} is unknown: choose one of {', '.join(FORMATS)}")
    out = sys.stderr.buffer if stream is None else stream
    as_text = format == "text" or (format == "auto" and out.isatty())
    structlog.configure(
        processors=[
            merge_contextvars,
            _merge_subject,
            structlog.processors.add_log_level,
            _add_time,
            _add_exception,
            render_text if as_text else render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(_not_blocking(out)),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    logging.basicConfig(level=max(LEVELS["warning"], LEVELS[level]), handlers=[_Bridge()], force=True)


def _not_blocking(out: BinaryIO) -> BinaryIO:
    try:
        return cast("BinaryIO", LogStream(out.fileno()))
    except OSError:
        return out  # in memory


_SUBJECT: ContextVar[Mapping[str, str]] = ContextVar("subject")


def log_about(subject: Mapping[str, str]) -> None:
    """Every further line of this context carries these keys; nothing is done until there is a line."""
    _SUBJECT.set(subject)


def _merge_subject(_: object, __: str, event: EventDict) -> EventDict:
    for key, value in _SUBJECT.get({}).items():
        event.setdefault(key, value)
    return event


class _Bridge(logging.Handler):
    """Hands records of the standard library (aiohttp, asyncio, grpc) to the same pipeline."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        failed = record.exc_info[1] if record.exc_info else None
        get_logger(record.name).log(record.levelno, text, exc_info=failed)


def _add_time(_: object, __: str, event: EventDict) -> EventDict:
    event["ts"] = time.time()
    return event


def _add_exception(_: object, __: str, event: EventDict) -> EventDict:
    failed = event.pop("exc_info", None)
    if failed is True:
        failed = sys.exc_info()[1]
    if isinstance(failed, BaseException):
        event.setdefault("error", describe(failed))
        event["stacktrace"] = "; ".join(_places(failed))
    return event


def describe(failed: BaseException) -> str:
    """Type and text of an exception, those in a group one by one, with what caused it."""
    if isinstance(failed, BaseExceptionGroup):
        return " | ".join(describe(each) for each in failed.exceptions[:DEEPEST_CAUSE])
    return " <- ".join(f"{type(each).__name__}: {each}".removesuffix(": ") for each in _causes(failed))


def _causes(failed: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = failed
    for _ in range(DEEPEST_CAUSE):
        if each is None:
            return
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _places(failed: BaseException) -> list[str]:
    """``file:line function`` from the innermost call outwards; file names from the package down."""
    if isinstance(failed, BaseExceptionGroup):
        return [place for each in failed.exceptions[:DEEPEST_CAUSE] for place in _places(each)]
    places: list[str] = []
    at: TracebackType | None = failed.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        places.append(f"{short_path(code.co_filename)}:{at.tb_lineno} {code.co_name}")
        at = at.tb_next
    return places[::-1]


def short_path(path: str) -> str:
    """A file's name from the package down, so that no output tells where this is installed."""
    return "/".join(path.split("/")[-3:])


def render_json(_: object, __: str, event: EventDict) -> bytes:
    """One JSON object, zap's keys first."""
    ordered: dict[str, Any] = {
        "level": event.pop("level", ""),
        "ts": event.pop("ts", 0.0),
        "logger": event.pop("logger_name", ""),
        "msg": _plain(str(event.pop("event", ""))),
    }
    for key, value in event.items():
        ordered[key] = _plain(value)
    return orjson.dumps(ordered)


def render_text(_: object, __: str, event: EventDict) -> bytes:
    """``time level logger message key=value …`` on one line."""
    clock = event.pop("ts", 0.0)
    stamp = f"{time.strftime('%H:%M:%S', time.localtime(clock))}.{int(clock * 1000) % 1000:03d}"
    level, logger = event.pop("level", ""), event.pop("logger_name", "")
    parts = [stamp, f"{level:<7}", str(logger), _escape(_cut(str(event.pop("event", ""))))]
    parts += [f"{key}={_quoted(value)}" for key, value in event.items()]
    return " ".join(part for part in parts if part).encode()


def _quoted(value: object) -> str:
    plain = _plain(value)
    text = _escape(plain if isinstance(plain, str) else str(plain))
    return f'"{text}"' if " " in text or not text else text


def _plain(value: object) -> Any:
    """What JSON can hold of a value: short, without characters a terminal would act on."""
    if isinstance(value, str):
        return _escape_beyond_json(_cut(value))
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(value[key]) for key in list(value)[:MOST_ITEMS]}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in list(value)[:MOST_ITEMS]]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    return _escape_beyond_json(_cut(str(value)))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text)} characters)"


def _escape(text: str) -> str:
    """Every character that is no visible one, as Python would write it."""
    return text if text.isprintable() else "".join(_escaped(c, lambda c: True) for c in text)


def _escape_beyond_json(text: str) -> str:
    """As :func:`_escape`, but leaves to the JSON encoder what that escapes itself."""
    return text if text.isprintable() else "".join(_escaped(c, lambda c: c >= " ") for c in text)


def _escaped(char: str, wanted: Callable[[str], bool]) -> str:
    if char.isprintable() or not wanted(char):
        return char
    return char.encode("unicode_escape").decode()
