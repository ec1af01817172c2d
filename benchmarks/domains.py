"""Shops, friends and impressions on real sets: what the recommenders of a trade gain over general ones.

    python benchmarks/domains.py --data FOLDER [--peers PYTHON] [shop] [music] [social] [news] [video] [context-shop] ...

Options are chosen on the validation part, each recommender from the settings listed here; the test part reports. Rows
are kept in domains.json, from which domains.md is written: sets that are not named keep the rows of their last run.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import transfer
from datasets import machine, movietweetings

import genre
from genre.data.dataset import Dataset
from genre.data.folds import TEST, TRAIN, VALIDATION, Fold, Split
from genre.evaluation.comparison import compare
from genre.evaluation.evaluator import evaluate, evaluate_lists
from genre.evaluation.results import Evaluation
from genre.features.base import item_features
from genre.features.concat import Concat
from genre.features.embedding import Embedding
from genre.features.tfidf import TfIdf
from genre.features.vectors import Vectors
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.sources.impressions import Impressions
from genre.preprocessing.splits import GivenSplit, RandomSplit, TimeSplit
from genre.recommenders.base import Recommender

HERE = Path(__file__).parent
NOTES = (
    "- Shop: `repeat` is ahead of all other single recommenders of this project, by what customers had before; a blend with it, fitted for repeats, is ahead of it. It is ahead of kindling, and of Cornac's",
    "  TIFU-KNN as released, which takes one mean over all neighbours and items, so that neighbours do not change its order; with the mean over neighbours, as in the paper, it is level with `repeat`.",
    "- What a customer has not had: single recommenders of this project are behind decayed popularity or level with it, the blend is ahead of it. Kindling learns from the histories of the test, the validation part",
    "  included; a blend that does so, too, is level with it. `als` joined the blend after a run without it, which had 0.0729 and 0.0815 in its two rows; validation prefers it, 0.1057 to 0.0953.",
    "- Music: friends and tags say something of taste (each far above its placebo), but next to nothing that listening does not say: the intervals of the",
    "  blends with and without them overlap.",
    "- Social: paths over friends are far above popularity and as good as matrix factorisation; tastes add to them, shuffled tastes nothing.",
    "- Video: the features of trailers say next to nothing of taste here: alone they are hardly above their placebo, and no blend gains from them. Late fusion",
    "  finds that out by itself; early fusion needs its weight chosen (0.02 of 1).",
    "- Context: hours and weekdays tell nothing of films. Popularity just before the request raises the ranker's value on MovieTweetings, by less than its interval. On the 74 users of",
    "  MovieLens nothing is told apart; on MovieTweetings, where few days decide what is rated, every ranker is behind decayed popularity, and no blend is ahead of it. In the shop",
    "  the context raises the ranker, which is far ahead of decayed popularity, but behind the blend below it, which validation takes: what is bought again is found by `repeat`.",
    "- Transfer: from MovieLens to MovieTweetings a network as it is says no more than plain likeness of texts, and popularity says more than either; the other way it is ahead of likeness of",
    "  texts and level with popularity, on 74 users. Trained further it is level with one from nothing in all three: on catalogues of this size a start elsewhere gains nothing. On a",
    "  shop, what films taught it is worth a fifth of likeness of texts: nothing carries over, and nothing is lost by starting from it.",
    "- News: clicks of this set are hard to tell for every recommender here; a text reader is no better than popularity, since all articles are on one topic,",
    "  and neither is the two-tower, which reads the same texts and learns from 14,000 clicks.",
    "- News, unseen: beside articles that train knows, whatever counts clicks puts an unseen one last, the two-tower in part; `content` does not, and is as good as chance. Among unseen articles alone",
    "  every interval holds chance (0.5) but that of the one shuffle of texts, which is below it by accident, so that `content` ahead of it says nothing: texts of one topic hardly tell what is clicked.",
)
Rows = list[dict[str, Any]]
Model = TypeVar("Model", bound=Recommender)
PROTOCOLS = {
    "shop": "UCI Online Retail: the newest tenth is the test, the tenth before the validation; repeats kept, returns cancel, lists may hold what the "
    "customer had; a basket is customer and minute, the product name is the item. "
    "Other libraries (`--peers`): Cornac scores the same histories; kindling lists what it was fitted on, so it learns from the histories of each part, of which those of the test have the validation, too.",
    "music": "Last.fm (HetRec 2011): a random tenth of the pairs of user and artist is the test, another the validation (the file has totals, no times); "
    "plays count alike. The placebos: the same friendships with their second column shuffled, the same tags given to other artists.",
    "social": "Last.fm (HetRec 2011), whom to follow: a random tenth of the friendships is the test, another the validation, both directions of a friendship in one part. "
    "`follow` reads the friendships of train and, with taste, the artists that people listened to; the placebo gives these artists to other people. Nobody is in the "
    "own list of any row: train holds everybody with itself, with weight 0.",
    "video": "MovieLens latest small: a random tenth of the ratings is the test, another the validation. Text: MiniLM of title and genres; trailers: seven visual "
    "features, which 4,751 of 9,742 films have. Early: `concat` of both, its weights chosen; late: a blend of `content` on each block. The placebo: the same vectors of "
    "trailers, given to other films.",
    "context-shop": "The newest tenth is the test, the tenth before the validation; the set as under Shop, with repeats. A ranker over the blend, without and with context; "
    "the list of a user is made in the context of the user's first interaction of the part.",
    "context-tweets": "The same split; 7 of 10 and more is a like, no repeats.",
    "context-films": "The same split; no repeats.",
    "transfer-tweets": "`genre transfer RUN --to target.yaml`, where RUN has learnt `two_tower` from MovieLens latest small over MiniLM of titles and genres. Newest tenth test, the tenth before "
    "validation; `two_tower` with `id_dropout: 0.8, epochs: 12`, one setting. CPU s: of training here.",
    "transfer-films": "The same the other way round.",
    "transfer-shop": "The same from films to a shop, the expected failure; no repeats, names of products as titles.",
    "discovery": "The set, split and recommenders as under Shop; lists leave out what the customer had before, and so do the targets.",
    "unseen-news": "NeMig (English): a tenth of the articles, drawn at random, is unseen in the test, another in the validation: train has no row of them. The test are the impressions in "
    "which one of its articles was clicked, ranked among what was shown with it and not clicked, nine tenths of which train knows; what else was clicked there is left out. "
    "The split under News has next to no click on an article that nobody read before.",
    "unseen-alone": "The same, ranked among the unseen articles that were shown with it and not clicked: what is known of articles tells nothing here, their texts alone can.",
    "news": "NeMig (English): the last tenth of the lines is the test, the tenth before the validation (the file has no times); clicks ranked among the "
    "articles shown with them, averaged for each user. Without cold: clicks on articles that train knows, of users with a history.",
}


def pick(
    name: str,
    settings: Sequence[Model],
    split: Split,
    metrics: Sequence[str],
    how: dict[str, Any],
    rows: Rows,
    *,
    against: str | None = None,
    also: str | None = None,
) -> Model:
    """Fit each setting, choose by the first metric on validation, and add the row of the test part.

    `against`: the row that the difference is to; None: the first. `also`: another one, with a difference of its own.
    """
    began = time.process_time()
    fitted = [one.fit(split.train, validation=split.validation) for one in settings]
    judged = [evaluate(one, split.validation, metrics=metrics, train=split.train, **how) for one in fitted]
    best = _best(judged)
    test = evaluate(fitted[best], split.test, metrics=metrics, train=split.train, name=name, **how)
    options = repr(settings[best]) if len(settings) > 1 else ""
    add(name, options, time.process_time() - began, judged[best], test, rows, against=against, also=also)
    return settings[best]


def _best(judged: Sequence[Evaluation]) -> int:
    """The setting whose first metric is highest on validation."""
    return int(np.argmax([next(iter(one.values.values())) for one in judged]))


def add(
    name: str,
    options: str,
    cpu: float,
    validation: Evaluation,
    test: Evaluation,
    rows: Rows,
    *,
    against: str | None = None,
    also: str | None = None,
) -> None:
    """Add the row of a setting that validation chose."""
    label = next(iter(validation.values))
    row: dict[str, Any] = {"name": name, "options": options, "cpu": cpu}
    row |= {"values": test.values, "intervals": test.intervals, "warm": test.warm}
    row["users"] = int(np.isfinite(test.per_user[label]).sum())
    if rows:
        row["differences"] = []
        for name_of in [against] if also is None else [against, also]:
            other = next(row for row in rows if name_of in (None, row["name"]))
            [difference] = compare(test, other["evaluation"], [label])
            row["differences"].append({"low": difference.low, "high": difference.high, "against": other["name"]})
    rows.append(row | {"evaluation": test})
    print(f"{name:34} {label} {test.values[label]:.4f}  validation {validation.values[label]:.4f}", flush=True)


def again(
    name: str, model: Recommender, split: Split, metrics: Sequence[str], how: dict[str, Any], rows: Rows, also: str
) -> None:
    """Add the row of a recommender that learns what validation chose once more, from train and validation."""
    began = time.process_time()
    fitted = model.fit(split.train, validation=split.validation)
    on_validation = evaluate(fitted, split.validation, metrics=metrics, train=split.train, **how)
    test = evaluate(fitted.chosen().fit(split.test.context), split.test, metrics=metrics, train=split.train, **how)
    add(f"{name}, from train and validation", "", time.process_time() - began, on_validation, test, rows, also=also)


PEERS: list[Path] = []
"""The Python with other libraries that `--peers` names."""


@functools.cache
def lists_of_peers(data: Path) -> dict[str, Any]:
    """What `basket_peers.py` finds for the shop, by `name|options|part`; nothing without `--peers`."""
    if not PEERS:
        return {}
    split = TimeSplit().split(load_shop(data))
    parts = {"train": split.train, "validation": split.validation.context, "test": split.test.context}
    given: dict[str, Any] = {"n_items": split.train.n_items}
    for part, all_of_it in parts.items():
        some = all_of_it.where(all_of_it.weight > 0)
        given |= {f"{part}_user": some.user, f"{part}_item": some.item, f"{part}_time": some.timestamp}
    given |= {"validation_users": split.validation.users(), "test_users": split.test.users()}
    with tempfile.TemporaryDirectory() as aside:
        source, output = Path(aside) / "in.npz", Path(aside) / "out.npz"
        np.savez(source, **given)
        subprocess.run([PEERS[0], HERE / "basket_peers.py", source, output], check=True)
        with np.load(output) as file:
            return dict(file)


def peers(
    names: Sequence[str], data: Path, split: Split, metrics: Sequence[str], how: dict[str, Any], rows: Rows, also: str
) -> None:
    """Add the rows of other libraries, each with the setting that validation chooses."""
    found = lists_of_peers(data)
    for name in names:
        settings = list(dict.fromkeys(key.split("|")[1] for key in found if key.split("|")[0] == name))

        def judged(options: str, part: str, name: str = name) -> Evaluation:
            fold: Fold = getattr(split, part)
            lists = found[f"{name}|{options}|{part}"]
            return evaluate_lists(lists, fold, users=fold.users(), metrics=metrics, train=split.train, **how)

        if settings:
            values = [judged(options, "validation") for options in settings]
            best, cpu = _best(values), sum(float(found[f"{name}|{options}|cpu"]) for options in settings)
            add(name, settings[best], cpu, values[best], judged(settings[best], "test"), rows, also=also)


def shop(data: Path) -> Rows:
    split = TimeSplit().split(load_shop(data))
    how, metrics, rows = dict[str, Any]({"exclude_seen": False, "k": 10}), ["ndcg", "recall"], Rows()
    decayed = [genre.Popularity(half_life_days=days) for days in (7, 30, 90)]
    popular = pick("decayed popularity", decayed, split, metrics, how, rows)
    pick("popularity", [genre.Popularity()], split, metrics, how, rows)
    repeats = [genre.Repeat(n, own) for n in (100, 300) for own in (0.3, 0.7, 1.0)]
    repeat = pick("repeat", repeats, split, metrics, how, rows)
    together = pick("together", [genre.Together(target_power=p) for p in (0.0, 0.5)], split, metrics, how, rows)
    pick("ease", [genre.EASE(regularization=300)], split, metrics, how, rows)
    blend = genre.Blend((popular, repeat, together), exclude_seen=False)
    pick("blend of the first, repeat, together", [blend], split, metrics, how, rows, also="repeat")
    names = ("Cornac TIFU-KNN", "Cornac TIFU-KNN, its mean over neighbours", "kindling")
    peers(names, data, split, metrics, how, rows, also="repeat")
    return rows


def discovery(data: Path) -> Rows:
    split = TimeSplit().split(load_shop(data))
    how, metrics, rows = dict[str, Any]({"k": 10}), ["ndcg", "recall"], Rows()
    decayed = [genre.Popularity(half_life_days=days) for days in (7, 30, 90)]
    popular = pick("decayed popularity", decayed, split, metrics, how, rows)
    pick("popularity", [genre.Popularity()], split, metrics, how, rows)
    repeats = [genre.Repeat(n, own) for n in (100, 300) for own in (0.3, 0.7)]
    pick("repeat", repeats, split, metrics, how, rows)
    pick("together", [genre.Together(target_power=p) for p in (0.0, 0.5)], split, metrics, how, rows)
    near = [genre.ItemKNN(neighbours=n, shrinkage=s) for n in (100, 500) for s in (0.0, 20.0)]
    knn = pick("item_knn", near, split, metrics, how, rows)
    ease = pick("ease", [genre.EASE(regularization=r) for r in (300, 3000)], split, metrics, how, rows)
    als = pick("als", [genre.ALS(factors=64, regularization=r) for r in (0.1, 10.0)], split, metrics, how, rows)
    blend, name = genre.Blend((popular, knn, ease, als)), "blend of decayed popularity, item_knn, ease, als"
    pick(name, [blend], split, metrics, how, rows)
    again("decayed popularity", popular, split, metrics, how, rows, also=name)
    again("the blend", blend, split, metrics, how, rows, also=name)
    peers(["kindling, new items"], data, split, metrics, how, rows, also=rows[-1]["name"])
    return rows


def music(data: Path) -> Rows:
    folder = data / "lastfm-hetrec"
    tags = pd.read_csv(folder / "tags.dat", sep="\t", encoding="latin-1").set_index("tagID")["tagValue"]
    tagged = pd.read_csv(folder / "user_taggedartists.dat", sep="\t", encoding="latin-1")[["artistID", "tagID"]]
    tagged["tag"] = tagged.pop("tagID").map(tags)
    plays = pd.read_csv(folder / "user_artists.dat", sep="\t")
    pairs = pd.read_csv(folder / "user_friends.dat", sep="\t")
    rng = np.random.default_rng(0)
    shuffled = pairs.assign(friendID=rng.permutation(pairs["friendID"].to_numpy()))
    items = tagged.drop_duplicates()
    artists = items["artistID"].unique()
    other = items.assign(artistID=items["artistID"].map(dict(zip(artists, rng.permutation(artists), strict=True))))

    def split_of(friends: pd.DataFrame, texts: pd.DataFrame) -> Split:
        loaded = genre.load(plays, items=texts, users=friends, cleaning=Cleaning(weights="equal"))
        vectors = TfIdf(dim=64, template="{tag}").fit(loaded.items).encode(loaded.items)
        return RandomSplit(seed=0).split(loaded.with_features(items=vectors))

    how, metrics, rows = dict[str, Any]({"k": 10}), ["ndcg", "recall"], Rows()
    real, placebo = split_of(pairs, items), split_of(shuffled, other)
    near = [genre.ItemKNN(neighbours=n, shrinkage=s) for n in (100, 500) for s in (0.0, 20.0)]
    knn = pick("item_knn", near, real, metrics, how, rows)
    als = pick("als", [genre.ALS(factors=64, regularization=r) for r in (0.1, 10.0)], real, metrics, how, rows)
    shares = [genre.Friends("friendID", similarity_weight=w) for w in (0.0, 0.5, 1.0)]
    friends = pick("friends", shares, real, metrics, how, rows)
    pick("friends, shuffled", [friends], placebo, metrics, how, rows)
    pick("content by tags", [genre.Content()], real, metrics, how, rows)
    pick("content by shuffled tags", [genre.Content()], placebo, metrics, how, rows)
    base = "blend of item_knn, als"
    pick(base, [genre.Blend((knn, als))], real, metrics, how, rows)
    for member, added in ((friends, "friends"), (genre.Content(), "tags")):
        joined = [genre.Blend((knn, als, member))]
        pick(f"{base}, {added}", joined, real, metrics, how, rows, against=base)
        pick(f"{base}, shuffled {added}", joined, placebo, metrics, how, rows, against=base)
    return rows


def social(data: Path) -> Rows:
    folder = data / "lastfm-hetrec"
    plays = pd.read_csv(folder / "user_artists.dat", sep="\t", dtype=str)[["userID", "artistID"]]
    pairs = pd.read_csv(folder / "user_friends.dat", sep="\t", dtype=str)
    both, _ = pd.factorize(pd.Series(map(frozenset, pairs.itertuples(index=False))))  # one number a friendship
    rng = np.random.default_rng(0)
    drawn = rng.random(both.max() + 1)[both]
    part = np.select([drawn < 0.1, drawn < 0.2], ["test", "validation"], "train")
    people = pairs["userID"].unique()
    itself = pd.DataFrame({"userID": people, "friendID": people, "part": "train", "weight": 0.0})
    edges = pd.concat([pairs.assign(part=part, weight=1.0), itself], ignore_index=True)
    columns = {"user": "userID", "item": "friendID", "part": "part", "weight": "weight"}
    listeners = plays["userID"].unique()
    other = plays.assign(userID=plays["userID"].map(dict(zip(listeners, rng.permutation(listeners), strict=True))))
    real, placebo = (GivenSplit().split(genre.load(edges, users=some, columns=columns)) for some in (plays, other))
    how, metrics, rows = dict[str, Any]({"k": 10}), ["ndcg", "recall"], Rows()
    pick("popularity (most friends)", [genre.Popularity()], real, metrics, how, rows)
    near = [genre.ItemKNN(neighbours=n, shrinkage=s) for n in (100, 500) for s in (0.0, 20.0)]
    pick("item_knn", near, real, metrics, how, rows)
    als = pick("als", [genre.ALS(factors=64, regularization=r) for r in (0.1, 10.0)], real, metrics, how, rows)
    paths = [genre.Follow(one) for one in ("adamic_adar", "resource_allocation", "common")]
    found = pick("follow", paths, real, metrics, how, rows)
    weights = (0.3, 1.0, 3.0, 10.0, 1000.0)
    tastes = [genre.Follow(found.measure, "artistID", weight) for weight in weights]
    follow = pick("follow with taste", tastes[:-1], real, metrics, how, rows, against="follow")
    pick("follow with shuffled tastes", tastes[:-1], placebo, metrics, how, rows, against="follow")
    pick("follow by taste alone", tastes[-1:], real, metrics, how, rows, against="popularity (most friends)")
    joined = [genre.Blend((follow, als))]
    pick("blend of follow with taste, als", joined, real, metrics, how, rows, against="follow with taste")
    return rows


def load_news(data: Path) -> Dataset:
    folder = data / "nemig"
    source = Impressions(folder / "en_behaviors.tsv", items=folder / "en_news.csv")
    loaded: Dataset = genre.load(source, cleaning=Cleaning(repeats="all"))
    encoder = TfIdf(dim=128, template="{title}. {abstract}")
    return loaded.with_features(items=encoder.fit(loaded.items).encode(loaded.items))


def news(data: Path) -> Rows:
    split = TimeSplit().split(load_news(data))
    how, metrics, rows = dict[str, Any]({"kind": "impressions", "k": [5, 10]}), ["auc", "mrr", "ndcg"], Rows()
    popular = pick("popularity", [genre.Popularity()], split, metrics, how, rows)
    contents = [genre.Content(history_half_life=h) for h in (None, 10.0)]
    content = pick("content", contents, split, metrics, how, rows)
    near = [genre.ItemKNN(neighbours=n, shrinkage=s) for n in (100, 500) for s in (0.0, 20.0)]
    knn = pick("item_knn", near, split, metrics, how, rows)
    factors = [genre.ALS(factors=32, regularization=r) for r in (10.0, 50.0)]
    members = (popular, content, knn, pick("als", factors, split, metrics, how, rows))
    pick("blend, weights over the catalogue", [genre.Blend(members)], split, metrics, how, rows)
    pick("blend", [genre.Blend(members, learn_from="impressions")], split, metrics, how, rows)
    towers = [genre.TwoTower(dim=32, ids=32, hidden=64, id_dropout=share, epochs=10) for share in (0.3, 0.8)]
    pick("two_tower", towers, split, metrics, how, rows)
    return rows


def unseen_news(data: Path, *, alone: bool = False) -> Rows:
    """Clicks on articles that train does not know, among what was shown with them; `alone`: that train does not know, too."""
    loaded = load_news(data)
    rng = np.random.default_rng(0)
    drawn = rng.random(loaded.n_items)
    of_article = np.select([drawn < 0.1, drawn < 0.2], [TEST, VALIDATION], TRAIN)[loaded.item]
    assert loaded.timestamp is not None
    begins = np.diff(loaded.user, prepend=-1).astype(bool) | np.diff(loaded.timestamp, prepend=-1).astype(bool)
    shown, clicked = np.cumsum(begins), loaded.weight > 0
    impressions = loaded.timestamp > 0  # histories come before
    part = np.full(len(loaded), TRAIN, np.int8)
    for one in (VALIDATION, TEST):  # an impression of both is of the test
        part[impressions & np.isin(shown, shown[impressions & clicked & (of_article == one)])] = one
    own = of_article == part
    kept = np.where((part == TRAIN) | alone, own, own | ~clicked)
    real = dataclasses.replace(loaded, part=part).where(kept)
    texts = loaded.item_features
    assert texts is not None
    shuffled = dataclasses.replace(texts, values=rng.permutation(texts.values), fingerprint="shuffled")
    split, placebo = (GivenSplit().split(one) for one in (real, real.with_features(items=shuffled)))
    how, metrics, rows = dict[str, Any]({"kind": "impressions", "k": 5}), ["auc", "ndcg"], Rows()
    popular = pick("popularity", [genre.Popularity()], split, metrics, how, rows)
    near = [genre.ItemKNN(neighbours=n, shrinkage=s) for n in (100, 500) for s in (0.0, 20.0)]
    pick("item_knn", near, split, metrics, how, rows)
    contents = [genre.Content(history_half_life=h) for h in (None, 10.0)]
    content = pick("content", contents, split, metrics, how, rows)
    pick("content by shuffled texts", [content], placebo, metrics, how, rows, also="content")
    factors = [genre.Content(recommender=genre.ALS(factors=f)) for f in (16, 64)]
    als = pick("als, its factors by text", factors, split, metrics, how, rows, also="content")
    members = (popular, content, als)
    name = "blend of popularity, content, als by text"
    pick(f"{name}, weights over the catalogue", [genre.Blend(members)], split, metrics, how, rows)
    pick(name, [genre.Blend(members, learn_from="impressions")], split, metrics, how, rows)
    towers = [genre.TwoTower(dim=32, ids=32, hidden=64, id_dropout=share, epochs=10) for share in (0.3, 0.8)]
    pick("two_tower", towers, split, metrics, how, rows, also="content")
    return rows


def video(data: Path) -> Rows:
    folder, trailers = data / "ml-latest-small", data / "trailers" / "LLVisualFeatures13K_Log.csv"
    loaded = genre.load(folder / "ratings.csv", items=folder / "movies.csv")
    table = pd.read_csv(trailers)
    films = pd.read_csv(folder / "movies.csv")["movieId"]
    table = table[table["ML_Id"].isin(films)]
    shuffled = table.assign(ML_Id=np.random.default_rng(0).permutation(table["ML_Id"].to_numpy()))
    how, metrics, rows = dict[str, Any]({"k": 10}), ["ndcg", "recall"], Rows()

    def split_of(frame: pd.DataFrame, share: float) -> Split:
        with tempfile.TemporaryDirectory() as aside:
            path = Path(aside) / "trailers.csv"
            frame.to_csv(path, index=False)
            texts = Embedding(template="{title}. {genres}")
            encoder = Concat((texts, Vectors(path)), (1 - share, share), ("text", "trailers"))
            return RandomSplit(seed=0).split(loaded.with_features(items=item_features(loaded, encoder)))

    shares = (0.02, 0.05, 0.1, 0.2, 0.4)
    real, placebo = ({share: split_of(one, share) for share in shares} for one in (table, shuffled))
    text, looks = genre.Content(block="text"), genre.Content(block="trailers")
    als = pick("als", [genre.ALS(factors=64, regularization=r) for r in (0.1, 10.0)], real[0.2], metrics, how, rows)
    pick("content by text", [text], real[0.2], metrics, how, rows)
    pick("content by trailers", [looks], real[0.2], metrics, how, rows, against="content by text")
    pick("content by shuffled trailers", [looks], placebo[0.2], metrics, how, rows, against="content by text")
    for name, splits in (("trailers", real), ("shuffled trailers", placebo)):
        judged = {
            s: evaluate(genre.Content().fit(one.train), one.validation, train=one.train, metrics=["ndcg"], **how)
            for s, one in splits.items()
        }
        best = max(judged, key=lambda share: next(iter(judged[share].values.values())))
        pick(
            f"early: text, {name} (weight {best:g})",
            [genre.Content()],
            splits[best],
            metrics,
            how,
            rows,
            against="content by text",
        )
        pick(
            f"late: text, {name}",
            [genre.Blend((text, looks))],
            splits[0.2],
            metrics,
            how,
            rows,
            against="content by text",
        )
    base = "blend of als, text"
    pick(base, [genre.Blend((als, text))], real[0.2], metrics, how, rows)
    pick(f"{base}, trailers", [genre.Blend((als, text, looks))], real[0.2], metrics, how, rows, against=base)
    pick(
        f"{base}, shuffled trailers", [genre.Blend((als, text, looks))], placebo[0.2], metrics, how, rows, against=base
    )
    return rows


def context(
    load: Callable[[Path], Dataset],
    members: Sequence[Recommender],
    how: dict[str, Any],
    contexts: Sequence[tuple[str, ...]] = (("hour", "weekday"), ("recent",), ("hour", "weekday", "recent")),
) -> Callable[[Path], Rows]:
    """Decayed popularity, a blend of it with `members`, and rankers over that with more and more context."""

    def rows_of(data: Path) -> Rows:
        split, metrics, rows = TimeSplit().split(load(data)), ["ndcg", "recall"], Rows()
        decayed = [genre.Popularity(half_life_days=days) for days in (1, 7, 30, 90, 365)]
        popular = pick("decayed popularity", decayed, split, metrics, how, rows)
        seen = bool(how.get("exclude_seen", True))
        first = genre.Blend((popular, *members), exclude_seen=seen)
        pick("blend", [first], split, metrics, how, rows)
        pick("ranker over it", [genre.Ranker(first, exclude_seen=seen)], split, metrics, how, rows, also="blend")
        for names in contexts:
            model = genre.Ranker(first, exclude_seen=seen, context=names)
            pick(f"ranker, {', '.join(names)}", [model], split, metrics, how, rows, also="ranker over it")
        return rows

    return rows_of


def load_shop(data: Path) -> Dataset:
    cleaning = Cleaning(repeats="all", returns="cancel", weights="equal")
    file = data / "uci-online-retail" / "online_retail.parquet"
    return genre.load(file, columns={"item": "Description"}, cleaning=cleaning)


NEAR = genre.ItemKNN(neighbours=300, shrinkage=10.0)
SETS: dict[str, Callable[[Path], Rows]] = {
    "shop": shop,
    "discovery": discovery,
    "music": music,
    "social": social,
    "news": news,
    "unseen-news": unseen_news,
    "unseen-alone": functools.partial(unseen_news, alone=True),
    "video": video,
}
SETS |= {
    "context-shop": context(
        load_shop, (genre.Repeat(), NEAR), {"k": 10, "exclude_seen": False}, [("hour", "weekday", "recent")]
    ),
    "context-tweets": context(movietweetings, (NEAR, genre.ALS(factors=64)), {"k": 10}),
    "context-films": context(
        lambda data: genre.load(
            data / "ml-latest-small" / "ratings.csv", items=data / "ml-latest-small" / "movies.csv"
        ),
        (NEAR, genre.ALS(factors=64)),
        {"k": 10},
    ),
}
SETS |= transfer.SETS
TITLES = {
    "unseen-news": "News: articles unseen in training",
    "unseen-alone": "News: articles unseen in training, among themselves",
    "discovery": "Shop: what a customer has not had",
    "transfer-tweets": "Transfer: MovieLens latest small to MovieTweetings",
    "transfer-films": "Transfer: MovieTweetings to MovieLens latest small",
    "transfer-shop": "Transfer: MovieLens latest small to UCI Online Retail",
    "context-shop": "Context: UCI Online Retail",
    "context-tweets": "Context: MovieTweetings",
    "context-films": "Context: MovieLens latest small",
}


def write(kept: dict[str, Rows]) -> None:
    lines = [
        "# The recommenders of trades on real sets",
        "",
        "`python benchmarks/domains.py --data FOLDER` (the script says which files). Options are chosen on the validation part from the settings in the",
        "script and named where there are several; the whole catalogue is ranked unless a section says otherwise; recommenders learn from train alone. ±:",
        "half of a 95 % interval over users. Difference: to the row in brackets, in the first metric, paired, 95 % interval. CPU seconds of two sections may be of two machines.",
        "",
        machine(),
    ]
    for name, rows in kept.items():
        labels = [*rows[0]["values"]]
        extra = [f"{labels[0]} without cold"] if name == "news" else []
        lines += ["", f"## {TITLES.get(name, name.title())}", "", f"{PROTOCOLS[name]} {rows[0]['users']:,} users.", ""]
        head = ["recommender", *labels, *extra, "difference", "CPU s"]
        lines += [f"| {' | '.join(head)} |", f"|---|{'--:|' * (len(head) - 2)}--:|"]
        for row in rows:
            cells = [row["name"]]
            for label in labels:
                low, high = row["intervals"][label]
                cells.append(f"{row['values'][label]:.4f} ±{(high - low) / 2:.4f}")
            cells += [f"{row['warm'][labels[0]]:.4f}"] * len(extra)
            cells += [_difference(row), f"{row['cpu']:.0f}"]
            lines.append(f"| {' | '.join(cells)} |")
        chosen = [f"{row['name']}: `{row['options']}`" for row in rows if row["options"]]
        lines += ["", *(f"- {one}" for one in chosen)]
    lines += ["", *NOTES]
    (HERE / "domains.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _difference(row: dict[str, Any]) -> str:
    return "; ".join(
        f"{one['low']:+.4f} to {one['high']:+.4f} ({one['against']})" for one in row.get("differences", [])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], default=[])
    parser.add_argument("--peers", type=Path, help="a Python with the libraries that basket_peers.py names")
    options = parser.parse_args()
    PEERS.extend([options.peers] if options.peers else [])
    store = HERE / "domains.json"
    kept = json.loads(store.read_text("utf-8")) if store.exists() else {}
    for name in options.sets or SETS:
        rows = SETS[name](options.data)
        kept[name] = [{key: value for key, value in row.items() if key != "evaluation"} for row in rows]
        store.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write({name: kept[name] for name in SETS if name in kept})


if __name__ == "__main__":
    main()
