"""What judges admission requests, and its verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from kfx.runtime.review import AdmissionRequest, Review, encode_answer


@dataclass(frozen=True, slots=True)
class Allowed:
    """Let it pass, changed by ``patch`` (RFC 6902 operations) if there is one; warnings go to the user."""

    patch: Sequence[Mapping[str, Any]] | None = None
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Denied:
    """Refuse it; the user reads ``message``, and ``code`` becomes the HTTP status of their request."""

    message: str
    code: int = 400
    warnings: Sequence[str] = ()


Verdict = Allowed | Denied


class AdmissionHandler(Protocol):
    """Judges what is sent to ``path``."""

    @property
    def path(self) -> str: ...

    async def handle(self, request: AdmissionRequest) -> Verdict:
        """May be called twice for one object, and must not act when ``request.dry_run``.

        InvalidRequest is answered with code 400, anything else raised with code 500.
        """
        ...


@runtime_checkable
class ImmediateHandler(AdmissionHandler, Protocol):
    """One that mostly needs no wait."""

    def handle_now(self, request: AdmissionRequest) -> Verdict | None:
        """What :meth:`handle` would say; None where it must wait for something, or has bad news to explain.

        Whatever it raises, ``handle`` is asked.
        """
        ...


def encode_verdict(review: Review, verdict: Verdict) -> bytes:
    """The answer to a review that was understood, in its version and with its uid."""
    version, uid = review.api_version, review.request.uid
    if isinstance(verdict, Denied):
        return encode_answer(
            api_version=version,
            uid=uid,
            allowed=False,
            code=verdict.code,
            message=verdict.message,
            warnings=verdict.warnings,
        )
    return encode_answer(
        api_version=version,
        uid=uid,
        allowed=True,
        code=200,
        patch=verdict.patch or (),
        warnings=verdict.warnings,
    )
