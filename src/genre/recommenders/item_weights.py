"""The base of recommenders whose scores are a history times a matrix of weights between items.

Knows how such scores are computed and explained, not how the weights are learnt.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from typing_extensions import override

from genre.arrays import Float32, Int32
from genre.data.history import History
from genre.options import DEFAULT_K, Doc, Gt, Search
from genre.recommenders.base import Recommender
from genre.recommenders.reasons import Method
from genre.recommenders.recommendations import Recommendations
from genre.recommenders.sparse_products import dense_product

HalfLife = Annotated[
    float,
    Gt(0),
    Search(1, 100, log=True),
    Doc("Interactions after which one counts half as much when a history is scored. None: all count alike."),
]


class ItemWeights(Recommender):
    """Base of recommenders that learn one weight from each item to each other item.

        score(history, i) = sum over the interactions j of the history of  weight_j * item_weights_[item_j, i]

    where the weights of old interactions are halved by `history_half_life`. `_fit` sets `item_weights_`
    `[n_items, n_items]`, from the item in the history to the item scored, dense or CSR; its diagonal is zero.
    """

    explains: ClassVar[Method] = "exact"
    learns: ClassVar[tuple[str, ...]] = ("item_weights_",)
    scoring_options: ClassVar[tuple[str, ...]] = ("history_half_life",)

    history_half_life: float | None
    item_weights_: Any

    def _score(self, history: History) -> Float32:
        matrix = history.decayed(self.history_half_life).matrix()  # [n, n_items]
        if sp.issparse(self.item_weights_):
            return dense_product(matrix, self.item_weights_)
        return np.asarray(matrix @ self.item_weights_, np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        """Return the terms of the sum above, `[m, length]`."""
        weights = _dense(self.item_weights_[history.item][:, items])  # [length, m]
        return np.asarray(weights.T * history.decayed(self.history_half_life).weight, np.float32)

    @override
    def similar_items(self, items: npt.ArrayLike, *, k: int = DEFAULT_K) -> Recommendations:
        """Return the items with the largest weights from each of `items`."""
        rows = self._item_rows(items)
        return self._nearest(rows, _dense(self.item_weights_[rows]), k)


def _dense(matrix: Any) -> Float32:
    return np.asarray(matrix.toarray() if sp.issparse(matrix) else matrix, np.float32)
