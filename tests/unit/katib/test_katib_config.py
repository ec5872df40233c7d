"""katib-config: what it says, what it leaves to defaults, and what it cannot answer."""

import pytest

from kfx.apis.katib_config import ResourceRequirements
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
        ("a: b: c", "mapping values are not allowed"),
        ("runtime: {metricsCollectors: [{kind: a, resources: {limits: {cpu: x}}}]}", "'x' is no quantity"),
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
        ({"suggestion": "[]"}, "EMPTY"),
        ({"suggestion": "[1]"}, "failed to decode suggestion in ConfigMap katib-config: write an object"),
        ({"suggestion": '{"a": 1}'}, "Expected `object`, got `int`"),
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
    found = default_resources(ResourceRequirements(requests=requests, limits=limits))
    assert found == ResourceRequirements(requests=expected_requests, limits=expected_limits)
