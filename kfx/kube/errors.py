"""What can go wrong between a client and the API server.

ApiError               the server answered, and said no
├── BadRequest         400, the request makes no sense
├── Unauthorized       401, the credentials are not accepted
├── Forbidden          403, RBAC: trying again helps only after a person acts
├── NotFound           404, the object or its kind is not there
├── Conflict           409, our resourceVersion is stale: read again, decide again
├── AlreadyExists      409, somebody (often we) made it already
├── Expired            410, the version or continue token is forgotten: list again
├── Invalid            422, the object breaks a rule of its kind
├── TooManyRequests    429, later; ``retry_after`` says when
└── ServerError        5xx
TransportError         no usable answer arrived
└── Interrupted        the answer broke off after it had begun
"""

import msgspec

MESSAGE_LIMIT = 1024  # bytes of a server's message that are kept


class ApiError(Exception):
    """The server's refusal of one request.

    ``status`` is the HTTP status, ``reason`` the Kubernetes reason (``""`` when the answer was not a
    Status), ``message`` the server's words, cut at 1 KiB, ``retry_after`` seconds or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        reason: str = "",
        method: str = "",
        path: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.method = method
        self.path = path
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status} {self.reason or 'no reason'}: {self.message}"


class BadRequest(ApiError):
    """400."""


class Unauthorized(ApiError):
    """401."""


class Forbidden(ApiError):
    """403."""


class NotFound(ApiError):
    """404."""


class Conflict(ApiError):
    """409: the resourceVersion or uid given is not the stored one."""


class AlreadyExists(ApiError):
    """409: the name is taken."""


class Expired(ApiError):
    """410."""


class Invalid(ApiError):
    """422."""


class TooManyRequests(ApiError):
    """429."""


class ServerError(ApiError):
    """5xx."""


class TransportError(Exception):
    """No usable answer; whether a write was performed is unknown."""


class Unreachable(TransportError):
    """No connection came about, so nothing was sent. The transport has logged it, once for the outage."""


class Interrupted(TransportError):
    """The answer broke off after it had begun."""


_BY_REASON: dict[str, type[ApiError]] = {
    "BadRequest": BadRequest,
    "Unauthorized": Unauthorized,
    "Forbidden": Forbidden,
    "NotFound": NotFound,
    "Conflict": Conflict,
    "AlreadyExists": AlreadyExists,
    "Expired": Expired,
    "Gone": Expired,
    "Invalid": Invalid,
    "TooManyRequests": TooManyRequests,
    "ServerTimeout": ServerError,
    "Timeout": ServerError,
    "InternalError": ServerError,
    "ServiceUnavailable": ServerError,
}

_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Invalid,
    429: TooManyRequests,
}


class _Status(msgspec.Struct):
    kind: str | None = None
    reason: str | None = None
    message: str | None = None
    code: int | None = None


def error_from_status(
    status: int, body: bytes, *, method: str, path: str, retry_after: float | None = None
) -> ApiError:
    """The error that a refusal stands for: by its Kubernetes reason, and by its code where it names none.

    ``body`` may be anything; what is no Status becomes the message as it stands, cut at 1 KiB.
    """
    said = _decode_status(body)
    reason, text = said.reason or "", said.message or ""
    if not text:
        text = _cut(body).strip() or "the server gave no message"
    kind = _BY_REASON.get(reason) or _BY_STATUS.get(status) or (ServerError if status >= 500 else ApiError)
    return kind(
        _cut(text.encode()), status=status, reason=reason, method=method, path=path, retry_after=retry_after
    )


def error_from_event(body: bytes, *, path: str) -> ApiError:
    """The error that the object of a watch's ERROR event stands for; its code is the Status' own."""
    code = _decode_status(body).code
    return error_from_status(500 if code is None else code, body, method="WATCH", path=path)


def _decode_status(body: bytes) -> _Status:
    try:
        said = msgspec.json.decode(body, type=_Status)
    except (ValueError, RecursionError):
        return _Status()
    return said if said.kind == "Status" else _Status()


def _cut(text: bytes) -> str:
    return text[:MESSAGE_LIMIT].decode("utf-8", "replace")
