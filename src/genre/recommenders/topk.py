"""Exact top-k, the kernels every recommender uses, each beside the plain twin that judges it.

Order: score descending, then row number ascending. Slots without an item hold -1 and -inf.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.preprocessing.dataset import Float32, Int32

Seen = tuple[npt.NDArray[np.int64], Int32]  # indptr, item: what each row must not get


def top_k_plain(
    scores: Float32, k: int, *, seen: Seen | None = None, candidates: npt.NDArray[np.bool_] | None = None
) -> tuple[Int32, Float32]:
    """The obviously right way: mask, sort whole rows. `scores` `[n, n_items]` -> two `[n, k]`."""
    masked = np.array(scores, np.float32)
    if candidates is not None:
        masked[:, ~candidates] = -np.inf
    if seen is not None:
        indptr, item = seen
        masked[np.repeat(np.arange(len(masked)), np.diff(indptr)), item] = -np.inf
    order = np.argsort(-masked, axis=1, kind="stable")[:, :k].astype(np.int32)
    best = np.take_along_axis(masked, order, axis=1)
    return np.where(np.isneginf(best), np.int32(-1), order), best


def top_k_scores(
    scores: Float32, k: int, *, seen: Seen | None = None, candidates: npt.NDArray[np.bool_] | None = None
) -> tuple[Int32, Float32]:
    """The best `k` of each row of `scores` `[n, n_items]`: items int32 `[n, k]`, scores float32 `[n, k]`."""
    return top_k_plain(scores, k, seen=seen, candidates=candidates)


def top_k_factors(
    queries: Float32,
    items: Float32,
    k: int,
    *,
    seen: Seen | None = None,
    candidates: npt.NDArray[np.bool_] | None = None,
) -> tuple[Int32, Float32]:
    """The best `k` by dot product of `queries` `[n, dim]` with `items` `[n_items, dim]`, in blocks."""
    return top_k_scores(queries @ items.T, k, seen=seen, candidates=candidates)
