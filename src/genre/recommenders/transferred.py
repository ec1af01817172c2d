"""Transferred: a recommender of another catalogue scores this one, by nothing but the features that both share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from typing_extensions import override

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc
from genre.recommenders.base import Recommender
from genre.recommenders.network_base import saved_in

PREFIX = "transferred/"  # of item ids, so that none is the id of an item of the other catalogue


@dataclass(eq=False)
class Transferred(Recommender):
    """The zero-shot baseline of a transfer: the items here are new items of a fitted recommender, placed by features.

    Both catalogues need the same pretrained encoder. Of the interactions here only the popularity for empty histories
    is learnt; a network with the same `init_from` and `init_ids: false` is trained further on them.
    """

    init_from: Annotated[
        str, Doc("Folder of a saved recommender that can place new items; in a config relative to the config's folder.")
    ]

    extends_when: ClassVar[str] = "as the recommender of the other catalogue"
    learns: ClassVar[tuple[str, ...]] = ("member_", "n_before_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if dataset.item_features is None:
            raise DataError("transferred: needs item features; name the encoder of the other run under `features`")
        source = Recommender.load(saved_in(Path(self.init_from), Recommender))
        self.n_before_ = len(source.item_ids_)
        ids = [f"{PREFIX}{item_id}" for item_id in dataset.item_ids.values.to_pylist()]
        self.member_ = (source.extend(ids, dataset.item_features.values),)
        log.line(f"transferred: {len(ids):,} items placed by the features of {type(source).__name__}, {self.init_from}")

    def _score(self, history: History) -> Float32:
        n_items = self.n_before_ + history.n_items
        there = dataclasses.replace(history.anonymous(), item=history.item + np.int32(self.n_before_), n_items=n_items)
        return np.ascontiguousarray(self.member_[0].score(there)[:, self.n_before_ :])

    @override
    def _extend(self, features: Float32) -> None:
        new = self.item_ids_.take(np.arange(len(self.item_ids_) - len(features), len(self.item_ids_)))
        self.member_ = (self.member_[0].extend([f"{PREFIX}{item_id}" for item_id in new], features),)
