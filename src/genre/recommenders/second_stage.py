"""The base of second stages: recommenders that change the scores of another one, the first stage."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.log import Log
from genre.options import DEFAULT_K, Doc
from genre.recommenders.base import Recommender
from genre.recommenders.reasons import Method, Terms
from genre.recommenders.recommendations import Recommendations
from genre.recommenders.reusing import Reusable, fit_reusing


@dataclass(eq=False)
class SecondStage(Recommender):
    """The base of second stages: `_score` changes the scores of `first_`; evidence and similar items are its own."""

    first: Annotated[Recommender, Doc("The first stage: the recommender whose scores are changed.")]

    extends_when: ClassVar[str] = "as its members"
    answers_empty: ClassVar[bool] = True  # the first stage does
    learns: ClassVar[tuple[str, ...]] = ("first_",)

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        self._fit_first(dataset, validation, log, self._reusable)

    def _fit_first(self, dataset: Dataset, validation: Fold | None, log: Log, reusable: Reusable | None) -> None:
        checkpoint = self._checkpoint / "first" if self._checkpoint else None
        fresh = dataclasses.replace(self.first)  # type: ignore[type-var]  # every recommender is a dataclass
        first = fit_reusing(fresh, reusable, dataset, validation=validation, checkpoint=checkpoint, log=log)
        self.first_ = (first,)

    @override
    def members(self) -> tuple[Recommender, ...]:
        return getattr(self, "first_", (self.first,))

    def _chosen(self) -> dict[str, Any]:
        return {"first": self.first_[0].chosen()}

    def _first_scores(self, history: History) -> Float32:
        """Return the first stage's scores in an array that may be changed, `[n, n_items]`."""
        return np.array(self.first_[0].score(history), np.float32)

    @override
    def similar_items(self, items: npt.ArrayLike, *, k: int = DEFAULT_K) -> Recommendations:
        self._fitted()
        return self.first_[0].similar_items(items, k=k)

    @property
    def evidence(self) -> Method:
        """How the first stage obtains its evidence."""
        return self.first_[0].evidence

    def _popular(self, history: History, items: Int32) -> Float32:
        return self.first_[0].popular(history, items)

    def _terms(self, history: History, items: Int32) -> Terms:
        return self.first_[0].terms(history, items)

    def _extend(self, features: Float32) -> None:
        first = self.first_[0]
        self.first_ = (first.extend(self.item_ids_.values.to_pylist()[len(first.item_ids_) :], features),)
