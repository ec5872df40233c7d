"""One frozen Config: explicit flag, then KFX_FLAGS, then the file, then the default."""

import json
import shlex

import pytest

from kfx.config import FLAGS, TRIAL_RESOURCES, load_config, parse_loopback_address
from kfx.config_file import CONTROLLER_KEYS
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


def test_what_the_file_says_without_effect_is_carried_to_the_log(katib_config):
    path = katib_config(
        "init: {controller: {experimentSuggestionName: other, enableGRPCProbeInSuggestion: false, nope: 1}}"
    )
    config = load_config([f"--katib-config={path}"], {})
    assert [each.partition(" ")[0] for each in config.warnings] == [
        "init.controller.nope",
        "--experiment-suggestion-name",
    ]
    assert load_config([], {}).warnings == ()


def test_the_file_says_whether_and_as_whom_certificates_are_issued(katib_config):
    path = katib_config("init: {certGenerator: {webhookServiceName: hooks}}")
    generator = load_config([f"--katib-config={path}"], {}).cert_generator
    assert (generator.enabled, generator.service_name) == (True, "hooks")
    assert load_config([], {}).cert_generator.enabled is False


OLD_AND_NEW = [
    ("--metrics-addr=:1", "metrics_addr", ":1"),
    ("--healthz-addr=:1", "healthz_addr", ":1"),
    ("--webhook-port=1", "webhook_port", 1),
    ("--webhook-inject-securitycontext", "webhook_inject_securitycontext", True),
    ("--enable-grpc-probe-in-suggestion=false", "enable_grpc_probe_in_suggestion", False),
    ("--experiment-suggestion-name=x", "experiment_suggestion_name", "x"),
    ("--trial-resources=Job.v1.batch", "trial_resources", ("Job.v1.batch",)),
    ("--enable-leader-election", "enable_leader_election", True),
    ("--leader-election-id=x", "leader_election_id", "x"),
]

FILE_KEYS = {
    "metrics_addr": "metricsAddr: ':2'",
    "healthz_addr": "healthzAddr: ':2'",
    "webhook_port": "webhookPort: 2",
    "webhook_inject_securitycontext": "injectSecurityContext: false",
    "enable_grpc_probe_in_suggestion": "enableGRPCProbeInSuggestion: true",
    "experiment_suggestion_name": "experimentSuggestionName: file",
    "trial_resources": "trialResources: [TFJob.v1.kubeflow.org]",
    "enable_leader_election": "enableLeaderElection: false",
    "leader_election_id": "leaderElectionID: file",
}


@pytest.mark.parametrize(("flag", "field", "value"), OLD_AND_NEW)
def test_each_of_katibs_flags_wins_over_the_file_from_either_place(katib_config, flag, field, value):
    path = katib_config(f"init: {{controller: {{{FILE_KEYS[field]}}}}}")
    by_file = getattr(load_config(["--katib-config", path], {}), field)
    assert by_file != value
    assert getattr(load_config(["--katib-config", path, flag], {}), field) == value
    assert getattr(load_config([], {"KFX_FLAGS": f"--katib-config={path} {flag}"}), field) == value
    other = {"KFX_FLAGS": f"{flag} --katib-config={path}"}
    assert getattr(load_config([], other), field) == value


def test_one_variable_carries_flags_and_the_command_line_wins():
    config = load_config(["--log-level=error"], {"KFX_FLAGS": "--log-level=debug --webhook-port 1234"})
    assert (config.log_level, config.webhook_port) == ("error", 1234)


@pytest.mark.parametrize("program", ["katib-controller", "./katib-controller", "/app/katib-controller"])
def test_under_katibs_name_algorithms_run_in_images_unless_a_flag_says_otherwise(program):
    assert load_config([], {}, program=program).suggestions == "image"
    assert not load_config([], {}, program=program).strict_kinds
    assert load_config(["--suggestions=embedded"], {}, program=program).suggestions == "embedded"
    by_variable = load_config([], {"KFX_FLAGS": "--suggestions=embedded"}, program=program)
    assert by_variable.suggestions == "embedded"


@pytest.mark.parametrize("program", ["kfx", "/katib-controller/kfx", "katib-controller.py", ""])
def test_under_any_other_name_algorithms_run_inside_kfx(program):
    assert load_config([], {}, program=program).suggestions == "embedded"
    assert load_config([], {}, program=program).strict_kinds
    assert load_config(["--suggestions=image"], {}, program=program).suggestions == "image"


def test_a_place_for_algorithms_that_is_none_is_refused():
    with pytest.raises(FlagError, match='"pods" for flag --suggestions: expected one of embedded, image'):
        load_config(["--suggestions=pods"], {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "--log-level='debug",
            """invalid value "--log-level='debug" for variable KFX_FLAGS: No closing quot""",
        ),
        ("--nope", "flag provided but not defined: -nope (in KFX_FLAGS)"),
        (
            "--webhook-port=x",
            'invalid value "x" for flag --webhook-port: expected a port from 1 to 65535 (in KFX_FLAGS)',
        ),
        ("-h", "KFX_FLAGS holds -h, which belongs on the command line"),
    ],
)
def test_a_variable_that_holds_no_flags_is_refused_by_its_name(text, reason):
    with pytest.raises(FlagError) as caught:
        load_config([], {"KFX_FLAGS": text})
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("name", ["", "Kubeflow", "a.b", "-a", "a" * 64])
def test_a_core_namespace_that_cannot_exist_is_refused(name):
    with pytest.raises(FlagError, match=f'"{name}" for variable KATIB_CORE_NAMESPACE: expected a namespace'):
        load_config([], {"KATIB_CORE_NAMESPACE": name})


MALFORMED = {
    "address": ["", "80", ":", ":0", ":65536", ":http", "a b:80", "http://a:80", "::1:80"],
    "bool": ["", "yes", "2", "truE"],
    "port": ["", "0", "-1", "65536", "80.0", "http", "٨٠"],
    "name": ["", "A", "a_b", ".a", "a" * 254],
    "duration": ["", "5", "-1s", "1d", "3000000h"],
    "Kind.version.group": ["", "Job", "Job.v1", "job.v1.batch", "..", "Job.v1.batch,TFJob.v1.kubeflow.org"],
    "place": ["", "Embedded", "elsewhere"],
    "form": ["", "new", "Auto"],
    "level": ["", "INFO", "trace"],
    "format": ["", "yaml"],
    "host:port": ["", "http://r.local", "r.local:port", "r.local:0", "r.local:70000", "r.local/team"],
    "image": ["", " ", "an image", "--log-level=debug"],
    "URL": ["", "collector:4318", "http://", "ftp://c", "http://c:0", "http://c:port", "http://[::1"],
}
FREE = {"experiment-suggestion-name", "kubeconfig", "metrics-cert-dir", "katib-config"}
"""Flags that take any text: a name that is warned about, and files that are judged where they are read."""
NEEDED = {"sqlite-path": ["", " "], "cert-dir": ["", " "]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (flag.name, value)
        for flag in FLAGS
        if flag.name not in FREE
        for value in NEEDED.get(flag.name) or MALFORMED[flag.type]
    ],
)
def test_a_malformed_value_is_refused_by_every_flag_on_the_line_and_in_the_variable(name, value):
    start = f'invalid value "{value}" for flag --{name}: '
    for argv, env in (([f"--{name}={value}"], {}), ([], {"KFX_FLAGS": shlex.quote(f"--{name}={value}")})):
        with pytest.raises(FlagError) as caught:
            load_config(argv, env)
        assert str(caught.value).startswith(start)
        assert str(caught.value).removeprefix(start)


@pytest.mark.parametrize(("key", "name"), CONTROLLER_KEYS.items())
def test_a_malformed_value_is_refused_by_every_key_of_the_file(key, name, katib_config):
    (flag,) = [each for each in FLAGS if each.name == name]
    value = [7] if flag.repeated else {"wrong": "type"}
    path = katib_config(json.dumps({"init": {"controller": {key: value}}}))
    with pytest.raises(FlagError) as caught:
        load_config([f"--katib-config={path}"], {})
    start = f'invalid value "{path}" for flag --katib-config: init.controller.{key} is '
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize("port", ["tcp://10.0.0.1:6789", "70000", "api"])
def test_a_port_of_the_database_manager_that_is_none_is_refused_by_its_variable(port):
    with pytest.raises(
        FlagError, match=f'^invalid value "{port}" for variable {IP[:-2]}PORT: expected a port'
    ):
        load_config([], {f"{IP[:-2]}PORT": port})


def test_of_one_flag_given_twice_the_last_counts_and_lists_grow():
    config = load_config(
        [
            "--webhook-port=1",
            "--trial-resources=Job.v1.batch",
            "--webhook-port=2",
            "-trial-resources",
            "A.v1.b.c",
        ],
        {"KFX_FLAGS": "--trial-resources=TFJob.v1.kubeflow.org"},
    )
    assert config.webhook_port == 2
    assert config.trial_resources == ("Job.v1.batch", "A.v1.b.c")


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


@pytest.mark.parametrize(
    "text",
    [
        "job.v1.batch",
        "Job",
        "Job.v1",
        "",
        ".v1.batch",
        "..",
        "invalid;;invalid",
        "Job.v1.batch,Pod.v1.",
        "A.v1.b.",
    ],
)
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


def test_metrics_are_plain_unless_a_flag_says_otherwise():
    assert load_config([], {}).metrics_secure is False
    config = load_config(["--metrics-secure", "--metrics-cert-dir=/certs"], {})
    assert (config.metrics_secure, config.metrics_cert_dir) == (True, "/certs")


def test_a_certificate_for_plain_metrics_is_a_mistake():
    with pytest.raises(FlagError, match="--metrics-cert-dir is of no use without --metrics-secure"):
        load_config(["--metrics-cert-dir=/certs"], {})


COLLECTOR = "http://collector:4318"


@pytest.mark.parametrize(
    ("argv", "env", "asked_by"),
    [
        ([], {}, ""),
        ([f"--tracing-endpoint={COLLECTOR}"], {}, "--tracing-endpoint"),
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ([], {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": COLLECTOR}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, "OTEL_TRACES_EXPORTER": "none"}, ""),
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ""),
        ([], {"OTEL_SERVICE_NAME": "kfx"}, ""),
        ([f"--tracing-endpoint={COLLECTOR}"], {"OTEL_SDK_DISABLED": "true"}, ""),
        ([f"--tracing-endpoint={COLLECTOR}"], {"OTEL_TRACES_EXPORTER": "none"}, "--tracing-endpoint"),
    ],
)
def test_spans_are_asked_for_by_the_flag_or_by_opentelemetrys_variables(argv, env, asked_by):
    assert load_config(argv, env).tracing_by == asked_by


def test_a_protocol_that_is_not_spoken_is_refused_with_the_remedy():
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(FlagError, match=r"^OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', .*HTTP port \(4318\)"):
        load_config([], env)
    assert load_config([f"--tracing-endpoint={COLLECTOR}"], env).tracing_endpoint == COLLECTOR


@pytest.mark.parametrize(
    "text", ["collector:4318", "http://", "ftp://c", "http://c:0", "http://c:port", "http://user:word@c", ""]
)
def test_a_collector_is_named_by_a_url_without_credentials(text):
    with pytest.raises(FlagError, match="for flag --tracing-endpoint: "):
        load_config([f"--tracing-endpoint={text}"], {})


def test_the_collectors_form_and_the_registries_without_tls_are_told_by_flags():
    assert (load_config([], {}).collector_sidecar, load_config([], {}).insecure_registry) == ("auto", ())
    flags = [
        "--collector-sidecar=classic",
        "--insecure-registry=r.local:5000",
        "--insecure-registry=10.0.0.1",
    ]
    config = load_config(flags, {})
    assert config.collector_sidecar == "classic"
    assert config.insecure_registry == ("r.local:5000", "10.0.0.1")


@pytest.mark.parametrize("flag", ["--collector-sidecar=new", "--insecure-registry=http://r.local"])
def test_a_form_or_a_registry_that_is_none_is_refused_by_its_flag(flag):
    with pytest.raises(FlagError, match=flag.partition("=")[0]):
        load_config([flag], {})


IP, NAMESPACE = "KATIB_DB_MANAGER_SERVICE_IP", "KATIB_DB_MANAGER_SERVICE_NAMESPACE"


@pytest.mark.parametrize(
    ("env", "place"),
    [
        ({}, "embedded"),
        ({IP: "10.0.0.1"}, "external"),
        ({NAMESPACE: "db"}, "external"),
        ({NAMESPACE: ""}, "external"),
        (
            {
                "KATIB_DB_MANAGER_SERVICE_HOST": "10.0.0.9",
                "KATIB_DB_MANAGER_SERVICE_PORT": "6789",
                "KATIB_DB_MANAGER_SERVICE_PORT_API": "6789",
                "KATIB_DB_MANAGER_PORT": "tcp://10.0.0.9:6789",
                "KATIB_DB_MANAGER_PORT_6789_TCP_ADDR": "10.0.0.9",
            },
            "embedded",
        ),
    ],
    ids=["nothing", "address", "namespace", "empty namespace", "what the kubelet injects"],
)
def test_katibs_variables_lead_to_its_database_manager_but_not_what_the_kubelet_injects(env, place):
    """Decision 1."""
    assert load_config([], env).db_manager == place
    assert load_config(["--db-manager=embedded"], env).db_manager == "embedded"


def test_under_katibs_name_observations_are_kept_by_its_database_manager_unless_a_flag_says_otherwise():
    assert load_config([], {}, program="katib-controller").db_manager == "external"
    found = load_config([], {"KFX_FLAGS": "--db-manager=embedded"}, program="katib-controller")
    assert found.db_manager == "embedded"


def test_what_only_the_own_store_needs_is_warned_about_beside_an_external_one():
    flags = ["--db-manager=external", "--sqlite-path=/x", "--db-manager-addr=:1"]
    assert [each.partition(" has no effect")[0] for each in load_config(flags, {}).warnings] == [
        "--sqlite-path",
        "--db-manager-addr",
    ]
    assert load_config(["--db-manager=external"], {}).warnings == ()
    assert load_config(flags[1:], {}).warnings == ()
