"""Why an item was recommended: the evidence as values, and one plain sentence made of it.

Every title, number and word in the sentence is in the evidence. Knows nothing about recommenders or language models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from genre.arrays import Float32
from genre.recommenders.phrasebook import ENGLISH, Phrasebook

REORDERING = "reordering"
"""The part of a score that comes from a language model; its words are in a phrasebook."""
Method = Literal["exact", "occlusion", "popularity"]
"""How evidence is obtained: terms of the score, falls of the score without an interaction, or popularity alone."""


class Terms(NamedTuple):
    """The terms that the scores of `m` items are sums of, for one history, without what all items get alike.

        score[i] = history[i].sum() + popular[i] + sum(part[i] for part in parts.values()) + constant

    Attributes:
        history: The term of each interaction, float32 `[m, length]`.
        popular: The term that is the same for every history, `[m]`.
        parts: What language models added, `[m]` each, by the column of the users' table that says it (`profile`).
    """

    history: Float32
    popular: Float32
    parts: dict[str, Float32]

    def times(self, share: float | Float32) -> Terms:
        """Return the terms of scores that are multiplied by `share`.

        Args:
            share: The factor, one for all items or one an item `[m]`.

        Returns:
            Every term multiplied by it.
        """
        factor = np.asarray(share, np.float32)
        history = np.asarray(self.history * factor[..., None], np.float32)
        popular = np.asarray(self.popular * factor, np.float32)
        return Terms(
            history, popular, {name: np.asarray(part * share, np.float32) for name, part in self.parts.items()}
        )


@dataclass(frozen=True)
class Explanation:
    """Evidence for one item given one history.

    Attributes:
        item: Row number.
        score: The score that the recommender gave the item.
        method: How the evidence was obtained. `exact`: `history`, `popular` and `parts` are the terms that the score is
            a sum of, without what all items get alike, such as the mean rating. `occlusion`: each contribution is how
            far the score falls when the interaction is left out. `popularity`: the score is the item's popularity.
        history: `(item row, contribution to the score)`, largest first.
        words: Words that the item's text shares with the texts of the history.
        popular: The part of the score that is the same for every history.
        parts: Other parts of the score: by column of the users' table, what a text about the user adds (`profile`,
            `synthetic_item`, ...); `reordering`, how far a language model moved the item up or down.
        disliked: Items of the history that were seen and not liked: evidence, but never named as a reason.
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
        """The liked items of the history that raise the score, strongest first, each once."""
        raising = (item for item, share in self.history if share > 0 and item not in self.disliked)
        return list(dict.fromkeys(raising))

    @property
    def lead(self) -> str:
        """The strongest evidence: the history (empty), `popular` or the name of one of `parts`."""
        raised = sum(share for _, share in self.history if share > 0)
        if self.method == "popularity" and raised == 0:
            return "popular"
        return max({"": raised, "popular": self.popular, **self.parts}.items(), key=lambda one: one[1])[0]


def sentence(explanation: Explanation, titles: Sequence[str], *, most: int = 2, language: Phrasebook = ENGLISH) -> str:
    """Return one line for a person: `because of Fargo (1996) and Heat (1995); shares: crime, drama`.

    Args:
        explanation: The evidence.
        titles: The title of each item row.
        most: How many items of the history are named at most.
        language: The words of the sentence.

    Returns:
        The sentence, without a full stop.
    """
    causes = [titles[item] for item in explanation.causes[:most]]
    return phrase(causes, explanation.words, lead=explanation.lead, language=language)


def phrase(causes: Sequence[str], words: Sequence[str] = (), *, lead: str = "", language: Phrasebook = ENGLISH) -> str:
    """Return the sentence for these titles and words.

    Args:
        causes: Titles of items of the history.
        words: Shared words; the first four are named.
        lead: What comes before them, a key of `Phrasebook.leads`; empty for nothing.
        language: The words of the sentence.

    Returns:
        The sentence, without a full stop.
    """
    if not (causes or words) and lead in ("", "popular"):
        return language.popular if lead else language.no_evidence
    parts = [language.leads.get(lead, lead)] if lead else []
    if causes:
        parts.append(language.titles(language.also if lead else language.because, causes))
    if words:
        parts.append(language.words(language.shares, words[:4]))
    return language.semicolon.join(parts)
