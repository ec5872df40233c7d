"""Entry points of images in a real registry, with the login that it wants."""

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hack.cluster.layout import cache_dir
from hack.registry import find_registry
from kfx.katib.pod_shape import Container, Named, PodSpec
from kfx.registry.client import RegistryClient
from kfx.registry.docker_config import DockerConfig
from kfx.registry.errors import RegistryError
from kfx.webhooks.image_commands import ImageCommands
from tests.oci_registry import CONFIG, INDEX, MANIFEST, Registry, digest_of
from tests.unit.registry.test_docker_config import install_helper
from tests.unit.webhooks.documents import Documents

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

USER, PASSWORD = "me", "s3cret-canary"
PASSWORD_FILE = f"{USER}:$2y$05$abcdefghijklmnopqrstuullx5kP6GYZcFnepqhmI2H03s5Hsbhlm"  # bcrypt
SETTINGS = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {folder}/passwords}}}}
"""


@pytest.fixture
def registry(tmp_path: Path, unused_tcp_port: int) -> Iterator[Registry]:
    """What it says of itself is the double's; the server is not."""
    (tmp_path / "passwords").write_text(PASSWORD_FILE)
    (tmp_path / "settings.yaml").write_text(SETTINGS.format(folder=tmp_path, port=unused_tcp_port))
    with subprocess.Popen(
        [find_registry(cache_dir()), "serve", tmp_path / "settings.yaml"],
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield Registry(user=USER, password=PASSWORD, port=unused_tcp_port)
        process.terminate()


class Pusher:
    """Somebody with the right to store images."""

    def __init__(self, session: aiohttp.ClientSession, registry: Registry) -> None:
        self._session = session
        self._base = f"http://{registry.host}/v2/team/app"

    async def answers(self) -> bool:
        try:
            async with self._session.get(f"{self._base}/tags/list") as response:
                return response.status == 404
        except aiohttp.ClientError:
            return False

    async def image(self, tag: str, architecture: str, **config: Any) -> dict[str, Any]:
        """Its descriptor."""
        described = {
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers"},
        }
        content = json.dumps(described).encode()
        async with self._session.post(f"{self._base}/blobs/uploads/") as response:
            place = response.headers["Location"]
        await self._put(f"{place}&digest={digest_of(content)}", content, "application/octet-stream")
        blob = {"mediaType": CONFIG, "digest": digest_of(content), "size": len(content)}
        manifest = await self.manifest(tag, {"mediaType": MANIFEST, "config": blob, "layers": []})
        return {**manifest, "platform": {"os": "linux", "architecture": architecture}}

    async def manifest(self, tag: str, document: dict[str, Any]) -> dict[str, Any]:
        content = json.dumps({"schemaVersion": 2, **document}).encode()
        await self._put(f"{self._base}/manifests/{tag}", content, document["mediaType"])
        return {"mediaType": document["mediaType"], "digest": digest_of(content), "size": len(content)}

    async def _put(self, url: str, content: bytes, kind: str) -> None:
        async with self._session.put(url, data=content, headers={"Content-Type": kind}) as response:
            assert response.status == 201, await response.text()


@pytest.fixture
async def pusher(registry: Registry) -> AsyncIterator[Pusher]:
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    async with aiohttp.ClientSession(headers={"Authorization": f"Basic {login}"}) as session:
        pusher = Pusher(session, registry)
        async with asyncio.timeout(30):
            while not await pusher.answers():
                await asyncio.sleep(0.05)
        yield pusher


async def test_a_real_registry_says_what_its_images_run(registry: Registry, pusher: Pusher) -> None:
    plain = await pusher.image("plain", "amd64", Entrypoint=["python3", "train.py"], Cmd=["--x"])
    arm = await pusher.image("arm", "arm64", Cmd=["arm"])
    await pusher.manifest("many", {"mediaType": INDEX, "manifests": [arm, plain]})
    documents = Documents({("Secret", "pull"): registry.secret()})
    client = RegistryClient(user_agent="test")
    commands = ImageCommands(client=documents, registries=client, clock=lambda: 0.0)

    async def find(version: str, **spec: Any) -> tuple[str, ...]:
        image = Container(image=f"{registry.host}/team/app{version}")
        return await commands.find(
            image, PodSpec(**{"image_pull_secrets": (Named(name="pull"),), **spec}), "user"
        )

    async with client.running():
        assert await find(":plain") == ("python3", "train.py", "--x")
        assert await find(":many") == ("python3", "train.py", "--x")
        assert await find(":many", node_selector={"kubernetes.io/arch": "arm64"}) == ("arm",)
        assert await find(f"@{arm['digest']}") == ("arm",)
        with pytest.raises(RegistryError, match="has no such image"):
            await find(":none")
        with pytest.raises(RegistryError, match="denies access") as caught:
            await find(":plain", image_pull_secrets=())
        assert PASSWORD not in str(caught.value)


async def test_a_real_registry_is_opened_by_a_credential_helper(
    registry: Registry, pusher: Pusher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pusher.image("plain", "amd64", Cmd=["train"])
    install_helper(tmp_path, monkeypatch, "cloud", Username=USER, Secret=PASSWORD)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {registry.host: "cloud"}}))
    client = RegistryClient(user_agent="test")
    docker = DockerConfig(tmp_path / "config.json", clock=lambda: 0.0)
    commands = ImageCommands(client=Documents(), registries=client, docker=docker, clock=lambda: 0.0)
    async with client.running():
        image = Container(image=f"{registry.host}/team/app:plain")
        assert await commands.find(image, PodSpec(), "user") == ("train",)
