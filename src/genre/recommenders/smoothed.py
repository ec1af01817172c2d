"""Smoothed: item weights of another recommender, averaged over items whose features are alike. Reads no text itself."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.linear_algebra import whitening
from genre.errors import DataError, OptionError
from genre.log import Log
from genre.options import Doc, Ge, Gt, Le, Search
from genre.recommenders.base import Recommender
from genre.recommenders.item_weights import HalfLife, ItemWeights
from genre.recommenders.topk import top_k_cosine, top_k_scores

BLOCK = 512  # items whose smoothed weights are held at once


@dataclass(eq=False)
class Smoothed(ItemWeights):
    """An item borrows the item weights of the items that its features are nearest to: W becomes G W.

    Row i of G holds the cosines of item i with its `similar` nearest other items, to the power of `power` and divided
    by their sum. So an item that hardly anything has followed yet gets the followers of items that read alike, while
    its own weights do not count: this is a member for a blend, beside the recommender itself.

    Example:
        Users of the toy data like either even or odd items, and their features are alike.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.Smoothed(genre.Transitions(window=5)).fit(toy_dataset())
        >>> sorted(model.recommend(["i0", "i2"], k=4).ids())
        ['i10', 'i4', 'i6', 'i8']
    """

    recommender: Annotated[
        Recommender, Doc("One that learns item weights (`transitions`, `item_knn`, `ease`): those are smoothed.")
    ]
    similar: Annotated[int, Ge(1), Search(5, 100, log=True), Doc("Nearest other items that an item borrows from.")] = 20
    power: Annotated[
        float, Gt(0), Search(1, 6), Doc("Power of the cosines; the higher, the more the nearest items count.")
    ] = 3.0
    whitening: Annotated[
        float, Ge(0), Le(1), Doc("Power of the whitening of the features, as in `content`, before cosines are taken.")
    ] = 0.5
    dim: Annotated[int, Ge(1), Doc("Principal directions of the features, at most.")] = 256
    neighbours: Annotated[int, Ge(1), Doc("How many smoothed weights each item keeps, the largest.")] = 300
    history_half_life: HalfLife | None = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.recommender, ItemWeights):
            raise OptionError(
                f"smoothed: recommender is {type(self.recommender).__name__}, which learns no item weights; name one "
                "that does, such as transitions, item_knn or ease"
            )

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if dataset.item_features is None:
            raise DataError("smoothed: needs item features; name an encoder of items under `features`")
        member = copy.copy(self.recommender).fit(dataset, validation=validation, checkpoint=self._checkpoint, log=log)
        weights = sp.csr_matrix(member.item_weights_)  # type: ignore[attr-defined]  # checked above; [n_items, n_items]
        vectors = dataset.item_features.values
        near = self._neighbourhoods(vectors)
        rows = [np.arange(start, min(start + BLOCK, len(vectors))) for start in range(0, len(vectors), BLOCK)]
        self.item_weights_ = sp.vstack(
            [_largest(near[block] @ weights, block, self.neighbours) for block in rows], "csr"
        )

    def _neighbourhoods(self, features: Float32) -> sp.csr_matrix:
        """Return the matrix G, `[n_items, n_items]`; the row of an item without features is empty."""
        center, directions = whitening(features, self.whitening, self.dim)
        vectors = np.asarray((features - center) @ directions, np.float32)
        vectors[~features.any(axis=1)] = 0
        near, cosine = top_k_cosine(
            vectors, np.arange(len(vectors), dtype=np.int32), self.similar
        )  # [n_items, similar]
        weight = np.where((near >= 0) & (cosine > 0), cosine, 0).astype(np.float64) ** self.power
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
        row, slot = np.nonzero(weight)
        return sp.csr_matrix((weight[row, slot].astype(np.float32), (row, near[row, slot])), shape=(len(near),) * 2)


def _largest(matrix: sp.csr_matrix, diagonal: Int64, k: int) -> sp.csr_matrix:
    """Return the `k` largest values of each row but that of the column in `diagonal`; of equal ones the first."""
    itself = np.arange(len(diagonal) + 1), diagonal.astype(np.int32)
    items, values = top_k_scores(
        np.asarray(matrix.toarray(), np.float32), min(k, matrix.shape[1]), seen=itself
    )  # [n, k]
    row, slot = np.nonzero(values > 0)
    return sp.csr_matrix((values[row, slot], (row, items[row, slot])), shape=matrix.shape)
