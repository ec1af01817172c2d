"""SASRec: a causal transformer over a history names the next item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.errors import DataError, NotSupported, OptionError
from genre.log import Log
from genre.options import Ge, Le, Lt, Search
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
    from genre.networks.padding import Reader
    from genre.networks.sasrec import SASRecNetwork


@dataclass(eq=False, kw_only=True)
class SASRec(NetworkRecommender):
    """Self-attention over the liked items, oldest first, predicts the next (Kang & McAuley, ICDM 2018).

    Which loss it is trained with matters more than the network (Petrov & Macdonald, RecSys 2023; Klenitskiy & Vasilev,
    RecSys 2023): cross-entropy over the catalogue by default.

    dim: width of all vectors. blocks: layers of attention. heads: attentions in a layer; must divide dim.
    max_length: items of a history that are read, the newest; longer histories are learnt from in stretches.
    dropout: share of values set to zero in training.
    items: an item is its learnt embedding (id), its text vector through a learnt map (text), the sum of both
    (text+id), or an embedding that starts at its text vector (text_start).
    time: tell the network how long each item came after the one before.
    loss: softmax over the catalogue; sampled softmax with logQ correction; gbce.
    negatives: items drawn a batch (sampled, gbce). power: 0 draws them evenly, 1 by popularity.
    calibration: how far gbce makes up for the items it did not draw, 0 to 1.
    """

    dim: Annotated[int, Ge(2), Search(32, 256, log=True)] = 64
    blocks: Annotated[int, Ge(1)] = 2
    heads: Annotated[int, Ge(1)] = 2
    max_length: Annotated[int, Ge(2)] = 100
    dropout: Annotated[float, Ge(0), Lt(1), Search(0, 0.6)] = 0.2
    items: Literal["id", "text", "text+id", "text_start"] = "id"
    time: bool = False
    loss: Literal["softmax", "sampled", "gbce"] = "softmax"
    negatives: Annotated[int, Ge(1)] = 512
    power: Annotated[float, Ge(0), Le(1)] = 0.5
    calibration: Annotated[float, Ge(0), Le(1)] = 0.75
    epochs: Annotated[int, Ge(1)] = 30

    extends: ClassVar[str] = "with items: text"
    learns: ClassVar[tuple[str, ...]] = ("weights_", "item_table_", "text_mean_", "text_scale_")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._reader: Reader | None = None  # the network, built when first needed
        if self.dim % self.heads:
            raise OptionError(f"SASRec: dim {self.dim} is not a multiple of heads {self.heads}")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        require_torch("sasrec")
        from genre.networks.padding import Sequences
        from genre.training.loop import seeded

        text, history = self._text(dataset), liked(dataset.history())
        with seeded(self.seed):
            network = self._network(text, np.bincount(history.item, minlength=dataset.n_items))
        if self.init_from is not None:
            log.line(f"sasrec: {take_from(self.init_from, self, network)}")

        def read() -> None:
            self.weights_ = weights_of(network)
            self.item_table_ = network.item_table().detach().cpu().numpy().copy()
            self._reader = network.reader

        batches = Sequences(history, max_length=self.max_length, batch_size=self.batch_size)
        fit_network(self, network, batches, dataset, validation, read=read, log=log)

    def _text(self, dataset: Dataset) -> Float32:
        """The item vectors as inputs; width 0 when items are ids alone. [n_items, width]"""
        self.text_mean_, self.text_scale_ = np.zeros(0, np.float32), 1.0
        if self.items == "id":
            return np.zeros((dataset.n_items, 0), np.float32)
        if dataset.item_features is None:
            raise DataError(f"sasrec: items is {self.items!r}, but the items have no vectors; add features or use 'id'")
        text = Standardised.of(dataset.item_features)
        self.text_mean_, self.text_scale_ = text.mean, text.scale
        return text(dataset.item_features, dataset.n_items)

    def _score(self, history: History) -> Float32:
        queries, items = self._factors(history)
        return queries @ items.T

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        """What the network expects after each history, and the item table: the score is their dot product."""
        from genre.networks.padding import read_last

        if self._reader is None:
            self._reader = self._make_reader()
            load_weights(self._reader, self.weights_, prefix="reader.")
        return read_last(self._reader, self.item_table_, liked(history).last(self.max_length - 1)), self.item_table_

    def _network(self, text: Float32, counts: npt.NDArray[np.int64]) -> SASRecNetwork:
        from genre.networks.sasrec import SASRecNetwork

        return SASRecNetwork(
            self._make_reader(),
            text,
            counts,
            dim=self.dim,
            items=self.items,
            loss=self.loss,
            negatives=self.negatives,
            power=self.power,
            calibration=self.calibration,
        )

    def _make_reader(self) -> Reader:
        from genre.networks.padding import Reader

        return Reader(
            self.dim,
            blocks=self.blocks,
            heads=self.heads,
            max_length=self.max_length,
            dropout=self.dropout,
            time=self.time,
        )

    def _extend(self, features: Float32) -> None:
        """A new item is its text through the learnt map; what an embedding would add is not known."""
        if self.items not in ("text", "text+id"):
            raise NotSupported(
                f"sasrec: items is {self.items!r}; fit with items 'text' or 'text+id' to place new items"
            )
        new = Standardised(self.text_mean_, self.text_scale_)(features, len(features))
        rows = new @ self.weights_["from_text.weight"].T + self.weights_["from_text.bias"]
        self.item_table_ = np.concatenate([self.item_table_, rows])
