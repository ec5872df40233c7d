"""What kfx finds where it is installed: kinds, rights, an account of its own, webhooks that are asked."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from hack.cluster.layout import Layout
from hack.cluster.tokens import write_token_kubeconfig
from kfx.katib.names import LABEL_INJECTION, WEBHOOK_CONFIGURATION
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials, load_credentials
from kfx.kube.errors import AlreadyExists, NotFound
from kfx.kube.resource import Resource, guess_resource
from kfx.runtime.cert_store import WEBHOOK_CONFIGURATIONS
from tests.cluster.crds import install_crds
from tests.cluster.katib import NAMESPACE
from tests.serving import new_pair, write_pair

CONFIG = Path(__file__).resolve().parents[2] / "config"
CORE, ACCOUNT = "kubeflow", "katib-controller"
RIGHTS = ("service_account", "cluster_role", "cluster_role_binding", "role", "role_binding")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


@dataclass(frozen=True, slots=True)
class Installation:
    """``kfx``: the credentials of its account. ``folder``: with the webhooks' certificate."""

    admin: Client
    kfx: Credentials
    folder: Path
    authority: bytes

    async def register(self, port: int) -> None:
        """Let the API server ask the webhooks on this port of the machine."""
        bundle = b64encode(self.authority).decode()
        kinds = {resource.kind: resource for resource in WEBHOOK_CONFIGURATIONS}
        for document in yaml.safe_load_all((CONFIG / "webhook" / "manifests.yaml").read_text()):
            for hook in document["webhooks"]:
                path = hook["clientConfig"]["service"]["path"]
                hook["clientConfig"] = {"url": f"https://127.0.0.1:{port}{path}", "caBundle": bundle}
            await self.admin.create(kinds[document["kind"]], document)


@asynccontextmanager
async def installed(layout: Layout, folder: Path) -> AsyncIterator[Installation]:
    """As ``config/default`` installs it, but for the Deployment; the webhooks go with the block."""
    async with Client.connect(load_credentials(str(layout.kubeconfig)), user_agent="test") as admin:
        await install_crds(admin)
        await _ensure(admin, NAMESPACES, {"metadata": {"name": CORE}})
        labels = {"metadata": {"labels": {LABEL_INJECTION: "enabled"}}}
        await admin.patch(NAMESPACES, "", NAMESPACE, labels)
        for name in RIGHTS:
            document = yaml.safe_load((CONFIG / "rbac" / f"{name}.yaml").read_text())
            await _ensure(admin, guess_resource(document["apiVersion"], document["kind"]), document)
        file = folder / "account.kubeconfig"
        write_token_kubeconfig(layout, namespace=CORE, service_account=ACCOUNT, file=file)
        pair = new_pair()
        write_pair(folder, pair)
        yield Installation(admin, load_credentials(str(file)), folder, pair.authorities[0])
        for resource in WEBHOOK_CONFIGURATIONS:
            with suppress(NotFound):
                await admin.delete(resource, "", WEBHOOK_CONFIGURATION)


async def _ensure(client: Client, resource: Resource, document: dict[str, object]) -> None:
    with suppress(AlreadyExists):
        await client.create(resource, document)
