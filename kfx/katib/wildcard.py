"""Patterns with ``*`` (any run), ``?`` (any character) and a backslash (the next character as it is).

Matching takes the leftmost place for each part between stars and never goes back, so that a pattern from a
user cannot make it slow; what a match may take at most is known before it is tried.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

CACHED = 256  # patterns

# How many of each cost about as much as one step of an evaluation (half a microsecond).
_PARTS = 8
_FOUND = 100  # characters of text in which plain parts are looked for
_TRIED = 50  # comparisons of single characters: a part with "?" is tried at every place


@dataclass(frozen=True, slots=True)
class _Part:
    """What stands between two stars: ``text``, or ``pattern`` where it has a ``?``."""

    length: int
    text: str
    pattern: re.Pattern[str] | None

    def is_at(self, text: str, start: int) -> bool:
        if self.pattern is None:
            return text.startswith(self.text, start)
        return self.pattern.match(text, start) is not None

    def find(self, text: str, start: int, end: int) -> int:
        """The first place in ``text[start:end]``, -1 for none."""
        if self.pattern is None:
            return text.find(self.text, start, end)
        found = self.pattern.search(text, start, end)
        return found.start() if found else -1


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A pattern, taken apart. ``shortest``: characters of the shortest text that matches."""

    parts: tuple[_Part, ...]
    shortest: int

    def cost(self, text: str) -> int:
        """Steps that :meth:`matches` takes at most, in those of an evaluation."""
        if len(text) < self.shortest:
            return 1
        tried = sum(part.length for part in self.parts if part.pattern is not None)
        return 1 + len(self.parts) // _PARTS + len(text) // _FOUND + len(text) * tried // _TRIED

    def matches(self, text: str) -> bool:
        """Whether the whole of ``text`` matches."""
        first, last = self.parts[0], self.parts[-1]
        if len(self.parts) == 1:
            return len(text) == self.shortest and first.is_at(text, 0)
        end = len(text) - last.length
        if len(text) < self.shortest or not first.is_at(text, 0) or not last.is_at(text, end):
            return False
        at = first.length
        for part in self.parts[1:-1]:
            at = part.find(text, at, end)
            if at < 0:
                return False
            at += part.length
        return True


@lru_cache(CACHED)
def compile_wildcard(pattern: str) -> Wildcard:
    """The pattern, taken apart once. Never fails: a backslash at the end stands for itself."""
    parts: list[list[str]] = [[]]
    i = 0
    while i < len(pattern):
        char = pattern[i]
        if char == "\\" and i + 1 < len(pattern):
            i += 1
            parts[-1].append(pattern[i])
        elif char == "*":
            parts.append([])
        else:
            parts[-1].append("" if char == "?" else char)
        i += 1
    inner = [part for part in parts[1:-1] if part]
    kept = [parts[0], *inner, parts[-1]] if len(parts) > 1 else parts
    return Wildcard(tuple(map(_part, kept)), sum(map(len, kept)))


def _part(chars: list[str]) -> _Part:
    """``chars``: single characters, ``""`` for any."""
    if all(chars):
        return _Part(len(chars), "".join(chars), None)
    pattern = "".join(re.escape(char) if char else "." for char in chars)
    return _Part(len(chars), "", re.compile(pattern, re.DOTALL))
