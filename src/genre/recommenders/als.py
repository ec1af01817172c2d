"""ALS: matrix factorisation of implicit feedback; histories are folded in by the same solve that trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.data.linear import of_width, ridge_map, unit_rows, with_one
from genre.errors import DataError, NotSupported
from genre.log import Log
from genre.options import DEFAULT_K, Ge, Gt, Le, Search
from genre.recommenders.base import Recommendations, Recommender
from genre.recommenders.explanation import Method
from genre.recommenders.topk import top_k_cosine

CG_STEPS = 2  # a third one lowers the loss no further, for a third more time
CG_FROM = 96  # factors from which a few steps towards the solution are cheaper than the solution
BLOCK = 8192  # vectors multiplied at once, so that no second table of them is held
TINY = 1e-12


@dataclass(eq=False)
class ALS(Recommender):
    """Users and items are vectors; what was seen weighs more than what was not (Hu, Koren & Volinsky, ICDM 2008).

    The confidence of an interaction is 1 + alpha * weight, that of everything else 1. Each half of an iteration turns
    the basis so that the Gram matrix of the fixed side is diagonal, which leaves only the history to be solved for;
    no user vectors are kept: a history is solved for when it is scored. This is the ranking form; `rating_factors`
    factorises ratings.

    factors: length of the vectors. iterations: sweeps over both sides.
    regularization: the ridge on every vector. frequency: power of a row's confidence that its ridge grows by, 0 to 1
    (Rendle et al., RecSys 2022: "Revisiting the performance of iALS").
    alpha: confidence added for each unit of weight.
    feature_weight: how far item vectors are drawn to what their features say (a linear map, fitted anew in each
    iteration) instead of to zero, 0 to 1; above zero, items that nobody has touched stand where their features say.
    solver: exact solutions, or two steps of conjugate gradients (Takacs et al., 2011); auto: cg above 95 factors.
    seed: of the first item vectors.
    """

    factors: Annotated[int, Ge(1), Search(16, 256, log=True)] = 64
    iterations: Annotated[int, Ge(1)] = 12
    regularization: Annotated[float, Gt(0), Search(0.1, 200, log=True)] = 50.0
    frequency: Annotated[float, Ge(0)] = 0.0
    alpha: Annotated[float, Gt(0), Search(0.5, 50, log=True)] = 10.0
    feature_weight: Annotated[float, Ge(0), Le(1)] = 0.0
    solver: Literal["auto", "exact", "cg"] = "auto"
    seed: int = 0

    extends: ClassVar[str] = "with feature_weight"
    explains: ClassVar[Method] = "exact"
    learns: ClassVar[tuple[str, ...]] = ("item_embeddings_", "gram_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        from genre.kernels.ridge import improve_rows, solve_rows

        told = self._told_of(dataset)  # [n_items, dim + 1], or no rows
        touched = np.bincount(dataset.item, dataset.weight > 0, dataset.n_items) if len(told) else np.zeros(0)
        matrices = [dataset.matrix()]
        matrices.append(matrices[0].T.tocsr())
        rng = np.random.default_rng(self.seed)
        items = rng.normal(0, 0.1, (dataset.n_items, self.factors)).astype(np.float32)
        users = np.zeros((dataset.n_users, self.factors), np.float32)
        cg = self.solver == "cg" or (self.solver == "auto" and self.factors >= CG_FROM)
        systems = [self._system(matrix) for matrix in matrices]
        ridges = [self._ridge(indptr, weight) for indptr, _, weight in systems]
        for _ in log.track(range(self.iterations), "als"):
            for system, ridge, fixed, moving in zip(systems, ridges, (items, users), (users, items), strict=True):
                diagonal, turn = diagonalise(fixed)
                for vectors in (fixed, moving):
                    for start in range(0, len(vectors), BLOCK):
                        vectors[start : start + BLOCK] = vectors[start : start + BLOCK] @ turn
                right = np.zeros((0, self.factors), np.float32)
                if moving is items and len(told):
                    drawn_to = told @ ridge_map(told, items, touched, self.regularization)
                    right = np.asarray(self.feature_weight * ridge[:, None] * drawn_to, np.float32)
                if cg:
                    improve_rows(*system, fixed, diagonal, ridge, right, moving, CG_STEPS)
                else:
                    solve_rows(*system, fixed, diagonal, ridge, right, moving)
        self.gram_, turn = diagonalise(items)  # [factors]
        self.item_embeddings_ = np.ascontiguousarray(items @ turn)  # [n_items, factors]
        if len(told):
            self.map_ = ridge_map(told, self.item_embeddings_, touched, self.regularization)  # [dim + 1, factors]
            self.item_embeddings_[touched == 0] = told[touched == 0] @ self.map_

    def _told_of(self, dataset: Dataset) -> Float32:
        """What the features of the items say; no rows where they are not asked. [n_items, dim + 1]"""
        if not self.feature_weight:
            return np.zeros((0, 1), np.float32)
        if dataset.item_features is None:
            raise DataError("als: feature_weight needs item features; name an encoder of items under `features`")
        self.center_ = dataset.item_features.values.mean(axis=0)
        return with_one(unit_rows(dataset.item_features.values, self.center_))

    def _extend(self, features: Float32) -> None:
        if not self.feature_weight:
            raise NotSupported("ALS places new items by their features alone; fit it with feature_weight above zero")
        new = with_one(unit_rows(of_width(features, self.center_, "als"), self.center_)) @ self.map_
        self.item_embeddings_ = np.concatenate([self.item_embeddings_, new])

    def _system(self, matrix: sp.csr_matrix) -> tuple[Int64, Int32, Float32]:
        """indptr, item, and the confidence above one, which takes the place of the weights."""
        matrix.data *= np.float32(self.alpha)
        return np.asarray(matrix.indptr, np.int64), np.asarray(matrix.indices, np.int32), matrix.data

    def _ridge(self, indptr: Int64, beyond: Float32) -> Float32:
        """The ridge of each row, grown by its confidence; beyond: the confidence above one of each interaction."""
        if self.frequency == 0:
            return np.full(len(indptr) - 1, self.regularization, np.float32)
        sums = np.concatenate([[0.0], np.cumsum(beyond, dtype=np.float64)])[indptr]
        return np.asarray(self.regularization * (np.diff(sums) + 1) ** self.frequency, np.float32)

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        from genre.kernels.ridge import solve_rows

        users = np.zeros((len(history), self.factors), np.float32)
        indptr, item, beyond = self._system(history.matrix())
        ridge, nothing = self._ridge(indptr, beyond), np.zeros((0, self.factors), np.float32)
        solve_rows(indptr, item, beyond, self.item_embeddings_, self.gram_, ridge, nothing, users)
        return users, self.item_embeddings_

    def _score(self, history: History) -> Float32:
        users, items = self._factors(history)
        return np.asarray(users @ items.T, np.float32)

    def _query_terms(self, history: History) -> Float32:
        """The solution by what each interaction says; several of one item say together what their weights add up to."""
        seen, weight = self.item_embeddings_[history.item], self.alpha * history.weight
        ridge = self._ridge(np.array([0, len(weight)]), weight)
        system = np.diag(self.gram_ + ridge) + (seen.T * weight) @ seen
        together = np.bincount(history.item, weight, history.n_items)[history.item]
        share = weight / np.maximum(together, TINY) * (1 + together)
        return np.asarray(np.linalg.solve(system, seen.T).T * share[:, None], np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        return self.item_embeddings_[items] @ self._query_terms(history).T

    def similar_items(self, items: Int32, *, k: int = DEFAULT_K) -> Recommendations:
        """The `k` items whose vectors have the highest cosine with each item's."""
        self._fitted()
        return Recommendations(*top_k_cosine(self.item_embeddings_, items, k), self.item_ids_)


def diagonalise(vectors: Float32) -> tuple[Float32, Float32]:
    """The eigenvalues `[dim]` of the Gram matrix and the turn `[dim, dim]` that makes it diagonal."""
    gram = np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK].astype(np.float64)
        gram += block.T @ block
    values, turn = np.linalg.eigh(gram)
    return np.maximum(values, 0).astype(np.float32), np.ascontiguousarray(turn, np.float32)
