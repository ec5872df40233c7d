"""The objects around an algorithm that runs in an image of its own (Katib's composer, ``General``).

Everything is named ``<experiment>-<algorithm>``; the volume, which lives in no namespace, has that of the
Suggestion behind it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kfx.apis.apps import Deployment, Service
from kfx.apis.katib_config import EarlyStoppingEntry, SuggestionEntry
from kfx.apis.suggestion import Suggestion
from kfx.katib.compose import VOLUME_CLAIMS, compose_volume_claim, owned_metadata, service_name
from kfx.katib.katib_config import CONFIG_MAP, KatibConfigError, RuntimeConfig
from kfx.katib.names import LABEL_DEPLOYMENT, LABEL_EXPERIMENT, LABEL_SUGGESTION, merge_labels
from kfx.katib.suggestion import FROM_VOLUME
from kfx.kube.model import to_builtins
from kfx.kube.resource import Resource
from kfx.runtime.plan import Create

SUGGESTION_PORT, SUGGESTION_PORT_NAME = 6789, "suggestion-api"
EARLY_STOPPING_PORT, EARLY_STOPPING_PORT_NAME = 6788, "earlystop-api"
SUGGESTION_VOLUME = "suggestion-volume"

PERSISTENT_VOLUMES = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")

_NOT_OF_THE_CONTAINER = (
    "algorithmName",
    "serviceAccountName",
    "volumeMountPath",
    "persistentVolumeClaimSpec",
    "persistentVolumeSpec",
    "persistentVolumeLabels",
)
_PROBE = {
    "grpc": {"port": SUGGESTION_PORT, "service": "manager.v1beta1.Suggestion"},
    "initialDelaySeconds": 10,
}
_READINESS = {**_PROBE, "periodSeconds": 10}
_LIVENESS = {**_PROBE, "periodSeconds": 120, "failureThreshold": 12}


def stopping_name(suggestion: Suggestion) -> str:
    """Name of the early-stopping rule, ``""`` for none."""
    stopping = suggestion.spec.early_stopping
    return stopping.algorithm_name if stopping is not None else ""


def compose_service_objects(
    suggestion: Suggestion, config: RuntimeConfig, *, probes: bool
) -> tuple[Create, ...]:
    """Everything that the algorithm needs, in the order in which Katib makes it.

    ``probes``: give its container gRPC probes where katib-config gives none. Raises KatibConfigError for an
    entry that is missing, has no image or takes the algorithm's port.
    """
    algorithm = suggestion.spec.algorithm
    entry = config.suggestion(algorithm.algorithm_name if algorithm is not None else "")
    rule = stopping_name(suggestion)
    early = config.early_stopping(rule) if rule else None
    deployment = _deployment(suggestion, entry, early, probes=probes)
    found = [*_volumes(suggestion, entry), _service(suggestion)]
    if early is not None and entry.service_account_name in {"", service_name(suggestion)}:
        found += _rights(suggestion)
    return tuple(_create(suggestion, manifest) for manifest in (*found, deployment))


def _create(suggestion: Suggestion, manifest: Mapping[str, Any]) -> Create:
    resource = _RESOURCES[manifest["kind"]]
    owner = suggestion.metadata.uid if resource.namespaced else None
    return Create(resource=resource, manifest=manifest, owner_uid=owner)


def _deployment(
    suggestion: Suggestion, entry: SuggestionEntry, early: EarlyStoppingEntry | None, *, probes: bool
) -> dict[str, Any]:
    name, labels = service_name(suggestion), _pod_labels(suggestion)
    containers = [_container(suggestion, entry, probes=probes)]
    if early is not None:
        containers.append(_early_stopping_container(early))
    pod: dict[str, Any] = {"containers": containers}
    if account := entry.service_account_name or (name if early is not None else ""):
        pod["serviceAccountName"] = account
    if suggestion.spec.resume_policy == FROM_VOLUME:
        pod["volumes"] = [{"name": SUGGESTION_VOLUME, "persistentVolumeClaim": {"claimName": name}}]
    annotations = _annotations(suggestion)
    metadata = owned_metadata(name, suggestion, suggestion.metadata.labels) | annotations
    template = {"metadata": {"labels": labels, **annotations}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return _manifest(Deployment.resource, metadata, spec=spec)


def _container(suggestion: Suggestion, entry: SuggestionEntry, *, probes: bool) -> dict[str, Any]:
    stated = {key: value for key, value in to_builtins(entry).items() if key not in _NOT_OF_THE_CONTAINER}
    port = {"name": SUGGESTION_PORT_NAME, "containerPort": SUGGESTION_PORT}
    found = {"name": "suggestion", **stated, "ports": [*_free_ports(entry), port]}
    if probes:
        found = {"readinessProbe": _READINESS, "livenessProbe": _LIVENESS, **found}
    mounts = list(entry.volume_mounts)
    if suggestion.spec.resume_policy == FROM_VOLUME and not any(
        mount.get("name") == SUGGESTION_VOLUME for mount in mounts
    ):
        mounts.append({"name": SUGGESTION_VOLUME, "mountPath": entry.volume_mount_path})
        found["volumeMounts"] = mounts
    return found


def _free_ports(entry: SuggestionEntry) -> Iterator[Mapping[str, Any]]:
    """The stated ports. Raises KatibConfigError if one is the algorithm's own."""
    for port in entry.ports:
        if port.get("name") == SUGGESTION_PORT_NAME or port.get("containerPort") == SUGGESTION_PORT:
            raise KatibConfigError(
                f'invalid suggestion config: a port with name "{SUGGESTION_PORT_NAME}" or number '
                f"{SUGGESTION_PORT} must not be specified; remove it from ports of algorithm "
                f"{entry.algorithm_name} in ConfigMap {CONFIG_MAP}"
            )
        yield port


def _early_stopping_container(entry: EarlyStoppingEntry) -> dict[str, Any]:
    stated = {key: value for key, value in to_builtins(entry).items() if key != "algorithmName"}
    port = {"name": EARLY_STOPPING_PORT_NAME, "containerPort": EARLY_STOPPING_PORT}
    return {"name": "early-stopping", **stated, "ports": [port]}


def _service(suggestion: Suggestion) -> dict[str, Any]:
    ports = [{"name": SUGGESTION_PORT_NAME, "port": SUGGESTION_PORT}]
    if stopping_name(suggestion):
        ports.append({"name": EARLY_STOPPING_PORT_NAME, "port": EARLY_STOPPING_PORT})
    spec = {"type": "ClusterIP", "selector": _pod_labels(suggestion), "ports": ports}
    return _manifest(Service.resource, owned_metadata(service_name(suggestion), suggestion, None), spec=spec)


def _volumes(suggestion: Suggestion, entry: SuggestionEntry) -> Iterator[dict[str, Any]]:
    if suggestion.spec.resume_policy != FROM_VOLUME:
        return
    if entry.persistent_volume_spec:
        metadata: dict[str, Any] = {"name": f"{service_name(suggestion)}-{suggestion.metadata.namespace}"}
        if entry.persistent_volume_labels:
            metadata["labels"] = dict(entry.persistent_volume_labels)
        yield _manifest(PERSISTENT_VOLUMES, metadata, spec=dict(entry.persistent_volume_spec))
    yield compose_volume_claim(suggestion, entry.persistent_volume_claim_spec or {})


def _rights(suggestion: Suggestion) -> Iterator[dict[str, Any]]:
    """What the early-stopping container needs to mark trials."""
    name = service_name(suggestion)
    metadata = owned_metadata(name, suggestion, None)
    yield _manifest(SERVICE_ACCOUNTS, metadata)
    rule = {"apiGroups": ["kubeflow.org"], "resources": ["trials", "trials/status"], "verbs": ["*"]}
    yield _manifest(ROLES, metadata, rules=[rule])
    subject = {"kind": "ServiceAccount", "name": name, "namespace": suggestion.metadata.namespace}
    role = {"apiGroup": ROLES.group, "kind": "Role", "name": name}
    yield _manifest(ROLE_BINDINGS, metadata, subjects=[subject], roleRef=role)


def _pod_labels(suggestion: Suggestion) -> dict[str, str]:
    """Those that the Service finds the pod by (Katib ``util.SuggestionLabels``)."""
    own = {
        LABEL_DEPLOYMENT: service_name(suggestion),
        LABEL_EXPERIMENT: suggestion.metadata.name,
        LABEL_SUGGESTION: suggestion.metadata.name,
        "sidecar.istio.io/inject": "false",
    }
    return merge_labels(suggestion.metadata.labels, own)


def _annotations(suggestion: Suggestion) -> dict[str, Any]:
    found = suggestion.metadata.annotations
    return {"annotations": dict(found)} if found else {}


def _manifest(resource: Resource, metadata: Mapping[str, Any], **rest: Any) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": dict(metadata), **rest}


_RESOURCES: Mapping[str, Resource] = {
    each.kind: each
    for each in (
        PERSISTENT_VOLUMES,
        SERVICE_ACCOUNTS,
        ROLES,
        ROLE_BINDINGS,
        Deployment.resource,
        Service.resource,
        VOLUME_CLAIMS,
    )
}
