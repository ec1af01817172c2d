"""A search over recommenders and their options within a budget, on the validation part; a blend at the end.

Successive halving (Kevin Jamieson and Ameet Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", AISTATS 2016): in the first round every recommender is tried once, as given; in each later one the better
half stays and each has twice as many trials as before. A trial changes one or two options of that recommender's best
ones within their search ranges. Then a blend of the best of every recommender is weighed.

Never reads the test part. Does not know configs.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from genre.data.folds import Fold, Split
from genre.errors import DataError, EvaluationError, OptionError, TrainingError
from genre.evaluation.evaluator import evaluate
from genre.evaluation.metric_table import metric_of
from genre.evaluation.option_changes import changed_options, options_of
from genre.evaluation.targets import distinct_rows
from genre.evaluation.trial_costs import Expected, TrialCosts, unknown
from genre.log import SILENT, Log
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend
from genre.recommenders.ranker import Ranker
from genre.recommenders.second_stage import SecondStage

USERS = 2000  # validation users that a trial is evaluated on, the same in every trial
KEPT = 4  # recommenders that are not dropped: a blend wants several good ones
BUCKETS = (1, 3)  # groups of history lengths with weights of their own that a blend is tried with
ENOUGH = 200  # validation users from which on their halves choose between blends
FOR_BLEND = 0.3, 0.6  # least and largest share of the budget that is left for the blend and the second stage
REFITS = 3  # a second stage fits every member of the blend twice, and learns itself
LEARNING = 0.004  # CPU seconds for a history that a second stage learns from: features and networks, on amazon-beauty
WEIGHING = 2  # to fit weights takes so many times as long as to score the histories that they are fitted on
MOST_OF_REST = 0.5  # share of what is left of the budget that one trial may take


@dataclass(frozen=True)
class Attempt:
    """One trial.

    Attributes:
        name: The recommender.
        options: The options that differ from those it started with.
        value: The metric on the validation users; None where it failed or there was no time to finish it.
        seconds: CPU seconds.
    """

    name: str
    options: dict[str, Any]
    value: float | None
    seconds: float


@dataclass(frozen=True)
class Winner:
    """What a search found.

    Attributes:
        recommender: The best one, a blend or a single one, not fitted.
        value: Its metric on all validation users; on the sampled ones where the budget held no more.
        singles: The best options of each recommender, best first, with the metric on the sampled users.
        attempts: Every trial, in order.
    """

    recommender: Recommender
    value: float
    singles: dict[str, tuple[Recommender, float]]
    attempts: tuple[Attempt, ...]


@dataclass
class Allowance:
    """CPU time and trials that a search may use; None: no limit.

    Attributes:
        seconds: CPU seconds of the process from `began` on.
        trials: Fits of single recommenders.
        began: CPU time of the process when the budget began.
    """

    seconds: float | None = None
    trials: int | None = None
    began: float = dataclasses.field(default_factory=time.process_time)

    def left(self) -> float:
        """Return what is left of the time.

        Returns:
            CPU seconds, below zero when more was used; infinite without a limit.
        """
        return np.inf if self.seconds is None else self.seconds - (time.process_time() - self.began)

    def __str__(self) -> str:
        return "" if self.seconds is None else f", {max(self.left(), 0) / 60:.1f} CPU minutes left"


@dataclass
class _Contender:
    """A recommender in the search: where it started, and the best of it so far, fitted."""

    name: str
    start: Recommender
    best: Recommender | None = None
    value: float = -np.inf  # higher is better, whatever the metric
    tried: int = 0


class _OutOfTime(Exception):
    """A trial took more than its share of the budget."""


class _Stopwatch(Log):
    """A log that ends the training of a network when its share of the budget is used up."""

    def __init__(self, until: float) -> None:
        self.until = until

    def record(self, event: str, **fields: Any) -> None:
        if event == "epoch" and time.process_time() > self.until:
            raise _OutOfTime


def search(
    split: Split,
    starts: Mapping[str, Recommender],
    budget: Allowance,
    *,
    metric: str = "ndcg@10",
    exclude_seen: bool = True,
    second_stage: bool = False,
    expected: Expected = unknown,
    seed: int = 0,
    log: Log = SILENT,
) -> Winner:
    """Search recommenders and options: fit on train, evaluate on validation.

    The seed fixes the sequence of trials; a larger budget goes on where a smaller one ends.

    Args:
        split: The split; its test part is not read.
        starts: Name -> recommender with the options that it is tried with first, cheap ones first.
        budget: When to stop.
        metric: The label to optimise.
        exclude_seen: See `evaluate`.
        second_stage: Whether to try a ranker over the blend, which learns from the last item of each history.
        expected: What a fit takes by runs measured elsewhere; a trial that the budget does not hold is not begun.
        seed: Of the changes of options.
        log: A line for each improvement.

    Returns:
        The best recommender, a blend where that is better, and every trial.

    Raises:
        EvaluationError: Without a validation part or a limit, or when no trial succeeded.
    """
    if budget.seconds is None and budget.trials is None:
        raise EvaluationError("a search needs an end; give it CPU seconds or a number of trials")
    if not len(split.validation.target):
        raise EvaluationError("a search needs a validation part, which is empty; give the split a validation share")
    costs = TrialCosts(expected)
    running = _Halving(split, budget, costs, metric, exclude_seen=exclude_seen, seed=seed, log=log)
    contenders = [_Contender(name, start) for name, start in starts.items()]
    running.rounds(contenders)
    return running.winner(contenders, second_stage=second_stage)


class _Halving:
    """A search while it runs."""

    def __init__(
        self,
        split: Split,
        budget: Allowance,
        costs: TrialCosts,
        metric: str,
        *,
        exclude_seen: bool,
        seed: int,
        log: Log,
    ) -> None:
        self.split, self.budget, self.costs, self.metric = split, budget, costs, metric
        self.seed, self.log = seed, log
        self.exclude_seen = exclude_seen
        self.sign = 1 if metric_of(metric).higher_is_better else -1
        self.judged = some_users(split.validation, USERS, seed)
        self.n_judged, self.n_users = len(self.judged.users()), len(split.validation.users())
        self.attempts: list[Attempt] = []
        self.reached = -np.inf

    # --- rounds -----------------------------------------------------------------------------------

    def rounds(self, contenders: list[_Contender]) -> None:
        """Try every contender as it is, then the better half again and again, until the budget ends."""
        for contender in contenders:
            self.attempt(contender, _fresh(contender.start))
        left, trials = [one for one in contenders if one.best is not None], 1
        going = True
        while going and left:
            left = sorted(left, key=lambda one: -one.value)[: max(KEPT, (len(left) + 1) // 2)]
            trials *= 2
            done = [self.change(one) for _ in range(trials) for one in left]
            going = any(done)

    def change(self, contender: _Contender) -> bool:
        """Try a contender with other options; False where there are none, or no budget for it."""
        assert contender.best is not None
        contender.tried += 1
        place = sum(contender.name.encode())  # a sequence of its own, whatever the others do
        rng = np.random.default_rng((self.seed, place, contender.tried))
        changed = changed_options(contender.best, rng)
        if not changed:
            return False
        if set(changed) <= set(contender.best.scoring_options):
            return self.attempt(contender, _with_scoring(contender.best, changed), fitted=True)
        return self.attempt(contender, dataclasses.replace(contender.best, **changed))  # type: ignore[type-var]

    def attempt(self, contender: _Contender, model: Recommender, *, fitted: bool = False) -> bool:
        """Fit a model unless it is fitted, and evaluate it; False where the budget does not hold it."""
        left = self.budget.left() - self.reserve()
        needed = self.costs.trial(contender.name, model, self.n_judged, fitted=fitted)
        if isinstance(model, SecondStage) and contender.best is None:  # before anything is known of it
            needed = self.second_stage_seconds(list(self.costs.fitting))
        if left <= 0 or needed > left or len(self.attempts) == self.budget.trials:
            return False
        began = time.process_time()
        log = None if fitted else _Stopwatch(began + MOST_OF_REST * left)
        value = self.value_of(contender.name, model, log)
        options = {name: new for name, new in options_of(model).items() if new != getattr(contender.start, name)}
        self.attempts.append(Attempt(contender.name, options, value, round(time.process_time() - began, 2)))
        if value is not None and self.sign * value > contender.value:
            contender.best, contender.value = model, self.sign * value
            self.improved(contender.name, options, value)
        return True

    def reserve(self) -> float:
        """Return what is left for the end: CPU seconds by what the members of a blend have taken so far."""
        if self.budget.seconds is None:
            return 0.0
        least, most = (share * self.budget.seconds for share in FOR_BLEND)
        return min(max(self.end_seconds(list(self.costs.scoring)), least), most)

    def end_seconds(self, names: list[str]) -> float:
        """Predict what weighing and evaluating a blend of these takes, on the sampled users."""
        a_user = self.costs.score(names)
        weighed = 2 * min(self.n_users, Blend.histories)  # again without the members that have no weight
        if self.n_judged >= ENOUGH:  # each number of buckets on one half, evaluated on the other
            weighed += len(BUCKETS) * min(self.n_judged // 2, Blend.histories)
        ranked = self.n_judged * (3 if self.n_judged >= ENOUGH else 2)
        return a_user * (WEIGHING * weighed + ranked)

    def second_stage_seconds(self, names: list[str]) -> float:
        """Predict what learning and evaluating a second stage over these takes."""
        learnt = min(self.split.train.n_users, Ranker.histories)
        ranked = learnt + self.n_judged + WEIGHING * min(self.n_users, Blend.histories)
        return REFITS * self.costs.refit(names) + ranked * self.costs.score(names) + LEARNING * learnt

    def value_of(self, name: str, model: Recommender, log: Log | None) -> float | None:
        """Fit on train, where there is a log, and evaluate on the sampled users; None where that fails."""
        began = time.process_time()
        try:
            if log is not None:
                model.fit(self.split.train, validation=self.split.validation, log=log)
            fitted = time.process_time()
            value = self.evaluated(model, self.judged)
            seconds = time.process_time() - fitted
            fit = None if log is None else fitted - began
            self.costs.note(name, model, fit=fit, ranked=seconds, users=self.n_judged)
            return value
        except _OutOfTime:
            self.costs.fitting[name] = model, time.process_time() - began
            self.log.line(f"{name}: not finished within half of what was left of the budget")
        except (TrainingError, OptionError, DataError) as error:
            self.log.line(f"{name}: {error}")
        return None

    def evaluated(self, model: Recommender, fold: Fold) -> float:
        """Return the metric of a fitted model on a fold."""
        found = evaluate(model, fold, metrics=[self.metric], exclude_seen=self.exclude_seen, train=self.split.train)
        return found.values[self.metric]

    def improved(self, name: str, options: Mapping[str, Any], value: float) -> None:
        """Say so where a value is the best so far."""
        if self.sign * value > self.reached:
            self.reached = self.sign * value
            changed = "".join(f" {option}={new}" for option, new in options.items())
            self.log.line(f"{self.metric} {value:.4f} {name}{changed} (trial {len(self.attempts)}{self.budget})")

    def blended(self, fitted: list[Recommender]) -> Blend:
        """Weigh a blend, with weights for short and long histories where that is better on users not weighed on."""
        if len(distinct_rows(self.judged.target.user)) < ENOUGH:
            return weigh_blend(fitted, self.split.validation, exclude_seen=self.exclude_seen)
        one, other = halves(self.judged, self.seed)
        began, make = time.process_time(), partial(Blend, tuple(fitted), exclude_seen=self.exclude_seen)
        trials = {BUCKETS[0]: make(length_buckets=BUCKETS[0]).weigh(fitted, one)}
        seconds = (time.process_time() - began) / len(one.users())  # a history
        if self.budget.left() > seconds * (len(one.users()) + 2 * min(self.n_users, Blend.histories)):
            trials |= {n: make(length_buckets=n).weigh(fitted, one) for n in BUCKETS[1:]}
        values = {n: self.evaluated(blend, other) for n, blend in trials.items()}
        best = max(values, key=lambda n: self.sign * values[n])
        return weigh_blend(fitted, self.split.validation, length_buckets=best, exclude_seen=self.exclude_seen)

    # --- the end ----------------------------------------------------------------------------------

    def winner(self, contenders: list[_Contender], *, second_stage: bool) -> Winner:
        """Weigh a blend of all contenders, rank its candidates anew, and take the best on all validation users."""
        known = {one.name: one for one in sorted(contenders, key=lambda one: -one.value) if one.best is not None}
        if not known:
            raise EvaluationError("no trial succeeded; give the search a larger budget, or look at the lines above")
        names = self.affordable([name for name, one in known.items() if not isinstance(one.best, SecondStage)])
        first = next(iter(known.values())).best
        assert first is not None
        found = [first]
        if len(names) > 1:
            found.append(self.blended([one.best for name in names if (one := known[name]).best is not None]))
        if second_stage and self.budget.left() > self.second_stage_seconds(names):
            found += self.ranked(found[-1])
        values = [self.evaluated(model, self.judged) for model in found]
        for model, value in zip(found, values, strict=True):
            self.log.line(f"{self.metric} {value:.4f} {type(model).__name__.lower()} at the end{self.budget}")
        at = int(np.argmax(np.multiply(self.sign, values)))
        best, value, users = found[at], values[at], self.n_judged
        if self.budget.left() > self.costs.score(names) * self.n_users:
            value, users = self.evaluated(best, self.split.validation), self.n_users
        said = "all" if users == self.n_users else f"{users:,} of {self.n_users:,}"
        self.log.line(
            f"{self.metric} {value:.4f} {type(best).__name__.lower()} on {said} validation users{self.budget}"
        )
        singles = {name: (_fresh(one.best), self.sign * one.value) for name, one in known.items() if one.best}
        return Winner(_fresh(best), value, singles, tuple(self.attempts))

    def affordable(self, names: list[str]) -> list[str]:
        """Return the best recommenders whose blend the budget still holds; at least the first."""
        kept = names[:1]
        for name in names[1:]:
            if self.end_seconds([*kept, name]) <= self.budget.left():
                kept.append(name)
        if len(kept) < len(names):
            self.log.line(f"blend: without {', '.join(sorted(set(names) - set(kept)))}, for which no time is left")
        return kept

    def ranked(self, first: Recommender) -> Iterator[Recommender]:
        """Yield a ranker over the best so far; nothing where it cannot be learnt."""
        ranker = Ranker(_fresh(first), exclude_seen=self.exclude_seen)
        try:
            yield ranker.fit(self.split.train, validation=self.split.validation)
        except (TrainingError, OptionError, DataError) as error:
            self.log.line(f"ranker: {error}")


def weigh_blend(
    fitted: list[Recommender], validation: Fold, *, length_buckets: int = 1, exclude_seen: bool = True
) -> Blend:
    """Weigh a blend and leave out the members whose weights are zero.

    Args:
        fitted: Recommenders fitted on one training part.
        validation: Held-out interactions of that part.
        length_buckets: See `Blend`.
        exclude_seen: See `Blend`.

    Returns:
        The blend of those with a weight; to fit it anew gives the same.
    """
    make = partial(Blend, length_buckets=length_buckets, exclude_seen=exclude_seen)
    weighed = make(tuple(fitted)).weigh(fitted, validation)
    useful = [member for member, used in zip(fitted, weighed.weights_.max(axis=0), strict=True) if used > 0]
    if len(useful) == len(fitted):
        return weighed
    return make(tuple(useful)).weigh(useful, validation)


def halves(fold: Fold, seed: int) -> tuple[Fold, Fold]:
    """Cut the users of a fold in two at random.

    Args:
        fold: The fold.
        seed: Of the draw.

    Returns:
        Two folds with the targets of half of the users each.
    """
    users = distinct_rows(fold.target.user)
    one = some_users(fold, (len(users) + 1) // 2, seed)
    first = np.zeros(fold.target.n_users, np.bool_)
    first[one.target.user] = True
    return one, Fold(fold.context, fold.target.where(~first[fold.target.user]))


def some_users(fold: Fold, most: int, seed: int) -> Fold:
    """Return a fold with the targets of some users.

    Args:
        fold: The fold.
        most: Users with targets that are kept, drawn at random.
        seed: Of the draw.

    Returns:
        The fold itself where it has no more users.
    """
    users = distinct_rows(fold.target.user)
    if len(users) <= most:
        return fold
    drawn = np.zeros(fold.target.n_users, np.bool_)
    drawn[np.random.default_rng(seed).choice(users, most, replace=False)] = True
    return Fold(fold.context, fold.target.where(drawn[fold.target.user]))


def _with_scoring(model: Recommender, changed: Mapping[str, Any]) -> Recommender:
    """Return a fitted model with other values of options that only scoring reads."""
    made = copy.copy(model)
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def _fresh(model: Recommender) -> Recommender:
    """Return a copy that is not fitted, nor are those inside it."""
    if isinstance(model, Blend):
        return dataclasses.replace(model, recommenders=tuple(_fresh(member) for member in model.recommenders))
    if isinstance(model, SecondStage):
        return dataclasses.replace(model, first=_fresh(model.first))
    return dataclasses.replace(model)  # type: ignore[type-var]
