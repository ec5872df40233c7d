"""Figures of contenders over rounds, and the median that is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

Figures = Mapping[str, float | None]
"""By heading; None where it was not measured or not reached in time."""


@dataclass(slots=True)
class Section:
    """One benchmark. ``rounds`` by contender; the first is what the others are compared with."""

    title: str
    note: str
    rounds: dict[str, list[Figures]] = field(default_factory=dict)

    def add(self, name: str, figures: Figures) -> None:
        """One more round of a contender."""
        self.rounds.setdefault(name, []).append(figures)

    def order(self, first: str) -> None:
        """Show ``first`` before the others."""
        self.rounds = {first: self.rounds[first], **self.rounds}

    @property
    def headings(self) -> list[str]:
        """Every heading, in the order in which they were first met."""
        return list(dict.fromkeys(name for all_of in self.rounds.values() for one in all_of for name in one))

    def medians(self) -> dict[str, dict[str, float | None]]:
        """By contender and heading."""
        return {
            name: {heading: middle([one.get(heading) for one in found]) for heading in self.headings}
            for name, found in self.rounds.items()
        }

    def cells(self) -> list[list[str]]:
        """Rows of text: median, range of the rounds, the median as a multiple of the first contender's."""
        medians = self.medians()
        base = next(iter(medians.values()))
        rows = []
        for name, figures in medians.items():
            row = [name]
            for heading, value in figures.items():
                known = [found for one in self.rounds[name] if (found := one.get(heading)) is not None]
                row.append(cell(value, known, base[heading] if figures is not base else None))
            rows.append(row)
        return rows


def middle(values: Sequence[float | None]) -> float | None:
    """The median of what was measured."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def cell(value: float | None, rounds: Sequence[float], base: float | None) -> str:
    """A figure, its range and its ratio to ``base``, if there is one."""
    if value is None:
        return "–"
    text = shown(value)
    if len(rounds) > 1:
        text += f" {shown(min(rounds))}–{shown(max(rounds))}"
    return f"{text} ({value / base:.2f}×)" if base else text


def shown(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of sorted values."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
