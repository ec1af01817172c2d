"""EASE with item features: items with like features help each other, and new items are placed by theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.linear_algebra import check_width, unit_rows
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, Gt, Search
from genre.recommenders.ease import Ridge, require_memory, solve_ease
from genre.recommenders.ease_neighbours import solve_neighbourhoods
from genre.recommenders.item_weights import HalfLife, ItemWeights

Neighbours = Annotated[
    int,
    Ge(1),
    Doc("Items that each is predicted by, as in `ease_neighbours`, and as many again by features. None: all others."),
]


@dataclass(eq=False)
class EASEFeatures(ItemWeights):
    """EASE on the interactions with the features of the items as further rows below them.

    Olivier Jeunen, Jan Van Balen and Bart Goethals, "Closed-form models for collaborative filtering with
    side-information", RecSys 2020. With F the centred features as unit vectors `[n_items, dim]`, the Gram matrix of
    `ease` becomes

        X'X + feature_weight * F F'.
    """

    regularization: Ridge = 300.0
    feature_weight: Annotated[
        float, Gt(0), Search(1, 1000, log=True), Doc("Users in common that equal features are worth.")
    ] = 10.0
    neighbours: Neighbours | None = None
    history_half_life: HalfLife | None = None

    learns: ClassVar[tuple[str, ...]] = ("inverse_diagonal_", "features_", "center_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if dataset.item_features is None:
            raise DataError("ease_features: needs item features; name an encoder of items under `features`")
        self.center_ = dataset.item_features.values.mean(axis=0)
        self.features_ = self._unit(dataset.item_features.values)  # F
        matrix, below = dataset.matrix(), self.features_ * np.float32(self.feature_weight**0.5)
        if self.neighbours is None:
            require_memory("ease_features", dataset.n_items, "set neighbours, such as 1000")
            self.item_weights_, self.inverse_diagonal_ = solve_ease(matrix, self.regularization, below, log=log)
        else:
            self.item_weights_, self.inverse_diagonal_ = solve_neighbourhoods(
                matrix, self.regularization, self.neighbours, below, log=log
            )

    def _unit(self, features: Float32) -> Float32:
        """Return centred unit vectors; an item without features stays at zero, `[n, dim]`."""
        return unit_rows(check_width(features, self.center_, "ease_features"), self.center_)

    def _extend(self, features: Float32) -> None:
        """Add rows and columns as a fit would, in which the new items have no interactions.

        For one new item with features f, the Gram matrix grows by the column g = feature_weight * F f and the corner
        c = regularization + feature_weight * |f|^2. The inverse of the larger matrix (Schur complement) has

            -P g / s  beside P,    1 / s  in the corner,    P + (P g)(P g)' / s  in place of P,    s = c - g' P g,

        so B gets the column P g for the new item, and from it to item i the weight (P g)_i / (s P_ii + (P g)_i^2).
        P itself is (I - B) diag(P). Weights among known items stay as they are.
        """
        new, known, inverse = self._unit(features), self.item_weights_, self.inverse_diagonal_
        g = (self.features_ @ new.T) * np.float32(self.feature_weight)  # [n_items, n_new]
        scaled = inverse[:, None] * g
        to_new = scaled - known @ scaled  # P g [n_items, n_new]
        corner = self.regularization + self.feature_weight * (new**2).sum(axis=1)  # [n_new]
        s = np.maximum(corner - (g * to_new).sum(axis=0), self.regularization)
        from_new = to_new / (s * inverse[:, None] + to_new**2)  # [n_items, n_new]
        blocks = [[known, to_new], [from_new.T, np.zeros((len(new), len(new)), np.float32)]]
        self.item_weights_ = sp.csr_matrix(sp.bmat(blocks)) if sp.issparse(known) else np.block(blocks)
        self.item_weights_ = self.item_weights_.astype(np.float32)
        self.features_ = np.concatenate([self.features_, new])
        self.inverse_diagonal_ = np.append(inverse, 1 / s).astype(np.float32)
