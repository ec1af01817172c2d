"""Items that a recommender cannot learn are placed by their neighbours."""

from __future__ import annotations

import numpy as np

from genre.data.history import History
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.serving.new_items import ByNeighbours, add_items
from genre.testing import toy_dataset


def test_new_items_get_a_place_by_their_neighbours() -> None:
    data = toy_dataset()
    assert data.item_features is not None
    like_evens, like_odds = data.item_features.values[0::2].mean(0), data.item_features.values[1::2].mean(0)
    content = Content().fit(data).extend(["even", "odd"], np.stack([like_evens, like_odds]))
    model = EASE(10.0).fit(data)
    grown = add_items(model, content, ["even", "odd"], np.stack([like_evens, like_odds]))
    assert isinstance(grown, ByNeighbours)
    histories = History.of([[0, 2, 4], [1, 3], [12], [13], []], 14)
    scores = grown.score(histories)
    assert scores.shape == (5, 14)
    assert np.array_equal(scores[:2, :12], model.score(History.of([[0, 2, 4], [1, 3]], 12))), "known items as before"
    assert scores[0, 12] > scores[0, 13]
    assert scores[1, 13] > scores[1, 12]
    assert grown.recommend(histories.select([2]), k=1).item[0, 0] % 2 == 0
    shares = grown.contributions(histories.select([0]), np.arange(14, dtype=np.int32))
    assert np.allclose(shares.sum(axis=1), scores[0], atol=1e-5), "and its shares add up"
