"""Field by field what Katib's suggestion client sends (rows of 12.6)."""

from typing import Any

import msgspec
import pytest

from kfx.apis.common import (
    AlgorithmSpec,
    FeasibleSpace,
    Metric,
    MetricStrategy,
    NameValue,
    ObjectiveSpec,
    Observation,
    ParameterSpec,
)
from kfx.apis.experiment import Experiment, GraphConfig, NasConfig, Operation
from kfx.apis.trial import Trial
from kfx.katib.suggestion import overlay_settings
from kfx.katib.tally import Tally
from kfx.services import algorithm_convert as wire
from kfx.services.convert import MalformedMessage
from kfx.services.pb import api_pb2
from tests.katib_objects import experiment, suggestion, trial

LEARNING_RATE = ParameterSpec(
    name="lr",
    parameter_type="double",
    feasible_space=FeasibleSpace(min="0.01", max="0.05", step="0.01", distribution="uniform"),
)
SETTINGS = (NameValue(name="overridden-name", value="value"),)


def asked(**changes: Any) -> Experiment:
    of = experiment("Created", parallel=2, most=6)
    given = {
        "parameters": (LEARNING_RATE,),
        "algorithm": AlgorithmSpec(algorithm_name="random", algorithm_settings=SETTINGS),
        "early_stopping": AlgorithmSpec(algorithm_name="medianstop"),
        "objective": ObjectiveSpec(
            type="maximize", goal=0.9, objective_metric_name="acc", additional_metric_names=("loss",)
        ),
        "nas_config": NasConfig(
            graph_config=GraphConfig(num_layers=8, input_sizes=(32, 32, 3), output_sizes=(10,)),
            operations=(Operation(operation_type="convolution", parameters=(LEARNING_RATE,)),),
        ),
        **changes,
    }
    return msgspec.structs.replace(of, spec=msgspec.structs.replace(of.spec, **given))


def request_of(of: Experiment, *trials: Trial) -> Any:
    return api_pb2.GetSuggestionsRequest.FromString(wire.suggestions_to_wire(of, trials, 2, 6))


def sent_trial(*words: str, **more: Any) -> Any:
    (found,) = request_of(asked(), trial(*words, **more)).trials
    return found


def test_12_6_a_valid_run_with_parameters_and_a_network() -> None:
    """12.6.1: the numbers, and settings overlaid by those that earlier answers changed."""
    changed = (
        NameValue(name="overridden-name", value="overridden-value"),
        NameValue(name="new-setting", value="new-value"),
    )
    of = suggestion()
    of = msgspec.structs.replace(of, status=msgspec.structs.replace(of.status, algorithm_settings=changed))
    found = request_of(overlay_settings(asked(), of))
    assert (found.current_request_number, found.total_request_number) == (2, 6)
    spec = found.experiment.spec
    assert found.experiment.name == "e"
    assert [(s.name, s.value) for s in spec.algorithm.algorithm_settings] == [
        ("overridden-name", "overridden-value"),
        ("new-setting", "new-value"),
    ]
    assert (spec.parallel_trial_count, spec.max_trial_count) == (2, 6)
    assert spec.early_stopping.algorithm_name == "medianstop"
    graph, (operation,) = spec.nas_config.graph_config, spec.nas_config.operations.operation
    assert (graph.num_layers, list(graph.input_sizes), list(graph.output_sizes)) == (8, [32, 32, 3], [10])
    assert operation.operation_type == "convolution"
    assert operation.parameter_specs.parameters[0] == spec.parameter_specs.parameters[0]


def test_12_6_what_an_algorithm_is_not_told_of() -> None:
    """12.6.1: of five trials three are sent, oldest first."""
    found = Tally.of(
        [
            trial("Created", "-Running", "Succeeded", name="e-2", age=2, value="1"),
            trial("Created", "-Running", "Succeeded", name="e-1", age=1, value="1"),
            trial("Created", "MetricsUnavailable", name="e-3", age=3),
            trial("Created", "EarlyStopped", name="e-4", age=4),
            trial("Created", "EarlyStopped", name="e-5", age=5, value="1"),
        ]
    )
    assert [t.name for t in request_of(asked(), *found.told()).trials] == ["e-1", "e-2", "e-5"]


def test_what_is_absent_is_not_sent() -> None:
    spec = request_of(asked(early_stopping=None, nas_config=None, max_trial_count=None)).experiment.spec
    assert not spec.HasField("early_stopping")
    assert not spec.HasField("nas_config")
    assert spec.max_trial_count == 0
    assert request_of(asked(objective=None)).experiment.spec.objective.type == api_pb2.UNKNOWN


def test_12_6_validation_is_asked_without_the_changed_settings() -> None:
    """12.6.7: of the Experiment as it stands."""
    sent = api_pb2.ValidateAlgorithmSettingsRequest.FromString(wire.validation_to_wire(asked()))
    (setting,) = sent.experiment.spec.algorithm.algorithm_settings
    assert (setting.name, setting.value) == ("overridden-name", "value")


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ((), "CREATED"),
        (("Created",), "CREATED"),
        (("Created", "Running"), "RUNNING"),
        (("Created", "-Running", "Succeeded"), "SUCCEEDED"),
        (("Created", "-Running", "Killed"), "KILLED"),
        (("Created", "-Running", "Failed"), "FAILED"),
        (("Created", "-Running", "EarlyStopped"), "EARLYSTOPPED"),
        (("Created", "-Running", "MetricsUnavailable"), "UNKNOWN"),
        (("Created", "-Running"), "RUNNING"),
    ],
)
def test_12_6_a_trial_is_in_the_state_of_its_last_condition(words: tuple[str, ...], state: str) -> None:
    """12.6.8: whatever its status."""
    sent = sent_trial(*words).status.condition
    assert api_pb2.TrialStatus.TrialConditionType.Name(sent) == state


@pytest.mark.parametrize(("word", "number"), [("minimize", 1), ("maximize", 2), ("unknown", 0)])
def test_12_6_the_kind_of_the_objective(word: str, number: int) -> None:
    """12.6.9: by number."""
    found = request_of(asked(objective=ObjectiveSpec(type=word))).experiment.spec.objective
    assert (found.type, found.goal) == (number, 0.0)


@pytest.mark.parametrize(
    ("word", "number"), [("double", 1), ("int", 2), ("discrete", 3), ("categorical", 4), ("unknown", 0)]
)
def test_12_6_the_kind_of_a_parameter(word: str, number: int) -> None:
    """12.6.9: by number."""
    found = request_of(asked(parameters=(ParameterSpec(name="x", parameter_type=word),)))
    assert found.experiment.spec.parameter_specs.parameters[0].parameter_type == number


@pytest.mark.parametrize(
    ("word", "number"),
    [("uniform", 1), ("logUniform", 2), ("normal", 3), ("logNormal", 4), ("unknown", 0), ("", 0)],
)
def test_12_6_a_feasible_space_is_sent_as_it_stands(word: str, number: int) -> None:
    """12.6.9, 12.6.10: the distribution by number, all else as text."""
    space = FeasibleSpace(min="1", max="5", step="0.1", list=("1", "2"), distribution=word)
    found = request_of(asked(parameters=(ParameterSpec(name="x", feasible_space=space),)))
    sent = found.experiment.spec.parameter_specs.parameters[0].feasible_space
    assert (sent.min, sent.max, sent.step, list(sent.list)) == ("1", "5", "0.1", ["1", "2"])
    assert sent.distribution == number


@pytest.mark.parametrize(
    ("strategy", "metric", "value"),
    [
        ("min", Metric(name="loss", min="0.01", max="0.95", latest="0.93"), "0.01"),
        ("max", Metric(name="loss", min="0.01", max="0.95", latest="0.93"), "0.95"),
        ("latest", Metric(name="loss", min="0.01", max="0.95", latest="0.93"), "0.93"),
        ("min", Metric(name="loss", min="unavailable", max="0.95", latest="0.05"), "0.05"),
        ("max", Metric(name="loss", min="0.01", max="unavailable", latest="0.90"), "0.90"),
        ("", Metric(name="loss", min="0.01", max="0.95", latest="0.93"), ""),
    ],
)
def test_12_6_a_metric_is_sent_by_its_strategy(strategy: str, metric: Metric, value: str) -> None:
    """12.6.11, 12.6.12: the latest value where the other is unavailable."""
    strategies = (MetricStrategy(name="loss", value=strategy),) if strategy else ()
    target = ObjectiveSpec(type="minimize", objective_metric_name="loss", metric_strategies=strategies)
    of = trial("Succeeded", target=target)
    status = msgspec.structs.replace(of.status, observation=Observation(metrics=(metric,)))
    (sent,) = request_of(asked(), msgspec.structs.replace(of, status=status)).trials
    assert [(m.name, m.value) for m in sent.status.observation.metrics] == [("loss", value)]


def test_a_trial_is_sent_with_parameters_times_and_labels() -> None:
    of = trial("Running", labels={"generation": "3"})
    times = {"start_time": "2026-01-02T03:04:05Z", "completion_time": None}
    of = msgspec.structs.replace(of, status=msgspec.structs.replace(of.status, **times))
    (sent,) = request_of(asked(), of).trials
    assert [(a.name, a.value) for a in sent.spec.parameter_assignments.assignments] == [("x", "0")]
    assert dict(sent.spec.labels) == {"generation": "3"}
    assert (sent.status.start_time, sent.status.completion_time) == ("2026-01-02T03:04:05Z", "")
    assert sent.spec.objective.objective_metric_name == "loss"


@pytest.mark.parametrize(("number", "word"), [(0, "equal"), (1, "equal"), (2, "less"), (3, "greater")])
def test_12_6_the_comparison_of_a_rule(number: int, word: str) -> None:
    """12.6.9: an unknown one is equal."""
    reply = api_pb2.GetEarlyStoppingRulesReply()
    reply.early_stopping_rules.add(name="loss", value="1", comparison=number, start_step=2)
    (found,) = wire.rules_from_wire(reply.SerializeToString())
    assert (found.name, found.value, found.comparison, found.start_step) == ("loss", "1", word, 2)


def test_a_reply_names_trials_and_labels_where_the_algorithm_does() -> None:
    reply = api_pb2.GetSuggestionsReply()
    point = reply.parameter_assignments.add(trial_name="e-7", labels={"generation": "3"})
    point.assignments.add(name="x", value="1e-3")
    reply.parameter_assignments.add()
    (first, second), settings = wire.suggestions_from_wire(reply.SerializeToString())
    assert (first.name, first.labels) == ("e-7", {"generation": "3"})
    assert first.parameter_assignments == (NameValue(name="x", value="1e-3"),)
    assert (second.name, second.labels, settings) == ("", None, ())


@pytest.mark.parametrize("read", [wire.suggestions_from_wire, wire.rules_from_wire])
def test_bytes_of_something_else_are_refused(read: Any) -> None:
    with pytest.raises(MalformedMessage, match="not a Get"):
        read(b"\xff\xff")
