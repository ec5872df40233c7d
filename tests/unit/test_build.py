"""The wiring: what the process follows, serves and is allowed to do, before it has begun."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from kfx.apis.trial import Trial
from kfx.build import Wiring
from kfx.config import load_config
from kfx.kube.credentials import Credentials
from kfx.kube.resource import Resource
from kfx.kube.transport import Transport
from kfx.runtime.certs import FileCertificates, SelfSigned
from kfx.runtime.leader import LeadershipLost
from kfx.store.observations import ObservationStore
from tests.serving import new_pair, write_pair

pytestmark = pytest.mark.real_time

RBAC = Path(__file__).resolve().parents[2] / "config" / "rbac"


@asynccontextmanager
async def wired(folder: Path, *flags: str, server: str = "http://127.0.0.1:1") -> AsyncIterator[Wiring]:
    credentials = Credentials(server)
    config = load_config([f"--cert-dir={folder}", *flags], {})
    async with (
        ObservationStore.open(folder / "observations.db") as store,
        Transport.open(credentials) as transport,
    ):
        yield Wiring(config, credentials, transport, store)


def may(verb: str, resource: Resource, namespace: str) -> bool:
    """Whether config/rbac grants it."""
    files = ["cluster_role.yaml"] + (["role.yaml"] if namespace == "kubeflow" else [])
    rules = [rule for name in files for rule in yaml.safe_load((RBAC / name).read_text())["rules"]]
    return any(
        resource.group in rule["apiGroups"]
        and resource.plural in rule["resources"]
        and verb in rule["verbs"]
        and "resourceNames" not in rule
        for rule in rules
    )


async def test_everything_that_is_followed_may_be_followed(tmp_path: Path) -> None:
    async with wired(tmp_path) as wiring:
        wiring.manager()
        followed = list(wiring._cache._informers)
    assert len(followed) > 6
    denied = [
        str(chosen)
        for chosen in followed
        for verb in ("list", "watch")
        if not may(verb, chosen.resource, chosen.namespace)
    ]
    assert denied == []


async def test_every_kind_of_job_that_the_flag_names_is_followed(tmp_path: Path) -> None:
    async with wired(tmp_path, "--trial-resources=Foo.v1.example.org") as wiring:
        kinds = {str(kind) for kind in wiring._jobs}
    assert kinds == {"foos.example.org"}


async def test_with_election_nothing_is_written_before_leading(tmp_path: Path) -> None:
    received = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read())
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        flags = ("--enable-leader-election", "--leader-election-id=mine")
        async with wired(tmp_path, *flags, server=url) as wiring:
            with pytest.raises(LeadershipLost, match="does not hold lease mine"):
                await wiring._client.create(Trial.resource, {"metadata": {"name": "t"}}, namespace="ns")
    assert received == b""


async def test_without_election_this_process_leads(tmp_path: Path) -> None:
    async with wired(tmp_path) as wiring:
        wiring._elector.check()


async def test_a_pair_in_the_folder_is_used_and_half_a_pair_is_not(tmp_path: Path) -> None:
    async with wired(tmp_path) as wiring:
        assert isinstance(wiring._certificates(), SelfSigned)
        write_pair(tmp_path, new_pair())
        assert isinstance(wiring._certificates(), FileCertificates)
        (tmp_path / "tls.key").unlink()
        assert isinstance(wiring._certificates(), SelfSigned)


async def test_it_is_not_ready_before_its_informers_and_says_which(tmp_path: Path) -> None:
    async with wired(tmp_path) as wiring:
        wiring.manager()
        problem = wiring._informers_ready()
    assert problem is not None
    assert "experiments.kubeflow.org: not listed yet" in problem


async def test_katibs_counters_are_known_from_the_start(tmp_path: Path) -> None:
    async with wired(tmp_path) as wiring:
        wiring.metrics.count("katib_trial_created_total", {"namespace": "ns"})
        assert wiring.metrics.registry.get_sample_value("katib_trial_created_total", {"namespace": "ns"}) == 1
