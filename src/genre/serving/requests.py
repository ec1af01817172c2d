"""Requests to the service and its answers: plain values with ids of the caller's data. Knows no HTTP."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from genre.data.item_fields import Filter
from genre.options import DEFAULT_K
from genre.recommenders.phrasebook import Language
from genre.rules.base import Rule

DIGITS = 6  # to which scores are rounded
ID_BYTES = 12  # of a new id: no two lists of a billion have the same

ListSource = Literal["personal", "folded_in", "content", "popular", "together"]
"""How a list was made.

personal: by the recommender, for a user with the history it was trained on. folded_in: by the recommender, for
another history. content: by the features of the items. popular: popular items. together: by the users of an item.
"""


@dataclass(frozen=True, slots=True)
class ListRequest:
    """One request for recommendations: for a user, for a history, for a query in words, or for several of them.

    Attributes:
        user_id: The user, or None.
        history: Item ids, oldest first, in place of the user's own history.
        words: What the user is looking for, in words.
        k: Length of the list.
        run: Name of a run; None: the run that the user's id is assigned to.
        recommender: Name of a recommender of the run; None: its best.
        include: Ids of the only items that may be recommended; None: all.
        exclude: Ids of items that must not be recommended.
        filter: Conditions on fields that recommended items fulfil.
        exclude_seen: Leave out the items of the history.
        novelty: Weight of rarity beside the score, 0 to 1.
        diversity: Weight of unlikeness among the items of the list, 0 to 1.
        fields: Names of item fields to answer with.
        rules: What the list must keep, beside the rules of the run.
        record: Whether the list is sent to a user and counts as shown.
        language: Language of the reasons, and of rules that could not be kept.
        context: Circumstances of the request, such as `(("device", "phone"),)`; the time is the service's own.
        recommendation_id: The caller's own id of the list, so that a request that is sent again counts once; None: a
            new one.
    """

    user_id: str | None = None
    history: tuple[str, ...] | None = None
    words: str | None = None
    k: int = DEFAULT_K
    run: str | None = None
    recommender: str | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    filter: Filter = frozenset()
    exclude_seen: bool = True
    novelty: float = 0.0
    diversity: float = 0.0
    fields: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    record: bool = True
    language: Language = "en"
    context: tuple[tuple[str, str], ...] = ()
    recommendation_id: str | None = None


@dataclass(slots=True)
class RankedList:
    """A list of recommended items.

    Attributes:
        items: Best first: `item_id`, `title`, `picture` where there is one, `score`, `reason`, and `fields` where the
            request names some.
        source: How the list was made.
        run: Name of the run.
        recommender: Name of the recommender that was requested, also where a fallback made the list.
        fallback: Why a fallback made the list, such as `model_late`; None where none was needed.
        unkept: Rules that could not be kept, and why.
        recommendation_id: The id of the list, which events name that it led to.
        propensities: Probability with which each item was put at its place, given those before it; empty where nothing
            was drawn at random.
    """

    items: list[dict[str, Any]]
    source: ListSource
    run: str
    recommender: str
    fallback: str | None = None
    unkept: list[str] = field(default_factory=list)
    recommendation_id: str = field(default_factory=partial(secrets.token_urlsafe, ID_BYTES), compare=False)
    propensities: tuple[float, ...] = ()


@dataclass(slots=True)
class ScorePart:
    """A term of a score that is neither an interaction nor popularity.

    Attributes:
        name: A column of the users' table whose text speaks for the item, such as `profile`; or `reordering`, where a
            language model moved the item up or down.
        share: What the term adds to the score.
        text: The user's value in that column.
        written_by: The language model that wrote the text; None: a person.
    """

    name: str
    share: float
    text: str | None = None
    written_by: str | None = None


@dataclass(slots=True)
class Evidence:
    """Why one item is recommended: what its score is made of.

    Attributes:
        item_id: The item.
        title: Its title, or its id.
        score: Its score; None for an item that is not in the catalogue.
        reason: One sentence.
        method: `exact` (`popular`, `parts` and all shares add up to the score, but for a constant of all items),
            `occlusion` (a share is the fall of the score without that interaction), `popularity`, or `unknown`.
        source: How a list with this item would be made.
        run: Name of the run.
        recommender: Name of the recommender.
        because: Items of the history with their shares of the score, largest first.
        popular: The part of the score that is the item's popularity, whatever the history.
        parts: What else is in the score.
        query_parts: For a request in words, what the words (`words`), the recommender (`taste`) and popularity
            (`popular`, where the words do not say what to look for) add to the item's score.
        words: Words of the item's text that the history or the query has, too.
        fallback: Why the evidence comes from a fallback, or None.
    """

    item_id: str
    title: str
    score: float | None
    reason: str
    method: str
    source: ListSource
    run: str
    recommender: str
    because: list[dict[str, Any]] = field(default_factory=list)
    popular: float = 0.0
    parts: list[ScorePart] = field(default_factory=list)
    query_parts: dict[str, float] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    fallback: str | None = None
