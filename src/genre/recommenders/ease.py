"""EASE: an item-item regression with a closed-form solution. Knows the dense form only."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.errors import DataError, TrainingError
from genre.log import SILENT, Log
from genre.machine import machine_memory
from genre.options import Doc, Gt, Search
from genre.recommenders.item_weights import HalfLife, ItemWeights
from genre.threads import blas_threads, map_slices, n_threads

ANNOUNCED_FROM = 5_000  # items; smaller catalogues are solved in a moment
THREADED_FROM = 10_000  # items; with fewer, threads of BLAS wait for each other more than they save
SLICE = 256  # rows of a Gram matrix that are worth a thread
GB = 1e9
Ridge = Annotated[
    float,
    Gt(0),
    Search(10, 3000, log=True),
    Doc("Ridge on the diagonal of the item-item Gram matrix, in interactions."),
]


@dataclass(eq=False)
class EASE(ItemWeights):
    """Each item is predicted by a ridge regression on all other items, solved for all of them by one matrix inverse.

    Harald Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019. With X the weights of the
    interactions `[n_users, n_items]`, it minimises over B `[n_items, n_items]`

        |X - X B|^2 + regularization * |B|^2    where diag(B) = 0,

    and the minimum is

        B = I - P diag(P)^-1    with    P = (X'X + regularization * I)^-1.

    Histories H, rows like those of X `[n, n_items]`, have the scores H B: `ItemWeights` computes and explains them.
    Memory grows with the square of the catalogue: `ease_neighbours` is the form for large ones, `ease_features` the
    form that uses item features and can place new items.

    Example:
        Users of the toy data like either even or odd items.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.EASE(regularization=10).fit(toy_dataset())
        >>> sorted(model.recommend(["i0", "i2"], k=4).ids())
        ['i10', 'i4', 'i6', 'i8']
    """

    regularization: Ridge = 300.0
    history_half_life: HalfLife | None = None

    moved_options: ClassVar[dict[str, str]] = {
        "neighbours": "write kind: ease_neighbours, or kind: ease_features where feature_weight is set",
        "feature_weight": "write kind: ease_features",
    }

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        require_memory("ease", dataset.n_items, "use kind: ease_neighbours")
        announce(log, dataset.n_items, f"all at once in {gram_bytes(dataset.n_items) / GB:.1f} GB")
        self.item_weights_, _ = solve_ease(dataset.matrix(), self.regularization, log=log)


def solve_ease(
    matrix: sp.csr_matrix, regularization: float, features: Float32 | None = None, *, log: Log = SILENT
) -> tuple[Float32, Float32]:
    """Return the weights of EASE between the columns of a matrix.

    Args:
        matrix: X, weights above zero `[n_users, n_items]`, columns sorted.
        regularization: Ridge on the diagonal of the Gram matrix.
        features: Further rows of X, transposed, `[n_items, n_rows]`.
        log: Where progress is shown.

    Returns:
        B `[n_items, n_items]`, from the item in the history to the item scored, and diag(P) `[n_items]`.

    Raises:
        TrainingError: If the Gram matrix is not positive definite in single precision.
    """
    from genre.kernels.gram import TILE, inverse_to_weights
    from genre.kernels.inverse import expected_seconds, invert

    n_items = matrix.shape[1]
    gram = np.zeros((n_items, n_items), np.float32) if features is None else features @ features.T
    add_products(gram, matrix)
    gram[np.diag_indices(n_items)] += np.float32(regularization)
    with blas_threads(n_threads() if n_items >= THREADED_FROM else 1):
        seconds = expected_seconds(n_items) if n_items >= ANNOUNCED_FROM else 0
        with log.waiting("ease", seconds) if seconds else nullcontext():
            inverted = invert(gram)  # P
    if not inverted:
        raise indefinite(regularization)
    diagonal = gram.diagonal().copy()
    scale = np.float32(-1) / diagonal  # -P diag(P)^-1 with zeros on the diagonal
    map_slices(lambda part: inverse_to_weights(gram, scale, part.start, part.stop), n_items, least=SLICE, multiple=TILE)
    return gram, diagonal


def indefinite(regularization: float) -> TrainingError:
    """Return the error for a Gram matrix that is not positive definite in single precision.

    Args:
        regularization: The ridge on its diagonal.

    Returns:
        The error, with the remedy.
    """
    return TrainingError(f"ease: regularization {regularization:g} is too small to invert; raise it")


def add_products(gram: Float32, matrix: sp.csr_matrix) -> None:
    """Add X'X to the upper triangle of a matrix, in place.

    Args:
        gram: `[n_items, n_items]`.
        matrix: X, weights above zero `[n_users, n_items]`, columns sorted.
    """
    from genre.kernels.gram import add_gram

    rows, columns = ((one.indptr, one.indices, one.data) for one in (matrix, matrix.tocsc()))
    map_slices(lambda part: add_gram(rows, columns, gram, part.start, part.stop), len(gram), least=SLICE)


def announce(log: Log, n_items: int, how: str) -> None:
    """Show how a large catalogue is solved, which takes a while.

    Args:
        log: Where to show it.
        n_items: Size of the catalogue.
        how: The end of the line.
    """
    if n_items >= ANNOUNCED_FROM:
        log.line(f"  ease: solving {n_items:,} items, {how}")


def gram_bytes(n_items: int) -> int:
    """Return the memory of a dense item-item matrix; the inverse takes the place of the Gram matrix.

    Args:
        n_items: Size of the catalogue.

    Returns:
        Bytes in single precision.
    """
    return 4 * n_items**2


def require_memory(kind: str, n_items: int, remedy: str) -> None:
    """Refuse a catalogue whose item-item matrix does not fit into the memory of the machine.

    Args:
        kind: The recommender, for the message.
        n_items: Size of the catalogue.
        remedy: What to do instead, for the message.

    Raises:
        DataError: With the memory that would be needed.
    """
    needs, has = gram_bytes(n_items), machine_memory()
    if needs > has:
        raise DataError(
            f"{kind}: {n_items:,} items need {needs / GB:,.1f} GB for the Gram matrix and its inverse, this machine "
            f"has {has / GB:,.1f} GB; {remedy}"
        )
