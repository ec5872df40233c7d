"""A registry that answers, wants a login, redirects or misbehaves."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from kfx.registry.client import DOCUMENT_LIMIT, MOST_REQUESTS, RegistryClient, Repository
from kfx.registry.errors import RegistryError, RegistryUnavailable
from kfx.registry.logins import Login
from kfx.registry.reference import ImageReference
from tests.oci_registry import Registry, digest_of, serving
from tests.serving import hearing, new_pair, write_pair

pytestmark = pytest.mark.real_time


class Everywhere(AbstractResolver):
    """Every name leads to this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = {"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}
        return [ResolveResult(**found)]  # type: ignore[typeddict-item]

    async def close(self) -> None: ...


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with serving(Registry()) as registry:
        registry.image("team/app", "1", entrypoint=["app"])
        yield registry


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    client = RegistryClient(user_agent="test")
    async with client.running():
        yield client


@asynccontextmanager
async def trusting(folder: Path, registry: Registry) -> AsyncIterator[RegistryClient]:
    """``registry`` behind TLS and a name, and a client that trusts it."""
    registry.name = "registry.test"
    pair = new_pair(registry.name)
    write_pair(folder, pair)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    trusted = ssl.create_default_context(cadata=pair.authorities[0].decode())
    client = RegistryClient(user_agent="test", tls=trusted, resolver=Everywhere())
    async with serving(registry, server), client.running():
        yield client


def repository(
    client: RegistryClient, registry: Registry, login: Login | None = None, name: str = "team/app"
) -> Repository:
    return client.repository(ImageReference(registry.host, name, "1"), login)


def answering(status: int, **headers: str) -> Any:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


MANIFEST = "/v2/team/app/manifests/1"


async def test_a_manifest_is_read_by_its_tag_and_by_its_digest(
    client: RegistryClient, registry: Registry
) -> None:
    found = await repository(client, registry).manifest("1")
    assert await repository(client, registry).manifest(digest_of(found)) == found
    assert registry.paths == [MANIFEST, f"/v2/team/app/manifests/{digest_of(found)}"]


@pytest.mark.parametrize("auth", ["basic", "bearer"])
async def test_a_login_is_shown_only_when_it_is_asked_for(
    client: RegistryClient, registry: Registry, auth: str
) -> None:
    registry.auth = auth
    await repository(client, registry, Login(registry.user, registry.password)).manifest("1")
    assert registry.requests[0] == (MANIFEST, "")
    assert [path for path in registry.paths if path != "/token"] == [MANIFEST, MANIFEST]


async def test_a_token_is_asked_for_once_and_without_login_where_there_is_none(
    client: RegistryClient, registry: Registry
) -> None:
    registry.auth, registry.anonymous = "bearer", True
    visit = repository(client, registry)
    found = await visit.manifest("1")
    await visit.manifest(digest_of(found))
    assert registry.requests[1] == ("/token", "")
    assert registry.paths.count("/token") == 1


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize("login", [None, Login("me", "wrong-canary")])
async def test_a_refused_login_is_told_without_showing_it(
    client: RegistryClient, registry: Registry, auth: str, login: Login | None
) -> None:
    registry.auth = auth
    with pytest.raises(RegistryError) as caught:
        await repository(client, registry, login).manifest("1")
    assert "denies access (401)" in str(caught.value)
    assert ("the login of a pull secret" if login else "no pull secret of the pod") in str(caught.value)
    assert "canary" not in str(caught.value)
    assert not isinstance(caught.value, RegistryUnavailable)
    assert len(registry.requests) <= 3


async def test_an_identity_token_is_posted_for_the_token_that_opens_the_registry(
    client: RegistryClient, registry: Registry
) -> None:
    registry.auth, registry.identity_token = "bearer", "id-canary"
    await repository(client, registry, Login("", "", identity_token="id-canary")).manifest("1")
    assert registry.requests[1] == ("/token", "")
    with pytest.raises(RegistryError) as caught:
        await repository(client, registry, Login("", "", identity_token="old-canary")).manifest("1")
    assert "canary" not in repr(caught.value)


async def test_an_identity_token_is_no_password(client: RegistryClient, registry: Registry) -> None:
    registry.auth = "basic"
    with pytest.raises(RegistryError, match="denies access"):
        await repository(client, registry, Login("", "", identity_token="id-canary")).manifest("1")
    assert all(not authorization for _, authorization in registry.requests)


async def test_over_tls_a_name_is_verified_and_a_login_goes_through(tmp_path: Path) -> None:
    registry = Registry(auth="bearer")
    async with trusting(tmp_path, registry) as client:
        registry.image("team/app", "1")
        await repository(client, registry, Login(registry.user, registry.password)).manifest("1")
        stranger = RegistryClient(user_agent="test", resolver=Everywhere())
        async with stranger.running():
            with pytest.raises(RegistryError, match=r"no certificate that is trusted here.*SSL_CERT_FILE"):
                await repository(stranger, registry).manifest("1")


@pytest.mark.parametrize(
    ("realm", "text"),
    [
        ("http://127.0.0.1:1/token", "without TLS"),
        ("https://127.0.0.1:1/token", "to its own machine"),
        ("https://localhost/token", "to its own machine"),
        ("http://169.254.169.254/latest/meta-data", r"to 169\.254\.169\.254 without TLS"),
        ("http://metadata.internal/", "without TLS"),
        ("file:///etc/passwd", "no address"),
        ("https://me:pw@r.io/token", "no address"),
        ("https://[", "no address"),
    ],
)
async def test_a_registry_cannot_send_kfx_where_it_has_no_business(
    tmp_path: Path, realm: str, text: str
) -> None:
    registry = Registry()
    login = Login("me", "s3cret-canary")
    async with trusting(tmp_path, registry) as client:
        registry.answers[MANIFEST] = answering(401, WWW_Authenticate=f'Bearer realm="{realm}"')
        with pytest.raises(RegistryError, match=text):
            await repository(client, registry, login).manifest("1")
        registry.answers[MANIFEST] = answering(307, Location=realm)
        with pytest.raises(RegistryError, match=text):
            await repository(client, registry, login).manifest("1")


async def test_a_registry_without_tls_sends_kfx_only_to_others_of_its_kind(
    client: RegistryClient, registry: Registry
) -> None:
    async with serving(Registry()) as other:
        other.content["/elsewhere"] = ("application/json", b"{}")
        registry.answers[MANIFEST] = answering(307, Location=f"http://{other.host}/elsewhere")
        assert await repository(client, registry).manifest("1") == b"{}"
    registry.answers[MANIFEST] = answering(307, Location="http://example.test/")
    with pytest.raises(RegistryError, match=r"to example\.test without TLS"):
        await repository(client, registry).manifest("1")


async def test_a_redirect_elsewhere_takes_no_login_along(client: RegistryClient, registry: Registry) -> None:
    registry.auth = "basic"
    async with serving(Registry()) as other:
        other.content["/store"] = ("application/json", b"{}")

        async def redirect(request: web.Request) -> web.Response:
            if "Authorization" not in request.headers:
                return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
            return web.Response(status=302, headers={"Location": f"http://{other.host}/store?sig=a%2Fb"})

        registry.answers[MANIFEST] = redirect
        visit = repository(client, registry, Login(registry.user, registry.password))
        assert await visit.manifest("1") == b"{}"
        assert other.requests == [("/store", "")]


async def test_redirects_in_circles_end(client: RegistryClient, registry: Registry) -> None:
    registry.answers[MANIFEST] = answering(302, Location=MANIFEST)
    with pytest.raises(RegistryError, match="redirects in circles"):
        await repository(client, registry).manifest("1")
    assert len(registry.requests) == MOST_REQUESTS


async def test_a_token_endpoint_may_not_redirect(client: RegistryClient, registry: Registry) -> None:
    registry.auth = "bearer"
    registry.answers["/token"] = answering(302, Location="/elsewhere")
    with pytest.raises(RegistryError, match="answers 302"):
        await repository(client, registry).manifest("1")


@pytest.mark.parametrize(
    "token", ['{"token": "a\\nb"}', '{"token": ""}', "{}", "[]", "token", '{"token": 1}']
)
async def test_a_token_that_is_none_is_not_sent(
    client: RegistryClient, registry: Registry, token: str
) -> None:
    async def give(_request: web.Request) -> web.Response:
        return web.Response(text=token)

    registry.auth = "bearer"
    registry.answers["/token"] = give
    with pytest.raises(RegistryError, match="gives no token that can be read"):
        await repository(client, registry).manifest("1")


@pytest.mark.parametrize("kind", ["manifest", "blob"])
async def test_other_content_than_the_digest_says_is_refused(
    client: RegistryClient, registry: Registry, kind: str
) -> None:
    digest = "sha256:" + "0" * 64
    registry.content[f"/v2/team/app/{kind}s/{digest}"] = ("application/json", b"{}")
    with pytest.raises(RegistryError, match=f"sent something else than {digest}"):
        await getattr(repository(client, registry), kind)(digest)


async def test_no_more_is_read_than_a_manifest_may_have(client: RegistryClient, registry: Registry) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(64):
            await response.write(b" " * 1024 * 1024)
            sent += 1
        return response

    registry.answers[MANIFEST] = endless
    with pytest.raises(RegistryError, match=f"sent more than {DOCUMENT_LIMIT} bytes"):
        await repository(client, registry).manifest("1")
    assert sent < 64


@pytest.mark.parametrize(
    ("status", "temporary"), [(404, False), (403, False), (418, False), (429, True), (503, True)]
)
async def test_a_refusal_is_told_and_whether_it_may_pass(
    client: RegistryClient, registry: Registry, status: int, temporary: bool
) -> None:
    registry.answers[MANIFEST] = answering(status)
    with pytest.raises(RegistryError, match=rf"{registry.host}.*{status}") as caught:
        await repository(client, registry).manifest("1")
    assert isinstance(caught.value, RegistryUnavailable) is temporary


async def test_a_registry_that_is_not_there_may_be_there_later(
    client: RegistryClient, unused_tcp_port: int
) -> None:
    with pytest.raises(RegistryUnavailable, match="does not answer"):
        await repository(client, Registry(port=unused_tcp_port)).manifest("1")


async def test_without_being_run_a_client_asks_nobody(registry: Registry) -> None:
    with pytest.raises(RegistryUnavailable, match=r"outside running\(\)"):
        await repository(RegistryClient(user_agent="test"), registry).manifest("1")


async def test_the_environments_proxy_is_used_but_not_towards_this_machine(
    client: RegistryClient, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hearing() as (proxy, received):
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")
        await repository(client, registry).manifest("1")
        assert received == b""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.repository(ImageReference("r.test", "a", "1"), None).manifest("1")
        await asyncio.sleep(0.05)
        assert received.startswith(b"CONNECT r.test:443 HTTP/1.1")


async def test_the_logins_of_the_process_own_user_are_not_used(
    client: RegistryClient, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login admin password canary")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    await repository(client, registry).manifest("1")
    assert registry.requests == [(MANIFEST, "")]


def test_plain_http_is_for_this_machine_and_for_those_that_were_named() -> None:
    client = RegistryClient(user_agent="test", plain_http=["r.local:5000"])
    plain = ["localhost:5000", "127.0.0.1", "[::1]:5000", "r.local:5000"]
    assert [host for host in [*plain, "r.local", "10.0.0.1:5000", "r.io"] if client.is_plain(host)] == plain
