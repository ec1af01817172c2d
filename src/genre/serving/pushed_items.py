"""Drift: which items a new run would push into many lists though few users interacted with them.

A few invented users can lift an item far where recent interactions count for much, and no algorithm can tell them from
a few honest ones. So the lists of the same users are compared before a new run replaces the old one, and a person
decides. Knows nothing about where runs are kept.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.history import History
from genre.display import counted
from genre.errors import DriftError
from genre.options import DEFAULT_K, Doc, Ge, Gt, Le, check_options
from genre.preprocessing.splits import LeaveOneOut, TimeSplit
from genre.recommenders.base import Recommender
from genre.runs import Run

FEWEST_LISTS = 10  # a rise in fewer of the compared lists is chance
SHOWN_ITEMS, SHOWN_USERS = 3, 10


@dataclass(frozen=True)
class Drift:
    """How far a refresh may push an item: one beyond `growth` and `rise`, without `backing`, holds the new run back."""

    growth: Annotated[float, Ge(1), Doc("Times the share of the lists that the item was in before.")] = 2.0
    rise: Annotated[float, Gt(0), Le(1), Doc("Share of all lists that the item gains.")] = 0.05
    backing: Annotated[
        float, Ge(0), Le(1), Doc("Share of the users with new interactions; an item with so many may rise further.")
    ] = 0.02
    sample: Annotated[int, Ge(1), Doc("Users whose lists are compared.")] = 1000
    k: Annotated[int, Ge(1), Doc("Length of a list.")] = DEFAULT_K
    seed: Annotated[int, Doc("Seed of the sample of users.")] = 0

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class PushedItem:
    """An item that a new run would recommend much more often.

    Attributes:
        item_id: The item.
        title: Its title.
        before: Its share of the old run's lists.
        after: Its share of the new run's lists.
        users: Users with new interactions with it.
        new_users: How many of them were not in the old data.
    """

    item_id: str
    title: str
    before: float
    after: float
    users: tuple[str, ...]
    new_users: int

    def __str__(self) -> str:
        n, shown = len(self.users), ", ".join(map(repr, self.users[:SHOWN_USERS]))
        who = f"{counted(n, 'user')} took it since, {self.new_users:,} of them new: {shown}"
        return (
            f"{self.item_id!r} ({self.title}): in {self.after:.1%} of the lists, {self.before:.1%} before; "
            f"{who}{', ...' if n > SHOWN_USERS else ''}"
        )


def check_drift(old: Run, new: Run, limits: Drift, accept: Collection[str] = ()) -> None:
    """Check that few users do not push items into the lists of the best recommender, without its language models.

    Args:
        old: The run that is served.
        new: The run that would replace it.
        limits: How far items may rise.
        accept: Ids of items that may rise further.

    Raises:
        DriftError: If another item rises too far.
    """
    name = next(iter(new.recommenders))
    models = old.recommender(name).without_llm(), new.recommender(name).without_llm()
    found = pushed_items(*models, _trained_on(old), _trained_on(new), limits)
    found = [item for item in found if item.item_id not in accept]
    if found:
        lines = [f"{old.folder}: held back, the old run stands: few users push items into the lists of {name!r}"]
        lines += [f"  {item}" for item in found[:SHOWN_ITEMS]]
        lines += [f"  and {len(found) - SHOWN_ITEMS} more"] if len(found) > SHOWN_ITEMS else []
        lines.append(
            "Honest news? Accept them. Else delete those users and refresh again; a longer half-life is harder to push."
        )
        raise DriftError("\n".join(lines), [item.item_id for item in found])


def _trained_on(run: Run) -> Dataset:
    """Return the training part of a split by time; all of the data for a split by a draw, made anew at each refresh.

    The newest events may be held out of one run and be news to the next, so training parts are compared, not the data.
    """
    ordered = run.splitter is not None and isinstance(run.splitter.scheme, (TimeSplit, LeaveOneOut))
    return run.splitter.split(run.dataset).train if run.splitter is not None and ordered else run.dataset


def pushed_items(
    old: Recommender, new: Recommender, before: Dataset, after: Dataset, limits: Drift
) -> list[PushedItem]:
    """Find the items that rise too far. Compared are the lists of users of both data sets.

    Args:
        old: The old recommender.
        new: The new recommender.
        before: The data that the old one was trained on.
        after: The data that the new one was trained on; its first items are those of `before`.
        limits: How far items may rise.

    Returns:
        The items, the largest rise first.
    """
    row = after.user_ids.rows(before.user_ids.values)  # [n_users before]
    active = before.history().lengths > 0
    both = np.flatnonzero((row >= 0) & active)
    users = np.random.default_rng(limits.seed).permutation(both)[: limits.sample]
    lists_before = _n_lists(old, before.history(users), after.n_items, limits.k)
    lists_after = _n_lists(new, after.history(row[users]), after.n_items, limits.k)
    rise = lists_after - lists_before
    far = (lists_after > limits.growth * lists_before) & (rise > limits.rise * len(users)) & (rise >= FEWEST_LISTS)
    user, item = _new_pairs(before, after, row, far)
    n_users = np.bincount(item, minlength=after.n_items)
    found, titles = np.flatnonzero((n_users > 0) & (n_users < limits.backing * after.n_users)), after.titles()
    out = []
    for i in found[np.argsort(-rise[found], kind="stable")]:
        who = user[item == i]
        shares = float(lists_before[i] / len(users)), float(lists_after[i] / len(users))
        new_users = int((~np.isin(who, row[active])).sum())
        out.append(PushedItem(after.item_ids[i], titles[i], *shares, tuple(after.user_ids.take(who)), new_users))
    return out


def _n_lists(model: Recommender, history: History, n_items: int, k: int) -> Int64:
    """Count in how many of the lists each item is. `[n_items]`."""
    found = model.recommend(history, k=k).item
    return np.bincount(found[found >= 0], minlength=n_items)


def _new_pairs(before: Dataset, after: Dataset, row: Int32, wanted: npt.NDArray[np.bool_]) -> tuple[Int64, Int64]:
    """Return users and items, each pair once, with more interactions in `after` than in `before`. `[n]` each.

    `wanted`: the items that count. `row`: for each user of `before` the one of `after`, -1 for none.
    """
    earlier, fewer = _pairs(row[before.user], before.item, before.weight, wanted)
    now, times = _pairs(after.user, after.item, after.weight, wanted)
    times[np.isin(now, earlier)] -= fewer[np.isin(earlier, now)]
    user, item = np.divmod(now[times > 0], after.n_items)
    return user, item


def _pairs(user: Int32, item: Int32, weight: Float32, wanted: npt.NDArray[np.bool_]) -> tuple[Int64, Int64]:
    """Return each liked pair of user and item as one number, ascending, and how often it occurs. `[n]` each."""
    liked = (weight > 0) & (user >= 0) & wanted[item]
    return np.unique(user[liked].astype(np.int64) * len(wanted) + item[liked], return_counts=True)
