"""Content: an item is near to a history when their texts are. Knows item features, never who else took what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from genre.errors import DataError
from genre.log import Log
from genre.options import Ge, Gt, Le, Search
from genre.preprocessing.dataset import Dataset, Float32, History, Int32
from genre.preprocessing.splits import Fold
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import Method


@dataclass(eq=False)
class Content(Recommender):
    """Cosine between whitened item embeddings, a history being the weighted mean of its items.

    Embeddings of a language model crowd in a narrow cone; whitening on the catalogue spreads them (Su et al., 2021).

    whitening: power of it, 0 (rotation only) to 1 (every direction counts alike).
    dim: principal directions kept, all when above what there is.
    history_half_life: interactions after which one counts half as much; None: all count alike.
    """

    whitening: Annotated[float, Ge(0), Le(1), Search(0, 1)] = 0.5
    dim: Annotated[int, Ge(1), Search(16, 512, log=True)] = 256
    history_half_life: Annotated[float, Gt(0), Search(1, 100, log=True)] | None = None

    explains: ClassVar[Method] = "exact"

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if dataset.item_features is None:
            raise DataError("content: needs item features; name an encoder of items under `features`")
        self.center_, self.directions_ = whitening(dataset.item_features.values, self.whitening, self.dim)
        self.item_vectors_ = self.place(dataset.item_features.values)  # [n_items, dim]

    def place(self, features: Float32) -> Float32:
        """Features -> unit vectors; an item without features stays at zero. [n, dim]"""
        if features.shape[1] != len(self.center_):
            raise DataError(f"content: learnt from features of {len(self.center_)} values, found {features.shape[1]}")
        vectors = (features - self.center_) @ self.directions_
        vectors[~features.any(axis=1)] = 0
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)

    def _extend(self, features: Float32) -> None:
        self.item_vectors_ = np.concatenate([self.item_vectors_, self.place(features)])

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        matrix = history.decayed(self.history_half_life).matrix()
        total = np.asarray(matrix.sum(axis=1), np.float32).reshape(-1, 1)
        return np.asarray(matrix @ self.item_vectors_ / np.maximum(total, 1e-12), np.float32), self.item_vectors_

    def _score(self, history: History) -> Float32:
        queries, items = self._factors(history)
        return queries @ items.T

    def _contributions(self, history: History, items: Int32) -> Float32:
        weight = history.decayed(self.history_half_life).weight
        share = weight / max(float(weight.sum()), 1e-12)
        return np.asarray(self.item_vectors_[items] @ self.item_vectors_[history.item].T * share, np.float32)


def whitening(features: Float32, power: float, dim: int) -> tuple[Float32, Float32]:
    """The mean `[n_in]` and the directions `[n_in, dim]`, strongest first, that whiten the rows of `features`."""
    known = features[features.any(axis=1)].astype(np.float64)
    if len(known) == 0:
        raise DataError("content: every item's features are zero; give the encoder texts")
    center = known.mean(axis=0)
    strength, directions = np.linalg.eigh(np.cov(known.T, ddof=0).reshape(features.shape[1], -1))
    strongest = np.argsort(-strength)[:dim]
    strongest = strongest[strength[strongest] > 1e-6 * max(strength.max(), 1e-12)]  # the rest is rounding
    scale = np.maximum(strength[strongest], 1e-12) ** (-power / 2)
    return center.astype(np.float32), (directions[:, strongest] * scale).astype(np.float32)
