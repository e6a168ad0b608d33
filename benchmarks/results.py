"""What was measured, and whether it is within its limit."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Seconds of two commands that ran in turn; their medians are compared. Without a limit it is only told."""

    title: str
    ours: list[float]
    theirs: list[float]
    limit: float | None

    @property
    def value(self) -> float:
        """Ours over theirs."""
        return statistics.median(self.ours) / statistics.median(self.theirs)

    @property
    def within(self) -> bool:
        """Whether it is no more than the limit."""
        return self.limit is None or self.value <= self.limit

    def line(self) -> str:
        """The result for people."""
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        runs = f"medians of {len(self.ours)} and {len(self.theirs)} runs"
        told = f"{ours:.3f} s over {theirs:.3f} s = {self.value:.2f}"
        return f"{self.title}\n    {told}, {verdict(self.limit, within=self.within)} ({runs})"


@dataclass(frozen=True)
class Bound:
    """Values of which the median must stay below a limit."""

    title: str
    values: list[float]
    limit: float
    unit: str

    @property
    def within(self) -> bool:
        """Whether it does."""
        return statistics.median(self.values) <= self.limit

    def line(self) -> str:
        """The result for people."""
        shown = (
            f"{statistics.median(self.values):.3g} {self.unit} (from {min(self.values):.3g} to {max(self.values):.3g}"
        )
        told = f"{shown}, {len(self.values)} runs)" if len(self.values) > 1 else f"{self.values[0]:.3g} {self.unit}"
        return f"{self.title}\n    {told}, {verdict(f'{self.limit:g} {self.unit}', within=self.within)}"


@dataclass(frozen=True)
class Told:
    """Something that was seen; ``within`` says whether it is as it must be."""

    title: str
    text: str
    within: bool = True

    def line(self) -> str:
        """The result for people."""
        return f"{self.title}\n    {self.text}{'' if self.within else ': OVER'}"


Result = Ratio | Bound | Told


def verdict(limit: object, *, within: bool) -> str:
    """How a value stands to its limit."""
    return "only told" if limit is None else f"{'within' if within else 'OVER'} the limit of {limit}"
