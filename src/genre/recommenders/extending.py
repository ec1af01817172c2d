"""Adding items to a fitted recommender: new rows of the catalogue, placed by their features, without another fit.

Knows nothing about where the features come from.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from genre.arrays import Float32
from genre.data.ids import Ids
from genre.errors import DataError, NotSupported


class Extending:
    """The part of a recommender that adds items without interactions after the last row of the catalogue."""

    extends_when: ClassVar[str] = (
        "yes"  # the condition for `extend`, such as an option that must be set; shown to people
    )

    item_ids_: Ids
    popularity_: Float32

    @abstractmethod
    def _fitted(self) -> None: ...

    def extend(self, item_ids: Sequence[str], item_features: Float32) -> Self:
        """Return a copy that also scores new items; they become the rows after the last one.

        Histories for the copy count the larger catalogue.

        Args:
            item_ids: Ids of the new items, none of them in the catalogue.
            item_features: Their features `[n_new, dim]`, from the encoder that made `dataset.item_features`.

        Returns:
            The larger recommender; this one stays as it is.

        Raises:
            NotSupported: If the algorithm cannot place an item by its features.
            DataError: If an id is known already or the features have another shape.
        """
        self._fitted()
        features = np.asarray(item_features, np.float32)
        if features.ndim != 2 or len(features) != len(item_ids):
            raise DataError(f"{len(item_ids)} new items need features [{len(item_ids)}, dim], found {features.shape}")
        larger = copy.copy(self)  # learnt values are replaced, never changed in place
        larger.item_ids_ = self.item_ids_.append(item_ids)
        larger.popularity_ = np.append(self.popularity_, np.zeros(len(item_ids), np.float32))
        larger._extend(features)
        return larger

    def _extend(self, features: Float32) -> None:
        """Replace the learnt values by larger ones for the new rows of `features` `[n_new, dim]`."""
        raise NotSupported(f"{type(self).__name__} cannot place an item without interactions; fit it again")
