"""Reasons in lists, and the evidence for an item: they name what speaks for the item, or nothing."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genre.arrays import Float32, Int32
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend
from genre.recommenders.ease import EASE
from genre.recommenders.popularity import Popularity
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.lists import strongest
from genre.serving.requests import ListRequest
from genre.serving.service import Service


def test_a_list_turned_towards_the_rare_is_not_called_popular(run: Run, sqlite: SQLiteStore) -> None:
    data = run.dataset.where((run.dataset.item < 9) | (run.dataset.user % 2 == 0))  # fewer take the last three
    blend = Blend((Popularity(), EASE(10.0)), weights=(0.9, 0.1)).fit(data)
    made: dict[str, Recommender] = {"blend": blend, "popularity": Popularity().fit(data)}
    service = Service([dataclasses.replace(run, dataset=data, recommenders=made)], sqlite)
    rare = {"i9", "i10", "i11"}
    assert any("popular" in one["reason"] for one in service.recommend(ListRequest("u0", k=12)).items)
    seen = set()
    for name in made:
        for one in service.recommend(ListRequest("u0", k=12, recommender=name, novelty=0.9)).items:
            assert "popular" not in one["reason"]
            if not one["reason"].startswith("because of"):
                assert one["reason"] == ("rarer than most" if one["item_id"] in rare else "")
                seen.add(one["reason"])
    assert seen == {"rarer than most", ""}


def test_words_say_what_matched_or_nothing(service: Service) -> None:
    found = {
        one["item_id"]: one["reason"] for one in service.recommend(ListRequest(words="stories of castles", k=12)).items
    }
    assert found == {f"i{row}": "shares: castles" if row % 2 else "" for row in range(12)}
    service.put_item("n1", {"title": "Quiet Comet", "genres": "Sci-Fi|space", "text": "robots in space"})
    found = {one["item_id"]: one for one in service.recommend(ListRequest(words="a comet, sci-fi", k=12)).items}
    assert re.fullmatch("shares: Sci-Fi,.* comet", found["n1"]["reason"])


def test_the_parts_of_an_exact_explanation_add_up(run: Run, sqlite: SQLiteStore) -> None:
    blend = Blend((Popularity(), EASE(10.0)), weights=(0.5, 0.5)).fit(run.dataset)
    service = Service([dataclasses.replace(run, recommenders={"blend": blend})], sqlite)
    why = service.explain("i4", user_id="u0")
    assert why.method == "exact"
    assert why.popular > 0
    assert sum(cause["share"] for cause in why.because) + why.popular == pytest.approx(why.score, abs=1e-4)


def test_the_words_are_part_of_the_evidence(service: Service) -> None:
    words = "castles knights"
    listed = service.recommend(ListRequest("u0", words=words, k=12)).items
    for one in listed:
        why = service.explain(one["item_id"], user_id="u0", words=words)
        assert sum(why.query_parts.values()) == pytest.approx(one["score"], abs=1e-5)
        assert (why.source, set(why.query_parts)) == ("content", {"words", "taste"})
    first = service.explain(listed[0]["item_id"], user_id="u0", words=words)
    both = service.explain(listed[0]["item_id"], user_id="u1", words=words).reason
    assert re.fullmatch("shares: castles; because of Story [0-9]+ and Story [0-9]+", both), both
    assert (
        first.query_parts["words"]
        > service.explain(listed[-1]["item_id"], user_id="u0", words=words).query_parts["words"]
    )
    against = service.explain("i8", history=["i1", "i2", "i3"], words=words)
    assert against.query_parts["taste"] < 0 < against.because[0]["share"]
    assert "because of" not in against.reason
    alone = service.explain("i1", words=words)
    assert set(alone.query_parts) == {"words"}
    assert alone.reason == "shares: castles", "nobody's taste"
    assert service.explain("i1", user_id="u0").query_parts == {}


def _strongest_plain(shares: Float32, causes: Int32) -> list[list[int]]:
    out = []
    for row in shares:
        best: dict[int, float] = {}
        for share, cause in zip(row.tolist(), causes.tolist(), strict=True):
            if share > 0:
                best[cause] = max(share, best.get(cause, 0.0))
        out.append(sorted(best.values(), reverse=True)[:2])
    return out


@settings(deadline=None)  # the first call compiles
@given(st.data())
def test_the_two_strongest(data: st.DataObject) -> None:
    m, length = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 9))
    shares = data.draw(hnp.arrays(np.float32, (m, length), elements=st.floats(-1, 1, width=32)))
    causes = data.draw(hnp.arrays(np.int32, length, elements=st.integers(0, 5)))
    found = strongest(shares, causes)
    expected = _strongest_plain(shares, causes)
    for row, names, values in zip(shares, found, expected, strict=True):
        assert len(set(names)) == len(names) == len(values)
        assert [max(row[causes == name].tolist()) for name in names] == values
