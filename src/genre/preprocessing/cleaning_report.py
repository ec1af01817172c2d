"""What became of every row on the way from the tables to the Dataset. Does not know how rows are chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """What one step of cleaning dropped, why, and a few of the dropped rows.

    Attributes:
        name: of the step.
        reason: why rows were dropped, with a count for each cause.
        before: rows that the step was given.
        after: rows that it kept.
        examples: dropped rows under outside ids; `row` is the place in the source, from 1.
    """

    name: str
    reason: str
    before: int
    after: int
    examples: tuple[dict[str, Any], ...] = ()

    @property
    def dropped(self) -> int:
        """Rows that the step dropped."""
        return self.before - self.after

    def __str__(self) -> str:
        rows = ", ".join(_shown(example) for example in self.examples)
        shown = f" (for example {rows})" if rows else ""
        return f"{self.name}: {self.dropped:,} of {self.before:,} rows dropped, {self.reason}{shown}"


@dataclass(eq=False)
class CleaningReport:
    """What each column was read as, and what became of every row.

    Attributes:
        before: rows read.
        after: rows kept.
        facts: one line each: how columns were read, which scale was found, which ids have no interactions.
        steps: each step that dropped rows, in order.
        guesses: the facts that another reading would fit as well; a setting of the data section decides.
    """

    before: int = 0
    after: int = 0
    facts: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Say everything for people.

        Yields:
            One line a fact and a step, then how many interactions are kept.
        """
        yield from self.facts
        yield from map(str, self.steps)
        yield f"{self.after:,} of {self.before:,} interactions kept"

    def warnings(self) -> list[str]:
        """Say what a user of `genre.load` has to know: rows that were lost, and readings that are guesses.

        Returns:
            One line each; empty where every row was read as written.
        """
        return [*self.guesses, *(str(step) for step in self.steps)]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def as_dict(self) -> dict[str, Any]:
        """Turn the report into plain values for JSON.

        Returns:
            The attributes by name; each step also has `dropped`.
        """
        return {
            **dataclasses.asdict(self),
            "steps": [{**dataclasses.asdict(step), "dropped": step.dropped} for step in self.steps],
        }


def _shown(example: dict[str, Any]) -> str:
    place = f"row {example['row']:,}" if "row" in example else "a row"
    place = f"{example['file']}: {place}" if "file" in example else place
    return f"{place}, {example['trouble']}" if example.get("trouble") else place
