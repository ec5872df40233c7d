"""Whether a request to one of this process' own pages comes from somebody who may read it.

The API server decides: TokenReview says whose bearer token it is, SubjectAccessReview whether that user has
the right on the page's path (controller-runtime ``filters.WithAuthenticationAndAuthorization``). Its answers
are kept for a short time in bounded numbers. A token itself is never kept, logged or sent back.
"""

import asyncio
import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from aiohttp import web

from kfx.kube.client import Client
from kfx.kube.errors import ApiError, Forbidden, ServerError, TooManyRequests, TransportError
from kfx.kube.model import Model
from kfx.kube.resource import Resource
from kfx.kube.transport import ConnectionCut
from kfx.runtime.log import get_logger
from kfx.runtime.optional_server import plain

TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
# seconds for which an answer is kept; controller-runtime's figures
TOKEN_TTL = 60.0
ALLOWED_TTL = 300.0
REFUSED_TTL = 30.0
ENTRIES = 256
"""Answers kept at most, of each sort: scrapers are few, and the least used gives way."""
PATIENCE = 10.0
"""Seconds for both reviews of one request."""
LONGEST_NAME = 256
VERB = "get"
"""The right that every request needs, HEAD too."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
_NO_TOKEN = "401 no valid bearer token: send one that this cluster's API server accepts\n"  # noqa: S105
_AWAY = "503 the API server, which decides who may read this, gives no answer: try again\n"
_NOT_ALLOWED = "500 this server may not ask the API server who you are; its log names the missing right\n"
_REFUSED = "500 the API server refused to decide who may read this; this server's log says why\n"

log = get_logger("access")

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class User(Model):
    """Who a token stands for, as the API server names them."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] | None = None


class _TokenStatus(Model):
    authenticated: bool = False
    user: User = User()


class _AccessStatus(Model):
    allowed: bool = False


class Remembered(Generic[K, V]):
    """Values that are forgotten after their time, and the least used of more than ``entries`` at once."""

    def __init__(self, *, entries: int = ENTRIES, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries = entries
        self._clock = clock
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """The value, unless its time is over."""
        until, value = self._kept.get(key, (0.0, None))
        if value is None or self._clock() >= until:
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, key: K, value: V, seconds: float) -> None:
        """Keep ``value`` for ``seconds``."""
        self._kept[key] = (self._clock() + seconds, value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._entries:
            self._kept.popitem(last=False)


class AccessReviewer:
    """Refuses requests whose sender the API server does not know, or does not let read the path.

    ``client`` needs the right to create tokenreviews and subjectaccessreviews. An answer is kept for 60 s
    (whose token), 300 s (may) and 30 s (may not, or no token of anybody): a right that is taken away counts
    that much longer. ``patience``: seconds for both questions.
    """

    def __init__(
        self,
        client: Client,
        *,
        user_agent: str = "access",
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client.without_fence(user_agent)
        self._patience = patience
        self._key = secrets.token_bytes(32)
        self._users: Remembered[bytes, User] = Remembered(clock=clock)
        self._strangers: Remembered[bytes, bool] = Remembered(clock=clock)
        self._verdicts: Remembered[tuple[bytes, str], bool] = Remembered(clock=clock)
        self._said = ""

    async def refusal(self, request: web.BaseRequest) -> web.Response | None:
        """What to answer in place of the page: 401, 403, 500 or 503; None for somebody who may read it."""
        token = token_of(request.headers.getall("Authorization", []))
        if not token:
            return _unauthorized()
        path = request.path
        try:
            async with asyncio.timeout(self._patience):
                user = await self._user_of(token)
                if user is None:
                    return _unauthorized()
                allowed = await self._may(user, path)
        except (ApiError, TransportError, TimeoutError) as failed:
            return self._undecided(failed)
        self._said = ""
        return None if allowed else plain(403, _forbidden(user.username, path))

    async def _user_of(self, token: str) -> User | None:
        digest = hashlib.blake2b(token.encode(), key=self._key, digest_size=32).digest()
        if self._strangers.get(digest):
            return None
        user = self._users.get(digest)
        if user is None:
            found = await self._review(TOKEN_REVIEWS, {"token": token}, _TokenStatus)
            if not found.authenticated or not found.user.username:
                self._strangers.put(digest, True, REFUSED_TTL)
                return None
            user = found.user
            self._users.put(digest, user, TOKEN_TTL)
        return user

    async def _may(self, user: User, path: str) -> bool:
        key = (msgspec.json.encode(user, order="sorted"), path)
        allowed = self._verdicts.get(key)
        if allowed is None:
            spec = {
                "user": user.username,
                "uid": user.uid,
                "groups": user.groups,
                "extra": user.extra or {},
                "nonResourceAttributes": {"path": path, "verb": VERB},
            }
            allowed = (await self._review(ACCESS_REVIEWS, spec, _AccessStatus)).allowed
            self._verdicts.put(key, allowed, ALLOWED_TTL if allowed else REFUSED_TTL)
        return allowed

    async def _review(self, resource: Resource, spec: Mapping[str, Any], kind: type[V]) -> V:
        manifest = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        try:
            answer = await self._client.create(resource, manifest)
        except ConnectionCut:
            answer = await self._client.create(resource, manifest)  # it changes nothing: ask once more
        try:
            return msgspec.convert(answer.get("status", {}), kind)
        except msgspec.ValidationError:
            raise TransportError(f"POST {resource.path()}: the answer has no usable status") from None

    def _undecided(self, failed: Exception) -> web.Response:
        """What the server says about a review is not logged, save about rights: it may repeat the token."""
        match failed:
            case Forbidden():
                self._say_once(
                    "access cannot be decided; let this process create tokenreviews.authentication.k8s.io "
                    "and subjectaccessreviews.authorization.k8s.io (ClusterRole system:auth-delegator)",
                    str(failed),
                )
                return plain(500, _NOT_ALLOWED)
            case ApiError() if not isinstance(failed, (ServerError, TooManyRequests)):
                self._say_once(
                    "access cannot be decided", f"{failed.path}: {failed.status} {failed.reason}".strip()
                )
                return plain(500, _REFUSED)
            case ApiError():
                self._say_once("access cannot be decided now", f"{failed.path}: {failed.status}")
            case _:
                self._say_once("access cannot be decided now", str(failed) or "no answer in time")
        response = plain(503, _AWAY)
        response.headers["Retry-After"] = "1"
        return response

    def _say_once(self, what: str, problem: str) -> None:
        if problem != self._said:
            self._said = problem
            log.warning(what, error=problem)


def token_of(headers: list[str]) -> str:
    """The bearer token of the only Authorization header; ``""`` where there is none or it is malformed."""
    if len(headers) != 1:
        return ""
    scheme, _, token = headers[0].strip().partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and _TOKEN.fullmatch(token) else ""


def _unauthorized() -> web.Response:
    response = plain(401, _NO_TOKEN)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _forbidden(username: str, path: str) -> str:
    name = " ".join(username[:LONGEST_NAME].split())
    return (
        f"403 {name} has no right to {VERB} {path}: bind it to a ClusterRole with the rule "
        f'{{nonResourceURLs: ["{path}"], verbs: ["{VERB}"]}}\n'
    )
