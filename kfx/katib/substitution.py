"""Values into the placeholders of a template, without letting a value change the template's structure.

Stands below :mod:`kfx.katib.trial_template`. Katib replaces text and then parses it. That result is kept
wherever it has the template's own structure; a value for which it has not is put into the parsed template
instead, where it can be nothing but text.
"""

import re
from collections.abc import Mapping
from typing import Any

from kfx.katib.document import DocumentError, parse_object

PLACEHOLDER = re.compile(r"\$\{trialParameters\.([^{}]+)\}")
_SCALARS = (str, int, float, bool, type(None))


def placeholder(name: str) -> str:
    """How a template names the trial parameter ``name``."""
    return "${trialParameters." + name + "}"


def substitute(text: str, values: Mapping[str, str]) -> dict[str, Any]:
    """The document of ``text`` with each placeholder replaced by its value, in one pass.

    ``values``: trial parameter name to value. Placeholders of other names stay.
    Raises :class:`DocumentError` where the template itself does not parse.
    """
    template = parse_object(text)
    found = _by_text(text, values, template)
    if found is not None:
        return found
    plain = {
        name: value
        for name, value in values.items()
        if not PLACEHOLDER.search(value) and _by_text(text, {name: value}, template) is not None
    }
    half = _by_text(text, plain, template)
    if half is None:
        half, plain = template, {}
    found = _filled(half, {name: value for name, value in values.items() if name not in plain})
    return dict(found)


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
