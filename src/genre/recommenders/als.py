"""ALS: matrix factorisation of implicit feedback. `kernels/ridge.py` solves its systems, row by row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.linear_algebra import check_width, ridge_map, unit_rows, with_constant
from genre.errors import DataError, NotSupported, OptionError
from genre.log import Log
from genre.options import Doc, Ge, Gt, Le, Search
from genre.recommenders.factors import Factors
from genre.threads import map_slices

CG_STEPS = 2  # one step more does not lower the loss, and takes a third more time
CG_MIN_FACTORS = 64  # from here on a few steps are as good as the solution and cost a third (decision 142)
ROTATED_AT_ONCE = 8192  # vectors multiplied at once, so that no second table of them is held
LEAST_ROWS = 512  # to solve, for which a thread of their own pays
EPS = 1e-12  # avoids 0 / 0


class RowSystems(NamedTuple):
    """What the equations of all users, or of all items, are made of.

    Attributes:
        indptr: Row `r` has the interactions `indptr[r]` to `indptr[r + 1]`. int64 `[n + 1]`
        other: The item (or user) of each interaction. int32 `[nnz]`
        excess: c - 1 of each interaction, its confidence above that of other pairs. float32 `[nnz]`
        ridge: Penalty of each row. float32 `[n]`
    """

    indptr: Int64
    other: Int32
    excess: Float32
    ridge: Float32


@dataclass(eq=False)
class ALS(Factors):
    """Users and items are vectors whose product is one where a user interacted with an item and zero elsewhere.

    Yifan Hu, Yehuda Koren and Chris Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008. With
    the confidence c_ui = 1 + alpha * weight_ui of an interaction, and 1 for every other pair, it minimises over the
    user vectors x_u and the item vectors y_i

        sum over all u, i of  c_ui (p_ui - x_u . y_i)^2  +  sum of ridge |x_u|^2  +  sum of ridge |y_i|^2

    where p_ui is 1 for an interaction and 0 otherwise, by solving for all users with the items fixed and the reverse.
    With `feature_weight` the last term is ridge |y_i - feature_weight * map(features_i)|^2; the linear map is fitted
    anew in each iteration, by ridge regression of the item vectors on their features. No user vectors are kept: a
    history is solved for when it is scored, with the item vectors in the eigenbasis of their Gram matrix; `gram_` is
    its diagonal. This is the ranking form; `rating_factors` factorises ratings.

    Example:
        Users of the toy data like either even or odd items.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.ALS(factors=4, regularization=0.5).fit(toy_dataset())
        >>> sorted(model.recommend(["i0", "i2"], k=4).ids())
        ['i10', 'i4', 'i6', 'i8']
    """

    factors: Annotated[int, Ge(1), Search(16, 256, log=True), Doc("Length of the vectors.")] = 64
    iterations: Annotated[int, Ge(1), Doc("Sweeps over users and items.")] = 12
    regularization: Annotated[
        float, Gt(0), Search(0.1, 200, log=True), Doc("L2 penalty on every vector, the ridge of the formula.")
    ] = 50.0
    frequency: Annotated[
        float,
        Ge(0),
        Doc(
            "The penalty of a vector is multiplied by (1 + sum of alpha * weight) to this power; 0: not at all (Rendle "
            "et al., 'Revisiting the performance of iALS on item recommendation benchmarks', RecSys 2022)."
        ),
    ] = 0.0
    alpha: Annotated[float, Gt(0), Search(0.5, 50, log=True), Doc("Confidence added for each unit of weight.")] = 10.0
    feature_weight: Annotated[
        float,
        Ge(0),
        Le(1),
        Doc(
            "How far item vectors are drawn to a linear function of their features instead of to zero, 0 to 1. Above "
            "zero, items without interactions are placed by their features."
        ),
    ] = 0.0
    solver: Annotated[
        Literal["auto", "exact", "cg", "mllib"],
        Doc(
            "Exact solutions, or two steps of conjugate gradients (Takacs et al., 'Applications of the conjugate "
            "gradient method for implicit feedback collaborative filtering', RecSys 2011). auto: cg from 64 factors "
            "on. mllib: item vectors by MLlib on the workers of `engine: {kind: spark}`; needs frequency: 1."
        ),
    ] = "auto"
    seed: Annotated[int, Doc("Seed of the first item vectors.")] = 0

    extends_when: ClassVar[str] = "with feature_weight"
    learns: ClassVar[tuple[str, ...]] = ("gram_",)  # `map_` and `center_` only with feature_weight

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solver == "mllib" and (self.frequency != 1 or self.feature_weight):
            raise OptionError(
                "ALS: solver: mllib: the penalty of MLlib is that of frequency: 1, and it knows no features; here "
                f"frequency is {self.frequency:g} and feature_weight {self.feature_weight:g}; set frequency: 1 with a "
                "smaller regularization (about .02 in place of 50), or choose another solver"
            )

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if self.solver == "mllib":
            from genre.recommenders.mllib import items_by_mllib

            options = {
                name: getattr(self, name) for name in ("factors", "iterations", "regularization", "alpha", "seed")
            }
            self._keep(items_by_mllib(dataset.matrix(), **options))
            return
        features = self._unit_features(dataset)  # [n_items, dim + 1], or no rows
        counts = np.bincount(dataset.item[dataset.weight > 0], minlength=dataset.n_items)  # [n_items]
        by_user = dataset.matrix()
        by_item = by_user.T.tocsr()
        rng = np.random.default_rng(self.seed)
        items = rng.normal(0, 0.1, (dataset.n_items, self.factors)).astype(np.float32)  # y
        users = np.zeros((dataset.n_users, self.factors), np.float32)  # x
        of_users, of_items = self._equations(by_user), self._equations(by_item)
        no_pull = np.zeros((0, self.factors), np.float32)
        for _ in log.track(range(self.iterations), "als"):
            gram_diagonal = rotate_to_eigenbasis(items, users)  # turns both in place
            self._solve(of_users, items, gram_diagonal, no_pull, users)
            gram_diagonal = rotate_to_eigenbasis(users, items)
            pull = self._pull(features, items, counts, of_items.ridge)  # of the items as they are turned now
            self._solve(of_items, users, gram_diagonal, pull, items)
        self._keep(items)
        if len(features):
            self.map_ = ridge_map(features, self.item_embeddings_, counts, self.regularization)
            # An item without interactions is where the map puts it, whatever `feature_weight` is, as is a new one:
            # nothing else speaks for a place. `gram_` stays that of the learnt vectors: users had
            # no chance to take such an item.
            self.item_embeddings_[counts == 0] = features[counts == 0] @ self.map_

    def _keep(self, items: Float32) -> None:
        """Keep item vectors in the eigenbasis of their Gram matrix."""
        self.gram_, axes = principal_axes(items)  # [factors]
        self.item_embeddings_ = np.ascontiguousarray(items @ axes)  # [n_items, factors]

    def _equations(self, matrix: sp.csr_matrix) -> RowSystems:
        """Return the rows of a matrix of weights, which is overwritten: c - 1 = alpha * weight takes their place."""
        matrix.data *= np.float32(self.alpha)
        indptr = np.asarray(matrix.indptr, np.int64)
        return RowSystems(indptr, np.asarray(matrix.indices, np.int32), matrix.data, self._ridge(indptr, matrix.data))

    def _pull(self, features: Float32, items: Float32, counts: Int64, ridge: Float32) -> Float32:
        """Return ridge * feature_weight * map(features) of each item `[n_items, factors]`; no rows without features."""
        if not len(features):
            return np.zeros((0, self.factors), np.float32)
        target = features @ ridge_map(features, items, counts, self.regularization)
        return np.asarray(self.feature_weight * ridge[:, None] * target, np.float32)

    def _ridge(self, indptr: Int64, excess: Float32) -> Float32:
        """Return the ridge of each row: regularization * (1 + sum of c - 1)^frequency."""
        if self.frequency == 0:
            return np.full(len(indptr) - 1, self.regularization, np.float32)
        sums = np.concatenate([[0.0], np.cumsum(excess, dtype=np.float64)])[indptr]
        return np.asarray(self.regularization * (np.diff(sums) + 1) ** self.frequency, np.float32)

    def _solve(
        self, equations: RowSystems, fixed: Float32, gram_diagonal: Float32, pull: Float32, solved: Float32
    ) -> None:
        """Set each row x of `solved` to the minimum with `fixed` given, or move it there by a few steps.

        The minimum solves, with the sums over the interactions of the row and Y all fixed vectors,

            (Y'Y + ridge I + sum of (c - 1) y y') x = pull + sum of c y,

        where Y'Y is a diagonal matrix. A `pull` without rows is zero.
        """
        from genre.kernels.ridge import improve_rows, solve_rows

        indptr, other, excess, ridge = equations
        approximate = self.solver == "cg" or (self.solver == "auto" and self.factors >= CG_MIN_FACTORS)

        def solve(rows: slice) -> None:
            ends = indptr[rows.start : rows.stop + 1]
            system = ends, other, excess, fixed, gram_diagonal, ridge[rows], pull[rows]  # a slice of no rows is no rows
            if approximate:
                improve_rows(system, solved[rows], CG_STEPS)
            else:
                solve_rows(system, solved[rows])

        map_slices(solve, len(solved), least=LEAST_ROWS)

    def _queries(self, history: History) -> Float32:
        """Return the exact solution for each history `[n, factors]`; steps of cg would need a start to improve."""
        from genre.kernels.ridge import solve_rows

        users = np.zeros((len(history), self.factors), np.float32)
        indptr, item, excess, ridge = self._equations(history.matrix())
        no_pull = np.zeros((0, self.factors), np.float32)

        def solve(rows: slice) -> None:
            ends = indptr[rows.start : rows.stop + 1]
            system = ends, item, excess, self.item_embeddings_, self.gram_, ridge[rows], no_pull
            solve_rows(system, users[rows])

        map_slices(solve, len(users), least=LEAST_ROWS)
        return users

    def _query_terms(self, history: History) -> Float32:
        """Return the terms of x = A^-1 (sum of c y), one for each interaction of one history, `[length, factors]`.

        Several interactions with one item have one confidence together; each has a share in proportion to its weight.
        """
        seen = self.item_embeddings_[history.item]  # [length, factors]
        excess = self.alpha * history.weight  # [length]
        ridge = self._ridge(np.array([0, len(excess)]), excess)
        matrix = np.diag(self.gram_ + ridge) + (seen.T * excess) @ seen  # A [factors, factors]
        _, place = np.unique(history.item, return_inverse=True)
        of_item = np.bincount(place, excess)[place]  # c - 1 of the item of each interaction
        coefficient = excess / np.maximum(of_item, EPS) * (1 + of_item)  # the share in it, times c
        return np.asarray(np.linalg.solve(matrix, seen.T).T * coefficient[:, None], np.float32)

    def _unit_features(self, dataset: Dataset) -> Float32:
        """Return centred unit vectors and a constant for each item, or no rows without `feature_weight`.

        The mean is kept as `center_`: new items are centred by it, too.
        """
        if not self.feature_weight:
            return np.zeros((0, 1), np.float32)
        if dataset.item_features is None:
            raise DataError("als: feature_weight needs item features; name an encoder of items under `features`")
        self.center_ = dataset.item_features.values.mean(axis=0)
        return with_constant(unit_rows(dataset.item_features.values, self.center_))

    def _extend(self, features: Float32) -> None:
        if not self.feature_weight:
            raise NotSupported("ALS places new items by their features alone; fit it with feature_weight above zero")
        new = with_constant(unit_rows(check_width(features, self.center_, "als"), self.center_)) @ self.map_
        self.item_embeddings_ = np.concatenate([self.item_embeddings_, new])


def rotate_to_eigenbasis(fixed: Float32, solved: Float32) -> Float32:
    """Turn both sides, in place, to the axes in which the Gram matrix of the fixed side is diagonal.

    A rotation changes no product of a user and an item, and the product of a diagonal Gram matrix and a vector takes
    `dim` multiplications in place of `dim * dim`.

    Args:
        fixed: Vectors of the side whose Gram matrix is needed `[n_fixed, dim]`.
        solved: Vectors of the other side `[n_solved, dim]`.

    Returns:
        The diagonal of the Gram matrix `[dim]`.
    """
    gram, axes = principal_axes(fixed)
    for vectors in (fixed, solved):
        map_slices(partial(_turn, vectors, axes), len(vectors), least=ROTATED_AT_ONCE, multiple=ROTATED_AT_ONCE)
    return gram


def _blocks(rows: slice) -> Iterator[slice]:
    """Divide rows into blocks of `ROTATED_AT_ONCE`."""
    return (
        slice(start, min(start + ROTATED_AT_ONCE, rows.stop)) for start in range(rows.start, rows.stop, ROTATED_AT_ONCE)
    )


def _turn(vectors: Float32, axes: Float32, rows: slice) -> None:
    """Turn some vectors in place, a block after the other."""
    for block in _blocks(rows):
        vectors[block] = vectors[block] @ axes


def principal_axes(vectors: Float32) -> tuple[Float32, Float32]:
    """Return the eigenvalues and eigenvectors of a Gram matrix.

    Args:
        vectors: `[n, dim]`.

    Returns:
        The eigenvalues `[dim]` and, as columns, the eigenvectors `[dim, dim]`.
    """

    def grams(rows: slice) -> list[npt.NDArray[np.float64]]:
        blocks = (vectors[block].astype(np.float64) for block in _blocks(rows))
        return [block.T @ block for block in blocks]

    # added up in the order of the blocks, so that the number of threads changes no bit
    gram = sum(
        itertools.chain(*map_slices(grams, len(vectors), least=ROTATED_AT_ONCE, multiple=ROTATED_AT_ONCE)), np.zeros(())
    )
    values, axes = np.linalg.eigh(gram)
    return np.maximum(values, 0).astype(np.float32), np.ascontiguousarray(axes, np.float32)
