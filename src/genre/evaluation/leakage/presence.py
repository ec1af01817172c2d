"""Leaks by what is missing: a field that only items of the test part have, or that only they lack; of users likewise.

Popular items are in every part and often have more fields, so items are compared with others that were taken about
equally often before, and a field that tells the validation part as well is no leak. Does not know values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genre.arrays import Float64, Int64
from genre.data.folds import Fold, Split
from genre.evaluation.leakage.findings import Finding
from genre.evaluation.leakage.readings import has_value

FEWEST = 10  # rows with the field, and without it
PURE = 0.99  # share of them in the test part
LIKELY, CERTAIN = 4.0, 6.0  # more of them than by chance, in standard deviations

Mask = npt.NDArray[np.bool_]


class _Share(NamedTuple):
    """How many marked rows are in a part, and how many would be by chance."""

    found: int
    expected: float
    deviation: float
    n: int

    @property
    def excess(self) -> float:
        """How many more of them are in the part than by chance, in standard deviations."""
        return (self.found - self.expected) / self.deviation if self.deviation else 0.0


class _Part(NamedTuple):
    """Which rows are in a part, and about how many interactions each had before. `[n]` each."""

    there: Mask
    level: Int64

    @classmethod
    def of(cls, fold: Fold, side: str) -> _Part:
        """Count the interactions of items or users."""
        n = getattr(fold.target, f"n_{side}s")
        before, inside = (np.bincount(getattr(data, side), minlength=n) for data in (fold.context, fold.target))
        return cls(inside > 0, popularity_levels(before.astype(np.float64)).argmax(axis=1))

    def share(self, marked: Mask) -> _Share:
        """Count marked rows in the part, beside what is expected of rows with about as many earlier interactions."""
        n_levels = self.level.max() + 1
        size, inside, chosen = (np.bincount(self.level[rows], minlength=n_levels) for rows in (..., self.there, marked))
        share = inside / np.maximum(size, 1)
        variance = chosen * share * (1 - share) * (size - chosen) / np.maximum(size - 1, 1)  # hypergeometric
        found = int((self.there & marked).sum())
        return _Share(found, float((chosen * share).sum()), float(np.sqrt(variance.sum())), int(marked.sum()))


def check_presence(split: Split) -> Iterator[Finding]:
    """Find fields that tell by being there, or by being missing, what is in the test part.

    Args:
        split: The split.

    Yields:
        Findings.
    """
    for side in ("item", "user"):
        table = getattr(split.train, f"{side}s")
        parts = [_Part.of(fold, side) for fold in (split.test, split.validation)]
        for name in table.column_names:
            has = has_value(table[name])
            for what, marked in (("have", has), ("lack", ~has)):
                if name == f"{side}_id" or min(marked.sum(), (~marked).sum()) < FEWEST:
                    continue
                test, usual = (part.share(marked) for part in parts)
                if test.excess >= max(LIKELY, 2 * usual.excess) and test.found >= PURE * test.n:
                    yield Finding(
                        f"{side}-field-only-in-test",
                        "error" if test.excess >= CERTAIN else "warning",
                        f"of {test.n:,} {side}s that {what} a value of {name!r}, {test.found:,} are in the test part, "
                        f"{test.expected:,.0f} of {side}s with as many earlier interactions; in the validation part "
                        f"{usual.found:,}, {usual.expected:,.0f} by chance",
                        f"{side} {getattr(split.train, f'{side}_ids')[int(np.argmax(marked))]}",
                        "fill the field for all from what was known before the test, or leave it out",
                    )


def popularity_levels(counts: Float64) -> Float64:
    """Mark rows of about equal counts.

    Args:
        counts: One for each row.

    Returns:
        A column of zeros and ones for each of 0, 1, 2-3, 4-7, ... that occurs. [n, levels]
    """
    step = np.floor(np.log2(counts + 1))
    return np.asarray(step[:, None] == np.unique(step), np.float64)
