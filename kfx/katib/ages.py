"""Times of objects as ages, for people to read."""

from collections.abc import Iterable
from datetime import datetime

from kfx.kube.model import Condition

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


def parse_time(text: str | None) -> datetime | None:
    """An RFC 3339 time, ``None`` for none and for what is no time with an offset."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def seconds_since(text: str | None, now: datetime) -> float | None:
    """Seconds from the time in ``text`` to ``now``, at least 0; ``None`` where there is no time."""
    found = parse_time(text)
    return None if found is None else max(0.0, (now - found).total_seconds())


def latest(times: Iterable[str | None]) -> str:
    """The latest of some times of whole seconds in UTC; ``""`` for none."""
    return max((t for t in times if t), default="")


def change_times(conditions: Iterable[Condition]) -> list[str | None]:
    """When each condition was written last."""
    return [c.last_update_time or c.last_transition_time for c in conditions]


def spell(seconds: float | None) -> str:
    """A duration as kubectl writes ages (``4m12s``, ``3h``, ``12d``); ``<unknown>`` for ``None``."""
    if seconds is None:
        return "<unknown>"
    whole = int(seconds)
    if whole < 2 * MINUTE:
        return f"{whole}s"
    if whole < 3 * HOUR:
        return _pair(whole, MINUTE, "m", 1, "s", below=10 * MINUTE)
    if whole < 2 * DAY:
        return _pair(whole, HOUR, "h", MINUTE, "m", below=8 * HOUR)
    if whole < 2 * YEAR:
        return _pair(whole, DAY, "d", HOUR, "h", below=8 * DAY)
    return _pair(whole, YEAR, "y", DAY, "d", below=8 * YEAR)


def spell_age(text: str | None, now: datetime) -> str:
    """How long ago the time in ``text`` was."""
    return spell(seconds_since(text, now))


def _pair(whole: int, unit: int, letter: str, smaller: int, smaller_letter: str, *, below: int) -> str:
    """``5h3m``; from ``below`` on, and where the rest is nothing, ``9h``."""
    rest = whole % unit // smaller
    return f"{whole // unit}{letter}" + (f"{rest}{smaller_letter}" if rest and whole < below else "")
