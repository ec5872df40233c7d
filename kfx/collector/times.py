"""Time stamps of log lines. What passes here is accepted by every database manager."""

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Marks a value without a time."""

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(?:Z|([+-])(\d\d):([0-5]\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 — UTC without a zone, like everything computed from it
_NANOSECONDS = 1_000_000_000


def is_time(text: str) -> bool:
    """Whether it is RFC 3339, and lies within the years 1 to 9999 in UTC."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        return False
    *numbers, sign, hours, minutes = found.groups()
    try:
        year, month, day, hour, minute, second = (int(number) for number in numbers)
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        zone = timezone(-offset if sign == "-" else offset)
        datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(timezone.utc)  # noqa: UP017
    except (ValueError, OverflowError):
        return False
    return True


def time_of_number(text: str) -> str:
    """A JSON number of seconds as RFC 3339, in the way Katib's file collector does it.

    The digits behind the point are taken for a whole number of nanoseconds: 5.28721 is 28721 ns
    after the fifth second. Katib's own tests hold that, so values of both collectors sort alike.
    """
    seconds, _, fraction = format(Decimal(repr(float(text))), "f").removesuffix(".0").partition(".")
    try:
        carried, nanoseconds = divmod(int(fraction or 0), _NANOSECONDS)
        time = _EPOCH + timedelta(seconds=int(seconds) + carried)
    except (ValueError, OverflowError):
        return ZERO_TIME
    digits = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{time.year:04d}-{time:%m-%dT%H:%M:%S}{digits}Z"
