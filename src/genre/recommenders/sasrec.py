"""SASRec: a causal transformer over a history predicts the next item. The network is in `networks/sasrec.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import DataError, NotSupported, OptionError
from genre.log import Log
from genre.options import Doc, Ge, Le, Lt, Search
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
    from genre.networks.sasrec import CausalTransformer, SASRecNetwork


@dataclass(eq=False, kw_only=True)
class SASRec(NetworkRecommender):
    """Self-attention over the liked items of a history, oldest first, predicts the next one.

    The score of an item is the dot product of the transformer's output after the history with the item's vector.

    Sources: Kang & McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018. The loss matters more than the
    network: Petrov & Macdonald, "gSASRec", RecSys 2023, and Klenitskiy & Vasilev, "Turning Dross Into Gold Loss",
    RecSys 2023; hence cross-entropy over the whole catalogue by default.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.SASRec(dim=16, blocks=1, epochs=40, batch_size=8, learning_rate=0.01).fit(toy_dataset())
        >>> model.recommend(["i0", "i2", "i4"], k=1).ids()[0] in ("i6", "i8", "i10")  # even items, as in the history
        True
    """

    dim: Annotated[int, Ge(2), Search(32, 256, log=True, multiple=8), Doc("Width of all vectors.")] = 64
    blocks: Annotated[int, Ge(1), Doc("Transformer blocks.")] = 2
    heads: Annotated[int, Ge(1), Doc("Attention heads of a block; must divide dim.")] = 2
    max_length: MaxLength = 100
    dropout: Annotated[float, Ge(0), Lt(1), Search(0, 0.6), Doc("Share of values set to zero in training.")] = 0.2
    items: Annotated[
        Literal["id", "text", "text+id", "text_start"],
        Doc(
            "An item's vector: a learnt embedding (id), its text vector through a learnt map (text), the sum of both "
            "(text+id), or an embedding that starts at its text vector (text_start)."
        ),
    ] = "id"
    time: Annotated[bool, Doc("Read how long after the one before each item came.")] = False
    loss: Annotated[
        Literal["softmax", "sampled", "gbce"],
        Doc("Cross-entropy over the catalogue (softmax), sampled softmax with logQ correction, or gBCE."),
    ] = "softmax"
    negatives: Annotated[int, Ge(1), Doc("Items sampled for a batch (sampled, gbce).")] = 512
    power: Annotated[float, Ge(0), Le(1), Doc("Of the sampling (sampled): 0 samples uniformly, 1 by popularity.")] = 0.5
    calibration: Annotated[
        float, Ge(0), Le(1), Doc("How far gbce makes up for the items that were not sampled: 0 not, 1 fully.")
    ] = 0.75
    epochs: Annotated[int, Ge(1), Doc("Passes over the histories, at most.")] = 30

    extends_when: ClassVar[str] = "with items: text"
    learns: ClassVar[tuple[str, ...]] = ("weights_", "item_table_", "text_mean_", "text_scale_")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._reader: CausalTransformer | None = None  # built from `weights_` when first needed
        if self.dim % self.heads:
            raise OptionError(f"SASRec: dim {self.dim} is not a multiple of heads {self.heads}")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        require_torch("SASRec", self.device)
        from genre.networks.padding import SequenceBatches

        text, history = self._text(dataset), liked_histories(dataset)
        counts = np.bincount(history.item, minlength=dataset.n_items)
        network = self._initialise(lambda: self._network(text, counts), log)

        def read() -> None:
            self.weights_ = weights_of(network)
            self.item_table_ = network.item_table().detach().cpu().numpy().copy()  # [n_items, dim]
            self._reader = network.reader

        batches = SequenceBatches(history, max_length=self.max_length, batch_size=self.batch_size)
        self._train(network, batches, dataset, validation, read=read, log=log)

    def _network(self, text: Float32, counts: npt.NDArray[np.int64]) -> SASRecNetwork:
        """Return an untrained network for these item vectors and how often each item occurs."""
        from genre.networks.sasrec import SASRecNetwork

        return SASRecNetwork(
            self._transformer(),
            text,
            counts,
            dim=self.dim,
            items=self.items,
            loss=self.loss,
            negatives=self.negatives,
            power=self.power,
            calibration=self.calibration,
        )

    def _transformer(self) -> CausalTransformer:
        """Return an untrained transformer."""
        from genre.networks.sasrec import CausalTransformer

        return CausalTransformer(
            self.dim,
            blocks=self.blocks,
            heads=self.heads,
            max_length=self.max_length,
            dropout=self.dropout,
            time=self.time,
        )

    def _text(self, dataset: Dataset) -> Float32:
        """Return the items' text vectors as inputs, of width 0 where items are ids alone, `[n_items, width]`."""
        self.text_mean_, self.text_scale_ = np.zeros(0, np.float32), 1.0
        if self.items == "id":
            return np.zeros((dataset.n_items, 0), np.float32)
        if dataset.item_features is None:
            raise DataError(f"sasrec: items is {self.items!r}, but the items have no vectors; add features or use 'id'")
        text = Standardised.of(dataset.item_features)
        self.text_mean_, self.text_scale_ = text.mean, text.scale
        return text(dataset.item_features, dataset.n_items)

    def _factors(self, history: History) -> tuple[Float32, Float32]:
        """Return the transformer's output after each history, `[n, dim]`, and the item vectors, `[n_items, dim]`."""
        from genre.networks.sasrec import encode_histories

        if self._reader is None:
            self._reader = self._transformer()
            load_weights(self._reader, self.weights_, prefix="reader.")
        newest = liked(history).last(self.max_length - 1)  # one position is the start mark
        return encode_histories(self._reader, self.item_table_, newest), self.item_table_

    def _extend(self, features: Float32) -> None:
        """Place new items by their text through the learnt map; what an embedding would add is not known."""
        if self.items not in ("text", "text+id"):
            raise NotSupported(
                f"sasrec: items is {self.items!r}; fit with items 'text' or 'text+id' to place new items"
            )
        new = Standardised(self.text_mean_, self.text_scale_)(features, len(features))
        rows = new @ self.weights_["from_text.weight"].T + self.weights_["from_text.bias"]
        self.item_table_ = np.concatenate([self.item_table_, rows])
