"""Tuning finds a planted optimum, continues where it stopped, and never reads the test part."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import pytest

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.data.history import History
from genre.errors import EvaluationError, TrainingError
from genre.evaluation.tuning import TuningResult, tune
from genre.log import Log
from genre.options import Choices, Ge, Gt, Search
from genre.preprocessing.splits import RandomSplit
from genre.recommenders.base import Recommender
from genre.testing import toy_dataset

FITTED: list[int] = []
EPOCHS: list[int] = []


@dataclass(eq=False)
class Planted(Recommender):
    """Ranks the right parity first, with noise that grows with the distance of `scale` from 10.

    scale: best at 10. steps: best at 3. mode: `good` is better. lift: None is best. walk: does nothing but for `odd`.
    """

    scale: Annotated[float, Gt(0), Search(1, 1000, log=True)] = 500.0
    steps: Annotated[int, Ge(1), Search(1, 9)] = 9
    mode: Annotated[Literal["good", "bad"], Choices(("good", "bad"))] = "good"
    lift: Annotated[float, Ge(0), Search(0, 1)] | None = None
    walk: Annotated[float, Ge(0), Search(0, 1, when=("kind", "odd"))] = 0.5
    kind: str = "even"

    answers_empty: ClassVar[bool] = True

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        FITTED.append(len(dataset))
        if self.mode == "bad" and self.steps == 7:
            raise TrainingError("diverged on purpose")
        self.noise_ = abs(np.log10(self.scale) - 1) + abs(self.steps - 3) / 6 + (self.mode == "bad") + (self.lift or 0)

    def _score(self, history: History) -> Float32:
        rng = np.random.default_rng(0)
        right = history.user[:, None] % 2 == np.arange(history.n_items) % 2
        return np.asarray(right + self.noise_ * rng.normal(size=right.shape), np.float32)


@dataclass(eq=False)
class Epochs(Planted):
    """Planted, in ten epochs."""

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        super()._fit(dataset, validation, log)
        for epoch in range(1, 11):
            EPOCHS.append(epoch)
            log.record("epoch", model="it", epoch=epoch, loss=1.0, seconds=0.1, rmse=self.noise_ - epoch / 100)


@pytest.fixture(scope="module")
def split() -> Split:
    made = RandomSplit(validation=0.2, test=0.2).split(toy_dataset(60, 40))
    sealed = made.test.target.where(np.zeros(len(made.test.target), bool))  # whoever opens it finds nothing
    return Split(made.train, made.validation, Fold(sealed, sealed))


@pytest.fixture(scope="module")
def found(split: Split, tmp_path_factory: pytest.TempPathFactory) -> TuningResult:
    return tune(Planted, split, trials=25, storage=tmp_path_factory.mktemp("tuning") / "study.sqlite")


def test_it_finds_a_planted_optimum(found: TuningResult) -> None:
    assert found.first is not None
    assert found.value > found.first + 0.2
    assert 2 < found.options["scale"] < 50
    assert found.options["mode"] == "good"
    assert set(found.options) == {"scale", "steps", "mode", "lift"}  # `walk` does nothing for this kind
    assert found.chosen == found.options, "every one was searched"
    Planted(**found.options)  # legal as they are


def test_it_tells_every_trial(found: TuningResult) -> None:
    assert len(found.trials) == len(found.best_so_far) == 25
    assert found.trials[0].options == {}
    assert found.best_so_far[0] == found.first
    assert found.best_so_far[-1] == found.value == max(t.value for t in found.trials if t.value is not None)
    assert all(a <= b for a, b in zip(found.best_so_far, found.best_so_far[1:], strict=False))
    assert sum(found.importances.values()) == pytest.approx(1)
    assert max(found.importances, key=lambda name: found.importances[name]) in ("scale", "mode")


def test_a_stopped_search_goes_on_and_a_finished_one_returns(split: Split, tmp_path: Path) -> None:
    import optuna

    store = tmp_path / "folder" / "study.sqlite"
    first = tune(Planted, split, trials=4, storage=store)
    before = len(FITTED)
    again = tune(Planted, split, trials=4, storage=store)
    assert (again.options, again.value, again.trials) == (first.options, first.value, first.trials)
    assert len(FITTED) == before
    storage = optuna.storages.RDBStorage(f"sqlite:///{store}")
    killed = optuna.load_study(study_name=None, storage=storage)
    killed.ask()  # a trial whose process died
    more = tune(Planted, split, trials=7, storage=store)
    assert len(more.trials) == 7
    assert more.trials[:4] == first.trials
    assert [trial.outcome for trial in more.trials].count("fail") == 1
    assert "1 of 7 trials failed" in more.warnings[-1]
    other = tune(Planted, split, trials=2, fixed={"steps": 3}, storage=store)  # another search, the same file
    assert len(other.trials) == 2
    assert other.options["steps"] == 3
    assert all("steps" not in trial.options for trial in other.trials)
    timed = tune(Planted, split, trials=1000, minutes=1e-4, storage=store)
    assert len(timed.trials) < 1000


def test_the_best_at_the_edge_of_its_range_is_a_warning(split: Split, tmp_path: Path) -> None:
    @dataclass(eq=False)
    class Edged(Planted):
        scale: Annotated[float, Gt(0), Search(10, 1000, log=True)] = 500.0
        steps: Annotated[int, Ge(3), Search(3, 9)] = 9  # 3 is the end of what is legal: nothing to widen

    done = tune(Edged, split, fixed={"mode": "good", "lift": None}, trials=25, storage=tmp_path / "study.sqlite")
    warned = [line for line in done.warnings if "end of its range" in line]
    assert all("steps" not in line for line in warned)
    if done.options["scale"] < 10.9:
        assert "Edged: the best scale" in warned[0]
        assert "at the low end of its range, 10 to 1000; search beyond it" in warned[0]
    assert done.options["scale"] < 14


def test_it_starts_from_what_it_is_told(split: Split, tmp_path: Path) -> None:
    given = {"scale": 10.0, "steps": 3, "lift": None, "walk": 0.1}  # nothing is better; `walk` does nothing
    done = tune(Planted, split, start=given, trials=6, storage=tmp_path / "study.sqlite")
    assert done.trials[0].options == {"scale": 10.0, "steps": 3, "lift": None}
    assert done.value == done.first
    assert {option: done.options[option] for option in ("scale", "steps")} == {"scale": 10.0, "steps": 3}
    assert done.chosen == {}
    plain = json.loads(json.dumps(done.as_dict()))
    assert plain["first"] == plain["value"] == plain["trials"][0]["best"] == plain["trials"][-1]["best"]
    outside = tune(Planted, split, start={"steps": 20, "scale": 0.5}, trials=1, storage=tmp_path / "study.sqlite")
    assert outside.warnings == (), "it starts outside a range, which is no edge of it"


def test_networks_that_fall_behind_are_stopped(split: Split, tmp_path: Path) -> None:
    EPOCHS.clear()
    done = tune(Epochs, split, trials=20, storage=tmp_path / "study.sqlite")
    pruned = [trial for trial in done.trials if trial.outcome == "pruned"]
    assert pruned
    assert all(trial.value is None for trial in pruned)
    assert len(EPOCHS) < 20 * 10
    assert done.value > (done.first or 0)


def test_a_metric_of_errors_is_minimised(split: Split, tmp_path: Path) -> None:
    done = tune(Planted, split, metric="popularity@5", trials=3, storage=tmp_path / "study.sqlite")
    assert done.value == min(trial.value for trial in done.trials if trial.value is not None)


def test_bad_input_is_named(split: Split, tmp_path: Path) -> None:
    everything = {"scale": 1.0, "steps": 1, "mode": "good", "lift": None}
    empty = Split(split.train, Fold(split.train, split.test.target), split.test)
    for arguments, message in [
        ({"fixed": everything}, "no option left to search"),
        ({"trials": 0}, "trials is 0"),
        ({"metric": "ndgc"}, "did you mean 'ndcg'"),
        ({"metric": "rmse"}, "predicts no ratings"),
    ]:
        with pytest.raises(EvaluationError, match=message):
            tune(Planted, split, storage=tmp_path / "study.sqlite", **{"trials": 1, **arguments})
    with pytest.raises(EvaluationError, match="validation part, which is empty"):
        tune(Planted, empty, trials=1, storage=tmp_path / "study.sqlite")
    with pytest.raises(EvaluationError, match="none of 1 trials succeeded"):
        tune(Planted, split, fixed={"mode": "bad", "steps": 7}, trials=1, storage=tmp_path / "study.sqlite")
