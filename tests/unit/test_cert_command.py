"""The command line of kfx cert-generator; what it does is tested against a real API server."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kfx import flags
from kfx.cert_command import flags_of
from kfx.cli import main


def test_the_namespace_is_that_of_the_variable_or_katibs() -> None:
    defaults = [
        {flag.name: flag.default for flag in flags_of(environ)}
        for environ in ({}, {"KATIB_CORE_NAMESPACE": ""}, {"KATIB_CORE_NAMESPACE": "core"})
    ]
    assert [each["namespace"] for each in defaults] == ["kubeflow", "kubeflow", "core"]
    assert (defaults[0]["jobName"], defaults[0]["serviceName"]) == (
        "katib-cert-generator",
        "katib-controller",
    )


@pytest.mark.parametrize(
    "words", [["--namespace=a", "--jobName=b", "--serviceName=c"], ["-n", "a", "-j=b", "-s", "c"]]
)
def test_each_flag_has_katibs_long_and_short_name(words: list[str]) -> None:
    given = flags.parse_flags(flags_of({}), words)
    assert sorted(given.values()) == ["a", "b", "c"]


def test_help_names_the_flags_and_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cert-generator", "generate", "-h"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: kfx cert-generator [flags]")
    assert "--serviceName name\n        the Service of the webhooks (default katib-controller)" in shown


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--nope"], "flag provided but not defined: -nope"),
        (["generate", "generate"], "unexpected argument 'generate'"),
        (["--namespace=A"], 'invalid value "A" for flag --namespace: expected a name'),
        (["-s="], 'invalid value "" for flag --s: expected a name'),
    ],
)
def test_a_wrong_command_line_is_status_2(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cert-generator", *words]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(reason)
    assert "kfx cert-generator" in shown
    assert ("--serviceName name" in shown) == ("not defined" in reason), "all flags only to who seeks one"


def test_a_missing_kubeconfig_is_status_1_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kfx.cert_command.configure_logging", lambda **_: None)
    with capture_logs() as lines:
        assert main(["cert-generator", "--kubeconfig", str(tmp_path / "none")]) == 1
    assert "there is no such kubeconfig" in lines[0]["error"]
