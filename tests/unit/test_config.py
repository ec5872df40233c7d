"""One frozen Config: explicit flag, then KFX_FLAGS, then the file, then the default."""

import pytest

from kfx.config import TRIAL_RESOURCES, load_config, parse_loopback_address
from kfx.flags import FlagError


def test_the_defaults_are_katibs():
    config = load_config([], {})
    assert config.metrics_addr == ":8080"
    assert config.healthz_addr == ":18080"
    assert config.webhook_port == 8443
    assert config.enable_leader_election is False
    assert (config.debug_addr, config.shutdown_delay) == ("0", 0.0)
    assert config.leader_election_id == "3fbc96e9.katib.kubeflow.org"
    assert config.trial_resources == TRIAL_RESOURCES
    assert config.core_namespace == "kubeflow"
    assert config.db_manager_address == "katib-db-manager.kubeflow:6789"


@pytest.fixture
def katib_config(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "katib-config.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_the_file_sets_what_no_flag_says(katib_config):
    path = katib_config(
        "init: {controller: {webhookPort: 9443, metricsAddr: ':9090', enableLeaderElection: true,"
        " trialResources: [Job.v1.batch, Workflow.v1alpha1.argoproj.io], unknown: 1}}"
    )
    config = load_config(["--katib-config", path, "--metrics-addr=:1"], {})
    assert config.webhook_port == 9443
    assert config.metrics_addr == ":1"
    assert config.enable_leader_election is True
    assert config.trial_resources == ("Job.v1.batch", "Workflow.v1alpha1.argoproj.io")


@pytest.mark.parametrize("text", ["", "{}", "init:", "init: {controller: }", "runtime: {suggestions: []}"])
def test_an_empty_file_means_the_defaults(katib_config, text):
    assert load_config(["--katib-config", katib_config(text)], {}).webhook_port == 8443


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("init: {controller: {webhookPort: none}}", 'init.controller.webhookPort is "none": expected a port'),
        ("init: {controller: {trialResources: [Job]}}", "init.controller.trialResources is"),
        ("init: {controller: [1]}", "init.controller is not a mapping"),
        ("init: [1", "for flag --katib-config:"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(katib_config, text, reason):
    with pytest.raises(FlagError) as caught:
        load_config(["--katib-config", katib_config(text)], {})
    assert reason in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(FlagError, match="No such file"):
        load_config(["--katib-config", str(tmp_path / "none")], {})


def test_one_variable_carries_flags_and_the_command_line_wins():
    config = load_config(["--log-level=error"], {"KFX_FLAGS": "--log-level=debug --webhook-port 1234"})
    assert (config.log_level, config.webhook_port) == ("error", 1234)


@pytest.mark.parametrize(
    ("env", "address"),
    [
        ({"KATIB_CORE_NAMESPACE": "katib"}, "katib-db-manager.katib:6789"),
        ({"KATIB_DB_MANAGER_SERVICE_NAMESPACE": ""}, "katib-db-manager:6789"),
        ({"KATIB_DB_MANAGER_SERVICE_NAMESPACE": "db"}, "katib-db-manager.db:6789"),
        (
            {"KATIB_DB_MANAGER_SERVICE_IP": "10.0.0.1", "KATIB_DB_MANAGER_SERVICE_PORT": "1"},
            "10.0.0.1.kubeflow:1",
        ),
        ({"KATIB_DB_MANAGER_PORT": "tcp://10.0.0.9:6789"}, "katib-db-manager.kubeflow:6789"),
    ],
)
def test_collectors_dial_what_katibs_variables_say(env, address):
    assert load_config([], env).db_manager_address == address


@pytest.mark.parametrize("text", ["job.v1.batch", "Job", "Job.v1", "", ".v1.batch"])
def test_a_trial_resource_names_kind_version_and_group(text):
    with pytest.raises(FlagError, match=r"expected Kind\.version\.group"):
        load_config([f"--trial-resources={text}"], {})


def test_debug_pages_are_for_this_machine_alone():
    assert load_config(["--debug-addr=127.0.0.1:6060"], {}).debug_addr == "127.0.0.1:6060"
    with pytest.raises(FlagError, match=r'^invalid value ":6060" for flag --debug-addr: expected a loopback'):
        load_config(["--debug-addr=:6060"], {})


@pytest.mark.parametrize("text", ["0", "127.0.0.1:6060", "127.9.9.9:1", "localhost:6060", "[::1]:6060"])
def test_a_loopback_address_is_taken_as_it_is(text):
    assert parse_loopback_address(text) == text


@pytest.mark.parametrize(
    "text", [":6060", "0.0.0.0:6060", "10.0.0.1:1", "[::]:1", "example.org:1", "localhost.a:1"]
)
def test_an_address_that_others_reach_is_no_loopback_address(text):
    with pytest.raises(ValueError, match="expected a loopback address such as"):
        parse_loopback_address(text)


def test_the_delay_of_the_shutdown_is_a_duration():
    assert load_config(["--shutdown-delay=1m5s"], {}).shutdown_delay == 65.0
    with pytest.raises(FlagError, match='"-5s" for flag --shutdown-delay: expected a duration'):
        load_config(["--shutdown-delay=-5s"], {})


def test_the_collectors_form_and_the_registries_without_tls_are_told_by_flags():
    assert (load_config([], {}).collector_sidecar, load_config([], {}).insecure_registry) == ("classic", ())
    flags = ["--collector-sidecar=auto", "--insecure-registry=r.local:5000", "--insecure-registry=10.0.0.1"]
    config = load_config(flags, {})
    assert config.collector_sidecar == "auto"
    assert config.insecure_registry == ("r.local:5000", "10.0.0.1")


@pytest.mark.parametrize("flag", ["--collector-sidecar=new", "--insecure-registry=http://r.local"])
def test_a_form_or_a_registry_that_is_none_is_refused_by_its_flag(flag):
    with pytest.raises(FlagError, match=flag.partition("=")[0]):
        load_config([flag], {})
