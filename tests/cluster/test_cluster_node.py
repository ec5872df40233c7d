"""The life of a cluster with a node: real pods, crashes, and nothing left."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import lifecycle, network, prerequisites
from hack.cluster.api import wait_until
from hack.cluster.layout import Layout, cache_dir
from hack.cluster.node import find_init
from hack.cluster.process import identify, recorded
from hack.image.build import build_trainer
from tests.cluster.cluster_tool import NAMESPACE, Tool, kill, leftovers, pid_of, processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def tool() -> Iterator[Tool]:
    """Needs a node, hence root; another index in each test run."""
    lacks = prerequisites.check(node=True)
    if any(not lack.package for lack in lacks) or (lacks and not shutil.which("apt-get")):
        pytest.skip(f"no node on this machine: {'; '.join(map(str, lacks))}")
    found = Tool(Layout(100 + os.getpid() % 100, cache_dir()))
    yield found
    found.succeed("down")


@pytest.fixture
def node(tool: Tool) -> Tool:
    tool.succeed("up", "--flavour", "node")
    return tool


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


def test_a_killed_kubelet_comes_back(node: Tool) -> None:
    before = pid_of(node, "kubelet")
    kill(before)
    wait_until(lambda: pid_of(node, "kubelet") not in (0, before), what="another kubelet", timeout=30)


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


def test_a_killed_link_holder_leaves_nothing_after_down(node: Tool) -> None:
    holder = recorded(node.layout.records / network.HOLDER)
    assert holder
    kill(holder.pid)
    node.succeed("down")
    assert leftovers(node.layout) == []
