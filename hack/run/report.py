"""How progress looks: a live table on a terminal, plain lines elsewhere, and the last word."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hack.run.progress import Progress, TrialRow, shorten

STYLES = {"Succeeded": "green", "EarlyStopped": "green", "Running": "cyan", "Pending": "dim"}
FAILED_STYLE = "red"


class Display(Protocol):
    """Something that shows the latest progress."""

    def update(self, progress: Progress) -> None: ...


@contextmanager
def display(console: Console) -> Iterator[Display]:
    """A table that is drawn anew on a terminal, else one line for each change."""
    if not console.is_terminal:
        yield PlainLines(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield LiveTable(live)


class LiveTable:
    """The whole table, again and again."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._began = time.monotonic()

    def update(self, progress: Progress) -> None:
        """Draw ``progress``."""
        self._live.update(table(progress, elapsed=time.monotonic() - self._began), refresh=True)


class PlainLines:
    """A line when a trial's state changes and when the best changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._states: dict[str, str] = {}
        self._best = ""

    def update(self, progress: Progress) -> None:
        """Print what changed since the last call."""
        for row in progress.rows:
            if self._states.get(row.name) != row.state:
                self._states[row.name] = row.state
                self._print(f"{row.name} {row.state} {_words(progress, row)}")
        if progress.best and progress.best.name != self._best:
            self._best = progress.best.name
            self._print(f"best so far: {self._best} {progress.objective}={progress.best.value}")

    def _print(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        self._console.print(f"{seconds:6.1f} s  {text.rstrip()}", markup=False, soft_wrap=True)


def table(progress: Progress, *, elapsed: float) -> RenderableType:
    """Trials with parameters, state and objective; below them the counts, the best so far, the time."""
    names = sorted({name for row in progress.rows for name in row.parameters})
    drawn = Table(title=progress.name, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("Trial", *names, "State", progress.objective):
        drawn.add_column(heading, no_wrap=True)
    best = progress.best.name if progress.best else ""
    for row in progress.rows:
        style = STYLES.get(row.state, FAILED_STYLE)
        cells = [shorten(row.parameters.get(name, "")) for name in names]
        mark = " ★" if row.name == best else ""
        drawn.add_row(escape(row.name), *cells, Text(row.state, style), f"{shorten(row.value)}{mark}")
    return Group(drawn, Text(summary(progress, elapsed=elapsed)))


def summary(progress: Progress, *, elapsed: float) -> str:
    """One line: trials by state, the best objective so far, elapsed time."""
    counts = ", ".join(f"{number} {state}" for state, number in progress.counts.items()) or "no trial yet"
    wanted = f" of {progress.wanted}" if progress.wanted else ""
    best = f" · best {progress.objective} {shorten(progress.best.value)}" if progress.best else ""
    return f"{len(progress.rows)}{wanted} trials: {counts}{best} · {elapsed:.0f} s"


def last_word(console: Console, progress: Progress, *, hints: Iterable[str]) -> None:
    """The best trial with its parameters, or why there is none, and where to look further.

    ``hints`` are not wrapped, so that they can be copied.
    """
    succeeded = progress.ending == "Succeeded"
    lines = _best_lines(progress) if succeeded else _failure_lines(progress)
    title, style = escape(f"{progress.name}: {progress.ending}"), "green" if succeeded else FAILED_STYLE
    console.print(Panel(Text("\n".join(lines)), title=title, title_align="left", border_style=style))
    for hint in hints:
        console.print(f"  {hint}", markup=False, soft_wrap=True)


def _best_lines(progress: Progress) -> list[str]:
    reason = f"{progress.reason}: {progress.message}"
    if progress.best is None:
        return [reason]
    lines = [f"best trial  {progress.best.name}", f"{progress.objective:<11} {progress.best.value}"]
    return [*lines, *(f"{name:<11} {value}" for name, value in progress.best.parameters.items()), reason]


def _failure_lines(progress: Progress) -> list[str]:
    lines = [f"{progress.reason}: {progress.message}"]
    failed = [row for row in progress.rows if row.state in {"Failed", "MetricsUnavailable"}]
    return lines + [f"{row.name} {row.state}: {row.reason}" for row in failed[:3]]


def _words(progress: Progress, row: TrialRow) -> str:
    parameters = " ".join(f"{name}={shorten(value)}" for name, value in row.parameters.items())
    value = f" {progress.objective}={row.value}" if row.value else ""
    reason = f" ({row.reason})" if row.state in {"Failed", "MetricsUnavailable"} else ""
    return f"{parameters}{value}{reason}"
