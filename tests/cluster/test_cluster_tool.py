"""The life of a cluster under ``hack/cluster``: up, used, broken, down; and what is left: nothing."""

import base64
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import msgspec
import pytest

from hack.cluster import lifecycle, network, prerequisites, tokens
from hack.cluster.api import Api, ApiRefusal, wait_until
from hack.cluster.certificates import Authority
from hack.cluster.layout import Layout, cache_dir
from hack.cluster.node import find_init
from hack.cluster.process import Process, identify, marked, recorded
from hack.image.build import build_trainer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
NAMESPACE = "/api/v1/namespaces/default"


@dataclass(frozen=True)
class Tool:
    """The command line, for one cluster."""

    layout: Layout

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hack.cluster.cluster", words[0], "--index", str(self.layout.index)]
        return subprocess.run(
            [*command, *words[1:]], capture_output=True, text=True, check=False, timeout=900
        )

    def succeed(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @property
    def api(self) -> Api:
        return Api.load(self.layout.kubeconfig)


def leftovers(layout: Layout) -> list[str]:
    """Everything on the machine that belongs to this cluster, found without the tool's own records."""
    own = (f"10.77.{layout.index}.", f"10.78.{layout.index}.", f"10.79.{layout.index}.")
    own += (f"127.77.{layout.index}.", str(layout.folder) + "/", f" {layout.link}@", f" {layout.link}:")
    found = []
    for command in ("ip -o link", "ip -o -4 addr", "ip -4 route show table all", "ss -Hltn", "ip netns"):
        output = subprocess.run(command.split(), capture_output=True, text=True, check=False).stdout
        found += [line for line in output.splitlines() if any(word in f" {line} " for word in own)]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if own[4] in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_text() + (process / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if own[4] in text.replace("\0", " ") or f"/{layout.cgroup}/" in text:
            found.append(f"{process.name} {text}")
    found += [f"process {process.pid}" for process in marked(layout.records)]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{layout.cgroup}")]
    return found + [str(path) for path in (layout.folder, layout.lock_file) if path.exists()]


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
def node(tool: Tool) -> Tool:
    lacks = prerequisites.check(node=True)
    if any(not lack.package for lack in lacks) or (lacks and not shutil.which("apt-get")):
        pytest.skip(f"no node on this machine: {'; '.join(map(str, lacks))}")
    if (options := lifecycle.load_options(tool.layout.folder)) and options.flavour != lifecycle.NODE:
        tool.succeed("down")
    tool.succeed("up", "--flavour", "node")
    return tool


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def processes(tool: Tool) -> list[Process]:
    """Everything that the tool started, by its own account."""
    options = lifecycle.load_options(tool.layout.folder)
    assert options
    found = [identify(state.pid) for state in lifecycle.states(tool.layout, options) if state.running]
    return [process for process in found if process]


def pid_of(tool: Tool, part: str) -> int:
    options = lifecycle.load_options(tool.layout.folder)
    assert options
    return next(state.pid for state in lifecycle.states(tool.layout, options) if state.name == part)


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
    if not control_plane.layout.linked:
        pytest.skip("without root there is no address that a Service may lead to")
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
def test_an_up_that_was_killed_midway_leaves_nothing_after_down(tool: Tool, delay: float) -> None:
    command = [sys.executable, "-m", "hack.cluster.cluster", "up", "--index", str(tool.layout.index)]
    with subprocess.Popen([*command, "--flavour", "control-plane"], stderr=subprocess.DEVNULL) as starting:
        time.sleep(delay)
        starting.kill()
    tool.succeed("down")
    assert leftovers(tool.layout) == []


def test_a_part_that_cannot_start_is_named_with_its_log(tool: Tool) -> None:
    refused = tool.run("up", "--flavour", "control-plane", "--apiserver-arg=--no-such-flag")
    assert refused.returncode == 1
    assert "kube-apiserver ended while starting" in refused.stderr
    assert "unknown flag: --no-such-flag" in refused.stderr
    tool.succeed("down")
    assert leftovers(tool.layout) == []


def test_the_audit_log_holds_what_is_asked_for(tool: Tool) -> None:
    tool.succeed("up", "--flavour", "control-plane", "--audit")
    tool.api.request(
        "POST", f"{NAMESPACE}/secrets", {"metadata": {"name": "s"}, "stringData": {"k": "hidden"}}
    )
    log = tool.layout.audit_log.read_text()
    assert '"resource":"secrets","namespace":"default","name":"s"' in log
    assert "hidden" not in log
    assert "aGlkZGVu" not in log
    tool.succeed("down")


JOB_SCRIPT = """
import urllib.request, socket
print(urllib.request.urlopen("https://kubernetes.default.svc.cluster.local/version",
      context=__import__("ssl").create_default_context(
          cafile="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"), timeout=20).status)
try:
    socket.getaddrinfo("elsewhere.example", 80)
except socket.gaierror:
    print("no such name")
"""


@pytest.mark.e2e
def test_a_job_runs_and_reaches_names_and_services(node: Tool, tmp_path: Path) -> None:
    reference = _load_trainer(node, tmp_path)
    container = {"name": "main", "image": reference, "command": ["python3", "-c", JOB_SCRIPT]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    node.api.request("POST", jobs, {"metadata": {"name": "probe"}, "spec": {"template": template}})

    def succeeded() -> bool:
        return bool(node.api.request("GET", f"{jobs}/probe")["status"].get("succeeded"))

    wait_until(succeeded, what="the Job's end", timeout=120)
    (pod,) = node.api.request("GET", f"{NAMESPACE}/pods?labelSelector=job-name%3Dprobe")["items"]
    log = node.api.request("GET", f"{NAMESPACE}/pods/{pod['metadata']['name']}/log")
    assert log.split("\n") == ["200", "no such name", ""]


def _load_trainer(node: Tool, folder: Path) -> str:
    script = folder / "probe.py"
    script.write_text("print('unused')\n")
    image = build_trainer(script, node.layout.cache, archive=folder / "trainer.tar")
    node.succeed("load", str(image.archive))
    assert image.reference in node.succeed("images")
    return image.reference


@pytest.mark.e2e
def test_a_killed_kubelet_comes_back(node: Tool) -> None:
    before = pid_of(node, "kubelet")
    kill(before)
    wait_until(lambda: pid_of(node, "kubelet") not in (0, before), what="another kubelet", timeout=30)


@pytest.mark.e2e
def test_the_api_server_outlives_the_node_and_down_leaves_nothing(node: Tool, tmp_path: Path) -> None:
    reference = _load_trainer(node, tmp_path)
    container = {"name": "main", "image": reference, "command": ["sleep", "1000"]}
    pods = f"{NAMESPACE}/pods"
    node.api.request("POST", pods, {"metadata": {"name": "sleeper"}, "spec": {"containers": [container]}})
    wait_until(
        lambda: node.api.request("GET", f"{pods}/sleeper")["status"]["phase"] == "Running",
        what="the pod",
        timeout=60,
    )
    init = find_init(node.layout)
    assert init
    kill(init.pid)
    wait_until(lambda: pid_of(node, "kubelet") == 0, what="the node's end", timeout=10)
    assert node.api.answers("/readyz")
    assert node.run("status").returncode == 1
    kill(pid_of(node, "kube-apiserver"))
    node.succeed("down")
    assert leftovers(node.layout) == []


@pytest.mark.e2e
def test_down_ends_every_process_and_what_it_clears_was_seen_before(node: Tool) -> None:
    """The proof that :func:`leftovers` would see something."""
    own = processes(node)
    assert len(own) >= len(lifecycle.PARTS) + 1
    seen = "\n".join(leftovers(node.layout))
    for trace in (
        f"{node.layout.link}@",
        node.layout.pod_cidr,
        f"{node.layout.loopback}:",
        "/sys/fs/cgroup/",
    ):
        assert trace in seen
    node.succeed("down")
    assert [process for process in own if identify(process.pid) == process] == []
    assert leftovers(node.layout) == []


@pytest.mark.e2e
def test_a_killed_link_holder_leaves_nothing_after_down(node: Tool) -> None:
    holder = recorded(node.layout.records / network.HOLDER)
    assert holder
    kill(holder.pid)
    node.succeed("down")
    assert leftovers(node.layout) == []
