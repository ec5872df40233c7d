"""How a registry wants to be convinced: the ``WWW-Authenticate`` headers of a refusal."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SCHEME = re.compile(r"\s*([A-Za-z]+)(?:\s+|$)")
_PARAMETER = re.compile(r"\s*,?\s*([A-Za-z]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*+)\"|([^\s,\"]+))")


@dataclass(frozen=True, slots=True)
class Challenge:
    """``scheme`` is ``basic`` or ``bearer``; only the latter has a ``realm`` to ask for a token."""

    scheme: str
    realm: str = ""
    service: str = ""


def parse_challenges(headers: Iterable[str]) -> Challenge | None:
    """The way to be taken, ``None`` where none of them is known. A token is preferred."""
    found = [challenge for header in headers if (challenge := _parse(header)) is not None]
    return min(found, key=lambda challenge: challenge.scheme != "bearer") if found else None


def _parse(header: str) -> Challenge | None:
    start = _SCHEME.match(header)
    scheme = start[1].lower() if start else ""
    if start is None or scheme not in {"basic", "bearer"}:
        return None
    values = {
        match[1].lower(): re.sub(r"\\(.)", r"\1", match[2] if match[2] is not None else match[3])
        for match in _PARAMETER.finditer(header, start.end())
    }
    realm = values.get("realm", "")
    if scheme == "bearer" and not realm:
        return None
    return Challenge(scheme, realm, values.get("service", ""))
