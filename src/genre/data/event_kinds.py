"""The one table of kinds of events: what each weighs for learning, and which are outcomes of a list.

Files with a column of kinds and the events of a service are weighed by it. Knows no file and no event log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from genre.errors import DataError, OptionError
from genre.options import Doc, check_options, nearest

SHOW, CLICK, RATE = "show", "click", "rate"
BUILT_IN: dict[str, float] = {
    SHOW: 0.0,
    "view": 1.0,
    CLICK: 1.0,
    "cart": 1.0,
    "buy": 1.0,
    "play": 1.0,
    "like": 1.0,
    "skip": 0.0,
    "dislike": -1.0,
    RATE: 1.0,
}
"""Weights where a config gives no other. Of `rate` it is that of a rating that is a like; a lower one weighs 0."""


@dataclass(frozen=True)
class EventKinds:
    """The kinds of events, and what they mean. A `show` that a service records is no interaction, never learnt."""

    weights: Annotated[
        dict[str, float],
        Doc(
            "Weight for learning by kind, such as `{view: 1, buy: 10}`, over the built-in table; other kinds are added "
            "to it. 0: seen, but not liked. Below 0: also takes so much back of the user's earlier interactions with "
            "the item."
        ),
    ] = field(default_factory=dict)
    outcomes: Annotated[
        tuple[str, ...], Doc("Kinds that lists are made for; an item that led to one of them is a conversion.")
    ] = ("buy", "play")

    def __post_init__(self) -> None:
        check_options(self)
        if SHOW in self.weights:
            raise OptionError(f"weights: {SHOW!r} is no interaction and weighs 0; leave it out")
        for kind in self.outcomes:
            if kind not in self.table:
                raise OptionError(f"outcomes: {self._unknown(kind)}")

    @property
    def table(self) -> dict[str, float]:
        """The weight of every kind."""
        return {**BUILT_IN, **self.weights}

    def weight(self, kind: str) -> float:
        """Return the weight of a kind.

        Args:
            kind: A kind.

        Returns:
            Its weight for learning.

        Raises:
            DataError: If there is no such kind.
        """
        found = self.weights.get(kind, BUILT_IN.get(kind))
        if found is None:
            raise DataError(self._unknown(kind))
        return found

    def _unknown(self, kind: str) -> str:
        return (
            f"no kind of event {kind!r}{nearest(kind, self.table)}; there are {', '.join(self.table)}; others by "
            "events: {weights: {name: number}} in the config"
        )
