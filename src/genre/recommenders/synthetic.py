"""SyntheticHistory: items that a language model invented as a likely next one, as a weak part of a history.

They enter histories when scoring and nowhere else: nothing is fitted on them, they hide no candidate, add to no
item's popularity and are never a target.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Gt, Le, Search
from genre.recommenders.reasons import Terms
from genre.recommenders.second_stage import SecondStage

Source = Literal["history", "profile"]
COLUMNS: dict[str, str] = {"history": "synthetic_item", "profile": "synthetic_chained_item"}


@dataclass(eq=False)
class SyntheticHistory(SecondStage):
    """Any recommender, scoring the histories of known users with their invented items added, before the oldest one.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> data = toy_dataset()  # whose users have a column `synthetic_item`
        >>> model = genre.SyntheticHistory(genre.EASE()).fit(data)
        >>> (model.enriched(data.history([0])).lengths - data.history([0]).lengths).tolist()
        [1]
    """

    weight: Annotated[
        float, Gt(0), Le(0.99), Search(0.05, 0.9), Doc("Strength of a invented item, where a liked one has 1.")
    ] = 0.3
    made_from: Annotated[
        Source | None,
        Doc("Invented from the history or from the profile; None: from the history where the data has it."),
    ] = None

    learns: ClassVar[tuple[str, ...]] = ("column_", "invented_")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        wanted = [COLUMNS[self.made_from]] if self.made_from else list(COLUMNS.values())
        column = next((name for name in wanted if name in dataset.users.column_names), None)
        if column is None:
            raise DataError(
                f"synthetic: users have no column {' or '.join(wanted)}; ask for `synthetic` under `augmentation`"
            )
        super()._fit(dataset, validation, log)
        self.column_ = column
        invented = dataset.item_ids.rows([value or "" for value in dataset.users[column].to_pylist()])
        user = np.flatnonzero(invented >= 0)
        weights = np.full(len(user), self.weight, np.float32)
        shape = (dataset.n_users, dataset.n_items)
        self.invented_ = sp.csr_matrix((weights, (user, invented[user])), shape=shape)

    def _score(self, history: History) -> Float32:
        return self._first_scores(self.enriched(history))

    def _popular(self, history: History, items: Int32) -> Float32:
        return super()._popular(self.enriched(history), items)

    def _terms(self, history: History, items: Int32) -> Terms:
        shares, popular, parts = super()._terms(self.enriched(history), items)
        added = int(self._added(history).sum())  # invented items come first
        if added:
            invented = shares[:, :added].sum(axis=1)
            parts = {**parts, self.column_: parts.get(self.column_, 0) + invented}
        return Terms(shares[:, added:], popular, parts)

    def _extend(self, features: Float32) -> None:
        super()._extend(features)
        self.invented_ = sp.csr_matrix(
            (self.invented_.data, self.invented_.indices, self.invented_.indptr),
            shape=(self.invented_.shape[0], len(self.item_ids_)),
        )

    def _added(self, history: History) -> Int64:
        """Return how many invented items each history gets, `[n]`."""
        known = np.flatnonzero(history.user >= 0)
        more = np.zeros(len(history), np.int64)
        more[known] = np.diff(self.invented_.indptr)[history.user[known]]
        return more

    def enriched(self, history: History) -> History:
        """Return the histories, those of known users with their invented items in front.

        Args:
            history: `n` histories.

        Returns:
            As many histories; a invented item has the mean rating and the time of the first interaction.
        """
        more = self._added(history)
        picked = self.invented_[history.user[history.user >= 0]]
        indptr = history.indptr + np.concatenate([[0], np.cumsum(more)])
        place = np.arange(indptr[-1]) - np.repeat(indptr[:-1], np.diff(indptr))
        new = place < np.repeat(more, np.diff(indptr))
        return dataclasses.replace(
            history,
            indptr=indptr,
            item=_merge(new, history.item, picked.indices),
            weight=_merge(new, history.weight, picked.data),
            rating=None if history.rating is None else _merge(new, history.rating, _mean(history.rating)),
            timestamp=None if history.timestamp is None else _merge(new, history.timestamp, _oldest(history, more)),
        )


def _merge(new: npt.NDArray[np.bool_], old: npt.NDArray[Any], extra: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `extra` where `new` is true and `old` elsewhere, both in their order."""
    out = np.empty(len(new), old.dtype)
    out[new] = extra
    out[~new] = old
    return out


def _mean(rating: Float32) -> float:
    """Return the mean rating: a invented item is neither liked nor disliked."""
    return float(rating.mean()) if len(rating) else 0.0


def _oldest(history: History, more: Int64) -> Int64:
    """Return the time of each history's first interaction, once for each of its invented items."""
    assert history.timestamp is not None
    times = np.append(history.timestamp, 0)  # an empty history at the end starts behind the last interaction
    return np.repeat(times[history.indptr[:-1]], more)
