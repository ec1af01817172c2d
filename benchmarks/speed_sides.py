"""The pieces of work that `speed.py` measures: one function for each piece and library, run in a fresh process.

A function takes the folder of the data, does the work, and returns `{"cpu": seconds, ...facts}`; the facts show whether
the libraries did work of equal kind. Imports are inside the functions, because each process has only its own library.
"""

from __future__ import annotations

import cProfile
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

Facts = dict[str, float]
SIDES: dict[tuple[str, str], Callable[[Path], Facts]] = {}
PROFILE: cProfile.Profile | None = None  # of what `spent` measures, where `speed.py` sets one
CONFIDENCE, RIDGE, GOOD_RIDGE = 11.0, 5.0, 50.0  # in ALS; the last ranks best on MovieLens
ROUNDS = 10  # iterations or epochs that a time is divided by
SIZES = {  # interactions, users and items of the rows `flat ...`
    "1 M": (1_000_000, 10_000, 5_000),
    "3 M": (3_000_000, 30_000, 15_000),
    "10 M": (10_000_000, 100_000, 50_000),
    "10 M, 5,000 items": (10_000_000, 100_000, 5_000),
}


def side(work: str, library: str, **given: Any) -> Callable:
    def register(function: Callable) -> Callable:
        SIDES[work, library] = lambda folder: function(folder, **given)
        return function

    return register


def spent(function: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """The least CPU seconds of `repeats` runs, and the last result."""
    least, result = np.inf, None
    for _ in range(repeats):
        began = time.process_time()
        result = PROFILE.runcall(function) if PROFILE else function()
        least = min(least, time.process_time() - began)
    return float(least), result


def each(fit: Callable[[int], Any]) -> tuple[float, Any]:
    """CPU seconds of one round of `fit(rounds)`: what `ROUNDS` more of them cost, divided."""
    fit(1)  # compiles, loads
    short, _ = spent(lambda: fit(1), 2)
    long, model = spent(lambda: fit(1 + ROUNDS))
    return (long - short) / ROUNDS, model


def matrix(folder: Path, name: str) -> sp.csr_matrix:
    return sp.load_npz(folder / f"{name}.npz").tocsr()


def dataset(folder: Path, name: str) -> Any:
    from genre.data.dataset import Dataset
    from genre.data.ids import Ids

    rows = matrix(folder, name).tocoo()
    ids = [Ids(str(row) for row in range(n)) for n in rows.shape]
    return Dataset.from_arrays(user=rows.row, item=rows.col, user_ids=ids[0], item_ids=ids[1])


def loss(items: np.ndarray, rows: sp.csr_matrix) -> float:
    """What ALS minimises, for the best user vectors to these item vectors, over every tenth user; a cell's mean."""
    items = items.astype(np.float64)
    gram, total = items.T @ items, RIDGE * float((items**2).sum()) / 10
    rows = rows[::10]
    for row in range(rows.shape[0]):
        seen = items[rows.indices[rows.indptr[row] : rows.indptr[row + 1]]]
        system = gram + (CONFIDENCE - 1) * seen.T @ seen + RIDGE * np.eye(len(gram))
        right = CONFIDENCE * seen.sum(axis=0)
        total += CONFIDENCE * len(seen) - right @ np.linalg.solve(system, right)
    return float(total / np.prod(rows.shape))


def ndcg(users: np.ndarray, items: np.ndarray, rows: sp.csr_matrix, target: sp.csr_matrix, k: int = 10) -> float:
    """Mean ndcg@k of users with a target, everything ranked but what they have seen."""
    values, gain = [], 1 / np.log2(np.arange(2, k + 2))
    for user in np.flatnonzero(np.diff(target.indptr)):
        scores = items @ users[user]
        scores[rows.indices[rows.indptr[user] : rows.indptr[user + 1]]] = -np.inf
        best = np.argpartition(-scores, k)[:k]
        best = best[np.argsort(-scores[best])]
        wanted = target.indices[target.indptr[user] : target.indptr[user + 1]]
        values.append((np.isin(best, wanted) @ gain) / gain[: len(wanted)].sum())
    return float(np.mean(values))


# --- ALS ------------------------------------------------------------------------------------------


@side("als cg 64", "GENRE", factors=64, solver="cg")
@side("als cg 128", "GENRE", factors=128, solver="cg")
@side("als cg 64, 10 M", "GENRE", factors=64, solver="cg", data="large")
@side("als exact 64", "GENRE", factors=64, solver="exact")
@side("als exact 128", "GENRE", factors=128, solver="exact")
def genre_als(folder: Path, factors: int, solver: Any, data: str = "ml1m") -> Facts:
    from genre.recommenders.als import ALS

    rows = dataset(folder, data)
    cpu, model = each(
        lambda n: ALS(factors, iterations=n, regularization=RIDGE, alpha=CONFIDENCE - 1, solver=solver).fit(rows)
    )
    return {"cpu": cpu, "loss": loss(model.item_embeddings_, rows.matrix())}


@side("als cg 64", "implicit", factors=64, cg=True)
@side("als cg 128", "implicit", factors=128, cg=True)
@side("als cg 64, 10 M", "implicit", factors=64, cg=True, data="large")
@side("als exact 64", "implicit", factors=64, cg=False)
@side("als exact 128", "implicit", factors=128, cg=False)
def implicit_als(folder: Path, factors: int, *, cg: bool, data: str = "ml1m") -> Facts:
    rows = matrix(folder, data)
    cpu, model = each(lambda n: _implicit_als(rows, factors, n, cg=cg))
    return {"cpu": cpu, "loss": loss(model.item_factors, rows)}


def _implicit_als(rows: sp.csr_matrix, factors: int, iterations: int, *, cg: bool, ridge: float = RIDGE) -> Any:
    from implicit.cpu.als import AlternatingLeastSquares

    options = dict(regularization=ridge, alpha=CONFIDENCE, iterations=iterations, use_cg=cg)
    model = AlternatingLeastSquares(factors, num_threads=1, random_state=0, **options)
    model.fit(rows, show_progress=False)
    return model


@side("als cg 64", "RecTools", factors=64, cg=True)
@side("als cg 128", "RecTools", factors=128, cg=True)
@side("als exact 64", "RecTools", factors=64, cg=False)
@side("als exact 128", "RecTools", factors=128, cg=False)
def rectools_als(folder: Path, factors: int, *, cg: bool) -> Facts:
    """It wraps implicit, and copies the model for each fit."""
    from implicit.cpu.als import AlternatingLeastSquares
    from rectools.models import ImplicitALSWrapperModel

    rows, given = matrix(folder, "ml1m"), _rectools_data(folder, "ml1m")

    def fit(n: int) -> Any:
        options = dict(regularization=RIDGE, alpha=CONFIDENCE, iterations=n, use_cg=cg)
        model = AlternatingLeastSquares(factors, num_threads=1, random_state=0, **options)
        return ImplicitALSWrapperModel(model).fit(given)

    cpu, model = each(fit)
    return {"cpu": cpu, "loss": loss(_by_item(model.model.item_factors, given), rows)}


def _rectools_data(folder: Path, data: str) -> Any:
    import pandas as pd
    from rectools.dataset import Dataset

    rows = matrix(folder, data).tocoo()
    table = {"user_id": rows.row, "item_id": rows.col, "weight": 1.0, "datetime": pd.Timestamp(0)}
    return Dataset.construct(pd.DataFrame(table))


def _by_item(factors: np.ndarray, given: Any) -> np.ndarray:
    """Rows in the order of our items; RecTools numbers them as they come."""
    out = np.zeros((int(given.item_id_map.external_ids.max()) + 1, factors.shape[1]))
    out[given.item_id_map.external_ids] = factors
    return out


@side("als exact 64", "LensKit", factors=64)
@side("als exact 128", "LensKit", factors=128)
def lenskit_als(folder: Path, factors: int) -> Facts:
    from lenskit.als import ImplicitMFScorer

    rows, data = matrix(folder, "ml1m"), _lenskit_data(folder)

    def fit(n: int) -> Any:
        model = ImplicitMFScorer(
            embedding_size=factors, epochs=n, regularization=RIDGE, weight=CONFIDENCE - 1, use_ratings=False
        )
        model.train(data)
        return model

    cpu, model = each(fit)
    items = np.zeros((rows.shape[1], factors))
    items[model.items.ids()] = np.asarray(model.item_embeddings)
    return {"cpu": cpu, "loss": loss(items, rows)}


def _lenskit_data(folder: Path) -> Any:
    import pandas as pd
    from lenskit.data import from_interactions_df

    rows = matrix(folder, "ml1m").tocoo()
    return from_interactions_df(pd.DataFrame({"user_id": rows.row, "item_id": rows.col}))


@side("als to the best ndcg", "implicit")
def implicit_best(folder: Path) -> Facts:
    rows, target = matrix(folder, "ml1m"), matrix(folder, "validation")
    _implicit_als(rows, 64, 1, cg=True, ridge=GOOD_RIDGE)
    tries = []
    for n in range(1, 13):
        cpu, model = spent(lambda n=n: _implicit_als(rows, 64, n, cg=True, ridge=GOOD_RIDGE))
        tries.append((ndcg(model.user_factors, model.item_factors, rows, target), cpu, n))
    best, cpu, n = max(tries)
    np.save(folder / "best.npy", best)
    return {"cpu": cpu, "ndcg": best, "iterations": n}


@side("als to the best ndcg", "GENRE")
def genre_best(folder: Path) -> Facts:
    """Runs after the peer, whose best is the mark; with the same options."""
    from genre.recommenders.als import ALS

    data, rows, target = dataset(folder, "ml1m"), matrix(folder, "ml1m"), matrix(folder, "validation")
    goal, history = float(np.load(folder / "best.npy")), data.history()
    ALS(64, iterations=1, solver="cg").fit(data).as_factors(history)
    for n in range(1, 41):
        model = ALS(64, iterations=n, regularization=GOOD_RIDGE, alpha=CONFIDENCE - 1, solver="cg")
        cpu, _ = spent(lambda model=model: model.fit(data))
        found = ndcg(*model._factors(history), rows, target)
        if found >= goal:
            break
    return {"cpu": cpu, "ndcg": found, "iterations": n}


# --- BPR ------------------------------------------------------------------------------------------


@side("bpr epoch", "GENRE")
def genre_bpr(folder: Path) -> Facts:
    from genre.recommenders.bpr import BPR

    data, rows, target = dataset(folder, "ml1m"), matrix(folder, "ml1m"), matrix(folder, "validation")
    cpu, _ = each(lambda n: BPR(64, epochs=n).fit(data))
    model = BPR(64).fit(data)
    return {"cpu": cpu, "ndcg": ndcg(*model._factors(data.history()), rows, target)}


@side("bpr epoch", "implicit")
def implicit_bpr(folder: Path) -> Facts:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    rows, target = matrix(folder, "ml1m"), matrix(folder, "validation")

    def fit(n: int) -> Any:
        model = BayesianPersonalizedRanking(63, 0.05, iterations=n, num_threads=1, random_state=0)  # and an offset
        model.fit(rows, show_progress=False)
        return model

    cpu, _ = each(fit)
    model = fit(30)
    return {"cpu": cpu, "ndcg": ndcg(model.user_factors, model.item_factors, rows, target)}


# --- item to item ---------------------------------------------------------------------------------


@side("item_knn", "GENRE")
def genre_knn(folder: Path) -> Facts:
    from genre.recommenders.item_knn import ItemKNN

    data = dataset(folder, "ml1m")
    ItemKNN(neighbours=100).fit(data)
    cpu, model = spent(lambda: ItemKNN(neighbours=100).fit(data), 3)
    return {"cpu": cpu, "sum of similarities": float(model.item_weights_.sum())}


@side("item_knn", "implicit")
def implicit_knn(folder: Path) -> Facts:
    from implicit.nearest_neighbours import CosineRecommender

    rows = matrix(folder, "ml1m")

    def fit() -> Any:
        model = CosineRecommender(K=101, num_threads=1)  # the item itself is one of them
        model.fit(rows, show_progress=False)
        return model

    cpu, model = spent(fit, 3)
    similarity = model.similarity.tolil()
    similarity.setdiag(0)
    return {"cpu": cpu, "sum of similarities": float(similarity.sum())}


@side("item_knn", "RecTools")
def rectools_knn(folder: Path) -> Facts:
    """It wraps implicit."""
    from implicit.nearest_neighbours import CosineRecommender
    from rectools.models import ImplicitItemKNNWrapperModel

    given = _rectools_data(folder, "ml1m")
    fit = lambda: ImplicitItemKNNWrapperModel(CosineRecommender(K=101, num_threads=1)).fit(given)  # noqa: E731
    cpu, model = spent(fit, 3)
    similarity = model.model.similarity.tolil()
    similarity.setdiag(0)
    return {"cpu": cpu, "sum of similarities": float(similarity.sum())}


@side("item_knn", "LensKit")
def lenskit_knn(folder: Path) -> Facts:
    from lenskit.knn import ItemKNNScorer

    data = _lenskit_data(folder)

    def fit() -> Any:
        model = ItemKNNScorer(max_nbrs=100, save_nbrs=100, feedback="implicit")
        model.train(data)
        return model

    cpu, model = spent(fit, 3)
    return {"cpu": cpu, "sum of similarities": float(np.sum(model.sim_matrix.values.to_numpy()))}


@side("item_knn", "skrecsys")
def skrecsys_knn(folder: Path) -> Facts:
    from skrecsys.recommendation import ItemKNNRecommender

    model = ItemKNNRecommender(n_neighbors=100, n_jobs=1)
    cpu, _ = spent(lambda: model._fit(_of_skrecsys(folder, "ml1m")), 3)  # the matrix is given on every side
    return {"cpu": cpu, "sum of similarities": float(model.similarity_.sum())}


def _of_skrecsys(folder: Path, data: str) -> sp.csr_array:
    rows = matrix(folder, data).astype(np.float64)
    return sp.csr_array((rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64)), shape=rows.shape)


@side("ease 3,260", "GENRE", data="ml1m")
@side("ease 10,000", "GENRE", data="wide")
def genre_ease(folder: Path, data: str) -> Facts:
    from genre.recommenders.ease import EASE

    rows = dataset(folder, data)
    EASE().fit(dataset(folder, "ml1m") if data == "wide" else rows)
    cpu, model = spent(lambda: EASE(500).fit(rows), 1 if data == "wide" else 3)
    return {"cpu": cpu, **_weights(model.item_weights_)}


@side("ease 3,260", "LensKit", data="ml1m")
@side("ease 10,000", "LensKit", data="wide")
def lenskit_ease(folder: Path, data: str) -> Facts:
    import pandas as pd
    from lenskit.data import from_interactions_df
    from lenskit.knn import EASEScorer

    rows = matrix(folder, data).tocoo()
    given = from_interactions_df(pd.DataFrame({"user_id": rows.row, "item_id": rows.col}))
    model = EASEScorer(regularization=500)
    cpu, _ = spent(lambda: model.train(given))
    weights = model.weights
    return {"cpu": cpu, **_weights(weights if isinstance(weights, np.ndarray) else weights.toarray())}


@side("ease 3,260", "RecTools", data="ml1m")
@side("ease 10,000", "RecTools", data="wide")
def rectools_ease(folder: Path, data: str) -> Facts:
    from rectools.models import EASEModel

    given, model = _rectools_data(folder, data), EASEModel(regularization=500)
    cpu, _ = spent(lambda: model.fit(given))
    return {"cpu": cpu, **_weights(model.weight)}


@side("ease 3,260", "skrecsys", data="ml1m")
@side("ease 10,000", "skrecsys", data="wide")
def skrecsys_ease(folder: Path, data: str) -> Facts:
    from skrecsys.recommendation import EASE

    rows, model = _of_skrecsys(folder, data), EASE(l2_reg=500, n_jobs=1)
    cpu, _ = spent(lambda: model._fit(rows))
    return {"cpu": cpu, **_weights(model.similarity_)}


@side("ease 3,260", "kindling-rec", data="ml1m")
@side("ease 10,000", "kindling-rec", data="wide")
def kindling_ease(folder: Path, data: str) -> Facts:
    from kindling._native import kindling_core

    rows = matrix(folder, data).tocoo()
    places = rows.row.astype(np.int64), rows.col.astype(np.int64)
    shape = {"n_users": rows.shape[0], "n_items": rows.shape[1]}
    cpu, weights = spent(lambda: np.asarray(kindling_core.fit_ease_py(*places, **shape, lambda_=500.0), np.float32))
    return {"cpu": cpu, **_weights(weights)}


def _weights(weights: np.ndarray) -> Facts:
    return {"sum of weights": float(weights.sum(dtype=np.float64)), "norm": float(np.linalg.norm(weights))}


@side("ease 3,260", "LAPACK alone", data="ml1m")
@side("ease 10,000", "LAPACK alone", data="wide")
def lapack_ease(folder: Path, data: str) -> Facts:
    from scipy.linalg import lapack

    rows = matrix(folder, data)
    gram = np.asfortranarray((rows.T @ rows).toarray(), np.float32)
    gram[np.diag_indices_from(gram)] += 500

    def solve() -> None:
        factor, _ = lapack.spotrf(gram.copy("F"), clean=False, overwrite_a=True)
        lapack.spotri(factor, overwrite_c=True)

    return {"cpu": spent(solve, 1 if data == "wide" else 3)[0]}


# --- the best ten ---------------------------------------------------------------------------------


def _factors(folder: Path, data: str) -> tuple[np.ndarray, np.ndarray, sp.csr_matrix]:
    rows, rng = matrix(folder, data), np.random.default_rng(0)
    n_users, n_items = rows.shape
    return *(rng.normal(size=(n, 64)).astype(np.float32) for n in (n_users, n_items)), rows


def _found(cpu: float, score: np.ndarray, n: int) -> Facts:
    return {"cpu": cpu, "users a CPU s": n / cpu, "sum of scores": float(np.sum(score, dtype=np.float64))}


@side("top-10, ml-1m", "GENRE", data="ml1m")
@side("top-10, 50,000 items", "GENRE", data="many")
def genre_top(folder: Path, data: str) -> Facts:
    from genre.recommenders.topk import top_k_factors

    users, items, rows = _factors(folder, data)
    seen = rows.indptr.astype(np.int64), rows.indices
    top_k_factors(users[:2], items, 10, seen=(seen[0][:3], seen[1]))
    cpu, (_, score) = spent(lambda: top_k_factors(users, items, 10, seen=seen), 3)
    return _found(cpu, score, len(users))


@side("top-10, ml-1m", "implicit", data="ml1m")
@side("top-10, 50,000 items", "implicit", data="many")
def implicit_top(folder: Path, data: str) -> Facts:
    from implicit.cpu.topk import topk

    users, items, rows = _factors(folder, data)
    cpu, (_, score) = spent(lambda: topk(items, users, 10, filter_query_items=rows, num_threads=1), 3)
    return _found(cpu, score, len(users))


@side("top-10, ml-1m", "faiss", data="ml1m")
@side("top-10, 50,000 items", "faiss", data="many")
def faiss_top(folder: Path, data: str) -> Facts:
    """It cannot leave out what each user has seen, so it finds as many more, users of like length together."""
    import faiss

    faiss.omp_set_num_threads(1)
    users, items, rows = _factors(folder, data)
    index, lengths = faiss.IndexFlatIP(64), np.diff(rows.indptr)
    index.add(items)

    def best() -> np.ndarray:
        out, order = np.empty((len(users), 10), np.float32), np.argsort(lengths)
        for start in range(0, len(users), 256):
            block = order[start : start + 256]
            score, item = index.search(users[block], int(lengths[block].max()) + 10)
            for at, user in enumerate(block):
                seen = rows.indices[rows.indptr[user] : rows.indptr[user + 1]]
                out[user] = score[at][~np.isin(item[at], seen)][:10]
        return out

    cpu, score = spent(best)
    return _found(cpu, score, len(users))


@side("top-10, ml-1m", "LensKit")
def lenskit_top(folder: Path) -> Facts:
    """Its pipeline, one user after the other, with the factors of the other sides in the place of those it learnt."""
    from lenskit.als import ImplicitMFScorer
    from lenskit.batch import recommend
    from lenskit.pipeline import topn_pipeline

    users, items, _ = _factors(folder, "ml1m")
    scorer = ImplicitMFScorer(embedding_size=64, epochs=1, user_embeddings="prefer", use_ratings=False)
    pipeline = topn_pipeline(scorer, n=10)
    pipeline.train(_lenskit_data(folder))
    scorer = pipeline.component("scorer")
    scorer.user_embeddings, scorer.item_embeddings = users[scorer.users.ids()], items[scorer.items.ids()]
    recommend(pipeline, [0, 1], n=10, n_jobs=1)
    cpu, found = spent(lambda: recommend(pipeline, list(range(len(users))), n=10, n_jobs=1))
    return _found(cpu, np.concatenate([one.scores() for one in found.lists()]), len(users))


@side("top-10, ml-1m", "RecTools", data="ml1m")
@side("top-10, 50,000 items", "RecTools", data="many")
def rectools_top(folder: Path, data: str) -> Facts:
    """Its ranker for models with factors, which wraps implicit and sorts the results by user."""
    from rectools.models.rank import Distance, ImplicitRanker

    users, items, rows = _factors(folder, data)
    ranker, every = ImplicitRanker(Distance.DOT, users, items, num_threads=1), np.arange(len(users))
    cpu, (_, _, score) = spent(lambda: ranker.rank(every, k=10, filter_pairs_csr=rows), 3)
    return _found(cpu, score, len(users))


@side("top-10, ml-1m", "skrecsys", data="ml1m")
@side("top-10, 50,000 items", "skrecsys", data="many")
def skrecsys_top(folder: Path, data: str) -> Facts:
    """Its kernel for models with factors; it takes numbers of 64 bits, which are made outside of the time."""
    from skrecsys import _core

    users, items, rows = _factors(folder, data)
    factors = users.astype(np.float64), items.astype(np.float64)
    seen = rows.indptr.astype(np.int64), rows.indices.astype(np.int64)
    every = np.arange(len(users))
    best = lambda: _core.recommend_from_factors(*factors, None, None, every, *seen, None, 10, 1, 0)  # noqa: E731
    cpu, (_, score) = spent(best, 3)
    return _found(cpu, score, len(users))


@side("top-10, 50,000 items", "sgemm alone", data="many")
def sgemm_top(folder: Path, data: str) -> Facts:
    users, items, _ = _factors(folder, data)
    out = np.empty((256, len(items)), np.float32)

    def multiply() -> None:
        for start in range(0, len(users), 256):
            block = users[start : start + 256]
            np.matmul(block, items.T, out=out[: len(block)])

    cpu, _ = spent(multiply, 3)
    return {"cpu": cpu, "users a CPU s": len(users) / cpu}


# --- networks -------------------------------------------------------------------------------------


@side("sasrec epoch", "GENRE")
def genre_sasrec(folder: Path) -> Facts:
    import torch

    from genre.data.dataset import Dataset
    from genre.data.ids import Ids
    from genre.recommenders.sasrec import SASRec

    torch.set_num_threads(1)
    given = np.load(folder / "ordered.npz")
    ids = [Ids(str(row) for row in range(int(given[name].max()) + 1)) for name in ("user", "item")]
    data = Dataset.from_arrays(**given, user_ids=ids[0], item_ids=ids[1])
    short, _ = spent(lambda: SASRec(epochs=1).fit(data))
    long, _ = spent(lambda: SASRec(epochs=2).fit(data))
    return {"cpu": long - short, "interactions": len(data)}


@side("sasrec epoch", "RecTools")
def rectools_sasrec(folder: Path) -> Facts:
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.disable()
    import pandas as pd
    import torch
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    torch.set_num_threads(1)
    given = np.load(folder / "ordered.npz")
    table = pd.DataFrame({"user_id": given["user"], "item_id": given["item"], "weight": 1.0})
    table["datetime"] = pd.to_datetime(given["timestamp"], unit="s")
    data = Dataset.construct(table)
    fit = lambda n: SASRecModel(n_factors=64, n_heads=2, session_max_len=100, epochs=n).fit(data)  # noqa: E731
    short, _ = spent(lambda: fit(1))
    long, _ = spent(lambda: fit(2))
    return {"cpu": long - short, "interactions": len(table)}


@side("score, mlp", "GENRE", kind="mlp", name="MLP", hidden=(128, 64))
@side("score, ncf", "GENRE", kind="ncf", name="NCF", hidden=(64, 32, 16))
def genre_scoring(folder: Path, kind: str, name: str, hidden: tuple[int, ...]) -> Facts:
    import importlib

    import torch

    torch.set_num_threads(1)
    data = dataset(folder, "ml1m")
    network = getattr(importlib.import_module(f"genre.recommenders.{kind}"), name)
    model = network(dim=64, hidden=hidden, epochs=1).fit(data.where(data.user < 200))
    history = data.history()

    def score() -> None:
        for _, block in history.blocks(512):
            model.score(block)

    cpu, _ = spent(score, 2)
    return {"cpu": cpu, "users a CPU s": len(history) / cpu}


@side("score, mlp", "RecBole", hidden=[128, 64], mf_train=False, batch=14_000)
@side("score, ncf", "RecBole", hidden=[64, 32, 16], mf_train=True, batch=20_000)
def recbole_scoring(folder: Path, hidden: list[int], *, mf_train: bool, batch: int) -> Facts:
    """NeuMF, or its network alone, by the trainer's own step: `predict` for each pair of a user and an item.

    batch: pairs at once, the best of 4,096 (its default), 8,192, 14,000, 20,000 and 100,000.
    """
    import logging
    import os
    import warnings

    warnings.filterwarnings("ignore")
    logging.disable()
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.model.general_recommender import NeuMF
    from recbole.trainer import Trainer

    torch.set_num_threads(1)
    os.chdir(folder)  # it writes beside where it runs
    rows = matrix(folder, "ml1m").tocoo()
    Path("ml1m").mkdir(exist_ok=True)
    pairs, header = np.stack([rows.row, rows.col], axis=1), "user_id:token\titem_id:token"
    np.savetxt("ml1m/ml1m.inter", pairs, "%d", "\t", header=header, comments="")
    given = dict(data_path=".", use_gpu=False, show_progress=False, epochs=1, eval_batch_size=batch)
    given |= dict(mf_embedding_size=64, mlp_embedding_size=64, mlp_hidden_size=hidden, mf_train=mf_train)
    given |= {"eval_args": dict(split={"RS": [0.05, 0, 0.95]}, group_by="user", order="RO", mode="full")}
    config = Config(NeuMF, "ml1m", config_dict=given)
    train, _, test = data_preparation(config, create_dataset(config))
    model = NeuMF(config, train.dataset)
    trainer = Trainer(config, model)
    trainer.fit(train, saved=False, verbose=False)
    model.eval()
    trainer.item_tensor, trainer.tot_item_num = test.dataset.get_item_feature(), test.dataset.item_num
    batches = list(test)

    def score() -> None:
        for each_batch in batches:
            trainer._full_sort_batch_eval(each_batch)

    with torch.no_grad():
        cpu, _ = spent(score, 2)
    users = sum(len(each_batch[0]) for each_batch in batches)
    return {"cpu": cpu, "users a CPU s": users / cpu, "users": users, "items": test.dataset.item_num - 1}


@side("score, mlp", "sgemm alone", widths=(128, 64, 1))
@side("score, ncf", "sgemm alone", widths=(64, 32, 16, 1))
def sgemm_scoring(folder: Path, widths: tuple[int, ...]) -> Facts:
    """The layers behind the first, which alone can be shared between pairs."""
    n_users, n_items = matrix(folder, "ml1m").shape
    rng, size = np.random.default_rng(0), 1024
    given = [rng.normal(size=(size, width)).astype(np.float32) for width in widths]
    layers = [rng.normal(size=shape).astype(np.float32) for shape in itertools.pairwise(widths)]

    def multiply() -> None:
        for _ in range(n_users):
            for start in range(0, n_items, size):
                n = min(size, n_items - start)
                for x, layer, out in zip(given, layers, given[1:], strict=False):
                    np.matmul(x[:n], layer, out=out[:n])

    return {"cpu": spent(multiply, 2)[0]}


# --- the same work on more data -------------------------------------------------------------------


def at_each_size(work: str, *, peer: bool = False) -> Callable:
    """Register a function of the data that returns CPU seconds, once for each of `SIZES`.

    peer: it is another library's and takes a matrix; the others take a Dataset.
    """

    def register(function: Callable[[Any], float]) -> Callable:
        def measured(folder: Path, size: str) -> Facts:
            name = f"flat {size}"
            data = matrix(folder, name) if peer else in_random_order(dataset(folder, name))
            return {"cpu": function(data), "interactions": data.nnz if peer else len(data)}

        for size in SIZES:
            side(work, size, size=size)(measured)
        return function

    return register


def in_random_order(data: Any) -> Any:
    """The same interactions at random times: histories sorted by item would be kinder to the cache than people are."""
    from genre.data.dataset import Dataset

    time = np.random.default_rng(0).permutation(len(data))
    ids = {"user_ids": data.user_ids, "item_ids": data.item_ids}
    return Dataset.from_arrays(user=data.user, item=data.item, timestamp=time, **ids)


@at_each_size("flat dataset")
def flat_dataset(data: Any) -> float:
    from genre.data.dataset import Dataset

    order = np.random.default_rng(0).permutation(len(data))
    columns = {name: getattr(data, name)[order] for name in ("user", "item", "timestamp")}
    ids = {"user_ids": data.user_ids, "item_ids": data.item_ids}
    return spent(lambda: Dataset.from_arrays(**columns, **ids), 3)[0]


@at_each_size("flat popularity")
def flat_popularity(data: Any) -> float:
    from genre.recommenders.popularity import Popularity

    return spent(lambda: Popularity(half_life_days=30).fit(data), 5)[0]


@at_each_size("flat item_knn")
def flat_knn(data: Any) -> float:
    from genre.recommenders.item_knn import ItemKNN

    return spent(lambda: ItemKNN(neighbours=100).fit(data), 3)[0]


@at_each_size("flat transitions")
def flat_transitions(data: Any) -> float:
    from genre.recommenders.transitions import Transitions

    return spent(lambda: Transitions().fit(data), 3)[0]


@at_each_size("flat als cg 64")
def flat_als(data: Any) -> float:
    from genre.recommenders.als import ALS

    return each(lambda n: ALS(64, iterations=n, solver="cg").fit(data))[0]


@at_each_size("flat bpr epoch")
def flat_bpr(data: Any) -> float:
    from genre.recommenders.bpr import BPR

    return each(lambda n: BPR(64, epochs=n).fit(data))[0]


@at_each_size("flat item_knn, implicit", peer=True)
def flat_implicit_knn(rows: sp.csr_matrix) -> float:
    from implicit.nearest_neighbours import CosineRecommender

    return spent(lambda: CosineRecommender(K=101, num_threads=1).fit(rows, show_progress=False))[0]


@at_each_size("flat als cg 64, implicit", peer=True)
def flat_implicit_als(rows: sp.csr_matrix) -> float:
    return each(lambda n: _implicit_als(rows, 64, n, cg=True))[0]


@at_each_size("flat bpr epoch, implicit", peer=True)
def flat_implicit_bpr(rows: sp.csr_matrix) -> float:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    return each(lambda n: BayesianPersonalizedRanking(63, iterations=n, num_threads=1).fit(rows, show_progress=False))[
        0
    ]
