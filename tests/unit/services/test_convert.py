import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from hypothesis import given
from hypothesis import strategies as st

from kfx.apis.common import MetricLog
from kfx.services.convert import (
    LogFilter,
    MalformedMessage,
    Report,
    deleted_trial_from_wire,
    deleted_trial_to_wire,
    filter_from_wire,
    filter_to_wire,
    logs_from_wire,
    logs_to_wire,
    report_from_wire,
    report_to_wire,
)
from kfx.services.pb import api_pb2

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LOGS = st.lists(st.builds(MetricLog, time_stamp=TEXT, name=TEXT, value=TEXT)).map(tuple)


@given(st.builds(Report, trial=TEXT, logs=LOGS))
def test_a_report_comes_through(report: Report) -> None:
    assert report_from_wire(report_to_wire(report)) == report


@given(LOGS)
def test_logs_come_through(logs: tuple[MetricLog, ...]) -> None:
    assert logs_from_wire(logs_to_wire(logs)) == logs


@given(st.builds(LogFilter, trial=TEXT, metric=TEXT, start=TEXT, end=TEXT))
def test_a_filter_comes_through(wanted: LogFilter) -> None:
    assert filter_from_wire(filter_to_wire(wanted)) == wanted


@given(TEXT)
def test_a_deletion_comes_through(trial: str) -> None:
    assert deleted_trial_from_wire(deleted_trial_to_wire(trial)) == trial


def test_a_reply_without_logs_still_has_its_log() -> None:
    assert api_pb2.GetObservationLogReply.FromString(logs_to_wire([])).HasField("observation_log")


@pytest.mark.parametrize(
    "decode", [report_from_wire, filter_from_wire, deleted_trial_from_wire, logs_from_wire]
)
def test_bytes_that_are_no_message_are_refused(decode: object) -> None:
    with pytest.raises(MalformedMessage, match="not a "):
        decode(b"\x0a\xff")  # type: ignore[operator]


GOLDEN_FIELDS = {
    "ExperimentSpec": {
        "parameter_specs": 1, "objective": 2, "algorithm": 3, "early_stopping": 4, "parallel_trial_count": 5,
        "max_trial_count": 6, "nas_config": 7,
    },
    "FeasibleSpace": {"max": 1, "min": 2, "list": 3, "step": 4, "distribution": 5},
    "TrialSpec": {"objective": 2, "parameter_assignments": 3, "labels": 4},
    "TrialStatus": {"start_time": 1, "completion_time": 2, "condition": 3, "observation": 4},
    "MetricLog": {"time_stamp": 1, "metric": 2},
    "ReportObservationLogRequest": {"trial_name": 1, "observation_log": 2},
    "GetObservationLogRequest": {"trial_name": 1, "metric_name": 2, "start_time": 3, "end_time": 4},
    "GetSuggestionsRequest": {
        "experiment": 1, "trials": 2, "current_request_number": 4, "total_request_number": 5,
    },
    "GetSuggestionsReply": {"parameter_assignments": 1, "algorithm": 2, "early_stopping_rules": 3},
    "EarlyStoppingRule": {"name": 1, "value": 2, "comparison": 3, "start_step": 4},
    "GetEarlyStoppingRulesRequest": {"experiment": 1, "trials": 2, "db_manager_address": 3},
}  # fmt: skip


@pytest.mark.parametrize("message", GOLDEN_FIELDS)
def test_field_numbers_are_those_of_katibs_images(message: str) -> None:
    described = getattr(api_pb2, message).DESCRIPTOR
    assert {field.name: field.number for field in described.fields} == GOLDEN_FIELDS[message]


def test_every_method_has_katibs_full_name() -> None:
    found = {
        f"{service.full_name}/{method.name}"
        for service in api_pb2.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert found == {
        "api.v1.beta1.DBManager/ReportObservationLog",
        "api.v1.beta1.DBManager/GetObservationLog",
        "api.v1.beta1.DBManager/DeleteObservationLog",
        "api.v1.beta1.Suggestion/GetSuggestions",
        "api.v1.beta1.Suggestion/ValidateAlgorithmSettings",
        "api.v1.beta1.EarlyStopping/GetEarlyStoppingRules",
        "api.v1.beta1.EarlyStopping/SetTrialStatus",
        "api.v1.beta1.EarlyStopping/ValidateEarlyStoppingSettings",
    }


def test_the_trial_conditions_keep_their_numbers() -> None:
    found = dict(api_pb2.TrialStatus.TrialConditionType.items())
    assert found == {
        "CREATED": 0, "RUNNING": 1, "SUCCEEDED": 2, "KILLED": 3, "FAILED": 4,
        "METRICSUNAVAILABLE": 5, "EARLYSTOPPED": 6, "UNKNOWN": 7,
    }  # fmt: skip


def test_katibs_sdk_may_register_the_same_symbols_in_the_shared_pool() -> None:
    theirs = FileDescriptorProto.FromString(api_pb2.DESCRIPTOR.serialized_pb)
    theirs.name = "katib_api.proto"  # a file of another name makes every symbol a duplicate
    shared = descriptor_pool.Default().Add(theirs)  # type: ignore[func-returns-value]
    assert shared is None or shared.name == theirs.name
    assert descriptor_pool.Default().FindMessageTypeByName("api.v1.beta1.Trial").file.name == theirs.name
