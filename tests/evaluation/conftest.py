"""Small folds and a recommender whose scores are given, so that every rank is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.ids import Ids
from genre.evaluation.tied_ranks import Ranks
from genre.kernels.ranks import FAR
from genre.log import Log
from genre.recommenders.base import Recommender


@dataclass(eq=False)
class Table(Recommender):
    """Gives each user the scores of a table; users without a training row get the last row."""

    answers_empty: ClassVar[bool] = True

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None: ...

    def _score(self, history: History) -> Float32:
        return np.asarray(self.scores_[history.user], np.float32)


@pytest.fixture
def table() -> Callable[[np.ndarray, Dataset], Table]:
    def make(scores: np.ndarray, data: Dataset) -> Table:
        model = Table()
        model.scores_, model.item_ids_ = np.asarray(scores, np.float32), data.item_ids
        return model

    return make


@pytest.fixture
def fold() -> Callable[..., Fold]:
    """A fold from each user's seen and wanted items; an optional rating a target."""

    def make(
        seen: Sequence[Sequence[int]],
        wanted: Sequence[Sequence[int]],
        n_items: int,
        ratings: Sequence[Sequence[float]] | None = None,
    ) -> Fold:
        users, items = Ids(f"u{row}" for row in range(len(seen))), Ids(f"i{row}" for row in range(n_items))
        genres = pa.table({"item_id": items.values, "genres": ["a|b" if row % 2 else "a" for row in range(n_items)]})
        sexes = pa.table({"user_id": users.values, "sex": ["f" if row % 2 else "m" for row in range(len(seen))]})

        def part(lists: Sequence[Sequence[int]], stars: Sequence[Sequence[float]] | None) -> Dataset:
            return Dataset.from_arrays(
                user=[row for row, items in enumerate(lists) for _ in items],
                item=[item for items in lists for item in items],
                rating=None if stars is None else [star for row in stars for star in row],
                user_ids=users,
                item_ids=items,
                items=genres,
                users=sexes,
                rating_scale=None if stars is None else (1.0, 5.0, 1.0),
                positive_rating=None if stars is None else 4.0,
            )

        known = None if ratings is None else [[3.0] * len(row) for row in seen]
        return Fold(part(seen, known), part(wanted, ratings))

    return make


@pytest.fixture
def ranks_of() -> Callable[..., Ranks]:
    """One user whose candidates have these scores, by plain counting."""

    def make(scores: Sequence[float], relevant: Sequence[int], k: int, *, missing: int = 0) -> Ranks:
        values = np.asarray(scores)
        items = sorted(relevant, key=lambda item: -values[item])
        n_higher = [int((values > values[item]).sum()) for item in items] + [FAR] * missing
        ties = [int((values == values[item]).sum()) for item in items] + [1] * missing
        return Ranks(
            k=k,
            indptr=np.array([0, len(n_higher)]),
            item=np.array([*items, *[0] * missing], np.int32),
            n_higher=np.array(n_higher, np.int64),
            ties=np.array(ties, np.int64),
            candidates=np.array([len(values)]),
        )

    return make
