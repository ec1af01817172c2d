"""Transitions: which items follow which. Counts ordered pairs in the histories; knows their order, not clock time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float32, Float64, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.log import Log
from genre.options import Doc, Ge, Gt, Le, Search
from genre.recommenders.item_weights import ItemWeights
from genre.recommenders.overlap import in_catalogue_rows, value_order
from genre.threads import map_slices

SLICE = 256  # items whose followers are worth a thread


@dataclass(eq=False)
class Transitions(ItemWeights):
    """An item scores how often it followed the newest items of the history: a Markov chain that looks further back.

    Each pair (a, b) of liked items of a history, at most `window` steps apart, adds to the weight from a to b

        steps^-distance_power / (frequency_a^source_power frequency_b^target_power)

    and `backward` times as much from b to a. These are the sequential rules of Ludewig and Jannach, "Evaluation of
    session-based recommendation algorithms", UMUAI 2018, with powers in place of their fixed weights.

    Example:
        Users of the toy data like either even or odd items.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.Transitions(window=5).fit(toy_dataset())
        >>> sorted(model.recommend(["i0", "i2"], k=4).ids())
        ['i10', 'i4', 'i6', 'i8']
    """

    window: Annotated[int, Ge(1), Search(2, 100, log=True), Doc("Most steps between the two items of a pair.")] = 50
    distance_power: Annotated[
        float,
        Ge(0),
        Le(4),
        Search(0, 1.5),
        Doc("How fast the count of a pair falls with its steps. 0: not at all; 1: as one over the steps."),
    ] = 0.5
    backward: Annotated[
        float, Ge(0), Le(1), Search(0, 1), Doc("Count of a pair against its order, as a share of the count in order.")
    ] = 0.3
    source_power: Annotated[
        float, Ge(0), Le(1), Search(0, 1), Doc("Power of the frequency of the item in the history, a divisor.")
    ] = 0.5
    target_power: Annotated[
        float,
        Ge(0),
        Le(1),
        Search(0, 0.6),
        Doc("Power of the frequency of the item scored, a divisor; a higher one favours rare items."),
    ] = 0.25
    neighbours: Annotated[int, Ge(1), Doc("How many followers each item keeps.")] = 1000
    history_half_life: (
        Annotated[
            float,
            Gt(0),
            Search(0.5, 20, log=True),
            Doc("Interactions after which one counts half as much when a history is scored. None: all count alike."),
        ]
        | None
    ) = 1.5

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        whole = dataset.history()
        liked = whole.keep(whole.weight > 0)
        frequency = np.maximum(np.bincount(liked.item, liked.weight, dataset.n_items), 1e-12)
        forward = np.arange(1.0, self.window + 1) ** -self.distance_power  # by steps, from one on
        source, target = frequency**-self.source_power, frequency**-self.target_power
        self.item_weights_ = follower_counts(liked, forward, forward * self.backward, source, target, self.neighbours)


def follower_counts(
    history: History, forward: Float64, backward: Float64, source: Float64, target: Float64, k: int
) -> sp.csr_matrix:
    """Return for each item the `k` items that follow it most, itself left out; of ties the first of `value_order`.

    Args:
        history: Histories whose weights are above zero; a pair counts the product of its two weights.
        forward: Factor of a pair by its steps, from one step on `[window]`.
        backward: The same for a pair against its order; zeros where it does not count.
        source: Factor of the item in the history `[n_items]`.
        target: Factor of the item scored `[n_items]`.
        k: Followers of each item.

    Returns:
        Weighted counts, float32 CSR `[n_items, n_items]`, from item to follower, columns sorted.
    """
    from genre.kernels.transitions import best_followers

    n_items = history.n_items
    order = value_order(history.matrix())
    item = np.argsort(order).astype(np.int32)[history.item]  # ranked row numbers, so that no name decides a tie
    places = np.argsort(item, kind="stable")  # the interactions, item by item
    starts = np.concatenate([[0], np.cumsum(np.bincount(item, minlength=n_items))])
    interactions = history.indptr, history.row_of(), item, history.weight
    weights = forward.astype(np.float32), backward[backward > 0].astype(np.float32)
    factors = source[order].astype(np.float32), target[order].astype(np.float32)

    def follow(items: slice) -> tuple[Int64, Int32, Float32]:
        range_of = starts[items.start : items.stop + 1]
        return best_followers(interactions, range_of, places, weights, factors, k, items.start)

    parts = map_slices(follow, n_items, least=SLICE)  # in ranked row numbers
    lengths = np.concatenate([np.diff(indptr) for indptr, _, _ in parts])
    indices, data = (np.concatenate([part[at] for part in parts]) for at in (1, 2))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return in_catalogue_rows(sp.csr_matrix((data, indices, indptr), (n_items, n_items)), order)
