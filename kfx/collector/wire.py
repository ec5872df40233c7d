"""``ReportObservationLogRequest`` of ``api.v1.beta1``, encoded by hand.

Four strings in nested messages do not justify the protobuf library's memory in every trial's pod.
"""

from collections.abc import Iterable, Iterator

from kfx.collector.metrics_log import Value

MAX_VALUES = 10_000
"""Values of one request. Katib's databases take 16,383 rows of four columns in one statement."""

MAX_BYTES = 1024 * 1024
"""Of one request, about. Servers with gRPC's defaults take 4 MiB."""

_LENGTH_DELIMITED = 2


def encode_requests(trial: str, values: Iterable[Value]) -> Iterator[bytes]:
    """The values in as few requests as the limits allow, in order; nearly always one."""
    logs = bytearray()
    count = 0
    for value in values:
        logs += _metric_log(value)
        count += 1
        if count == MAX_VALUES or len(logs) >= MAX_BYTES:
            yield _request(trial, logs)
            logs.clear()
            count = 0
    if logs:
        yield _request(trial, logs)


def _request(trial: str, logs: bytes | bytearray) -> bytes:
    return _string(1, trial) + _field(2, logs)


def _metric_log(value: Value) -> bytes:
    metric = _string(1, value.metric) + _string(2, value.value)
    return _field(1, _string(1, value.time) + _field(2, metric))


def _string(number: int, text: str) -> bytes:
    # A lone surrogate, which JSON can spell, has no UTF-8 form.
    return _field(number, text.encode(errors="replace")) if text else b""


def _field(number: int, data: bytes | bytearray) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
