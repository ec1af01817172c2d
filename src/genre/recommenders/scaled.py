"""Scaled: a rating recommender that learns on scaled ratings and predicts stars. Knows no way of learning itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from typing_extensions import override

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import DataError, OptionError
from genre.log import Log
from genre.options import Doc
from genre.preprocessing.scaling import Scaler
from genre.recommenders.base import Recommender
from genre.recommenders.reasons import Terms
from genre.recommenders.second_stage import SecondStage


@dataclass(eq=False)
class Scaled(SecondStage):
    """Any recommender of ratings, fitted on ratings scaled by min-max or z-score; its predictions are scaled back.

        scaled = (rating - shift) / scale,    rating = scaled * scale + shift

    The two numbers come from the train part alone. Per user they come from the user's own history, so that a history
    unknown in training has its own, too; one without ratings has those of all. `score` is that of the first stage, on
    the scaled ratings: scaling changes no order within a user's list.

    Example:
        >>> import genre, numpy
        >>> from genre.testing import toy_dataset
        >>> data = toy_dataset()  # ratings from 1 to 5
        >>> model = genre.Scaled(genre.Baseline(), method="z-score").fit(data)
        >>> stars = model.predict(data.history([0]), numpy.zeros(2, int), numpy.array([2, 3]))
        >>> bool(1 <= stars.min() and stars.max() <= 5)
        True
    """

    method: Annotated[
        Literal["min-max", "z-score"],
        Doc("min-max: the lowest rating becomes 0, the highest 1; z-score: the mean becomes 0, the deviation 1."),
    ] = "min-max"
    per_user: Annotated[bool, Doc("Scale the ratings of each user by the user's own; false: by all.")] = False

    learns: ClassVar[tuple[str, ...]] = ("shift_", "scale_", "low_", "high_")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.first.capabilities()["ratings"]:
            raise OptionError(
                f"scaled: first is {type(self.first).__name__}, which learns from no ratings; name one that predicts "
                "ratings, such as baseline, rating_factors or mlp"
            )

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if dataset.rating is None or dataset.rating_scale is None:
            raise DataError("scaled: needs ratings and their scale; the data has none")
        scaler = Scaler.fit(dataset, self.method, per_user=self.per_user)
        self.shift_, self.scale_ = float(scaler.shift[-1]), float(scaler.scale[-1])
        self.low_, self.high_ = (float(star) for star in dataset.rating_scale[:2])
        if validation is not None:
            context, target = validation.context, validation.target
            validation = Fold(lambda: scaler.transform(context), scaler.transform(target))
        super()._fit(scaler.transform(dataset), validation, log)

    @override
    def members(self) -> tuple[Recommender, ...]:
        """Return nothing: the first stage learns from scaled ratings, not from the data of this one."""
        return ()

    def _scaler(self, history: History) -> Scaler:
        """Return the scaler of histories: its users are their rows."""
        n, whole = len(history), (self.shift_, self.scale_)
        if history.rating is None or not self.per_user:
            return Scaler(*(np.full(n + 1, part) for part in whole))
        return Scaler.of_groups(history.row_of(), history.rating, n, self.method, whole)

    def _scaled(self, history: History) -> History:
        """Return the histories with scaled ratings."""
        if history.rating is None:
            return history
        rating = self._scaler(history).values(history.rating, history.row_of()).astype(np.float32)
        return dataclasses.replace(history, rating=rating)

    def _score(self, history: History) -> Float32:
        return self._first_scores(self._scaled(history))

    @override
    def predict(self, history: History, row: Int32, item: Int32) -> Float32:
        """Return the predictions of the first stage, scaled back and cut to the rating scale."""
        self._check(history)
        scaled = self.first_[0].predict(self._scaled(history), row, item)
        return np.clip(self._scaler(history).inverse(scaled, row), np.float32(self.low_), np.float32(self.high_))

    def _popular(self, history: History, items: Int32) -> Float32:
        return super()._popular(self._scaled(history), items)

    def _terms(self, history: History, items: Int32) -> Terms:
        return super()._terms(self._scaled(history), items)
