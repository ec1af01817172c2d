"""Why an item was recommended: evidence taken from the model, and one plain sentence made of it.

Every title, number and word in the sentence is in the evidence. Knows nothing about language models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

POPULAR = "popular with everybody"
Method = Literal["exact", "occlusion", "popularity"]


@dataclass(frozen=True)
class Explanation:
    """Evidence for one item given one history.

    item: row number. score: what the recommender gave it.
    history: (item row, contribution to the score), largest first. Exact: the contributions are the terms the
    score is a sum of. Occlusion: how far the score falls without that interaction.
    popular: the part of the score that is the item's popularity, the same whatever the history.
    words: words the item's text shares with the history's.
    """

    item: int
    score: float
    method: Method
    history: tuple[tuple[int, float], ...] = ()
    words: tuple[str, ...] = ()
    popular: float = 0.0

    @property
    def mostly_popular(self) -> bool:
        """Whether popularity says more for the item than the history does."""
        return self.popular > sum(share for _, share in self.history if share > 0)


def sentence(explanation: Explanation, titles: Sequence[str], *, most: int = 2) -> str:
    """One line for a person: `because of Fargo (1996) and Heat (1995); shares: crime, drama`."""
    causes = [titles[item] for item, share in explanation.history if share > 0][:most]
    return phrase(causes, explanation.words, popular=explanation.mostly_popular)


def phrase(causes: Sequence[str], words: Sequence[str] = (), *, popular: bool = False) -> str:
    """The sentence for these titles and words. popular: say first that the item is."""
    if not (causes or words):
        return POPULAR
    parts = ["popular"] if popular else []
    if causes:
        parts.append(f"{'also ' if popular else ''}because of {' and '.join(causes)}")
    if words:
        parts.append(f"shares: {', '.join(words[:4])}")
    return "; ".join(parts)
