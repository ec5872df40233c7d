"""What a log line holds, and what it can never do."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from kfx.runtime.log import bound_contextvars, configure_logging, describe, get_logger


class Output(io.BytesIO):
    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def lines(self) -> list[str]:
        return self.getvalue().decode().splitlines()

    def only(self) -> dict[str, Any]:
        (line,) = self.lines()
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def json_output(level: str = "info") -> Output:
    out = Output()
    configure_logging(level, "json", stream=out)
    return out


def text_output() -> Output:
    out = Output()
    configure_logging("info", "text", stream=out)
    return out


def test_a_json_line_has_zaps_keys_first_and_the_fields_after_them() -> None:
    out = json_output()
    get_logger("trial-controller").info("made a job", job="j", count=3, ratio=0.5, ok=True, none=None)
    line = out.only()
    assert list(line) == ["level", "ts", "logger", "msg", "job", "count", "ratio", "ok", "none"]
    assert (line["level"], line["logger"], line["msg"]) == ("info", "trial-controller", "made a job")
    assert isinstance(line["ts"], float)
    assert (line["job"], line["count"], line["ratio"], line["ok"], line["none"]) == ("j", 3, 0.5, True, None)


def test_the_context_of_the_work_is_on_every_line_of_it() -> None:
    out = json_output()
    with bound_contextvars(controller="trial", namespace="team", name="t1"):
        get_logger("x").info("hello")
    line = out.only()
    assert (line["controller"], line["namespace"], line["name"]) == ("trial", "team", "t1")


def test_lines_below_the_level_are_not_written() -> None:
    out = json_output("warning")
    get_logger("x").info("quiet")
    get_logger("x").warning("loud")
    assert out.only()["msg"] == "loud"


HOSTILE = "a\nlevel=error msg=forged\r\x1b[2J\x9b31m\u2028\u202eevil\x00\x7f\ud800"


@pytest.mark.parametrize("output", [json_output, text_output])
def test_no_value_can_start_a_line_or_steer_a_terminal(output: Callable[[], Output]) -> None:
    out = output()
    get_logger("x").warning(HOSTILE, name=HOSTILE, nested={"k": [HOSTILE]}, other=ValueError(HOSTILE))
    line, end = out.getvalue().decode().split("\n")
    assert line.isprintable()
    assert end == ""


def test_json_values_read_back_as_they_were_where_json_can_hold_them() -> None:
    out = json_output()
    get_logger("x").info("m", name="tab\tand\nline ü")
    assert out.only()["name"] == "tab\tand\nline ü"


@pytest.mark.parametrize("out_format", ["json", "text"])
def test_a_huge_value_is_cut(out_format: str) -> None:
    out = Output()
    configure_logging("info", out_format, stream=out)
    get_logger("x").info("m" * 1_000_000, name="n" * 1_000_000, many=list(range(100_000)))
    assert len(out.getvalue()) < 4_000
    assert "(1000000 characters)" in out.getvalue().decode()


def test_any_value_can_be_logged() -> None:
    out = json_output()
    get_logger("x").info("m", huge=2**70, raw=b"secret bytes", own=object, items={1}, keys={1: 2})
    line = out.only()
    assert line["huge"] == str(2**70)
    assert line["raw"] == "<12 bytes>"
    assert line["items"] == [1]
    assert line["keys"] == {"1": 2}


def fail_with(secret: str) -> None:
    password = secret
    raise KeyError("missing") from ValueError(f"of length {len(password)}")


def test_a_traceback_names_places_and_causes_but_no_local_value() -> None:
    out = json_output()
    try:
        fail_with("hunter2")
    except KeyError:
        get_logger("x").exception("failed")
    line = out.only()
    assert line["error"] == "KeyError: 'missing' <- ValueError: of length 7"
    innermost, outer = line["stacktrace"].split("; ")
    assert innermost.startswith("unit/runtime/test_log.py:")
    assert innermost.endswith(" fail_with")
    assert outer.endswith(" test_a_traceback_names_places_and_causes_but_no_local_value")
    assert b"hunter2" not in out.getvalue()


def test_each_failure_of_a_group_is_told() -> None:
    group = ExceptionGroup("many", [ValueError("a"), ExceptionGroup("inner", [OSError("b"), KeyError()])])
    assert describe(group) == "ValueError: a | OSError: b | KeyError"


def test_the_standard_library_logs_into_the_same_stream_from_warning_up() -> None:
    out = json_output()
    logging.getLogger("aiohttp.server").warning("odd %s", "thing")
    logging.getLogger("asyncio").info("quiet")
    line = out.only()
    assert (line["level"], line["logger"], line["msg"]) == ("warning", "aiohttp.server", "odd thing")


def test_a_record_with_wrong_arguments_is_still_written() -> None:
    out = json_output()
    logging.getLogger("lib").error("%d", "text")
    assert out.only()["msg"] == "%d"


def test_a_warning_of_python_is_a_line_too() -> None:
    out = json_output()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning: old" in out.only()["msg"]


def test_a_text_line_is_for_people() -> None:
    out = text_output()
    get_logger("trial").info("made a job", job="j", why="two words", none="")
    (line,) = out.lines()
    assert line.split(" ", 1)[1] == 'info    trial made a job job=j why="two words" none=""'


@pytest.mark.parametrize(("terminal", "first"), [(True, "0123456789"), (False, "{")])
def test_auto_is_text_on_a_terminal_and_json_elsewhere(terminal: bool, first: str) -> None:
    out = Output(terminal=terminal)
    configure_logging("info", "auto", stream=out)
    get_logger("x").info("m")
    assert out.getvalue().decode()[0] in first


def test_a_logger_made_before_the_configuration_follows_it() -> None:
    log = get_logger("early")
    out = json_output()
    log.info("m")
    assert out.only()["logger"] == "early"


@pytest.mark.parametrize(("level", "form"), [("loud", "json"), ("info", "xml")])
def test_an_unknown_level_or_format_is_refused_with_the_choices(level: str, form: str) -> None:
    with pytest.raises(ValueError, match="is unknown: choose one of"):
        configure_logging(level, form)
