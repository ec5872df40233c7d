"""Numbers in text, read as Katib reads them: the syntax of Go's ``strconv.ParseFloat``."""

import math
import re

_DIGITS = r"[0-9](?:_?[0-9])*"
_DECIMAL = re.compile(
    rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?", re.ASCII
)
_HEX_DIGITS = r"[0-9a-fA-F](?:_?[0-9a-fA-F])*"
_HEXADECIMAL = re.compile(
    rf"[+-]?0[xX](?:_?{_HEX_DIGITS}(?:\.(?:{_HEX_DIGITS})?)?|\.{_HEX_DIGITS})[pP][+-]?{_DIGITS}", re.ASCII
)
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
LONGEST = 4096  # characters; a longer text is no number of anybody's


def parse_float(text: str, *, clamp: bool = False) -> float | None:
    """The number, or ``None`` where Go refuses the text: blanks around it, nothing, out of range.

    ``NaN``, ``Inf``, hexadecimal forms and underscores between digits are accepted. With ``clamp`` a number
    too large is infinite instead of refused.
    """
    if len(text) > LONGEST:
        return None
    if text.lower() == "nan":
        return math.nan
    if _INFINITE.fullmatch(text):
        return -math.inf if text.startswith("-") else math.inf
    found = _read_finite(text)
    if found is not None and math.isinf(found) and not clamp:
        return None
    return found


def _read_finite(text: str) -> float | None:
    """The value of a decimal or hexadecimal form; infinite where it is out of range."""
    plain = text.replace("_", "")
    if _DECIMAL.fullmatch(text):
        return float(plain)
    if not _HEXADECIMAL.fullmatch(text):
        return None
    try:
        return float.fromhex(plain)
    except OverflowError:
        return -math.inf if plain.startswith("-") else math.inf
