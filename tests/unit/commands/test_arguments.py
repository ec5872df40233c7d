import pytest

from kfx.commands.arguments import parse


def test_kinds_may_be_singular_and_several() -> None:
    assert parse("get", []).kinds == ("experiments",)
    assert parse("get", ["trial"]).kinds == ("trials",)
    assert parse("get", ["trials,experiment,trials.kubeflow.org"]).kinds == ("trials", "experiments")
    assert parse("describe", ["Experiment", "e"]).kind == "experiments"


def test_flags_are_kubectls_and_may_stand_anywhere() -> None:
    given = parse("get", ["-A", "trials", "-ojson", "-l", "a=b", "--kubeconfig", "f"])
    assert (given.all_namespaces, given.output, given.selector, given.kubeconfig) == (
        True,
        "json",
        "a=b",
        "f",
    )
    assert parse("get", ["trials", "t-1", "t-2", "-n", "ns"]).names == ["t-1", "t-2"]
    assert parse("explain", ["e", "-n", "ns", "-o", "json"]).name == "e"


@pytest.mark.parametrize(
    ("command", "words", "reason"),
    [
        ("get", "pods", "none of experiments, trials, suggestions"),
        ("get", "trials -o text", "invalid choice"),
        ("get", "trials t -A", "leave out -A"),
        ("get", "trials t -l a=b", "leave out -l and -e"),
        ("get", "experiments -e e", "kfx get trials -e NAME"),
        ("get", "trials,experiments -w", "-w follows one kind"),
        ("get", "trials a b -w", "one NAME at most"),
        ("get", "trials -w -o json", "leave out -o json"),
        ("describe", "trial", "the following arguments are required"),
        ("explain", "", "the following arguments are required"),
        ("explain", "e --kubeconf f", "unrecognized arguments"),
    ],
)
def test_a_wrong_command_line_is_status_2_and_says_why(
    command: str, words: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(command, words.split())
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"usage: kfx {command}")
    assert reason in said


@pytest.mark.parametrize("command", ["get", "describe", "explain"])
def test_help_says_what_the_exit_status_means(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(command, ["-h"])
    assert ended.value.code == 0
    assert "Exit status:" in " ".join(capsys.readouterr().out.split())
