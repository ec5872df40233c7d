"""Pod reviews answered with a one-line patch over TLS: how many a second, how soon, at what cost."""

import json
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hack.bench.contender import Contender, build_go_peer
from hack.bench.figures import Figures, Section
from kfx.runtime import pki

CONNECTIONS, BODY_SIZE = 16, 4800
NOTE = (
    f"A Pod's review of {BODY_SIZE} bytes over TLS, {CONNECTIONS} connections of HTTP/1.1, always busy. One "
    "load generator for all, a process of its own on the same cores; it warms up for two seconds. CPU µs is "
    "the server's CPU time for one request."
)


def contenders() -> list[Contender]:
    """kfx and controller-runtime."""
    return [
        Contender("kfx", (sys.executable, "-m", "hack.bench.operators.admission", "{}", "{}")),
        Contender("controller-runtime", (str(build_go_peer()), "admission", "{}", "{}")),
    ]


def measure(*, seconds: float, rounds: int) -> Section:
    """All contenders under the same load."""
    section = Section(f"admission: {seconds:g} s a round", NOTE)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_pair(directory)
        (directory / "review.json").write_bytes(review())
        for _ in range(rounds):
            for contender in contenders():
                section.add(contender.name, _measure(contender, directory, seconds))
    return section


def _measure(contender: Contender, directory: Path, seconds: float) -> Figures:
    port = free_port()
    with contender.running(port, directory) as cost:
        wait_for_port(port)
        before = cost.cpu_seconds
        words = [str(build_go_peer()), "load", f"https://127.0.0.1:{port}/mutate-pod?timeout=10s"]
        words += [str(directory / "ca.crt"), str(directory / "review.json"), str(CONNECTIONS), str(seconds)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 30, check=False)
        if done.returncode:
            raise RuntimeError(f"{contender.name}: {done.stderr[-500:]}")
        found = json.loads(done.stdout)
        spent = cost.cpu_seconds - before
        return {
            "requests/s": found["per_second"],
            "p50 ms": found["p50"],
            "p99 ms": found["p99"],
            "CPU µs": 1e6 * spent / found["all"],
            "peak MiB": cost.peak_mib,
        }


def write_pair(directory: Path) -> None:
    """A certificate for loopback, its key, and who signed it."""
    pair = pki.issue(
        ["localhost"], ["127.0.0.1"], now=datetime.now(UTC), common_name="bench", organization="bench"
    )
    (directory / "tls.crt").write_bytes(pair.cert_pem)
    (directory / "tls.key").write_bytes(pair.key_pem)
    (directory / "ca.crt").write_bytes(pair.bundle)


def free_port() -> int:
    """One that nobody listens on just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Return once somebody listens; TimeoutError after twenty seconds."""
    for _ in range(2000):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise TimeoutError(f"nobody listens on {port}")


def review() -> bytes:
    """As the API server sends one, filled up to size with an annotation."""
    user = {
        "username": "system:serviceaccount:kube-system:job-controller",
        "groups": ["system:authenticated"],
    }
    request: dict[str, Any] = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "team",
        "operation": "CREATE",
        "userInfo": user,
        "object": pod(),
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    whole = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    annotations = request["object"]["metadata"]["annotations"]
    annotations["filling"] = "x" * (BODY_SIZE - len(json.dumps(whole).encode()))
    return json.dumps(whole).encode()


def pod() -> dict[str, Any]:
    """A Job's Pod."""
    variables = [{"name": f"HYPERPARAMETER_{n}", "value": f"{n / 7:.5f}"} for n in range(24)]
    container = {
        "name": "training-container",
        "image": "example.org/team/trainer:v1",
        "command": ["python3", "/opt/train.py", "--batch-size=64", "--lr=0.0125", "--momentum=0.61"],
        "env": variables,
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
        "volumeMounts": [{"name": "token", "readOnly": True, "mountPath": "/var/run/secrets/service"}],
        "terminationMessagePath": "/dev/termination-log",
        "imagePullPolicy": "IfNotPresent",
    }
    owner = {
        "apiVersion": "batch/v1", "kind": "Job", "name": "trial-1", "controller": True,
        "uid": "11f1fd8f-4d29-4d6c-8c51-3a2f2d7b6f37", "blockOwnerDeletion": True,
    }  # fmt: skip
    metadata = {
        "generateName": "trial-1-", "namespace": "team", "ownerReferences": [owner],
        "labels": {"batch.kubernetes.io/job-name": "trial-1"}, "annotations": {"filling": ""},
    }  # fmt: skip
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "volumes": [
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
        ],
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
    }
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {}}
