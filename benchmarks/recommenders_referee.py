"""Do our recommenders reproduce what others have implemented? On MovieLens 100K, the first official fold.

    python benchmarks/recommenders_referee.py --data ../shared/data [--venvs FOLDER] [--rows als ...] [--output FILE]

Each library runs in its own Python (as in `speed.py`, which makes the environments) on the same 80,000 ratings. Where both
compute the same formula, the values are compared: the largest difference, divided by the largest value, may be 1e-5. Where
training draws lots, or the referee's model is built otherwise, quality on the 20,000 ratings of the test part is (for `sasrec`,
on the last rating of each user): ndcg@10 of what is rated 4 or 5, or the error, may be worse by 3 %. The script fails when a
row does not hold.

A row compares what the libraries have in common: `als` from the same first vectors, `baseline` after one sweep, `blend` by
reciprocal rank. What none of them has (transitions, RP3beta, two towers on text) is held to a plain twin by the tests alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from speed import interpreter

Found = dict[str, Any]  # `values`, or one of `ndcg@10`, `rmse`, `error`
SIDES: dict[str, dict[str, Callable[[Path], Found]]] = {}
TOLERANCE, SLACK = 1e-5, 0.03
FACTORS, RIDGE, WEIGHT = 16, 20.0, 4.0  # of ALS
DAYS = 30
N_USERS, N_ITEMS = 943, 1682


def side(row: str, library: str, **given: Any) -> Callable:
    def register(function: Callable[..., Found]) -> Callable[..., Found]:
        SIDES.setdefault(row, {})[library] = lambda folder: function(folder, **given)
        return function

    return register


# --- data -----------------------------------------------------------------------------------------


def write(data: Path, folder: Path, row: str) -> None:
    """Train and test, by user, then time, and vectors of the items, drawn once.

    The test is the first fold's; for `sasrec`, which reads what comes next, each user's last rating.
    """
    every, fold = (np.loadtxt(data / "ml-100k" / name, np.int64) for name in ("u.data", "u1.test"))
    every = every[np.lexsort((every[:, 3], every[:, 0]))]
    pair = every[:, 0] * (N_ITEMS + 1) + every[:, 1]
    test = np.isin(pair, fold[:, 0] * (N_ITEMS + 1) + fold[:, 1])
    if row == "sasrec":
        test = np.append(every[1:, 0] != every[:-1, 0], True)
    for name, kept in (("train", ~test), ("test", test)):
        user, item, rating, timestamp = every[kept].T
        np.savez(folder / f"{name}.npz", user=user - 1, item=item - 1, rating=rating, timestamp=timestamp)
    spread = 1 / np.arange(1, FACTORS + 1)
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS, FACTORS)) * spread
    np.save(folder / "vectors.npy", vectors.astype(np.float32))


def part(folder: Path, name: str) -> dict[str, np.ndarray]:
    return dict(np.load(folder / f"{name}.npz"))


def matrix(folder: Path) -> sp.csr_matrix:
    rows = part(folder, "train")
    ones = np.ones(len(rows["user"]), np.float32)
    return sp.csr_matrix((ones, (rows["user"], rows["item"])), shape=(N_USERS, N_ITEMS))


def dataset(folder: Path, *, rated: bool = False, vectors: bool = False) -> Any:
    """The train part for GENRE; without ratings every interaction weighs one, as it does in the others."""
    from genre.data.dataset import Dataset
    from genre.data.features import Features
    from genre.data.ids import Ids

    rows = part(folder, "train")
    rating = {"rating": rows.pop("rating").astype(np.float32), "rating_scale": (1.0, 5.0, 1.0)}
    ids = [Ids(str(row) for row in range(n)) for n in (N_USERS, N_ITEMS)]
    data = Dataset.from_arrays(**rows, user_ids=ids[0], item_ids=ids[1], **(rating if rated else {}))
    return data.with_features(items=Features(np.load(folder / "vectors.npy"), "drawn")) if vectors else data


def lenskit_data(folder: Path, *, rated: bool = False) -> Any:
    import pandas as pd
    from lenskit.data import from_interactions_df

    rows = part(folder, "train")
    table = pd.DataFrame({"user_id": rows["user"], "item_id": rows["item"]})
    return from_interactions_df(table.assign(rating=rows["rating"].astype(float)) if rated else table)


def rectools_data(folder: Path) -> Any:
    import pandas as pd
    from rectools.dataset import Dataset

    rows = part(folder, "train")
    table = pd.DataFrame({"user_id": rows["user"], "item_id": rows["item"], "weight": 1.0})
    return Dataset.construct(table.assign(datetime=pd.to_datetime(rows["timestamp"], unit="s")))


def ndcg(folder: Path, scores: np.ndarray) -> Found:
    """ndcg@10 of what is rated 4 or 5 in the test part, among what a user has not rated in the train part."""
    test, seen, gain = part(folder, "test"), matrix(folder), 1 / np.log2(np.arange(2, 12))
    scores = np.where(seen.toarray() > 0, -np.inf, scores)
    values = []
    for user in np.unique(test["user"]):
        wanted = test["item"][(test["user"] == user) & (test["rating"] >= 4)]
        if len(wanted):
            best = np.argsort(-scores[user], kind="stable")[:10]
            values.append((np.isin(best, wanted) @ gain) / gain[: len(wanted)].sum())
    return {"ndcg@10": float(np.mean(values))}


def rmse(folder: Path, stars: np.ndarray) -> Found:
    """Of the ratings of the test part; stars: of every user and item, NaN where the model knows nothing."""
    test = part(folder, "test")
    found = stars[test["user"], test["item"]]
    found = np.clip(np.where(np.isnan(found), part(folder, "train")["rating"].mean(), found), 1, 5)
    return {"rmse": float(np.sqrt(np.mean((found - test["rating"]) ** 2)))}


# --- the same formula -----------------------------------------------------------------------------


@side("popularity, window", "GENRE", days=DAYS)
@side("popularity", "GENRE")
def genre_popularity(folder: Path, days: int | None = None) -> Found:
    from genre.recommenders.popularity import Popularity

    return {"values": Popularity(window_days=days).fit(dataset(folder)).popularity_}


@side("popularity, window", "RecTools", days=DAYS)
@side("popularity", "RecTools")
def rectools_popularity(folder: Path, days: int | None = None) -> Found:
    from datetime import timedelta

    from rectools.models import PopularModel

    data = rectools_data(folder)
    model = PopularModel("n_interactions", period=None if days is None else timedelta(days=days)).fit(data)
    values, (items, counts) = np.zeros(N_ITEMS), model.popularity_list
    values[data.item_id_map.convert_to_external(items)] = counts
    return {"values": values}


@side("item_knn", "GENRE")
def genre_knn(folder: Path) -> Found:
    from genre.recommenders.item_knn import ItemKNN

    return {"values": ItemKNN(neighbours=N_ITEMS).fit(dataset(folder)).item_weights_.toarray()}


@side("item_knn", "implicit")
def implicit_knn(folder: Path) -> Found:
    from implicit.nearest_neighbours import CosineRecommender

    model = CosineRecommender(K=N_ITEMS, num_threads=1)
    model.fit(matrix(folder), show_progress=False)
    return {"values": _without_diagonal(model.similarity.toarray())}


@side("item_knn", "LensKit")
def lenskit_knn(folder: Path) -> Found:
    from lenskit.knn import ItemKNNScorer

    model = ItemKNNScorer(feedback="implicit")
    model.train(lenskit_data(folder))
    return {"values": _without_diagonal(_every_item(model.sim_matrix.to_scipy().toarray(), model.items))}


@side("ease", "GENRE")
def genre_ease(folder: Path) -> Found:
    from genre.recommenders.ease import EASE

    return {"values": EASE(100).fit(dataset(folder)).item_weights_}


@side("ease", "LensKit")
def lenskit_ease(folder: Path) -> Found:
    from lenskit.knn import EASEScorer

    model = EASEScorer(regularization=100)
    model.train(lenskit_data(folder))
    return {"values": _every_item(model.weights, model.items)}


@side("ease", "RecTools")
def rectools_ease(folder: Path) -> Found:
    from rectools.models import EASEModel

    data = rectools_data(folder)
    model, values = EASEModel(regularization=100).fit(data), np.zeros((N_ITEMS, N_ITEMS))
    items = data.item_id_map.convert_to_external(np.arange(data.item_id_map.size))
    values[np.ix_(items, items)] = model.weight
    return {"values": values}


@side("als", "GENRE")
def genre_als(folder: Path) -> Found:
    from genre.recommenders.als import ALS

    data = dataset(folder)
    model = ALS(FACTORS, iterations=10, regularization=RIDGE, alpha=WEIGHT, solver="exact", seed=0).fit(data)
    return {"values": model.score(data.history())}


@side("als", "implicit")
def implicit_als(folder: Path) -> Found:
    """From the first item vectors that GENRE draws; the users are solved for once more at the end, as GENRE does."""
    from implicit.cpu.als import AlternatingLeastSquares

    options = dict(regularization=RIDGE, alpha=1 + WEIGHT, iterations=10, use_cg=False, num_threads=1)
    model, rows = AlternatingLeastSquares(FACTORS, **options), matrix(folder)
    model.item_factors = np.random.default_rng(0).normal(0, 0.1, (N_ITEMS, FACTORS)).astype(np.float32)
    model.fit(rows, show_progress=False)
    users = model.recalculate_user(np.arange(N_USERS), rows)
    return {"values": users @ model.item_factors.T}


@side("baseline", "GENRE")
def genre_baseline(folder: Path) -> Found:
    from genre.recommenders.baseline import Baseline

    data = dataset(folder, rated=True)
    return {"values": Baseline(item_damping=10, user_damping=15, iterations=1).fit(data).score(data.history())}


@side("baseline", "LensKit")
def lenskit_baseline(folder: Path) -> Found:
    from lenskit.basic.bias import BiasModel

    model = BiasModel.learn(lenskit_data(folder, rated=True), damping={"user": 15, "item": 10})
    items, users = np.zeros(N_ITEMS), np.zeros(N_USERS)
    items[model.items.ids()], users[model.users.ids()] = model.item_biases, model.user_biases
    return {"values": model.global_bias + users[:, None] + items}


@side("content, whitened", "GENRE")
def genre_content(folder: Path) -> Found:
    from genre.recommenders.content import Content

    data = dataset(folder, vectors=True)
    return {"values": Content(whitening=1.0).fit(data).score(data.history())}


@side("content, whitened", "scikit-learn")
def sklearn_content(folder: Path) -> Found:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    items = normalize(PCA(whiten=True).fit_transform(np.load(folder / "vectors.npy").astype(np.float64)))
    return {"values": normalize(matrix(folder), "l1") @ items @ items.T}


@side("content, map to factors", "GENRE")
def genre_map(folder: Path) -> Found:
    from genre.recommenders.als import ALS
    from genre.recommenders.content import Content

    data = dataset(folder, vectors=True)
    model = Content(recommender=ALS(FACTORS), regularization=30.0).fit(data)
    np.savez(folder / "mapped.npz", vectors=model.item_vectors_, factors=model.member_[0].item_embeddings_)
    return {"values": model.item_vectors_ @ model.map_[:-1] + model.map_[-1]}


@side("content, map to factors", "scikit-learn")
def sklearn_map(folder: Path) -> Found:
    from sklearn.linear_model import Ridge

    given, touched = np.load(folder / "mapped.npz"), np.asarray(matrix(folder).sum(axis=0)).ravel()
    model = Ridge(alpha=30.0).fit(given["vectors"].astype(np.float64), given["factors"], sample_weight=touched)
    return {"values": model.predict(given["vectors"])}


@side("blend, reciprocal rank", "GENRE")
def genre_blend(folder: Path) -> Found:
    """Where no two items of a list have one score: ranx knows no ties."""
    from genre.recommenders.als import ALS
    from genre.recommenders.blend import Blend
    from genre.recommenders.ease import EASE

    data = dataset(folder)
    some = data.history(np.arange(100))
    model = Blend((EASE(100), ALS(FACTORS)), method="reciprocal_rank").fit(data)
    np.save(folder / "members.npy", np.stack([member.score(some) for member in model.members_]))
    return {"values": model.score(some)[_untied(folder)]}


@side("blend, reciprocal rank", "ranx")
def ranx_blend(folder: Path) -> Found:
    from ranx import Run, fuse

    members = np.load(folder / "members.npy")
    runs = [Run({str(u): {str(i): float(s) for i, s in enumerate(row)} for u, row in enumerate(of)}) for of in members]
    fused = fuse(runs=runs, norm=None, method="rrf", params={"k": 60}).to_dict()
    total = np.array([[fused[str(u)][str(i)] for i in range(N_ITEMS)] for u in range(members.shape[1])])
    return {"values": total[_untied(folder)] / len(members)}  # GENRE gives the mean


def _untied(folder: Path) -> np.ndarray:
    """Which items of each list have a score of their own with every member. [n, n_items]"""
    order = np.sort(members := np.load(folder / "members.npy"), axis=2)
    twice = [
        [np.isin(row, known[1:][known[1:] == known[:-1]]) for row, known in zip(*of, strict=True)]
        for of in zip(members, order, strict=True)
    ]
    return ~np.any(twice, axis=0)


def _without_diagonal(values: np.ndarray) -> np.ndarray:
    np.fill_diagonal(values, 0)
    return values


def _every_item(values: np.ndarray, items: Any) -> np.ndarray:
    """A square of LensKit's items in the order of the rows; items without interactions get zeros."""
    every = np.zeros((N_ITEMS, N_ITEMS))
    every[np.ix_(items.ids(), items.ids())] = values
    return every


# --- equal quality --------------------------------------------------------------------------------


@side("bpr", "GENRE")
def genre_bpr(folder: Path) -> Found:
    from genre.recommenders.bpr import BPR

    data = dataset(folder)
    return ndcg(folder, BPR(32).fit(data).score(data.history()))


@side("bpr", "implicit")
def implicit_bpr(folder: Path) -> Found:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(31, 0.05, iterations=30, num_threads=1, random_state=0)  # and an offset
    model.fit(matrix(folder), show_progress=False)
    return ndcg(folder, model.user_factors @ model.item_factors.T)


@side("rating_factors", "GENRE")
def genre_ratings(folder: Path) -> Found:
    from genre.recommenders.rating_factors import RatingFactors

    data = dataset(folder, rated=True)
    return rmse(folder, RatingFactors().fit(data).score(data.history()))


@side("rating_factors", "LensKit")
def lenskit_ratings(folder: Path) -> Found:
    from lenskit.als import BiasedMFScorer
    from lenskit.data import ItemList

    model = BiasedMFScorer(embedding_size=FACTORS, epochs=30)
    model.train(lenskit_data(folder, rated=True))
    every = ItemList(item_ids=np.arange(N_ITEMS))
    stars = [model(int(user), every).scores() for user in range(N_USERS)]
    return rmse(folder, np.array([np.full(N_ITEMS, np.nan) if row is None else row for row in stars]))


@side("mlp", "GENRE")
def genre_mlp(folder: Path) -> Found:
    from genre.recommenders.mlp import MLP

    data = dataset(folder)
    return ndcg(folder, MLP(epochs=20).fit(data).score(data.history()))


@side("ncf", "GENRE")
def genre_ncf(folder: Path) -> Found:
    from genre.recommenders.ncf import NCF

    data = dataset(folder)
    return ndcg(folder, NCF(epochs=20).fit(data).score(data.history()))


@side("mlp", "RecBole", mf_train=False, hidden=(128, 64))
@side("ncf", "RecBole", mf_train=True, hidden=(64, 32, 16))
def recbole_neumf(folder: Path, *, mf_train: bool, hidden: tuple[int, ...]) -> Found:
    """NeuMF, or its network alone, for as many epochs, with as many drawn items."""
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.disable()
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.data.interaction import Interaction
    from recbole.model.general_recommender import NeuMF
    from recbole.trainer import Trainer

    os.chdir(folder)  # it writes beside where it runs
    rows = part(folder, "train")
    Path("ml").mkdir(exist_ok=True)
    pairs, header = np.stack([rows["user"], rows["item"]], axis=1), "user_id:token\titem_id:token"
    np.savetxt("ml/ml.inter", pairs, "%d", "\t", header=header, comments="")
    given = dict(data_path=".", use_gpu=False, show_progress=False, epochs=20, train_batch_size=2560, seed=0)
    given |= dict(mf_embedding_size=32, mlp_embedding_size=32, mlp_hidden_size=list(hidden), mf_train=mf_train)
    given |= {"train_neg_sample_args": dict(distribution="uniform", sample_num=4), "learning_rate": 0.001}
    given |= {"eval_args": dict(split={"RS": [1, 0, 0]}, group_by=None, order="RO", mode="full")}
    config = Config(NeuMF, "ml", config_dict=given)
    train, _, _ = data_preparation(config, create_dataset(config))
    model = NeuMF(config, train.dataset)
    Trainer(config, model).fit(train, saved=False, verbose=False)
    model.eval()
    scores = np.full((N_USERS, N_ITEMS), -np.inf)
    names = train.dataset.field2id_token["item_id"][1:].astype(int)  # the first is for padding
    items = torch.arange(1, len(names) + 1)
    with torch.no_grad():
        for user, row in train.dataset.field2token_id["user_id"].items():
            if row:
                asked = Interaction({"user_id": torch.full_like(items, row), "item_id": items})
                scores[int(user), names] = model.predict(asked).numpy()
    return ndcg(folder, scores)


@side("sasrec", "GENRE")
def genre_sasrec(folder: Path) -> Found:
    from genre.recommenders.sasrec import SASRec

    data = dataset(folder)
    return ndcg(folder, SASRec(epochs=20).fit(data).score(data.history()))


@side("sasrec", "RecTools")
def rectools_sasrec(folder: Path) -> Found:
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.disable()
    import torch
    from rectools.models import SASRecModel

    torch.manual_seed(0)
    data = rectools_data(folder)
    model = SASRecModel(n_factors=64, n_heads=2, n_blocks=2, session_max_len=100, epochs=20).fit(data)
    users = data.user_id_map.external_ids
    best = model.recommend(users, data, k=10, filter_viewed=True)
    scores = np.full((N_USERS, N_ITEMS), -np.inf)
    scores[best["user_id"], best["item_id"]] = -best["rank"]
    return ndcg(folder, scores)


@side("semantic_ids, codes", "GENRE")
def genre_codes(folder: Path) -> Found:
    from genre.recommenders.semantic_ids import nearest_codes, residual_centroids

    vectors = np.load(folder / "vectors.npy")
    centroids = residual_centroids(vectors, 3, 64, 20, 0)
    codes = nearest_codes(vectors, centroids)
    return _lost(vectors, sum(level[code] for level, code in zip(centroids, codes.T, strict=True)))


@side("semantic_ids, codes", "faiss")
def faiss_codes(folder: Path) -> Found:
    import faiss

    vectors = np.load(folder / "vectors.npy")
    quantizer = faiss.ResidualQuantizer(vectors.shape[1], 3, 6)  # three levels of 64
    quantizer.train_type, quantizer.max_beam_size, quantizer.cp.niter = 0, 1, 20
    quantizer.train(vectors)
    return _lost(vectors, quantizer.decode(quantizer.compute_codes(vectors)))


def _lost(vectors: np.ndarray, decoded: np.ndarray) -> Found:
    """The share of the variance that the codes do not hold."""
    return {"error": float(((vectors - decoded) ** 2).sum() / ((vectors - vectors.mean(axis=0)) ** 2).sum())}


# --- the table ------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--venvs", type=Path, default=Path.home() / ".cache" / "genre" / "benchmarks")
    parser.add_argument("--newer-python", default="python3.13")
    parser.add_argument("--rows", nargs="+", default=[""], help="starts of the names of rows")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        row, library, folder = options.side
        np.savez(Path(folder) / "found.npz", **SIDES[row][library](Path(folder)))
        return
    lines = ["| recommender | referee | compared | GENRE | referee | apart | |", "|---|---|---|--:|--:|--:|---|"]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for row, sides in SIDES.items():
            if row.startswith(tuple(options.rows)):
                write(options.data, Path(folder), row)
                ours = run(row, "GENRE", Path(folder), options)  # first: it may leave something for the referee
                for library in sides:
                    if library != "GENRE":
                        line, holds = compare(row, library, ours, run(row, library, Path(folder), options))
                        failed += not holds
                        lines.append(line)
                        print(line, flush=True)
    text = "\n".join(lines)
    print("\n" + text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    raise SystemExit(f"{failed} rows do not hold" if failed else 0)


def run(row: str, library: str, folder: Path, options: argparse.Namespace) -> Found:
    python = interpreter(library, options)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LK_NUM_THREADS"), "1")
    command = [python, __file__, "--side", row, library, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads}, check=False)
    if done.returncode:
        raise SystemExit(f"{row}, {library} failed:\n{done.stderr}")
    return dict(np.load(folder / "found.npz"))


def compare(row: str, library: str, ours: Found, theirs: Found) -> tuple[str, bool]:
    """A line of the table, and whether the row holds."""
    ((what, our), (_, their)) = *ours.items(), *theirs.items()
    if what == "values":
        apart = float(np.abs(our - their).max() / np.abs(their).max())
        shape = " x ".join(f"{n:,}" for n in our.shape)
        line, holds = f"{shape} values | | | {apart:.1e}", apart <= TOLERANCE
    else:
        share = float(our / their)
        holds = share >= 1 - SLACK if what == "ndcg@10" else share <= 1 + SLACK
        line = f"{what} | {our:.4f} | {their:.4f} | {share - 1:+.1%}"
    return f"| {row} | {library} | {line} | {'' if holds else '**does not hold**'} |", holds


if __name__ == "__main__":
    main()
