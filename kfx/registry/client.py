"""Requests to registries, which only read, with their logins, their redirects and a limit to everything."""

import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from kfx.kube.model import Model
from kfx.registry.challenge import Challenge, parse_challenges
from kfx.registry.errors import RegistryError, RegistryUnavailable
from kfx.registry.logins import Login
from kfx.registry.reference import ImageReference, is_digest
from kfx.runtime.address import is_loopback

CONNECT_TIMEOUT = 3.0  # seconds
CONNECTIONS = 16
MOST_REQUESTS = 6
"""For one document: a refusal, its repetition with a token, and redirects."""
DOCUMENT_LIMIT = 4 * 1024 * 1024  # bytes; what registries take as a manifest
TOKEN_LIMIT = 64 * 1024  # bytes

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TEMPORARY = frozenset({408, 429, 500, 502, 503, 504})
_TOKEN = re.compile(r"[\x21-\x7e]+")


class _Token(Model):
    token: str = ""
    access_token: str = msgspec.field(name="access_token", default="")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    location: str
    challenges: Sequence[str]


class RegistryClient:
    """Connections to any registry. ``plain_http``: ``host[:port]`` of registries without TLS.

    ``tls`` and ``resolver``: whom to trust and where names lead, when not as everywhere in the process.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        plain_http: Collection[str] = (),
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._user_agent = user_agent
        self._plain_http = frozenset(plain_http)
        self._tls = tls
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be usable for the length of the block; nothing is connected yet. Proxies are the environment's."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._tls or True, resolver=self._resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            auto_decompress=False,
        ) as session:
            self._session = session
            try:
                yield
            finally:
                self._session = None

    def repository(self, image: ImageReference, login: Login | None) -> "Repository":
        """The image's repository for one visit."""
        return Repository(self, image, login)

    def is_plain(self, authority: str) -> bool:
        """Whether ``host:port`` is spoken to without TLS: this machine's own, and those that were named."""
        return authority in self._plain_http or is_loopback(URL(f"//{authority}").host or "")

    async def ask(
        self, url: URL, headers: Mapping[str, str], limit: int, form: Mapping[str, str] | None = None
    ) -> _Answer:
        """One answer; its body only where it is a success, and never more than ``limit`` bytes.

        A ``form`` is posted. Raises :class:`RegistryError`.
        """
        if self._session is None:
            raise RegistryUnavailable("registries are not asked outside running()")
        try:
            async with self._session.request(
                "GET" if form is None else "POST",
                url,
                headers=headers,
                data=form,
                allow_redirects=False,
                proxy=_proxy_for(url),
            ) as response:
                body = await _read(response, limit) if response.status == 200 else b""
                found = response.headers
                challenges = found.getall("WWW-Authenticate", [])
                return _Answer(response.status, body, found.get("Location", ""), challenges)
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError):
            raise RegistryError(
                f"{_authority(url)} has no certificate that is trusted here; name the file of its authority "
                "in SSL_CERT_FILE"
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as failed:
            raise RegistryUnavailable(
                f"{_authority(url)} does not answer ({type(failed).__name__})"
            ) from None


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > limit:
            raise RegistryError(f"{_authority(response.url)} sent more than {limit} bytes")
    return bytes(found)


class Repository:
    """One image's repository, for one visit: a token that was given is used for what is asked next."""

    def __init__(self, client: RegistryClient, image: ImageReference, login: Login | None) -> None:
        self._client = client
        self._image = image
        self._login = login
        self._plain = client.is_plain(image.host)
        self._base = URL(f"{'http' if self._plain else 'https'}://{image.host}/v2/{image.repository}/")
        self._authorization = ""

    async def manifest(self, version: str) -> bytes:
        """The manifest or index of a tag or digest, the latter verified. Raises :class:`RegistryError`."""
        found = await self._fetch(f"manifests/{version}", ", ".join(MANIFEST_TYPES))
        return _verified(found, version, self._image.host) if is_digest(version) else found

    async def blob(self, digest: str) -> bytes:
        """A verified blob of at most 4 MiB. Raises :class:`RegistryError`."""
        return _verified(await self._fetch(f"blobs/{digest}", "*/*"), digest, self._image.host)

    async def _fetch(self, path: str, accept: str) -> bytes:
        url, authorized = self._base.join(URL(path, encoded=True)), False
        for _ in range(MOST_REQUESTS):
            at_home = url.origin() == self._base.origin()
            headers = {"Accept": accept}
            if self._authorization and at_home:
                headers["Authorization"] = self._authorization
            answer = await self._client.ask(url, headers, DOCUMENT_LIMIT)
            if answer.status == 200:
                return answer.body
            if answer.status == 401 and at_home and not authorized:
                await self._authorize(answer.challenges)
                authorized = True
            elif answer.status in _REDIRECTS:
                url = self._allowed(url, answer.location)
            else:
                raise _refusal(url, answer.status, with_login=self._login is not None)
        raise RegistryError(f"{self._image.host} redirects in circles")

    async def _authorize(self, challenges: Sequence[str]) -> None:
        challenge = parse_challenges(challenges)
        if challenge is not None and challenge.scheme == "bearer":
            self._authorization = f"Bearer {await self._ask_token(challenge)}"
        elif challenge is not None and self._login is not None and self._login.username:
            self._authorization = self._login.basic()
        else:
            raise _refusal(self._base, 401, with_login=self._login is not None)

    async def _ask_token(self, challenge: Challenge) -> str:
        scope = {"scope": f"repository:{self._image.repository}:pull"}
        service = {"service": challenge.service} if challenge.service else {}
        url = self._allowed(self._base, challenge.realm)
        if self._login is not None and self._login.identity_token:
            form = {**service, **scope, **_refresh(self._login.identity_token)}
            answer = await self._client.ask(url, {}, TOKEN_LIMIT, form)
        else:
            headers = {"Authorization": self._login.basic()} if self._login is not None else {}
            answer = await self._client.ask(url.update_query({**service, **scope}), headers, TOKEN_LIMIT)
        if answer.status != 200:
            raise _refusal(url, answer.status, with_login=self._login is not None)
        try:
            found = msgspec.json.decode(answer.body, type=_Token)
        except (ValueError, RecursionError):
            raise RegistryError(f"{_authority(url)} gives no token that can be read") from None
        token = found.token or found.access_token
        if not _TOKEN.fullmatch(token):
            raise RegistryError(f"{_authority(url)} gives no token that can be read")
        return token

    def _allowed(self, start: URL, target: str) -> URL:
        """Where a registry may send kfx: anywhere with TLS but to kfx's own machine, else not away from plain
        HTTP's few hosts.
        """
        try:
            url = start.join(URL(target, encoded=True))
            authority = _authority(url)
        except ValueError:
            authority = ""
        if not authority or url.scheme not in {"http", "https"} or url.user or url.password:
            raise RegistryError(f"{self._image.host} sends kfx to something that is no address")
        reachable_plain = self._plain and self._client.is_plain(authority)
        if url.scheme == "http" and not reachable_plain:
            raise RegistryError(f"{self._image.host} sends kfx to {authority} without TLS")
        if is_loopback(url.host or "") and not self._plain:
            raise RegistryError(f"{self._image.host} sends kfx to its own machine")
        return url.with_fragment(None)


def _refresh(token: str) -> dict[str, str]:
    """An identity token is OAuth's refresh token (distribution's ``spec/auth/oauth``)."""
    return {"grant_type": "refresh_token", "client_id": "kfx", "refresh_token": token}


def _proxy_for(url: URL) -> str | None:
    """The environment's proxy. aiohttp would also read ``.netrc``, whose logins are none of a trial's."""
    host = url.host or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(url.scheme)


def _authority(url: URL) -> str:
    """Host and port, the latter only where it is not the scheme's own, as in images' names."""
    return url.host_port_subcomponent or ""


def _verified(content: bytes, digest: str, host: str) -> bytes:
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise RegistryError(f"{host} sent something else than {digest}")
    return content


def _refusal(url: URL, status: int, *, with_login: bool) -> RegistryError:
    host = _authority(url)
    if status in _TEMPORARY:
        return RegistryUnavailable(f"{host} answers {status}")
    if status in {401, 403}:
        login = "the login of a pull secret or of kfx's Docker configuration"
        if not with_login:
            login = "no login: no pull secret of the pod names it, nor does kfx's Docker configuration"
        return RegistryError(f"{host} denies access ({status}) with {login}")
    if status == 404:
        return RegistryError(f"{host} has no such image (404)")
    return RegistryError(f"{host} answers {status}")
