import io
from pathlib import Path

import pytest

from kfx.collector import metrics_log
from kfx.collector.errors import CollectorError, UsageError
from kfx.collector.metrics_log import UNAVAILABLE, Value, collect, json_parser, read_values, text_parser
from kfx.collector.times import ZERO_TIME

NAMED = r"{metricName: ([\w|-]+), metricValue: ((-?\d+)(\.\d+)?)}"


def text(log: str, *metrics: str, filters: tuple[str, ...] = ()) -> list[Value]:
    parse = text_parser(metrics, filters)
    return [value for line in log.split("\n") for value in parse(line)]


def json(log: str, *metrics: str) -> list[Value]:
    parse = json_parser(metrics)
    return [value for line in log.split("\n") for value in parse(line)]


def test_katibs_table_of_text_lines() -> None:
    log = (
        "2021-12-02T14:27:50.000035161+09:00 INFO {metricName: loss, metricValue: 0.3634} extra\n"
        "2021-12-02T14:27:50Z {metricName: acc, metricValue: -7}{metricName: loss, metricValue: 2}\n"
        "invalid INFO {metricName: acc, metricValue: 1.5}\n"
        "{metricName: acc, metricValue: 100}\n"
        "2021-12-02T14:27:51Z {metricName: other, metricValue: 3}\n"
    )
    assert text(log, "acc", "loss", filters=(NAMED,)) == [
        Value("2021-12-02T14:27:50.000035161+09:00", "loss", "0.3634"),
        Value("2021-12-02T14:27:50Z", "acc", "-7"),
        Value("2021-12-02T14:27:50Z", "loss", "2"),
        Value(ZERO_TIME, "acc", "1.5"),
        Value(ZERO_TIME, "acc", "100"),
    ]


@pytest.mark.parametrize("value", [".333", "-.333", "- 345.333", "888."])
def test_values_that_a_filter_does_not_take_are_not_there(value: str) -> None:
    assert text(f"{{metricName: loss, metricValue: {value}}}", "loss", filters=(NAMED,)) == []


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("loss=0.5", "0.5"),
        ("epoch 3: loss = -1.5e-3, lr=1", "-1.5e-3"),
        ("loss=.5", ".5"),
        ("loss=+1E5", "+1E5"),
        ("loss=abc", ""),
        ("100%|████| 3/3 [loss=7]\r", "7"),
    ],
)
def test_the_usual_filter_takes_name_equals_value(line: str, value: str) -> None:
    assert text(line, "loss") == [Value(ZERO_TIME, "loss", value)]


@pytest.mark.parametrize("line", ["loss: 0.5", "val_loss=0.5", "loss2=1", "accuracy=1", ""])
def test_other_names_and_forms_do_not_count(line: str) -> None:
    assert text(line, "loss") == []


def test_values_need_not_be_numbers() -> None:
    line = "Best-Genotype=Genotype(normal=[x])"
    assert text(line, "Best-Genotype", filters=(r"([\w-]+)=(Genotype.*)",)) == [
        Value(ZERO_TIME, "Best-Genotype", "Genotype(normal=[x])")
    ]


def test_two_filters_may_report_one_place_twice() -> None:
    assert len(text("loss=1", "loss", filters=(r"(\w+)=(\d)", r"(l\w+)=(.*)"))) == 2


def test_a_filter_with_fewer_than_two_groups_finds_nothing() -> None:
    assert text("loss=1", "loss", filters=(r"loss=(\d)",)) == []


def test_a_group_that_took_no_part_is_empty() -> None:
    assert text("loss=", "loss", filters=(r"(\w+)=(\d)?",)) == [Value(ZERO_TIME, "loss", "")]


@pytest.mark.parametrize("expression", [r"(?=look)(a)(b)", r"(a)\1(b)", "(a", "*"])
def test_a_filter_that_is_not_re2_is_refused_with_its_flag(expression: str) -> None:
    with pytest.raises(UsageError) as raised:
        text_parser(["loss"], [expression])
    assert str(raised.value).startswith(f"-f {expression}: no RE2 expression: ")


def test_a_hostile_filter_takes_linear_time() -> None:
    assert text("loss " + "a" * 20_000, "loss", filters=(r"(a*)*(a*)*b",)) == []


def test_katibs_table_of_json_lines() -> None:
    log = (
        '{"acc": "0.9", "loss": "0.32", "timestamp": 1638422847.28721}\n'
        '{"acc": "0.91", "timestamp": "2021-12-02T14:27:50.000035161+09:00"}\n'
        "\n"
        '{"loss": "0.3"}\n'
        '{"acc": "0.92", "timestamp": "invalid"}\n'
        '{"acc": "0.93", "timestamp": 1638422847}\n'
    )
    assert json(log, "acc", "loss") == [
        Value("2021-12-02T05:27:27.000028721Z", "acc", "0.9"),
        Value("2021-12-02T05:27:27.000028721Z", "loss", "0.32"),
        Value("2021-12-02T14:27:50.000035161+09:00", "acc", "0.91"),
        Value(ZERO_TIME, "loss", "0.3"),
        Value(ZERO_TIME, "acc", "0.92"),
        Value("2021-12-02T05:27:27Z", "acc", "0.93"),
    ]


@pytest.mark.parametrize("number", ["0.50", "-3", "1e-05", "12345678901234567890", "NaN"])
def test_json_numbers_count_in_the_digits_they_were_written_with(number: str) -> None:
    assert json(f'{{"loss": {number}}}', "loss") == [Value(ZERO_TIME, "loss", number)]


@pytest.mark.parametrize("value", ["true", "null", "[1]", '{"a": 1}'])
def test_other_json_values_do_not_count(value: str) -> None:
    assert json(f'{{"loss": {value}}}', "loss") == []


@pytest.mark.parametrize("line", ['{"loss": "1"', "loss=1", '["loss"]', "3", "[" * 100_000])
def test_a_line_that_is_no_json_object_is_fatal(line: str) -> None:
    with pytest.raises(CollectorError, match="failed to parse the json object: "):
        json(line, "loss")


@pytest.mark.parametrize(
    "log",
    ["accuracy=0.9\n", "", "{metricName: loss, metricValue: 1\n{metricName: accuracy, metricValue: 2}\n"],
)
def test_without_the_objective_there_is_one_unavailable_value(tmp_path: Path, log: str) -> None:
    path = tmp_path / "metrics.log"
    path.write_text(log)
    found = list(collect(path, text_parser(["loss", "accuracy"], ()), "loss"))
    assert found == [Value(ZERO_TIME, "loss", UNAVAILABLE)]


def test_with_the_objective_all_values_are_there_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.log"
    path.write_bytes(b"accuracy=1\n\xff\xfe loss=2\naccuracy=3")
    found = collect(path, text_parser(["loss", "accuracy"], ()), "loss")
    assert [(value.metric, value.value) for value in found] == [
        ("accuracy", "1"),
        ("loss", "2"),
        ("accuracy", "3"),
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.log"
    with pytest.raises(CollectorError, match=f"failed to open the file: {path}: No such file"):
        list(read_values(path, text_parser(["loss"], ())))


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r"])
def test_an_endless_line_is_parted_between_the_updates_of_its_progress_bar(
    monkeypatch: pytest.MonkeyPatch, ending: bytes
) -> None:
    monkeypatch.setattr(metrics_log, "MAX_LINE", 64)
    updates = [b"%d%% loss=%d" % (number, number) for number in range(50)]
    file = io.BytesIO(b"\r".join(updates) + ending)
    parse = text_parser(["loss"], ())
    lines = list(metrics_log._lines(file))
    assert max(map(len, lines)) <= 64
    found = [value.value for line in lines for value in parse(line.decode())]
    assert found == [str(number) for number in range(50)]
