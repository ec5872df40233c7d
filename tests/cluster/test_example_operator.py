"""The example of docs/runtime.md against a real API server, with the manifests that stand there."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.examples.echo import ConfigMap, Echo, add_to
from hack.cluster.layout import Layout
from hack.cluster.tokens import write_token_kubeconfig
from kfx.kube import AlreadyExists, Client, Forbidden, KubeObject, NotFound, Resource, load_credentials
from kfx.kube.resource import guess_resource
from kfx.runtime import Operator, Request
from kfx.runtime.events import EVENTS
from kfx.runtime.lease import LEASES

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE, NAME = "default", "echo-operator"
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": NAME},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
    "subjects": [{"kind": "ServiceAccount", "namespace": NAMESPACE, "name": NAME}],
}
OBJECTS: tuple[type[KubeObject], ...] = (Echo, ConfigMap)
WRITES = ("POST", "PATCH", "PUT", "DELETE")


def manifests() -> list[dict[str, Any]]:
    """What docs/runtime.md tells to apply, and who is bound to the role."""
    text = (ROOT / "docs" / "runtime.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [*yaml.safe_load_all(block), BINDING]


@pytest.fixture
async def client(cluster: Layout) -> AsyncIterator[Client]:
    """The cluster's administrator."""
    async with Client.connect(load_credentials(str(cluster.kubeconfig)), user_agent="test") as client:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}}
        with suppress(AlreadyExists):
            await client.create(ACCOUNTS, account, namespace=NAMESPACE)
        for manifest in manifests():
            with suppress(AlreadyExists):
                await client.create(guess_resource(manifest["apiVersion"], manifest["kind"]), manifest)
        yield client


@pytest.fixture
async def kubeconfig(client: Client, cluster: Layout, tmp_path: Path) -> Path:
    """Of a service account that has the example's rights and no others."""
    file = tmp_path / "kubeconfig"
    write_token_kubeconfig(cluster, namespace=NAMESPACE, service_account=NAME, file=file)
    async with (
        Client.connect(load_credentials(str(file)), user_agent="test") as account,
        asyncio.timeout(30),
    ):
        while True:
            try:
                await account.list_page(Echo.resource)
                return file
            except (NotFound, Forbidden):
                await asyncio.sleep(0.1)


@asynccontextmanager
async def working(kubeconfig: Path) -> AsyncIterator[Operator]:
    stop = asyncio.Event()
    async with (
        Operator.connect(load_credentials(str(kubeconfig)), NAME, lease_namespace=NAMESPACE) as operator,
        asyncio.TaskGroup() as group,
    ):
        add_to(operator)
        group.create_task(operator.run(stop))
        try:
            yield operator
        finally:
            stop.set()


@pytest.fixture
async def operator(kubeconfig: Path) -> AsyncIterator[Operator]:
    async with working(kubeconfig) as operator:
        yield operator


async def until(found: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(30):
        while not (answer := await found()):
            await asyncio.sleep(0.05)
    return answer


async def document(client: Client, kind: type[KubeObject], name: str) -> dict[str, Any]:
    """The stored object, empty where there is none."""
    try:
        return await client.get_document(kind.resource, NAMESPACE, name)
    except NotFound:
        return {}


async def submit(client: Client, name: str, text: str) -> dict[str, Any]:
    manifest = {"apiVersion": "example.org/v1", "kind": "Echo", "metadata": {"name": name}}
    return await client.create(Echo.resource, {**manifest, "spec": {"text": text}}, namespace=NAMESPACE)


async def echoed(client: Client, name: str, text: str) -> dict[str, Any]:
    """The ConfigMap, once it holds ``text`` and the Echo's status says so."""

    async def done() -> Any:
        echo, copy = await document(client, Echo, name), await document(client, ConfigMap, name)
        wanted = {"configMap": name, "observedGeneration": echo["metadata"]["generation"]}
        return copy if copy.get("data") == {"text": text} and echo.get("status") == wanted else None

    found: dict[str, Any] = await until(done)
    return found


async def annotate(client: Client, kind: type[KubeObject], name: str) -> str:
    """Change what the operator does not look at; the new version."""
    changes = {"metadata": {"annotations": {"example.org/seen": "yes"}}}
    stored = await client.patch(kind.resource, NAMESPACE, name, changes)
    version: str = stored["metadata"]["resourceVersion"]
    return version


def figure(operator: Operator, metric: str, **labels: str) -> float:
    """The sum over every series of the counter that has these labels."""
    samples = [s for family in operator.metrics.registry.collect() for s in family.samples]
    return sum(s.value for s in samples if s.name == metric and labels.items() <= s.labels.items())


def reconciles(operator: Operator) -> float:
    return figure(operator, "controller_runtime_reconcile_total", result="success")


async def told(client: Client, reason: str, name: str) -> list[str]:
    """Messages of the events about the Echo."""
    events = (await client.request("GET", EVENTS.path(NAMESPACE)))["items"]
    about = [e for e in events if e["involvedObject"]["name"] == name and e["reason"] == reason]
    return [e["message"] for e in about]


async def test_an_echo_gets_its_config_map_and_a_status_that_says_so(
    client: Client, operator: Operator
) -> None:
    echo = await submit(client, "first", "hello")
    copy = await echoed(client, "first", "hello")
    (owner,) = copy["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Echo", echo["metadata"]["uid"], True)
    assert await until(lambda: told(client, "Created", "first")) == ["made ConfigMap first"]


async def test_a_deleted_config_map_comes_back(client: Client, operator: Operator) -> None:
    await submit(client, "lost", "hello")
    first = await echoed(client, "lost", "hello")
    await client.delete(ConfigMap.resource, NAMESPACE, "lost")
    second = await echoed(client, "lost", "hello")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_a_changed_echo_is_followed_in_the_same_config_map(client: Client, operator: Operator) -> None:
    await submit(client, "changed", "hello")
    first = await echoed(client, "changed", "hello")
    await client.patch(Echo.resource, NAMESPACE, "changed", {"spec": {"text": "good-bye"}})
    second = await echoed(client, "changed", "good-bye")
    assert second["metadata"]["uid"] == first["metadata"]["uid"]


async def test_a_change_of_the_config_map_by_hand_is_taken_back(client: Client, operator: Operator) -> None:
    await submit(client, "touched", "hello")
    await echoed(client, "touched", "hello")
    await client.patch(ConfigMap.resource, NAMESPACE, "touched", {"data": {"text": "mine"}})
    await echoed(client, "touched", "hello")


async def test_when_nothing_changes_nothing_is_written(client: Client, kubeconfig: Path) -> None:
    async with working(kubeconfig) as operator:
        await submit(client, "still", "hello")
        await echoed(client, "still", "hello")
        await until(lambda: told(client, "Created", "still"))
    async with working(kubeconfig) as operator:
        await settled(operator)
        versions = {}
        for kind in OBJECTS:
            before = reconciles(operator)
            versions[kind] = await annotate(client, kind, "still")
            await settled(operator, after=before)
            seen = operator.cache.informer(kind).get(Request(NAMESPACE, "still"))
            assert seen is not None
            assert seen.metadata.resource_version == versions[kind]
        for kind, version in versions.items():
            assert (await document(client, kind, "still"))["metadata"]["resourceVersion"] == version
        assert reconciles(operator) >= 3
    leases = figure(operator, "rest_client_requests_total", method="PUT")
    assert sum(figure(operator, "rest_client_requests_total", method=m) for m in WRITES) == leases


async def settled(operator: Operator, *, after: float = 0) -> None:
    """Return once more than ``after`` reconciles were made, and no more in half a second."""

    async def quiet() -> bool:
        before = reconciles(operator)
        await asyncio.sleep(0.5)
        return after < before == reconciles(operator)

    await until(quiet)


async def test_a_config_map_of_somebody_else_is_neither_adopted_nor_changed(
    client: Client, operator: Operator
) -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "taken"}, "data": {"a": "b"}}
    stored = await client.create(ConfigMap.resource, theirs, namespace=NAMESPACE)
    await submit(client, "taken", "hello")

    async def refused() -> bool:
        return figure(operator, "controller_runtime_terminal_reconcile_errors_total") > 0

    await until(refused)
    assert await document(client, ConfigMap, "taken") == stored
    assert "status" not in await document(client, Echo, "taken")
    await client.delete(Echo.resource, NAMESPACE, "taken")


async def test_the_program_works_until_sigterm_and_gives_its_lease_back(
    client: Client, kubeconfig: Path
) -> None:
    command = (sys.executable, "-m", "docs.examples.echo")
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    program = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment)
    try:
        await submit(client, "program", "hello")
        await echoed(client, "program", "hello")
        program.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(program.wait(), 30) == 0
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    lease = await client.get_document(LEASES, NAMESPACE, NAME)
    assert not lease["spec"].get("holderIdentity")
