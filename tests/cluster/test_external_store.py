"""Observations kept by a database manager elsewhere, that goes away and comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hack.cluster.layout import Layout
from kfx.apis.common import MetricLog
from kfx.apis.experiment import Experiment
from kfx.apis.trial import Trial
from kfx.build import controllers, utc_now
from kfx.controllers.left_behind import CONFIG_MAPS, NAME
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials
from kfx.kube.errors import NotFound
from kfx.runtime.events import EVENTS
from kfx.services import external_store
from kfx.services.db_manager import DBManager
from kfx.services.grpc_server import GrpcServer
from kfx.services.health import Health
from kfx.store.observations import ObservationStore
from tests.cluster.crds import install_crds
from tests.cluster.installation import free_ports, readiness
from tests.cluster.katib import NAMESPACE, Platform, condition, manifest, words, working
from tests.cluster.site import CORE, NAMESPACES, account_of_kfx, ensure, grant_rights

pytestmark = [pytest.mark.cluster, pytest.mark.real_time, pytest.mark.timeout(900)]


@dataclass
class DatabaseManager:
    """The gRPC service alone, which knows no Trial, as Katib's."""

    port: int
    store: ObservationStore

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        services = [DBManager(self.store), Health(self.store.ping)]
        async with GrpcServer({"--db-manager-addr": f"127.0.0.1:{self.port}"}, services).serving():
            yield

    async def report(self, trial: str, value: str) -> None:
        """As Katib's collectors do, without a namespace."""
        await self.store.report(trial, [MetricLog(time_stamp=utc_now(), name="loss", value=value)])

    @property
    def environ(self) -> dict[str, str]:
        """How Katib's installation names it."""
        prefix = "KATIB_DB_MANAGER_SERVICE_"
        return {f"{prefix}IP": "127.0.0.1", f"{prefix}NAMESPACE": "", f"{prefix}PORT": str(self.port)}


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[DatabaseManager]:
    (port,) = free_ports(1)
    async with ObservationStore.open(tmp_path / "elsewhere" / "katib.db") as store:
        yield DatabaseManager(port, store)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_store, "PROBE_INTERVAL", 0.2)


async def test_an_experiment_runs_to_its_end_and_takes_its_rows_along(
    client: Client, credentials: Credentials, tmp_path: Path, manager: DatabaseManager
) -> None:
    await install_crds(client)
    async with manager.up(), working(client, credentials, tmp_path, environ=manager.environ) as platform:
        await client.create(Experiment.resource, manifest("far", most=2), namespace=NAMESPACE)
        names = await platform.running_trials("far", 2)
        for number, name in enumerate(names):
            await manager.report(name, f"0.{number + 1}")
            await platform.finish(name)
        found = await platform.ended(Experiment, "far")
        assert words(found) == ["Created", "-Running", "Succeeded"]
        assert found["status"]["currentOptimalTrial"]["observation"]["metrics"][0]["min"] == "0.1"
        await client.delete(Experiment.resource, NAMESPACE, "far", propagation="Background")
        await platform.until(lambda: is_gone(platform, names[1]))
        assert [await manager.store.get(name) for name in names] == [[], []]
    assert not (tmp_path / "observations.db").exists()


async def test_while_the_store_is_away_trials_say_so_and_go_on_by_themselves(
    client: Client, credentials: Credentials, tmp_path: Path, manager: DatabaseManager
) -> None:
    await install_crds(client)
    (health,) = free_ports(1)
    flags = (f"--healthz-addr=127.0.0.1:{health}", "--metrics-wait=2s")
    async with working(client, credentials, tmp_path, *flags, environ=manager.environ) as platform:
        async with manager.up():
            await client.create(Experiment.resource, manifest("gap", most=1, parallel=1), namespace=NAMESPACE)
            (name,) = await platform.running_trials("gap", 1)
            await manager.report(name, "0.5")
        await platform.finish(name)
        await platform.until(lambda: says(platform, name, f"database manager 127.0.0.1:{manager.port}"))
        assert "[!]db-manager waits" in await readiness(health)
        await asyncio.sleep(3)  # longer than metrics may be missing where the store answers
        assert words(await platform.read(Trial, name)) == ["Created", "Running"]
        async with manager.up():
            found = await platform.ended(Trial, name)
            assert condition(found, "Succeeded")
            assert found["status"]["observation"]["metrics"][0]["latest"] == "0.5"
            assert "[+]db-manager ok" in await readiness(health)


async def test_a_trial_that_goes_meanwhile_is_let_go_in_time_and_its_rows_are_swept_later(
    client: Client,
    credentials: Credentials,
    tmp_path: Path,
    manager: DatabaseManager,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Decision 29, with a second in place of ten minutes."""
    monkeypatch.setattr(controllers, "DELETION_PATIENCE", 1.0)
    await install_crds(client)
    async with working(client, credentials, tmp_path, environ=manager.environ) as platform:
        name = await leave_behind(client, platform, manager, "left")
        told = f"the observations of Trial {NAMESPACE}/{name} are left in the store"
        await platform.until(lambda: says(platform, name, told))
        assert len(await manager.store.get(name)) == 1
        async with manager.up():
            await platform.until(lambda: is_empty(manager, name))


@pytest.fixture
async def own(client: Client, cluster: Layout, tmp_path: Path) -> Credentials:
    """kfx's service account with the rights of config/rbac."""
    await ensure(client, NAMESPACES, {"metadata": {"name": CORE}})
    await grant_rights(client)
    return account_of_kfx(cluster, tmp_path)


async def test_what_one_process_has_left_in_the_store_the_next_one_sweeps(
    client: Client,
    own: Credentials,
    tmp_path: Path,
    manager: DatabaseManager,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Decision 29: swept when the store is back, though kfx was started anew meanwhile."""
    monkeypatch.setattr(controllers, "DELETION_PATIENCE", 1.0)
    await install_crds(client)
    async with working(client, own, tmp_path, environ=manager.environ) as platform:
        name = await leave_behind(client, platform, manager, "twice")
        assert await kept(client) == [f"{NAMESPACE}.{name}"]
    assert len(await manager.store.get(name)) == 1
    async with manager.up(), working(client, own, tmp_path, environ=manager.environ) as platform:
        await platform.until(lambda: is_empty(manager, name))
        await platform.until(lambda: nothing_kept(client))


async def leave_behind(client: Client, platform: Platform, manager: DatabaseManager, experiment: str) -> str:
    """The name of a trial that has reported, and has gone while the store was away."""
    async with manager.up():
        document = manifest(experiment, most=1, parallel=1)
        await client.create(Experiment.resource, document, namespace=NAMESPACE)
        (name,) = await platform.running_trials(experiment, 1)
        await manager.report(name, "0.5")
    await client.delete(Experiment.resource, NAMESPACE, experiment, propagation="Background")
    await platform.until(lambda: is_gone(platform, name))
    return name


async def kept(client: Client) -> list[str]:
    return list((await client.get_document(CONFIG_MAPS, CORE, NAME)).get("data") or ())


async def nothing_kept(client: Client) -> bool:
    return not await kept(client)


async def is_gone(platform: Platform, trial: str) -> bool:
    try:
        await platform.read(Trial, trial)
    except NotFound:
        return True
    return False


async def says(platform: Platform, trial: str, text: str) -> bool:
    events = await platform.items(EVENTS)
    return any(each["involvedObject"]["name"] == trial and text in each["message"] for each in events)


async def is_empty(manager: DatabaseManager, trial: str) -> bool:
    return not await manager.store.get(trial)
