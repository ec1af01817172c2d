"""Planted shortcuts: each is flagged, alone, at half the strength at which its baseline reaches a hit rate of .5."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.folds import Fold, Split
from genre.data.ids import Ids
from genre.evaluation.enough import check_enough
from genre.evaluation.evaluator import evaluate
from genre.evaluation.shortcuts import find_shortcuts, shortcut_findings
from genre.preprocessing.splits import LeaveOneOut, TimeSplit
from genre.recommenders.base import Recommender
from genre.recommenders.content import Content
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.popularity import Popularity
from genre.recommenders.transitions import Transitions
from genre.testing import toy_dataset

USERS, ITEMS, LENGTH = 800, 400, 12
DAY = 86_400


def planted(kind: str, strength: float, seed: int = 0) -> Split:
    """Random histories in which a share `strength` of the steps follows one rule; texts in groups of eight."""
    rng = np.random.default_rng(seed)
    after = rng.permutation(ITEMS)
    group = rng.permutation(ITEMS) // 8
    mates = {number: np.flatnonzero(group == number) for number in range(group.max() + 1)}
    hot = rng.choice(ITEMS, 8, replace=False)
    time = np.sort(rng.integers(0, 400, (USERS, LENGTH)), axis=1)

    def ruled(row: list[int], moment: int) -> int:
        """The next item by the rule; -1 where it has none."""
        if kind == "repeats":
            return row[int(rng.integers(len(row)))]
        if kind == "recent popularity":
            return int(rng.choice(hot)) if moment > 250 else -1
        if kind == "text steps":
            return int(rng.choice(mates[int(group[row[-1]])]))
        return -1 if kind == "nothing" else int(after[row[-1 if kind == "transitions" else -3]])

    rows = []
    for user in range(USERS):
        row: list[int] = []
        for place in range(LENGTH):
            by_rule = len(row) >= 3 and rng.random() < strength
            item = ruled(row, int(time[user, place])) if by_rule else -1
            again = item in row and kind != "repeats"
            row.append(int(rng.integers(ITEMS)) if item < 0 or again else item)
        rows.append(row)
    vectors = rng.normal(size=(group.max() + 1, 16))[group] + 0.05 * rng.normal(size=(ITEMS, 16))
    data = Dataset.from_arrays(
        user=np.repeat(np.arange(USERS), LENGTH),
        item=np.concatenate(rows),
        timestamp=1_600_000_000 + DAY * time.ravel(),
        user_ids=Ids(f"u{at}" for at in range(USERS)),
        item_ids=Ids(f"i{at}" for at in range(ITEMS)),
    ).with_features(items=Features(vectors.astype(np.float32), "groups"))
    return (TimeSplit() if kind == "recent popularity" else LeaveOneOut()).split(data)


BASELINES: dict[str, Callable[[], Recommender]] = {
    "recent popularity": lambda: Popularity(half_life_days=20),
    "text steps": lambda: Content(history_half_life=0.2),
    "transitions": lambda: Transitions(window=1, backward=0, history_half_life=0.1),
    "older history": lambda: ItemKNN(shrinkage=1),
}


def hit_rate(kind: str, strength: float) -> float:
    """The share of targets that the baseline finds; for repeats, that the history holds."""
    parts = planted(kind, strength)
    if kind == "repeats":
        counts = evaluate(Popularity().fit(parts.test.context), parts.test, metrics=["hit_rate"]).counts
        return counts["targets_seen_before"] / (counts["targets"] + counts["targets_seen_before"])
    return evaluate(BASELINES[kind]().fit(parts.test.context), parts.test, metrics=["recall@10"]).values["recall@10"]


STRENGTH = {
    "repeats": 0.5,
    "recent popularity": 0.7,
    "text steps": 0.6,
    "transitions": 0.55,
    "older history": 0.65,
}
"""Shortcut -> the strength at which its baseline reaches .5."""


@pytest.mark.parametrize("kind", STRENGTH)
def test_each_is_flagged_alone_at_half_the_strength_at_which_a_baseline_solves_half(kind: str) -> None:
    assert 0.4 <= hit_rate(kind, STRENGTH[kind]) <= 0.6
    found = find_shortcuts(planted(kind, STRENGTH[kind] / 2).test)
    assert [one.name for one in found.shortcuts if one.flagged] == [kind]
    [finding] = shortcut_findings(found)
    assert finding.check == f"shortcut-{kind.replace(' ', '-')}"
    assert finding.severity == "warning"


def test_random_histories_have_none() -> None:
    found = find_shortcuts(planted("nothing", 0).test)
    assert not list(shortcut_findings(found))
    assert all(one.share < 0.05 for one in found.shortcuts)
    assert len(found.shortcuts) == 5
    assert found.as_dict()["lines"] == list(found.lines())


def test_a_tiny_catalogue_has_no_list_that_chance_does_not_fill() -> None:
    found = find_shortcuts(LeaveOneOut().split(toy_dataset(n_items=9)).test)
    assert found.shortcuts == ()
    assert "too few" in next(iter(found.lines()))


def test_the_figures_by_hand() -> None:
    """Ten items; everybody goes 0, 1, 2, and the targets are 3, 3, 0 and 9."""

    def made(rows: list[list[int]]) -> Dataset:
        return Dataset.from_arrays(
            user=np.repeat(np.arange(4), [len(row) for row in rows]),
            item=np.concatenate(rows),
            user_ids=Ids("abcd"),
            item_ids=Ids("0123456789"),
        )

    fold = Fold(made([[0, 1, 2], [0, 1, 2], [0, 1, 2], [2, 3]]), made([[3], [3], [0], [9]]))
    found = find_shortcuts(fold)
    shares = {one.name: (one.share, one.beyond) for one in found.shortcuts}
    assert shares["repeats"] == (0.25, 0.25)
    assert shares["recent popularity"] == (0, 0), "2 is the most popular"
    assert shares["transitions"] == (0.5, 0.5)
    assert "text steps" not in shares
    assert found.seen_steps == 0.5
    assert found.branching == 1


@pytest.mark.parametrize(
    ("n_users", "length", "found"),
    [
        (300, 6, []),
        (20, 6, ["too-few-users: 20 users", "too-few-targets: 20 users"]),
        (300, 3, ["short-histories: 1.0 interactions"]),
    ],
)
def test_too_little_data_is_said_with_the_figure(n_users: int, length: int, found: list[str]) -> None:
    rng = np.random.default_rng(0)
    data = Dataset.from_arrays(
        user=np.repeat(np.arange(n_users), length),
        item=rng.permuted(np.tile(np.arange(30), (n_users, 1)), axis=1)[:, :length].ravel(),
        user_ids=Ids(f"u{at}" for at in range(n_users)),
        item_ids=Ids(f"i{at}" for at in range(30)),
    )
    findings = list(check_enough(LeaveOneOut().split(data)))
    assert len(findings) == len(found)
    assert all(f"{one.check}: {one.what}".startswith(start) for one, start in zip(findings, found, strict=True))
