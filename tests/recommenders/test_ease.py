"""EASE against the plain inverse, and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre import machine
from genre.config.reading import parse_config
from genre.data.history import History
from genre.errors import ConfigError, DataError
from genre.machine import machine_memory
from genre.recommenders import ease
from genre.recommenders.ease import EASE, gram_bytes
from genre.recommenders.ease_features import EASEFeatures
from genre.recommenders.ease_neighbours import EASENeighbours
from genre.testing import toy_dataset
from lines import Lines
from plain_ease import plain_weights, random_data


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 150), st.floats(0.1, 0.6), st.floats(0.5, 50))
def test_weights_equal_the_plain_inverse(
    seed: int, n_users: int, n_items: int, density: float, regularization: float
) -> None:
    data = random_data(seed, n_users, n_items, density)
    if len(data) == 0:
        return
    found = EASE(regularization).fit(data).item_weights_
    np.testing.assert_allclose(found, plain_weights(data.matrix().toarray(), regularization), rtol=1e-3, atol=2e-4)


def test_old_interactions_fade() -> None:
    data = toy_dataset()
    model = EASE(regularization=5.0, history_half_life=1.0).fit(data)
    history = History.of([[0, 3, 4]], data.n_items)
    expected = np.array([0.25, 0.5, 1.0]) @ model.item_weights_[[0, 3, 4]]
    np.testing.assert_allclose(model.score(history)[0], expected, rtol=1e-5)
    shares = model.contributions(history, np.array([7], np.int32))
    assert shares.sum() == pytest.approx(model.score(history)[0, 7], abs=1e-6)


@pytest.mark.parametrize("kind", [EASE(), EASEFeatures()])
def test_a_catalogue_beyond_the_memory_is_refused_with_the_other_kind(
    kind: EASE | EASEFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy_dataset()
    monkeypatch.setattr(ease, "machine_memory", lambda: gram_bytes(data.n_items))
    kind.fit(data)
    monkeypatch.setattr(ease, "machine_memory", lambda: gram_bytes(data.n_items) - 1)
    remedy = "use kind: ease_neighbours" if isinstance(kind, EASE) else "set neighbours, such as 1000"
    with pytest.raises(
        DataError, match=f"12 items need 0.0 GB for the Gram matrix and its inverse, this machine has 0.0 GB; {remedy}"
    ):
        kind.fit(data)


def test_the_memory_is_that_of_the_machine_or_of_its_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "CONTAINER_LIMIT", limit)
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert machine_memory() == whole
    limit.write_text("max\n")
    assert machine_memory() == whole
    limit.write_text("1000000\n")
    assert machine_memory() == 1_000_000


def test_a_large_solve_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "ANNOUNCED_FROM", 1)
    log, data = Lines(), toy_dataset()
    EASE().fit(data, log=log)
    EASENeighbours(neighbours=3).fit(data, log=log)
    start = f"  ease: solving {data.n_items} items, "
    assert log.lines == [f"{start}all at once in 0.0 GB", f"{start}each by its 3 nearest"]


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("neighbours: 500", "write kind: ease_neighbours, or kind: ease_features where feature_weight is set"),
        ("feature_weight: 3", "write kind: ease_features"),
    ],
)
def test_options_that_moved_are_refused_with_the_new_kind(option: str, remedy: str) -> None:
    text = f"name: x\ndata: movielens-100k\nrecommenders:\n  - {{kind: ease, {option}}}\n"
    with pytest.raises(
        ConfigError, match=rf"x.yaml:4: recommenders\[0\].{option.split(':')[0]}: .*\(moved: {remedy}\)"
    ):
        parse_config(text, "x.yaml")


def test_an_item_is_similar_by_the_weights_from_it() -> None:
    model = EASE(regularization=5.0).fit(toy_dataset())
    weights = model.item_weights_[3].copy()
    order = [item for item in np.argsort(-weights, kind="stable") if weights[item] > 0]
    assert model.similar_items(np.array([3], np.int32), k=4).item[0].tolist() == order[:4]
