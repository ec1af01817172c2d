"""Why an item was recommended: evidence taken from the model, and one plain sentence made of it.

Every title, number and word in the sentence is in the evidence. Knows nothing about language models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from genre.arrays import Float32

POPULAR = "popular with everybody"
UNTOLD = "nothing in the history speaks for it"
REORDERING = "reordering"
LEADS = {
    "popular": "popular",
    "profile": "fits the profile",
    "synthetic_item": "like an invented next item",
    "synthetic_chained_item": "like an invented next item",
    REORDERING: "put higher by a language model",
}
"""What says more for an item than the history does, in words."""
Method = Literal["exact", "occlusion", "popularity"]


class Terms(NamedTuple):
    """What the scores of `m` items are sums of, for one history; but for what all items get, such as the mean rating.

    history: by interaction, float32 `[m, length]`. popular: what an item gets whatever the history, `[m]`. parts: what
    a language model added, by the column of the users' table that says it, such as `profile`, `[m]` each.
    """

    history: Float32
    popular: Float32
    parts: dict[str, Float32]

    def times(self, share: float | Float32) -> Terms:
        """The terms of scores that count `share` each."""
        history, popular = np.asarray(self.history * share, np.float32), np.asarray(self.popular * share, np.float32)
        return Terms(
            history, popular, {name: np.asarray(part * share, np.float32) for name, part in self.parts.items()}
        )


@dataclass(frozen=True)
class Explanation:
    """Evidence for one item given one history.

    item: row number. score: what the recommender gave it.
    history: (item row, contribution to the score), largest first. Exact: they, `popular` and `parts` are the terms that
    the score is a sum of, but for what all items get, such as the mean rating. Occlusion: how far the score falls
    without that interaction.
    words: words the item's text shares with the history's.
    popular: the part of the score that is the item's popularity, the same whatever the history.
    disliked: items of the history that were seen and not liked: evidence, and no reason to name.
    parts: what else is in the score: by column of the users' table, what a text about the user adds (`profile`,
    `synthetic_item`, ...); `reordering`, how far a language model moved the item up or down.
    """

    item: int
    score: float
    method: Method
    history: tuple[tuple[int, float], ...] = ()
    words: tuple[str, ...] = ()
    popular: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    disliked: frozenset[int] = frozenset()

    @property
    def causes(self) -> list[int]:
        """The liked items of the history that speak for it, strongest first."""
        return [item for item, share in self.history if share > 0 and item not in self.disliked]

    @property
    def lead(self) -> str:
        """What says most for the item: the history (empty), `popular` or one of `parts`."""
        told = sum(share for _, share in self.history if share > 0)
        if self.method == "popularity" and told == 0:
            return "popular"
        return max({"": told, "popular": self.popular, **self.parts}.items(), key=lambda one: one[1])[0]


def sentence(explanation: Explanation, titles: Sequence[str], *, most: int = 2) -> str:
    """One line for a person: `because of Fargo (1996) and Heat (1995); shares: crime, drama`."""
    causes = [titles[item] for item in explanation.causes[:most]]
    return phrase(causes, explanation.words, lead=explanation.lead)


def phrase(causes: Sequence[str], words: Sequence[str] = (), *, lead: str = "") -> str:
    """The sentence for these titles and words. lead: what is said before them, one of `LEADS`."""
    if not (causes or words) and lead in ("", "popular"):
        return POPULAR if lead else UNTOLD
    parts = [LEADS.get(lead, lead)] if lead else []
    if causes:
        parts.append(f"{'also ' if lead else ''}because of {' and '.join(causes)}")
    if words:
        parts.append(f"shares: {', '.join(words[:4])}")
    return "; ".join(parts)
