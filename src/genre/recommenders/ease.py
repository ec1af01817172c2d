"""EASE: an item-item regression with a closed-form solution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import scipy.linalg.lapack as lapack

from genre.log import Log
from genre.options import Gt, Search
from genre.preprocessing.dataset import Dataset, Float32, History, Int32
from genre.preprocessing.splits import Fold
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import Method


@dataclass(eq=False)
class EASE(Recommender):
    """Each item is predicted by a ridge regression on all others (Steck, WWW 2019: B = I - P diag(P)^-1).

    regularization: the ridge on the item-item Gram matrix, in units of interactions.
    """

    regularization: Annotated[float, Gt(0), Search(10, 3000, log=True)] = 300.0

    explains: ClassVar[Method] = "exact"

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        matrix = dataset.matrix()
        gram = np.asfortranarray((matrix.T @ matrix).toarray(), np.float32)
        gram[np.diag_indices_from(gram)] += self.regularization
        chol, _ = lapack.spotrf(gram, overwrite_a=True)
        inverse, _ = lapack.spotri(chol, overwrite_c=True)  # upper triangle of P
        inverse = np.triu(inverse) + np.triu(inverse, 1).T
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0)
        self.item_weights_ = np.ascontiguousarray(weights, np.float32)  # [from, to]

    def _score(self, history: History) -> Float32:
        return np.asarray(history.matrix() @ self.item_weights_, np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        return np.asarray(self.item_weights_[history.item][:, items].T * history.weight, np.float32)
