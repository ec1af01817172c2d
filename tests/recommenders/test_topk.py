"""The fast top-k equals its plain twin, whatever the input."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.errors import DataError
from genre.kernels import topk as topk_kernel
from genre.recommenders import topk
from genre.recommenders.topk import top_k_factors, top_k_scores
from plain_recommenders import top_k_plain


@st.composite
def questions(draw):
    """Scores with many ties and -inf, k from 1 to past the catalogue, seen and candidates or none."""
    n, n_items = draw(st.integers(0, 5)), draw(st.integers(1, 150))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([1, 2, 5, 1000]))
    scores = rng.integers(-levels, levels + 1, (n, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < draw(st.sampled_from([0.0, 0.1, 1.0]))] = -np.inf
    seen = None
    if draw(st.booleans()):
        lengths = rng.integers(0, 2 * n_items, n)
        seen = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), rng.integers(0, n_items, lengths.sum())
    share = draw(st.sampled_from([None, 0.3, 0.8]))
    candidates = None if share is None else rng.random(n_items) < share
    return scores, draw(st.integers(1, n_items + 3)), seen, candidates


@settings(max_examples=300, deadline=None)
@given(questions(), st.sampled_from([1, 7, 64, 10_000]), st.booleans())
def test_scores_equal_the_plain_twin(question, tile, loaded):
    scores, k, seen, candidates = question
    before = scores.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "TILE", tile)
        patch.setattr(topk, "ROWS", 2)
        patch.setattr(topk, "compiler_is_loaded", lambda: loaded)
        item, score = top_k_scores(scores, k, seen=seen, candidates=candidates)
    expected = top_k_plain(scores, k, seen=seen, candidates=candidates)
    np.testing.assert_array_equal(item, expected[0])
    np.testing.assert_array_equal(score, expected[1])
    assert item.dtype == np.int32
    assert score.dtype == np.float32
    np.testing.assert_array_equal(scores, before)


@settings(max_examples=100, deadline=None)
@given(questions(), st.integers(1, 5), st.integers(0, 2**32))
def test_factors_equal_the_plain_twin(question, dim, seed):
    scores, k, seen, candidates = question
    rng = np.random.default_rng(seed)
    queries = rng.integers(-3, 4, (len(scores), dim)).astype(np.float32)  # small integers: products are exact
    items = rng.integers(-3, 4, (scores.shape[1], dim)).astype(np.float32)
    item, score = top_k_factors(queries, items, k, seen=seen, candidates=candidates)
    expected = top_k_plain(queries @ items.T, k, seen=seen, candidates=candidates)
    np.testing.assert_array_equal(item, expected[0])
    np.testing.assert_array_equal(score, expected[1])


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("n", [2, 15, 16, 17, 32, 33, 70])
def test_factors_equal_the_plain_twin_at_every_border_of_a_group(n, few, monkeypatch):
    if few:  # as on a machine with narrow registers
        monkeypatch.setattr(topk_kernel, "MANY_QUERIES", topk_kernel.FEW_QUERIES)
    rng = np.random.default_rng(n)
    for n_items in range(1, 60):
        queries = rng.integers(-3, 4, (n, 3)).astype(np.float32)
        items = rng.integers(-3, 4, (n_items, 3)).astype(np.float32)
        seen = np.arange(n + 1) * 4, rng.integers(0, n_items, n * 4).astype(np.int32)
        candidates = rng.random(n_items) < 0.7
        item, score = top_k_factors(queries, items, 7, seen=seen, candidates=candidates)
        expected = top_k_plain(queries @ items.T, 7, seen=seen, candidates=candidates)
        np.testing.assert_array_equal(item, expected[0])
        np.testing.assert_array_equal(score, expected[1])


@pytest.mark.parametrize("where", [0, 8, 58])
@pytest.mark.parametrize("n", [1, 4, 20, 40])
def test_nan_among_factors_is_an_error_unless_nobody_may_have_the_item(n, where):
    queries, items = np.ones((n, 2), np.float32), np.ones((59, 2), np.float32)
    items[where, 1] = np.nan
    with pytest.raises(DataError, match="row 0 hold NaN"):
        top_k_factors(queries, items, 5)
    allowed = np.arange(59) != where
    assert where not in top_k_factors(queries, items, 5, candidates=allowed)[0]
    all_rows = np.arange(n + 1), np.full(n, where, np.int32)
    assert where not in top_k_factors(queries, items, 5, seen=all_rows)[0]


def test_a_list_of_nothing_is_an_error():
    for ask in (
        lambda: top_k_scores(np.zeros((1, 3)), 0),
        lambda: top_k_factors(np.zeros((2, 3)), np.zeros((4, 3)), 0),
    ):
        with pytest.raises(DataError, match="k is 0"):
            ask()


@pytest.mark.parametrize("n", [1, 3])
def test_factors_of_no_items_or_no_numbers(n):
    assert top_k_factors(np.ones((n, 2), np.float32), np.ones((0, 2), np.float32), 3)[0].tolist() == [[-1] * 3] * n
    assert top_k_factors(np.ones((n, 0), np.float32), np.ones((5, 0), np.float32), 2)[0].tolist() == [[0, 1]] * n


def test_many_rows_and_items_cross_every_tile_border():
    rng = np.random.default_rng(0)
    queries, items = rng.normal(size=(600, 8)).astype(np.float32), rng.normal(size=(3000, 8)).astype(np.float32)
    seen = np.arange(601) * 40, rng.integers(0, 3000, 600 * 40).astype(np.int32)
    item, score = top_k_factors(queries, items, 20, seen=seen)
    expected = top_k_plain(queries @ items.T, 20, seen=seen)
    assert np.mean(item == expected[0]) > 0.999  # a product may round apart in its last bit
    np.testing.assert_allclose(score, expected[1], rtol=1e-4)


def test_strided_and_double_scores_are_taken():
    scores = np.random.default_rng(0).normal(size=(6, 40))
    np.testing.assert_array_equal(top_k_scores(scores[::2, ::2], 3)[0], top_k_plain(scores[::2, ::2], 3)[0])


@pytest.mark.parametrize("where", [0, 63, 64, 129])
def test_nan_is_an_error_wherever_it_stands(where):
    scores = np.zeros((3, 130), np.float32)
    scores[1, where] = np.nan
    with pytest.raises(DataError, match="row 1 hold NaN"):
        top_k_scores(scores, 5)


def test_infinity_ranks_first():
    assert top_k_scores(np.array([[0, np.inf, 1]], np.float32), 2)[0].tolist() == [[1, 2]]


def test_seen_that_does_not_fit_is_an_error_not_a_crash():
    scores = np.zeros((2, 5), np.float32)
    for indptr, item in [
        ([0, 1, 2], [0, 5]),
        ([0, 1, 2], [-1, 0]),
        ([0, 1], [0]),
        ([0, 1, 3], [0, 0]),
        ([0, 2, 1], [0, 0]),
    ]:
        with pytest.raises(DataError, match="seen"):
            top_k_scores(scores, 1, seen=(np.array(indptr), np.array(item)))


def test_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(8, 200, 500)).astype(np.float32)
    found = [None] * len(scores)

    def work(at):
        found[at] = top_k_scores(scores[at], 10)[0]

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(scores))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for at in range(len(scores)):
        np.testing.assert_array_equal(found[at], top_k_plain(scores[at], 10)[0])


def test_candidates_of_another_catalogue_are_an_error():
    with pytest.raises(DataError, match="candidates"):
        top_k_scores(np.zeros((1, 5), np.float32), 1, candidates=np.ones(4, bool))
