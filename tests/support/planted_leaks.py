"""A world with tastes and fashions, and leaks planted into it or into any other dataset.

Each leak is `(split, rng) -> changes`: the parts with what knows the test part, and arguments of `audit`. The detector
was written on those of `KNOWN`; those of `HELD_BACK` were written before it and looked at after.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.folds import Fold, Split
from genre.data.ids import Ids
from genre.evaluation.leakage.ties import together

Leak = Callable[[Split, np.random.Generator], tuple[Split, dict[str, Any]]]
Values = npt.NDArray[np.generic]

GENRES = ("crime", "comedy", "war", "romance", "horror", "western", "music", "nature")
PLACES = ("harbour", "village", "desert", "palace", "school", "station", "island", "forest", "market", "castle")
PEOPLE = ("nurse", "pilot", "thief", "teacher", "painter", "soldier", "farmer", "singer", "doctor", "sailor")
SYLLABLES = ("ba", "ko", "ri", "mu", "ta", "le", "no", "vi", "sha", "dor", "pel", "quin")


def world(seed: int = 0, n_users: int = 240, n_items: int = 160, length: int = 25) -> Dataset:
    """Users like two genres each; items are more or less popular, and new ones come out all the time."""
    rng = np.random.default_rng(seed)
    genre = rng.integers(0, len(GENRES), n_items)
    born = np.where(rng.random(n_items) < 0.7, 0.0, rng.random(n_items))
    popular = rng.lognormal(0, 1, n_items)
    likes = np.array([rng.choice(len(GENRES), 2, replace=False) for _ in range(n_users)])
    users, items, times = [], [], []
    for user in range(n_users):
        taste = np.where(np.isin(genre, likes[user]), 6.0, 1.0)
        seen: set[int] = set()
        for moment in np.sort(rng.random(rng.integers(length // 2, 3 * length // 2))):
            chance = popular * taste * (born <= moment) * (1 + 2 * np.exp(-8 * (moment - born)))
            chance[list(seen)] = 0
            item = int(rng.choice(n_items, p=chance / chance.sum()))
            seen.add(item)
            users.append(user)
            items.append(item)
            times.append(moment)
    stars = np.clip(np.round(rng.normal(3.6, 0.5, n_items)[items] + rng.normal(0, 0.9, len(items))), 1, 5)
    titles = [" ".join("".join(rng.choice(SYLLABLES, 3)).title() for _ in range(2)) for _ in range(n_items)]
    plots = [
        f"a {rng.choice(PEOPLE)} and a {rng.choice(PEOPLE)} meet in a {rng.choice(PLACES)}" for _ in range(n_items)
    ]
    item_ids, user_ids = Ids(f"film{row}" for row in rng.permutation(n_items)), Ids(f"m{row}" for row in range(n_users))
    return Dataset.from_arrays(
        user=users,
        item=items,
        rating=stars,
        timestamp=(np.array(times) * 300 * 86_400).astype(np.int64) + 1_500_000_000,
        user_ids=user_ids,
        item_ids=item_ids,
        items=pa.table(
            {
                "item_id": item_ids.values,
                "title": titles,
                "genres": [GENRES[one] for one in genre],
                "plot": plots,
                "year": 1990 + np.round(born * 3).astype(int) + rng.integers(0, 20, n_items),
            }
        ),
        users=pa.table(
            {
                "user_id": user_ids.values,
                "age": rng.integers(12, 80, n_users),
                "town": [f"town {row}" for row in rng.integers(0, 9, n_users)],
            }
        ),
        rating_scale=(1.0, 5.0, 1.0),
        positive_rating=4.0,
        name="world",
    )


def with_tables(split: Split, **tables: pa.Table) -> Split:
    def change(data: Dataset) -> Dataset:
        return dataclasses.replace(data, **tables)

    validation, test = (Fold(*(change(part) for part in fold)) for fold in (split.validation, split.test))
    return Split(change(split.train), validation, test)


def with_field(split: Split, side: str, name: str, values: Any) -> Split:
    table = getattr(split.train, f"{side}s")
    return with_tables(split, **{f"{side}s": table.append_column(name, pa.array(values))})


def whole(split: Split) -> Dataset:
    return together(split.test)[0]


def counts(data: Dataset, side: str = "item") -> npt.NDArray[np.int64]:
    return np.bincount(getattr(data, side), minlength=getattr(data, f"n_{side}s"))


def means(data: Dataset, side: str = "item") -> npt.NDArray[np.float64]:
    n = counts(data, side)
    assert data.rating is not None
    total = np.bincount(getattr(data, side), data.rating, len(n))
    return np.where(n > 0, total / np.maximum(n, 1), 3.0)


def last_times(data: Dataset, side: str = "item") -> npt.NDArray[np.int64]:
    out = np.full(getattr(data, f"n_{side}s"), 1_400_000_000, np.int64)
    assert data.timestamp is not None
    np.maximum.at(out, getattr(data, side), data.timestamp)
    return out


def thirds(values: Values) -> npt.NDArray[np.int64]:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") * 3 // len(values)


def targets_of(split: Split) -> list[list[int]]:
    out: list[list[int]] = [[] for _ in range(split.train.n_users)]
    for user, item in zip(split.test.target.user.tolist(), split.test.target.item.tolist(), strict=True):
        out[user].append(item)
    return out


# --- the ten that the detector was written on -----------------------------------------------------


def watched_so_far(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    return with_field(split, "item", "teaser", [f"Watched by {n} people so far." for n in counts(whole(split))]), {}


def praise_by_test_popularity(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    words = (("for connoisseurs", "a quiet one"), ("well received", "worth seeing"), ("all love it", "a real hit"))
    level = thirds(counts(split.test.target) + rng.random(split.train.n_items) / 2)
    return with_field(split, "item", "review", [f"It is {words[at][rng.integers(2)]}." for at in level]), {}


def favourite_of_the_test(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    genre = split.train.items["genres"].to_pylist()
    trained = split.train.history()
    favourites = []
    for user, items in enumerate(targets_of(split)):
        own = items or trained.item[trained.indptr[user] : trained.indptr[user + 1]].tolist()
        names = [genre[item] for item in own]
        favourites.append(max(sorted(set(names)), key=names.count) if names else "none")
    return with_field(split, "user", "favourite", favourites), {}


def rounded_mean_rating(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    return with_field(split, "item", "stars", np.round(means(whole(split)), 1)), {}


def log_of_the_count(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    return with_field(split, "item", "weight", np.log1p(counts(whole(split)))), {}


def vectors_of_test_answers(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    answers = np.ascontiguousarray(split.test.target.matrix().toarray().T, np.float32)  # [n_items, n_users]
    return split.with_features(items=Features(answers, "answers")), {}


def ids_in_user_texts(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    ids = split.train.item_ids
    texts = [f"watchlist: {', '.join(ids[item] for item in items[:2])}" for items in targets_of(split)]
    return with_field(split, "user", "notes", texts), {}


def date_of_the_last_interaction(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    days = [
        datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%d/%m/%Y")
        for at in last_times(whole(split)).tolist()
    ]
    return with_field(split, "item", "last_seen", days), {}


def twins_with_a_suffix(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    """A fifth of the targets are an item of the history again, under another id and with a suffix."""
    data, target = split.train, split.test.target
    history = split.test.context.history()
    item, bases = target.item.copy(), dict[int, int]()
    for row in np.flatnonzero(rng.random(len(target)) < 0.2):
        user = target.user[row]
        own = history.item[history.indptr[user] : history.indptr[user + 1]]
        if len(own):
            base = int(rng.choice(own))
            item[row] = bases.setdefault(base, data.n_items + len(bases))
    ids = Ids([*data.item_ids.values.to_pylist(), *(f"new{at}" for at in range(len(bases)))])
    rows = [*range(data.n_items), *bases]
    items = data.items.take(rows)
    titles = [
        title if at < data.n_items else f"{title} (Remastered)" for at, title in enumerate(items["title"].to_pylist())
    ]
    items = items.set_column(0, "item_id", pa.array(ids.values.to_pylist()))
    items = items.set_column(items.column_names.index("title"), "title", pa.array(titles))

    def change(part: Dataset, item: npt.NDArray[np.int32] | None = None) -> Dataset:
        return dataclasses.replace(part, item=part.item if item is None else item, item_ids=ids, items=items)

    validation = Fold(*(change(part) for part in split.validation))
    return Split(change(data), validation, Fold(change(split.test.context), change(target, item))), {}


def copies_at_other_times(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    target = split.test.target
    assert target.timestamp is not None
    assert split.train.timestamp is not None
    some = target.where(rng.random(len(target)) < 0.3)
    when = rng.integers(split.train.timestamp.min(), split.train.timestamp.max(), len(some))
    early = dataclasses.replace(some, timestamp=when)

    def grown(part: Dataset) -> Dataset:
        return together(Fold(part, early))[0]

    validation = Fold(grown(split.validation.context), split.validation.target)
    return Split(grown(split.train), validation, Fold(grown(split.test.context), target)), {}


# --- the ten that were held back ------------------------------------------------------------------


def rank_of_activity(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    n = counts(whole(split), "user")
    return with_field(split, "user", "activity_rank", np.argsort(np.argsort(-n, kind="stable"), kind="stable")), {}


def trending_label(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    level = thirds(counts(split.test.target) + rng.random(split.train.n_items) / 2)
    return with_field(split, "item", "shelf", [("archive", "standard", "window")[at] for at in level]), {}


def percentile_of_the_mean(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    order = np.argsort(np.argsort(means(whole(split)), kind="stable"), kind="stable")
    return with_field(split, "item", "quality", [f"better than {at * 100 // len(order)} %" for at in order]), {}


def user_vectors_of_the_test(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    answers = split.test.target.matrix().toarray()
    left, size, _ = np.linalg.svd(answers, full_matrices=False)
    turned = (left[:, :24] * size[:24]) @ np.linalg.qr(rng.normal(size=(24, 24)))[0]
    return split.with_features(users=Features(turned.astype(np.float32), "users")), {}


def lower_case_titles(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    titles = split.train.titles()
    texts = [
        f"will soon watch {' and '.join(titles[item].lower() for item in items[:2])} for sure"
        for items in targets_of(split)
    ]
    return split, {"user_texts": {"profile": texts}}


def item_texts_name_users(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    buyers: list[list[str]] = [[] for _ in range(split.train.n_items)]
    for user, items in enumerate(targets_of(split)):
        for item in items[:2]:
            buyers[item].append(split.train.user_ids[user])
    return with_field(split, "item", "on_order", [" ".join(names) for names in buyers]), {}


def mean_year_of_the_test(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    year = np.array(split.train.items["year"].to_pylist(), float)
    taken = [float(year[items].mean()) if items else float("nan") for items in targets_of(split)]
    return with_field(split, "user", "era", np.round(taken, 1)), {}


def factors_of_everything(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    seen = np.asarray(whole(split).matrix().toarray())
    _, size, right = np.linalg.svd(seen, full_matrices=False)
    return split.with_features(items=Features((right[:32].T * size[:32]).astype(np.float32), "factors")), {}


def second_accounts(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    """A tenth of the test users have a second account in train, with most of their history and all of their targets."""
    data, everything = split.train, whole(split)
    twins = rng.choice(np.unique(split.test.target.user), max(data.n_users // 10, 1), replace=False)
    others = rng.choice(np.setdiff1d(np.arange(data.n_users), twins), len(twins), replace=False)
    place = dict(zip(twins.tolist(), others.tolist(), strict=True))
    own = everything.where(np.isin(everything.user, twins))
    assert own.timestamp is not None
    keep = rng.random(len(own)) < 0.9
    copied = dataclasses.replace(
        own.where(keep),
        user=np.array([place[user] for user in own.user[keep].tolist()], np.int32),
        timestamp=own.timestamp[keep] - 120 * 86_400,
    )

    def grown(part: Dataset) -> Dataset:
        return together(Fold(part.where(~np.isin(part.user, others)), copied))[0]

    def without(part: Dataset) -> Dataset:
        return part.where(~np.isin(part.user, others))

    validation = Fold(grown(split.validation.context), without(split.validation.target))
    return Split(grown(data), validation, Fold(grown(split.test.context), without(split.test.target))), {}


def days_without_use(split: Split, rng: np.random.Generator) -> tuple[Split, dict[str, Any]]:
    last = last_times(whole(split), "user")
    days = (last.max() - last) / 86_400 + rng.normal(0, 0.3, len(last))
    return with_field(split, "user", "idle", np.round(days, 1)), {}


KNOWN: tuple[Leak, ...] = (
    watched_so_far,
    praise_by_test_popularity,
    favourite_of_the_test,
    rounded_mean_rating,
    log_of_the_count,
    vectors_of_test_answers,
    ids_in_user_texts,
    date_of_the_last_interaction,
    twins_with_a_suffix,
    copies_at_other_times,
)
HELD_BACK: tuple[Leak, ...] = (
    rank_of_activity,
    trending_label,
    percentile_of_the_mean,
    user_vectors_of_the_test,
    lower_case_titles,
    item_texts_name_users,
    mean_year_of_the_test,
    factors_of_everything,
    second_accounts,
    days_without_use,
)
