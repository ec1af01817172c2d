"""EASE in neighbourhoods: each item is regressed on the items nearest to it. For catalogues too large for `ease`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.log import SILENT, Log
from genre.options import Doc, Ge
from genre.recommenders.ease import Ridge, announce, solve_ease
from genre.recommenders.item_weights import HalfLife, ItemWeights
from genre.recommenders.overlap import column_norms, nearest_neighbours, value_order
from genre.recommenders.topk import top_k_cosine

SHARED = 0.1  # the nearest share of a neighbourhood that takes its weights from the same solution as the centre


@dataclass(eq=False)
class EASENeighbours(ItemWeights):
    """Each item is predicted by a ridge regression on its nearest items, those with the highest cosine of their users.

    Harald Steck, "Markov random fields for collaborative filtering", NeurIPS 2019. The regression of an item is that of
    `ease` with the rest of the catalogue left out, so that memory grows with the catalogue and not with its square.
    Weights between items that are no neighbours are lost: on catalogues that `ease` can hold, `ease` ranks better.
    """

    regularization: Ridge = 300.0
    neighbours: Annotated[int, Ge(1), Doc("Items that each item is predicted by.")] = 1_000
    history_half_life: HalfLife | None = None

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        self.item_weights_, _ = solve_neighbourhoods(dataset.matrix(), self.regularization, self.neighbours, log=log)


def solve_neighbourhoods(
    matrix: sp.csr_matrix,
    regularization: float,
    neighbours: int,
    features: Float32 | None = None,
    *,
    log: Log = SILENT,
) -> tuple[sp.csr_matrix, Float32]:
    """Return the weights of EASE, each column solved within the neighbourhood of its item.

    Popular items come first. The nearest tenth of a neighbourhood takes its columns from the solution of the centre and
    is not solved again.

    Args:
        matrix: X, weights above zero `[n_users, n_items]`, columns sorted.
        regularization: Ridge on the diagonal of each Gram matrix.
        neighbours: Nearest items by the cosine of their users; with features, as many again by the cosine of these.
        features: Further rows of X, transposed, `[n_items, n_rows]`.
        log: Where progress is shown.

    Returns:
        B, CSR `[n_items, n_items]`, and diag(P) of the neighbourhood that each column comes from `[n_items]`.
    """
    columns, n_items = matrix.tocsc(), matrix.shape[1]
    norms, order = column_norms(matrix), value_order(matrix)
    rank = np.argsort(order)  # place of each item in `order`
    near = nearest_neighbours(matrix, norms, norms, neighbours)  # [n_items, n_items]
    announce(log, n_items, f"each by its {neighbours:,} nearest")
    diagonal, left = np.zeros(n_items, np.float32), np.ones(n_items, bool)
    found = [(np.empty(0, np.int32), np.empty(0, np.float32))] * n_items  # rows and weights of each column
    for item in log.track(order, "ease"):
        if not left[item]:
            continue
        nearest = _neighbourhood(int(item), near[item], rank, neighbours, features)
        by_row = np.argsort(nearest)
        members = nearest[by_row].astype(np.int32)
        part = columns[:, members].tocsr()  # [n_users, n_members]
        part.sort_indices()
        weights, inverse = solve_ease(part, regularization, None if features is None else features[members])
        for at in np.flatnonzero((by_row <= SHARED * len(by_row)) & left[members]):
            found[members[at]] = members, weights[:, at].copy()
            diagonal[members[at]], left[members[at]] = inverse[at], False
    indptr = np.cumsum([0] + [len(rows) for rows, _ in found])
    rows, data = np.concatenate([rows for rows, _ in found]), np.concatenate([data for _, data in found])
    weights = sp.csc_matrix((data, rows, indptr), shape=(n_items, n_items)).tocsr()
    weights.eliminate_zeros()
    return weights, diagonal


def _neighbourhood(
    item: int, near: sp.csr_matrix, rank: npt.NDArray[np.int64], neighbours: int, features: Float32 | None
) -> Int32:
    """Return the item itself, then its nearest by users, then those by features that are not among them.

    rank: of equally near items the lower rank comes first `[n_items]`.
    """
    nearest = np.concatenate([[item], near.indices[np.lexsort((rank[near.indices], -near.data))]])
    if features is not None:
        alike = top_k_cosine(features, np.array([item], np.int32), neighbours)[0][0]
        nearest = np.concatenate([nearest, alike[~np.isin(alike, nearest)]])
    return nearest
