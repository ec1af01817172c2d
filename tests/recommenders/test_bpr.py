"""BPR: what it learns in the toy world, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import TrainingError
from genre.recommenders.bpr import BPR
from genre.testing import toy_dataset


def auc(model: BPR, data: Dataset) -> float:
    """How often the missing item of a user's parity scores above an unseen one of the other."""
    scores = model.score(data.history())
    liked = data.matrix().toarray() > 0
    own = (np.arange(data.n_items)[None] % 2) == (np.arange(data.n_users)[:, None] % 2)
    pairs = [(s[o & ~k][:, None] > s[~o & ~k][None]).mean() for s, o, k in zip(scores, own, liked, strict=True)]
    return float(np.mean(pairs))


@pytest.mark.parametrize("options", [{"loss": "bpr"}, {"loss": "softmax", "sampling": "popularity", "negatives": 8}])
def test_training_ranks_what_belongs_together(options) -> None:
    data = toy_dataset()
    short, long = (BPR(factors=4, epochs=n, learning_rate=0.2, **options).fit(data) for n in (1, 60))
    assert auc(long, data) > max(0.95, auc(short, data) - 1e-9)


def test_contributions_add_up_to_the_score() -> None:
    data = toy_dataset()
    model = BPR(factors=6, epochs=5).fit(data)
    history = data.history([2])
    shares = model.contributions(history, np.arange(data.n_items, dtype=np.int32))
    np.testing.assert_allclose(shares.sum(axis=1) + model.item_offset_, model.score(history)[0], atol=1e-5)


def test_a_known_user_and_a_stranger_with_the_same_history_get_the_same() -> None:
    data = toy_dataset()
    model = BPR(factors=6, epochs=5).fit(data)
    np.testing.assert_array_equal(model.score(data.history()), model.score(data.history().anonymous()))


def test_a_divergence_is_named() -> None:
    with pytest.raises(TrainingError, match="lower learning_rate"), np.errstate(all="ignore"):
        BPR(factors=4, epochs=50, learning_rate=50.0, regularization=10.0).fit(toy_dataset())


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_smallest_worlds(loss) -> None:
    """One user, one item; and a user who has seen everything, so that nothing can be sampled."""
    for n_users, n_items in ((1, 1), (1, 5), (3, 1)):
        users, items = np.divmod(np.arange(n_users * n_items), n_items)
        data = Dataset.from_arrays(
            user=users,
            item=items,
            user_ids=Ids(range(n_users)),
            item_ids=Ids(range(n_items)),
            weight=np.full(len(users), 1e6),
        )
        model = BPR(factors=3, epochs=3, loss=loss).fit(data)
        assert np.isfinite(model.score(data.history())).all()
        assert (model.recommend(data.history(), k=3).item == -1).all()
        assert np.isfinite(model.score(History.of([[], [0]], n_items))).all()
