"""The small network that a ranker scores candidates with, in NumPy: forward, gradient, training, contributions.

    score(x, base) = a base + f(x) - f(0),    f(x) = silu(x W + b) v,    silu(h) = h / (1 + exp(-h))

or f(x) = x v without hidden units. It begins with a = 1 and v = 0: as the first stage. Knows arrays, not recommenders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from genre.arrays import Float32, Int64

DECAY = 0.9, 0.999  # of Adam's two running means
NODES = 16  # points of the path from zero to x at which gradients are taken


class Examples(NamedTuple):
    """What a network learns from: the candidates of `n` histories, of which one was the next item.

    Attributes:
        features: standardised features. float32 `[n, k, n_features]`
        base: score of the first stage, -inf for padding. float32 `[n, k]`
        target: place of the next item among the candidates. int64 `[n]`
    """

    features: Float32
    base: Float32
    target: Int64


@dataclass(frozen=True)
class Training:
    """Options of the training: AdamW (Loshchilov and Hutter, ICLR 2019), the step size falling along half a cosine."""

    hidden: int
    epochs: int
    learning_rate: float
    weight_decay: float
    batch_size: int


@dataclass(frozen=True, eq=False)
class CandidateNetwork:
    """A trained network.

    Attributes:
        base_weight: a, float32 `[1]`
        hidden_weights: W, float32 `[n_features, hidden]`, of width 0 for a linear ranker
        hidden_offsets: b, float32 `[hidden]`
        output_weights: v, float32 `[hidden]`, or `[n_features]` for a linear ranker
    """

    base_weight: Float32
    hidden_weights: Float32
    hidden_offsets: Float32
    output_weights: Float32

    @classmethod
    def start(cls, n_features: int, hidden: int, rng: np.random.Generator) -> CandidateNetwork:
        """Return a network that scores as the first stage.

        Args:
            n_features: Features of a candidate.
            hidden: Hidden units; 0 for a linear ranker.
            rng: Draws the hidden weights.

        Returns:
            The network.
        """
        bound = n_features**-0.5
        return cls(
            np.ones(1, np.float32),
            rng.uniform(-bound, bound, (n_features, hidden)).astype(np.float32),
            rng.uniform(-bound, bound, hidden).astype(np.float32),
            np.zeros(hidden or n_features, np.float32),
        )

    def score(self, features: Float32, base: Float32) -> Float32:
        """Score candidates.

        Args:
            features: `[..., n_features]`.
            base: Scores of the first stage `[...]`.

        Returns:
            Scores `[...]`.
        """
        average = self._output(np.zeros((1, features.shape[-1]), np.float32))
        return np.asarray(self.base_weight[0] * base + (self._output(features) - average), np.float32)

    def contributions(self, features: Float32) -> Float32:
        """Return what each feature adds to a score, beside one whose features are all average (zero).

        Linear: x v, exactly. With hidden units, integrated gradients: x times the mean gradient on the way from zero to
        x, which sum to f(x) - f(0) but for the error of Gauss-Legendre quadrature (Sundararajan, Taly and Yan,
        "Axiomatic attribution for deep networks", ICML 2017).

        Args:
            features: Standardised features `[m, n_features]`.

        Returns:
            float32 `[m, n_features]`.
        """
        if not len(self.hidden_offsets):
            return features * self.output_weights
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        gradient = np.zeros_like(features)
        sums = features @ self.hidden_weights  # [m, hidden]
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            slope = _silu(np.float32(node) * sums + self.hidden_offsets)[1] * self.output_weights  # [m, hidden]
            gradient += np.float32(weight) * (slope @ self.hidden_weights.T)
        return features * gradient

    def gradient(self, batch: Examples) -> tuple[float, tuple[Float32, Float32, Float32, Float32]]:
        """Return the softmax cross-entropy over the candidates and its gradient.

        Args:
            batch: Candidates of some histories.

        Returns:
            The mean loss, and its gradient in the order of the attributes.
        """
        n, _, n_features = batch.features.shape
        x = batch.features.reshape(-1, n_features)  # [n k, n_features]
        linear = not len(self.hidden_offsets)
        hidden, slope = (x, x) if linear else _silu(x @ self.hidden_weights + self.hidden_offsets)  # [n k, hidden]
        base = np.where(np.isfinite(batch.base), batch.base, np.float32(0))
        scores = self.base_weight[0] * base + (hidden @ self.output_weights).reshape(n, -1)  # [n, k]
        scores[~np.isfinite(batch.base)] = -np.inf
        chance = np.exp(scores - scores.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        rows = np.arange(n)
        loss = float(-np.log(np.maximum(chance[rows, batch.target], 1e-30)).mean())
        chance[rows, batch.target] -= 1
        error = chance / n  # of the scores [n, k]
        flat = error.reshape(-1)
        by_base, by_output = np.array([np.sum(error * base)], np.float32), flat @ hidden
        if linear:
            return loss, (by_base, np.zeros_like(self.hidden_weights), np.zeros_like(self.hidden_offsets), by_output)
        by_hidden = flat[:, None] * self.output_weights * slope  # [n k, hidden]
        return loss, (by_base, x.T @ by_hidden, by_hidden.sum(axis=0), by_output)

    def _output(self, features: Float32) -> Float32:
        """Return f, `[...]`."""
        if not len(self.hidden_offsets):
            return np.asarray(features @ self.output_weights, np.float32)
        return np.asarray(
            _silu(features @ self.hidden_weights + self.hidden_offsets)[0] @ self.output_weights, np.float32
        )


def train_network(examples: Examples, options: Training, *, seed: int) -> tuple[CandidateNetwork, list[float]]:
    """Train a network.

    Args:
        examples: What it learns from.
        options: Its size and steps.
        seed: Of its weights and of the order of examples.

    Returns:
        The network, and the mean loss of each epoch; the start, and none, where there are no examples.
    """
    rng = np.random.default_rng(seed)
    start = CandidateNetwork.start(examples.features.shape[2], options.hidden, rng)
    if not len(examples.target):
        return start, []
    weights = [start.base_weight, start.hidden_weights, start.hidden_offsets, start.output_weights]
    means, squares = ([np.zeros_like(one) for one in weights] for _ in range(2))
    starts = range(0, len(examples.target), options.batch_size)
    steps, step, losses = options.epochs * len(starts), 0, []
    for _ in range(options.epochs):
        order, total = rng.permutation(len(examples.target)), 0.0
        for at in starts:
            rows = order[at : at + options.batch_size]
            batch = Examples(examples.features[rows], examples.base[rows], examples.target[rows])
            loss, gradient = CandidateNetwork(*weights).gradient(batch)
            total += loss * len(rows)
            size = options.learning_rate * (1 + np.cos(np.pi * step / steps)) / 2
            step += 1
            for number, slope in enumerate(gradient):
                means[number] = DECAY[0] * means[number] + (1 - DECAY[0]) * slope
                squares[number] = DECAY[1] * squares[number] + (1 - DECAY[1]) * slope**2
                mean, square = means[number] / (1 - DECAY[0] ** step), squares[number] / (1 - DECAY[1] ** step)
                decayed = weights[number] * (
                    1 - size * options.weight_decay * (slope.ndim > 1)
                )  # not offsets and scales
                weights[number] = np.asarray(decayed - size * mean / (np.sqrt(square) + 1e-8), np.float32)
        losses.append(total / len(order))
    return CandidateNetwork(*weights), losses


def _silu(sums: Float32) -> tuple[Float32, Float32]:
    """Return h / (1 + exp(-h)) and its derivative."""
    gate = np.asarray(1 / (1 + np.exp(-np.clip(sums, -60, 60))), np.float32)
    value = sums * gate
    return value, gate + value * (1 - gate)
