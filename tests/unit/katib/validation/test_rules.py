"""The rules, against the contract's tables and against cases of their own."""

from typing import Any

import pytest

from kfx.apis.experiment import Experiment
from kfx.katib.defaults import default_experiment
from kfx.katib.document import compact_json
from kfx.katib.experiment_document import ExperimentDecodeError, decode_experiment
from kfx.katib.katib_config import EMPTY_CONFIG, RuntimeConfig, parse_runtime_config
from kfx.katib.validation import Findings, ValidationContext, aggregate, validate_experiment
from tests.experiment_cases import change, describe, expected, load

SHIPPED = """
runtime:
  metricsCollectors:
    - {kind: StdOut, image: file-metrics-collector}
    - {kind: File, image: file-metrics-collector}
    - {kind: TensorFlowEvent, image: tfevent-metrics-collector}
"""
KINDS = (
    "TrainJob.v1alpha1.trainer.kubeflow.org",
    "Job.v1.batch",
    "TFJob.v1.kubeflow.org",
    "PyTorchJob.v1.kubeflow.org",
    "MPIJob.v1.kubeflow.org",
    "XGBoostJob.v1.kubeflow.org",
)


def config(*extra: str) -> RuntimeConfig:
    lines = "".join(f"    - {{kind: {kind}, image: some}}\n" for kind in extra)
    return parse_runtime_config({"katib-config.yaml": SHIPPED + lines})


def context(case: dict[str, Any], **changes: Any) -> ValidationContext:
    base = load("base.yaml")["spec"]["trialTemplate"]["trialSpec"]
    template = case.get("template")
    values = {
        "algorithms": ("random", "tpe"),
        "early_stoppings": ("medianstop",),
        "config": config(),
        "trial_resources": KINDS,
        "template_text": compact_json(base) if template == "TEMPLATE" else template,
        "template_error": case.get("template_error", ""),
    }
    return ValidationContext(**{**values, **changes})


def judge(document: dict[str, Any], seen: ValidationContext) -> tuple[Any, Findings]:
    """The way of a creation: type check, defaults, rules."""
    try:
        decode_experiment(document)
    except ExperimentDecodeError as error:
        return [f"400 {str(error).partition(': ')[0]}"], Findings()
    experiment = decode_experiment(default_experiment(document))
    findings = validate_experiment(experiment, None, seen)
    return describe(findings.errors, experiment.spec), findings


def by_id(case: dict[str, Any]) -> str:
    return str(case["id"])


@pytest.mark.parametrize("case", [*load("created.yaml"), *load("rules.yaml")], ids=by_id)
def test_a_creation_is_judged_as_the_contract_says(case: dict[str, Any]) -> None:
    document = change(load("base.yaml"), case.get("set", {}), case.get("remove", ()))
    found, findings = judge(document, context(case))
    assert found == expected(case)
    if found == "ok":
        for piece, warning in zip(case.get("warns", ()), findings.warnings, strict=True):
            assert piece in warning


@pytest.mark.parametrize("case", load("updated.yaml"), ids=by_id)
def test_an_update_is_judged_as_the_contract_says(case: dict[str, Any]) -> None:
    stored = change(load("base.yaml"), case["old"])
    if not case.get("bare"):
        stored = default_experiment(stored)
    sent = default_experiment(change(stored, case.get("set", {}), case.get("remove", ())))
    new, old = decode_experiment(sent), decode_experiment(default_experiment(stored))
    findings = validate_experiment(new, old, context(case))
    assert describe(findings.errors, new.spec) == expected(case)


@pytest.mark.parametrize("case", load("unit.yaml"), ids=by_id)
def test_the_tables_of_katibs_own_tests_hold(case: dict[str, Any]) -> None:
    fake = load("fake.yaml")
    new = decode_experiment(change(fake, case.get("set", {}), case.get("remove", ())))
    old = decode_experiment(change(fake, case["old"])) if "old" in case else None
    seen = context(
        case, algorithms=("test", ""), early_stoppings=("test", ""), config=config("PrometheusMetric")
    )
    findings = validate_experiment(new, old, seen)
    kept = [error for error in findings.errors if error.path.startswith(case.get("only", ""))]
    assert describe(kept, new.spec) == expected(case)


def fake() -> Experiment:
    return decode_experiment(default_experiment(load("base.yaml")))


def errors_of(**changes: Any) -> list[str]:
    return [str(error) for error in validate_experiment(fake(), None, context({}, **changes)).errors]


@pytest.mark.parametrize("failing", [("collector",), ("collector", "algorithm"), ("all",)])
def test_a_look_up_that_fails_is_an_error_of_its_field(failing: tuple[str, ...]) -> None:
    """8.6: Katib's three runs, with ever more of katib-config missing."""
    whole = config()
    seen = RuntimeConfig(
        suggestions={}, early_stoppings={}, metrics_collectors={} if failing else whole.metrics_collectors
    )
    new = decode_experiment(load("fake.yaml"))
    names = ("test",) if failing == ("collector",) else ()
    changes = {
        "algorithms": names,
        "early_stoppings": names,
        "config": "unreadable" if failing == ("all",) else seen,
    }
    found = [error.path for error in validate_experiment(new, None, context({}, **changes)).errors]
    assert found[-1] == "spec.metricsCollectorSpec.collector.kind"
    assert len(found) == (1 if failing == ("collector",) else 3)


def test_an_unreadable_configuration_refuses_with_its_cause() -> None:
    """V15, V45: the cause is told."""
    found = errors_of(config="failed to find katib-config.yaml in ConfigMap: katib-config")
    assert found == [
        'spec.algorithm.algorithmName: Invalid value: "random": '
        "failed to find katib-config.yaml in ConfigMap: katib-config",
        'spec.metricsCollectorSpec.collector.kind: Invalid value: "StdOut": '
        "failed to find katib-config.yaml in ConfigMap: katib-config",
    ]


def test_an_unknown_algorithm_is_told_which_there_are() -> None:
    """V15: by name."""
    (found,) = errors_of(algorithms=("tpe", "grid"))
    assert found.endswith("unknown algorithm 'random'; this kfx answers: grid, tpe")


IN_IMAGES = """runtime:
  metricsCollectors: [{kind: StdOut, image: some}]
  suggestions: [{algorithmName: random, image: some}]
  earlyStoppings: [{algorithmName: medianstop, image: some}]
"""


def with_images(text: str = IN_IMAGES) -> RuntimeConfig:
    return parse_runtime_config({"katib-config.yaml": text})


@pytest.mark.parametrize("algorithms", [(), ("tpe",)])
def test_an_algorithm_that_has_only_an_image_is_accepted(algorithms: tuple[str, ...]) -> None:
    assert errors_of(algorithms=algorithms, config=with_images()) == []


def test_an_unknown_algorithm_is_told_those_in_images_too() -> None:
    (found,) = errors_of(algorithms=("tpe",), config=with_images(IN_IMAGES.replace("random", "grid")))
    assert found.endswith(
        "unknown algorithm 'random'; this kfx answers: tpe; in images, by ConfigMap katib-config: grid"
    )


def test_where_all_run_in_images_an_unknown_one_is_refused_in_katibs_words() -> None:
    (found,) = errors_of(algorithms=(), config=with_images(IN_IMAGES.replace("random", "grid")))
    assert found.endswith(
        "failed to find suggestion config for algorithm: random in ConfigMap: katib-config; "
        "add an entry, or use one of: grid"
    )


def test_a_rule_in_an_image_needs_an_algorithm_in_one() -> None:
    stopping = {"/spec/earlyStopping": {"algorithmName": "medianstop"}}
    document = change(load("base.yaml"), stopping)
    for text, path in ((IN_IMAGES, ""), (IN_IMAGES.replace("random", "grid"), "spec.earlyStopping")):
        seen = context({}, algorithms=("random",), early_stoppings=(), config=with_images(text))
        _, findings = judge(document, seen)
        assert [error.path.rpartition(".")[0] for error in findings.errors] == ([path] if path else [])
        assert all("add the algorithm to runtime.suggestions" in str(e) for e in findings.errors)


@pytest.mark.parametrize("algorithms", [(), ("random",)])
def test_an_unknown_rule_is_told_which_there_are(algorithms: tuple[str, ...]) -> None:
    document = change(load("base.yaml"), {"/spec/earlyStopping": {"algorithmName": "other"}})
    seen = context({}, algorithms=algorithms, early_stoppings=(), config=with_images())
    _, findings = judge(document, seen)
    (found,) = map(str, findings.errors)
    assert ("failed to find early stopping config for algorithm: other" in found) is (not algorithms)
    assert "medianstop" in found


def test_a_blank_image_is_an_error_even_for_an_embedded_algorithm() -> None:
    runtime = SHIPPED + "  suggestions: [{algorithmName: random, image: ' '}]\n"
    (found,) = errors_of(config=parse_runtime_config({"katib-config.yaml": runtime}))
    assert "required value for image configuration of algorithm name: random" in found


def test_without_a_collector_image_the_kind_is_refused() -> None:
    """V45: with the look-up's text."""
    (found,) = errors_of(config=EMPTY_CONFIG)
    assert "failed to find metrics collector config for kind: StdOut" in found


def test_under_katibs_name_a_foreign_kind_is_only_warned_about() -> None:
    seen = context({}, trial_resources=("PyTorchJob.v1.kubeflow.org",), strict_kinds=False)
    findings = validate_experiment(fake(), None, seen)
    assert findings.errors == []
    assert findings.warnings[0] == (
        "spec.trialTemplate: kind Job.v1.batch is not among --trial-resources (PyTorchJob.v1.kubeflow.org); "
        "it is followed all the same, if kfx may list and watch it"
    )


def test_a_kind_in_other_letters_is_told_the_right_one() -> None:
    document = change(load("base.yaml"), {"/spec/trialTemplate/trialSpec/kind": "job"})
    document["spec"]["trialTemplate"] |= {"successCondition": "a", "failureCondition": "b"}
    _, findings = judge(document, context({}))
    assert [error.detail for error in findings.errors] == [
        "no trial may run kind job.v1.batch; write Job, in these letters"
    ]


def test_a_kind_that_lends_rights_is_refused_though_a_flag_names_it() -> None:
    """R 3.4 D1."""
    spec = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
    document = change(
        load("base.yaml"), {f"/spec/trialTemplate/trialSpec/{key}": text for key, text in spec.items()}
    )
    document["spec"]["trialTemplate"] |= {"successCondition": "a", "failureCondition": "b"}
    kinds = (*KINDS, "RoleBinding.v1.rbac.authorization.k8s.io")
    found, _ = judge(document, context({}, trial_resources=kinds))
    assert found == ['I spec.trialTemplate "RoleBinding.v1.rbac.authorization.k8s.io"']


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("api_version", "kind", "lends_rights"),
    [
        ("rbac.authorization.k8s.io/v1", "RoleBinding", True),
        ("rbac.authorization.k8s.io/v1", "Role", True),
        ("v1", "Secret", True),
        ("v1", "PersistentVolume", True),
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", True),
        ("kubeflow.org/v1beta1", "Experiment", True),
        ("apps/v1", "Deployment", False),
        ("v1", "Pod", False),
    ],
)
def test_a_kind_that_runs_no_job_is_refused_under_katibs_name_where_it_lends_rights(
    api_version: str, kind: str, lends_rights: bool, strict: bool
) -> None:
    """R 3.4 D1; decision 4 only warns of other kinds under the name ``katib-controller``."""
    template = "/spec/trialTemplate/trialSpec"
    document = change(load("base.yaml"), {f"{template}/apiVersion": api_version, f"{template}/kind": kind})
    document["spec"]["trialTemplate"] |= {"successCondition": "a", "failureCondition": "b"}
    _, findings = judge(document, context({}, strict_kinds=strict))
    assert bool(findings.errors) == (strict or lends_rights)
    assert any(f"kind {kind}." in str(each) for each in (*findings.errors, *findings.warnings))


def test_what_a_trial_parameter_lacks_is_named_with_what_there_is() -> None:
    document = change(load("base.yaml"), {"/spec/trialTemplate/trialParameters/1/name": "moment"})
    _, findings = judge(document, context({}))
    assert "holds no ${trialParameters.moment} (still unfilled there: ${trialParameters.momentum})" in str(
        findings.errors[0]
    )


def test_a_placeholder_that_nothing_declares_is_named_with_the_declared() -> None:
    pointer = "/spec/trialTemplate/trialSpec/spec/template/spec/containers/0/command/4"
    _, findings = judge(change(load("base.yaml"), {pointer: "${trialParameters.depth}"}), context({}))
    assert "nothing declares ${trialParameters.depth}" in str(findings.errors[0])
    assert "use one of those there: learningRate, momentum" in str(findings.errors[0])


def test_a_misspelt_field_of_a_job_is_told_the_nearest() -> None:
    pointer = "/spec/trialTemplate/trialSpec/spec/backofLimit"
    _, findings = judge(change(load("base.yaml"), {pointer: 1}), context({}))
    assert "unknown field spec.backofLimit; did you mean backoffLimit?" in str(findings.errors[0])


def test_several_errors_stand_in_brackets_and_equal_ones_once() -> None:
    _, findings = judge(change(load("base.yaml"), {"/spec/maxTrialCount": 0}), context({}))
    text = aggregate([*findings.errors, *findings.errors])
    assert text.startswith("[spec.maxTrialCount: Invalid value: 0: must be greater than 0")
    assert text.count("spec.parallelTrialCount") == 1
    assert text.endswith("]")


def test_a_name_and_an_algorithm_must_fit_a_dns_label_together() -> None:
    name = "an-algorithm-with-a-long-name"
    document = change(load("base.yaml"), {"/spec/algorithm/algorithmName": name, "/metadata/name": "a" * 40})
    found, _ = judge(document, context({}, algorithms=(name,)))
    assert found == [f'I metadata.name "{"a" * 40}"']


def test_a_value_that_is_shown_is_cut() -> None:
    document = change(load("base.yaml"), {"/metadata/name": "a" * 5000})
    _, findings = judge(document, context({}))
    assert len(str(findings.errors[0])) < 1300


def test_a_bad_expression_is_not_written_to_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    file = {"collector": {"kind": "File"}, "source": {"filter": {"metricsFormat": ["["]}}}
    judge(change(load("base.yaml"), {"/spec/metricsCollectorSpec": file}), context({}))
    assert capfd.readouterr().err == ""


def test_more_errors_than_anybody_reads_are_counted_only() -> None:
    document = change(load("base.yaml"), {"/spec/parameters": [{"name": f"p{i}"} for i in range(500)]})
    _, findings = judge(document, context({}))
    assert len(findings.errors) == 101
    assert aggregate(findings.errors).endswith(", and more; correct these first]")


OWN = (
    "runtime: {metricsCollectors: [{kind: StdOut, image: 'kfx:1'}, {kind: TensorFlowEvent, image: 'kfx:1'}]}"
)


def judge_own(**spec: Any) -> tuple[list[str], list[str]]:
    """Errors and warnings where katib-config names kfx's own image, kfx:1."""
    document = change(load("base.yaml"), {f"/spec/{key}": value for key, value in spec.items()})
    own = parse_runtime_config({"katib-config.yaml": OWN})
    _, found = judge(document, context({}, config=own, collector_image="kfx:1"))
    return [str(error) for error in found.errors], found.warnings


def test_kfxs_own_collector_is_refused_for_what_it_cannot_read() -> None:
    assert judge_own() == ([], [])
    (refused,), warnings = judge_own(metricsCollectorSpec={"collector": {"kind": "TensorFlowEvent"}})
    assert refused == (
        'spec.metricsCollectorSpec.collector.kind: Invalid value: "TensorFlowEvent": image kfx:1, kfx\'s '
        "own collector, reads StdOut and File only; name Katib's image for TensorFlowEvent in ConfigMap "
        "katib-config"
    )
    assert warnings == []


def test_a_rule_for_early_stopping_that_kfxs_own_collector_cannot_keep_is_warned_about() -> None:
    errors, (warning,) = judge_own(earlyStopping={"algorithmName": "medianstop"})
    assert errors == []
    assert warning == (
        "spec.earlyStopping: pods of trials that get stop rules will be refused, as image kfx:1, kfx's own "
        "collector, knows none; name Katib's image for StdOut in ConfigMap katib-config"
    )


def test_warnings_are_few_and_short() -> None:
    strategies = [{"name": "x" * 2000, "value": "median"}] * 100
    _, findings = judge(
        change(load("base.yaml"), {"/spec/objective/metricStrategies": strategies}), context({})
    )
    assert len(findings.warnings) == 20
    assert max(map(len, findings.warnings)) <= 501


@pytest.mark.parametrize(
    ("filters", "part"),
    [
        (["(a)(b)" + "x" * 1100], "at most 1024 characters"),
        (["(a)(b)" + "x{1000}" * 100], "pattern too large"),
        (["(a)(b)x{900}"] * 200, "too large already"),
        (["(a)(b)"] * 30_000, "as one argument, of at most 131071 bytes"),
    ],
)
def test_filters_that_would_take_too_long_are_refused(filters: list[str], part: str) -> None:
    file = {"collector": {"kind": "File"}, "source": {"filter": {"metricsFormat": filters}}}
    _, findings = judge(change(load("base.yaml"), {"/spec/metricsCollectorSpec": file}), context({}))
    assert part in str(findings.errors[0])


def test_a_hostile_expression_is_judged_at_once() -> None:
    hostile = "(" * 500 + ")" * 500
    file = {"collector": {"kind": "File"}, "source": {"filter": {"metricsFormat": ["(a+)+$(b)", hostile]}}}
    found, _ = judge(change(load("base.yaml"), {"/spec/metricsCollectorSpec": file}), context({}))
    assert len(found) == 1
