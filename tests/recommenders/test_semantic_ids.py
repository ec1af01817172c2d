"""SemanticIds: residual codes, distinct codes, and a beam search that is exact where it looks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.features import Features
from genre.data.history import History
from genre.errors import DataError
from genre.networks.sasrec import encode_histories
from genre.networks.semantic_ids import LEAST
from genre.recommenders.semantic_ids import SemanticIds, _distinct, nearest_codes, residual_centroids
from genre.testing import toy_dataset

TINY = {"levels": 2, "codes": 4, "dim": 8, "blocks": 1, "epochs": 2, "batch_size": 8, "learning_rate": 0.01}


def test_each_level_codes_what_the_levels_before_left_over() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 6)).astype(np.float32)
    centroids = residual_centroids(vectors, levels=3, codes=8, iterations=10, seed=0)
    codes = nearest_codes(vectors, centroids)
    rest, lengths = vectors.copy(), [np.linalg.norm(vectors, axis=1).mean()]
    for level in range(3):
        gaps = np.linalg.norm(rest[:, None] - centroids[level], axis=2)
        assert np.array_equal(codes[:, level], gaps.argmin(1))
        rest -= centroids[level][codes[:, level]]
        lengths.append(np.linalg.norm(rest, axis=1).mean())
    assert lengths == sorted(lengths, reverse=True)


def test_clear_clusters_are_found() -> None:
    rng = np.random.default_rng(1)
    which = rng.integers(0, 2, 60)
    vectors = (np.eye(2)[which] * 10 + rng.normal(0, 0.1, (60, 2))).astype(np.float32)
    codes = nearest_codes(vectors, residual_centroids(vectors, levels=1, codes=2, iterations=10, seed=0))[:, 0]
    assert len({(a, b) for a, b in zip(which.tolist(), codes.tolist(), strict=True)}) == 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_items_of_one_code_are_distinct(codes: list[tuple[int, int]]) -> None:
    distinct = _distinct(np.array(codes))
    assert distinct[:, :2].tolist() == [list(code) for code in codes]
    assert len({tuple(row) for row in distinct.tolist()}) == len(codes)
    assert all(
        codes[:at].count(code) == number for at, (code, number) in enumerate(zip(codes, distinct[:, 2], strict=True))
    )


def likelihood(model: SemanticIds, history: History) -> np.ndarray:
    """Every item's log-likelihood, number by number, the plain way. [n, n_items]"""
    network = model._network().eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in model.weights_.items()})
    table = network.item_table().detach().numpy()
    out = np.zeros((len(history), len(table)))
    with torch.no_grad():
        for row, state in enumerate(torch.from_numpy(encode_histories(network.reader, table, history))):
            for item, code in enumerate(torch.from_numpy(model.codes_)):
                now, total = state[None], 0.0
                for level, number in enumerate(code):
                    if level:
                        now = network.steps[level - 1](network.numbers[level - 1](code[level - 1][None]), now)
                    total += float(network.heads[level](now).log_softmax(1)[0, number].clamp(min=LEAST))
                out[row, item] = total
    return out


def test_a_wide_beam_gives_every_item_its_likelihood() -> None:
    data = toy_dataset()
    model = SemanticIds(**TINY).fit(data)  # type: ignore[arg-type]
    history = data.history([0, 1, 5])
    history = history.keep(history.weight > 0)
    assert model.score(history) == pytest.approx(likelihood(model, history), abs=1e-4)


def test_a_narrow_beam_is_exact_where_it_looks_and_ranks_the_rest_below() -> None:
    data = toy_dataset()
    model = SemanticIds(**TINY, beam=2).fit(data)  # type: ignore[arg-type]
    history = History.of([[0, 2], [1], [3, 8]], data.n_items)
    scores, expected = model.score(history), likelihood(model, history)
    reached = scores > LEAST * 3
    assert reached.sum(1).min() >= 2
    assert reached.sum(1).max() < data.n_items
    assert scores[reached] == pytest.approx(expected[reached], abs=1e-4)
    for row in range(3):
        assert scores[row][reached[row]].min() > scores[row][~reached[row]].max()


def test_new_items_get_the_code_of_their_vector(tmp_path: Path) -> None:
    data = toy_dataset()
    model = SemanticIds(**{**TINY, "epochs": 25}).fit(data)  # type: ignore[arg-type]
    assert data.item_features is not None
    grown = model.extend(["new-even", "new-odd"], data.item_features.values[[0, 1]])
    assert np.array_equal(grown.codes_[[12, 13], :2], model.codes_[[0, 1], :2])
    scores = grown.score(History.of([[0, 2, 4], [1, 3, 5]], 14))
    assert scores.shape == (2, 14)
    grown.save(tmp_path / "grown")
    assert np.array_equal(
        SemanticIds.load(tmp_path / "grown").score(History.of([[0, 12]], 14)), grown.score(History.of([[0, 12]], 14))
    )


def test_it_needs_vectors() -> None:
    data = toy_dataset()
    bare = data.with_features(items=Features(np.zeros((12, 2), np.float32), "zeros"))
    assert np.isfinite(SemanticIds(**TINY).fit(bare).score(bare.history())).all()  # type: ignore[arg-type]
    object.__setattr__(bare, "item_features", None)
    with pytest.raises(DataError, match="add features"):
        SemanticIds(**TINY).fit(bare)  # type: ignore[arg-type]
