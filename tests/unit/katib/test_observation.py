from collections.abc import Sequence

import pytest

from kfx.apis.common import UNAVAILABLE, Metric, MetricLog, MetricStrategy, ObjectiveSpec, Observation
from kfx.katib import observation
from kfx.katib.observation import is_available, objective_value, unavailable_log
from tests.katib_objects import objective, observed

TWO = ObjectiveSpec(
    type="minimize",
    objective_metric_name="error",
    additional_metric_names=("accuracy",),
    metric_strategies=(
        MetricStrategy(name="error", value="min"),
        MetricStrategy(name="accuracy", value="max"),
    ),
)


def log(value: str, at: str = "2020-08-10T14:47:38+08:00", name: str = "loss") -> MetricLog:
    return MetricLog(time_stamp=at, name=name, value=value)


def observe(logs: Sequence[MetricLog], of: ObjectiveSpec | None) -> Observation | None:
    return observation.observe(logs, of).observation


def test_minimum_maximum_and_latest_of_two_values() -> None:
    logs = [log("0.99", "2019-12-02T14:47:38Z"), log("0.11", "2019-12-02T14:50:38Z")]
    assert observe(logs, objective()) == observed("0.11", low="0.11", high="0.99")


def test_metrics_come_in_the_order_of_their_strategies_each_by_its_own_times() -> None:
    """12.3-7."""
    logs = [
        log("0.62", name="accuracy"),
        log("0.7", name="accuracy"),
        log("0.05", name="error"),
        log("0.01", name="error"),
        log("0.1", name="error"),
        log("0.07", name="error"),
        log("0.67", "2020-08-10T14:48:38+08:00", name="accuracy"),
        log("0.72", "2020-08-10T14:37:38+08:00", name="accuracy"),
        log("0.6", "2020-08-10T14:27:38+08:00", name="accuracy"),
    ]
    assert observe(logs, TWO) == Observation(
        metrics=(
            Metric(name="error", min="0.01", max="0.1", latest="0.07"),
            Metric(name="accuracy", min="0.6", max="0.72", latest="0.67"),
        )
    )


def test_an_older_line_at_the_end_counts_for_the_extremes_only() -> None:
    logs = [log("2"), log("9", "2020-08-10T14:00:00+08:00")]
    assert observe(logs, objective()) == observed("2", low="2", high="9")


@pytest.mark.parametrize(
    ("first", "second", "latest"),
    [
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2"),
        ("2020-01-01T00:00:00.5Z", "2020-01-01T00:00:00.45Z", "1"),
        ("2020-01-01T00:00:00.123456789Z", "2020-01-01T00:00:00.123456790Z", "2"),
        ("2020-01-01T00:00:00Z", "2020-01-01T01:00:00+02:00", "1"),
        ("2020-01-01T00:00:00.10Z", "2020-01-01T00:00:00.1Z", "2"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2"),
    ],
)
def test_the_latest_is_by_time_and_the_later_line_of_equal_times(
    first: str, second: str, latest: str
) -> None:
    found = observe([log("1", first), log("2", second)], objective())
    assert found is not None
    assert found.metrics[0].latest == latest


@pytest.mark.parametrize(
    "at",
    ["2020-08-10T14:47:38", "2020-08-10", "", "1597049258", "2020-13-10T14:47:38Z", "2020-08-10 14:47:38Z"],
)
def test_a_line_of_a_bad_time_is_left_out_and_that_is_told(at: str) -> None:
    """12.3-8 and 2.7: Katib does without all lines then."""
    found = observation.observe([log("1"), log("0", at)], objective())
    assert found.observation == observed("1")
    assert found.unusable.startswith("1 of 2 values are left out, since their times are not RFC 3339")
    assert repr(at) in found.unusable
    assert "report times as 2006-01-02T15:04:05Z" in found.unusable


def test_only_lines_of_bad_times_are_nothing_and_that_is_told() -> None:
    found = observation.observe([log("1", "yesterday")], objective())
    assert found.observation is None
    assert found.unusable


def test_a_bad_time_of_a_metric_that_nobody_asked_for_is_nothing_to_tell() -> None:
    assert observation.observe([log("1"), log("2", "", name="other")], objective()).unusable == ""


@pytest.mark.parametrize(
    ("values", "low", "high", "latest"),
    [
        (("unavailable",), UNAVAILABLE, UNAVAILABLE, "unavailable"),
        (("abc", "1"), "1", "1", "1"),
        (("1", "abc"), "1", "1", "abc"),
        (("nan", "2", "1"), "1", "2", "1"),
        (("1e400", "2"), "2", "2", "2"),
        (("1.50", "1.5"), "1.50", "1.50", "1.5"),
        (("-Inf", "0"), "-Inf", "0", "0"),
    ],
)
def test_values_stay_as_reported_and_only_numbers_have_extremes(
    values: tuple[str, ...], low: str, high: str, latest: str
) -> None:
    found = observe([log(value) for value in values], objective())
    assert found == observed(latest, low=low, high=high)


def test_no_lines_are_no_observation() -> None:
    assert observe([], objective()) is None
    assert observe([log("1", name="other")], objective()) is None
    assert observe([log("1")], None) is None


def test_a_metric_of_a_strategy_without_lines_is_unavailable() -> None:
    found = observe([log("1", name="error")], TWO)
    assert found is not None
    assert found.metrics[1] == Metric(name="accuracy", min=UNAVAILABLE, max=UNAVAILABLE, latest=UNAVAILABLE)


def test_a_metric_without_strategy_is_left_out() -> None:
    assert observe([log("1")], objective(strategy="")) == Observation()


@pytest.mark.parametrize(
    ("found", "yes"),
    [(None, False), (Observation(), False), (observed("unavailable"), False), (observed("1"), True)],
)
def test_available_means_that_the_objective_has_a_latest_value(found: Observation | None, yes: bool) -> None:
    assert is_available(found, objective()) is yes
    assert is_available(found, None) is False


@pytest.mark.parametrize(
    ("strategy", "found", "value"),
    [
        ("min", observed("2", low="1", high="3"), "1"),
        ("max", observed("2", low="1", high="3"), "3"),
        ("latest", observed("2", low="1", high="3"), "2"),
        ("min", observed("text", low=UNAVAILABLE, high=UNAVAILABLE), "text"),
        ("max", observed("text", low=UNAVAILABLE, high=UNAVAILABLE), "text"),
        ("", observed("2"), UNAVAILABLE),
        ("median", observed("2"), UNAVAILABLE),
        ("min", None, UNAVAILABLE),
        ("min", Observation(metrics=(Metric(name="other", min="1", max="1", latest="1"),)), UNAVAILABLE),
    ],
)
def test_the_strategy_picks_the_objective(strategy: str, found: Observation | None, value: str) -> None:
    assert objective_value(found, objective(strategy=strategy)) == value


def test_of_two_strategies_for_one_metric_the_first_counts() -> None:
    both = ObjectiveSpec(
        objective_metric_name="loss",
        metric_strategies=(
            MetricStrategy(name="loss", value="max"),
            MetricStrategy(name="loss", value="min"),
        ),
    )
    assert objective_value(observed("2", low="1", high="3"), both) == "3"


def test_a_metric_nobody_reported_is_written_at_the_zero_time() -> None:
    (line,) = unavailable_log(objective())
    assert (line.time_stamp, line.name, line.value) == ("0001-01-01T00:00:00Z", "loss", "unavailable")
    assert unavailable_log(None) == ()
