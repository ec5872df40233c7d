"""Between the bytes of ``api.v1.beta1`` and kfx's own types. The generated messages go no further."""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
from google.protobuf.message import DecodeError

from kfx.apis.common import MetricLog
from kfx.services.pb import api_pb2

_ROWS_AT_ONCE = 1_000


class MalformedMessage(ValueError):
    """The bytes are no message of the expected type."""


class TooLarge(ValueError):
    """A message would be larger than is allowed; the text says what there is too much of."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``ReportObservationLogRequest``."""

    trial: str
    logs: tuple[MetricLog, ...]


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """``GetObservationLogRequest``; an empty field filters nothing, times are RFC 3339."""

    trial: str
    metric: str = ""
    start: str = ""
    end: str = ""


def report_from_wire(data: bytes) -> Report:
    """Raises MalformedMessage."""
    try:
        message = api_pb2.ReportObservationLogRequest.FromString(data)
    except DecodeError as error:
        raise MalformedMessage(f"not a ReportObservationLogRequest: {error}") from None
    return Report(trial=message.trial_name, logs=tuple(_logs_of(message.observation_log)))


def report_to_wire(report: Report) -> bytes:
    """The request a collector sends."""
    message = api_pb2.ReportObservationLogRequest(trial_name=report.trial)
    _add_logs(message.observation_log, report.logs)
    encoded: bytes = message.SerializeToString()
    return encoded


def filter_from_wire(data: bytes) -> LogFilter:
    """Raises MalformedMessage."""
    try:
        message = api_pb2.GetObservationLogRequest.FromString(data)
    except DecodeError as error:
        raise MalformedMessage(f"not a GetObservationLogRequest: {error}") from None
    return LogFilter(
        trial=message.trial_name,
        metric=message.metric_name,
        start=message.start_time,
        end=message.end_time,
    )


def filter_to_wire(wanted: LogFilter) -> bytes:
    """The request a reader sends."""
    encoded: bytes = api_pb2.GetObservationLogRequest(
        trial_name=wanted.trial, metric_name=wanted.metric, start_time=wanted.start, end_time=wanted.end
    ).SerializeToString()
    return encoded


def logs_to_wire(
    logs: Iterable[MetricLog], *, most_rows: int | None = None, most_bytes: int | None = None
) -> bytes:
    """``GetObservationLogReply``; the observation log is present even when it is empty.

    Messages behind one another are one to protobuf: beside the bytes only a part of the rows is in memory.
    Raises :class:`TooLarge` as soon as there is more than allowed.
    """
    encoded, rows = bytearray(), iter(logs)
    count = 0
    while True:
        part = tuple(islice(rows, _ROWS_AT_ONCE))
        count += len(part)
        if not part and encoded:
            return bytes(encoded)
        message = api_pb2.GetObservationLogReply()
        message.observation_log.SetInParent()
        _add_logs(message.observation_log, part)
        encoded += message.SerializeToString()
        if most_rows is not None and count > most_rows:
            raise TooLarge(f"more than {most_rows} values")
        if most_bytes is not None and len(encoded) > most_bytes:
            raise TooLarge(f"values of more than {most_bytes} bytes")


def logs_from_wire(data: bytes) -> tuple[MetricLog, ...]:
    """Raises MalformedMessage."""
    return tuple(iter_logs_from_wire(data))


def iter_logs_from_wire(data: bytes) -> Iterator[MetricLog]:
    """As :func:`logs_from_wire`, one after the other. Raises MalformedMessage at once."""
    try:
        message = api_pb2.GetObservationLogReply.FromString(data)
    except DecodeError as error:
        raise MalformedMessage(f"not a GetObservationLogReply: {error}") from None
    return _logs_of(message.observation_log)


def deleted_trial_from_wire(data: bytes) -> str:
    """The trial a ``DeleteObservationLogRequest`` names. Raises MalformedMessage."""
    try:
        name: str = api_pb2.DeleteObservationLogRequest.FromString(data).trial_name
    except DecodeError as error:
        raise MalformedMessage(f"not a DeleteObservationLogRequest: {error}") from None
    return name


def deleted_trial_to_wire(trial: str) -> bytes:
    """The request that forgets a trial."""
    encoded: bytes = api_pb2.DeleteObservationLogRequest(trial_name=trial).SerializeToString()
    return encoded


def _logs_of(message: "api_pb2.ObservationLog") -> Iterator[MetricLog]:
    return (
        MetricLog(time_stamp=log.time_stamp, name=log.metric.name, value=log.metric.value)
        for log in message.metric_logs
    )


def _add_logs(message: "api_pb2.ObservationLog", logs: Iterable[MetricLog]) -> None:
    for log in logs:
        entry = message.metric_logs.add(time_stamp=log.time_stamp)
        entry.metric.name = log.name
        entry.metric.value = log.value
