"""EASE: an item-item regression with a closed-form solution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.data.linear import of_width, unit_rows
from genre.errors import DataError, NotSupported, TrainingError
from genre.log import SILENT, Log
from genre.options import Ge, Gt, Search
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import Method
from genre.recommenders.topk import top_k_cosine

DENSE_UP_TO = 20_000  # items: 1.6 GB of weights
MOST_NEIGHBOURS = 1_000  # where there are more items than that
TOLD_FROM = 5_000  # items: smaller catalogues are solved in a moment
SHARED = 0.1  # the nearest share of a neighbourhood that is solved together with its centre


@dataclass(eq=False)
class EASE(Recommender):
    """Each item is predicted by a ridge regression on all others (Steck, WWW 2019: B = I - P diag(P)^-1).

    Large catalogues are solved in overlapping neighbourhoods (Steck, NeurIPS 2019: "Markov random fields for
    collaborative filtering"), whose memory grows with the catalogue and not with its square; what an item has to say
    of items outside its neighbourhood is lost. Item features can stand under the interactions as further rows
    (Jeunen et al., RecSys 2020: "Closed-form models for collaborative filtering with side-information").

    regularization: the ridge on the item-item Gram matrix, in units of interactions.
    history_half_life: interactions after which one counts half as much when scored; None: all count alike.
    feature_weight: users in common that equal features are worth; above zero, new items can be placed by theirs.
    neighbours: how many items each is predicted by; None: all others, above 20,000 items 1,000.
    """

    regularization: Annotated[float, Gt(0), Search(10, 3000, log=True)] = 300.0
    history_half_life: Annotated[float, Gt(0), Search(1, 100, log=True)] | None = None
    feature_weight: Annotated[float, Ge(0)] = 0.0
    neighbours: Annotated[int, Ge(1)] | None = None

    extends: ClassVar[str] = "with feature_weight"
    explains: ClassVar[Method] = "exact"
    learns: ClassVar[tuple[str, ...]] = ("item_weights_", "inverse_diagonal_", "features_", "center_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if self.feature_weight and dataset.item_features is None:
            raise DataError("ease: feature_weight needs item features; name an encoder of items under `features`")
        values = dataset.item_features.values if self.feature_weight and dataset.item_features else None
        self.center_ = np.zeros(0, np.float32) if values is None else values.mean(axis=0)
        self.features_ = self._unit(np.zeros((dataset.n_items, 0), np.float32) if values is None else values)
        most = self.neighbours or (MOST_NEIGHBOURS if dataset.n_items > DENSE_UP_TO else dataset.n_items)
        apart = most < dataset.n_items - 1
        if dataset.n_items >= TOLD_FROM:
            size = f"each by its {most:,} nearest" if apart else f"all at once in {4e-9 * dataset.n_items**2:.1f} GB"
            log.line(f"  ease: solving {dataset.n_items:,} items, {size}")
        if apart:
            self.item_weights_, self.inverse_diagonal_ = self._by_neighbourhood(dataset.matrix(), most, log)
        else:
            self.item_weights_, self.inverse_diagonal_ = self._solve(dataset.matrix(), self.features_)

    def _solve(self, matrix: sp.csr_matrix, features: Float32) -> tuple[Float32, Float32]:
        """The weights `[from, to]` between the columns of `matrix`, and the diagonal of P."""
        from genre.kernels.gram import add_gram, inverse_to_weights

        gram = np.asarray(features @ features.T * np.float32(self.feature_weight), np.float32)
        columns = matrix.tocsc()
        by_row, by_column = (
            (matrix.indptr, matrix.indices, matrix.data),
            (columns.indptr, columns.indices, columns.data),
        )
        add_gram(*by_row, *by_column, gram)
        gram[np.diag_indices_from(gram)] += np.float32(self.regularization)
        # in place: what is the upper triangle here is the lower one in Fortran's order
        _, failed = lapack.spotrf(gram.T, lower=True, clean=False, overwrite_a=True)
        if failed:
            raise TrainingError(f"ease: regularization {self.regularization:g} is too small to invert; raise it")
        lapack.spotri(gram.T, lower=True, overwrite_c=True)
        diagonal = gram.diagonal().copy()
        inverse_to_weights(gram)
        return gram, diagonal

    def _by_neighbourhood(self, matrix: sp.csr_matrix, most: int, log: Log = SILENT) -> tuple[sp.csr_matrix, Float32]:
        """Each item in turn, popular ones first, is solved with its nearest, together with the nearest of those."""
        from genre.recommenders.overlap import nearest_neighbours

        columns, n_items = matrix.tocsc(), matrix.shape[1]
        norms = np.sqrt(np.bincount(matrix.indices, matrix.data.astype(np.float64) ** 2, n_items))
        near = nearest_neighbours(matrix, norms, norms, most)
        diagonal, left = np.zeros(n_items, np.float32), np.ones(n_items, bool)
        found = [(np.empty(0, np.int32), np.empty(0, np.float32))] * n_items
        for item in log.track(np.argsort(-np.diff(columns.indptr), kind="stable"), "ease"):
            if not left[item]:
                continue
            row = near[item]
            nearest = np.concatenate([[item], row.indices[np.argsort(-row.data, kind="stable")]])
            if self.feature_weight:
                alike = top_k_cosine(self.features_, np.array([item], np.int32), most)[0][0]
                nearest = np.concatenate([nearest, alike[~np.isin(alike, nearest)]])
            order = np.argsort(nearest)
            members = nearest[order].astype(np.int32)
            part = columns[:, members].tocsr()
            part.sort_indices()
            weights, inverse = self._solve(part, self.features_[members])
            for at in np.flatnonzero((order <= SHARED * len(order)) & left[members]):
                found[members[at]] = members, weights[:, at].copy()
                diagonal[members[at]], left[members[at]] = inverse[at], False
        indptr = np.cumsum([0] + [len(rows) for rows, _ in found])
        rows, data = np.concatenate([rows for rows, _ in found]), np.concatenate([data for _, data in found])
        weights = sp.csc_matrix((data, rows, indptr), shape=(n_items, n_items)).tocsr()
        weights.eliminate_zeros()
        return weights, diagonal

    def _unit(self, features: Float32) -> Float32:
        """Centred unit vectors; an item without features stays at zero. [n, dim]"""
        return unit_rows(of_width(features, self.center_, "ease"), self.center_)

    def _extend(self, features: Float32) -> None:
        """P bordered by each new item: what a fit with that item unseen gives in its row and its column."""
        if not self.feature_weight:
            raise NotSupported("EASE places new items by their features alone; fit it with feature_weight above zero")
        new, known, inverse = self._unit(features), self.item_weights_, self.inverse_diagonal_
        shared = (self.features_ @ new.T) * np.float32(self.feature_weight)  # [n_items, n_new]
        scaled = inverse[:, None] * shared
        into = scaled - known @ scaled  # P shared, for P = (I - B) diag(P)
        own = self.regularization + self.feature_weight * (new**2).sum(axis=1)
        spare = np.maximum(own - (shared * into).sum(axis=0), self.regularization)  # what is left to the new item
        out_of = into / (spare * inverse[:, None] + into**2)
        blank = np.zeros((len(new), len(new)), np.float32)
        blocks = [[known, into], [out_of.T, blank]]
        self.item_weights_ = sp.csr_matrix(sp.bmat(blocks)) if sp.issparse(known) else np.block(blocks)
        self.item_weights_ = self.item_weights_.astype(np.float32)
        self.features_ = np.concatenate([self.features_, new])
        self.inverse_diagonal_ = np.append(inverse, 1 / spare).astype(np.float32)

    def _score(self, history: History) -> Float32:
        scores = history.decayed(self.history_half_life).matrix() @ self.item_weights_
        return np.asarray(scores.toarray() if sp.issparse(scores) else scores, np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        weights = self.item_weights_[history.item][:, items]
        weights = weights.toarray() if sp.issparse(weights) else weights
        return np.asarray(weights.T * history.decayed(self.history_half_life).weight, np.float32)
