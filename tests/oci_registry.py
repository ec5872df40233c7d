"""A registry of images on a free loopback port, as strict or broken as asked: OCI distribution, pull side."""

import base64
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Registry:
    """``auth``: empty, ``basic`` or ``bearer``; then only ``user`` with ``password`` is let in, or who posts
    ``identity_token``, unless ``anonymous`` tokens are given. ``answers`` by path replace what would be said.
    """

    auth: str = ""
    anonymous: bool = False
    user: str = "me"
    password: str = "s3cret-canary"
    identity_token: str = ""
    port: int = 0
    scheme: str = "http"
    name: str = "127.0.0.1"
    content: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"{self.name}:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    def store(self, repository: str, kind: str, content: bytes, *versions: str) -> str:
        """Content below ``manifests`` or ``blobs``, by its digest and by more names."""
        digest = digest_of(content)
        media = "application/octet-stream"
        if kind == "manifests":
            media = json.loads(content).get("mediaType", MANIFEST)
        for version in (digest, *versions):
            self.content[f"/v2/{repository}/{kind}/{version}"] = (media, content)
        return digest

    def image(self, repository: str, *tags: str, entrypoint: Any = None, cmd: Any = None, **more: Any) -> str:
        """An image of one platform; the digest of its manifest."""
        config = {"os": "linux", "config": {"Entrypoint": entrypoint, "Cmd": cmd}, **more}
        digest = self.store(repository, "blobs", json.dumps(config).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest},
        }
        return self.store(repository, "manifests", json.dumps(manifest).encode(), *tags)

    def index(self, repository: str, tag: str, images: Sequence[tuple[str, str, str]]) -> str:
        """An index of ``(os, architecture, digest)``."""
        manifests = [
            {"mediaType": MANIFEST, "digest": digest, "platform": {"os": os, "architecture": architecture}}
            for os, architecture, digest in images
        ]
        content = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        return self.store(repository, "manifests", json.dumps(content).encode(), tag)

    def secret(self, place: str = "") -> dict[str, Any]:
        """A pull secret for it."""
        auth = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        config = {"auths": {place or self.host: {"auth": auth}}}
        data = base64.b64encode(json.dumps(config).encode()).decode()
        return {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": data}}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get("Authorization", "")
        self.requests.append((request.path, authorization))
        if request.path in self.answers:
            return await self.answers[request.path](request)
        basic = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if request.path == "/token" and request.method == "POST":
            form = await request.post()
            assert form["service"] == "the registry"
            assert form["grant_type"] == "refresh_token"
            if not self.identity_token or form["refresh_token"] != self.identity_token:
                return web.Response(status=401)
            return web.json_response({"access_token": "tok-" + str(form["scope"])})
        if request.path == "/token":
            if authorization == basic or self.anonymous:
                assert request.query["service"] == "the registry"
                return web.json_response({"token": f"tok-{request.query['scope']}"})
            return web.Response(status=401)
        if self.auth and not self._let_in(request, authorization, basic):
            return web.Response(status=401, headers={"WWW-Authenticate": self._challenge()})
        media, content = self.content.get(request.path, ("", b""))
        if not media:
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, status=404)
        return web.Response(body=content, content_type=media)

    def _let_in(self, request: web.Request, authorization: str, basic: str) -> bool:
        repository = request.path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")[0]
        token = f"Bearer tok-repository:{repository}:pull"
        return authorization == (basic if self.auth == "basic" else token)

    def _challenge(self) -> str:
        if self.auth == "basic":
            return 'Basic realm="the registry"'
        realm = f"{self.scheme}://{self.host}/token"
        return f'Bearer realm="{realm}",service="the registry",scope="repository:x:pull"'


@asynccontextmanager
async def serving(registry: Registry, tls: ssl.SSLContext | None = None) -> AsyncIterator[Registry]:
    """The registry, reachable at its ``host`` inside the block."""
    application = web.Application()
    application.router.add_get("/{path:.*}", registry.answer)
    application.router.add_post("/{path:.*}", registry.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        registry.port = runner.addresses[0][1]
        registry.scheme = "https" if tls else "http"
        yield registry
    finally:
        await runner.cleanup()
