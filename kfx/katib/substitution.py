"""Values into the placeholders of a template, without letting a value change the template's structure.

Stands below :mod:`kfx.katib.trial_template`. Katib replaces text and then parses it. That result is kept
wherever it has the template's own structure; a value for which it has not is put into the parsed template
instead, where it can be nothing but text.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from kfx.katib.document import MAX_BYTES, DocumentError, parse_object

PLACEHOLDER = re.compile(r"\$\{trialParameters\.([^{}]+)\}")
_TAME = re.compile(r"[\w.+-]+", re.ASCII)
_MOST_WORK = 4_000
"""Values, placeholders and hundreds of characters that are read again to find the values that do no harm."""
_SCALARS = (str, int, float, bool, type(None))


def placeholder(name: str) -> str:
    """How a template names the trial parameter ``name``."""
    return "${trialParameters." + name + "}"


def substitute(
    text: str, values: Mapping[str, str], template: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The document of ``text`` with each placeholder replaced by its value, in one pass.

    ``values``: trial parameter name to value. Placeholders of other names stay. ``template``: what ``text``
    holds, where it has been parsed already.
    Raises :class:`DocumentError` where the template itself does not parse, or would grow beyond 1 MiB.
    """
    if template is None:
        template = parse_object(text)
    places = Counter(PLACEHOLDER.findall(text))
    values = {name: value for name, value in values.items() if name in places}
    _check_growth(len(text), places, values)
    found = _by_text(text, values, template)
    if found is not None:
        return found
    parts = list(_parts(template))
    work = sum(places.values()) + len(parts) + len(text) // 100
    plain = _harmless(text, values, template, _MOST_WORK // work)
    half = _by_text(text, plain, template) if plain else template
    if half is None:
        half, plain = template, {}
    rest = {name: value for name, value in values.items() if name not in plain}
    # a name that the text writes with an escape was not counted in it
    escaped = (name for part in parts if isinstance(part, str) for name in PLACEHOLDER.findall(part))
    _check_growth(len(text), Counter(escaped), rest)
    return dict(_filled(half, rest))


def _check_growth(size: int, places: Mapping[str, int], values: Mapping[str, str]) -> None:
    """A long value in many places could fill the memory."""
    size += sum(places[name] * len(value) for name, value in values.items())
    if size > MAX_BYTES:
        raise DocumentError(
            f"with its values the template has {size} characters, more than {MAX_BYTES}; "
            "give shorter values, or use them in fewer places"
        )


def _harmless(
    text: str, values: Mapping[str, str], template: dict[str, Any], attempts: int
) -> dict[str, str]:
    """The values that stay in their places as text, as far as so many attempts tell."""
    plain: dict[str, str] = {}
    tame = {name: value for name, value in values.items() if _TAME.fullmatch(value)}
    tries = [tame, *({name: value} for name, value in values.items() if not PLACEHOLDER.search(value))]
    for each in tries[:attempts]:
        if not each.keys() <= plain.keys() and _by_text(text, each, template) is not None:
            plain.update(each)
    return plain


def _parts(document: Any) -> Iterator[Any]:
    """All keys and all that is no list or object."""
    waiting = [document]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield from each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        else:
            yield each


def _by_text(text: str, values: Mapping[str, str], template: dict[str, Any]) -> dict[str, Any] | None:
    """Katib's way; ``None`` where the values broke out of their places."""
    try:
        found = parse_object(_replace(text, values))
    except DocumentError:
        return None
    return found if _same_structure(template, found, values) else None


def _replace(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def _filled(template: Any, values: Mapping[str, str]) -> Any:
    if isinstance(template, dict):
        found = {_replace(key, values): _filled(item, values) for key, item in template.items()}
        if len(found) != len(template):
            raise DocumentError("two keys of one object became equal; give the parameters different values")
        return found
    if isinstance(template, list):
        return [_filled(item, values) for item in template]
    return _replace(template, values) if isinstance(template, str) else template


def _same_structure(template: Any, found: Any, values: Mapping[str, str]) -> bool:
    if isinstance(template, dict):
        return (
            isinstance(found, dict)
            and len(found) == len(template)
            and all(
                (place := _replace(key, values)) in found and _same_structure(item, found[place], values)
                for key, item in template.items()
            )
        )
    if isinstance(template, list):
        return (
            isinstance(found, list)
            and len(found) == len(template)
            and all(_same_structure(item, other, values) for item, other in zip(template, found, strict=True))
        )
    return _same_leaf(template, found, values)


def _same_leaf(template: Any, found: Any, values: Mapping[str, str]) -> bool:
    """Whether what surrounds the placeholders of one value is still there."""
    literals = _literals(template, values) if isinstance(template, str) else None
    if literals is None:
        return type(template) is type(found) and bool(template == found)
    if literals == ["", ""]:
        return isinstance(found, _SCALARS)
    if not isinstance(found, str) or not found.startswith(literals[0]) or not found.endswith(literals[-1]):
        return False
    at = 0
    for literal in literals:
        at = found.find(literal, at)
        if at < 0:
            return False
        at += len(literal)
    return True


def _literals(text: str, values: Mapping[str, str]) -> list[str] | None:
    """The text between the placeholders that have a value; ``None`` where there is no such placeholder."""
    found, end = [], 0
    for match in PLACEHOLDER.finditer(text):
        if match[1] in values:
            found.append(text[end : match.start()])
            end = match.end()
    return [*found, text[end:]] if found else None
