"""ItemKNN: items are near when the same users took them. The kernels that count are in `overlap.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.log import Log
from genre.options import Ge, Gt, Le, Search
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import Method


@dataclass(eq=False)
class ItemKNN(Recommender):
    """An item scores the similarities of the history's items that count it among their nearest.

    Cosine (Sarwar et al., WWW 2001), the same on BM25 or TF-IDF weights, or the random walk RP3beta (Paudel et al.,
    TiiS 2017).

    similarity: `cosine`, `bm25`, `tfidf` or `rp3beta`.
    neighbours: how many nearest items each item keeps.
    shrinkage: added to the denominator, so that similarities built on few users shrink. Not for `rp3beta`.
    alpha: power of the walk's probabilities, `rp3beta` only.
    beta: power by which popular items are held back, `rp3beta` only.
    history_half_life: interactions after which one counts half as much; None: all count alike.
    """

    similarity: Literal["cosine", "bm25", "tfidf", "rp3beta"] = "cosine"
    neighbours: Annotated[int, Ge(1), Search(10, 1000, log=True)] = 100
    shrinkage: Annotated[float, Ge(0), Search(0.1, 1000, log=True)] = 0.0
    alpha: Annotated[float, Gt(0), Le(2), Search(0.3, 1.5, when=("similarity", "rp3beta"))] = 1.0
    beta: Annotated[float, Ge(0), Le(2), Search(0, 1, when=("similarity", "rp3beta"))] = 0.4
    history_half_life: Annotated[float, Gt(0), Search(1, 100, log=True)] | None = None

    explains: ClassVar[Method] = "exact"
    learns: ClassVar[tuple[str, ...]] = ("similarities_",)

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        from genre.recommenders.overlap import nearest_neighbours

        matrix, source, target = self._weigh(dataset.matrix())
        shrinkage = 0.0 if self.similarity == "rp3beta" else self.shrinkage
        self.similarities_ = nearest_neighbours(matrix, source, target, self.neighbours, shrinkage)  # [from, to]

    def _weigh(self, matrix: sp.csr_matrix) -> tuple[sp.csr_matrix, Norms, Norms]:
        """The matrix to multiply with itself and the norms of both sides of the similarity."""
        activity = np.diff(matrix.indptr)  # items of each user
        popularity = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
        if self.similarity == "rp3beta":
            walk = np.maximum(activity, 1) ** (-self.alpha / 2)
            ones = np.repeat(walk, activity).astype(np.float32)
            weighed = sp.csr_matrix((ones, matrix.indices, matrix.indptr), shape=matrix.shape)
            return weighed, popularity**self.alpha, popularity**self.beta
        weighed = matrix
        if self.similarity == "bm25":
            weighed = _bm25(matrix, activity, popularity)
        elif self.similarity == "tfidf":
            rarity = np.log(matrix.shape[1] / np.maximum(activity, 1))
            weighed = sp.csr_matrix(sp.diags(rarity.astype(np.float32)) @ matrix)
        norms = np.sqrt(np.bincount(weighed.indices, weighed.data.astype(np.float64) ** 2, matrix.shape[1]))
        return weighed, norms, norms

    def _score(self, history: History) -> Float32:
        matrix = history.decayed(self.history_half_life).matrix()
        return np.asarray((matrix @ self.similarities_).toarray(), np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        weight = history.decayed(self.history_half_life).weight
        return np.asarray(self.similarities_[history.item][:, items].toarray().T * weight, np.float32)


Norms = npt.NDArray[np.float64]


def _bm25(matrix: sp.csr_matrix, activity: npt.NDArray[np.integer], popularity: Norms) -> sp.csr_matrix:
    """An item as a document of users: saturated weights, rare users count more (k1 = 1.2, b = 0.75)."""
    k1, b = 1.2, 0.75
    n_items = matrix.shape[1]
    rarity = np.log1p((n_items - activity + 0.5) / (activity + 0.5))
    length = 1 - b + b * popularity / max(popularity.mean(), 1e-12)
    weight = matrix.data * (k1 + 1) / (matrix.data + k1 * length[matrix.indices])
    data = (weight * np.repeat(rarity, activity)).astype(np.float32)
    return sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
