"""Together: items of one basket. Counts baskets, not users; does not know which of two items came first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from genre.data.baskets import GapMinutes, basket_matrix
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, Le, Search
from genre.recommenders.item_weights import HalfLife, ItemWeights
from genre.recommenders.overlap import nearest_neighbours


@dataclass(eq=False)
class Together(ItemWeights):
    """An item scores how often it was in one basket with the items of the history.

    With n_i the baskets that hold i and n_ij those that hold i and j, the weight from i to j is

        n_ij / (n_i n_j^target_power + shrinkage)

    With `target_power` 0 it is the confidence of the rule i -> j, with 1 in proportion to its lift (Agrawal, Imielinski
    and Swami, "Mining association rules between sets of items in large databases", SIGMOD 1993; Brin et al., SIGMOD
    1997). The similar items of an item are those bought together with it.

    Example:
        Users of the toy data have an interaction a minute.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.Together(gap_minutes=1).fit(toy_dataset())
        >>> sorted(model.recommend(["i0", "i2"], k=4).ids())
        ['i10', 'i4', 'i6', 'i8']
    """

    gap_minutes: GapMinutes = 0.0
    target_power: Annotated[
        float,
        Ge(0),
        Le(1),
        Search(0, 1),
        Doc("Power of the baskets of the item scored, a divisor; a higher one favours rare items."),
    ] = 0.5
    shrinkage: Annotated[
        float,
        Ge(0),
        Search(0.1, 1000, log=True),
        Doc("Added to the divisor, so that weights from few baskets shrink."),
    ] = 5.0
    neighbours: Annotated[int, Ge(1), Search(10, 1000, log=True), Doc("How many other items each item keeps.")] = 200
    history_half_life: HalfLife | None = None

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if dataset.timestamp is None:
            raise DataError("together: needs timestamps, which tell what is in one basket; the data has none")
        baskets = basket_matrix(dataset.history(), self.gap_minutes)
        if baskets.nnz == baskets.shape[0]:
            log.line(
                "together: no basket holds two items; a larger gap_minutes joins interactions that are near in time"
            )
        held = np.bincount(baskets.indices, minlength=dataset.n_items).astype(np.float64)
        target = held**self.target_power
        self.item_weights_ = nearest_neighbours(baskets, held, target, self.neighbours, self.shrinkage)
