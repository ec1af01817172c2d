"""ItemKNN: items are near when the same users interacted with them. `overlap.py` counts and keeps the nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.log import Log
from genre.options import Doc, Ge, Gt, Le, Search
from genre.recommenders.item_weights import HalfLife, ItemWeights
from genre.recommenders.overlap import Norms, column_norms, nearest_neighbours


@dataclass(eq=False)
class ItemKNN(ItemWeights):
    """The score of an item sums its similarities to those items of the history that have it among their nearest.

    Similarities of two items i, j with the columns x_i, x_j of the user-item matrix `[n_users]`:

    - `cosine`: x_i . x_j / (|x_i| |x_j| + shrinkage) (Sarwar, Karypis, Konstan and Riedl, "Item-based collaborative
      filtering recommendation algorithms", WWW 2001);
    - `bm25`, `tfidf`: the same on weights in which users with few items count more;
    - `rp3beta`: the probability of a random walk item - user - item, divided by a power of the popularity of the end
      (Paudel, Christoffel, Newell and Bernstein, "Updatable, accurate, diverse, and scalable recommendations for
      interactive applications", TiiS 2017).

    Example:
        Users of the toy data like either even or odd items.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.ItemKNN(neighbours=5).fit(toy_dataset())
        >>> sorted(model.recommend(["i0", "i2"], k=4).ids())
        ['i10', 'i4', 'i6', 'i8']
    """

    similarity: Annotated[Literal["cosine", "bm25", "tfidf", "rp3beta"], Doc("How near two items are; see above.")] = (
        "cosine"
    )
    neighbours: Annotated[
        int,
        Ge(1),
        Search(10, 1000, log=True),
        Doc("How many of its nearest items each item keeps; of equally near ones the more popular."),
    ] = 100
    shrinkage: Annotated[
        float,
        Ge(0),
        Search(0.1, 1000, log=True),
        Doc("Added to the denominator, so that similarities from few users shrink. Without effect on `rp3beta`."),
    ] = 0.0
    alpha: Annotated[
        float,
        Gt(0),
        Le(2),
        Search(0.3, 1.5, when=("similarity", "rp3beta")),
        Doc("Power of the probabilities of the walk, `rp3beta` only."),
    ] = 1.0
    beta: Annotated[
        float,
        Ge(0),
        Le(2),
        Search(0, 1, when=("similarity", "rp3beta")),
        Doc("Power of the popularity that similarities are divided by, `rp3beta` only."),
    ] = 0.4
    history_half_life: HalfLife | None = None

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        matrix, source, target = self._weigh(dataset.matrix())
        shrinkage = 0.0 if self.similarity == "rp3beta" else self.shrinkage
        self.item_weights_ = nearest_neighbours(matrix, source, target, self.neighbours, shrinkage)

    def _weigh(self, matrix: sp.csr_matrix) -> tuple[sp.csr_matrix, Norms, Norms]:
        """Return the matrix whose columns are multiplied, and the norms of both sides of the similarity."""
        activity = np.diff(matrix.indptr)  # items of each user
        popularity = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)  # users of each item
        if self.similarity == "rp3beta":
            # the walk i - u - j has the probability (1 / popularity_i)^alpha (1 / activity_u)^alpha, and the product of
            # two columns holds the middle factor when each side holds its root
            root = np.maximum(activity, 1) ** (-self.alpha / 2)
            walk = np.repeat(root, activity).astype(np.float32)
            weighed = sp.csr_matrix((walk, matrix.indices, matrix.indptr), shape=matrix.shape)
            return weighed, popularity**self.alpha, popularity**self.beta
        weighed = matrix
        if self.similarity == "bm25":
            weighed = _bm25(matrix, activity, popularity)
        elif self.similarity == "tfidf":
            rarity = np.log(matrix.shape[1] / np.maximum(activity, 1))  # of each user
            weighed = sp.csr_matrix(sp.diags(rarity.astype(np.float32)) @ matrix)
        norms = column_norms(weighed)
        return weighed, norms, norms


def _bm25(matrix: sp.csr_matrix, activity: npt.NDArray[np.integer], popularity: Norms) -> sp.csr_matrix:
    """Return BM25 weights, with an item as a document whose words are its users.

    weight = idf_u * x (k1 + 1) / (x + k1 (1 - b + b popularity_i / mean popularity)),  k1 = 1.2, b = 0.75
    (Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond", 2009).
    """
    k1, b = 1.2, 0.75
    n_items = matrix.shape[1]
    rarity = np.log1p((n_items - activity + 0.5) / (activity + 0.5))  # idf of each user
    length = 1 - b + b * popularity / max(popularity.mean(), 1e-12)
    weight = matrix.data * (k1 + 1) / (matrix.data + k1 * length[matrix.indices])
    data = (weight * np.repeat(rarity, activity)).astype(np.float32)
    return sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
