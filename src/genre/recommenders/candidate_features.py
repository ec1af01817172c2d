"""What a ranker knows of a candidate for a history: scores of members, what followed what, texts, popularity.

Counts and vectors come from one training part; the scores from members that were fitted on the same part. Knows no
model that reads the features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.linear_algebra import row_std, unit_rows
from genre.recommenders.context_features import ContextCounts, context_features, count_contexts
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.transitions import follower_counts

NEWEST = 3  # items of a history that a candidate is compared with one by one
WINDOW = 50  # most steps between two items of a counted pair
FOLLOWERS = 1000  # that each item keeps
SOURCE_POWER, TARGET_POWER, BACKWARD = 0.35, 0.15, 0.3  # of transitions, as in the kind of that name
HALF_LIFE, NEAR_HALF_LIFE = 1.5, 1.0  # of sums over the history

POPULARITY = "popularity"
GROUPS = {
    "member": "lists",
    "follows": "order",
    "near": "together",
    "text": "text",
    "popular": POPULARITY,
    "history": "lists",
    "context": "context",
}
"""The first word of a feature's name -> the part of an explanation that it belongs to."""

Feature = tuple[str, npt.NDArray[np.floating]]


@dataclass(frozen=True, eq=False)
class Counts:
    """What is counted in a training part.

    Attributes:
        next: how often item j came right after item i. CSR `[n_items, n_items]`
        later: how often it came within 50 steps.
        forward: transition weights from i to j, in order and backward.
        backward: those against the order alone.
        near: cosine of the users of i and j, the 100 nearest.
        frequency: interactions of each item. `[n_items]`
        followed: how often another item came right after it. `[n_items]`
        followers: how many different ones did. `[n_items]`
        before: how many different items it came right after. `[n_items]`
        vectors: item features of length one, of width 0 without features. `[n_items, dim]`
        contexts: in which contexts items are taken.
    """

    next: sp.csr_matrix
    later: sp.csr_matrix
    forward: sp.csr_matrix
    backward: sp.csr_matrix
    near: sp.csr_matrix
    frequency: Float32
    followed: Float32
    followers: Float32
    before: Float32
    vectors: Float32
    contexts: ContextCounts


def count(dataset: Dataset, context: Sequence[str] = ()) -> Counts:
    """Count what the features need.

    Args:
        dataset: A training part.
        context: The names of context that are read.

    Returns:
        Its counts.
    """
    whole = dataset.history()
    liked, n_items = whole.keep(whole.weight > 0), dataset.n_items
    frequency = np.bincount(liked.item, minlength=n_items)
    steps, ones = np.arange(1.0, WINDOW + 1), np.ones(n_items)
    decayed = follower_counts(liked, steps**-0.5, np.zeros(WINDOW), ones, ones, FOLLOWERS)
    source, target = (sp.diags_array(np.maximum(frequency, 1.0) ** -p) for p in (SOURCE_POWER, TARGET_POWER))
    back = sp.csr_matrix(source @ decayed.T @ target, dtype=np.float32)
    forward = sp.csr_matrix(source @ decayed @ target + BACKWARD * back, dtype=np.float32)
    features = dataset.item_features
    right_after = _next_counts(liked)
    return Counts(
        next=right_after,
        later=follower_counts(liked, np.ones(WINDOW), np.zeros(WINDOW), ones, ones, FOLLOWERS),
        forward=forward,
        backward=back,
        near=ItemKNN().fit(dataset).item_weights_,
        frequency=frequency.astype(np.float32),
        followed=np.asarray(right_after.sum(axis=1), np.float32).ravel(),
        followers=np.diff(right_after.indptr).astype(np.float32),
        before=np.bincount(right_after.indices, minlength=n_items).astype(np.float32),
        vectors=np.zeros((n_items, 0), np.float32) if features is None else unit_rows(features.values),
        contexts=count_contexts(dataset, context),
    )


def _next_counts(liked: History) -> sp.csr_matrix:
    same = np.diff(liked.row_of()) == 0
    pairs = liked.item[:-1][same], liked.item[1:][same]
    counts = sp.csr_matrix((np.ones(int(same.sum()), np.float32), pairs), shape=(liked.n_items,) * 2)
    counts.setdiag(0)
    counts.eliminate_zeros()
    return counts


# --- features -----------------------------------------------------------------------------------------


def candidate_features(
    counts: Counts,
    history: History,
    items: Int32,
    members: Sequence[Float32],
    words: tuple[sp.csr_matrix, Float32] | None,
    context: Sequence[str] = (),
) -> tuple[list[str], Float32]:
    """Return the features of candidates.

    Args:
        counts: Of the training part.
        history: `n` histories.
        items: Candidates of each, best of the first stage first, -1 for padding `[n, k]`.
        members: The scores that each member gives all items `[n, n_items]`.
        words: Word weights of each item as rows of length one, and words of its text; None: without.
        context: The names of context that are read, those that were counted.

    Returns:
        Names of the features, and their values, float32 `[n, k, n_features]`.
    """
    liked, items = history.keep(history.weight > 0), np.maximum(items, 0)
    newest = newest_items(liked, NEWEST)  # [n, NEWEST]
    parts = [
        _member_features(members, items),
        _order_features(counts, liked, newest, items),
        _text_features(counts.vectors, words, newest, items),
        _popularity_features(counts, liked, newest, items),
        context_features(counts.contexts, context, history.context, len(history), items),
    ]
    named = [feature for part in parts for feature in part]
    return [name for name, _ in named], np.stack([np.asarray(values, np.float32) for _, values in named], axis=2)


def _member_features(members: Sequence[Float32], items: Int32) -> Iterator[Feature]:
    k = items.shape[1]
    yield "member base place", np.tile(np.log1p(np.arange(k)), (len(items), 1))
    for at, scores in enumerate(members):
        raw = np.take_along_axis(scores, items, axis=1)
        yield f"member {at}", _log(raw)
        yield f"member {at} by spread", raw / row_std(scores)
        yield f"member {at} by best", raw / np.maximum(np.abs(scores).max(axis=1, keepdims=True), 1e-9)
        place = np.argsort(np.argsort(-raw, axis=1, kind="stable"), axis=1)
        yield f"member {at} place", np.log1p(place)


def _order_features(counts: Counts, liked: History, newest: Int32, items: Int32) -> Iterator[Feature]:
    for ago in range(2):
        last = newest[:, ago]
        right_after = entries(counts.next, last, items)
        yield f"follows share of item {ago}", right_after / np.maximum(_of(counts.followed, last), 1)[:, None]
        yield f"follows next to item {ago}", np.log1p(right_after)
        yield f"follows later than item {ago}", np.log1p(entries(counts.later, last, items))
    for ago in range(NEWEST):
        yield f"follows weight from item {ago}", _log(entries(counts.forward, newest[:, ago], items))
    rows = np.arange(len(items))
    known = liked.within(len(counts.frequency))
    yield "follows backward", _log(entries(known.decayed(HALF_LIFE).matrix() @ counts.backward, rows, items))
    yield "near users", _log(entries(known.decayed(NEAR_HALF_LIFE).matrix() @ counts.near, rows, items))


def _text_features(
    vectors: Float32, words: tuple[sp.csr_matrix, Float32] | None, newest: Int32, items: Int32
) -> Iterator[Feature]:
    if vectors.shape[1]:
        from_newest = vectors[np.maximum(newest, 0)] * (newest >= 0)[:, :, None]  # [n, NEWEST, dim]
        cosine = np.empty((*items.shape, NEWEST), np.float32)
        for row, last in enumerate(from_newest):
            cosine[row] = vectors[items[row]] @ last.T
        for ago in range(NEWEST):
            yield f"text vector of item {ago}", cosine[:, :, ago]
    if words is not None:
        weights, n_words = words
        for ago in range(2):
            yield f"text words of item {ago}", _word_cosines(weights, newest[:, ago], items)
        yield "text length", _of(n_words, items)


def _popularity_features(counts: Counts, liked: History, newest: Int32, items: Int32) -> Iterator[Feature]:
    def alike(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return np.broadcast_to(np.log1p(values)[:, None], items.shape)

    yield "popular item", np.log1p(_of(counts.frequency, items))
    yield "popular before it", np.log1p(_of(counts.before, items))
    yield "history newest popular", alike(_of(counts.frequency, newest[:, 0]))
    yield "history newest followers", alike(_of(counts.followers, newest[:, 0]))
    yield "history length", alike(liked.lengths.astype(np.float32))


def newest_items(history: History, n: int) -> Int32:
    """Return the newest items of histories.

    Args:
        history: Any histories.
        n: How many of each.

    Returns:
        Item rows `[n_histories, n]`, the newest first, -1 where a history is shorter.
    """
    place = history.indptr[1:, None] - 1 - np.arange(n)
    there = place >= history.indptr[:-1, None]
    return np.where(there, np.append(history.item, -1)[np.where(there, place, -1)], -1).astype(np.int32)


def entries(matrix: sp.csr_matrix, rows: npt.NDArray[np.integer], columns: Int32) -> Float32:
    """Return entries of a sparse matrix.

    Args:
        matrix: CSR.
        rows: A row for each row of `columns`, -1 or beyond the matrix for zeros `[n]`.
        columns: Columns `[n, k]`; those beyond the matrix are zero.

    Returns:
        float32 `[n, k]`.
    """
    inside = (rows >= 0) & (rows < matrix.shape[0])
    picked = matrix[np.where(inside, rows, 0)].toarray() * inside[:, None]  # [n, columns of the matrix]
    known = columns < matrix.shape[1]
    found = np.take_along_axis(picked, np.where(known, columns, 0), axis=1)
    return np.asarray(np.where(known, found, 0), np.float32)


def _word_cosines(weights: sp.csr_matrix, last: Int32, items: Int32) -> Float32:
    """Return the dot product of the words of one item for each row and those of its candidates, `[n, k]`."""
    words = weights[np.where((last >= 0) & (last < weights.shape[0]), last, 0)].toarray()  # [n, n_words]
    words[(last < 0) | (last >= weights.shape[0])] = 0
    known = items < weights.shape[0]
    picked = weights[np.where(known, items, 0).ravel()]  # [n k, n_words]
    pair = np.repeat(np.arange(items.size), np.diff(picked.indptr))
    products = picked.data * words[pair // items.shape[1], picked.indices]
    return np.asarray(np.bincount(pair, products, items.size).reshape(items.shape) * known, np.float32)


def _of(values: Float32, items: Int32) -> Float32:
    """Return the value of each item, zero for one that is missing (-1) or was added later."""
    there = (items >= 0) & (items < len(values))
    return np.where(there, values[np.where(there, items, 0)], 0)


def _log(values: Float32) -> Float32:
    """Return log(1 + 20 |x|) with the sign of x: scores fall by orders of magnitude along a list."""
    return np.asarray(np.sign(values) * np.log1p(20 * np.abs(values)), np.float32)
