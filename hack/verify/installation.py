"""What kfx finds where it is installed: kinds, rights, an account of its own, webhooks that are asked."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from hack.cluster.layout import Layout
from kfx.katib.names import LABEL_INJECTION, WEBHOOK_CONFIGURATION
from kfx.kube.client import Client
from kfx.kube.credentials import Credentials, load_credentials
from kfx.kube.errors import NotFound
from kfx.runtime.cert_store import WEBHOOK_CONFIGURATIONS
from tests.cluster.crds import install_crds
from tests.cluster.katib import NAMESPACE
from tests.cluster.site import CONFIG, CORE, NAMESPACES, account_of_kfx, ensure, grant_rights
from tests.serving import new_pair, write_pair


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
        await ensure(admin, NAMESPACES, {"metadata": {"name": CORE}})
        labels = {"metadata": {"labels": {LABEL_INJECTION: "enabled"}}}
        await admin.patch(NAMESPACES, "", NAMESPACE, labels)
        await grant_rights(admin)
        pair = new_pair()
        write_pair(folder, pair)
        try:
            yield Installation(admin, account_of_kfx(layout, folder), folder, pair.authorities[0])
        finally:
            for resource in WEBHOOK_CONFIGURATIONS:
                with suppress(NotFound):
                    await admin.delete(resource, "", WEBHOOK_CONFIGURATION)
