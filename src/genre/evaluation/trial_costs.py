"""What the next trial of a search, and its end, will cost: predicted from the trials before, so that a budget is kept.

Knows recommenders by name and by what they have taken; does not know what is searched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from genre.recommenders.base import Recommender

Expected = Callable[[Recommender], float | None]
"""Recommender -> CPU seconds that fitting it takes by runs measured elsewhere; None where none was measured."""
CHEAPEST = 0.25  # a trial with other options is not taken for cheaper than this share of the one before


def unknown(model: Recommender) -> float | None:
    """Expect nothing of any recommender.

    Args:
        model: The recommender.

    Returns:
        None.
    """
    return None


@dataclass
class TrialCosts:
    """CPU seconds of the trials so far.

    Attributes:
        expected: What fits take by runs measured elsewhere.
        fitting: Name -> its last fitted recommender, and what that took.
        scoring: Name -> CPU seconds to score and rank the catalogue for one user.
    """

    expected: Expected = unknown
    fitting: dict[str, tuple[Recommender, float]] = field(default_factory=dict)
    scoring: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, model: Recommender, *, fit: float | None, ranked: float, users: int) -> None:
        """Note what a trial took.

        Args:
            name: The recommender.
            model: The recommender with its options.
            fit: CPU seconds of fitting; None where it was fitted before.
            ranked: CPU seconds of its evaluation.
            users: Users that it was evaluated on.
        """
        if fit is not None:
            self.fitting[name] = model, fit
        self.scoring[name] = min(ranked / max(users, 1), self.scoring.get(name, math.inf))  # the first compiles kernels

    def fit(self, name: str, model: Recommender) -> float:
        """Predict what fitting takes: as the last time, and what other options are expected to add to it.

        Args:
            name: The recommender.
            model: The recommender with its options.

        Returns:
            CPU seconds; 0 for one that is new and was measured nowhere.
        """
        wanted = self.expected(model)
        if name not in self.fitting:
            return 0.0 if wanted is None else wanted * self._speed()
        before, seconds = self.fitting[name]
        known = self.expected(before)
        more = 0.0 if wanted is None or known is None else (wanted - known) * self._speed()
        return max(seconds + more, CHEAPEST * seconds)

    def trial(self, name: str, model: Recommender, users: int, *, fitted: bool) -> float:
        """Predict what a trial takes.

        Args:
            name: The recommender.
            model: The recommender with its options.
            users: Users that it is evaluated on.
            fitted: Whether it is fitted already.

        Returns:
            CPU seconds.
        """
        slowest = max(self.scoring.values(), default=0.0)
        return (0.0 if fitted else self.fit(name, model)) + users * self.scoring.get(name, slowest)

    def score(self, names: Iterable[str]) -> float:
        """Predict what a blend takes to score and rank the catalogue for one user.

        Args:
            names: Its members.

        Returns:
            CPU seconds.
        """
        return sum(self.scoring.get(name, 0.0) for name in names)

    def _speed(self) -> float:
        """Return how much longer fits take here than where they were measured, at least 1: short fits say little."""
        pairs = [(seconds, self.expected(model)) for model, seconds in self.fitting.values()]
        known = [(seconds, wanted) for seconds, wanted in pairs if wanted]
        return max(sum(seconds for seconds, _ in known) / sum(wanted for _, wanted in known), 1.0) if known else 1.0
