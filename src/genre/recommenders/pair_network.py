"""The base of recommenders whose networks learn from pairs of a user and an item: a batch that grows with the data."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Self

from genre.log import Log
from genre.options import Doc, Ge
from genre.recommenders.network_base import NetworkRecommender


@dataclass(eq=False, kw_only=True)
class PairNetwork(NetworkRecommender):
    """A network recommender with an upper limit to the steps of an epoch.

    The step size grows with the square root of the batch: Malladi, Lyu, Panigrahi and Arora, "On the SDEs and Scaling
    Rules for Adaptive Gradient Algorithms", NeurIPS 2022.
    """

    most_steps: Annotated[
        int,
        Ge(1),
        Doc(
            "Steps of an epoch, at most: of more interactions than batch_size times as many, a batch has as many as it "
            "takes, and learning_rate grows with its square root."
        ),
    ] = 10_000

    def _in_steps(self, n_interactions: int, log: Log) -> Self:
        """Return the options of a training: these, or a copy with a larger batch and a larger step size."""
        size = math.ceil(n_interactions / self.most_steps)
        if size <= self.batch_size:
            return self
        rate = self.learning_rate * math.sqrt(size / self.batch_size)
        log.line(
            f"{type(self).__name__.lower()}: batches of {size:,} interactions in place of {self.batch_size:,}, "
            f"learning_rate {rate:.2g} in place of {self.learning_rate:g}, so that an epoch has "
            f"{self.most_steps:,} steps (most_steps)"
        )
        return dataclasses.replace(self, batch_size=size, learning_rate=rate)
