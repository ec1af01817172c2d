"""Baskets: interactions of one history that belong to one visit or order. Knows histories alone, no models."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy.sparse as sp

from genre.arrays import Int64
from genre.data.history import History
from genre.options import Doc, Ge

GapMinutes = Annotated[
    float,
    Ge(0),
    Doc("Minutes after an interaction within which the next one joins its basket or session; 0: at the same time."),
]


def number_baskets(history: History, gap_minutes: float = 0.0) -> Int64:
    """Number the baskets of histories.

    Args:
        history: `n` histories, each oldest first. Without times every interaction is a basket of its own.
        gap_minutes: An interaction that comes at most so many minutes after the one before joins its basket.

    Returns:
        The number of the basket of each interaction, counted on through all histories, int64 `[nnz]`.
    """
    starts = np.ones(len(history.item), np.int64)
    if history.timestamp is not None:
        starts[1:] = np.diff(history.timestamp) > 60 * gap_minutes
        starts[history.indptr[:-1][history.lengths > 0]] = 1
    return np.asarray(np.cumsum(starts) - 1, np.int64)


def basket_matrix(history: History, gap_minutes: float = 0.0) -> sp.csr_matrix:
    """Return which items are in which basket; those seen but not liked are in none.

    Args:
        history: `n` histories, each oldest first.
        gap_minutes: As in `number_baskets`.

    Returns:
        Ones, float32 CSR `[n_baskets, n_items]`, columns sorted.
    """
    liked = history.keep(history.weight > 0)
    number = number_baskets(liked, gap_minutes)
    shape = (int(number[-1]) + 1 if len(number) else 0, history.n_items)
    held = sp.csr_matrix((np.ones(len(number), np.float32), (number, liked.item)), shape=shape)
    held.data[:] = 1  # an item counts once in a basket
    held.sort_indices()
    return held
