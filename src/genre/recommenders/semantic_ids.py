"""SemanticIds: item vectors become short codes, and a network generates the code of the next item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from genre.arrays import Float32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import DataError, OptionError
from genre.log import Log
from genre.options import Doc, Ge, Gt, Lt, Search
from genre.recommenders.network_base import (
    MaxLength,
    NetworkRecommender,
    Standardised,
    liked,
    liked_histories,
    load_weights,
    weights_of,
)
from genre.training.hyperparameters import require_torch

if TYPE_CHECKING:
    from genre.networks.semantic_ids import CodeTree, SemanticIdsNetwork


@dataclass(eq=False, kw_only=True)
class SemanticIds(NetworkRecommender):
    """Residual k-means turns item vectors into codes; a causal transformer and a decoder generate the next code.

    A code has `levels` numbers, each the nearest of `codes` centroids to what the levels before left over, and a last
    one that makes the codes of different items distinct. The transformer reads a history of codes; a recurrent
    decoder generates the next item's numbers one after another, and beam search follows only numbers that lead to an
    item. An item that the beam reached scores the log-likelihood of its code; the others score less, by how far the
    beam followed their code and how likely it was up to there.

    Source: Rajput et al., "Recommender Systems with Generative Retrieval" (TIGER), NeurIPS 2023.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.SemanticIds(levels=2, codes=4, dim=16, blocks=1, epochs=40, batch_size=8).fit(toy_dataset())
        >>> model.codes_.shape  # two numbers of clusters, and one that makes the codes distinct
        (12, 3)
        >>> model.recommend(["i0", "i2", "i4"], k=1).ids()[0] in ("i6", "i8", "i10")  # even items, as in the history
        True
    """

    levels: Annotated[int, Ge(1), Doc("Numbers of a code.")] = 3
    codes: Annotated[int, Ge(2), Search(32, 512, log=True), Doc("Values of each number: centroids of a level.")] = 256
    iterations: Annotated[int, Ge(1), Doc("Iterations of k-means.")] = 20
    beam: Annotated[int, Ge(1), Doc("Codes followed at each level of the beam search.")] = 50
    dim: Annotated[int, Ge(2), Search(32, 256, log=True, multiple=8), Doc("Width of all vectors.")] = 64
    blocks: Annotated[int, Ge(1), Doc("Transformer blocks.")] = 2
    heads: Annotated[int, Ge(1), Doc("Attention heads of a block; must divide dim.")] = 2
    max_length: MaxLength = 50
    dropout: Annotated[float, Ge(0), Lt(1), Search(0, 0.6), Doc("Share of values set to zero in training.")] = 0.2
    epochs: Annotated[int, Ge(1), Doc("Passes over the histories, at most.")] = 30
    learning_rate: Annotated[float, Gt(0), Search(1e-4, 1e-2, log=True), Doc("The highest step size.")] = 2e-3

    learns: ClassVar[tuple[str, ...]] = ("weights_", "item_mean_", "item_scale_", "centroids_", "codes_", "sizes_")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._trained: SemanticIdsNetwork | None = None  # these two are built when first needed
        self._tree: CodeTree | None = None
        if self.dim % self.heads:
            raise OptionError(f"SemanticIds: dim {self.dim} is not a multiple of heads {self.heads}")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        require_torch("SemanticIds", self.device)
        from genre.networks.padding import SequenceBatches

        if dataset.item_features is None:
            raise DataError("semantic_ids: the items have no vectors to make codes of; add features")
        scaling = Standardised.of(dataset.item_features)
        self.item_mean_, self.item_scale_ = scaling.mean, scaling.scale
        vectors = scaling(dataset.item_features, dataset.n_items)
        self.centroids_ = residual_centroids(vectors, self.levels, self.codes, self.iterations, self.seed)
        self.codes_ = _distinct(nearest_codes(vectors, self.centroids_))  # [n_items, levels + 1]
        self.sizes_ = self.codes_.max(0) + 1  # values of each number, that of the last one too
        log.line(
            f"semantic_ids: codes of {dataset.n_items:,} items, {len(np.unique(self.codes_[:, :-1], axis=0)):,} "
            "of them distinct without the last number"
        )
        network = self._initialise(self._network, log)

        def read() -> None:
            self.weights_, self._trained = weights_of(network), network

        self._tree = None
        history = liked_histories(dataset)
        batches = SequenceBatches(history, max_length=self.max_length, batch_size=self.batch_size)
        self._train(network, batches, dataset, validation, read=read, log=log)

    def _network(self) -> SemanticIdsNetwork:
        """Return an untrained network for the codes."""
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
        from genre.networks.semantic_ids import CodeTree, beam_scores

        if self._tree is None:
            self._tree = CodeTree.from_codes(self.codes_)
        if self._trained is None:
            self._trained = self._network()
            load_weights(self._trained, self.weights_)
        newest = liked(history).last(self.max_length - 1)  # one position is the start mark
        return beam_scores(self._trained, self._tree, newest, self.beam)

    def _extend(self, features: Float32) -> None:
        """Give new items the code of their vectors, with the next free last number among items of the same code."""
        new = nearest_codes(Standardised(self.item_mean_, self.item_scale_)(features, len(features)), self.centroids_)
        codes = _distinct(np.concatenate([self.codes_[:, :-1], new]))
        codes[:, -1] = np.minimum(codes[:, -1], self.sizes_[-1] - 1)  # the decoder has no higher number: shared
        self.codes_, self._trained, self._tree = codes, None, None


def residual_centroids(vectors: Float32, levels: int, codes: int, iterations: int, seed: int) -> Float32:
    """Return the centroids of residual k-means: each level clusters what the levels before left over.

    Args:
        vectors: item vectors. `[n_items, dim]`
        levels: levels of clustering.
        codes: centroids of a level.
        iterations: iterations of k-means.
        seed: of the first centroids.

    Returns:
        `[levels, codes, dim]`
    """
    rng = np.random.default_rng(seed)
    rest, out = vectors, np.zeros((levels, codes, vectors.shape[1]), np.float32)
    for level in range(levels):
        out[level] = _kmeans(rest, codes, iterations, rng)
        rest = rest - out[level][_nearest(rest, out[level])]
    return out


def nearest_codes(vectors: Float32, centroids: Float32) -> Int64:
    """Return the code of each vector: the nearest centroid of each level to what the levels before left over.

    Args:
        vectors: item vectors. `[n, dim]`
        centroids: as `residual_centroids` returns them. `[levels, codes, dim]`

    Returns:
        Numbers of centroids. `[n, levels]`
    """
    rest, out = vectors, []
    for level in centroids:
        out.append(_nearest(rest, level))
        rest = rest - level[out[-1]]
    return np.stack(out, 1)


def _kmeans(vectors: Float32, k: int, iterations: int, rng: np.random.Generator) -> Float32:
    """Return centroids `[k, dim]` by Lloyd's algorithm; one without members moves to a random vector."""
    centroids = vectors[rng.choice(len(vectors), k, replace=len(vectors) < k)]
    for _ in range(iterations):
        member = _nearest(vectors, centroids)
        count = np.bincount(member, minlength=k)
        total = np.zeros_like(centroids)
        np.add.at(total, member, vectors)
        empty = count == 0
        centroids = np.asarray(total / np.maximum(count, 1)[:, None], np.float32)
        centroids[empty] = vectors[rng.integers(0, len(vectors), int(empty.sum()))]
    return centroids


def _nearest(vectors: Float32, centroids: Float32) -> Int64:
    """Return the nearest centroid of each vector, `[n]`: |x - c|^2 is least where x . c - |c|^2 / 2 is greatest."""
    return np.asarray((vectors @ centroids.T - (centroids**2).sum(1) / 2).argmax(1), np.int64)


def _distinct(codes: Int64) -> Int64:
    """Return the codes with one more number: the count of earlier items with the same code, `[n, levels + 1]`."""
    _, same = np.unique(codes, axis=0, return_inverse=True)
    order = np.argsort(same.ravel(), kind="stable")
    sorted_same = same.ravel()[order]
    first = np.searchsorted(sorted_same, sorted_same)
    number = np.empty(len(codes), np.int64)
    number[order] = np.arange(len(codes)) - first
    return np.concatenate([codes, number[:, None]], 1)
