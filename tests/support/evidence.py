"""What evidence by occlusion has to be, whatever faster way a recommender takes to it."""

from __future__ import annotations

import numpy as np
import pytest

from genre.data.dataset import Dataset
from genre.data.history import History
from genre.recommenders.base import Recommender


def assert_evidence_is_the_fall(model: Recommender, data: Dataset, *, abs: float) -> None:  # noqa: A002
    """Of a known user, the same as a stranger, a history of one item and one that repeats an item."""
    every = np.arange(data.n_items, dtype=np.int32)
    for history in (
        data.history([3]),
        data.history([3]).anonymous(),
        History.of([[4]], data.n_items),
        History.of([[0, 7, 0]], data.n_items),
    ):
        plain = Recommender._contributions(model, history, every)
        assert model._contributions(history, every) == pytest.approx(plain, abs=abs)
