"""RFC 3339, as Katib's database manager reads and writes it.

Stored times are UTC without a zone, whole microseconds. The zero time, 0001-01-01T00:00:00Z, marks a
value without a time and comes back unchanged.
"""

import re
from datetime import UTC, datetime, timedelta

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)


def parse_time(text: str) -> datetime:
    """UTC, naive; digits beyond microseconds are cut. Raises ValueError unless it is RFC 3339."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError("not an RFC 3339 time such as 2026-01-31T08:30:00Z")
    year, month, day, hour, minute, second, fraction, sign, off_hours, off_minutes = found.groups()
    microsecond = int(((fraction or "") + "000000")[:6])
    local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), microsecond, UTC)
    if sign is None:
        return local.replace(tzinfo=None)
    if int(off_hours) > 24 or int(off_minutes) > 60:  # the bounds Go's time.Parse has
        raise ValueError("its zone offset is out of range")
    offset = timedelta(hours=int(off_hours), minutes=int(off_minutes))
    try:
        moved = local - offset if sign == "+" else local + offset
    except OverflowError:
        raise ValueError("it lies outside the years 1 to 9999") from None
    return moved.replace(tzinfo=None)


def format_time(time: datetime) -> str:
    """RFC 3339 with ``Z``; a fraction only where there is one, without trailing zeros."""
    text = f"{time.year:04d}-{time:%m-%dT%H:%M:%S}"
    if time.microsecond:
        text += f".{time.microsecond:06d}".rstrip("0")
    return text + "Z"
