"""Leaks by somebody who had not seen the detector, and lists of names that only later parts have together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from genre.data.dataset import Dataset
from genre.data.folds import Split
from genre.evaluation.leakage.audit import audit
from genre.evaluation.leakage.mentions import check_mentions
from genre.preprocessing.splits import LeaveOneOut, TimeSplit
from planted_leaks import counts, targets_of, whole, with_field, world

DATA = world(3)
BY_TIME, BY_USER = TimeSplit().split(DATA), LeaveOneOut().split(DATA)


def fans(data: Dataset) -> list[str]:
    """Users of each item, in a sentence."""
    users = [[data.user_ids[user] for user in data.user[data.item == item]] for item in range(data.n_items)]
    return [f"recommended by {', '.join(some[-12:])}" for some in users]


def also_bought(data: Dataset, most: int = 5) -> list[list[str]]:
    """Titles that most often follow each item."""
    followers, titles = [Counter[int]() for _ in range(data.n_items)], data.titles()
    for one, next_one, same in zip(data.item, data.item[1:], data.user[1:] == data.user[:-1], strict=False):
        if same:
            followers[one][int(next_one)] += 1
    return [[titles[item] for item, _ in found.most_common(most)] for found in followers]


def rising(split: Split) -> list[str]:
    late = counts(split.test.target)
    share = (late + 1) / (counts(whole(split)) + 9)
    label = np.searchsorted(np.quantile(share, [0.3, 0.85]), share, side="right")
    return [("cooling", "steady", "rising fast")[one] for one in label]


def shelf(split: Split) -> list[str]:
    rank = np.argsort(np.argsort(-(counts(split.test.target) + np.random.default_rng(0).random(DATA.n_items))))
    return [f"shelf {one // 10}-{1000 + 7 * one}" for one in rank]


def mood(split: Split) -> list[str]:
    genres = split.train.items["genres"].to_pylist()
    return [f"in the mood for {' and '.join(genres[item] for item in own)}" for own in targets_of(split)]


def wishlist(split: Split) -> list[str]:
    titles, rng = split.train.titles(), np.random.default_rng(0)
    lists = [[titles[item] for item in own] + list(rng.choice(titles, 3)) for own in targets_of(split)]
    return [" / ".join(sorted(own)) for own in lists]


def stars(split: Split) -> list[str]:
    return ["★" * int(n) for n in np.clip(counts(split.test.target), 0, 5)]


def wordy(split: Split) -> list[str]:
    return [" ".join(["word"] * (3 + 2 * int(n))) for n in counts(split.test.target)]


def views(split: Split) -> list[str]:
    seen = counts(whole(split)) * 137
    return [f"{n / 1000:.1f}k views" if n >= 1000 else f"{n} views" for n in seen.tolist()]


def price_index(split: Split) -> pa.Array:
    return pa.array([Decimal(n) / 10 for n in counts(whole(split)).tolist()], pa.decimal128(10, 2))


def bestseller(split: Split) -> list[bool]:
    late = counts(split.test.target)
    return list(late >= np.quantile(late, 0.9))


def loved(split: Split) -> list[float]:
    every = whole(split)
    assert every.rating is not None
    best = np.bincount(every.item, every.rating == 5, every.n_items)
    return list(np.round(best / np.maximum(counts(every), 1), 2))


def embedding(split: Split) -> list[list[float]]:
    _, size, right = np.linalg.svd(np.asarray(whole(split).matrix().toarray()), full_matrices=False)
    return [row.tolist() for row in right[:32].T * size[:32]]


@pytest.mark.parametrize(
    ("split", "side", "make"),
    [
        (BY_TIME, "item", views),
        (BY_TIME, "item", price_index),
        (BY_USER, "item", price_index),
        (BY_TIME, "item", loved),
        (BY_TIME, "item", embedding),
        (BY_TIME, "item", stars),
        (BY_TIME, "item", wordy),
        (BY_TIME, "item", rising),
        (BY_TIME, "item", shelf),
        (BY_USER, "item", lambda split: fans(whole(split))),
        (BY_USER, "user", mood),
        (BY_USER, "user", wishlist),
    ],
    ids=[
        "views",
        "price by time",
        "price by user",
        "loved",
        "embedding",
        "stars",
        "wordy",
        "rising",
        "shelf",
        "fans",
        "mood",
        "wishlist",
    ],
)
def test_a_leak_of_a_stranger_is_an_error(split: Split, side: str, make: Callable[[Split], Sequence[str]]) -> None:
    found = audit(with_field(split, side, "planted", make(split)), order="global" if split is BY_TIME else "user")
    assert "error" in {finding.severity for finding in found}


def test_a_mark_on_a_tenth_of_the_items_is_named() -> None:
    """No mark on so few explains more than a quarter of a number of all."""
    found = audit(with_field(BY_TIME, "item", "bestseller", bestseller(BY_TIME)))
    assert any("'bestseller'" in finding.what for finding in found)


def test_factors_in_columns_of_their_own_are_named_together() -> None:
    split = BY_TIME
    for at, values in enumerate(zip(*embedding(split), strict=True)):
        split = with_field(split, "item", f"f{at}", values)
    assert any("together" in finding.what for finding in audit(split) if finding.severity == "error")


@pytest.mark.parametrize("make", [fans, also_bought])
@pytest.mark.parametrize("split", [BY_TIME, BY_USER], ids=["by time", "by user"])
def test_names_that_only_later_parts_have_together_are_found(
    split: Split, make: Callable[[Dataset], list[str]]
) -> None:
    leaking = with_field(split, "item", "named", make(whole(split)))
    (finding,) = check_mentions(leaking)
    assert finding.check == "later-pairs-in-texts"
    assert "'named'" in str(finding)
    honest = with_field(split, "item", "named", make(split.train))
    assert list(check_mentions(honest)) == []


def test_users_named_at_random_are_no_leak() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"m{user}" for user in rng.integers(0, DATA.n_users, 6)) for _ in range(DATA.n_items)]
    assert list(check_mentions(with_field(BY_USER, "item", "numbers", texts))) == []
