"""Progress on the terminal: one line for each step, with its seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class Steps:
    """Says what is under way and what is done. Steps may overlap."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._running: list[str] = []
        self._status: Status | None = None

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A line once the block is over: done or not, and after how long."""
        began = time.monotonic()
        self._running.append(title)
        self._show()
        mark = "[red]✗[/]"
        try:
            yield
            mark = "[green]✓[/]"
        finally:
            self._running.remove(title)
            self._show()
            self.console.print(f"{mark} {escape(title)} [dim]{time.monotonic() - began:.1f} s[/]")

    def say(self, text: str) -> None:
        """A remark between the steps; long text is not wrapped, so that it can be copied."""
        self.console.print(f"  [dim]{escape(text)}[/]", soft_wrap=True)

    def _show(self) -> None:
        """A spinner with the names of what is under way, on a terminal only."""
        if self._status:
            self._status.stop()
            self._status = None
        if self._running and self.console.is_terminal:
            self._status = self.console.status(escape(", ".join(self._running)))
            self._status.start()
