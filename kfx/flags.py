"""Command-line flags in Go's syntax, as users of katib-controller type them.

One or two dashes, ``-name=value`` or ``-name value``; a boolean takes its value only after ``=``;
``--`` ends the flags. Source of the rules: Go's package flag, ``FlagSet.parseOne``.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from textwrap import wrap
from typing import Any

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = (2**63 - 1) * 1e-9  # Go counts nanoseconds in 64 bits
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
DNS_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""Names of objects (RFC 1123): those of Namespaces and Services have the first form, others the second."""


class FlagError(Exception):
    """The command line cannot be understood; the text says which flag and why."""


class UnknownFlag(FlagError):
    """There is no such flag."""


class HelpRequested(Exception):
    """``-h`` or ``--help`` was given."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its name without dashes, how its text becomes a value, and what ``-h`` says of it.

    ``parse`` raises ValueError with the reason. ``repeated`` flags collect a tuple.
    """

    name: str
    type: str
    default: Any
    help: str
    parse: Callable[[str], Any]
    repeated: bool = False


def parse_text(text: str) -> str:
    """Any text."""
    return text


def parse_stated(text: str) -> str:
    """Any text but none."""
    if not text.strip():
        raise ValueError("expected a value; leave the flag out for its default")
    return text


def parse_name(text: str) -> str:
    """The name of an object in Kubernetes."""
    if not DNS_NAME.fullmatch(text):
        raise ValueError("expected a name of lower-case letters, digits, - and .")
    return text


def parse_bool(text: str) -> bool:
    """What Go's ``strconv.ParseBool`` takes."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("expected true or false")


def parse_port(text: str) -> int:
    """A TCP port, 1 to 65535."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError("expected a port from 1 to 65535")
    return int(text)


def parse_address(text: str) -> str:
    """``host:port``, ``:port``, or ``0`` for off."""
    if text == "0":
        return text
    host, colon, port = text.rpartition(":")
    if re.search(r"[\s/]", host):
        raise ValueError("expected a host without blanks before the port")
    if not colon or (":" in host and not re.fullmatch(r"\[[0-9a-fA-F:.]+\]", host)):
        raise ValueError('expected host:port, :port, or "0" for off')
    parse_port(port)
    return text


def parse_duration(text: str) -> float:
    """A Go duration such as ``1m30s``, in seconds; not negative."""
    unsigned = text.removeprefix("+")
    if unsigned == "0":
        return 0.0
    matches = list(_DURATION.finditer(unsigned[:64]))
    if not matches or "".join(m.group() for m in matches) != unsigned:
        raise ValueError("expected a duration such as 90s or 1m30s")
    seconds = sum(float(m[1]) * _UNITS[m[2]] for m in matches)
    if seconds > _LONGEST:
        raise ValueError("expected at most 2562047h, some 292 years")
    return seconds


def parse_choice(*choices: str) -> Callable[[str], str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text

    return parse


def parse_flags(flags: Sequence[Flag], argv: Iterable[str]) -> dict[str, Any]:
    """The flags that were given, by name; those that were not are absent.

    Raises :class:`FlagError` for an unknown flag, a missing or malformed value or a stray argument, and
    :class:`HelpRequested` for ``-h``.
    """
    known = {flag.name: flag for flag in flags}
    given: dict[str, Any] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, text = _split(word)
        flag = _look_up(name, known)
        if not equals:
            text = _take_value(flag, rest)
        value = parse_value(flag, text)
        given[name] = (*given.get(name, ()), value) if flag.repeated else value
    if rest:
        raise FlagError(f"unexpected argument {rest[0]!r}: kfx takes flags only")
    return given


def _split(word: str) -> tuple[str, str, str]:
    if not word.startswith("-") or word == "-":
        raise FlagError(f"unexpected argument {word!r}: kfx takes flags only")
    name, equals, text = word.removeprefix("-").removeprefix("-").partition("=")
    if not name or name.startswith("-"):
        raise FlagError(f"bad flag syntax: {word}")
    return name, equals, text


def _look_up(name: str, known: Mapping[str, Flag]) -> Flag:
    if name in known:
        return known[name]
    if name in {"h", "help"}:
        raise HelpRequested
    near = [each for each in known if _plain(each) == _plain(name)]
    near = near or get_close_matches(name, known, n=1)
    raise UnknownFlag(
        f"flag provided but not defined: -{name}" + (f"; did you mean --{near[0]}?" if near else "")
    )


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def _take_value(flag: Flag, rest: list[str]) -> str:
    if flag.type == "bool":
        if rest and rest[0] in _TRUE | _FALSE:
            wanted = f"write --{flag.name}={rest[0]}, a switch takes its value after ="
            raise FlagError(f"unexpected argument {rest[0]!r}: {wanted}")
        return "true"
    if not rest:
        raise FlagError(f"flag needs an argument: -{flag.name}")
    return rest.pop(0)


def parse_value(flag: Flag, text: str) -> Any:
    """One value of one flag; raises :class:`FlagError` in the form users of Katib know."""
    try:
        return flag.parse(text)
    except ValueError as error:
        shown = json.dumps(text, ensure_ascii=False)
        raise FlagError(f"invalid value {shown} for flag --{flag.name}: {error}") from None


def complain(program: str, error: FlagError, text: str) -> str:
    """What is said of a wrong command line: all flags (``text``) only where one is looked for in vain.

    The reason comes first, and after a long text once more, where it is seen.
    """
    if isinstance(error, UnknownFlag):
        return f"{error}\n{text}\n{error}\n"
    return f"{error}\nUsage: {program} [flags]; {program} --help explains them\n"


def usage(program: str, flags: Sequence[Flag], *, commands: Mapping[str, str] | None = None) -> str:
    """The text of ``-h``: every flag with its type, meaning and default."""
    lines = [f"Usage: {program} [flags]"]
    lines += [f"       {program} {name:<18} {about}" for name, about in (commands or {}).items()]
    lines.append("")
    lines.append("Flags (one or two dashes; --flag=value or --flag value; bool: --flag[=false]):")
    for flag in flags:
        lines.append(f"  --{flag.name} {flag.type}")
        shown = show_value(flag.default).replace(",", ", ")
        lines += _wrapped(flag.help + (f" (default\0{shown})" if shown else ""))
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> list[str]:
    """Lines for a terminal; a zero byte is a blank that must not become the end of one."""
    indent = " " * 8
    found = wrap(
        text, 80, initial_indent=indent, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace("\0", " ") for line in found]


def show_value(value: Any) -> str:
    """A value of a flag as a person would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}s" if isinstance(value, float) else str(value)
