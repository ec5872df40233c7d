"""The file of --katib-config: what it sets, what it warns of, and what it cannot mean.

Ids such as W1.4.1 name the section of the contract that a row comes from.
"""

from pathlib import Path
from typing import Any

import pytest

from kfx.config import FLAGS
from kfx.config_file import CertGenerator, InitConfig, read_init
from kfx.flags import FlagError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "katib-config.yaml"


def read(path: Path, text: str) -> InitConfig:
    path.write_text(text)
    return read_init(str(path), FLAGS)


FULL = """
apiVersion: config.kubeflow.org/v1beta1
kind: KatibConfig
init:
  certGenerator:
    enable: true
    webhookServiceName: other-service
    webhookSecretName: other.secret
  controller:
    experimentSuggestionName: test
    metricsAddr: :8081
    healthzAddr: "0"
    injectSecurityContext: true
    enableGRPCProbeInSuggestion: false
    trialResources:
      - Job.v1.batch
      - A.b.c.d.e
      - Pod.v1.
    webhookPort: 18443
    enableLeaderElection: true
    leaderElectionID: xyz0123
runtime:
  suggestions: [{image: [never read from here]}]
"""

VALUES = {
    "experiment-suggestion-name": "test",
    "metrics-addr": ":8081",
    "healthz-addr": "0",
    "webhook-inject-securitycontext": True,
    "enable-grpc-probe-in-suggestion": False,
    "trial-resources": ("Job.v1.batch", "A.b.c.d.e", "Pod.v1."),
    "webhook-port": 18443,
    "enable-leader-election": True,
    "leader-election-id": "xyz0123",
}


def test_every_key_of_a_full_file_is_read(path: Path) -> None:
    assert read(path, FULL) == InitConfig(
        values=VALUES,
        cert_generator=CertGenerator(enabled=True, service_name="other-service", secret_name="other.secret"),
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="W1.4-empty-document"),
        pytest.param("# nothing\n---\n", id="W1.4-comment-only"),
        pytest.param("{}", id="W1.4-empty-mapping"),
        pytest.param("init:", id="W1.4-init-null"),
        pytest.param("init: {controller: , certGenerator: }", id="W1.4-parts-null"),
        pytest.param("apiVersion: config.kubeflow.org/v1beta1", id="W1.4-kind-absent"),
        pytest.param("kind: KatibConfig", id="W1.4-version-absent"),
        pytest.param("runtime: {suggestions: [{image: 1}]}", id="W1.3-runtime-is-not-read-here"),
        pytest.param(
            "init: {controller: {metricsAddr: '', healthzAddr: '', experimentSuggestionName: '', "
            "leaderElectionID: '', trialResources: [], "
            "webhookPort: null, enableGRPCProbeInSuggestion: null}}",
            id="W1.4.1-empty-values",
        ),
        pytest.param(
            "init: {certGenerator: {enable: false, webhookServiceName: '', webhookSecretName: ''}}",
            id="W1.4.2-empty-values",
        ),
    ],
)
def test_what_is_left_out_leaves_the_defaults(path: Path, text: str) -> None:
    assert read(path, text) == InitConfig()


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        pytest.param('{"init": {"controller": {"webhookPort": 1}}}', "webhook-port", 1, id="W1.4-json"),
        pytest.param(
            "init: {controller: {webhookPort: 1, webhookPort: 2}}", "webhook-port", 2, id="W1.4-duplicate-key"
        ),
        pytest.param(
            "init: {controller: {webhookPort: 1}}\n---\ninit: 5\n", "webhook-port", 1, id="first-document"
        ),
    ],
)
def test_other_forms_are_read_as_katib_reads_them(path: Path, text: str, key: str, value: Any) -> None:
    assert read(path, text).values == {key: value}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("enable: true", CertGenerator(enabled=True), id="W8.10-enable-only"),
        pytest.param(
            "webhookSecretName: x, enable: false",
            CertGenerator(enabled=True, secret_name="x"),
            id="W8.10-secret-name-only",
        ),
        pytest.param(
            "webhookServiceName: x",
            CertGenerator(enabled=True, service_name="x"),
            id="W8.10-service-name-only",
        ),
        pytest.param("", CertGenerator(), id="W8.10-empty"),
    ],
)
def test_a_name_enables_the_cert_generator(path: Path, text: str, expected: CertGenerator) -> None:
    assert read(path, f"init: {{certGenerator: {{{text}}}}}").cert_generator == expected


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("spec: 1", ["spec"]),
        ("init: {webhook: 1, featureGate: {}}", ["init.webhook", "init.featureGate"]),
        ("init: {controller: {unknown: 1}}", ["init.controller.unknown"]),
        ("init: {certGenerator: {name: x}}", ["init.certGenerator.name"]),
        ("runtime: {suggestion: []}", ["runtime.suggestion"]),
        ("runtime: {suggestions: [{unknown: 1}], earlyStoppings: , metricsCollectors: []}", []),
        ("metadata: {name: katib-config}", []),
    ],
)
def test_keys_without_effect_are_named(path: Path, text: str, warned: list[str]) -> None:
    found = read(path, text).warnings
    assert [each.partition(" ")[0] for each in found] == warned
    assert all("is unknown and has no effect" in each for each in found)


def test_a_key_of_another_letter_case_is_told_the_right_one(path: Path) -> None:
    found = read(path, "init: {controller: {webhookport: 1}}")
    assert found.values == {}
    assert found.warnings == (
        "init.controller.webhookport in the file of --katib-config is unknown and has no effect; "
        "init.controller.webhookPort is meant",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("runtime: foo", "runtime is not a mapping"),
        ("runtime: {suggestions: foo}", "runtime.suggestions is not a list"),  # W 1.4
        ("runtime: {metricsCollectors: [a]}", "runtime.metricsCollectors[0] is not a mapping"),
        ("init: {controller: {webhookPort: none}}", 'init.controller.webhookPort is "none": expected a port'),
        ('init: {controller: {webhookPort: "1"}}', 'init.controller.webhookPort is "1": expected a port'),
        ("init: {controller: {webhookPort: 0}}", 'init.controller.webhookPort is "0": expected a port'),
        ("init: {controller: {webhookPort: true}}", 'init.controller.webhookPort is "True": expected a port'),
        (
            "init: {controller: {metricsAddr: 8080}}",
            'init.controller.metricsAddr is "8080": expected a string',
        ),
        ("init: {controller: {healthzAddr: x}}", 'init.controller.healthzAddr is "x": expected host:port'),
        ("init: {controller: {trialResources: [Job]}}", "init.controller.trialResources is"),
        ("init: {controller: {trialResources: [1]}}", "init.controller.trialResources is"),
        ("init: {controller: {trialResources: Job.v1.batch}}", "expected a list"),
        ('init: {controller: {enableLeaderElection: "true"}}', "expected true or false, without quotes"),
        ("init: {controller: {leaderElectionID: A_b}}", "expected a name of lower-case letters"),
        ("init: {certGenerator: {enable: 1}}", 'init.certGenerator.enable is "1": expected true or false'),
        ("init: {certGenerator: {webhookServiceName: a.b}}", 'webhookServiceName is "a.b": expected a name'),
        (
            "init: {certGenerator: {webhookSecretName: [a]}}",
            "webhookSecretName is \"['a']\": expected a name",
        ),
        ("init: {controller: [1]}", "init.controller is not a mapping"),
        ("init: [1]", "init is not a mapping"),
        ("- 1", "the file is not a mapping"),
        ("just words", "the file is not a mapping"),
        ("kind: Foo", "it holds apiVersion config.kubeflow.org/v1beta1 and kind Foo: expected"),
        (
            "apiVersion: config.kubeflow.org/v1",
            "it holds apiVersion config.kubeflow.org/v1 and kind KatibConfig",
        ),
        ("{apiVersion: v1, kind: Pod}", "it holds apiVersion v1 and kind Pod"),
        ("init: [1", "it is no YAML: "),
        ("init:\n\tcontroller: {}\n", "cannot start any token"),
        ("\x00", "it is no YAML: "),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_its_key(path: Path, text: str, reason: str) -> None:
    with pytest.raises(FlagError) as caught:
        read(path, text)
    assert str(caught.value).startswith(f'invalid value "{path}" for flag --katib-config: ')
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_file_is_refused_by_name(path: Path) -> None:
    for name, reason in ((path, "No such file or directory"), (path.parent, "Is a directory")):
        with pytest.raises(FlagError) as caught:
            read_init(str(name), FLAGS)
        assert str(caught.value) == f'invalid value "{name}" for flag --katib-config: {reason}'
