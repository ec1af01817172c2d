"""Match items with a query in words: `a love story such as Casablanca, without comedy`.

The query's text is embedded and compared with the items and with their categories; negated pieces count against an
item; named titles stand for their items. No language model is called. Knows items and an encoder, no users.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.linear_algebra import unit_rows
from genre.data.titles import rows_by_title
from genre.data.words import COMMON_WORDS, UNSPACED, word_forms, words
from genre.errors import DataError
from genre.features.base import Encoder
from genre.serving.search.categories import Categories, categories_of
from genre.serving.search.query import Query, parse_query

# Weights, in standard deviations of the cosine between the query and the items:
CATEGORY = 6.0  # for an item whose only category is the query
PRIOR = 0.3  # of popularity: among equals the popular item goes first
AGAINST = 9.0  # against an item whose category is an unwanted piece, or whose text spells it
LITERAL = 3.0  # against an item whose text has an unwanted word
SPELT = 6.0  # for an item whose text has all of a query in a script without spaces, which few encoders read
NEAR = 1.0  # an item counts as near an unwanted piece from here on
# Other weights:
LIKED = 0.5  # how near a query is to the categories of an item that it names, 0 to 1
FAINT = 0.05  # a category that is less near to an unwanted piece is unrelated
TASTE = 0.3  # share of a recommender's scores beside the words
MOST_TASTE = 3.0  # standard deviations of the highest of these scores, at most
NONSENSE = ("xqzv bkrt", "qwrtz plkj")  # a query is nonsense when no item is nearer to it than to these


@dataclass(frozen=True, eq=False)
class Match:
    """How a query matches all items.

    Attributes:
        query: The query.
        fit: How well each item matches; None where the query does not say what to look for. `[n_items]`
        against: How much speaks against each item. `[n_items]`
        near: How near each category is to the query. `[n_categories]`
    """

    query: Query
    fit: Float32 | None
    against: Float32
    near: Float32

    @property
    def n_bytes(self) -> int:
        """About how much it takes, with the query as the key of a cache."""
        return 10_000 + self.against.nbytes + self.near.nbytes + (0 if self.fit is None else self.fit.nbytes)


class QueryMatcher:
    """Matches queries with the items of a dataset. What it needs of the items is computed once, at the first query.

    Attributes:
        encoder: The encoder of the item features.
        dataset: The data.
    """

    def __init__(self, encoder: Encoder, dataset: Dataset) -> None:
        """Make a matcher.

        Args:
            encoder: The encoder that made `dataset.item_features`.
            dataset: The data.

        Raises:
            DataError: If the data has no item features.
        """
        if dataset.item_features is None:
            raise DataError("queries in words need item features; name an encoder of items under `features`")
        features = dataset.item_features
        self._features = encoder.text_columns(features.values)
        self.encoder = encoder
        self.dataset = dataset.with_features(items=dataclasses.replace(features, values=self._features))

    @cached_property
    def categories(self) -> Categories:
        """The categories of the items."""
        return categories_of(self.dataset)

    @cached_property
    def popularity(self) -> Float32:
        """`log(1 + interactions)` of each item, with mean 0 and standard deviation 1. `[n_items]`."""
        counts = np.bincount(self.dataset.item, minlength=self.dataset.n_items)
        return standard(np.log1p(counts).astype(np.float32))

    @cached_property
    def _row_by_title(self) -> dict[str, int]:
        return rows_by_title(self.dataset.titles())

    @cached_property
    def _vectors(self) -> Float32:
        return unit_rows(self._features)  # [n_items, dim]

    @cached_property
    def _forms_of_items(self) -> tuple[dict[str, int], sp.csc_matrix]:
        """The column of each word form, and 1 where an item's text has it. CSC `[n_items, n_forms]`."""
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
    def _nonsense_level(self) -> float:
        return float((self._vectors @ self._encode(NONSENSE).T).max())

    def parse(self, text: str) -> Query:
        """Parse a query.

        Args:
            text: The query; titles of the items in it are recognised.

        Returns:
            The parsed query.

        Raises:
            DataError: If the query is empty.
        """
        return parse_query(text, self._row_by_title)

    def match(self, query: Query) -> Match:
        """Compute how a query matches each item.

        Args:
            query: The parsed query.

        Returns:
            The match.
        """
        wanted, *unwanted = self._encode([query.wanted, *query.unwanted])  # [dim] each
        fits, nears = [], []  # [n_items] and [n_categories], for the words and for the named items
        if query.wanted and self._makes_sense(query.wanted, wanted):
            fits.append(standard(self._vectors @ wanted) + SPELT * self._spelt_share(query.wanted))
            nears.append(self.categories.near(wanted))
        if query.liked:
            fits.append(standard(self._vectors @ self._mean_vector(query.liked)))
            held = unit_rows(self.categories.of[list(query.liked)].toarray())
            nears.append(LIKED * held.mean(axis=0))
        against = self._against(query, unwanted)
        if not fits:
            return Match(query, None, against, np.zeros(len(self.categories.names), np.float32))
        near = np.asarray(np.mean(nears, axis=0), np.float32)
        fit = np.mean(fits, axis=0) + CATEGORY * self.categories.fit(near) + PRIOR * self.popularity
        return Match(query, np.asarray(fit, np.float32), against, near)

    def _against(self, query: Query, unwanted: Sequence[Float32]) -> Float32:
        """Compute how much speaks against each item; `unwanted`: the vectors of the unwanted pieces. `[n_items]`."""
        against = LITERAL * self._has_any_word(query.unwanted)
        for piece, vector in zip(query.unwanted, unwanted, strict=True):
            against += AGAINST * self._spelt_share(piece)
            near = self.categories.near(vector)
            against += np.maximum(standard(self._vectors @ vector) - NEAR, 0)
            against += AGAINST * (self.categories.nearest(near) / max(near.max(initial=0), FAINT)) ** 2
        if query.disliked:
            against += np.maximum(standard(self._vectors @ self._mean_vector(query.disliked)) - NEAR, 0)
        return against

    def _mean_vector(self, rows: Sequence[int]) -> Float32:
        return np.asarray(unit_rows(self._vectors[list(rows)].mean(axis=0, keepdims=True))[0], np.float32)

    def _makes_sense(self, text: str, vector: Float32) -> bool:
        """Tell whether any item is near to a text, or has one of its words."""
        if float((self._vectors @ vector).max()) > self._nonsense_level:
            return True
        telling = [
            word for word in words(text) if word not in COMMON_WORDS and (len(word) > 2 or UNSPACED.search(word))
        ]
        return any(form in self._forms_of_items[0] for word in telling for form in word_forms(word))

    def _has_any_word(self, texts: Sequence[str]) -> Float32:
        """Return 1 where an item's text has any word of some texts. `[n_items]`."""
        forms = {form for text in texts for word in words(text) for form in word_forms(word)}
        return np.asarray(self._n_forms(forms) > 0, np.float32)

    def _spelt_share(self, text: str) -> Float32:
        """Return the share of a text, in scripts without spaces, that is in an item's text, too. `[n_items]`."""
        forms = {form for word in words(text) for form in word_forms(word) if UNSPACED.match(form)}
        return np.asarray(self._n_forms(forms) / max(len(forms), 1), np.float32)

    def _n_forms(self, forms: Collection[str]) -> Float32:
        """Count how many of some word forms are in an item's text. `[n_items]`."""
        columns, items = self._forms_of_items
        held = sorted(columns[form] for form in forms if form in columns)
        return np.asarray(items[:, held].sum(axis=1), np.float32).ravel()

    def _encode(self, texts: Sequence[str]) -> Float32:
        """Encode texts as unit vectors. `[n, dim]`."""
        vectors, dim = self.encoder.encode_once(texts), self._features.shape[1]
        if vectors.shape[1] != dim:
            raise DataError(f"the encoder makes vectors of {vectors.shape[1]} values, the items have {dim}")
        return unit_rows(vectors)


def score_parts(match: Match, taste: Float32 | None, popularity: Float32) -> dict[str, Float32]:
    """Return what adds up to the score of each item for a query.

    With a fit `f`, a taste `t` in standard deviations and what speaks against an item `a`, the score is
    `(1 - TASTE) * f - a + TASTE * std(f) * t`.

    Args:
        match: The match.
        taste: A recommender's scores for the history and the named items, or None. `[n_items]`
        popularity: What orders the items where neither the words nor a taste do. `[n_items]`

    Returns:
        Scores by part: `words`, and `taste` or `popular`. `[n_items]` each
    """
    if match.fit is None:
        rest = {"popular": popularity} if taste is None else {"taste": _limited(standard(taste))}
        return {"words": -match.against, **rest}
    if taste is None:
        return {"words": match.fit - match.against}
    share = np.float32(TASTE * match.fit.std())
    return {"words": np.float32(1 - TASTE) * match.fit - match.against, "taste": share * _limited(standard(taste))}


def _limited(taste: Float32) -> Float32:
    """Scale scores so that none is above `MOST_TASTE`, and the words count for a favourite, too."""
    return np.asarray(taste * min(1.0, MOST_TASTE / max(float(taste.max()), 1e-12)), np.float32)


def without_named(query: Query, n_items: int, candidates: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_]:
    """Return which items may be recommended for a query: not those that it names.

    Args:
        query: The query.
        n_items: Number of items.
        candidates: Items that may be recommended otherwise; None: all. `[n_items]`

    Returns:
        The mask. `[n_items]`
    """
    allowed = np.ones(n_items, bool) if candidates is None else candidates.copy()
    allowed[list(query.liked + query.disliked)] = False
    return allowed


def standard(values: Float32) -> Float32:
    """Shift and scale values to mean 0 and standard deviation 1.

    Args:
        values: Any values. `[n]`

    Returns:
        The scaled values; 0 where all are equal. `[n]`
    """
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12), np.float32)
