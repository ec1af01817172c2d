"""The gate before a refresh: its error rates, and that a worse run does not go live."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from genre.config.serving_options import Gate
from genre.data.dataset import Dataset
from genre.errors import WorseRunError
from genre.preprocessing.splits import LeaveOneOut, RandomSplit
from genre.recommenders.ease import EASE
from genre.recommenders.popularity import Popularity
from genre.runs import Run
from genre.serving.gate import GateResult, check_gate, judge_difference
from genre.testing import toy_dataset

MARGIN, MEAN = 0.02, 0.3


def refreshes(loss: float, n: int, seeds: int = 100) -> list[GateResult]:
    """Seeded refreshes with a known loss, as a part of the old mean: users with an ndcg under both runs."""
    made = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        old = rng.beta(0.6, 1.4, n)  # mean 0.3, as broad as ndcg is
        made.append(judge_difference(old, old - loss * MEAN + rng.normal(0, 0.1, n), MARGIN))
    return made


def test_error_rates_of_the_gate() -> None:
    n = refreshes(0, 500, 1)[0].needed + 1000
    equal, worse = refreshes(0, n), refreshes(2 * MARGIN, n)
    assert not [one for one in equal + worse if one.state.startswith("too few")]
    assert sum(one.state == "worse" for one in equal) <= 8
    assert all(one.state == "worse" for one in worse), "none of those that lose twice the margin goes live"


def test_with_few_users_it_cannot_be_told_unless_the_loss_is_large() -> None:
    (few,) = refreshes(0, 100, 1)
    assert few.state == "too few interactions to tell"
    assert few.radius > few.margin / 2
    assert 0.5 < few.needed / refreshes(0, 20_000, 1)[0].needed < 2
    assert "users, " in str(few)
    assert refreshes(0.5, 100, 1)[0].state == "worse"
    assert judge_difference(np.zeros(1), np.zeros(1), MARGIN).state == "too few interactions to tell"
    assert judge_difference(np.full(9, 0.5), np.full(9, 0.5), MARGIN).state == "not worse"


def runs(tmp_path: Path) -> tuple[Run, Run]:
    """Runs of which one knows whose items are alike; the newest interaction of each user is with an item that fits."""
    data = toy_dataset(n_users=60, n_items=24)
    newest_first = np.arange(len(data))[::-1]
    data = Dataset.from_arrays(
        user=data.user, item=data.item, user_ids=data.user_ids, item_ids=data.item_ids, weight=data.weight,
        timestamp=newest_first, items=data.items,
    )  # fmt: skip
    split = LeaveOneOut()
    train = split.split(data).train

    def run(name: str, model: EASE | Popularity) -> Run:
        return Run(tmp_path / name, name, data, {name: model.fit(train)}, splitter=split)

    return run("ease", EASE(10.0)), run("popularity", Popularity())


def test_users_who_like_nothing_of_what_they_got_do_not_open_the_gate(tmp_path: Path) -> None:
    """They have no ndcg; one of them made the difference no number, which is worse than nothing."""
    good, bad = runs(tmp_path)
    data = good.dataset
    assert data.timestamp is not None
    newest = np.flatnonzero(data.user == 0)[np.argmax(data.timestamp[data.user == 0])]
    stars = np.where(np.arange(len(data)) == newest, 1, 5).astype(np.float32)
    data = dataclasses.replace(data, rating=stars, rating_scale=(1.0, 5.0, 1.0), positive_rating=4.0)
    good, bad = (dataclasses.replace(one, dataset=data) for one in (good, bad))
    assert "59 users" in check_gate(good, good, Gate())
    with pytest.raises(WorseRunError, match="held back"):
        check_gate(good, bad, Gate(coverage=0.0))


def test_a_worse_run_is_held_and_a_better_one_is_not(tmp_path: Path) -> None:
    good, bad = runs(tmp_path)
    assert "not worse" in check_gate(good, good, Gate())
    assert "not worse: +0.5" in check_gate(bad, good, Gate(coverage=0.0, unsure="hold")), "few users, but plain"
    with pytest.raises(WorseRunError, match=r"held back, the old run stays.*--no-gate"):
        check_gate(good, bad, Gate(coverage=0.0))
    with pytest.raises(WorseRunError, match="different items in the lists"):
        check_gate(good, bad, Gate(coverage=1.0))
    with pytest.raises(WorseRunError, match="too few interactions to tell"):
        check_gate(much_shrunk(good), good, Gate(unsure="hold"))
    assert "too few interactions to tell" in check_gate(much_shrunk(good), good, Gate())


def much_shrunk(run: Run) -> Run:
    """A run that is nearly as good."""
    train = LeaveOneOut().split(run.dataset).train
    return dataclasses.replace(run, recommenders={"ease": EASE(1e5).fit(train)})


def test_new_items_and_other_splits(tmp_path: Path) -> None:
    good, _ = runs(tmp_path)
    known = dataclasses.replace(good, recommenders={"ease": EASE(10.0).fit(without_last_item(good.dataset))})
    assert check_gate(known, good, Gate(coverage=0.0, unsure="live")).startswith("ndcg@10")
    drawn = dataclasses.replace(good, splitter=RandomSplit())
    assert "not checked" in check_gate(good, drawn, Gate())


def without_last_item(data: Dataset) -> Dataset:
    """As the data was before the last item was added."""
    kept = data.where(data.item < data.n_items - 1)
    rows = data.n_items - 1
    ids = type(kept.item_ids)(kept.item_ids.values[:rows])
    return dataclasses.replace(kept, item_ids=ids, items=kept.items.slice(0, rows), item_features=None)
