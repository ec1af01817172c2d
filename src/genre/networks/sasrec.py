"""The network of `SASRec`; imported when one is trained or run, because it needs torch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from genre.arrays import Float32
from genre.data.linear import principal
from genre.networks.padding import Reader
from genre.training.losses import full_softmax, gbce, sampled_softmax
from genre.training.negatives import NegativeSampler

Items = Literal["id", "text", "text+id", "text_start"]
Loss = Literal["softmax", "sampled", "gbce"]

ITEM_SPREAD = 0.1  # of the values an item's embedding starts with


class SASRecNetwork(nn.Module):
    """The reader and the vectors of the items, which are the same where it reads and where it answers.

    text `[n_items, ...]`: item vectors, width 0 where items are ids alone. counts `[n_items]`: how often each is seen.
    """

    def __init__(
        self,
        reader: Reader,
        text: Float32,
        counts: npt.NDArray[np.int64],
        *,
        dim: int,
        items: Items,
        loss: Loss,
        negatives: int,
        power: float,
        calibration: float,
    ) -> None:
        super().__init__()
        self.reader, self.loss, self.negatives, self.calibration = reader, loss, negatives, calibration
        self.text: Tensor
        self.register_buffer("text", torch.from_numpy(text), persistent=False)
        self.sampler = NegativeSampler(counts, power=power if loss == "sampled" else 0.0)
        self.item_id = nn.Embedding(len(text), dim) if items != "text" else None
        self.from_text = nn.Linear(text.shape[1], dim) if items in ("text", "text+id") else None
        if self.item_id is not None:
            nn.init.normal_(self.item_id.weight, 0, ITEM_SPREAD)
            if items == "text_start":
                start = torch.from_numpy(principal(text, dim))
                self.item_id.weight.data[:, : start.shape[1]] = ITEM_SPREAD * start

    def item_table(self) -> Tensor:
        """The vector of each item. [n_items, dim]"""
        if self.from_text is None:
            return self.item_id.weight  # type: ignore[union-attr]  # one of the two is there
        mapped: Tensor = self.from_text(self.text)
        return mapped if self.item_id is None else mapped + self.item_id.weight

    def forward(self, target: Tensor, gaps: Tensor, real: Tensor) -> Tensor:
        """The mean loss of naming each `target` `[n, length]` that is `real` from those before it."""
        table = self.item_table()
        before = target[:, :-1]
        hidden = self.reader(functional.embedding(before, table), gaps[:, :-1])[real]
        right = target[real]
        if self.loss == "softmax":
            return full_softmax(hidden, table, right)
        drawn = self.sampler.draw((self.negatives,)).to(right)
        if self.loss == "gbce":
            return gbce(hidden, table, right, drawn, self.calibration)
        return sampled_softmax(hidden, table, right, drawn, self.sampler.log_q.to(table))
