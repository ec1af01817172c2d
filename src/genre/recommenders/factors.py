"""The base of recommenders whose scores are dot products of a query, made of the history, and factors of the items.

Knows how such scores are computed and explained, not how the factors are learnt.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy.typing as npt
from typing_extensions import override

from genre.arrays import Float32, Int32
from genre.data.history import History
from genre.options import DEFAULT_K
from genre.recommenders.base import Recommender
from genre.recommenders.reasons import Method
from genre.recommenders.recommendations import Recommendations
from genre.recommenders.topk import top_k_cosine

EVERY = slice(None)


class Factors(Recommender):
    """Base of matrix factorisations.

        score(history, i) = query(history) . factors(i)

    `_fit` sets `item_embeddings_` `[n_items, dim]`, `_queries` turns histories into queries. A query is a sum of one
    term for each interaction (`_query_terms`), so each interaction adds `term . factors(i)` to the score of item i.
    """

    explains: ClassVar[Method] = "exact"
    learns: ClassVar[tuple[str, ...]] = ("item_embeddings_",)

    item_embeddings_: Float32

    @abstractmethod
    def _queries(self, history: History) -> Float32:
        """Return the query of each history, `[n, dim]`."""

    @abstractmethod
    def _query_terms(self, history: History) -> Float32:
        """Return what each interaction of the one history adds to its query, `[length, dim]`."""

    def _item_factors(self, items: Int32 | slice = EVERY) -> Float32:
        """Return the vectors that queries are multiplied with, `[m, dim]`."""
        return self.item_embeddings_[items]

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        return self._queries(history), self._item_factors()

    def _contributions(self, history: History, items: Int32) -> Float32:
        return self._item_factors(items) @ self._query_terms(history).T  # [m, dim] @ [dim, length]

    @override
    def similar_items(self, items: npt.ArrayLike, *, k: int = DEFAULT_K) -> Recommendations:
        """Return the items whose embeddings have the highest cosine with that of each of `items`."""
        rows = self._item_rows(items)
        return self._lists(*top_k_cosine(self.item_embeddings_, rows, k))
