"""katib-config: what it says, what it leaves to defaults, and what it cannot answer."""

import pytest

from kfx.apis.katib_config import ResourceRequirements, SuggestionEntry
from kfx.katib.katib_config import (
    EMPTY_CONFIG,
    KatibConfigError,
    RuntimeConfig,
    default_resources,
    parse_runtime_config,
    with_built_ins,
)

REQUESTS = {"cpu": "50m", "memory": "10Mi", "ephemeral-storage": "500Mi"}
LIMITS = {"cpu": "500m", "memory": "100Mi", "ephemeral-storage": "5Gi"}


def parse(text: str) -> RuntimeConfig:
    return parse_runtime_config({"katib-config.yaml": text})


FULL = """
apiVersion: config.kubeflow.org/v1beta1
kind: KatibConfig
init: {controller: {webhookPort: 8443}}
runtime:
  unknown: 1
  suggestions:
    - {algorithmName: random, image: old, volumeMountPath: /x}
    - {algorithmName: random, image: new, imagePullPolicy: Always}
    - {algorithmname: tpe, image: i}
  earlyStoppings:
    - {algorithmName: medianstop, image: median}
  metricsCollectors:
    - {kind: StdOut, image: file, imagePullPolicy: Sometimes, waitAllProcesses: false}
    - {kind: File, image: "  "}
    - {kind: TensorFlowEvent, image: tf, imagePullPolicy: Never, resources: {limits: {memory: 1Gi}}}
"""


def test_entries_are_found_by_name_and_the_last_of_two_counts() -> None:
    config = parse(FULL)
    assert config.suggestion("random").image == "new"
    assert config.early_stopping("medianstop").image == "median"
    assert config.metrics_collector("StdOut").wait_all_processes is False
    assert config.metrics_collector("TensorFlowEvent").wait_all_processes is None


def test_an_unknown_pull_policy_becomes_if_not_present() -> None:
    config = parse(FULL)
    assert config.metrics_collector("StdOut").image_pull_policy == "IfNotPresent"
    assert config.early_stopping("medianstop").image_pull_policy == "IfNotPresent"
    assert config.suggestion("random").image_pull_policy == "Always"
    assert config.metrics_collector("TensorFlowEvent").image_pull_policy == "Never"


def test_resources_are_filled_in_entry_by_entry() -> None:
    resources = parse(FULL).metrics_collector("TensorFlowEvent").resources
    assert resources == ResourceRequirements(requests=REQUESTS, limits={**LIMITS, "memory": "1Gi"})


def test_json_is_accepted() -> None:
    config = parse('{"runtime": {"metricsCollectors": [{"kind": "StdOut", "image": "i"}]}}')
    assert config.metrics_collector("StdOut").image == "i"


@pytest.mark.parametrize("text", ["", "{}", "runtime: null", "runtime: {metricsCollectors: null}"])
def test_an_empty_text_names_nothing(text: str) -> None:
    assert parse(text) == EMPTY_CONFIG


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("kind: Foo", "no kind 'Foo' is registered for version 'config.kubeflow.org/v1beta1'"),
        ("apiVersion: config.kubeflow.org/v1", "for version 'config.kubeflow.org/v1'"),
        ("{apiVersion: v1, kind: Pod}", "no kind 'Pod' is registered for version 'v1'"),
        ("runtime: {suggestions: foo}", r"Expected `array`, got `str` - at `\$.runtime.suggestions`"),
        ("- a", "Expected `object`, got `array`"),
        ("[]", "Expected `object`, got `array`"),
        ("''", "Expected `object`, got `str`"),
        ("a: b: c", "mapping values are not allowed"),
        ("runtime: {metricsCollectors: foo}", r"Expected `array`, got `str` - at `\$.runtime.metricsColl"),
        ("runtime: {earlyStoppings: [foo]}", r"Expected `object`, got `str` - at `\$.runtime.earlyStoppings"),
        ("runtime: {suggestions: [{image: 1}]}", r"got `int` - at `\$.runtime.suggestions\[0\].image`"),
        ("runtime: {suggestions: [{command: sh}]}", r"got `str` - at `\$.runtime.suggestions\[0\].command`"),
        (
            "runtime: {metricsCollectors: [{kind: a, resources: {limits: {cpu: x}}}]}",
            r"metrics collector kind a: resources\.limits\.cpu: 'x' is no quantity",
        ),
        (
            "runtime: {suggestions: [{algorithmName: a, resources: {requests: {memory: 1GB}}}]}",
            r"algorithm name a: resources\.requests\.memory: '1GB' is no quantity",
        ),
        (
            "runtime: {suggestions: [{algorithmName: a, persistentVolumeClaimSpec: {accessModes: x}}]}",
            "algorithm name a: persistentVolumeClaimSpec: write a list for accessModes",
        ),
        ("runtime:\n\tsuggestions: []", "cannot start any token"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, part: str) -> None:
    with pytest.raises(KatibConfigError, match=part):
        parse(text)


def test_neither_key_is_an_error() -> None:
    with pytest.raises(
        KatibConfigError, match=r"failed to find katib-config\.yaml in ConfigMap: katib-config"
    ):
        parse_runtime_config({"other": ""})


def test_the_old_three_keys_are_understood() -> None:
    config = parse_runtime_config(
        {
            "metrics-collector-sidecar": '{"StdOut": {"image": "file", "waitAllProcesses": true}}',
            "suggestion": '{"random": {"image": "hyperopt"}}',
            "early-stopping": '{"medianstop": {"image": "median"}}',
        }
    )
    assert config.metrics_collector("StdOut").image == "file"
    assert config.suggestion("random").image == "hyperopt"
    assert config.early_stopping("medianstop").image == "median"


def test_of_the_old_keys_one_is_enough() -> None:
    assert parse_runtime_config({"suggestion": '{"a": {"image": "i"}}'}).metrics_collectors == {}


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ({"suggestion": ""}, "EMPTY"),
        ({"suggestion": "[]"}, "failed to decode suggestion in ConfigMap katib-config: write an object"),
        ({"suggestion": "[1]"}, "failed to decode suggestion in ConfigMap katib-config: write an object"),
        ({"suggestion": '{"a": 1}'}, r"decode suggestion \(a\) in .*: Expected `object`, got `int`"),
        (
            {"early-stopping": '{"m": {"image": 1}}'},
            r"early-stopping \(m\) in .* `int` - at `\$.image`",
        ),
        (
            {"metrics-collector-sidecar": '{"File": {"waitAllProcesses": "no"}}'},
            r"decode metrics-collector-sidecar \(File\) in .*, got `str` - at `\$.waitAllProcesses`",
        ),
        ({"suggestion": "{"}, "failed to decode suggestion in ConfigMap katib-config"),
    ],
)
def test_an_old_key_of_another_form_is_named(data: dict[str, str], part: str) -> None:
    if part == "EMPTY":
        assert parse_runtime_config(data) == EMPTY_CONFIG
        return
    with pytest.raises(KatibConfigError, match=part):
        parse_runtime_config(data)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Push", "failed to find metrics collector config for kind: Push in ConfigMap: katib-config; "),
        ("File", "required value for image configuration of metrics collector kind: File; "),
    ],
)
def test_a_collector_without_an_image_is_an_error(kind: str, text: str) -> None:
    with pytest.raises(KatibConfigError, match=text):
        parse(FULL).metrics_collector(kind)


def test_algorithms_that_are_not_named_are_errors() -> None:
    config = parse(
        "runtime: {earlyStoppings: [{algorithmName: blank}], suggestions: [{algorithmName: blank}]}"
    )
    texts = []
    for look_up in (config.suggestion, config.early_stopping):
        for name in ("other", "blank"):
            with pytest.raises(KatibConfigError) as caught:
                look_up(name)
            texts.append(str(caught.value).partition(";")[0])
    assert texts == [
        "failed to find suggestion config for algorithm: other in ConfigMap: katib-config",
        "required value for image configuration of algorithm name: blank",
        "failed to find early stopping config for algorithm: other in ConfigMap: katib-config",
        "required value for image configuration of algorithm name: blank",
    ]


def test_what_is_built_in_answers_where_nothing_is_named() -> None:
    config = with_built_ins(EMPTY_CONFIG, collector_image="kfx:1")
    entry = config.metrics_collector("File")
    assert (entry.image, entry.image_pull_policy) == ("kfx:1", "IfNotPresent")
    assert entry.resources == ResourceRequirements(requests=REQUESTS, limits=LIMITS)
    with pytest.raises(KatibConfigError):
        config.metrics_collector("TensorFlowEvent")


def test_an_entry_that_is_there_wins_even_with_a_blank_image() -> None:
    config = with_built_ins(parse(FULL), collector_image="kfx:1")
    assert config.metrics_collector("StdOut").image == "file"
    with pytest.raises(KatibConfigError, match="required value for image"):
        config.metrics_collector("File")


@pytest.mark.parametrize(
    ("requests", "limits", "expected_requests", "expected_limits"),
    [
        ({}, {}, REQUESTS, LIMITS),
        (
            {"ephemeral-storage": "-1", "cpu": 0},
            {"cpu": "-1", "memory": "1Gi", "nvidia.com/gpu": 1},
            {"cpu": "50m", "memory": "10Mi"},
            {"memory": "1Gi", "ephemeral-storage": "5Gi", "nvidia.com/gpu": 1},
        ),
        (dict.fromkeys(REQUESTS, "-1"), dict.fromkeys(LIMITS, -1), {}, {}),
        ({"memory": "1Gi"}, {}, {**REQUESTS, "memory": "1Gi"}, {**LIMITS, "memory": "1Gi"}),
        ({"memory": "1Gi"}, {"memory": "2Gi"}, {**REQUESTS, "memory": "1Gi"}, {**LIMITS, "memory": "2Gi"}),
        ({"memory": "1Gi"}, {"memory": "1Mi"}, {**REQUESTS, "memory": "1Gi"}, {**LIMITS, "memory": "1Mi"}),
    ],
)
def test_resources_have_katibs_defaults_and_no_request_above_a_default_limit(
    requests: dict[str, str | int | float],
    limits: dict[str, str | int | float],
    expected_requests: dict[str, str],
    expected_limits: dict[str, str],
) -> None:
    """8.10, K21: row by row."""
    found = default_resources(ResourceRequirements(requests=requests, limits=limits))
    assert found == ResourceRequirements(requests=expected_requests, limits=expected_limits)


def suggestion(text: str) -> SuggestionEntry:
    return parse(f"runtime: {{suggestions: [{{algorithmName: a, image: i, {text}}}]}}").suggestion("a")


FULL_SUGGESTION = """imagePullPolicy: Always,
resources: {limits: {cpu: 1, memory: 2Gi, ephemeral-storage: 3Gi}, requests: {
cpu: 1, memory: 1Gi, ephemeral-storage: 1Gi}}, volumeMountPath: /here, serviceAccountName: me,
persistentVolumeClaimSpec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 5Gi}},
storageClassName: fast}, persistentVolumeSpec: {
persistentVolumeReclaimPolicy: Retain, capacity: {storage: 5Gi}},
persistentVolumeLabels: {type: local}, name: other, command: [run], args: [--x], env: [{name: A, value: b}],
ports: [{containerPort: 1}], readinessProbe: {grpc: {port: 1}}, volumeMounts: [{name: v, mountPath: /v}],
resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}], restartPolicy: Always,
securityContext: {runAsUser: 1}"""


def test_a_full_suggestion_keeps_all_but_the_reclaim_policy() -> None:
    """8.10: suggestion defaults, fully specified."""
    entry = suggestion(FULL_SUGGESTION)
    assert (entry.image_pull_policy, entry.volume_mount_path, entry.service_account_name) == (
        "Always", "/here", "me",
    )  # fmt: skip
    assert entry.resources.limits == {"cpu": 1, "memory": "2Gi", "ephemeral-storage": "3Gi"}
    assert entry.persistent_volume_claim_spec == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "fast",
    }
    assert entry.persistent_volume_spec == {
        "persistentVolumeReclaimPolicy": "Delete",
        "capacity": {"storage": "5Gi"},
    }
    assert entry.persistent_volume_labels == {"type": "local"}
    assert (entry.name, entry.command, entry.args) == ("other", ("run",), ("--x",))
    assert entry.env == ({"name": "A", "value": "b"},)
    assert (entry.ports, entry.readiness_probe) == (({"containerPort": 1},), {"grpc": {"port": 1}})
    assert entry.volume_mounts == ({"name": "v", "mountPath": "/v"},)
    assert entry.security_context == {"runAsUser": 1}
    assert entry.resize_policy == ({"resourceName": "cpu", "restartPolicy": "NotRequired"},)
    assert entry.restart_policy == "Always"


def test_claims_of_devices_are_no_quantities_and_stay() -> None:
    assert suggestion("resources: {claims: [{name: gpu}]}").resources.claims == ({"name": "gpu"},)


def test_what_entries_have_in_common_may_be_written_once() -> None:
    """Katib's reader takes YAML's anchors, aliases and merges."""
    shared = "small: &small {cpu: 1}\nruntime: {suggestions: [{algorithmName: a, image: i, "
    found = parse(shared + "resources: {limits: {<<: *small, memory: 1Gi}}}]}").suggestion("a")
    assert found.resources.limits == {"cpu": 1, "memory": "1Gi", "ephemeral-storage": "5Gi"}


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        pytest.param("imagePullPolicy: ''", "image_pull_policy", "IfNotPresent", id="W8.10-pull-policy"),
        pytest.param(
            "resources: {}",
            "resources",
            ResourceRequirements(requests=REQUESTS, limits=LIMITS),
            id="W8.10-resources-empty",
        ),
        pytest.param(
            "volumeMountPath: ''", "volume_mount_path", "/opt/katib/data", id="W8.10-mount-path-empty"
        ),
        pytest.param(
            "persistentVolumeClaimSpec: {}",
            "persistent_volume_claim_spec",
            {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            id="W8.10-claim-empty",
        ),
        pytest.param(
            "persistentVolumeClaimSpec: {resources: {limits: {storage: 2Gi}}}",
            "persistent_volume_claim_spec",
            {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"limits": {"storage": "2Gi"}, "requests": {"storage": "1Gi"}},
            },
            id="W1.4.3-claim-without-requests",
        ),
        pytest.param("persistentVolumeSpec: {}", "persistent_volume_spec", {}, id="W8.10-volume-empty"),
        pytest.param("name: ''", "persistent_volume_spec", None, id="W1.4.3-volume-absent"),
        pytest.param("name: ''", "persistent_volume_labels", None, id="W1.4.3-labels-absent"),
        pytest.param("name: ''", "service_account_name", "", id="W1.4.3-account-absent"),
    ],
)
def test_what_a_suggestion_leaves_out_has_katibs_default(text: str, field: str, value: object) -> None:
    assert getattr(suggestion(text), field) == value


@pytest.mark.parametrize(
    ("list_name", "key", "policy", "expected"),
    [
        pytest.param("earlyStoppings", "algorithmName", "", "IfNotPresent", id="W8.10-early-stopping-empty"),
        pytest.param("metricsCollectors", "kind", "Never", "Never", id="W8.10-collector-never"),
        pytest.param("metricsCollectors", "kind", "", "IfNotPresent", id="W8.10-collector-empty"),
        pytest.param("suggestions", "algorithmName", "always", "IfNotPresent", id="W1.4.3-another-word"),
    ],
)
def test_pull_policies_have_katibs_default(list_name: str, key: str, policy: str, expected: str) -> None:
    config = parse(f"runtime: {{{list_name}: [{{{key}: a, image: i, imagePullPolicy: '{policy}'}}]}}")
    look_up = {
        "earlyStoppings": config.early_stopping,
        "metricsCollectors": config.metrics_collector,
        "suggestions": config.suggestion,
    }[list_name]
    assert look_up("a").image_pull_policy == expected


@pytest.mark.parametrize("wait", ["true", "false"])
def test_whether_to_wait_for_all_processes_has_no_default(wait: str) -> None:
    """W1.4.5."""
    config = parse(f"runtime: {{metricsCollectors: [{{kind: a, image: i, waitAllProcesses: {wait}}}]}}")
    assert config.metrics_collector("a").wait_all_processes is (wait == "true")


@pytest.mark.parametrize("key", ["apiVersion", "kind"])
def test_an_empty_version_or_kind_counts_as_absent(key: str) -> None:
    assert parse(f"{key}: ''") == EMPTY_CONFIG


OLD = """
{"pbt": {"image": "pbt", "volumeMountPath": "/x", "serviceAccountName": "me",
         "persistentVolumeClaimSpec": {"accessModes": ["ReadWriteMany"]},
         "persistentVolumeSpec": {"hostPath": {"path": "/tmp"}}, "persistentVolumeLabels": {"type": "local"},
         "resources": {"limits": {"memory": "400Mi"}}}}
"""


def test_an_old_suggestion_says_all_that_it_could_say() -> None:
    """W1.2."""
    entry = parse_runtime_config({"suggestion": OLD}).suggestion("pbt")
    assert (entry.algorithm_name, entry.volume_mount_path, entry.service_account_name) == ("pbt", "/x", "me")
    assert entry.persistent_volume_claim_spec == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    assert entry.persistent_volume_spec == {
        "hostPath": {"path": "/tmp"},
        "persistentVolumeReclaimPolicy": "Delete",
    }
    assert entry.persistent_volume_labels == {"type": "local"}
    assert entry.resources.limits == {**LIMITS, "memory": "400Mi"}


def test_where_both_forms_are_there_the_new_one_counts() -> None:
    new = "runtime: {suggestions: [{algorithmName: pbt, image: new}]}"
    config = parse_runtime_config({"suggestion": OLD, "katib-config.yaml": new})
    assert config.suggestion("pbt").image == "new"
