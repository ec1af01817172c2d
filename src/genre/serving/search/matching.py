"""Recommendations for a query in words: `a love story such as Casablanca, without comedy`.

The words are embedded and matched with the items and with their categories; what is negated counts against an item;
titles that are named stand for their items. No language model writes anything here.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.linear import unit_rows
from genre.data.words import COMMON_WORDS, UNSPACED, word_forms, words
from genre.errors import DataError
from genre.features.base import Encoder
from genre.serving.search.categories import Categories, categories_of
from genre.serving.search.query import Query, keys_of, parse_query

# In standard deviations of how near the words of a query are to the items:
CATEGORY = 6.0  # what an item gains whose category is the query
PRIOR = 0.3  # and one that people know: among equals it goes first
AGAINST = 9.0  # what an item loses whose category is an unwanted thing, or whose text spells it
LITERAL = 3.0  # whose text has an unwanted word
SPELT = 6.0  # what an item gains whose text has all of a query in a script without spaces, which few encoders read
NEAR = 1.0  # that is nearer than this to an unwanted thing
LIKED = 0.5  # how near a query is to the categories of an item that it names, 0 to 1
FAINT = 0.05  # a category no nearer than this to an unwanted thing has nothing to do with it
TASTE = 0.3  # of a recommender's scores beside the words
MOST_TASTE = 3.0  # standard deviations of the highest of these
NONSENSE = ("xqzv bkrt", "qwrtz plkj")  # what a query without any known word has to be nearer to an item than


@dataclass(frozen=True, eq=False)
class Match:
    """query: the query.

    fit: how well each item fits; None when nothing says what to look for. [n_items]

    against: how much speaks against each item. [n_items]
    near: how near each category is to the query. [n_categories]
    """

    query: Query
    fit: Float32 | None
    against: Float32
    near: Float32


class QueryMatcher:
    """What is needed of a catalogue to answer matcher: made once, asked often.

    encoder: what made `dataset.item_features`. Raises DataError for data without item features.
    """

    def __init__(self, encoder: Encoder, dataset: Dataset) -> None:
        if dataset.item_features is None:
            raise DataError("asking in words needs item features; name an encoder of items under `features`")
        self.encoder, self.dataset = encoder, dataset
        self._features = dataset.item_features.values

    @cached_property
    def _titles(self) -> dict[str, int]:
        return keys_of(self.dataset.titles())

    @cached_property
    def _vectors(self) -> Float32:
        return unit_rows(self._features)

    @cached_property
    def categories(self) -> Categories:
        return categories_of(self.dataset)

    @cached_property
    def popularity(self) -> Float32:
        counts = np.bincount(self.dataset.item, minlength=self.dataset.n_items)
        return standard(np.log1p(counts).astype(np.float32))

    @cached_property
    def _spoken(self) -> tuple[dict[str, int], sp.csc_matrix]:
        """The columns of what words are compared by, and which item's text has it. CSC `[n_items, n_forms]`"""
        columns: dict[str, int] = {}
        indices, indptr = array("i"), array("q", [0])
        for text in self.encoder.texts(self.dataset.items):
            indices.extend(
                {columns.setdefault(form, len(columns)) for word in words(text) for form in word_forms(word)}
            )
            indptr.append(len(indices))
        shape, ones = (self.dataset.n_items, len(columns)), np.ones(len(indices), np.float32)
        return columns, sp.csr_matrix((ones, np.array(indices), np.array(indptr)), shape=shape).tocsc()

    @cached_property
    def _nonsense(self) -> float:
        return float((self._vectors @ self._encode(NONSENSE).T).max())

    def parse(self, text: str) -> Query:
        """Take a query apart; DataError for an empty one."""
        return parse_query(text, self._titles)

    def match(self, query: Query) -> Match:
        """How well each item fits and what speaks against it."""
        told = self._encode([query.wanted, *query.unwanted])
        against = LITERAL * self._says(query.unwanted)
        for piece, vector in zip(query.unwanted, told[1:], strict=True):
            against += AGAINST * self._spelt(piece)
            near = self.categories.near(vector)
            against += np.maximum(standard(self._vectors @ vector) - NEAR, 0)
            against += AGAINST * (self.categories.nearest(near) / max(near.max(initial=0), FAINT)) ** 2
        if query.disliked:
            against += np.maximum(standard(self._vectors @ self._middle(query.disliked)) - NEAR, 0)
        fits, nears = [], []
        if query.wanted and self._makes_sense(query.wanted, told[0]):
            fits.append(standard(self._vectors @ told[0]) + SPELT * self._spelt(query.wanted))
            nears.append(self.categories.near(told[0]))
        if query.liked:
            fits.append(standard(self._vectors @ self._middle(query.liked)))
            held = unit_rows(self.categories.of[list(query.liked)].toarray())
            nears.append(LIKED * held.mean(axis=0))
        if not fits:
            return Match(query, None, against, np.zeros(len(self.categories.names), np.float32))
        near = np.asarray(np.mean(nears, axis=0), np.float32)
        fit = np.mean(fits, axis=0) + CATEGORY * self.categories.fit(near) + PRIOR * self.popularity
        return Match(query, np.asarray(fit, np.float32), against, near)

    def _middle(self, rows: Sequence[int]) -> Float32:
        return np.asarray(unit_rows(self._vectors[list(rows)].mean(axis=0, keepdims=True))[0], np.float32)

    def _makes_sense(self, text: str, vector: Float32) -> bool:
        """Whether anything in the catalogue is near to a query, or has one of its words."""
        if float((self._vectors @ vector).max()) > self._nonsense:
            return True
        telling = [
            word for word in words(text) if word not in COMMON_WORDS and (len(word) > 2 or UNSPACED.search(word))
        ]
        return any(form in self._spoken[0] for word in telling for form in word_forms(word))

    def _says(self, unwanted: Sequence[str]) -> Float32:
        """1 where an item's own text has a word that is unwanted. [n_items]"""
        forms = {form for piece in unwanted for word in words(piece) for form in word_forms(word)}
        return np.asarray(self._having(forms) > 0, np.float32)

    def _spelt(self, told: str) -> Float32:
        """The share of some words, in scripts without spaces, that an item's own text spells. [n_items]"""
        forms = {form for word in words(told) for form in word_forms(word) if UNSPACED.match(form)}
        return np.asarray(self._having(forms) / max(len(forms), 1), np.float32)

    def _having(self, forms: Collection[str]) -> Float32:
        """How many of these an item's own text has. [n_items]"""
        columns, items = self._spoken
        held = sorted(columns[form] for form in forms if form in columns)
        return np.asarray(items[:, held].sum(axis=1), np.float32).ravel()

    def _encode(self, texts: Sequence[str]) -> Float32:
        told, dim = self.encoder.encode_once(texts), self._features.shape[1]
        if told.shape[1] != dim:
            raise DataError(f"the encoder makes vectors of {told.shape[1]} values, the items have {dim}")
        return unit_rows(told)


def score_parts(match: Match, taste: Float32 | None, popularity: Float32) -> dict[str, Float32]:
    """What adds up to the place of each item `[n_items]`: the words, a recommender's scores, what everybody takes.

    taste: scores of a recommender for what the person did or named, or None.
    """
    if match.fit is None:
        rest = {"popular": popularity} if taste is None else {"taste": _at_most(standard(taste))}
        return {"words": -match.against, **rest}
    if taste is None:
        return {"words": match.fit - match.against}
    share = np.float32(TASTE * match.fit.std())
    return {"words": np.float32(1 - TASTE) * match.fit - match.against, "taste": share * _at_most(standard(taste))}


def _at_most(taste: Float32) -> Float32:
    """In the same order, none above `MOST_TASTE`: what is asked for, and unwanted, weighs against a favourite, too."""
    return np.asarray(taste * min(1.0, MOST_TASTE / max(float(taste.max()), 1e-12)), np.float32)


def without_named(query: Query, n_items: int, candidates: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_]:
    """The candidates but for the items that the query names. bool `[n_items]`"""
    allowed = np.ones(n_items, bool) if candidates is None else candidates.copy()
    allowed[list(query.liked + query.disliked)] = False
    return allowed


def standard(values: Float32) -> Float32:
    """Values with mean 0 and standard deviation 1. [n]"""
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12), np.float32)
