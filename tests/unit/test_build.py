"""The parts: what the process follows, serves and is allowed to do, before it has begun."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kfx.apis.core import Pod
from kfx.apis.trial import Trial
from kfx.build import Parts, build_manager, open_store
from kfx.build.servers import WATCH_SILENCE, build_handlers, informers_ready, watches_ready
from kfx.config import load_config
from kfx.katib.compaction import only_made_for_suggestions
from kfx.kube.credentials import Credentials
from kfx.kube.resource import Resource
from kfx.kube.transport import Transport
from kfx.runtime.admission import AdmissionServer
from kfx.runtime.certs import FileCertificates
from kfx.runtime.debug import DebugServer
from kfx.runtime.health import HealthServer, MetricsServer
from kfx.runtime.leader import LeadershipLost
from kfx.runtime.manager import Manager
from kfx.runtime.pki import CertificateError
from kfx.runtime.reconcile import Request
from kfx.runtime.review import AdmissionRequest, InvalidRequest
from kfx.runtime.spans import Spans
from kfx.runtime.tls import dial, verifier_of
from kfx.services.external_store import ExternalStore
from kfx.services.grpc_server import GrpcServer
from kfx.webhooks.experiment_validator import ExperimentValidator
from kfx.webhooks.pod_injector import PodInjector
from tests.serving import Answer, get, hearing, new_pair, write_pair

pytestmark = pytest.mark.real_time

RBAC = Path(__file__).resolve().parents[2] / "config" / "rbac"


@asynccontextmanager
async def wired(
    folder: Path,
    *flags: str,
    server: str = "http://127.0.0.1:1",
    stop: asyncio.Event | None = None,
    spans: Spans | None = None,
    program: str = "kfx",
) -> AsyncIterator[Parts]:
    credentials = Credentials(server)
    config = load_config([f"--cert-dir={folder}", *flags], {}, program=program)
    async with (
        open_store(replace(config, sqlite_path=str(folder / "observations.db"))) as store,
        Transport.open(credentials) as transport,
    ):
        yield Parts(config, credentials, transport, store, stop, spans=spans)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def may(verb: str, resource: Resource, namespace: str, *, role: str = "") -> bool:
    """Whether config/rbac grants it, or the cluster role ``role`` alone."""
    files = [role] if role else ["cluster_role.yaml"] + (["role.yaml"] if namespace == "kubeflow" else [])
    rules = [rule for name in files for rule in yaml.safe_load((RBAC / name).read_text())["rules"]]
    return any(
        resource.group in rule["apiGroups"]
        and resource.plural in rule["resources"]
        and {verb, "*"} & set(rule["verbs"])
        and "resourceNames" not in rule
        for rule in rules
    )


async def test_everything_that_is_followed_may_be_followed(tmp_path: Path) -> None:
    async with wired(tmp_path) as parts:
        build_manager(parts)
        followed = list(parts.cache._informers)
    assert len(followed) > 6
    denied = [
        str(chosen)
        for chosen in followed
        for verb in ("list", "watch")
        if not may(verb, chosen.resource, chosen.namespace)
    ]
    assert denied == []


async def test_what_katibs_own_role_does_not_let_be_followed_is_optional(tmp_path: Path) -> None:
    """So are jobs of all kinds: the roles of older releases know no TrainJobs."""
    role = "katib/cluster_role.yaml"
    async with wired(tmp_path) as parts:
        build_manager(parts)
        followed = {chosen: each.reflector.optional for chosen, each in parts.cache._informers.items()}
        kinds = set(parts.jobs)
    needed = {
        str(chosen)
        for chosen in followed
        if not all(may(verb, chosen.resource, "", role=role) for verb in ("list", "watch"))
    }
    assert needed == {"pods (katib.kubeflow.org/trial)"}
    optional = {chosen.resource for chosen, without in followed.items() if without}
    assert optional == kinds | {Pod.resource}


async def test_every_kind_of_job_that_the_flag_names_is_followed(tmp_path: Path) -> None:
    async with wired(tmp_path, "--trial-resources=Foo.v1.example.org") as parts:
        kinds = {str(kind) for kind in parts.jobs}
    assert kinds == {"foos.example.org"}


async def test_with_election_nothing_is_written_before_leading(tmp_path: Path) -> None:
    async with hearing() as (url, received):
        flags = ("--enable-leader-election", "--leader-election-id=mine")
        async with wired(tmp_path, *flags, server=url) as parts:
            with pytest.raises(LeadershipLost, match="does not hold lease mine"):
                await parts.client.create(Trial.resource, {"metadata": {"name": "t"}}, namespace="ns")
    assert received == b""


async def test_without_election_this_process_leads(tmp_path: Path) -> None:
    async with wired(tmp_path) as parts:
        parts.elector.check()


async def test_it_is_not_ready_before_its_informers_and_says_which(tmp_path: Path) -> None:
    async with wired(tmp_path) as parts:
        build_manager(parts)
        problem = informers_ready(parts)
    assert problem is not None
    assert "experiments.kubeflow.org: not listed yet" in problem


async def probed(parts: Parts, *paths: str) -> list[Answer]:
    """What the health server of a process that is not running otherwise answers."""
    (health,) = [each for each in build_manager(parts)._servers if isinstance(each, HealthServer)]
    async with health.serving():
        assert health.bound is not None
        return [await get(health.bound[1], path) for path in paths]


ON_A_FREE_PORT = "--healthz-addr=127.0.0.1:{}"


async def test_readiness_and_liveness_name_their_checks(tmp_path: Path, free_port: int) -> None:
    async with wired(tmp_path, ON_A_FREE_PORT.format(free_port)) as parts:
        ready, alive = await probed(parts, "/readyz", "/healthz?verbose")
    names = [line.split()[0] for line in ready.body.decode().splitlines()[:-1]]
    assert names == ["[-]readyz", "[-]informers", "[+]watches", "[-]foreign-controller", "[-]certificates"]
    assert alive.body == b"[+]healthz ok\n[+]loop ok\n[+]leader-election ok\nhealthz check passed\n"


async def test_once_it_is_told_to_stop_readiness_says_so(tmp_path: Path, free_port: int) -> None:
    stop = asyncio.Event()
    async with wired(tmp_path, ON_A_FREE_PORT.format(free_port), stop=stop) as parts:
        stop.set()
        (answer,) = await probed(parts, "/readyz/readyz")
    assert (answer.status, answer.body) == (500, b"readyz: shutting down\n")


async def test_the_loop_is_measured_from_first_to_last(tmp_path: Path) -> None:
    async with wired(tmp_path) as parts:
        manager = build_manager(parts)
        assert manager._background[0] is parts.loop_lag
    assert parts.metrics.registry.get_sample_value("kfx_loop_lag_max_seconds") == 0


async def test_a_kind_that_has_been_silent_makes_it_unready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wired(tmp_path) as parts:
        build_manager(parts)
        assert watches_ready(parts) is None
        for informer in parts.cache._informers.values():
            informer.synced.set()
            monkeypatch.setattr(informer.reflector, "age", lambda: WATCH_SILENCE + 20)
        problem = watches_ready(parts)
    assert problem is not None
    assert "trials.kubeflow.org: nothing heard for 200 s (limit 180 s)" in problem


async def test_debug_pages_know_every_controller_and_kind(tmp_path: Path, free_port: int) -> None:
    async with wired(tmp_path, f"--debug-addr=127.0.0.1:{free_port}") as parts:
        (debug,) = [each for each in build_manager(parts)._servers if isinstance(each, DebugServer)]
        async with debug.serving():
            queues = await get(free_port, "/debug/queues", host="localhost")
            caches = await get(free_port, "/debug/caches", host="localhost")
    found = [line.split()[0] for line in queues.body.decode().splitlines()]
    assert found == ["CONTROLLER", "experiment-controller", "suggestion-controller", "trial-controller"]
    assert b"\nexperiments.kubeflow.org " in caches.body


def metrics_server(manager: Manager) -> MetricsServer:
    (found,) = [each for each in manager._servers if isinstance(each, MetricsServer)]
    return found


async def test_metrics_are_open_to_all_unless_told_otherwise(tmp_path: Path) -> None:
    async with wired(tmp_path) as parts:
        server = metrics_server(build_manager(parts))
    assert server._access is None
    assert server._http is not None
    assert server._http._tls is None


async def test_secured_metrics_are_served_with_the_webhooks_certificate(
    tmp_path: Path, free_port: int
) -> None:
    write_pair(tmp_path, pair := new_pair())
    async with wired(tmp_path, f"--metrics-addr=127.0.0.1:{free_port}", "--metrics-secure") as parts:
        server = metrics_server(manager := build_manager(parts))
        (admission,) = [each for each in manager._servers if isinstance(each, AdmissionServer)]
        async with server.serving(), admission._certificates.running():
            assert await dial(("127.0.0.1", free_port), verifier_of(pair)) is None
    assert server._access is not None


async def test_secured_metrics_may_have_a_certificate_of_their_own(tmp_path: Path, free_port: int) -> None:
    (own := tmp_path / "own").mkdir()
    write_pair(own, pair := new_pair())
    flags = (f"--metrics-addr=127.0.0.1:{free_port}", "--metrics-secure", f"--metrics-cert-dir={own}")
    async with wired(tmp_path, *flags) as parts:
        server = metrics_server(manager := build_manager(parts))
        (certificates,) = [each for each in manager._background if isinstance(each, FileCertificates)]
        async with certificates.running(), server.serving():
            assert await dial(("127.0.0.1", free_port), verifier_of(pair)) is None
    (own / "tls.key").unlink()
    async with wired(tmp_path, *flags) as parts:
        (certificates,) = [e for e in build_manager(parts)._background if isinstance(e, FileCertificates)]
        with pytest.raises(CertificateError, match=r"--metrics-cert-dir .*tls\.key: No such file"):
            async with certificates.running():
                pass


async def test_with_spans_every_reconciler_and_webhook_is_recorded(tmp_path: Path) -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    async with wired(tmp_path, spans=Spans(provider.get_tracer("test"))) as parts:
        controllers = build_manager(parts)._controllers
        for controller in controllers:
            await controller._reconciler.reconcile(Request("ns", "absent"))
        paths = [handler.path for handler in build_handlers(parts)]
        with pytest.raises(InvalidRequest):
            await build_handlers(parts)[0].handle(AdmissionRequest())
    names = [span.name for span in memory.get_finished_spans()]
    assert names == [f"reconcile {each.name}" for each in controllers] + ["admission /mutate-experiment"]
    assert paths == ["/mutate-experiment", "/validate-experiment", "/mutate-pod"]


async def test_the_delay_of_the_flag_is_that_of_the_process(tmp_path: Path) -> None:
    async with wired(tmp_path, "--shutdown-delay=5s") as parts:
        assert build_manager(parts)._shutdown_delay == 5.0


async def test_katibs_counters_are_known_from_the_start(tmp_path: Path) -> None:
    async with wired(tmp_path) as parts:
        parts.metrics.count("katib_trial_created_total", {"namespace": "ns"})
        assert parts.metrics.registry.get_sample_value("katib_trial_created_total", {"namespace": "ns"}) == 1


async def test_collectors_report_an_early_stop_to_kfx_itself(tmp_path: Path) -> None:
    async with wired(tmp_path) as parts:
        injector = next(each for each in build_handlers(parts) if isinstance(each, PodInjector))
        settings = await injector._settings.read()
    assert settings.early_stopping_address == "katib-db-manager.kubeflow:6788"
    assert (settings.inject_security_context, settings.native_sidecar) == (False, False)


async def test_beside_an_external_store_nothing_is_served_to_collectors_and_no_file_is_opened(
    tmp_path: Path,
) -> None:
    async with wired(tmp_path, "--db-manager=external") as parts:
        manager = build_manager(parts)
        assert isinstance(parts.store, ExternalStore)
        assert not any(isinstance(each, GrpcServer) for each in manager._servers)
        assert parts.store in manager._background
        (trial,) = [each for each in manager._controllers if each.name == "trial-controller"]
        assert trial._reconciler._metrics._deletion_patience == 600  # type: ignore[attr-defined]
        assert len(parts.store._on_answer) == 1
    assert list(tmp_path.iterdir()) == []


async def test_with_the_own_store_collectors_are_served_and_no_trial_is_let_go_too_soon(
    tmp_path: Path,
) -> None:
    async with wired(tmp_path) as parts:
        manager = build_manager(parts)
        assert any(isinstance(each, GrpcServer) for each in manager._servers)
        (trial,) = [each for each in manager._controllers if each.name == "trial-controller"]
        assert trial._reconciler._metrics._deletion_patience is None  # type: ignore[attr-defined]


async def test_an_external_store_that_does_not_answer_is_told_but_webhooks_stay_ready(
    tmp_path: Path, free_port: int
) -> None:
    flags = ("--db-manager=external", ON_A_FREE_PORT.format(free_port))
    async with wired(tmp_path, *flags) as parts:
        both, alone = await probed(parts, "/readyz", "/readyz/db-manager")
    assert b"[!]db-manager waits: database manager katib-db-manager.kubeflow:6789 has not" in both.body
    assert (alone.status, alone.body.partition(b": ")[0]) == (500, b"db-manager")


@pytest.mark.parametrize(
    ("flags", "inside"),
    [((), ["random"]), (("--suggestions=embedded",), ["random"]), (("--suggestions=image",), [])],
)
async def test_the_flag_says_which_algorithms_run_inside(
    tmp_path: Path, flags: tuple[str, ...], inside: list[str]
) -> None:
    async with wired(tmp_path, *flags) as parts:
        build_manager(parts)
        _, validator, injector = build_handlers(parts)
        assert isinstance(injector, PodInjector)
        assert isinstance(validator, ExperimentValidator)
        assert list(parts.algorithms) == list(validator._algorithms) == inside
        assert list(parts.validation_context().algorithms) == inside
        settings = await injector._settings.read()
        assert [name for name in ("random", "tpe") if name in settings.inside.algorithms] == inside


@pytest.mark.parametrize(("program", "strict"), [("kfx", True), ("./katib-controller", False)])
async def test_under_katibs_name_a_kind_that_is_not_listed_is_only_warned_about(
    tmp_path: Path, program: str, strict: bool
) -> None:
    async with wired(tmp_path, program=program) as parts:
        build_manager(parts)
        _, validator, _ = build_handlers(parts)
        assert isinstance(validator, ExperimentValidator)
        assert validator._strict_kinds is parts.validation_context().strict_kinds is strict


async def test_an_answer_of_an_algorithm_leads_to_its_suggestion(tmp_path: Path) -> None:
    async with wired(tmp_path) as parts:
        manager = build_manager(parts)
        assert parts.exchanges in manager._background
        (controller,) = [each for each in manager._controllers if each.name == "suggestion-controller"]
        parts.exchanges._wake(Request("ns", "e"))
        assert len(controller.queue) == 1


async def test_of_deployments_and_services_of_others_hardly_anything_is_kept(tmp_path: Path) -> None:
    async with wired(tmp_path) as parts:
        build_manager(parts)
        transforms = {
            str(chosen.resource): informer.reflector.transform
            for chosen, informer in parts.cache._informers.items()
        }
    assert transforms["deployments.apps"] is transforms["services"] is only_made_for_suggestions
