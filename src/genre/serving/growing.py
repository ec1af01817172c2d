"""A place for new items in a recommender that cannot extend itself. Knows item vectors, not how a model scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from genre.errors import NotSupported
from genre.log import Log
from genre.preprocessing.dataset import Dataset, Float32, History, Int32
from genre.preprocessing.splits import Fold
from genre.recommenders.base import Recommender
from genre.recommenders.content import Content

NEIGHBOURS = 10


def grow(model: Recommender, content: Content, item_ids: Sequence[str], features: Float32) -> Recommender:
    """`model` with new items behind the last row: by its own `extend`, or by the nearest items it knows.

    content: grown already by the same items.
    """
    try:
        return model.extend(item_ids, features)
    except NotSupported:
        return ByNeighbours(model, content, item_ids)


class ByNeighbours(Recommender):
    """A new item scores the mean of its nearest known items; in a history it stands for the very nearest."""

    def __init__(self, model: Recommender, content: Content, item_ids: Sequence[str]) -> None:
        n_known, vectors = len(model.item_ids_), content.item_vectors_
        similarity = vectors[n_known:] @ vectors[:n_known].T  # [n_new, n_known]
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBOURS]
        share = np.maximum(np.take_along_axis(similarity, nearest, axis=1), 0) ** 2 + 1e-6
        self.model, self.explains = model, model.explains  # type: ignore[misc]  # as the model inside does
        self.nearest = nearest.astype(np.int32)  # [n_new, NEIGHBOURS]
        self.share = (share / share.sum(axis=1, keepdims=True)).astype(np.float32)
        self.likeness = np.clip(similarity.max(axis=1), 0, 1).astype(np.float32)  # [n_new]
        self.item_ids_ = model.item_ids_.append(item_ids)

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        raise NotSupported("ByNeighbours is put around a fitted recommender")

    def _inside(self, history: History) -> History:
        """The same histories in the rows that the model knows."""
        n_known = len(self.model.item_ids_)
        at = np.flatnonzero(history.item >= n_known)
        item, weight = history.item.copy(), history.weight.copy()
        new = item[at] - n_known
        item[at], weight[at] = self.nearest[new, 0], weight[at] * self.likeness[new]
        return dataclasses.replace(history, item=item, weight=weight, n_items=n_known)

    def _score(self, history: History) -> Float32:
        known = self.model._score(self._inside(history))  # [n, n_known]
        return np.concatenate([known, np.einsum("nij,ij->ni", known[:, self.nearest], self.share)], axis=1)

    def _contributions(self, history: History, items: Int32) -> Float32:
        n_known = len(self.model.item_ids_)
        inside = self._inside(history)
        out = np.empty((len(items), len(history.item)), np.float32)
        known = items < n_known
        out[known] = self.model._contributions(inside, items[known])
        for at in np.flatnonzero(~known):
            new = items[at] - n_known
            out[at] = self.share[new] @ self.model._contributions(inside, self.nearest[new])
        return out
