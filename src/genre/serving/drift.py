"""Which items a new run would push into people's lists with few users behind them: what a poisoned log looks like.

A few invented users can lift an item far where recent interactions count for much, and no algorithm can tell them from
a few honest ones. So the lists of the same users are compared before a new run takes the place of the old, and a person
decides. Knows nothing about where runs lie.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset, History
from genre.errors import DriftError
from genre.options import DEFAULT_K, Ge, Gt, Le, check_options
from genre.preprocessing.splits import LeaveOneOut, TimeSplit
from genre.recommenders.base import Recommender
from genre.runs import Run
from genre.serving.limits import parse_settings

FEWEST_LISTS = 10  # a rise in fewer of the lists that are compared is an accident
SHOWN_ITEMS, SHOWN_USERS = 3, 10


@dataclass(frozen=True)
class PushedItem:
    """An item, its share of the lists before and after, who took it since, and how many of those are new."""

    item_id: str
    title: str
    before: float
    after: float
    takers: tuple[str, ...]
    new_takers: int

    def __str__(self) -> str:
        n, shown = len(self.takers), ", ".join(map(repr, self.takers[:SHOWN_USERS]))
        who = f"{n:,} user{'' if n == 1 else 's'} took it since, {self.new_takers:,} of them new: {shown}"
        return (
            f"{self.item_id!r} ({self.title}): in {self.after:.1%} of the lists, {self.before:.1%} before; "
            f"{who}{', ...' if n > SHOWN_USERS else ''}"
        )


def check_drift(old: Run, new: Run, limits: Drift, accept: Collection[str] = ()) -> None:
    """DriftError with the items that `new` pushes, but those in `accept`.

    Compared is the recommender that answers unless a caller names another, without the language models that it asks.
    """
    name = next(iter(new.recommenders))
    models = old.recommender(name).without_llm(), new.recommender(name).without_llm()
    found = [one for one in pushed(*models, _learnt(old), _learnt(new), limits) if one.item_id not in accept]
    if found:
        lines = [f"{old.folder}: held back, the old run stands: few users push items into the lists of {name!r}"]
        lines += [f"  {one}" for one in found[:SHOWN_ITEMS]]
        lines += [f"  and {len(found) - SHOWN_ITEMS} more"] if len(found) > SHOWN_ITEMS else []
        lines.append(
            "Honest news? Accept them. Else delete those users and refresh again; a longer half-life is harder to push."
        )
        raise DriftError("\n".join(lines), [one.item_id for one in found])


def _learnt(run: Run) -> Dataset:
    """The part that was learnt from: the newest events may be held out at first, and be news when they no longer are.

    All of the data where a draw says what is held out: it is drawn anew with every event.
    """
    ordered = isinstance(run.splitter, (TimeSplit, LeaveOneOut))
    return run.splitter.split(run.dataset).train if run.splitter is not None and ordered else run.dataset


def pushed(old: Recommender, new: Recommender, before: Dataset, after: Dataset, limits: Drift) -> list[PushedItem]:
    """Items that pass all limits, the largest rise first.

    before, after: what they learnt from; the first items of `after` are those of `before`. Compared are the lists of
    users of both, each by the history in there.
    """
    row = after.user_ids.rows(before.user_ids.values)  # [n_users before]
    acted = before.history().lengths > 0
    both = np.flatnonzero((row >= 0) & acted)
    users = np.random.default_rng(limits.seed).permutation(both)[: limits.sample]
    had = _lists(old, before.history(users), after.n_items, limits.k)
    has = _lists(new, after.history(row[users]), after.n_items, limits.k)
    risen, titles = has - had, after.titles()
    far = (has > limits.growth * had) & (risen > limits.rise * len(users)) & (risen >= FEWEST_LISTS)
    user, item = _takes(before, after, row, far)
    takers = np.bincount(item, minlength=after.n_items)
    found = np.flatnonzero((takers > 0) & (takers < limits.backing * after.n_users))
    out = []
    for i in found[np.argsort(-risen[found], kind="stable")]:
        who, shares = user[item == i], (float(had[i] / len(users)), float(has[i] / len(users)))
        new_takers = int((~np.isin(who, row[acted])).sum())
        out.append(PushedItem(after.item_ids[i], titles[i], *shares, tuple(after.user_ids.take(who)), new_takers))
    return out


def _lists(model: Recommender, history: History, n_items: int, k: int) -> Int64:
    """In how many of the lists each item is. [n_items]"""
    found = model.recommend(history, k=k).item
    return np.bincount(found[found >= 0], minlength=n_items)


def _takes(before: Dataset, after: Dataset, row: Int32, wanted: npt.NDArray[np.bool_]) -> tuple[Int64, Int64]:
    """Users and items, each pair once, of which `after` has more than `before`, for the `wanted` items. [n] each

    row: for each user of `before` the one of `after`, -1 for none.
    """
    earlier, fewer = _pairs(row[before.user], before.item, before.weight, wanted)
    now, times = _pairs(after.user, after.item, after.weight, wanted)
    times[np.isin(now, earlier)] -= fewer[np.isin(earlier, now)]
    user, item = np.divmod(now[times > 0], after.n_items)
    return user, item


def _pairs(user: Int32, item: Int32, weight: Float32, wanted: npt.NDArray[np.bool_]) -> tuple[Int64, Int64]:
    """Each pair of a user and an item as one number, ascending, and how often they met. [n] each"""
    liked = (weight > 0) & (user >= 0) & wanted[item]
    return np.unique(user[liked].astype(np.int64) * len(wanted) + item[liked], return_counts=True)


@dataclass(frozen=True)
class Drift:
    """How far one refresh may push an item: one that passes `growth` and `rise` without `backing` holds it back.

    growth: times the share of lists that the item had. rise: share of all lists that it gains.
    backing: share of the users who took it since; with so many behind it an item may rise as it will.
    sample: users whose lists are compared. k: length of a list. seed: of the draw of users.
    """

    growth: Annotated[float, Ge(1)] = 2.0
    rise: Annotated[float, Gt(0), Le(1)] = 0.05
    backing: Annotated[float, Ge(0), Le(1)] = 0.02
    sample: Annotated[int, Ge(1)] = 1000
    k: Annotated[int, Ge(1)] = DEFAULT_K
    seed: int = 0

    def __post_init__(self) -> None:
        check_options(self)


def parse_drift(settings: Sequence[str]) -> Drift:
    """The limits of a refresh, likewise."""
    return Drift(**parse_settings(Drift, settings))
