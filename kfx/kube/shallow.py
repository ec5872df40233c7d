"""The members of a JSON text, found without descending into them.

The decoder gives up on texts nested a few hundred levels deep, and with them on the whole page or watch
line they are part of. A server accepts such objects, so one of them must not hide all the others: where
the decoder gives up, this slower splitter separates what is readable from what is not.
"""

import re

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{},:]', re.DOTALL)


def split_members(text: bytes) -> dict[str, bytes]:
    """The members of an object as unread texts; raises ``ValueError`` when ``text`` is no JSON object."""
    members: dict[str, bytes] = {}
    for part in _split(text, b"{}"):
        name = _TOKEN.match(part)
        colon = part.find(b":", name.end()) if name else -1
        if name is None or colon < 0:
            raise ValueError("not a JSON object")
        members[name.group()[1:-1].decode("utf-8", "replace")] = part[colon + 1 :].strip()
    return members


def split_elements(text: bytes) -> list[bytes]:
    """The elements of an array as unread texts; raises ``ValueError`` when ``text`` is no JSON array."""
    return _split(text, b"[]")


def _split(text: bytes, brackets: bytes) -> list[bytes]:
    text = text.strip()
    if len(text) < 2 or text[:1] != brackets[:1] or text[-1:] != brackets[1:]:
        raise ValueError("not a JSON container of the expected kind")
    parts, depth, start = [], 0, 1
    for token in _TOKEN.finditer(text):
        match token.group():
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
            case b"," if depth == 1:
                parts.append(text[start : token.start()].strip())
                start = token.end()
    if depth != 0:
        raise ValueError("brackets are not balanced")
    last = text[start:-1].strip()
    return [*parts, last] if last or parts else []
