"""Reads what all Experiments share: the API server, the kinds, the controller, the webhooks."""

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from kfx.apis.common import GROUP, VERSION
from kfx.apis.workload import Deployment, DetailedPod
from kfx.commands.session import Session, attempt, decode_document, present
from kfx.commands.trust import judge_bundle
from kfx.config import FLAGS
from kfx.katib.explanation import Facts, HookSeen, LeaseSeen, Unread
from kfx.katib.explanation.platform import lease_name
from kfx.katib.names import CERTIFICATE_SECRET, LABEL_COMPONENT, WEBHOOK_CONFIGURATION
from kfx.kube.errors import ApiError, NotFound, TransportError, Unauthorized
from kfx.kube.resource import Resource
from kfx.runtime.cert_store import SECRETS, WEBHOOK_CONFIGURATIONS
from kfx.runtime.lease import LEASES
from kfx.runtime.lease import parse as parse_lease

SERVICES = Resource("", "v1", "services", "Service")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
LEASE = str(next(flag.default for flag in FLAGS if flag.name == "leader-election-id"))
CONTROLLERS = f"{LABEL_COMPONENT}=controller"
_WHOLE = "deployments.apps"


async def read_server(session: Session, facts: Facts) -> Facts:
    """Add whether the API server answers, and which of Katib's kinds it knows."""
    try:
        version = str((await session.client.request("GET", "/version")).get("gitVersion", ""))
    except Unauthorized as refused:
        remedy = "log in anew, or correct the user's token or certificate in the kubeconfig"
        return replace(facts, outage=(f"it does not accept the credentials: {refused.message}", remedy))
    except ApiError:
        version = ""  # it answers, which is all that was asked
    except TransportError as failed:
        remedy = "see that the API server runs and that the kubeconfig's server and certificate are right"
        return replace(facts, outage=(f"it does not answer: {failed}", remedy))
    served = await attempt(f"kinds of {GROUP}/{VERSION}", _served(session))
    return replace(facts, version=version, served=present(served, frozenset()))


async def _served(session: Session) -> frozenset[str]:
    found = await session.client.request("GET", f"/apis/{GROUP}/{VERSION}")
    return frozenset(str(each.get("kind")) for each in found.get("resources") or ())


async def read_platform(session: Session, facts: Facts) -> Facts:
    """Add everything else; what may not be read is said in its place."""
    core = facts.core_namespace
    async with asyncio.TaskGroup() as group:
        deployments = group.create_task(_read_controllers(session, core))
        pods = group.create_task(
            attempt("pods", session.list_objects(DetailedPod, namespace=core, labels=CONTROLLERS))
        )
        hooks = group.create_task(HookReader(session, facts.now).read())
    found = deployments.result()
    name = lease_name(found if isinstance(found, tuple) else (), LEASE)
    return replace(
        facts,
        deployments=found,
        leases=await _read_leases(session, core, name),
        controller_pods=present(pods.result(), ()),
        hooks=hooks.result(),
        lease_name=name,
    )


async def _read_controllers(session: Session, core: str) -> tuple[Deployment, ...] | Unread:
    """Of the whole cluster, since two controllers are in each other's way; else of the core namespace."""
    found = await attempt(_WHOLE, session.list_objects(Deployment, namespace="", labels=CONTROLLERS))
    if isinstance(found, Unread):
        found = await attempt(
            f"{_WHOLE} in {core}", session.list_objects(Deployment, namespace=core, labels=CONTROLLERS)
        )
    return present(found, ())


async def _read_leases(session: Session, core: str, name: str) -> tuple[LeaseSeen, ...] | Unread:
    fields = f"metadata.name={name}"
    found = await attempt(str(LEASES), session.list_raw(LEASES, namespace="", fields=fields))
    if isinstance(found, Unread):
        one = await attempt(f"{LEASES} in {core}", session.document(LEASES, name, core))
        if isinstance(one, Unread):
            return one
        documents = [one] if one is not None else []
    else:
        documents = [decode_document(raw) for raw in (found or ([], ""))[0]]
    return tuple(_lease(document) for document in documents)


def _lease(document: Mapping[str, Any]) -> LeaseSeen:
    lease, metadata = parse_lease(document), document.get("metadata") or {}
    namespace, name = str(metadata.get("namespace", "")), str(metadata.get("name", ""))
    return LeaseSeen(namespace, name, lease.holder, lease.renewed, float(lease.duration))


@dataclass(slots=True)
class HookReader:
    """Reads webhooks with what they rest on; each Service and Secret once."""

    session: Session
    now: datetime
    _services: dict[str, tuple[str, tuple[Unread, ...]]] = field(default_factory=dict)
    _serving: dict[str, bytes | Unread] = field(default_factory=dict)

    async def read(self) -> tuple[HookSeen, ...] | Unread:
        """The webhooks of both configurations; none where neither is there."""
        found: list[HookSeen] = []
        for resource in WEBHOOK_CONFIGURATIONS:
            document = await attempt(
                str(resource), self.session.document(resource, WEBHOOK_CONFIGURATION, "")
            )
            if isinstance(document, Unread):
                return document
            hooks = (document or {}).get("webhooks") or ()
            found += [await self._look(resource.kind, hook) for hook in hooks]
        return tuple(found)

    async def _look(self, configuration: str, hook: Mapping[str, Any]) -> HookSeen:
        client = hook.get("clientConfig") or {}
        service = client.get("service") or {}
        namespace, name = str(service.get("namespace") or ""), str(service.get("name") or "")
        serving: bytes | Unread = b""
        problem, unread = "", tuple[Unread, ...]()
        if name:
            serving = await self._serving_certificate(namespace)
            problem, unread = await self._look_at_service(namespace, name)
        known = b"" if isinstance(serving, Unread) else serving
        return HookSeen(
            configuration=configuration,
            name=str(hook.get("name") or ""),
            bundle_problem=judge_bundle(_decode(client.get("caBundle")), known, now=self.now),
            service=f"{namespace}/{name}" if name else "",
            service_problem=problem,
            selector=hook.get("namespaceSelector") or {},
            unread=(*unread, *((serving,) if isinstance(serving, Unread) else ())),
        )

    async def _serving_certificate(self, namespace: str) -> bytes | Unread:
        """The public part of the certificate that kfx shows, ``b""`` where it is kept elsewhere."""
        if namespace not in self._serving:
            what = f"Secret {namespace}/{CERTIFICATE_SECRET}"
            secret = await attempt(what, self.session.document(SECRETS, CERTIFICATE_SECRET, namespace))
            if isinstance(secret, Unread):
                self._serving[namespace] = secret
            else:
                self._serving[namespace] = _decode(((secret or {}).get("data") or {}).get("tls.crt"))
        return self._serving[namespace]

    async def _look_at_service(self, namespace: str, name: str) -> tuple[str, tuple[Unread, ...]]:
        key = f"{namespace}/{name}"
        if key not in self._services:
            self._services[key] = await self._judge_service(namespace, name)
        return self._services[key]

    async def _judge_service(self, namespace: str, name: str) -> tuple[str, tuple[Unread, ...]]:
        try:
            await self.session.document(SERVICES, name, namespace)
        except NotFound:
            return "is not there", ()
        except (ApiError, TransportError):
            return "", (Unread(f"Service {namespace}/{name}", "forbidden"),)
        labels = f"kubernetes.io/service-name={name}"
        found = await attempt(
            str(ENDPOINT_SLICES), self.session.list_raw(ENDPOINT_SLICES, namespace=namespace, labels=labels)
        )
        if isinstance(found, Unread):
            return "", (found,)
        slices = [decode_document(raw) for raw in (found or ([], ""))[0]]
        ready = any(_is_ready(end) for each in slices for end in each.get("endpoints") or ())
        return ("" if ready else "has no endpoint that is ready"), ()


def _is_ready(endpoint: Mapping[str, Any]) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is not False and bool(endpoint.get("addresses"))


def _decode(text: Any) -> bytes:
    """Bytes from base64; ``b""`` for what is none."""
    try:
        return b64decode(text or "", validate=True)
    except (ValueError, TypeError):
        return b""
