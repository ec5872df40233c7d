"""Text for terminals and pipes alike: columns, sections, and no control character from a cluster."""

from collections.abc import Iterable, Sequence
from textwrap import wrap

GAP = "   "
WIDTH = 100


def printable(text: str) -> str:
    """One line without what could steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def align(rows: Sequence[Sequence[str]], *, widths: Sequence[int] = ()) -> list[str]:
    """The rows as lines, each column as wide as its widest cell and not narrower than ``widths``."""
    measured = measure(rows, widths=widths)
    return [
        GAP.join(cell.ljust(width) for cell, width in zip(row, measured, strict=True)).rstrip()
        for row in [[printable(cell) for cell in row] for row in rows]
    ]


def measure(rows: Sequence[Sequence[str]], *, widths: Sequence[int] = ()) -> list[int]:
    """How wide each column is."""
    cells = [[len(printable(cell)) for cell in row] for row in rows]
    found = [max(column) for column in zip(*cells, strict=True)]
    return [max(pair) for pair in zip(found, widths or [0] * len(found), strict=True)]


def indent(lines: Iterable[str], by: str = "  ") -> list[str]:
    """The lines, moved to the right."""
    return [f"{by}{line}" if line else line for line in lines]


def paragraph(text: str, *, first: str = "", rest: str | None = None, width: int = WIDTH) -> list[str]:
    """A sentence as lines of at most ``width``; words, such as commands' arguments, are never broken."""
    behind = " " * len(first) if rest is None else rest
    return wrap(
        printable(text),
        width,
        initial_indent=first,
        subsequent_indent=behind,
        break_long_words=False,
        break_on_hyphens=False,
    )


def shorten(text: str) -> str:
    """A number with four digits that count; any other text as it is."""
    try:
        return text if text.lstrip("-").isdigit() else f"{float(text):.4g}"
    except ValueError:
        return text
