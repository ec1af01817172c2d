"""Transitions: what follows what. Counts ordered pairs in the histories; knows order, not clock time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.log import Log
from genre.options import Ge, Gt, Le, Search
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import Method

Float64 = npt.NDArray[np.float64]


@dataclass(eq=False)
class Transitions(Recommender):
    """An item scores how often it followed the newest items of the history: a Markov chain that looks further back.

    Every pair of liked items up to `window` steps apart counts `1 / steps ** distance_power`, forwards whole and
    backwards in part; counts are divided by powers of both items' frequencies.

    window: most steps between the two items of a pair.
    distance_power: how fast a pair's count falls with its steps; 0: not, 1: as one over the steps.
    backward: what a pair counts against its order.
    source_power: power of the frequency of the item in the history.
    target_power: power of the frequency of the item scored; more of it favours rare items.
    neighbours: how many followers each item keeps.
    history_half_life: interactions after which one counts half as much; None: all count alike.
    """

    window: Annotated[int, Ge(1), Search(2, 100, log=True)] = 50
    distance_power: Annotated[float, Ge(0), Le(4), Search(0, 1.5)] = 0.5
    backward: Annotated[float, Ge(0), Le(1), Search(0, 1)] = 0.3
    source_power: Annotated[float, Ge(0), Le(1), Search(0, 1)] = 0.5
    target_power: Annotated[float, Ge(0), Le(1), Search(0, 0.6)] = 0.25
    neighbours: Annotated[int, Ge(1)] = 1000
    history_half_life: Annotated[float, Gt(0), Search(0.5, 20, log=True)] | None = 1.5

    explains: ClassVar[Method] = "exact"
    learns: ClassVar[tuple[str, ...]] = ("followers_",)

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        whole = dataset.history()
        liked = whole.keep(whole.weight > 0)
        frequency = np.bincount(liked.item, liked.weight, dataset.n_items)
        norms = np.maximum(frequency, 1e-12)
        forward = np.arange(1.0, self.window + 1) ** -self.distance_power
        source, target = norms**-self.source_power, norms**-self.target_power
        self.followers_ = follower_counts(  # [from, to]
            liked, forward, forward * self.backward, source, target, self.neighbours
        )

    def _score(self, history: History) -> Float32:
        matrix = history.decayed(self.history_half_life).matrix()
        return np.asarray((matrix @ self.followers_).toarray(), np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        weight = history.decayed(self.history_half_life).weight
        return np.asarray(self.followers_[history.item][:, items].toarray().T * weight, np.float32)


def follower_counts(
    history: History, forward: Float64, backward: Float64, source: Float64, target: Float64, k: int
) -> sp.csr_matrix:
    """For each item the `k` items that follow it most, itself left out, as float32 CSR `[n_items, n_items]`.

    forward, backward: what a pair counts by its steps, from one on `[window]`. source, target: factors of both sides
    `[n_items]`. Weights of the histories are above zero; a pair counts the product of its two.
    """
    from genre.kernels.transitions import follow

    n_items = history.n_items
    places = np.argsort(history.item, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(history.item, minlength=n_items))])
    indptr, indices, data = follow(
        history.indptr,
        history.row_of(),
        history.item,
        history.weight,
        starts,
        places,
        forward.astype(np.float32),
        backward[backward > 0].astype(np.float32),
        source.astype(np.float32),
        target.astype(np.float32),
        k,
    )
    matrix = sp.csr_matrix((data, indices, indptr), shape=(n_items, n_items))
    matrix.sort_indices()
    return matrix
