"""Every target, with a few inputs of each kind; the search itself is ``python -m hack.fuzz``."""

from pathlib import Path

import pytest
from hypothesis import strategies as st

from hack.fuzz import __main__ as command
from hack.fuzz import engine
from hack.fuzz.target import OutOfBounds, Target
from tests.rules.source_tree import ROOT

SLACK = 4.0
"""Other tests run beside these."""


@pytest.mark.parametrize("name", engine.NAMES)
def test_a_few_inputs_of_each_target_break_no_promise(name: str) -> None:
    engine.try_few(name, examples=25, slack=SLACK)


def test_every_module_with_a_target_is_listed() -> None:
    modules = {
        path.stem
        for path in Path(ROOT, "hack", "fuzz").glob("*.py")
        if "\nTARGET = " in path.read_text(encoding="utf-8")
    }
    assert modules == set(engine.NAMES)


def target(act: object) -> Target:
    return Target(name="t", inputs=st.just(1), act=act, seconds=0.02, bytes=1024 * 1024)  # type: ignore[arg-type]


def test_what_takes_too_long_or_too_much_is_noticed() -> None:
    with pytest.raises(OutOfBounds, match=r"took .* ms; 20 allowed"):
        target(lambda value: sum(range(3_000_000))).run(1)
    with pytest.raises(OutOfBounds, match="MiB; 1 allowed"):
        target(lambda value: [[each] for each in range(60_000)] and sum(range(3_000_000))).run(1, slack=50.0)


def test_an_input_that_raises_ends_the_search() -> None:
    def fails(value: object) -> None:
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        target(fails).run(1)


def test_the_command_tells_how_many_inputs_there_were(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["quantity", "--seconds", "0.2", "--engine", "hypothesis", "--seed", "1"]) == 0
    assert "inputs, every one within its bounds" in capsys.readouterr().out
