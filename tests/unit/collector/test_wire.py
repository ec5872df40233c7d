from hypothesis import given
from hypothesis import strategies as st

from kfx.apis.common import MetricLog
from kfx.collector import wire
from kfx.collector.metrics_log import Value
from kfx.collector.wire import encode_requests
from kfx.services.convert import Report, report_from_wire, report_to_wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(TEXT, st.lists(st.builds(Value, TEXT, TEXT, TEXT), min_size=1))
def test_the_bytes_are_those_of_the_generated_messages(trial: str, values: list[Value]) -> None:
    logs = tuple(MetricLog(time_stamp=v.time, name=v.metric, value=v.value) for v in values)
    assert list(encode_requests(trial, values)) == [report_to_wire(Report(trial=trial, logs=logs))]


def test_a_golden_request() -> None:
    assert list(encode_requests("t", [Value("0001-01-01T00:00:00Z", "loss", "0.5")])) == [
        b"\x0a\x01t\x12\x25\x0a\x23\x0a\x140001-01-01T00:00:00Z\x12\x0b\x0a\x04loss\x12\x030.5"
    ]


def test_many_values_go_in_requests_that_katibs_databases_take() -> None:
    values = [Value("", "loss", str(number)) for number in range(25_000)]
    reports = [report_from_wire(request) for request in encode_requests("t", values)]
    assert [len(report.logs) for report in reports] == [10_000, 10_000, 5_000]
    assert [log.value for report in reports for log in report.logs] == [value.value for value in values]


def test_large_values_go_in_requests_of_about_a_mebibyte() -> None:
    values = [Value("", "genotype", "x" * 300_000)] * 10
    requests = list(encode_requests("t", values))
    assert sum(len(report_from_wire(request).logs) for request in requests) == 10
    assert max(map(len, requests)) < wire.MAX_BYTES + 400_000


def test_a_lone_surrogate_does_not_end_the_collector() -> None:
    (request,) = encode_requests("t", [Value("", "loss", "\ud800")])
    assert report_from_wire(request).logs[0].value == "?"
