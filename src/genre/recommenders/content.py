"""Content: an item is near a history when their features are; and factors of another recommender, read off features."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.linear_algebra import check_width, ridge_map, unit_rows, whitening, with_constant
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, Gt, Le, Search
from genre.recommenders.base import Recommender
from genre.recommenders.item_weights import HalfLife
from genre.recommenders.reasons import Method


@dataclass(eq=False)
class Content(Recommender):
    """The score is the cosine between whitened item features and the weighted mean of those of the history.

    Embeddings of a language model crowd in a narrow cone; whitening on the catalogue spreads them (Jianlin Su, Jiarun
    Cao, Weijie Liu and Yangyiwen Ou, "Whitening sentence representations for better semantics and faster retrieval",
    arXiv 2103.15316, 2021):

        vector = unit((features - center) E L^(-whitening / 2)),    with the covariance of the features = E L E'.

    With a `recommender` whose scores are dot products of factors, that one scores, and an item without interactions
    gets the factors that a ridge regression, learnt on the other items, predicts from its vector (Zeno Gantner et al.,
    "Learning attribute-to-feature mappings for cold-start recommendations", ICDM 2010).

    Example:
        Users of the toy data like either even or odd items.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.Content().fit(toy_dataset())
        >>> sorted(model.recommend(["i0", "i2"], k=4).ids())
        ['i10', 'i4', 'i6', 'i8']
    """

    whitening: Annotated[
        float,
        Ge(0),
        Le(1),
        Search(0, 1),
        Doc("Power of the whitening. 0: rotation only; 1: all directions count alike."),
    ] = 0.5
    dim: Annotated[
        int, Ge(1), Search(16, 512, log=True), Doc("Principal directions kept, all of them where there are fewer.")
    ] = 256
    history_half_life: HalfLife | None = None
    recommender: Annotated[Recommender, Doc("One with item factors (`als`, `bpr`). None: features alone.")] | None = (
        None
    )
    regularization: Annotated[
        float,
        Gt(0),
        Search(1, 1000, log=True),
        Doc("Ridge on the map from vectors to factors, in interactions; with `recommender`."),
    ] = 30.0
    lift: Annotated[
        float,
        Gt(0),
        Doc(
            "Factor of predicted factors; with `recommender`. A regression predicts them too short, so that new items "
            "seldom reach a list; above 1 they take a larger share of the lists from the others."
        ),
    ] = 1.0
    block: Annotated[
        str, Doc("The block of item features that is read, such as one part of `concat`; empty: all of them.")
    ] = ""

    explains: ClassVar[Method] = "exact"
    scoring_options: ClassVar[tuple[str, ...]] = ("history_half_life",)
    learns: ClassVar[tuple[str, ...]] = ("center_", "directions_", "item_vectors_", "member_", "map_", "item_factors_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        features = dataset.item_features
        if features is None:
            raise DataError("content: needs item features; name an encoder of items under `features`")
        columns = features.columns(self.block)
        center, directions = whitening(features.values[:, columns], self.whitening, self.dim)
        self.center_ = np.zeros(features.dim, np.float32)
        self.directions_ = np.zeros((features.dim, directions.shape[1]), np.float32)  # zero: columns of other blocks
        self.center_[columns], self.directions_[columns] = center, directions
        self.item_vectors_ = self.place(features.values)  # [n_items, dim]
        self.member_: tuple[Recommender, ...] = ()
        self.map_ = self.item_factors_ = np.zeros((0, 0), np.float32)  # [dim + 1, factors], [n_items, factors]
        if self.recommender is not None:
            member = copy.copy(self.recommender).fit(
                dataset, validation=validation, checkpoint=self._checkpoint, log=log
            )
            self.member_ = (member,)
            interactions = np.bincount(dataset.item, minlength=dataset.n_items)  # [n_items]
            factors = _factors_of(member, History.of([[int(dataset.item[0])]], dataset.n_items))[1]
            self.map_ = ridge_map(with_constant(self.item_vectors_), factors, interactions, self.regularization)
            self.item_factors_ = np.where(interactions[:, None] > 0, factors, self._predicted(self.item_vectors_))

    def _chosen(self) -> dict[str, Any]:
        return {"recommender": self.member_[0].chosen()} if self.member_ else {}

    def _predicted(self, vectors: Float32) -> Float32:
        """Return the factors that the vectors of items without interactions predict, `[n, factors]`."""
        return np.asarray(self.lift * (with_constant(vectors) @ self.map_), np.float32)

    def place(self, features: Float32) -> Float32:
        """Turn features into whitened unit vectors; an item without features stays at zero.

        Args:
            features: `[n, n_in]`, from the encoder that made `dataset.item_features`.

        Returns:
            Unit vectors, float32 `[n, dim]`.
        """
        vectors = (check_width(features, self.center_, "content") - self.center_) @ self.directions_
        read = features[:, self.directions_.any(axis=1)] if self.block else features
        vectors[~read.any(axis=1)] = 0
        return unit_rows(vectors)

    @override
    def known_items(self) -> npt.NDArray[np.bool_] | None:
        """Return which items have features; with a member, which predicts the others, it knows all."""
        return None if self.member_ else np.asarray(self.item_vectors_.any(axis=1))

    def _extend(self, features: Float32) -> None:
        new = self.place(features)
        self.item_vectors_ = np.concatenate([self.item_vectors_, new])
        if self.member_:
            self.item_factors_ = np.concatenate([self.item_factors_, self._predicted(new)])

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        if self.member_:
            return _factors_of(self.member_[0], self._known(history)[1])[0], self.item_factors_
        matrix = history.decayed(self.history_half_life).matrix()
        total = np.asarray(matrix.sum(axis=1), np.float32).reshape(-1, 1)
        return np.asarray(matrix @ self.item_vectors_ / np.maximum(total, 1e-12), np.float32), self.item_vectors_

    def _known(self, history: History) -> tuple[npt.NDArray[np.bool_], History]:
        """Return which interactions are with items that the member knows, and the histories of those alone."""
        n_known = len(self.member_[0].item_ids_)
        known = history.item < n_known
        return known, dataclasses.replace(history.keep(known), n_items=n_known)

    @property
    def evidence(self) -> Method:
        """Exact where the queries are sums over the history."""
        return "exact" if self.sums_queries() else "occlusion"

    @override
    def sums_queries(self) -> bool:
        """Say whether queries are sums over the history: always without a member."""
        return not self.member_ or self.member_[0].sums_queries()

    def _popular(self, history: History, items: Int32) -> Float32:
        """Return what a member gives an item beside the history, such as its offset, `[m]`."""
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
