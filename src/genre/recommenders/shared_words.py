"""Shared words: items are near when their texts share rare words. Reads the items' table; learns from no user."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import TITLE_COLUMNS, Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.words import words
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, nearest
from genre.recommenders.base import Recommender
from genre.recommenders.item_weights import HalfLife
from genre.recommenders.reasons import Method
from genre.recommenders.sparse_products import dense_product


@dataclass(eq=False)
class SharedWords(Recommender):
    """The score is the cosine between the words of an item and the weighted mean of those of the history.

    A word w that stands c times in the text of an item has the weight

        (1 + ln c) (ln((1 + n_items) / (1 + items with w)) + 1),

    and the weights of an item are scaled to length one (TF-IDF with sublinear counts: Manning, Raghavan and Schütze,
    "Introduction to Information Retrieval", 2008, chapter 6). The matrix is neither whitened nor reduced to fewer
    dimensions, unlike the encoder `tfidf`: that two titles share one rare word, such as a brand, is not lost.

    Example:
        The texts of even items have one topic, those of odd items another.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.SharedWords(fields=("text",)).fit(toy_dataset())
        >>> sorted(model.recommend(["i0", "i2"], k=4).ids())
        ['i10', 'i4', 'i6', 'i8']
    """

    fields: Annotated[
        tuple[str, ...], Doc("Columns of the items' table that are read; empty: the title (title, name or headline).")
    ] = ()
    min_count: Annotated[int, Ge(1), Doc("Words in the texts of fewer items than this are left out.")] = 2
    history_half_life: HalfLife | None = None

    explains: ClassVar[Method] = "exact"
    learns: ClassVar[tuple[str, ...]] = ("item_words_", "word_items_", "n_words_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        counts = word_matrix(texts_of(dataset.items, self.fields))  # [n_items, n_words]
        self.n_words_ = np.asarray(counts.sum(axis=1), np.float32).ravel()  # words of each item's text
        self.item_words_ = tf_idf(counts, self.min_count)
        self.word_items_ = sp.csr_matrix(self.item_words_.T)  # [n_words, n_items]
        if self.item_words_.nnz == 0:
            raise DataError(
                f"shared_words: no word is in the texts of {self.min_count} items; check fields or lower min_count"
            )

    def _score(self, history: History) -> Float32:
        queries = self._shares(history).matrix() @ self.item_words_  # [n, n_words]
        return dense_product(queries, self.word_items_)

    def _contributions(self, history: History, items: Int32) -> Float32:
        near = self.item_words_[items] @ self.item_words_[history.item].T  # [m, length]
        return np.asarray(near.toarray() * self._shares(history).weight, np.float32)

    def _shares(self, history: History) -> History:
        """Return the histories with weights that sum to one in each."""
        decayed = history.decayed(self.history_half_life)
        total = np.bincount(decayed.row_of(), decayed.weight, len(history))  # [n]
        share = decayed.weight / np.maximum(total, 1e-12)[decayed.row_of()]
        return dataclasses.replace(decayed, weight=share.astype(np.float32))


def texts_of(items: pa.Table, fields: Sequence[str]) -> list[str]:
    """Return the text of each item, its fields joined.

    Args:
        items: The table of items.
        fields: Its columns; none: the title.

    Returns:
        `[n_items]` texts, empty where an item has none.

    Raises:
        DataError: The table has no such column, or no title.
    """
    known = items.column_names
    read = list(fields) or [name for name in TITLE_COLUMNS if name in known][:1]
    if not read:
        raise DataError(f"shared_words: the items have no title; give fields, some of {', '.join(known)}")
    for name in read:
        if name not in known:
            raise DataError(
                f"shared_words: fields: no column {name!r}{nearest(name, known)}; the items have {', '.join(known)}"
            )
    columns = [items[name].to_pylist() for name in read]
    return [" ".join("" if value is None else str(value) for value in row) for row in zip(*columns, strict=True)]


def word_matrix(texts: Sequence[str]) -> sp.csr_matrix:
    """Count the words of texts, lower case, without accents.

    Args:
        texts: Any texts `[n]`.

    Returns:
        float64 CSR `[n, n_words]`, words in the order of their first occurrence.
    """
    column: dict[str, int] = {}
    found = [[column.setdefault(word, len(column)) for word in words(text)] for text in texts]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in found])])
    indices = np.array([at for row in found for at in row], np.int64)
    counts = sp.csr_matrix((np.ones(len(indices)), indices, indptr), shape=(len(texts), len(column)))
    counts.sum_duplicates()
    return counts


def tf_idf(counts: sp.csr_matrix, min_count: int) -> sp.csr_matrix:
    """Weigh words as in `SharedWords`, rows of length one.

    Args:
        counts: `[n, n_words]`.
        min_count: Words in fewer rows than this are left out.

    Returns:
        float32 CSR `[n, at most n_words]`.
    """
    having = np.bincount(counts.indices, minlength=counts.shape[1])  # rows with each word
    kept = having >= min_count
    counts, rarity = sp.csr_matrix(counts[:, kept]), np.log((1 + counts.shape[0]) / (1 + having[kept])) + 1
    weights = (1 + np.log(counts.data)) * rarity[counts.indices]
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    lengths = np.sqrt(np.bincount(row, weights**2, counts.shape[0]))
    return sp.csr_matrix(((weights / lengths[row]).astype(np.float32), counts.indices, counts.indptr), counts.shape)
