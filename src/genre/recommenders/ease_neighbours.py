"""EASE in neighbourhoods: each item is regressed on the items nearest to it. For catalogues too large for `ease`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.log import SILENT, Log
from genre.options import Doc, Ge
from genre.recommenders.ease import Ridge, add_products, announce, indefinite
from genre.recommenders.item_weights import HalfLife, ItemWeights
from genre.recommenders.overlap import column_norms, in_catalogue_rows, nearest_neighbours, value_order
from genre.recommenders.topk import top_k_cosine
from genre.threads import blas_threads

POPULAR = 8_192  # items whose products take 268 MB
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

    Raises:
        TrainingError: If a Gram matrix is not positive definite in single precision.
    """
    from genre.kernels.inverse import columns_of_inverse

    n_items, order = matrix.shape[1], value_order(matrix)
    grams = _Grams(matrix.tocsc()[:, order])
    norms = column_norms(grams.rows)
    near = nearest_neighbours(grams.rows, norms, norms, neighbours)  # [n_items, n_items]
    features = None if features is None else features[order]
    announce(log, n_items, f"each by its {neighbours:,} nearest")
    diagonal, left = np.zeros(n_items, np.float32), np.ones(n_items, bool)
    found = [(np.empty(0, np.int32), np.empty(0, np.float32))] * n_items  # rows and weights of each column
    with blas_threads():  # matrices of a neighbourhood are too small for more
        for item in log.track(range(n_items), "ease"):
            if not left[item]:
                continue
            nearest = _neighbourhood(item, near[item], neighbours, features)
            by_rank = np.argsort(nearest)
            members = nearest[by_rank].astype(np.int32)
            gram = grams.among(members)
            if features is not None:
                theirs = features[members]
                gram += theirs @ theirs.T
            gram[np.diag_indices(len(gram))] += np.float32(regularization)
            solved = np.flatnonzero((by_rank <= SHARED * len(by_rank)) & left[members])
            columns = columns_of_inverse(gram, solved)  # of P [n_solved, n_members]
            if columns is None:
                raise indefinite(regularization)
            diagonal[members[solved]] = columns[np.arange(len(solved)), solved]
            left[members[solved]] = False
            for at, column in zip(solved, columns, strict=True):
                weights = column / -column[at]
                weights[at] = 0
                found[members[at]] = members, weights
    indptr = np.cumsum([0] + [len(rows) for rows, _ in found])
    rows, data = np.concatenate([rows for rows, _ in found]), np.concatenate([data for _, data in found])
    weights = in_catalogue_rows(sp.csc_matrix((data, rows, indptr), shape=(n_items, n_items)).tocsr(), order)
    weights.eliminate_zeros()
    return weights, diagonal[np.argsort(order)]


class _Grams:
    """Gram matrices of neighbourhoods. Popular items are in most of them: their products are computed once."""

    def __init__(self, columns: sp.csc_matrix) -> None:
        """Multiply the columns of the most popular items.

        Args:
            columns: X, weights above zero `[n_users, n_items]`, the most popular item first.
        """
        self.columns, self.rows = columns, columns.tocsr()
        n_items = columns.shape[1]
        head = self.columns[:, :POPULAR]
        self.popular = np.zeros((head.shape[1], head.shape[1]), np.float32)  # upper triangle
        add_products(self.popular, head.tocsr())
        self._place, self._total = np.full(n_items, -1, np.int32), np.zeros(n_items, np.float32)

    def among(self, members: Int32) -> Float32:
        """Return the upper triangle of the products of some columns.

        Args:
            members: Items, ascending `[n]`.

        Returns:
            The products, zeros below the diagonal `[n, n]`.
        """
        from genre.kernels.gram import add_gram_among

        gram = np.zeros((len(members), len(members)), np.float32)
        known = int(np.searchsorted(members, len(self.popular)))
        gram[:known, :known] = self.popular[np.ix_(members[:known], members[:known])]
        rows, columns = ((one.indptr, one.indices, one.data) for one in (self.rows, self.columns))
        self._place[members] = np.arange(len(members))
        add_gram_among(rows, columns, members, known, self._place, self._total, gram)
        self._place[members] = -1
        return gram


def _neighbourhood(item: int, near: sp.csr_matrix, neighbours: int, features: Float32 | None) -> Int32:
    """Return the item itself, then its nearest by users, then those by features that are not among them.

    Of equally near items the more popular one comes first.
    """
    nearest = np.concatenate([[item], near.indices[np.lexsort((near.indices, -near.data))]])
    if features is not None:
        alike = top_k_cosine(features, np.array([item], np.int32), neighbours)[0][0]
        nearest = np.concatenate([nearest, alike[~np.isin(alike, nearest)]])
    return nearest
