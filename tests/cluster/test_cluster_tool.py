"""The life of a control plane under ``hack/cluster``: up, used, broken, down; and what is left: nothing."""

import base64
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import msgspec
import pytest

from hack.cluster import network, prerequisites, tokens
from hack.cluster.api import ApiRefusal, wait_until
from hack.cluster.certificates import Authority
from hack.cluster.layout import Layout, cache_dir
from hack.cluster.process import marked, recorded
from tests.cluster.cluster_tool import NAMESPACE, PROGRAM, Tool, kill, leftovers, pid_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def index() -> int:
    """Another one in each test run."""
    return 100 + os.getpid() % 100


@pytest.fixture(scope="module")
def tool(index: int) -> Iterator[Tool]:
    found = Tool(Layout(index, cache_dir(), linked=prerequisites.can_link()))
    yield found
    found.succeed("down")


@pytest.fixture
def control_plane(tool: Tool) -> Tool:
    tool.succeed("up", "--flavour", "control-plane")
    return tool


@pytest.fixture
def absent(tool: Tool) -> Tool:
    tool.succeed("down")
    return tool


def test_up_twice_changes_nothing(control_plane: Tool) -> None:
    before = pid_of(control_plane, "kube-apiserver")
    assert "already up" in control_plane.succeed("up", "--flavour", "control-plane")
    assert pid_of(control_plane, "kube-apiserver") == before


def test_the_version_is_the_pinned_one(control_plane: Tool) -> None:
    assert control_plane.api.request("GET", "/version")["gitVersion"].startswith("v1.36.")


def test_other_options_are_refused_while_it_is_up(control_plane: Tool) -> None:
    refused = control_plane.run("up", "--flavour", "control-plane", "--audit")
    assert refused.returncode == 1
    assert "take it down first" in refused.stderr


def test_env_is_for_the_shell(control_plane: Tool) -> None:
    script = f'eval "{control_plane.succeed("env")}"; echo $KFX_API_SERVER $KFX_HOST_IP; test -x $KFX_KUBECTL'
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [control_plane.layout.api_server, control_plane.layout.host_ip]


def test_a_service_account_gets_a_kubeconfig(control_plane: Tool, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    control_plane.succeed(
        "token-kubeconfig", "--namespace", "default", "--serviceaccount", "default", "--out", str(file)
    )
    kubectl = control_plane.succeed("env").split("KFX_KUBECTL=")[1].split()[0]
    done = subprocess.run(
        [kubectl, "--kubeconfig", file, "auth", "whoami"], capture_output=True, text=True, check=True
    )
    assert "system:serviceaccount:default:default" in done.stdout
    assert file.stat().st_mode & 0o077 == 0


def test_an_unknown_service_account_is_named(control_plane: Tool, tmp_path: Path) -> None:
    with pytest.raises(ApiRefusal, match="ServiceAccount default/nobody does not exist"):
        tokens.write_token_kubeconfig(
            control_plane.layout, namespace="default", service_account="nobody", file=tmp_path / "kubeconfig"
        )


def test_owned_objects_are_collected(control_plane: Tool) -> None:
    api, path = control_plane.api, f"{NAMESPACE}/configmaps"
    owner = api.request("POST", path, {"metadata": {"generateName": "owner-"}})["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["name"], "uid": owner["uid"]}
    owned = {"metadata": {"generateName": "owned-", "ownerReferences": [reference]}}
    name = api.request("POST", path, owned)["metadata"]["name"]
    api.request("DELETE", f"{path}/{owner['name']}")
    wait_until(lambda: not api.answers(f"{path}/{name}"), what="collection", timeout=60)


class Refuser(BaseHTTPRequestHandler):
    """A webhook that denies everything."""

    def do_POST(self) -> None:
        review = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        verdict = {
            "uid": review["request"]["uid"],
            "allowed": False,
            "status": {"message": "the host says no"},
        }
        answer = msgspec.json.encode(review | {"response": verdict})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def host_webhook(control_plane: Tool, tmp_path: Path) -> Iterator[str]:
    """A server on the host's end of the link, behind a Service without selector; the CA's certificate."""
    if not control_plane.layout.linked:
        pytest.skip("without root there is no address that a Service may lead to")
    authority = Authority.create(tmp_path)
    authority.issue("server", "refuser", dns=["refuser.default.svc"])
    tls = SSLContext(PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with ThreadingHTTPServer((control_plane.layout.host_ip, 0), Refuser) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        port = server.server_address[1]
        service = {"metadata": {"name": "refuser"}, "spec": {"ports": [{"port": 443, "targetPort": port}]}}
        endpoints = {
            "metadata": {"name": "refuser-host", "labels": {"kubernetes.io/service-name": "refuser"}},
            "addressType": "IPv4",
            "ports": [{"port": port}],
            "endpoints": [{"addresses": [control_plane.layout.host_ip]}],
        }
        control_plane.api.create(f"{NAMESPACE}/services", service)
        control_plane.api.create("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", endpoints)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield (tmp_path / "ca.crt").read_text()
        server.shutdown()
        thread.join()


def test_a_webhook_on_the_host_is_called_by_its_service(control_plane: Tool, host_webhook: str) -> None:
    webhook = {
        "name": "refuser.kfx.test",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {
            "service": {"namespace": "default", "name": "refuser", "path": "/"},
            "caBundle": base64.b64encode(host_webhook.encode()).decode(),
        },
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}
        ],
    }
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    control_plane.api.request("POST", path, {"metadata": {"name": "refuser"}, "webhooks": [webhook]})
    try:
        wait_until(lambda: _refusal(control_plane) != "", what="the webhook", timeout=30)
        assert "the host says no" in _refusal(control_plane)
    finally:
        control_plane.api.request("DELETE", f"{path}/refuser")


def _refusal(tool: Tool) -> str:
    try:
        tool.api.request("POST", f"{NAMESPACE}/secrets", {"metadata": {"generateName": "refused-"}})
    except ApiRefusal as refusal:
        return str(refusal)
    return ""


def test_two_clusters_live_side_by_side(control_plane: Tool) -> None:
    other = Tool(replace(control_plane.layout, index=control_plane.layout.index - 90))
    try:
        other.succeed("up", "--flavour", "control-plane")
        control_plane.succeed("status")
        other.succeed("status")
    finally:
        other.succeed("down")
    assert leftovers(other.layout) == []
    control_plane.succeed("status")


def test_a_killed_api_server_is_told_and_the_next_up_starts_anew(control_plane: Tool) -> None:
    kill(pid_of(control_plane, "kube-apiserver"))
    told = control_plane.run("status")
    assert told.returncode == 1
    assert "kube-apiserver            DOES NOT RUN" in told.stdout
    assert "DOES NOT ANSWER" in told.stdout
    control_plane.succeed("up", "--flavour", "control-plane")
    control_plane.succeed("status")
    control_plane.succeed("down")
    assert leftovers(control_plane.layout) == []
    assert control_plane.run("status").returncode == 3


@pytest.mark.parametrize("delay", [0.3, 1.0, 2.0])
def test_an_up_that_was_killed_midway_leaves_nothing_after_down(absent: Tool, delay: float) -> None:
    command = [*PROGRAM, "up", "--index", str(absent.layout.index)]
    with subprocess.Popen([*command, "--flavour", "control-plane"], stderr=subprocess.DEVNULL) as starting:
        time.sleep(delay)
        starting.kill()
    absent.succeed("down")
    assert leftovers(absent.layout) == []


@pytest.fixture
def hearing_interrupts() -> Iterator[None]:
    """A shell has its background jobs and their children ignore SIGINT, and these tests may be one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hearing_interrupts")
def test_an_interrupted_up_ends_what_it_began(absent: Tool) -> None:
    command = [*PROGRAM, "up", "--index", str(absent.layout.index)]
    with subprocess.Popen([*command, "--flavour", "control-plane"], stderr=subprocess.DEVNULL) as starting:
        wait_until(lambda: recorded(absent.layout.records / "etcd") is not None, what="etcd", timeout=30)
        starting.send_signal(signal.SIGINT)
        assert starting.wait(timeout=10) == 130
    assert marked(absent.layout.records) == []
    assert not network.link_exists(absent.layout)


def test_a_part_that_cannot_start_is_named_with_its_log(absent: Tool) -> None:
    refused = absent.run("up", "--flavour", "control-plane", "--apiserver-arg=--no-such-flag")
    assert refused.returncode == 1
    assert "kube-apiserver ended while starting" in refused.stderr
    assert "unknown flag: --no-such-flag" in refused.stderr
    absent.succeed("down")
    assert leftovers(absent.layout) == []


def test_the_audit_log_holds_what_is_asked_for(absent: Tool) -> None:
    absent.succeed("up", "--flavour", "control-plane", "--audit")
    absent.api.request(
        "POST", f"{NAMESPACE}/secrets", {"metadata": {"name": "s"}, "stringData": {"k": "hidden"}}
    )
    log = absent.layout.audit_log.read_text()
    assert '"resource":"secrets","namespace":"default","name":"s"' in log
    assert "hidden" not in log
    assert "aGlkZGVu" not in log
    absent.succeed("down")
