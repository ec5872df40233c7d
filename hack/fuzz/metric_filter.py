"""Filters of metrics: what the validator lets pass, the collector can read lines with."""

import contextlib
from collections.abc import Sequence

from hypothesis import strategies as st

from hack.fuzz.target import Target
from kfx.apis.common import CollectorSpec, FileSystemPath, FilterSpec, MetricsCollectorSpec, SourceSpec
from kfx.collector.errors import CollectorError, UsageError
from kfx.collector.metrics_log import Value, json_parser, text_parser
from kfx.katib.katib_config import EMPTY_CONFIG, with_built_ins
from kfx.katib.validation.collector import check_collector
from kfx.katib.validation.context import Findings, ValidationContext

_CONTEXT = ValidationContext(
    algorithms=(), config=with_built_ins(EMPTY_CONFIG, collector_image="kfx:1"), trial_resources=()
)
_PIECES = (
    "(",
    ")",
    "[",
    "]",
    "a",
    r"\w+",
    r"\pL",
    "*",
    "+",
    "|",
    "{1000}",
    "(?i)",
    "(?=a)",
    "\\",
    "\u00e9",
    "\n",
    ";",
)
_expressions = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=12).map("".join),
    st.tuples(st.sampled_from(_PIECES), st.integers(1, 2_000)).map(lambda pair: "(a)(b)" + pair[0] * pair[1]),
    st.just(r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)"),
)
_filters = st.one_of(
    st.lists(_expressions, max_size=5),
    st.tuples(_expressions, st.integers(1, 50_000)).map(lambda pair: [pair[0]] * pair[1]),
)
_lines = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            "2026-01-01T00:00:00Z loss=0.1 acc=1e5",
            '{"loss":"0.1","timestamp":1e999}',
            '{"loss":' + "9" * 5000 + "}",
        ]
    ),
    st.tuples(st.sampled_from(["loss=", "loss=1 ", "[", '{"loss":']), st.integers(1, 5_000)).map(
        lambda pair: pair[0] * pair[1]
    ),
)


def _act(value: tuple[Sequence[str], str]) -> Findings:
    findings = Findings()
    source = SourceSpec(
        file_system_path=FileSystemPath(path="/a", kind="File", format="TEXT"),
        filter=FilterSpec(metrics_format=tuple(value[0])),
    )
    check_collector(
        MetricsCollectorSpec(source=source, collector=CollectorSpec(kind="File")), _CONTEXT, findings
    )
    return findings


def _judge(value: tuple[Sequence[str], str], findings: Findings) -> None:
    filters, line = value
    found: list[Value] = []
    try:
        if findings.errors:
            text_parser(["loss"], filters[:5])
        else:
            found += text_parser(["loss", "acc"], filters[:5])(line)
    except UsageError:
        assert findings.errors
    with contextlib.suppress(CollectorError):
        found += json_parser(["loss"])(line)
    assert all(each.metric in ("loss", "acc") for each in found)


TARGET = Target(name="metric_filter", inputs=st.tuples(_filters, _lines), act=_act, judge=_judge)
