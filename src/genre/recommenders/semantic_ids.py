"""Semantic ids: each item is a short code read off its text, and the next item's code is generated level by level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from genre.arrays import Float32, Int64
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.errors import DataError, OptionError
from genre.log import Log
from genre.options import Ge, Gt, Lt, Search
from genre.recommenders.network_base import (
    NetworkRecommender,
    Standardised,
    fit_network,
    liked,
    load_weights,
    take_from,
    weights_of,
)
from genre.training.hyperparameters import require_torch

if TYPE_CHECKING:
    from genre.networks.semantic_ids import SemanticIdsNetwork, Tree


@dataclass(eq=False, kw_only=True)
class SemanticIds(NetworkRecommender):
    """Residual k-means turns item vectors into codes, a decoder generates the next code (TIGER, NeurIPS 2023).

    A code has `levels` numbers, each the nearest of `codes` centroids to what the levels before left over, and one
    more that tells items with the same numbers apart. A causal transformer reads a history of codes; a recurrent
    decoder names the next item's numbers one after another, and beam search follows only numbers that lead to an
    item. An item the beam reached scores its log-likelihood; the others stand below, by how far the beam followed
    their code and how likely it was up to there.

    levels, codes: numbers of a code, and values of each. iterations: of k-means. beam: codes followed at each level.
    dim, blocks, heads, max_length, dropout: as in `SASRec`.
    """

    levels: Annotated[int, Ge(1)] = 3
    codes: Annotated[int, Ge(2), Search(32, 512, log=True)] = 256
    iterations: Annotated[int, Ge(1)] = 20
    beam: Annotated[int, Ge(1)] = 50
    dim: Annotated[int, Ge(2), Search(32, 256, log=True)] = 64
    blocks: Annotated[int, Ge(1)] = 2
    heads: Annotated[int, Ge(1)] = 2
    max_length: Annotated[int, Ge(2)] = 50
    dropout: Annotated[float, Ge(0), Lt(1), Search(0, 0.6)] = 0.2
    epochs: Annotated[int, Ge(1)] = 30
    learning_rate: Annotated[float, Gt(0), Search(1e-4, 1e-2, log=True)] = 2e-3

    learns: ClassVar[tuple[str, ...]] = ("weights_", "item_mean_", "item_scale_", "centroids_", "codes_", "sizes_")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._network: SemanticIdsNetwork | None = None  # these two are built when first needed
        self._tree: Tree | None = None
        if self.dim % self.heads:
            raise OptionError(f"SemanticIds: dim {self.dim} is not a multiple of heads {self.heads}")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        require_torch("semantic_ids")
        from genre.networks.padding import Sequences
        from genre.training.loop import seeded

        if dataset.item_features is None:
            raise DataError("semantic_ids: the items have no vectors to make codes of; add features")
        standardised = Standardised.of(dataset.item_features)
        self.item_mean_, self.item_scale_ = standardised.mean, standardised.scale
        vectors = standardised(dataset.item_features, dataset.n_items)
        self.centroids_ = residual_centroids(vectors, self.levels, self.codes, self.iterations, self.seed)
        self.codes_ = _told_apart(nearest_codes(vectors, self.centroids_))
        self.sizes_ = self.codes_.max(0) + 1  # values of each level, the last one's that tells items apart
        log.line(
            f"semantic_ids: codes of {dataset.n_items:,} items, {len(np.unique(self.codes_[:, :-1], axis=0)):,} "
            f"of them distinct before they are told apart"
        )
        with seeded(self.seed):
            network = self._make_network()
        if self.init_from is not None:
            log.line(f"semantic_ids: {take_from(self.init_from, self, network)}")

        def read() -> None:
            self.weights_, self._network = weights_of(network), network

        self._tree = None

        batches = Sequences(liked(dataset.history()), max_length=self.max_length, batch_size=self.batch_size)
        fit_network(self, network, batches, dataset, validation, read=read, log=log)

    def _make_network(self) -> SemanticIdsNetwork:
        from genre.networks.semantic_ids import SemanticIdsNetwork

        return SemanticIdsNetwork(
            self.codes_,
            self.sizes_.tolist(),
            dim=self.dim,
            blocks=self.blocks,
            heads=self.heads,
            max_length=self.max_length,
            dropout=self.dropout,
        )

    def _score(self, history: History) -> Float32:
        from genre.networks.semantic_ids import Tree, beam_scores

        if self._tree is None:
            self._tree = Tree.of(self.codes_)
        if self._network is None:
            self._network = self._make_network()
            load_weights(self._network, self.weights_)
        return beam_scores(self._network, self._tree, liked(history).last(self.max_length - 1), self.beam)

    def _extend(self, features: Float32) -> None:
        """A new item gets the code of its vector, and the next number that tells it from items of the same code."""
        new = nearest_codes(Standardised(self.item_mean_, self.item_scale_)(features, len(features)), self.centroids_)
        codes = _told_apart(np.concatenate([self.codes_[:, :-1], new]))
        codes[:, -1] = np.minimum(
            codes[:, -1], self.sizes_[-1] - 1
        )  # the decoder knows no higher number: they share it
        self.codes_, self._network, self._tree = codes, None, None


def residual_centroids(vectors: Float32, levels: int, codes: int, iterations: int, seed: int) -> Float32:
    """Per level the centroids of what the levels before left over. [levels, codes, dim]"""
    rng = np.random.default_rng(seed)
    rest, out = vectors, np.zeros((levels, codes, vectors.shape[1]), np.float32)
    for level in range(levels):
        out[level] = _kmeans(rest, codes, iterations, rng)
        rest = rest - out[level][_nearest(rest, out[level])]
    return out


def nearest_codes(vectors: Float32, centroids: Float32) -> Int64:
    """Each vector's nearest centroid, level by level, of what the levels before left over. [n, levels]"""
    rest, out = vectors, []
    for level in centroids:
        out.append(_nearest(rest, level))
        rest = rest - level[out[-1]]
    return np.stack(out, 1)


def _kmeans(vectors: Float32, k: int, iterations: int, rng: np.random.Generator) -> Float32:
    """Lloyd's algorithm; a centroid that nobody is nearest to moves to a vector drawn at random."""
    centroids = vectors[rng.choice(len(vectors), k, replace=len(vectors) < k)]
    for _ in range(iterations):
        member = _nearest(vectors, centroids)
        count = np.bincount(member, minlength=k)
        total = np.zeros_like(centroids)
        np.add.at(total, member, vectors)
        alone = count == 0
        centroids = np.asarray(total / np.maximum(count, 1)[:, None], np.float32)
        centroids[alone] = vectors[rng.integers(0, len(vectors), int(alone.sum()))]
    return centroids


def _nearest(vectors: Float32, centroids: Float32) -> Int64:
    return np.asarray((vectors @ centroids.T - (centroids**2).sum(1) / 2).argmax(1), np.int64)


def _told_apart(codes: Int64) -> Int64:
    """The codes with one more number: how many items before have the same code. [n, levels + 1]"""
    _, same = np.unique(codes, axis=0, return_inverse=True)
    order = np.argsort(same.ravel(), kind="stable")
    sorted_same = same.ravel()[order]
    first = np.searchsorted(sorted_same, sorted_same)
    number = np.empty(len(codes), np.int64)
    number[order] = np.arange(len(codes)) - first
    return np.concatenate([codes, number[:, None]], 1)
