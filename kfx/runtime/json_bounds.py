"""How much a JSON text holds, told from its bytes before any of it becomes an object in memory."""

import re

DEEPEST = 100
"""Levels of nesting: what walks a document may recurse."""
INT64_DIGITS = 19


class ExcessiveJson(Exception):
    """The text holds too much; the message continues a sentence that begins with its name."""


_STRINGS = re.compile(rb'(?:"[^"]*+")++')  # possessive, so that no text makes it slow
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_MARKS = bytes(each for each in range(256) if each not in b'[]{},"')
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * INT64_DIGITS


def check_json(text: bytes, *, most_values: int) -> bool:
    """Whether a number beyond 64 bits may be in it, which only a look at each of its numbers can tell.

    Every list and object counts as a value, and each further element and member. One pass finds hardly any
    text worth a closer look. The text must be JSON, or the answer may be wrong.
    Raises :class:`ExcessiveJson` for more values, or more than 100 levels.
    """
    scanned = text.translate(_DIGITS_ALIKE, b"[{")
    has_long_number = _LONG_NUMBER in scanned
    openings = len(text) - len(scanned)
    del scanned  # as long as the text
    if openings > DEEPEST or (len(text) > most_values and openings + text.count(b",") > most_values):
        _look_closer(text, most_values)
    return has_long_number


def _look_closer(text: bytes, most_values: int) -> None:
    """Take out the strings, as what stands in them does not count."""
    many = f"has more than {most_values} values; shorten its lists"
    if text.count(b'"') - text.count(b'\\"') > 4 * most_values:
        raise ExcessiveJson(many)
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text
    marks = plain.translate(_SQUARE, _NO_MARKS).replace(b'""', b"")  # strings without marks, or between two
    marks = _STRINGS.sub(b"", marks)
    if marks.count(b",") + marks.count(b"[") > most_values:
        raise ExcessiveJson(many)
    brackets = marks.translate(None, b",")
    for _ in range(DEEPEST):
        brackets = brackets.replace(b"[]", b"")  # takes away the innermost level everywhere
    if brackets:
        raise ExcessiveJson(f"is nested more than {DEEPEST} levels deep; make it flatter")
