"""Two ways to search for inputs: Hypothesis by itself, or atheris, which follows the code's branches."""

import importlib
import importlib.util
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings, target

from hack.fuzz.target import Target

NAMES = (
    "duration",
    "gjson",
    "json_patch",
    "katib_config",
    "metric_filter",
    "quantity",
    "review",
    "substitution",
)
_ROUND = 200


def load(name: str) -> Target:
    """The target of that name."""
    found: Target = importlib.import_module(f"hack.fuzz.{name}").TARGET
    return found


def has_atheris() -> bool:
    """Whether atheris is installed; it is no requirement, since not every machine has a build of it."""
    return importlib.util.find_spec("atheris") is not None


def search(name: str, *, seconds: float, first_seed: int | None = None) -> int:
    """Hypothesis, round after round until the time is over; slow inputs draw it on. How many were tried.

    Raises what the first bad input raised, after it was made small; Hypothesis prints that input.
    """
    found, until, tried = load(name), time.monotonic() + seconds, 0
    chosen = random.randrange(2**32) if first_seed is None else first_seed

    def check(value: Any) -> None:
        nonlocal tried
        if time.monotonic() < until:
            tried += 1
            target(found.run(value) * 1000, label="milliseconds")

    while time.monotonic() < until:
        seed(chosen)(_property(found, check, examples=_ROUND))()
        chosen += 1
    return tried


def search_by_coverage(name: str, *, seconds: float) -> None:
    """atheris until the time is over; never returns. The input comes out of Hypothesis' strategy."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["kfx", "hack.fuzz"]):
        found = load(name)

    def check(value: Any) -> None:
        found.run(value, slack=_SLACK_INSTRUMENTED)

    run = _property(found, check, examples=_ROUND).hypothesis.fuzz_one_input
    atheris.Setup(
        [sys.argv[0], f"-max_total_time={max(1, round(seconds))}", "-max_len=8192", "-len_control=0"], run
    )
    atheris.Fuzz()


_SLACK_INSTRUMENTED = 20.0


def _property(found: Target, check: Callable[[Any], None], *, examples: int) -> Any:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.target, Phase.shrink],
    )
    @given(found.inputs)
    def holds(value: Any) -> None:
        check(value)

    return holds


def try_few(name: str, *, examples: int, slack: float) -> None:
    """So many inputs, always the same; for the tests."""
    found = load(name)

    def check(value: Any) -> None:
        found.run(value, slack=slack)

    seed(0)(_property(found, check, examples=examples))()
