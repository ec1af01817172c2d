"""What is asked of the service and what it answers: plain values with outside ids only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from genre.options import DEFAULT_K
from genre.serving.search.catalogue import Filter

DIGITS = 6  # of a score

ListSource = Literal["personal", "folded_in", "content", "popular"]
"""How an answer came about.

personal: the recommender, for a user as it was trained on. folded_in: the recommender, for a history it was not
trained on. content: what the items are about. popular: what everybody takes.
"""


@dataclass(frozen=True, slots=True)
class ListRequest:
    """One request for recommendations: for a known user, for a history, for words, or for any of them together.

    history: item ids, oldest first, instead of what is known of the user. words: what the person is looking for.
    k: how many. run, recommender: by name; without, the run is drawn by the user's id and the recommender is its best.
    include: only these items; exclude: none of these. filter: only items whose fields fit.
    exclude_seen: leave out what is in the history. novelty, diversity: 0..1, see rescoring.py.
    fields: names of item fields wanted with the answer.
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


@dataclass(slots=True)
class RankedList:
    """`items`, best first: item_id, title, score, reason, and fields where they were asked for.

    source: see `Source`. fallback: why an answer comes from further down than it should (`model_late`), or None.
    """

    items: list[dict[str, Any]]
    source: ListSource
    run: str
    recommender: str
    fallback: str | None = None


@dataclass(slots=True)
class ScorePart:
    """A term of a score that is neither an interaction nor popularity, and where it comes from.

    name: a column of the users' table whose text speaks for the item, such as `profile`, or `reordering`: a language
    model moved the item up or down. text: what the column says of the user. written_by: the language model; None: no
    model wrote it.
    """

    name: str
    share: float
    text: str | None = None
    written_by: str | None = None


@dataclass(slots=True)
class Evidence:
    """Evidence one item: the recommender's own evidence. `because` and its shares are of the history, largest first.

    popular: the part of the score that is the item's popularity, whatever the history. words: those of the item's text
    that the history or the query has. query_parts: of a list by words, what the words (`words`), the recommender
    (`taste`) and popularity (`popular`, where nothing else says what to look for) add to the item's score there.

    parts: what else is in the score.

    method: exact (`popular` and all shares add up to the score, but for what all items get), occlusion (a share is the
    fall of the score without that interaction), popularity, or unknown for an item that is not in the catalogue.
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
