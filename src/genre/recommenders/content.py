"""Content: an item is near to a history when their texts are, or when its text says where others would place it."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.data.linear import of_width, ridge_map, unit_rows, with_one
from genre.errors import DataError
from genre.log import Log
from genre.options import Ge, Gt, Le, Search
from genre.recommenders.base import Recommender
from genre.recommenders.explanation import Method


@dataclass(eq=False)
class Content(Recommender):
    """Cosine between whitened item embeddings, a history being the weighted mean of its items.

    Embeddings of a language model crowd in a narrow cone; whitening on the catalogue spreads them (Su et al., 2021).
    With a `recommender` whose scores are products of factors, that one answers, and an item nobody has touched gets the
    factors that a ridge regression, learnt on the other items, reads off its text (Gantner et al., ICDM 2010).

    whitening: power of it, 0 (rotation only) to 1 (every direction counts alike).
    dim: principal directions kept, all when above what there is.
    history_half_life: interactions after which one counts half as much; None: all count alike.
    recommender: one with item factors (als, bpr), or None: texts alone.
    regularization: ridge on the map from text to factors, in interactions; with a `recommender`.
    lift: what factors read off a text are multiplied by. A regression reads them shorter than they are, so that new
    items hardly come up; above 1 gives them a larger share of the lists, at the expense of the others.
    """

    whitening: Annotated[float, Ge(0), Le(1), Search(0, 1)] = 0.5
    dim: Annotated[int, Ge(1), Search(16, 512, log=True)] = 256
    history_half_life: Annotated[float, Gt(0), Search(1, 100, log=True)] | None = None
    recommender: Recommender | None = None
    regularization: Annotated[float, Gt(0), Search(1, 1000, log=True)] = 30.0
    lift: Annotated[float, Gt(0)] = 1.0

    explains: ClassVar[Method] = "exact"
    learns: ClassVar[tuple[str, ...]] = ("center_", "directions_", "item_vectors_", "member_", "map_", "item_factors_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if dataset.item_features is None:
            raise DataError("content: needs item features; name an encoder of items under `features`")
        self.center_, self.directions_ = whitening(dataset.item_features.values, self.whitening, self.dim)
        self.item_vectors_ = self.place(dataset.item_features.values)  # [n_items, dim]
        self.member_: tuple[Recommender, ...] = ()
        self.map_ = self.item_factors_ = np.zeros((0, 0), np.float32)  # [dim + 1, factors], [n_items, factors]
        if self.recommender is not None:
            member = copy.copy(self.recommender).fit(
                dataset, validation=validation, checkpoint=self._checkpoint, log=log
            )
            self.member_ = (member,)
            touched = np.bincount(dataset.item, minlength=dataset.n_items)
            factors = _factors_of(member, History.of([[int(dataset.item[0])]], dataset.n_items))[1]
            self.map_ = ridge_map(with_one(self.item_vectors_), factors, touched, self.regularization)
            self.item_factors_ = np.where(touched[:, None] > 0, factors, self._read_off(self.item_vectors_))

    def _read_off(self, vectors: Float32) -> Float32:
        """The factors of items that nobody has touched. [n, factors]"""
        return np.asarray(self.lift * (with_one(vectors) @ self.map_), np.float32)

    def place(self, features: Float32) -> Float32:
        """Features -> unit vectors; an item without features stays at zero. [n, dim]"""
        vectors = (of_width(features, self.center_, "content") - self.center_) @ self.directions_
        vectors[~features.any(axis=1)] = 0
        return unit_rows(vectors)

    def _extend(self, features: Float32) -> None:
        new = self.place(features)
        self.item_vectors_ = np.concatenate([self.item_vectors_, new])
        if self.member_:
            self.item_factors_ = np.concatenate([self.item_factors_, self._read_off(new)])

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        if self.member_:
            return _factors_of(self.member_[0], self._known(history)[1])[0], self.item_factors_
        matrix = history.decayed(self.history_half_life).matrix()
        total = np.asarray(matrix.sum(axis=1), np.float32).reshape(-1, 1)
        return np.asarray(matrix @ self.item_vectors_ / np.maximum(total, 1e-12), np.float32), self.item_vectors_

    def _known(self, history: History) -> tuple[npt.NDArray[np.bool_], History]:
        """Which interactions are with items that the member knows, and the histories of those alone."""
        n_known = len(self.member_[0].item_ids_)
        known = history.item < n_known
        return known, dataclasses.replace(history.keep(known), n_items=n_known)

    def _score(self, history: History) -> Float32:
        queries, items = self._factors(history)
        return queries @ items.T

    @property
    def evidence(self) -> Method:
        return "exact" if self.sums_queries() else "occlusion"

    def sums_queries(self) -> bool:
        return not self.member_ or self.member_[0].sums_queries()

    def _popular(self, history: History, items: Int32) -> Float32:
        """What a member gives an item beside the history, such as its offset."""
        if not (self.member_ and self.sums_queries()):
            return super()._popular(history, items)
        queries, factors = self._factors(history)
        return np.asarray(factors[items] @ (queries[0] - self._query_terms(history).sum(axis=0)), np.float32)

    def _query_terms(self, history: History) -> Float32:
        if not self.member_:
            weight = history.decayed(self.history_half_life).weight
            share = weight / max(float(weight.sum()), 1e-12)
            return np.asarray(self.item_vectors_[history.item] * share[:, None], np.float32)
        known, inside = self._known(history)
        terms = np.zeros((len(history.item), self.item_factors_.shape[1]), np.float32)
        terms[known] = self.member_[0]._query_terms(inside)
        return terms

    def _contributions(self, history: History, items: Int32) -> Float32:
        if not self.sums_queries():
            return super()._contributions(history, items)
        factors = self.item_factors_ if self.member_ else self.item_vectors_
        return factors[items] @ self._query_terms(history).T


def _factors_of(member: Recommender, history: History) -> tuple[Float32, Float32]:
    factors = member._factors(history)
    if factors is None:
        raise DataError(f"content: {type(member).__name__} has no item factors to map texts to; use als or bpr")
    return factors


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
