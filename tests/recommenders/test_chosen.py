"""What validation chose is kept when a recommender learns from other data."""

from __future__ import annotations

import numpy as np
import pytest

from genre.data.dataset import Dataset
from genre.data.folds import Fold, hold_out_last
from genre.errors import NotFitted
from genre.recommenders.als import ALS
from genre.recommenders.blend import Blend
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.ncf import NCF
from genre.recommenders.popularity import Popularity
from genre.recommenders.profiled import Profiled
from genre.testing import toy_dataset


def fold() -> tuple[Dataset, Fold]:
    held = hold_out_last(toy_dataset(), remedy="")
    return held.context, held


def test_weights_of_a_blend_and_options_of_its_members_are_kept() -> None:
    train, validation = fold()
    inner = Blend((ItemKNN(), Popularity()))
    fitted = Blend((inner, EASE(regularization=7)), k=3).fit(train, validation=validation)
    chosen = fitted.chosen()
    assert isinstance(chosen, Blend)
    assert chosen.k == 3
    assert chosen.weights == pytest.approx(fitted.weights_[0])
    assert isinstance(chosen.recommenders[0], Blend)
    assert chosen.recommenders[0].weights == pytest.approx(fitted.members_[0].weights_[0])  # type: ignore[attr-defined]
    again = chosen.fit(train)
    assert np.allclose(again.score(train.history()), fitted.score(train.history()), atol=1e-5)


def test_a_network_trains_for_the_epochs_that_were_kept() -> None:
    train, validation = fold()
    fitted = NCF(dim=4, hidden=(4,), epochs=4, patience=1).fit(train, validation=validation)
    chosen = fitted.chosen()
    assert isinstance(chosen, NCF)
    assert 1 <= chosen.epochs == fitted.kept_epochs_ <= 4
    assert chosen.patience == 0


def test_recommenders_inside_others_are_chosen_too() -> None:
    train, validation = fold()
    blend = Blend((ItemKNN(), Popularity()))
    second = Profiled(blend).fit(train, validation=validation).chosen()
    assert isinstance(second, Profiled)
    assert isinstance(second.first, Blend)
    assert second.first.weights
    content = Content(recommender=ALS(factors=4)).fit(train).chosen()
    assert isinstance(content, Content)
    assert isinstance(content.recommender, ALS)
    assert content.recommender.factors == 4
    with pytest.raises(NotFitted):
        blend.chosen()
