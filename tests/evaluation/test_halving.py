"""The search of `genre auto`: what it tries, when it stops, and that its result can be made again."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split, hold_out_last
from genre.data.history import History
from genre.errors import EvaluationError, OptionError, TrainingError
from genre.evaluation import pilots
from genre.evaluation.evaluator import evaluate
from genre.evaluation.halving import Winner, search, weigh_blend
from genre.evaluation.option_changes import changed_options
from genre.evaluation.pilots import ranker_costs
from genre.evaluation.search_budget import Allowance
from genre.evaluation.trial_costs import TrialCosts
from genre.log import Log
from genre.options import Doc, Ge, Search
from genre.preprocessing.splits import LeaveOneOut
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend
from genre.recommenders.candidate_network import Examples
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.popularity import Popularity
from genre.recommenders.ranker import Ranker
from genre.recommenders.sasrec import SASRec
from genre.recommenders.transitions import Transitions
from genre.testing import toy_dataset
from lines import Lines

STARTS: dict[str, Recommender] = {"popularity": Popularity(), "item_knn": ItemKNN(), "ease": EASE()}


@pytest.fixture(scope="module")
def parts() -> Split:
    return LeaveOneOut().split(toy_dataset(n_users=60))


def found(parts: Split, trials: int, seed: int = 0) -> Winner:
    return search(parts, STARTS, Allowance(trials=trials), seed=seed)


def test_the_seed_fixes_the_sequence_and_a_larger_budget_goes_on(parts: Split) -> None:
    def tried(trials: int, seed: int = 0) -> list[tuple[str, dict[str, Any], float | None]]:
        return [(one.name, one.options, one.value) for one in found(parts, trials, seed).attempts]

    short, long = tried(8), tried(12)
    assert [name for name, _, _ in short[:3]] == list(STARTS), "each as it is given, first"
    assert len(long) == 12
    assert long[:8] == short
    assert tried(12, seed=1) != long


def test_a_dear_fit_waits_until_all_others_were_tried(parts: Split) -> None:
    def expected(model: Recommender) -> float | None:
        return {ItemKNN: 70.0, EASE: 1.0}.get(type(model))

    attempts = search(parts, STARTS, Allowance(trials=3), expected=expected).attempts
    assert [one.name for one in attempts] == ["popularity", "ease", "item_knn"]


def test_the_better_half_has_twice_the_trials(parts: Split) -> None:
    starts = (
        STARTS | {f"ease-{ridge}": EASE(float(ridge)) for ridge in (20, 200, 2000)} | {"transitions": Transitions()}
    )
    attempts = search(parts, starts, Allowance(trials=7 + 2 * 4 + 4 * 4 + 1)).attempts
    names = [one.name for one in attempts]
    first = {one.name: one.value or 0 for one in attempts[:7]}
    better = sorted(first, key=lambda name: -first[name])[:4]
    assert sorted(names[7:15]) == sorted(2 * better)
    assert sorted(names[15:31]) == sorted(4 * better)


def test_the_winner_fitted_anew_has_the_value_that_was_found(parts: Split) -> None:
    winner = found(parts, 9)
    model = dataclasses.replace(winner.recommender)  # type: ignore[type-var]
    model.fit(parts.train, validation=parts.validation)
    value = evaluate(model, parts.validation, metrics=["ndcg@10"], train=parts.train).values["ndcg@10"]
    assert value == winner.value
    assert winner.value >= max(value for _, value in winner.singles.values()) - 1e-9
    if isinstance(winner.recommender, Blend):
        assert not hasattr(winner.recommender, "weights_")


def test_each_improvement_has_a_line_with_the_time_left(parts: Split) -> None:
    log = Lines()
    winner = search(parts, STARTS, Allowance(seconds=600, trials=10), log=log)
    values = [float(line.split()[1]) for line in log.lines if "(trial" in line]
    assert values == sorted(values)
    assert all("CPU minutes left" in line for line in log.lines)
    assert f"{winner.value:.4f}" in log.lines[-1]


def test_the_test_part_is_not_read(parts: Split) -> None:
    def refuse() -> Dataset:
        raise AssertionError

    hidden = Split(parts.train, parts.validation, Fold(refuse, parts.test.target.where(parts.test.target.user < 0)))
    assert search(hidden, STARTS, Allowance(trials=5)).attempts


@dataclass(eq=False)
class Broken(Recommender):
    level: Annotated[float, Search(0, 1), Doc("Nothing.")] = 0.5

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        raise TrainingError("it broke")

    def _score(self, history: History) -> Float32:
        return np.zeros((len(history), history.n_items), np.float32)


@dataclass(eq=False)
class Endless(Broken):
    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        for epoch in range(10_000_000):
            log.record("epoch", epoch=epoch, loss=1.0)


def test_what_fails_or_takes_too_long_is_left_out_and_said(parts: Split) -> None:
    log = Lines()
    starts: dict[str, Recommender] = {"broken": Broken(), "endless": Endless(), "popularity": Popularity()}
    winner = search(parts, starts, Allowance(seconds=0.4, trials=6), log=log)
    assert isinstance(winner.recommender, Popularity)
    assert any("it broke" in line for line in log.lines)
    assert any("not finished" in line for line in log.lines)
    with pytest.raises(EvaluationError, match="no trial succeeded"):
        search(parts, {"broken": Broken()}, Allowance(trials=3))


def test_changes_stay_in_their_ranges_and_have_an_effect() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        changed = changed_options(ItemKNN(), rng)
        assert 1 <= len(changed) <= 2
        assert not {"alpha", "beta"} & set(changed), "they have no effect beside cosine"
        dataclasses.replace(ItemKNN(), **changed)
    walks = [changed_options(Transitions(), rng).get("history_half_life", 1.5) for _ in range(300)]
    assert None in walks
    assert all(0.5 <= value <= 20 for value in walks if value is not None)
    assert changed_options(Blend((EASE(),)), rng) == {}
    widths = {changed_options(SASRec(), rng).get("dim", 64) for _ in range(100)}
    assert len(widths) > 5
    assert all(width % 8 == 0 for width in widths), "which heads divide"


@dataclass(eq=False)
class Picky(Popularity):
    width: Annotated[int, Ge(1), Search(1, 9), Doc("Must be odd.")] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % 2 == 0:
            raise OptionError("width: found an even number")


def test_options_that_do_not_go_together_end_no_search(parts: Split) -> None:
    winner = search(parts, {"picky": Picky(), "popularity": Popularity()}, Allowance(trials=8))
    tried = [one.options["width"] for one in winner.attempts if "width" in one.options]
    assert tried
    assert all(width % 2 for width in tried)


@pytest.mark.parametrize("model", [ItemKNN(), EASE(), Transitions(), Content()], ids=lambda one: type(one).__name__)
def test_scoring_options_need_no_new_fit(model: Recommender) -> None:
    data = toy_dataset()
    for option in type(model).scoring_options:
        fitted = dataclasses.replace(model, **{option: 7.0}).fit(data)  # type: ignore[type-var]
        changed = dataclasses.replace(model, **{option: 2.0}).fit(data)  # type: ignore[type-var]
        setattr(fitted, option, 2.0)
        assert np.array_equal(fitted.score(data.history()), changed.score(data.history()))


def test_a_blend_leaves_out_what_has_no_weight(parts: Split) -> None:
    fitted: list[Recommender] = [model.fit(parts.train) for model in (EASE(), Popularity(), ItemKNN())]
    blend = weigh_blend(Blend(tuple(fitted)), parts.validation)
    assert (blend.weights_ > 0).any(axis=0).all()
    again = dataclasses.replace(blend).fit(parts.train, validation=parts.validation)
    assert np.array_equal(again.weights_, blend.weights_)


def test_a_second_stage_is_a_candidate_that_validation_may_reject(parts: Split) -> None:
    log = Lines()
    winner = search(parts, STARTS, Allowance(trials=4), second_stage=True, log=log)
    values = {line.split()[2]: float(line.split()[1]) for line in log.lines if "at the end" in line}
    assert set(values) == {"blend", "ranker"}
    singles = [value for _, value in winner.singles.values()]
    assert winner.value == pytest.approx(max(*values.values(), *singles), abs=5e-5)
    model = dataclasses.replace(winner.recommender).fit(parts.train, validation=parts.validation)  # type: ignore[type-var]
    value = evaluate(model, parts.validation, metrics=["ndcg@10"], train=parts.train).values["ndcg@10"]
    assert value == winner.value


def test_a_second_stage_to_begin_with_is_no_member_of_the_blend(parts: Split) -> None:
    first = Blend((ItemKNN(), Transitions()))
    winner = search(parts, {**STARTS, "ranker": Ranker(first, epochs=2)}, Allowance(trials=4))
    assert [one.name for one in winner.attempts] == [*STARTS, "ranker"]
    assert "ranker" in winner.singles
    inside = winner.recommender.recommenders if isinstance(winner.recommender, Blend) else ()
    assert not any(isinstance(member, Ranker) for member in inside)


def test_a_search_has_an_end(parts: Split) -> None:
    with pytest.raises(EvaluationError, match="needs an end"):
        search(parts, STARTS, Allowance())


def test_without_a_validation_part_there_is_nothing_to_search_on(parts: Split) -> None:
    empty = Fold(parts.train, parts.validation.target.where(parts.validation.target.user < 0))
    with pytest.raises(EvaluationError, match="needs a validation part"):
        search(Split(parts.train, empty, parts.test), STARTS, Allowance(trials=3))


@dataclass
class Clock:
    """CPU seconds as a test wants them: a hundredth whenever they are read, and what `Slow` takes."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


CLOCK = Clock()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    CLOCK.now = 0.0
    monkeypatch.setattr(time, "process_time", CLOCK)
    return CLOCK


@dataclass(eq=False)
class Slow(Recommender):
    """Takes as many CPU seconds to fit as its option says."""

    takes: Annotated[float, Search(0, 10), Doc("CPU seconds.")] = 0.05

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        CLOCK.now += self.takes

    def _score(self, history: History) -> Float32:
        return np.zeros((len(history), history.n_items), np.float32)


def test_no_trial_begins_that_the_budget_does_not_hold(parts: Split, clock: Clock) -> None:
    def expected(model: Recommender) -> float:
        return model.takes if isinstance(model, Slow) else 0.01

    starts: dict[str, Recommender] = {"popularity": Popularity(), "slow": Slow(), "slower": Slow(5.0)}
    attempts = search(parts, starts, Allowance(seconds=1.5, began=0.0), expected=expected).attempts
    assert clock.now < 1.1 * 1.5
    assert "slower" not in {one.name for one in attempts}
    assert max(one.options.get("takes", 0) for one in attempts) < 1.5


def test_costs_are_predicted_from_trials_and_from_what_others_measured() -> None:
    costs = TrialCosts(lambda model: model.takes if isinstance(model, Slow) else None)
    assert costs.trial("slow", Slow(2.0), 100, fitted=False) == 2.0
    costs.note("slow", Slow(2.0), fit=6.0, ranked=1.0, users=100)
    assert costs.fit("slow", Slow(4.0)) == 12.0, "in proportion"
    assert costs.fit("other", Slow(1.0)) == 3.0, "as this machine takes three times as long"
    assert costs.trial("slow", Slow(2.0), 200, fitted=True) == 2.0
    assert costs.fit("new", Popularity()) == 0.0
    assert costs.score(["slow", "new"]) == 0.01


def test_a_pilot_predicts_what_a_ranker_takes(parts: Split, clock: Clock) -> None:
    members: list[Recommender] = [model.fit(parts.train) for model in (Slow(2.0), Transitions(), ItemKNN())]
    ranker = Ranker(Blend((Slow(2.0), Transitions(), ItemKNN())))
    costs = ranker_costs(ranker, members, 2 * clock.now, parts.train, parts.validation)
    began = clock.now
    ranker.fit(parts.train, validation=parts.validation)
    taken = clock.now - began
    predicted = costs.first + parts.train.n_users * costs.history
    assert taken / 2 < predicted < 2 * taken


def test_a_pilot_measures_the_features_of_context_too(parts: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    learn = pilots.train_network

    def watched(examples: Examples, *given: Any, **options: Any) -> Any:
        seen.append(examples.features.shape[2])
        assert np.any(examples.features[:, :, -1]), "the circumstances of the requests are known"
        return learn(examples, *given, **options)

    monkeypatch.setattr(pilots, "train_network", watched)
    ranker = Ranker(Transitions(), epochs=1, context=("recent",))
    first = Transitions().fit(parts.train)
    ranker_costs(ranker, [first], 0.1, parts.train, parts.validation)
    assert seen == [len(ranker.fit(parts.train, validation=parts.validation).center_)]


def test_a_second_stage_fits_no_member_again(parts: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []
    learn = EASE._fit

    def counted(self: EASE, dataset: Dataset, *given: Any) -> None:
        fits.append(len(dataset))
        learn(self, dataset, *given)

    monkeypatch.setattr(EASE, "_fit", counted)
    starts: dict[str, Recommender] = {
        "ease": EASE(),
        "item_knn": ItemKNN(),
        "ranker": Ranker(Blend((EASE(), ItemKNN()))),
    }
    search(parts, starts, Allowance(trials=3), second_stage=True)
    assert fits == [len(parts.train), len(hold_out_last(parts.train, remedy="").context)], "two rankers, one blend"


@pytest.mark.filterwarnings("error")
def test_the_cost_of_a_second_stage_is_measured_without_the_users_that_have_no_history(parts: Split) -> None:
    """They have no candidates, and a step of training over none of them divided by zero."""
    train = parts.train
    context = train.where(train.user % 2 == 0)
    members = [one.fit(context) for one in (Transitions(), ItemKNN())]
    ranker = Ranker(Blend((Transitions(), ItemKNN())))
    costs = ranker_costs(ranker, members, 0.1, context, Fold(context, parts.validation.target))
    assert 0 < costs.history < math.inf


@dataclass(eq=False)
class Slower(ItemKNN):
    """Takes so long in each fit that a second stage over it cannot be paid, nor a second trial."""

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        super()._fit(dataset, validation, log)
        CLOCK.now += 0.5


def test_a_second_stage_that_cannot_be_paid_is_left_out_and_said(parts: Split, clock: Clock) -> None:
    log, budget = Lines(), Allowance(seconds=1.5, began=0.0)
    search(parts, {"popularity": Popularity(), "slower": Slower()}, budget, second_stage=True, log=log)
    assert clock.now < 1.6
    assert any(line.startswith("ranker: takes at least") for line in log.lines)


@pytest.mark.parametrize("seconds", [2, 4, 8, 16])
def test_a_search_with_a_second_stage_keeps_its_budget(parts: Split, clock: Clock, seconds: float) -> None:
    starts = {**STARTS, "slower": Slower(), "ranker": Ranker(Blend((Slower(), Transitions())))}
    log, budget = Lines(), Allowance(seconds=seconds, began=0.0)
    search(parts, starts, budget, second_stage=True, log=log)
    assert clock.now < 1.05 * seconds
    assert any(line.split()[2] == "ranker" or line.startswith("ranker: takes") for line in log.lines)
