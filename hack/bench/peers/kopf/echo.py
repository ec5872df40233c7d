"""The echo operator of hack/bench on kopf: ``python echo.py KUBECONFIG``."""

import asyncio
import base64
import os
import ssl
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

import aiohttp
import yaml

os.environ["KUBECONFIG"] = sys.argv[1]

import kopf


@dataclass
class Server:
    """A session of its own, as kopf lends its handlers none."""

    url: str
    session: aiohttp.ClientSession


connected: list[Server] = []


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """No events about events; one session for all handlers."""
    settings.posting.enabled = False
    with open(sys.argv[1], encoding="utf-8") as file:
        config = yaml.safe_load(file)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]))
        pair.write(base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    connector = aiohttp.TCPConnector(ssl=context, limit=32)
    connected.append(Server(cluster["server"], aiohttp.ClientSession(connector=connector)))


@kopf.on.event("bench.example.org", "v1", "echos")
async def echo(
    body: kopf.Body, name: str, namespace: str, uid: str, spec: kopf.Spec, status: kopf.Status, **_: Any
) -> None:
    """A ConfigMap, then a status that says so."""
    if status.get("done") or body["metadata"].get("deletionTimestamp"):
        return
    server = connected[0]
    owner = {
        "apiVersion": "bench.example.org/v1", "kind": "Echo", "name": name, "uid": uid,
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
    made = {"metadata": {"name": name, "ownerReferences": [owner]}, "data": {"text": spec.get("text", "")}}
    path = f"{server.url}/api/v1/namespaces/{namespace}/configmaps"
    async with server.session.post(path, json=made) as answer:
        if answer.status != 409:
            answer.raise_for_status()
    path = f"{server.url}/apis/bench.example.org/v1/namespaces/{namespace}/echos/{name}/status"
    headers = {"Content-Type": "application/merge-patch+json"}
    async with server.session.patch(path, json={"status": {"done": True}}, headers=headers) as answer:
        if answer.status != 404:
            answer.raise_for_status()


async def main() -> None:
    """Until SIGTERM."""
    await kopf.operator(clusterwide=True)


asyncio.run(main())
