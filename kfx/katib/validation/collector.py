"""Rules about the metrics collector: V45 to V58."""

import re
from collections.abc import Iterator, Sequence

import re2

from kfx.apis.common import FileSystemPath, HTTPGetAction, MetricsCollectorSpec, SourceSpec
from kfx.katib.katib_config import BUILT_IN_COLLECTORS, CONFIG_MAP, KatibConfigError
from kfx.katib.validation.context import Findings, ValidationContext
from kfx.katib.validation.field_error import FieldError, invalid, required

_KINDS = ("StdOut", "File", "TensorFlowEvent", "PrometheusMetric", "Custom", "Push")
_FROM_CONFIG = ("StdOut", "TensorFlowEvent", "File", "PrometheusMetric")
_PATH = "spec.metricsCollectorSpec"
_FILE = f"{_PATH}.source.fileSystemPath"
_FORMAT = f"{_PATH}.source.filter.metricsFormat"
_PORT = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_MAX_FORMATS = 131_071
_MAX_PROGRAM = 100_000  # of RE2's instructions, some 100 ns each to make
_COST_OF_ONE = 250
_MAX_FORMAT = 1024
_MAX_MEMORY = 1024 * 1024


def check_collector(
    collectors: MetricsCollectorSpec | None, context: ValidationContext, findings: Findings
) -> None:
    """V45 to V58. An absent spec or collector counts as StdOut."""
    spec = collectors or MetricsCollectorSpec()
    kind = spec.collector.kind if spec.collector is not None else "StdOut"
    findings.errors += _check_configured(kind, context)
    if kind in ("Push", "StdOut"):
        return
    source = spec.source or SourceSpec()
    findings.errors += _check_source(kind, source, spec)
    if source.filter is not None:
        _check_formats(source.filter.metrics_format, findings)


def _check_configured(kind: str, context: ValidationContext) -> Iterator[FieldError]:
    """V45: the kinds that need an image, and one whose program can do it."""
    if kind not in _FROM_CONFIG:
        return
    path = f"{_PATH}.collector.kind"
    if isinstance(context.config, str):
        yield invalid(path, kind, context.config)
        return
    try:
        entry = context.config.metrics_collector(kind)
    except KatibConfigError as error:
        yield invalid(path, kind, str(error))
        return
    if kind not in BUILT_IN_COLLECTORS and context.is_own(entry):
        detail = (
            f"image {entry.image}, kfx's own collector, reads {' and '.join(BUILT_IN_COLLECTORS)} only; name "
            f"Katib's image for {kind} in ConfigMap {CONFIG_MAP}"
        )
        yield invalid(path, kind, detail)


def _check_source(kind: str, source: SourceSpec, spec: MetricsCollectorSpec) -> Iterator[FieldError]:
    place = source.file_system_path or FileSystemPath()
    if kind == "File":
        yield from _check_file(place, source)
    elif kind == "TensorFlowEvent":
        yield from _check_directory(place)
    elif kind == "PrometheusMetric":
        yield from _check_endpoint(source.http_get or HTTPGetAction())
    elif kind == "Custom":
        container = spec.collector.custom_collector if spec.collector is not None else None
        if container is None:
            detail = "kind Custom needs the container that collects; write it there"
            yield required(f"{_PATH}.collector.customCollector", detail)
        if source.file_system_path is not None and not (
            _is_absolute(place) and place.kind in ("File", "Directory")
        ):
            yield invalid(_FILE, "", "set an absolute path, and kind File or Directory")
    else:
        yield invalid(f"{_PATH}.collector.kind", kind, f"write one of: {', '.join(_KINDS)}")


def _check_file(place: FileSystemPath, source: SourceSpec) -> Iterator[FieldError]:
    """V47 to V49."""
    if place.kind != "File" or not _is_absolute(place):
        yield required(f"{_FILE}.path", "kind File needs an absolute path and fileSystemPath.kind File")
    if place.format not in ("TEXT", "JSON"):
        yield required(f"{_FILE}.format", "write TEXT or JSON")
    if place.format == "JSON" and source.filter is not None:
        yield invalid(f"{_PATH}.source.filter", "", "JSON lines are read by key; remove the filter")


def _check_directory(place: FileSystemPath) -> Iterator[FieldError]:
    """V50 and V51."""
    if place.kind != "Directory" or not _is_absolute(place):
        detail = "kind TensorFlowEvent needs fileSystemPath with an absolute path and kind Directory"
        yield required(f"{_PATH}.source", detail)
    if place.format:
        yield invalid(f"{_FILE}.format", place.format, "event files have one format; remove the field")


def _check_endpoint(get: HTTPGetAction) -> Iterator[FieldError]:
    """V52 and V53."""
    text = str(get.port)
    if _PORT.fullmatch(text) is None or not 0 < int(text) < 2**63:
        yield invalid(f"{_PATH}.source.httpGet.port", text, "write the port as a number greater than 0")
    if not get.path.startswith("/"):
        yield invalid(f"{_PATH}.source.httpGet.path", get.path, "begin the path with '/'")


def _is_absolute(place: FileSystemPath) -> bool:
    return place.path.startswith("/")


def _check_formats(expressions: Sequence[str], findings: Findings) -> None:
    """V57 and V58, as far as one container can be started with them and they compile in bounded time."""
    if sum(map(len, expressions)) + len(expressions) > _MAX_FORMATS:
        detail = (
            f"the filters are passed to the collector as one argument, of at most {_MAX_FORMATS} bytes; "
            "give fewer or shorter ones"
        )
        findings.errors.append(invalid(_FORMAT, f"{len(expressions)} expressions", detail))
        return
    size = 0
    for expression in expressions:
        if size > _MAX_PROGRAM:
            detail = "the filters before this one are too large already; repeat less in them, or give fewer"
            findings.errors.append(invalid(_FORMAT, expression, detail))
            return
        if len(expression) > _MAX_FORMAT:
            detail = f"a filter has at most {_MAX_FORMAT} characters; shorten it"
            findings.errors.append(invalid(_FORMAT, expression, detail))
            continue
        size += _check_format(expression, findings)
        if findings.enough:
            return
        if ";" in expression:
            findings.warn(f"{_FORMAT} {expression!r} contains ';', which separates filters; " r"write \x3b")


def _check_format(expression: str, findings: Findings) -> int:
    """What the expression costs, in RE2's instructions. RE2's time is linear, and its syntax is Go's."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        size: int = re2.compile(expression, options).programsize
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        detail = f"no RE2 expression: {text[:200]}; look-around and back-references do not exist there"
        findings.errors.append(invalid(_FORMAT, expression, detail))
        return _MAX_PROGRAM if "too large" in text else _COST_OF_ONE
    if not any(_has_two_pairs(line) for line in expression.split("\n")):
        detail = "use two groups: the first for the metric's name, the second for its value"
        findings.errors.append(invalid(_FORMAT, expression, detail))
    return size + _COST_OF_ONE


def _has_two_pairs(text: str) -> bool:
    """Whether brackets open, close, open and close; Katib's own test, which is of the text alone."""
    at = 0
    for bracket in "()()":
        at = text.find(bracket, at) + 1
        if at == 0:
            return False
    return True
