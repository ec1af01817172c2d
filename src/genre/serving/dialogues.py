"""The dialogues that are going on, and one turn of a dialogue: from a sentence to a request for a list.

Conditions and questions are in search/dialogue.py. Knows no recommender and no event log.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cachetools import TTLCache

from genre.data.item_fields import Mask
from genre.errors import UnknownId
from genre.serving.loaded_run import LoadedRun, SingleHistory
from genre.serving.requests import ListRequest
from genre.serving.search.dialogue import Dialogue, GivenUp, Question

MOST_DIALOGUES = 1_000  # the one that was used least recently is forgotten first
WISHES = 500  # characters of the wishes that are searched for; the latest count
SECONDS = 3_600.0  # after which a dialogue without a turn is forgotten


@dataclass(slots=True)
class DialogueTurn:
    """The answer to one turn of a dialogue.

    Attributes:
        dialogue_id: The dialogue, for the next turn.
        understood: All conditions so far, in words.
        candidates: How many items fulfil them.
        question: What to ask the user next, or None where no question is worth it.
        nothing_fits: Whether no item fulfils all conditions.
        give_up: Conditions without which something would fit.
        items: The best items for now, as in a list.
        run: Name of the run.
    """

    dialogue_id: str
    understood: list[str]
    candidates: int
    question: Question | None
    nothing_fits: bool
    give_up: list[GivenUp]
    run: str
    items: list[dict[str, Any]] = field(default_factory=list)


class Dialogues:
    """Dialogues by ids that cannot be guessed, kept in this process for an hour."""

    def __init__(self) -> None:
        self._kept: TTLCache[str, tuple[threading.Lock, Dialogue]] = TTLCache(MOST_DIALOGUES, SECONDS)
        self._lock = threading.Lock()

    @contextmanager
    def opened(self, dialogue_id: str | None) -> Iterator[tuple[str, Dialogue]]:
        """Open a dialogue for one turn; another turn of the same dialogue waits.

        Args:
            dialogue_id: Its id; None: a new dialogue.

        Yields:
            The id and the dialogue.

        Raises:
            UnknownId: If there is no such dialogue, or it was forgotten.
        """
        with self._lock:
            found = (threading.Lock(), Dialogue()) if dialogue_id is None else self._kept.get(dialogue_id)
            if found is None:
                raise UnknownId("no such dialogue, or its last turn is an hour ago; begin anew without dialogue_id")
            dialogue_id = dialogue_id or secrets.token_urlsafe(12)
            self._kept[dialogue_id] = found  # its hour begins again
        with found[0]:
            yield dialogue_id, found[1]


def take_turn(
    dialogue: Dialogue, text: str, loaded: LoadedRun, history: SingleHistory, now: int
) -> tuple[DialogueTurn, tuple[str, ...]]:
    """Take in a sentence, and say what is left and what to ask.

    Args:
        dialogue: The dialogue; changed.
        text: What the user says.
        loaded: The run.
        history: The user's history; its items are not recommended.
        now: The time, in seconds since 1970.

    Returns:
        The turn, without id and items; and the ids of items that must not be recommended.
    """
    catalogue = loaded.catalogue
    dialogue.hear(text, loaded.sentences, catalogue.item_ids)
    seen = (catalogue.item_ids[row] for row in history.item.tolist())
    excluded = tuple(dict.fromkeys([*dialogue.excluded, *dialogue.liked, *seen]))
    others = _allowed(loaded, excluded, now)
    chosen = dialogue.filter()
    candidates = others & catalogue.item_fields.fulfilling(chosen) if chosen else others
    left = int(candidates.sum())
    question = dialogue.ask(loaded.sentences, candidates)
    give_up = [] if left else dialogue.given_up(loaded.sentences, others)
    return DialogueTurn("", dialogue.understood(), left, question, left == 0, give_up, loaded.name), excluded


def request_of(
    dialogue: Dialogue,
    loaded: LoadedRun,
    excluded: Sequence[str],
    *,
    user_id: str | None,
    k: int,
    fields: Sequence[str],
) -> ListRequest:
    """Return the request for the best items of a dialogue so far.

    Args:
        dialogue: The dialogue.
        loaded: The run.
        excluded: Ids of items that must not be recommended.
        user_id: The user, or None.
        k: Length of the list.
        fields: Names of item fields to answer with.

    Returns:
        The request: by the items that the user named as examples, else by the user's history; and by words that are no
        condition, where the run takes queries in words.
    """
    return ListRequest(
        user_id=user_id,
        history=tuple(dialogue.liked) or None,
        words=dialogue.wishes[-WISHES:] if loaded.takes_words and dialogue.wishes else None,
        k=k,
        run=loaded.name,
        exclude=tuple(excluded),
        filter=dialogue.filter(),
        fields=tuple(fields),
    )


def _allowed(loaded: LoadedRun, excluded: Sequence[str], now: int) -> Mask:
    allowed = loaded.allowed(now)
    mask = np.ones(loaded.n_items, bool) if allowed is None else allowed.copy()
    mask[loaded.catalogue.rows(excluded)] = False
    return mask
