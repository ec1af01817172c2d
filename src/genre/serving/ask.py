"""Recommendations for a wish in words: `slow science fiction like Solaris, nothing violent`.

The words are embedded and matched with the items' features; what is negated counts against an item; titles that are
named stand for their items; a history, where there is one, is blended in. No language model writes anything here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from genre.errors import DataError
from genre.features.base import Encoder
from genre.llm.grounding import title_key, words
from genre.preprocessing.dataset import Dataset, Float32, History
from genre.recommenders.base import Recommendations, Recommender
from genre.recommenders.topk import top_k_scores

LONGEST = 1_000  # characters of a wish that are read
LONGEST_TITLE = 10  # words
LONGEST_CUE = 20  # characters before a title that may say it is one
HISTORY_WEIGHT = 0.4  # of a recommender's scores beside the words
NEAR = 1.0  # standard deviations: an item this near to an unwanted thing, or nearer, loses
LITERAL = 3.0  # standard deviations that an item loses when its own text has the unwanted word
_NOT = r"nothing|no|not|without|never|except|avoid|nor|neither|hate|don['’]?t (?:want|like)|do not (?:want|like)"
_CUE = rf"(?:\banything but\b|\b(?:{_NOT})\b(?! (?:only|just|but)\b)|不要|不想看?|没有|别)"
_NEGATED = re.compile(rf"(?:\bbut\s+)?{_CUE}\s*(.*?)(?=[,.;!?，。；]|\bbut\b|\brather\b|$)", re.IGNORECASE)
_FILLER = re.compile(
    r"\b(?:too|very|so|really|any|anything|much|that|is|are|with|a|an|the|of|things?|stuff|like|about)\b", re.I
)
_POLITE = re.compile(
    r"\b(?:i|me|want|would|show|give|find|recommend|please|some|something|anything|like|more|but|and|to)\b", re.I
)
_BEFORE_TITLE = re.compile(
    r"(?:\blike|\bsuch as|\bsimilar to|\bas|\bloved|\bliked|\blove|\bwatched|\bread|[\"“«'])\s*$", re.I
)


@dataclass(frozen=True)
class Wish:
    """wanted: the words without what is negated. unwanted: each negated piece.

    liked, disliked: rows of items that are named.
    """

    wanted: str
    unwanted: tuple[str, ...] = ()
    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()


def understand(text: str, titles: Sequence[str]) -> Wish:
    """Take a wish apart; titles are those of the catalogue, row by row."""
    return _take_apart(text, _by_title(titles))


def _by_title(titles: Sequence[str]) -> dict[str, int]:
    return {key: row for row, title in reversed(list(enumerate(titles))) if (key := title_key(title))}


def _take_apart(text: str, by_title: dict[str, int]) -> Wish:
    text = " ".join(text[:LONGEST].split())
    if not text:
        raise DataError("the wish is empty; say in a few words what it should be")
    unwanted, disliked = [], []
    for match in _NEGATED.finditer(text):
        rest, rows = _take_titles(match[1], by_title)
        disliked += rows
        piece = " ".join(_FILLER.sub(" ", rest).split())
        if piece:
            unwanted.append(piece)
    wanted, liked = _take_titles(_NEGATED.sub(" ", text), by_title)
    wanted = " ".join(wanted.replace(" ,", ",").split()).strip(" ,.;!?，。；")
    if not re.search(r"\w", _POLITE.sub("", wanted)):
        wanted = ""
    liked = [row for row in dict.fromkeys(liked) if row not in disliked]
    return Wish(wanted, tuple(unwanted), tuple(liked), tuple(dict.fromkeys(disliked)))


class Wishes:
    """What is needed of a catalogue to answer wishes: made once, asked often.

    encoder: what made `dataset.item_features`. Raises DataError for data without item features.
    """

    def __init__(self, encoder: Encoder, dataset: Dataset) -> None:
        if dataset.item_features is None:
            raise DataError("asking in words needs item features; name an encoder of items under `features`")
        self.encoder, self.dataset = encoder, dataset
        self._features = dataset.item_features.values

    @cached_property
    def _titles(self) -> dict[str, int]:
        return _by_title(self.dataset.titles())

    @cached_property
    def _vectors(self) -> Float32:
        return _unit(self._features)

    @cached_property
    def _texts(self) -> list[str]:
        return self.encoder.texts(self.dataset.items)

    def understand(self, text: str) -> Wish:
        """Take a wish apart; DataError for an empty one."""
        return _take_apart(text, self._titles)

    def match(self, wish: Wish) -> Float32:
        """How well each item fits the words, in standard deviations. [n_items]"""
        items = self._vectors
        told = self.encoder.encode_texts([wish.wanted, *wish.unwanted])
        if told.shape[1] != items.shape[1]:
            raise DataError(f"the encoder makes vectors of {told.shape[1]} values, the items have {items.shape[1]}")
        named = {rows: items[list(rows)].mean(axis=0) for rows in (wish.liked, wish.disliked) if rows}
        towards = [told[0], named.get(wish.liked)]
        away = [*told[1:], named.get(wish.disliked)]
        total = -LITERAL * _says(wish.unwanted, self._texts) if wish.unwanted else np.zeros(len(items), np.float32)
        for vector in towards:
            if vector is not None:
                total += _standard(items @ _unit(vector[None])[0])
        for vector in away:
            if vector is not None:
                total -= np.maximum(_standard(items @ _unit(vector[None])[0]) - NEAR, 0)
        if not wish.wanted and not wish.liked:  # a wish that only says what not: what everybody likes, without that
            counts = np.bincount(self.dataset.item, minlength=self.dataset.n_items)
            total += _standard(np.log1p(counts).astype(np.float32))
        return np.asarray(total, np.float32)


def parts(match: Float32, taste: Float32, history_weight: float) -> tuple[Float32, Float32]:
    """What fit with the words and a recommender's scores add to an item's place, in standard deviations. [n_items]"""
    return (1 - history_weight) * _standard(match), history_weight * _standard(taste)


def ask(
    text: str,
    encoder: Encoder,
    dataset: Dataset,
    recommender: Recommender | None = None,
    history: History | None = None,
    *,
    k: int = 10,
    history_weight: float = HISTORY_WEIGHT,
    exclude_seen: bool = True,
    candidates: npt.NDArray[np.bool_] | None = None,
) -> Recommendations:
    """The best `k` items for a wish, best first, without the items it names.

    encoder: what made `dataset.item_features`. history: one history, scored by `recommender` and blended in with
    `history_weight` (0 to 1). candidates: bool `[n_items]`, the only items allowed. Raises DataError for an empty wish
    and for data without item features.
    """
    wishes = Wishes(encoder, dataset)
    wish = wishes.understand(text)
    scores = wishes.match(wish)
    if recommender is not None and history is not None and history_weight:
        if len(history) != 1:
            raise DataError(f"one wish goes with one history, found {len(history)}")
        scores = np.add(*parts(scores, recommender.score(history)[0], history_weight))
    seen = None if history is None or not exclude_seen else (history.indptr, history.item)
    allowed = without_named(wish, dataset.n_items, candidates)
    item, score = top_k_scores(scores[None, :], min(k, dataset.n_items), seen=seen, candidates=allowed)
    return Recommendations(item, score, dataset.item_ids)


def without_named(wish: Wish, n_items: int, candidates: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_]:
    """The candidates but for the items that the wish names. bool `[n_items]`"""
    allowed = np.ones(n_items, bool) if candidates is None else candidates.copy()
    allowed[list(wish.liked + wish.disliked)] = False
    return allowed


def _says(unwanted: Sequence[str], texts: Sequence[str]) -> Float32:
    """1 where an item's own text has a word that is unwanted, in any common form. [n_items]"""
    stems = {_stem(word) for piece in unwanted for word in words(piece)}
    if not stems:
        return np.zeros(len(texts), np.float32)
    return np.array([any(_stem(word) in stems for word in words(text)) for text in texts], np.float32)


def _stem(word: str) -> str:
    """violent, violence -> viole; robots -> robot; enough to find a word's other forms."""
    for ending in ("ence", "ent", "ance", "ant", "ing", "ies", "es", "s", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _take_titles(text: str, by_title: dict[str, int]) -> tuple[str, list[int]]:
    """The text without the titles in it, and their items. A title of one word counts behind `like` or in quotes."""
    spans = [match.span() for match in re.finditer(r"[^\W_]+(?:['’][^\W_]+)*", text)]
    rest, found, at, kept = "", [], 0, 0
    while at < len(spans):
        for size in range(min(LONGEST_TITLE, len(spans) - at), 0, -1):
            start, end = spans[at][0], spans[at + size - 1][1]
            row = by_title.get(title_key(text[start:end]), -1)
            if row < 0:
                continue
            near = max(kept, start - LONGEST_CUE)
            before = _BEFORE_TITLE.search(text[near:start])
            if size > 1 or before:
                found.append(row)
                rest, kept = rest + text[kept : near + before.start() if before else start] + " ", end
                at += size - 1
                break
        at += 1
    return rest + text[kept:], found


def _unit(vectors: Float32) -> Float32:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)


def _standard(values: Float32) -> Float32:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12), np.float32)
