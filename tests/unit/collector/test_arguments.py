import pytest

from kfx.collector.arguments import Arguments, parse_arguments, usage
from kfx.collector.errors import UsageError

LEAST = ["-t", "trial", "-m", "loss", "-s-db", "katib-db-manager.kubeflow:6789"]


def test_the_arguments_the_webhook_writes_are_understood() -> None:
    words = [
        *("-t", "trial", "-m", "loss;accuracy", "-o-type", "minimize", "-s-db", "db:6789"),
        *("-path", "/m/metrics.log", "-f", r"a=(\w+)(.*);-(b)(c)", "-format", "JSON", "-w", "false"),
    ]
    assert parse_arguments(words) == Arguments(
        trial="trial",
        metrics=("loss", "accuracy"),
        store_address="db:6789",
        path="/m/metrics.log",
        filters=(r"a=(\w+)(.*)", "-(b)(c)"),
        format="JSON",
        wait_all=False,
    )


def test_what_is_not_said_is_as_in_katib() -> None:
    found = parse_arguments(LEAST)
    assert found.path == "/var/log/katib/metrics.log"
    assert found.filters == ()
    assert found.wait_all is True
    assert found.poll_interval == 1.0
    assert found.timeout == 0.0


@pytest.mark.parametrize("words", [["--timeout=1m30s"], ["-timeout", "90s"], ["-timeout=0.025h"]])
def test_flags_take_gos_forms(words: list[str]) -> None:
    assert parse_arguments([*LEAST, *words]).timeout == 90.0


def test_a_value_may_begin_with_a_dash() -> None:
    assert parse_arguments([*LEAST, "-f", "-x=(a)(b)"]).filters == ("-x=(a)(b)",)


def test_the_last_of_a_flag_given_twice_counts() -> None:
    assert parse_arguments([*LEAST, "-t", "other"]).trial == "other"


def test_a_native_sidecar_is_told_that_it_is_one() -> None:
    assert parse_arguments(LEAST).native is False
    assert parse_arguments([*LEAST, "-native", "true"]).native is True


def test_the_early_stopping_address_alone_is_accepted() -> None:
    assert parse_arguments([*LEAST, "-s-earlystop", "e-random.ns:6788"]).trial == "trial"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "missing: -t -m -s-db"),
        (["-t", "trial", "-m", ";", "-s-db", "a:1"], "missing: -m"),
        ([*LEAST, "-nonsense", "1"], "flag provided but not defined: -nonsense"),
        ([*LEAST, "-path"], "flag needs an argument: -path"),
        ([*LEAST, "word"], "'word' is no flag"),
        ([*LEAST, "---t", "x"], "'---t' is no flag"),
        ([*LEAST, "--"], "'--' is no flag"),
        ([*LEAST, "-w", "yes"], "-w yes: expected true or false"),
        ([*LEAST, "-format", "text"], "-format text: format must be set TEXT or JSON"),
        ([*LEAST, "-o-type", "max"], "-o-type max: expected minimize or maximize"),
        ([*LEAST, "-timeout", "90"], "-timeout 90: expected a duration such as 1s"),
        ([*LEAST, "-timeout", "-1s"], "-timeout -1s: expected a duration"),
        ([*LEAST, "-p", "0s"], "-p 0s: expected more than 0"),
        ([*LEAST, "-stop-rule", "loss;0.1;less;4"], "early stopping is not built in this version"),
    ],
)
def test_a_bad_command_line_is_told_with_its_flag(words: list[str], text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_arguments(words)
    assert text in str(raised.value)


def test_usage_names_every_flag() -> None:
    for flag in ("-t ", "-m ", "-s-db ", "-path ", "-f ", "-format ", "-w ", "-p ", "-timeout "):
        assert f"  {flag}" in usage()
