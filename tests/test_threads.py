"""The number of threads changes no result; slices and limits are what they say."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import genre
from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.recommenders import ease
from genre.recommenders.base import Recommender
from genre.recommenders.topk import top_k_factors, top_k_scores
from genre.threads import _blas, blas_threads, limit_threads, map_slices, n_threads

N_USERS, N_ITEMS, N = 1300, 700, 25_000


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(3)
    item = (N_ITEMS * rng.random(N) ** 2).astype(int)
    return Dataset.from_arrays(
        user=rng.integers(0, N_USERS, N),
        item=item,
        timestamp=rng.integers(0, 10**6, N),
        user_ids=Ids(range(N_USERS)),
        item_ids=Ids(range(N_ITEMS)),
    )


@pytest.mark.parametrize(
    "made",
    [
        genre.ALS(factors=8, iterations=2, solver="exact"),
        genre.ALS(factors=8, iterations=2, solver="cg", frequency=0.5),
        genre.ItemKNN(neighbours=12),
        genre.Transitions(),
        genre.EASE(),
    ],
    ids=lambda made: f"{type(made).__name__} {getattr(made, 'solver', getattr(made, 'similarity', ''))}",
)
def test_threads_change_no_bit_of_what_is_learnt(made: Recommender, data: Dataset) -> None:
    found = []
    for threads in (1, 2, 5):
        with limit_threads(threads):
            found.append(made.fit(data).score(data.history()))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_threads_of_blas_change_rounding_alone(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "THREADED_FROM", 0)
    weights = []
    for threads in (1, 2):
        with limit_threads(threads):
            weights.append(genre.EASE().fit(data).item_weights_)
    assert np.abs(weights[0] - weights[1]).max() <= 1e-5 * np.abs(weights[0]).max()


def test_threads_change_no_bit_of_lists_and_evaluations(data: Dataset) -> None:
    split = genre.split(data)
    models = [model.fit(split.train) for model in (genre.ALS(factors=8, iterations=1), genre.ItemKNN())]
    rng = np.random.default_rng(0)
    queries, items = rng.normal(size=(1500, 8)).astype(np.float32), rng.normal(size=(90, 8)).astype(np.float32)
    found = []
    for threads in (1, 3):
        with limit_threads(threads):
            tops = [*top_k_factors(queries, items, 5), *top_k_scores(queries @ items.T, 5)]
            values = [genre.evaluate(model, split.test).values for model in models]
            found.append((tops, values))
    assert all(np.array_equal(one, other) for one, other in zip(found[0][0], found[1][0], strict=True))
    assert found[0][1] == found[1][1]


def test_slices_cover_all_rows_in_order() -> None:
    for n in (0, 1, 7, 99, 100, 1001):
        with limit_threads(3):
            parts = map_slices(lambda part: part, n, least=10, multiple=8)
        assert [row for part in parts for row in range(part.start, part.stop)] == list(range(n))
        assert all((part.stop - part.start) % 8 == 0 for part in parts[:-1])


def test_slices_run_in_several_threads_and_none_inside_another() -> None:
    barrier = threading.Barrier(2, timeout=20)

    def work(part: slice) -> int:
        if part.start == 0 or part.stop == 16:
            barrier.wait()  # passes only where two slices run at once
        return n_threads()

    with limit_threads(2):
        assert set(map_slices(work, 16, least=2)) == {1}
        assert n_threads() == 2


def blas_now() -> set[int]:
    return {library["num_threads"] for library in _blas()._libraries().info() if library["user_api"] == "blas"}


def test_blas_gets_its_threads_back_after_blocks_that_overlap() -> None:
    with blas_threads(2):
        first, second = threading.Event(), threading.Event()

        def outer() -> None:
            with blas_threads(1):
                first.set()
                second.wait(20)

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(outer)
            first.wait(20)
            with blas_threads(1):
                second.set()
                running.result()
                assert blas_now() == {1}
        assert blas_now() == {2}
