"""The manifests under config/ say what Katib's clients and kfx's own code rely on."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from hack.run.images import TRAINER
from kfx.apis.apps import Deployment, Service
from kfx.apis.common import AlgorithmSpec
from kfx.apis.experiment import Experiment
from kfx.apis.suggestion import Suggestion, SuggestionSpec
from kfx.apis.trial import Trial
from kfx.config import TRIAL_RESOURCES
from kfx.katib.compose import VOLUME_CLAIMS
from kfx.katib.katib_config import parse_runtime_config
from kfx.katib.suggestion_objects import (
    PERSISTENT_VOLUMES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    compose_service_objects,
)
from tests.katib_objects import suggestion
from tests.rules.source_tree import ROOT, name_of

CONFIG = ROOT / "config"
KINDS = [Experiment, Suggestion, Trial]
RANDOM, MEDIANSTOP = AlgorithmSpec(algorithm_name="random"), AlgorithmSpec(algorithm_name="medianstop")
GRANTED_ON = {"apiGroups": ["kubeflow.org"], "resources": ["trials", "trials/status"], "verbs": ["*"]}
"""What kfx has only to hand it on, by the exact rule that Katib's early stopping gets."""
TYPE_AND_STATUS = [
    {"name": "Type", "type": "string", "jsonPath": ".status.conditions[-1:].type"},
    {"name": "Status", "type": "string", "jsonPath": ".status.conditions[-1:].status"},
]
AGE = [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]
COLUMNS = {
    "Experiment": TYPE_AND_STATUS + AGE,
    "Trial": TYPE_AND_STATUS + AGE,
    "Suggestion": [
        *TYPE_AND_STATUS,
        {"name": "Requested", "type": "string", "jsonPath": ".spec.requests"},
        {"name": "Assigned", "type": "string", "jsonPath": ".status.suggestionCount"},
        *AGE,
    ],
}


def documents(path: str) -> list[Any]:
    """Every document of one file under config/."""
    return list(yaml.safe_load_all((CONFIG / path).read_text(encoding="utf-8")))


def _by_name(rules: list[dict[str, Any]]) -> dict[str, set[str]]:
    """``group/resource`` → verbs."""
    granted: dict[str, set[str]] = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    return granted


@pytest.mark.parametrize("kind", KINDS)
def test_a_definition_serves_the_type_that_the_code_decodes(kind: Any) -> None:
    (crd,) = documents(f"crd/bases/kubeflow.org_{kind.resource.plural}.yaml")
    spec, resource = crd["spec"], kind.resource
    assert crd["metadata"]["name"] == f"{resource.plural}.{resource.group}" == str(resource)
    assert (spec["group"], spec["scope"]) == (resource.group, "Namespaced")
    assert spec["names"] == {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.kind.lower(),
        "categories": ["all", "kubeflow", "katib"],
    }
    (version,) = spec["versions"]
    assert (version["name"], version["served"], version["storage"]) == (resource.version, True, True)
    assert version["subresources"] == {"status": {}}
    assert version["schema"] == {
        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    }


@pytest.mark.parametrize("kind", COLUMNS)
def test_kubectl_prints_the_columns_that_katib_prints_and_more_for_wide_output_only(kind: str) -> None:
    (crd,) = documents(f"crd/bases/kubeflow.org_{kind.lower()}s.yaml")
    columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
    own = len(COLUMNS[kind])
    assert columns[:own] == COLUMNS[kind]
    assert {column["priority"] for column in columns[own:]} == {1}


def test_webhooks_carry_katibs_names_paths_and_rules() -> None:
    validating, mutating = documents("webhook/manifests.yaml")
    assert {c["metadata"]["name"] for c in (validating, mutating)} == {"katib.kubeflow.org"}
    (validator,) = validating["webhooks"]
    defaulter, injector = mutating["webhooks"]
    for hook, name, path in (
        (validator, "validator.experiment", "/validate-experiment"),
        (defaulter, "defaulter.experiment", "/mutate-experiment"),
        (injector, "mutator.pod", "/mutate-pod"),
    ):
        assert hook["name"] == f"{name}.katib.kubeflow.org"
        service = {"name": "katib-controller", "namespace": "kubeflow", "path": path}
        assert hook["clientConfig"] == {"service": service}
        assert (hook["sideEffects"], hook["admissionReviewVersions"]) == ("None", ["v1"])
        assert hook.keys().isdisjoint({"failurePolicy", "timeoutSeconds", "matchPolicy", "matchConditions"})
    assert validator["rules"] == defaulter["rules"]
    assert validator["rules"][0]["operations"] == ["CREATE", "UPDATE"]
    assert injector["rules"] == [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    ]


def test_no_pod_of_the_platform_waits_for_the_pod_webhook() -> None:
    """K4: by labels of the pod, whoever makes it."""
    _, mutating = documents("webhook/manifests.yaml")
    absent = {e["key"] for e in mutating["webhooks"][1]["objectSelector"]["matchExpressions"]}
    assert absent == {"katib.kubeflow.org/component", "katib.kubeflow.org/deployment"}
    (deployment,) = documents("manager/deployment.yaml")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert absent & labels.keys()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (service,) = documents("webhook/service.yaml")
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]


def test_only_the_clusters_own_namespaces_are_left_out_by_name() -> None:
    _, mutating = documents("webhook/manifests.yaml")
    selector = mutating["webhooks"][1]["namespaceSelector"]
    assert selector["matchLabels"] == {"katib.kubeflow.org/metrics-collector-injection": "enabled"}
    (by_name,) = selector["matchExpressions"]
    assert by_name["operator"] == "NotIn"
    assert set(by_name["values"]) == {"kube-system", "kube-public", "kube-node-lease"}
    (namespace,) = documents("namespace/namespace.yaml")
    assert selector["matchLabels"].items() <= namespace["metadata"]["labels"].items()


@pytest.mark.parametrize("path", ["rbac/cluster_role.yaml", "rbac/role.yaml"])
def test_kfxs_own_role_names_each_verb(path: str) -> None:
    (role,) = documents(path)
    for rule in role["rules"]:
        if rule != GRANTED_ON:
            assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}, rule


def test_kfxs_own_role_makes_what_an_algorithm_in_an_image_needs() -> None:
    (role,) = documents("rbac/cluster_role.yaml")
    granted = _by_name(role["rules"])
    followed = {"get", "list", "watch", "create", "delete"}
    made = (
        *((kind.resource, followed) for kind in (Deployment, Service)),
        *((kind, {"get", "create"}) for kind in (VOLUME_CLAIMS, PERSISTENT_VOLUMES)),
        *((kind, {"get", "create"}) for kind in (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS)),
    )
    for resource, verbs in made:
        assert granted[f"{resource.group}/{resource.plural}"] == verbs, resource
    assert "update" in granted["kubeflow.org/suggestions/finalizers"]


@pytest.mark.parametrize("path", ["rbac/cluster_role.yaml", "rbac/katib/cluster_role.yaml"])
def test_a_role_for_early_stopping_grants_what_its_maker_has(path: str) -> None:
    (role,) = documents(path)
    granted = _by_name(role["rules"])
    images = {"suggestions": [{"algorithmName": "random", "image": "some"}]}
    images["earlyStoppings"] = [{"algorithmName": "medianstop", "image": "some"}]
    config = parse_runtime_config({"katib-config.yaml": yaml.safe_dump({"runtime": images})})
    of = msgspec.structs.replace(
        suggestion(), spec=SuggestionSpec(algorithm=RANDOM, early_stopping=MEDIANSTOP)
    )
    made = compose_service_objects(of, config, probes=True)
    (rules,) = [create.manifest["rules"] for create in made if create.resource == ROLES]
    for name, verbs in _by_name(rules).items():
        assert verbs <= granted[name], name


def test_kfxs_own_role_covers_the_kinds_of_jobs_that_trials_run_by_default() -> None:
    (role,) = documents("rbac/cluster_role.yaml")
    granted = _by_name(role["rules"])
    for text in TRIAL_RESOURCES:
        kind, _, rest = text.partition(".")
        name = f"{rest.partition('.')[2]}/{kind.lower()}s"
        assert granted[name] == {"get", "list", "watch", "create", "delete"}, text


def test_secrets_can_be_read_by_name_and_in_one_namespace_only() -> None:
    (cluster_role,) = documents("rbac/cluster_role.yaml")
    assert "/secrets" not in _by_name(cluster_role["rules"])
    (role,) = documents("rbac/role.yaml")
    assert role["metadata"]["namespace"] == "kubeflow"
    for rule in role["rules"]:
        if rule["resources"] == ["secrets"] and rule["verbs"] != ["create"]:
            assert rule["resourceNames"] == ["katib-webhook-cert"]


def test_the_right_to_ask_who_scrapes_comes_with_secured_metrics_only() -> None:
    reviews = {
        "authentication.k8s.io/tokenreviews": {"create"},
        "authorization.k8s.io/subjectaccessreviews": {"create"},
    }
    (own,) = documents("rbac/cluster_role.yaml")
    assert reviews.keys().isdisjoint(_by_name(own["rules"]))
    (reviewer,) = documents("components/metrics-auth/reviewer_role.yaml")
    assert _by_name(reviewer["rules"]) == reviews
    (binding,) = documents("components/metrics-auth/reviewer_role_binding.yaml")
    assert binding["roleRef"]["name"] == reviewer["metadata"]["name"]
    assert binding["subjects"] == documents("rbac/cluster_role_binding.yaml")[0]["subjects"]
    (reader,) = documents("components/metrics-auth/reader_role.yaml")
    assert reader["rules"] == [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]


def test_pull_secrets_are_read_by_name_and_only_where_that_was_asked_for() -> None:
    (role,) = documents("rbac/pull-secrets/cluster_role.yaml")
    assert _by_name(role["rules"]) == {"/secrets": {"get"}, "/serviceaccounts": {"get"}}
    for path in ("rbac/kustomization.yaml", "default/kustomization.yaml"):
        (kustomization,) = documents(path)
        assert not any("pull-secrets" in resource for resource in kustomization["resources"])


def test_a_host_run_kfx_is_reached_at_every_port_of_its_services() -> None:
    services = [*documents("webhook/service.yaml"), *documents("run/db_manager_service.yaml")]
    slices = {
        s["metadata"]["labels"]["kubernetes.io/service-name"]: s
        for s in documents("run/endpoint_slices.yaml")
    }
    for service in services:
        wanted = {p["name"]: p["targetPort"] for p in service["spec"]["ports"]}
        found = slices[service["metadata"]["name"]]
        assert {p["name"]: p["port"] for p in found["ports"]} == wanted
        assert [e["addresses"] for e in found["endpoints"]] == [["192.0.2.1"]]


def test_a_pod_of_kfx_is_not_told_its_neighbours_addresses() -> None:
    (deployment,) = documents("manager/deployment.yaml")
    assert deployment["spec"]["template"]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("path", sorted(CONFIG.rglob("kustomization.yaml")), ids=name_of)
def test_a_kustomization_names_what_exists(path: Path) -> None:
    for resource in yaml.safe_load(path.read_text(encoding="utf-8"))["resources"]:
        target = path.parent / resource
        assert target.is_file() or (target / "kustomization.yaml").is_file(), resource


@pytest.mark.parametrize("path", sorted((CONFIG / "samples").glob("*.yaml")), ids=name_of)
def test_a_sample_runs_the_trainer_with_each_parameter_that_it_declares(path: Path) -> None:
    (sample,) = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    template = sample["spec"]["trialTemplate"]
    (training,) = template["trialSpec"]["spec"]["template"]["spec"]["containers"]
    assert training["image"] == TRAINER
    references = {p["reference"] for p in template["trialParameters"]}
    assert references == {p["name"] for p in sample["spec"]["parameters"]}
    text = yaml.safe_dump(template["trialSpec"])
    for parameter in template["trialParameters"]:
        assert f"${{trialParameters.{parameter['name']}}}" in text
