"""Golden files of every object, and Katib's own tests of its composer (rows of 12.7)."""

from typing import Any

import msgspec
import pytest
import yaml

from kfx.apis.common import AlgorithmSpec
from kfx.apis.suggestion import Suggestion
from kfx.katib.katib_config import KatibConfigError, RuntimeConfig, parse_runtime_config
from kfx.katib.suggestion_objects import compose_service_objects
from tests.golden_files import assert_golden
from tests.katib_objects import suggestion

ENTRY = {"algorithmName": "random", "image": "random-image"}
STOPPING = {"algorithmName": "medianstop", "image": "medianstop-image"}
ACCOUNT = {"serviceAccountName": "own-account"}


def config(entry: dict[str, Any] = ENTRY, stopping: dict[str, Any] = STOPPING) -> RuntimeConfig:
    runtime = {"suggestions": [entry], "earlyStoppings": [stopping]}
    return parse_runtime_config({"katib-config.yaml": yaml.safe_dump({"runtime": runtime})})


def owned(*, stopping: bool = True, policy: str = "FromVolume", **metadata: Any) -> Suggestion:
    of = suggestion(policy=policy)
    rule = AlgorithmSpec(algorithm_name="medianstop") if stopping else None
    metadata = {"labels": {"team": "a"}, "annotations": {"note": "b"}, **metadata}
    return msgspec.structs.replace(
        of,
        metadata=msgspec.structs.replace(of.metadata, **metadata),
        spec=msgspec.structs.replace(of.spec, early_stopping=rule),
    )


def objects(
    of: Suggestion, entry: dict[str, Any] | None = None, *, probes: bool = True, **more: Any
) -> dict[str, Any]:
    found = compose_service_objects(of, config({**ENTRY, **(entry or {})}, **more), probes=probes)
    return {create.manifest["kind"]: create.manifest for create in found}


def containers(found: dict[str, Any]) -> Any:
    return found["Deployment"]["spec"]["template"]["spec"]["containers"]


WHOLE = {
    "name": "mine",
    "command": ["run"],
    "env": [{"name": "A", "value": "b"}],
    "ports": [{"name": "metrics", "containerPort": 8080}],
    "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    "volumeMountPath": "/state",
    "imagePullPolicy": "Never",
    "resources": {"limits": {"cpu": 2, "memory": -1}, "requests": {"cpu": "1"}},
    "securityContext": {"runAsNonRoot": True},
    "persistentVolumeSpec": {
        "capacity": {"storage": "5Gi"},
        "hostPath": {"path": "/tmp/state"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
    },
    "persistentVolumeLabels": {"type": "local"},
    "persistentVolumeClaimSpec": {"storageClassName": "local"},
}


@pytest.mark.parametrize(
    ("name", "of", "entry", "probes"),
    [
        ("plain", owned(stopping=False, policy="Never"), {}, True),
        ("early_stopping", owned(policy="LongRunning"), {}, True),
        ("whole", owned(), WHOLE, True),
        ("own_account_without_probes", owned(), ACCOUNT, False),
    ],
)
def test_12_7_objects_are_those_of_the_golden_file(
    name: str, of: Suggestion, entry: dict[str, Any], probes: bool
) -> None:
    """12.7.1, 12.7.8, 12.7.10, 12.7.11, 12.7.12: in the order in which they are made."""
    found = compose_service_objects(of, config({**ENTRY, **entry}), probes=probes)
    manifests = [msgspec.json.decode(msgspec.json.encode(create.manifest)) for create in found]
    text = yaml.safe_dump(manifests, sort_keys=False, width=100)
    assert_golden(f"suggestion/{name}.yaml", text)
    owners = {create.resource.kind: create.owner_uid for create in found}
    assert owners.pop("PersistentVolume", None) is None
    assert set(owners.values()) == {"s-uid"}


def test_12_7_default_path_with_an_account_of_its_own() -> None:
    """12.7.1: nobody needs rights of kfx then."""
    found = objects(owned(), ACCOUNT)
    assert list(found) == ["PersistentVolumeClaim", "Service", "Deployment"]
    assert found["Deployment"]["spec"]["template"]["spec"]["serviceAccountName"] == "own-account"


@pytest.mark.parametrize("kind", ["Deployment", "Service", "PersistentVolumeClaim"])
def test_12_7_every_object_has_its_suggestion_for_a_controller(kind: str) -> None:
    """12.7.2, 12.7.8: what Katib could fail at is a value here."""
    (owner,) = objects(owned())[kind]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Suggestion", "s-uid", True)
    assert owner["apiVersion"] == "kubeflow.org/v1beta1"
    assert owner["blockOwnerDeletion"] is True


def test_12_7_an_invalid_pull_policy_is_if_not_present() -> None:
    """12.7.3: of both containers."""
    stopping = {**STOPPING, "imagePullPolicy": "Sometimes"}
    found = containers(objects(owned(), {"imagePullPolicy": "Sometimes"}, stopping=stopping))
    assert [each["imagePullPolicy"] for each in found] == ["IfNotPresent", "IfNotPresent"]


def test_12_7_an_invalid_quantity_is_an_error() -> None:
    """12.7.4: told when katib-config is read."""
    with pytest.raises(KatibConfigError, match=r"resources\.limits\.cpu"):
        objects(owned(), {"resources": {"limits": {"cpu": "invalid"}}})


def test_12_7_a_mount_path_of_its_own_is_used() -> None:
    """12.7.5: and Katib's where there is none."""
    assert containers(objects(owned()))[0]["volumeMounts"][-1]["mountPath"] == "/opt/katib/data"
    mount = {"name": "suggestion-volume", "mountPath": "/state"}
    assert containers(objects(owned(), {"volumeMountPath": "/state"}))[0]["volumeMounts"] == [mount]


def test_a_mount_of_the_volume_that_katib_config_states_is_left_alone() -> None:
    stated = {"name": "suggestion-volume", "mountPath": "/stated"}
    assert containers(objects(owned(), {"volumeMounts": [stated]}))[0]["volumeMounts"] == (stated,)


def test_12_7_without_an_account_the_rule_gets_one() -> None:
    """12.7.6, 12.7.12: with the rights to mark trials."""
    found = objects(owned(policy="Never"))
    assert list(found) == ["Service", "ServiceAccount", "Role", "RoleBinding", "Deployment"]
    assert found["Deployment"]["spec"]["template"]["spec"]["serviceAccountName"] == "e-random"
    assert {manifest["metadata"]["name"] for manifest in found.values()} == {"e-random"}


def test_12_7_an_image_of_the_rule_that_is_blank_is_an_error() -> None:
    """12.7.7: and so is a rule that is not named."""
    with pytest.raises(KatibConfigError, match="required value for image configuration"):
        objects(owned(), stopping={**STOPPING, "image": " "})
    with pytest.raises(KatibConfigError, match="failed to find early stopping config for algorithm"):
        objects(owned(), stopping={**STOPPING, "algorithmName": "other"})


def test_12_7_an_algorithm_that_katib_config_does_not_name_is_an_error() -> None:
    """12.7.9: with Katib's words."""
    with pytest.raises(KatibConfigError, match="failed to find suggestion config for algorithm: random"):
        objects(owned(), {"algorithmName": "tpe"})


@pytest.mark.parametrize("port", [{"name": "suggestion-api", "containerPort": 1}, {"containerPort": 6789}])
def test_the_algorithms_port_may_not_be_taken(port: dict[str, Any]) -> None:
    with pytest.raises(KatibConfigError, match='a port with name "suggestion-api" or number 6789 must not'):
        objects(owned(), {"ports": [port]})


@pytest.mark.parametrize(
    ("stated", "own"),
    [("readinessProbe", "livenessProbe"), ("livenessProbe", "readinessProbe")],
)
def test_a_probe_that_is_stated_wins(stated: str, own: str) -> None:
    probe = {"exec": {"command": ["true"]}}
    found = containers(objects(owned(), {stated: probe}))[0]
    assert found[stated] == probe
    assert found[own]["grpc"] == {"port": 6789, "service": "manager.v1beta1.Suggestion"}
    assert own not in containers(objects(owned(), {stated: probe}, probes=False))[0]


def test_no_volume_is_made_for_another_policy() -> None:
    found = objects(owned(policy="LongRunning", stopping=False), WHOLE)
    assert list(found) == ["Service", "Deployment"]
    assert "volumes" not in found["Deployment"]["spec"]["template"]["spec"]
    assert "serviceAccountName" not in found["Deployment"]["spec"]["template"]["spec"]
