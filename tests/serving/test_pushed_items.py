"""Who pushes what: a few users cannot lift an item unseen, many may, and honest news passes."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.errors import DriftError, OptionError
from genre.preprocessing.splits import TimeSplit
from genre.recommenders.base import Recommender
from genre.recommenders.popularity import Popularity
from genre.recommenders.second_stage import SecondStage
from genre.runs import Run
from genre.serving.limits import parse_settings
from genre.serving.pushed_items import Drift, check_drift, pushed_items

DAY = 86_400
TARGET, USERS, ITEMS = 39, 200, 40


def world(*, takers: int = 0, new: int = 0, gone: int = 0) -> Dataset:
    """Everybody took ten of forty items, the first ones more; then the target was taken a month later.

    takers: users of before who take the target; new: strangers who do; gone: the first users, deleted since.
    """
    rng, share = np.random.default_rng(0), 1 / np.arange(2, ITEMS + 2)
    share[TARGET] = 0
    item = np.concatenate([rng.choice(ITEMS, 10, replace=False, p=share / share.sum()) for _ in range(USERS)])
    user, late = np.repeat(np.arange(USERS), 10), np.arange(gone, gone + takers)
    strangers = np.arange(USERS, USERS + new)
    user, pushers = np.concatenate([user, late, strangers]), np.full(takers + new, TARGET)
    item, days = (
        np.concatenate([item, pushers]),
        np.concatenate([np.arange(USERS * 10) % 30, np.full(takers + new, 60)]),
    )
    stays = user >= gone
    return Dataset.from_arrays(
        user=user[stays] - gone,
        item=item[stays],
        timestamp=days[stays] * DAY,
        user_ids=Ids([f"u{n}" for n in range(gone, USERS + new)]),
        item_ids=Ids([f"i{n}" for n in range(ITEMS)]),
    )


def found(before: Dataset, after: Dataset, limits: Drift | None = None, half_life_days: float | None = 5) -> list[str]:
    old, new = (Popularity(half_life_days).fit(data) for data in (before, after))
    return [str(one) for one in pushed_items(old, new, before, after, limits or Drift())]


def test_a_few_users_who_push_are_named() -> None:
    (told,) = found(world(), world(new=2))
    assert told == (
        "'i39' (i39): in 100.0% of the lists, 0.0% before; 2 users took it since, 2 of them new: 'u200', 'u201'"
    )
    (told,) = found(world(), world(takers=10, new=1, gone=7), Drift(backing=0.1))
    assert "11 users took it since, 1 of them new: 'u7', 'u8'," in told
    assert told.endswith("'u16', ...")


def test_what_passes() -> None:
    assert not found(world(), world(takers=10)), "many stand behind it"
    assert not found(world(), world(new=2), half_life_days=None), "where everything counts alike two are nothing"
    assert not found(world(new=2), world(new=2)), "what was there before is no news"
    assert not found(world(), world()), "nothing new at all"
    assert not found(world(), world(gone=USERS - 3, new=1)), "of so few lists nothing can be said"
    assert not found(world(), world(gone=USERS, new=1)), "nor of none"


@pytest.mark.parametrize("limits", [Drift(rise=1.0), Drift(backing=0.0), Drift(growth=1.0, backing=0.005), Drift(k=1)])
def test_the_limits_are_options(limits: Drift) -> None:
    once = world(new=1)
    assert found(world(), once, Drift(backing=0.01))
    assert not found(world(), world(new=2), dataclasses.replace(limits, sample=9 if limits.k == 1 else 1000))


def test_a_user_who_takes_it_again_stands_behind_it_again() -> None:
    once, twice = world(takers=3), world(takers=3)
    again = np.flatnonzero(twice.item == TARGET)
    columns = {name: getattr(twice, name) for name in ("user", "item", "timestamp")}
    twice = Dataset.from_arrays(
        **{name: np.concatenate([column, column[again]]) for name, column in columns.items()},
        user_ids=twice.user_ids,
        item_ids=twice.item_ids,
    )
    old, new = Popularity().fit(once), Popularity(5.0).fit(twice)
    (one,) = pushed_items(old, new, once, twice, Drift())
    assert one.users == ("u0", "u1", "u2")
    assert one.new_users == 0


@dataclasses.dataclass(eq=False)
class Asks(SecondStage):
    """A second stage that must not be asked."""

    def without_llm(self) -> Recommender:
        return self.first_[0]

    def _score(self, history: object) -> np.ndarray:
        raise AssertionError("a language model costs money")


def run_of(data: Dataset, folder: Path = Path("runs/shop-1")) -> Run:
    best = Asks(Popularity(half_life_days=5.0)).fit(data)
    return Run(folder, "shop", data, {"best": best, "other": Popularity(half_life_days=1.0).fit(data)})


def test_the_one_that_answers_is_compared_and_items_can_be_accepted() -> None:
    old, new = run_of(world()), run_of(world(new=2))
    with pytest.raises(DriftError) as refused:
        check_drift(old, new, Drift())
    lines = str(refused.value).splitlines()
    assert lines[0] == "runs/shop-1: held back, the old run stands: few users push items into the lists of 'best'"
    assert lines[1].startswith("  'i39' (i39): in 100.0% of the lists")
    assert "Honest news? Accept them. Else delete those users" in lines[2]
    assert refused.value.items == ("i39",)
    check_drift(old, new, Drift(), accept=["i39"])
    check_drift(old, run_of(world(takers=10)), Drift())


def test_a_push_is_noticed_when_it_is_learnt_however_late_that_is() -> None:
    """The newest events are held out at first: the pushers are known then, and news later."""
    pushes = world(new=2)
    rows = np.arange(520)  # honest news: so many that the pushes are no longer among the newest fifth
    later = Dataset.from_arrays(
        user=np.concatenate([pushes.user, rows % USERS]),
        item=np.concatenate([pushes.item, rows % 30]),
        timestamp=np.concatenate([pushes.timestamp, 61 * DAY + rows]),  # type: ignore[arg-type]
        user_ids=pushes.user_ids,
        item_ids=pushes.item_ids,
    )
    states = [world(), pushes, later]
    for splitter, held in ((TimeSplit(), [False, True]), (None, [True, False])):
        runs = []
        for data in states:
            train = data if splitter is None else splitter.split(data).train
            models = {"lately": Popularity(half_life_days=5.0).fit(train)}
            runs.append(Run(Path("runs/shop-1"), "shop", data, models, splitter=splitter))
        for old, new, expected in zip(runs, runs[1:], held, strict=False):
            with pytest.raises(DriftError, match="2 of them new") if expected else contextlib.nullcontext():
                check_drift(old, new, Drift())


def test_limits_are_read_by_name() -> None:
    assert parse_settings(Drift, ["rise=0.1", "backing = 0.01"]) == Drift(rise=0.1, backing=0.01)
    with pytest.raises(OptionError, match=r"no limit 'rize' \(did you mean 'rise'"):
        parse_settings(Drift, ["rize=1"])
    with pytest.raises(OptionError, match="rise"):
        parse_settings(Drift, ["rise=2"])
