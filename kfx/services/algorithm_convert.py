"""Between kfx's types and the messages that algorithms in images understand (``api.v1.beta1``).

What is sent, field by field, is what Katib's suggestion client sends. The generated messages go no further.
"""

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.message import DecodeError

from kfx.apis.common import (
    AlgorithmSpec,
    EarlyStoppingRule,
    NameValue,
    ObjectiveSpec,
    Observation,
    ParameterSpec,
)
from kfx.apis.experiment import Experiment, NasConfig
from kfx.apis.suggestion import TrialAssignment
from kfx.apis.trial import Trial
from kfx.katib import conditions as c
from kfx.katib.observation import pick_value
from kfx.services.convert import MalformedMessage
from kfx.services.pb import api_pb2

_OBJECTIVES = {"minimize": api_pb2.MINIMIZE, "maximize": api_pb2.MAXIMIZE}
_PARAMETERS = {
    "double": api_pb2.DOUBLE,
    "int": api_pb2.INT,
    "discrete": api_pb2.DISCRETE,
    "categorical": api_pb2.CATEGORICAL,
}
_DISTRIBUTIONS = {
    "uniform": api_pb2.UNIFORM,
    "logUniform": api_pb2.LOG_UNIFORM,
    "normal": api_pb2.NORMAL,
    "logNormal": api_pb2.LOG_NORMAL,
}
_COMPARISONS = {api_pb2.LESS: "less", api_pb2.GREATER: "greater"}
_STATES = {
    c.CREATED: api_pb2.TrialStatus.CREATED,
    c.RUNNING: api_pb2.TrialStatus.RUNNING,
    c.SUCCEEDED: api_pb2.TrialStatus.SUCCEEDED,
    c.KILLED: api_pb2.TrialStatus.KILLED,
    c.FAILED: api_pb2.TrialStatus.FAILED,
    c.EARLY_STOPPED: api_pb2.TrialStatus.EARLYSTOPPED,
}


def validation_to_wire(experiment: Experiment) -> bytes:
    """``ValidateAlgorithmSettingsRequest``."""
    return _encoded(api_pb2.ValidateAlgorithmSettingsRequest(experiment=_experiment(experiment)))


def stopping_validation_to_wire(rule: AlgorithmSpec) -> bytes:
    """``ValidateEarlyStoppingSettingsRequest``."""
    return _encoded(api_pb2.ValidateEarlyStoppingSettingsRequest(early_stopping=_stopping(rule)))


def suggestions_to_wire(experiment: Experiment, trials: Iterable[Trial], count: int, total: int) -> bytes:
    """``GetSuggestionsRequest`` for ``count`` assignments, with which there are ``total``."""
    request = api_pb2.GetSuggestionsRequest(
        experiment=_experiment(experiment),
        trials=map(_trial, trials),
        current_request_number=count,
        total_request_number=total,
    )
    return _encoded(request)


def rules_to_wire(experiment: Experiment, trials: Iterable[Trial], db_manager_address: str) -> bytes:
    """``GetEarlyStoppingRulesRequest``."""
    request = api_pb2.GetEarlyStoppingRulesRequest(
        experiment=_experiment(experiment),
        trials=map(_trial, trials),
        db_manager_address=db_manager_address,
    )
    return _encoded(request)


def suggestions_from_wire(data: bytes) -> tuple[tuple[TrialAssignment, ...], tuple[NameValue, ...]]:
    """What a ``GetSuggestionsReply`` proposes, and the settings that it changes.

    A name is ``""`` where the algorithm gives none. Raises MalformedMessage.
    """
    try:
        reply = api_pb2.GetSuggestionsReply.FromString(data)
    except DecodeError as error:
        raise MalformedMessage(f"not a GetSuggestionsReply: {error}") from None
    assignments = tuple(
        TrialAssignment(
            name=each.trial_name,
            parameter_assignments=_pairs(each.assignments),
            labels=dict(each.labels) or None,
        )
        for each in reply.parameter_assignments
    )
    return assignments, _pairs(reply.algorithm.algorithm_settings)


def rules_from_wire(data: bytes) -> tuple[EarlyStoppingRule, ...]:
    """What a ``GetEarlyStoppingRulesReply`` says; an unknown comparison is ``equal``, as in Katib.

    Raises MalformedMessage.
    """
    try:
        reply = api_pb2.GetEarlyStoppingRulesReply.FromString(data)
    except DecodeError as error:
        raise MalformedMessage(f"not a GetEarlyStoppingRulesReply: {error}") from None
    return tuple(
        EarlyStoppingRule(
            name=rule.name,
            value=rule.value,
            comparison=_COMPARISONS.get(rule.comparison, "equal"),
            start_step=rule.start_step,
        )
        for rule in reply.early_stopping_rules
    )


def _experiment(experiment: Experiment) -> "api_pb2.Experiment":
    spec = experiment.spec
    found = api_pb2.ExperimentSpec(
        parameter_specs=api_pb2.ExperimentSpec.ParameterSpecs(parameters=map(_parameter, spec.parameters)),
        objective=_objective(spec.objective),
        algorithm=_algorithm(spec.algorithm),
        parallel_trial_count=spec.parallel_trial_count or 0,
        max_trial_count=spec.max_trial_count or 0,
    )
    if spec.early_stopping is not None:
        found.early_stopping.CopyFrom(_stopping(spec.early_stopping))
    if spec.nas_config is not None:
        found.nas_config.CopyFrom(_nas(spec.nas_config))
    return api_pb2.Experiment(name=experiment.metadata.name, spec=found)


def _algorithm(algorithm: AlgorithmSpec | None) -> "api_pb2.AlgorithmSpec":
    found = algorithm or AlgorithmSpec()
    settings = [api_pb2.AlgorithmSetting(name=s.name, value=s.value) for s in found.algorithm_settings]
    return api_pb2.AlgorithmSpec(algorithm_name=found.algorithm_name, algorithm_settings=settings)


def _stopping(rule: AlgorithmSpec) -> "api_pb2.EarlyStoppingSpec":
    settings = [api_pb2.EarlyStoppingSetting(name=s.name, value=s.value) for s in rule.algorithm_settings]
    return api_pb2.EarlyStoppingSpec(algorithm_name=rule.algorithm_name, algorithm_settings=settings)


def _objective(objective: ObjectiveSpec | None) -> "api_pb2.ObjectiveSpec":
    found = objective or ObjectiveSpec()
    return api_pb2.ObjectiveSpec(
        type=_OBJECTIVES.get(found.type, api_pb2.UNKNOWN),
        goal=found.goal or 0.0,
        objective_metric_name=found.objective_metric_name,
        additional_metric_names=found.additional_metric_names,
    )


def _parameter(parameter: ParameterSpec) -> "api_pb2.ParameterSpec":
    space = parameter.feasible_space
    return api_pb2.ParameterSpec(
        name=parameter.name,
        parameter_type=_PARAMETERS.get(parameter.parameter_type, api_pb2.UNKNOWN_TYPE),
        feasible_space=api_pb2.FeasibleSpace(
            max=space.max,
            min=space.min,
            list=space.list,
            step=space.step,
            distribution=_DISTRIBUTIONS.get(space.distribution, api_pb2.DISTRIBUTION_UNSPECIFIED),
        ),
    )


def _nas(config: NasConfig) -> "api_pb2.NasConfig":
    graph = config.graph_config
    operations = [
        api_pb2.Operation(
            operation_type=each.operation_type,
            parameter_specs=api_pb2.Operation.ParameterSpecs(parameters=map(_parameter, each.parameters)),
        )
        for each in config.operations
    ]
    return api_pb2.NasConfig(
        graph_config=api_pb2.GraphConfig(
            num_layers=graph.num_layers or 0, input_sizes=graph.input_sizes, output_sizes=graph.output_sizes
        ),
        operations=api_pb2.NasConfig.Operations(operation=operations),
    )


def _trial(trial: Trial) -> "api_pb2.Trial":
    spec, status = trial.spec, trial.status
    assignments = [
        api_pb2.ParameterAssignment(name=a.name, value=a.value) for a in spec.parameter_assignments
    ]
    last = status.conditions[-1].type if status.conditions else c.CREATED
    return api_pb2.Trial(
        name=trial.metadata.name,
        spec=api_pb2.TrialSpec(
            objective=_objective(spec.objective),
            parameter_assignments=api_pb2.TrialSpec.ParameterAssignments(assignments=assignments),
            labels=spec.labels or {},
        ),
        status=api_pb2.TrialStatus(
            start_time=status.start_time or "",
            completion_time=status.completion_time or "",
            condition=_STATES.get(last, api_pb2.TrialStatus.UNKNOWN),
            observation=api_pb2.Observation(metrics=_metrics(status.observation, spec.objective)),
        ),
    )


def _metrics(observation: Observation | None, objective: ObjectiveSpec | None) -> "list[api_pb2.Metric]":
    """By the strategy of each, ``""`` for a metric that has none (Katib ``convertTrialObservation``)."""
    if observation is None:
        return []
    strategies = _by_name(objective.metric_strategies if objective is not None else ())
    return [
        api_pb2.Metric(name=each.name, value=pick_value(each, strategies.get(each.name, ""), otherwise=""))
        for each in observation.metrics
    ]


def _by_name(strategies: Sequence[NameValue]) -> Mapping[str, str]:
    return {each.name: each.value for each in strategies}


def _pairs(found: "Iterable[api_pb2.ParameterAssignment]") -> tuple[NameValue, ...]:
    return tuple(NameValue(name=each.name, value=each.value) for each in found)


def _encoded(message: "api_pb2.GetSuggestionsRequest") -> bytes:
    found: bytes = message.SerializeToString()
    return found
