"""Cross-validation: what the folds of each split hold, and means with intervals over folds."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from genre.cli.main import main
from genre.cross_validation import cross_validate
from genre.data.dataset import Dataset
from genre.errors import DataError, EvaluationError, OptionError
from genre.evaluation.leakage.audit import time_order_of
from genre.evaluation.over_folds import means_over_folds
from genre.evaluation.results import Evaluation
from genre.preprocessing.entity_splits import ColdItems, ColdUsers, StrongSplit
from genre.preprocessing.one_fold import OneFold
from genre.preprocessing.splits import GivenSplit, LeaveOneOut, RandomSplit, Splitter, TimeSplit
from genre.testing import toy_dataset
from lines import Lines
from small_world import small_config, write_interactions


def pairs(data: Dataset) -> set[tuple[int, int]]:
    return set(zip(data.user.tolist(), data.item.tolist(), strict=True))


@pytest.mark.parametrize("of", [RandomSplit(), RandomSplit(per_user=True, validation=0.2), ColdItems(), ColdUsers()])
def test_a_k_fold_tests_every_interaction_once(of: Splitter) -> None:
    data = toy_dataset()
    parts = [OneFold(of, 4, at).split(data) for at in range(4)]
    tests = [pairs(part.test.target) for part in parts]
    assert set().union(*tests) == pairs(data)
    assert sum(map(len, tests)) == len(data)
    for part in parts:
        assert not pairs(part.train) & pairs(part.validation.target)
        assert len(part.train) + len(part.validation.target) + len(part.test.target) == len(data)


def test_strong_folds_hold_out_every_user_once() -> None:
    data = toy_dataset()
    users = [OneFold(StrongSplit(), 4, at).split(data).test.users().tolist() for at in range(4)]
    assert sorted(itertools.chain(*users)) == list(range(data.n_users))


def test_over_time_the_origin_rolls_and_the_future_is_unused() -> None:
    data = toy_dataset()
    parts = [OneFold(TimeSplit(), 3, at).split(data) for at in range(3)]
    times = [(part.train.timestamp, part.validation.target.timestamp, part.test.target.timestamp) for part in parts]
    for train, validation, test in times:
        assert train.max() < validation.min() <= validation.max() < test.min()  # type: ignore[union-attr]
    for before, after in itertools.pairwise(times):
        assert before[2].max() < after[2].min()  # type: ignore[union-attr]
    last = TimeSplit().split(data)
    assert pairs(parts[-1].test.target) == pairs(last.test.target)
    assert pairs(parts[-1].train) == pairs(last.train)
    assert len(parts[0].test.context) + len(parts[0].test.target) < len(data)


def test_leave_one_out_rolls_back_by_one_item() -> None:
    data = toy_dataset()
    newest = LeaveOneOut().split(data)
    first, second = (OneFold(LeaveOneOut(), 2, at).split(data) for at in range(2))
    assert pairs(second.test.target) == pairs(newest.test.target)
    assert pairs(first.test.target) == pairs(newest.validation.target)
    assert not pairs(first.test.context) & pairs(newest.test.target)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneFold(GivenSplit(), 3, 0).split(toy_dataset()), "GivenSplit makes one split only"),
        (lambda: OneFold(RandomSplit(), 3, 3), "at is 3 of 3 folds; give 0 to 2"),
        (lambda: OneFold(OneFold(RandomSplit()), 3, 0), "of is a fold itself"),
        (lambda: OneFold(TimeSplit(test=0.3), 4, 0).split(toy_dataset()), "leave nothing to learn from"),
        (lambda: OneFold(TimeSplit(test_from=5), 4, 0).split(toy_dataset()), "leave validation_from"),
    ],
)
def test_what_cannot_be_folded_is_refused(make: object, message: str) -> None:
    with pytest.raises((OptionError, DataError), match=message):
        make()  # type: ignore[operator]


def test_a_fold_promises_of_time_what_its_split_does() -> None:
    assert [time_order_of(OneFold(of)) for of in (TimeSplit(), LeaveOneOut(), RandomSplit())] == [
        "global",
        "user",
        "none",
    ]


def result(**values: float) -> Evaluation:
    none = np.zeros(0, np.int64)
    return Evaluation("", values, {}, none.astype(np.int32), {}, none, none, {})


def test_intervals_over_folds_are_those_of_a_corrected_t_test() -> None:
    folds = [{"a": result(recall=a), "b": result(recall=b)} for a, b in ((0.2, 0.5), (0.3, 0.4), (0.25, 0.6))]
    first, second = means_over_folds(folds, test_to_train=0.25)
    assert (first.name, second.name) == ("b", "a")
    assert first.mean == pytest.approx(0.5)
    low, high = ttest_1samp(first.values, 0).confidence_interval()  # of independent samples, s^2 / n
    assert first.margin == pytest.approx((high - low) / 2 * (1 + 3 * 0.25) ** 0.5)
    assert first.difference is None
    assert second.difference == pytest.approx(-0.25)
    with pytest.raises(EvaluationError, match="needs two at least"):
        means_over_folds(folds[:1], test_to_train=0.25)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_interactions(tmp_path / "interactions.csv", 20)
    (tmp_path / "small.yaml").write_text(small_config("{kind: ease, regularization: 5}"))
    return tmp_path / "small.yaml"


def test_each_fold_is_a_run_that_is_made_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["split={kind: random}", "--runs", str(config.parent / "runs")]
    assert main(["cross-validate", str(config), *words, "--folds", "2"]) == 0
    assert "Test parts of 2 folds" in capsys.readouterr().out
    log = Lines()
    found = cross_validate(config, overrides=["split={kind: random}"], runs=config.parent / "runs", folds=2, log=log)
    assert sum("Nothing to do" in line for line in log.lines) == 2
    plain = json.loads(next((config.parent / "runs").glob("*-folds.json")).read_text())
    assert plain["runs"] == [folder.name for folder in found.runs]
    assert [row["mean"] for row in plain["means"]] == [row.mean for row in found.means]


def test_dates_cut_the_test_parts(config: Path) -> None:
    rows = (config.parent / "interactions.csv").read_text().splitlines()
    times = sorted(int(row.split(",")[-1]) for row in rows[1:])
    cuts = [datetime.fromtimestamp(times[len(times) * part // 8], UTC).isoformat() for part in (4, 6)]
    runs = config.parent / "runs"
    found = cross_validate(config, overrides=["split={kind: time}"], runs=runs, cuts=cuts, log=Lines())
    assert len(found.runs) == 2
    with pytest.raises(OptionError, match="dates cut a split by time"):
        cross_validate(config, overrides=["split={kind: random}"], runs=runs, cuts=cuts)
