"""Containers without a command, their images' registries, and what is remembered of them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kfx.katib.pod_shape import Container
from kfx.kube.errors import Forbidden, ServerError
from kfx.registry.client import RegistryClient
from kfx.registry.docker_config import DockerConfig
from kfx.registry.errors import RegistryError, RegistryUnavailable
from kfx.webhooks import image_commands
from kfx.webhooks.image_commands import (
    CONCURRENT,
    FAILURE_SECONDS,
    MOST_SECRETS,
    TAG_SECONDS,
    ImageCommands,
)
from tests.katib_objects import as_pod
from tests.oci_registry import Registry, serving
from tests.unit.registry.test_docker_config import install_helper
from tests.unit.webhooks.documents import Answer, Documents, refusal

pytestmark = pytest.mark.real_time

MANIFEST = "/v2/team/app/manifests/1"


class World:
    """One registry, what a cluster holds, and a clock."""

    def __init__(self, registry: Registry, client: RegistryClient, folder: Path) -> None:
        self.registry = registry
        self.now = 0.0
        self.documents = Documents()
        self.docker_file = folder / "config.json"
        self._commands = ImageCommands(
            client=self.documents,
            registries=client,
            docker=DockerConfig(self.docker_file, clock=lambda: self.now),
            clock=lambda: self.now,
        )

    def cluster(self, answers: Mapping[tuple[str, str], Answer]) -> None:
        for key, answer in answers.items():
            self.documents.tell(key, answer)

    async def find(
        self, image: str = "", *, namespace: str = "user", args: Any = None, **spec: Any
    ) -> tuple[str, ...]:
        container = Container(image=image or f"{self.registry.host}/team/app:1", args=args)
        pod = as_pod({"spec": spec})
        assert pod.spec is not None
        return await self._commands.find(container, pod.spec, namespace)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    client = RegistryClient(user_agent="test")
    async with serving(Registry()) as registry, client.running():
        registry.image("team/app", "1", entrypoint=["app"], cmd=["--x"])
        yield World(registry, client, tmp_path)


async def test_many_pods_of_one_image_cost_one_look_up(world: World) -> None:
    for _ in range(3):
        assert await world.find() == ("app", "--x")
    assert await world.find(args=["--y"]) == ("app",)
    assert len(world.registry.requests) == 2


async def test_pods_that_come_at_once_wait_for_one_look_up(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(world.find()) for _ in range(CONCURRENT)]
    assert {task.result() for task in tasks} == {("app", "--x")}
    assert len(world.registry.requests) == 2


async def test_a_tag_is_looked_at_again_after_a_minute_and_a_configuration_never(world: World) -> None:
    await world.find()
    world.now = TAG_SECONDS
    await world.find()
    assert world.registry.paths.count(MANIFEST) == 2
    assert sum("/blobs/" in path for path in world.registry.paths) == 1


async def test_a_digest_is_looked_at_once(world: World) -> None:
    digest = world.registry.image("team/app", entrypoint=["app"])
    for world.now in (0.0, 1e9):
        assert await world.find(f"{world.registry.host}/team/app@{digest}") == ("app",)
    assert len(world.registry.requests) == 2


@pytest.mark.parametrize(
    "other", [{"namespace": "other"}, {"serviceAccountName": "b"}, {"imagePullSecrets": [{"name": "s"}]}]
)
async def test_what_one_pod_may_see_is_not_shown_to_another_with_less(
    world: World, other: dict[str, Any]
) -> None:
    world.registry.auth = "basic"
    world.cluster({("Secret", "mine"): world.registry.secret()})
    assert await world.find(imagePullSecrets=[{"name": "mine"}]) == ("app", "--x")
    with pytest.raises(RegistryError, match="denies access"):
        await world.find(**{"imagePullSecrets": [], **other})


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize("old_type", [False, True])
async def test_a_pull_secret_of_the_pod_opens_a_registry(world: World, auth: str, old_type: bool) -> None:
    world.registry.auth = auth
    secret = world.registry.secret()
    if old_type:
        login = {world.registry.host: {"username": "me", "password": "s3cret-canary"}}
        data = {".dockercfg": base64.b64encode(json.dumps(login).encode()).decode()}
        secret = {"type": "kubernetes.io/dockercfg", "data": data}
    world.cluster({("Secret", "mine"): secret})
    assert await world.find(imagePullSecrets=[{"name": "gone"}, {"name": "mine"}]) == ("app", "--x")


async def test_a_pull_secret_of_the_service_account_opens_a_registry(world: World) -> None:
    world.registry.auth = "bearer"
    account = {"metadata": {"name": "trainer"}, "imagePullSecrets": [{"name": "theirs"}]}
    world.cluster({("ServiceAccount", "trainer"): account, ("Secret", "theirs"): world.registry.secret()})
    assert await world.find(serviceAccountName="trainer") == ("app", "--x")
    assert world.documents.reads == [
        ("ServiceAccount", "user", "trainer"),
        ("Secret", "user", "theirs"),
    ]


@pytest.mark.parametrize("auth", ["basic", "bearer"])
async def test_kfxs_own_docker_configuration_opens_a_registry_that_no_pull_secret_does(
    world: World, auth: str
) -> None:
    world.registry.auth = auth
    login = {"username": world.registry.user, "password": world.registry.password}
    world.docker_file.write_text(json.dumps({"auths": {world.registry.host: login}}))
    assert await world.find() == ("app", "--x")


@pytest.mark.parametrize("auth", ["basic", "bearer"])
async def test_a_credential_helper_opens_a_registry(
    world: World, auth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.registry.auth = auth
    install_helper(tmp_path, monkeypatch, "cloud", Username="me", Secret=world.registry.password)
    world.docker_file.write_text(json.dumps({"credHelpers": {world.registry.host: "cloud"}}))
    assert await world.find() == ("app", "--x")


async def test_a_pull_secret_comes_before_kfxs_own_login(world: World) -> None:
    world.registry.auth = "basic"
    world.docker_file.write_text(json.dumps({"credHelpers": {world.registry.host: "not-there"}}))
    world.cluster({("Secret", "mine"): world.registry.secret()})
    assert await world.find(imagePullSecrets=[{"name": "mine"}]) == ("app", "--x")


async def test_a_helper_that_is_missing_is_told_only_where_the_registry_wants_a_login(world: World) -> None:
    world.docker_file.write_text(json.dumps({"credsStore": "not-there"}))
    assert await world.find() == ("app", "--x")
    world.registry.auth = "basic"
    with pytest.raises(RegistryError) as caught:
        await world.find(f"{world.registry.host}/team/app:2")
    assert "denies access (401) with no login" in str(caught.value)
    assert "'docker-credential-not-there' of the Docker configuration is not on kfx's PATH" in str(
        caught.value
    )


async def test_secrets_that_may_not_be_read_are_named_with_the_remedy(world: World) -> None:
    world.registry.auth = "basic"
    world.cluster({("Secret", "mine"): refusal(Forbidden, 403)})
    with pytest.raises(RegistryError) as caught:
        await world.find(imagePullSecrets=[{"name": "mine"}])
    assert "kfx may not read the pull secret mine in namespace user: apply config/rbac/pull-secrets" in str(
        caught.value
    )


async def test_an_open_registry_needs_no_right_to_read_secrets(world: World) -> None:
    world.cluster(
        {("Secret", "mine"): refusal(Forbidden, 403), ("ServiceAccount", "default"): refusal(Forbidden, 403)}
    )
    assert await world.find(imagePullSecrets=[{"name": "mine"}]) == ("app", "--x")


async def test_an_api_server_that_does_not_answer_is_no_answer(world: World) -> None:
    world.cluster({("Secret", "mine"): refusal(ServerError, 503)})
    with pytest.raises(ServerError):
        await world.find(imagePullSecrets=[{"name": "mine"}])


async def test_a_crowd_of_secrets_is_cut_short(world: World) -> None:
    await world.find(imagePullSecrets=[{"name": f"s{i}"} for i in range(100)])
    assert sum(kind == "Secret" for kind, _, _ in world.documents.reads) == MOST_SECRETS


async def test_a_login_shows_in_no_refusal(world: World) -> None:
    world.registry.auth = "basic"
    secret = world.registry.secret()
    world.registry.password = "changed"
    world.cluster({("Secret", "mine"): secret})
    with pytest.raises(RegistryError) as caught:
        await world.find(imagePullSecrets=[{"name": "mine"}])
    assert "with the login of a pull secret" in str(caught.value)
    assert "canary" not in repr(caught.value)


async def test_a_failure_is_remembered_for_seconds_only(world: World) -> None:
    missing = f"{world.registry.host}/team/app:2"
    for _ in range(2):
        with pytest.raises(RegistryError, match="no such image"):
            await world.find(missing)
    assert len(world.registry.requests) == 1
    world.registry.image("team/app", "2", cmd=["new"])
    world.now = FAILURE_SECONDS
    assert await world.find(missing) == ("new",)


async def test_a_registry_that_is_silent_is_given_up_in_time_and_takes_no_more_than_its_share(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K28: long before the API server gives up."""
    monkeypatch.setattr(image_commands, "TIME_LIMIT", 0.2)

    async def silent(_request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        raise AssertionError

    refused: list[str] = []

    async def ask(number: int) -> None:
        world.registry.answers[f"/v2/team/app/manifests/t{number}"] = silent
        try:
            await world.find(f"{world.registry.host}/team/app:t{number}")
        except RegistryUnavailable as error:
            refused.append(str(error))

    async with asyncio.TaskGroup() as group:
        for number in range(CONCURRENT + 3):
            group.create_task(ask(number))
    late = [text for text in refused if text.endswith("gave no answer within 0.2 s")]
    busy = [text for text in refused if text == "8 images are being looked up already"]
    assert (len(late), len(busy)) == (CONCURRENT, 3)
    assert await world.find() == ("app", "--x")


@pytest.mark.parametrize("image", ["", "A b", "r.io/a@sha256:1"])
async def test_a_name_that_is_none_is_told_and_asks_nobody(world: World, image: str) -> None:
    with pytest.raises(RegistryError, match=r"its name (is not of the form|has a digest)"):
        await world.find(image or " ")
    assert world.registry.requests == []


async def test_the_platform_that_the_pod_asks_for_is_chosen(world: World) -> None:
    images = [("linux", each, world.registry.image("team/app", cmd=[each])) for each in ("amd64", "arm64")]
    world.registry.index("team/app", "many", images)
    image = f"{world.registry.host}/team/app:many"
    assert await world.find(image) == ("amd64",)
    assert await world.find(image, nodeSelector={"kubernetes.io/arch": "arm64"}) == ("arm64",)
