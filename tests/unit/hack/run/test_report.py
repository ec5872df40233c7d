"""What a person reads."""

import io

import pytest
from rich.console import Console

from hack.run.progress import Progress, TrialRow
from hack.run.report import PlainLines, display, last_word, summary, table
from hack.run.steps import Steps

GOOD = TrialRow("e-a", "Succeeded", {"lr": "0.25", "act": "relu"}, "0.123456", "")
BAD = TrialRow("e-b", "Failed", {"lr": "0.5", "act": "tanh"}, "", "job failed with exit code 1")
BUSY = TrialRow("e-c", "Running", {"lr": "0.125", "act": "tanh"}, "", "")


def _progress(*rows: TrialRow, ending: str = "", best: TrialRow | None = None) -> Progress:
    return Progress(
        name="default/e", objective="loss", wanted=12, rows=rows, best=best,
        ending=ending, reason=f"Experiment{ending}", message="that was it",
    )  # fmt: skip


def _console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=terminal, highlight=False)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_a_column_for_each_parameter_and_marks_the_best() -> None:
    console = _console()
    console.print(table(_progress(GOOD, BAD, BUSY, best=GOOD), elapsed=3.0))
    shown = _text(console)
    assert "act" in shown
    assert "0.1235 ★" in shown
    assert "3 of 12 trials: 1 Running, 1 Succeeded, 1 Failed · best loss 0.1235 · 3 s" in shown


def test_before_the_first_trial_the_summary_says_so() -> None:
    assert summary(_progress(), elapsed=0.0) == "0 of 12 trials: no trial yet · 0 s"


def test_plain_lines_are_printed_only_for_what_changed() -> None:
    console = _console()
    lines = PlainLines(console)
    for _ in range(3):
        lines.update(_progress(BUSY))
    lines.update(_progress(BUSY, BAD, GOOD, best=GOOD))
    shown = _text(console).splitlines()
    assert [line.split("  ", 1)[1].lstrip("s ") for line in map(str.strip, shown)] == [
        "e-c Running lr=0.125 act=tanh",
        "e-b Failed lr=0.5 act=tanh (job failed with exit code 1)",
        "e-a Succeeded lr=0.25 act=relu loss=0.123456",
        "best so far: e-a loss=0.123456",
    ]


@pytest.mark.parametrize(("terminal", "drawn"), [(True, True), (False, False)])
def test_the_table_is_drawn_on_a_terminal_only(terminal: bool, drawn: bool) -> None:
    console = _console(terminal=terminal)
    with display(console) as shown:
        shown.update(_progress(BUSY))
    assert ("Trial" in _text(console)) is drawn
    assert "e-c" in _text(console)


def test_the_last_word_of_a_success_is_the_best_trial_with_its_parameters() -> None:
    console = _console()
    hint = f"kubectl --kubeconfig /tmp/{'long/' * 30}kubeconfig get trials"
    last_word(console, _progress(GOOD, ending="Succeeded", best=GOOD), hints=[hint])
    shown = _text(console)
    for part in ("default/e: Succeeded", "e-a", "0.123456", "lr", "0.25", "relu"):
        assert part in shown
    assert hint in shown, "a line to copy is not wrapped"


def test_the_last_word_of_a_failure_names_the_trials_that_failed() -> None:
    console = _console()
    last_word(console, _progress(GOOD, BAD, ending="Failed"), hints=[])
    shown = _text(console)
    assert "ExperimentFailed: that was it" in shown
    assert "e-b Failed: job failed with exit code 1" in shown


def test_a_step_ends_with_its_mark_and_its_seconds() -> None:
    console = _console()
    steps = Steps(console)
    with steps.step("cluster [one]"), steps.step("images"):
        steps.say("a remark")
    with pytest.raises(ValueError, match="broken"), steps.step("load"):
        raise ValueError("broken")
    lines = _text(console).splitlines()
    assert [line.split(" 0.")[0].strip() for line in lines] == [
        "a remark", "✓ images", "✓ cluster [one]", "✗ load"
    ]  # fmt: skip


def test_steps_spin_on_a_terminal_while_they_run() -> None:
    console = _console(terminal=True)
    with Steps(console).step("cluster"):
        pass
    assert "✓" in _text(console)
    assert "\x1b[?25h" in _text(console), "the cursor must come back"
