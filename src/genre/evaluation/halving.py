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
from typing import Any, Literal

import numpy as np

from genre.data.folds import Fold, Split
from genre.errors import DataError, EvaluationError, OptionError, TrainingError
from genre.evaluation.evaluator import evaluate
from genre.evaluation.metric_table import metric_of
from genre.evaluation.option_changes import changed_options
from genre.evaluation.pilots import BY_LENGTH, RankerCosts, pilot_blend, ranker_costs
from genre.evaluation.search_budget import Allowance, OutOfTime, Stopwatch
from genre.evaluation.trial_costs import Expected, TrialCosts, unknown
from genre.log import SILENT, Log
from genre.options import options_of
from genre.recommenders.base import Recommender
from genre.recommenders.blend import Blend
from genre.recommenders.ranker import Ranker
from genre.recommenders.reusing import HeldOut, Reusable, fit_reusing
from genre.recommenders.second_stage import SecondStage

USERS = 2000  # validation users that a trial is evaluated on, the same in every trial
KEPT = 4  # recommenders that are not dropped: a blend wants several good ones
DRAWS = 20  # of other options, until their values go together
BUCKETS = (1, 3)  # groups of history lengths with weights of their own that a blend is tried with
ENOUGH = 200  # validation users from which on their halves choose between blends
FOR_BLEND = 0.3, 0.6  # least and largest share of the budget that is left for the blend and the second stage
LEAST_LEARNT = 1000  # histories; a second stage that the budget holds for fewer only is left out
WEIGHING = 2  # until it is measured: fitting weights takes so many times as long as scoring the histories
DEAR = 30.0  # CPU seconds of a fit by runs measured elsewhere, from which on it waits until all others were tried
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
class _Contender:
    """A recommender in the search: where it started, and the best of it so far, fitted."""

    name: str
    start: Recommender
    best: Recommender | None = None
    value: float = -np.inf  # higher is better, whatever the metric
    tried: int = 0


def search(
    split: Split,
    starts: Mapping[str, Recommender],
    budget: Allowance,
    *,
    metric: str = "ndcg@10",
    kind: Literal["catalogue", "impressions"] = "catalogue",
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
        kind: See `evaluate`; weights of blends are fitted for it.
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
    contenders = [_Contender(name, start) for name, start in starts.items()]
    running = _Halving(
        split, contenders, budget, TrialCosts(expected), metric, kind, exclude_seen=exclude_seen, seed=seed, log=log
    )
    running.rounds()
    return running.winner(second_stage=second_stage)


class _Halving:
    """A search while it runs."""

    def __init__(
        self,
        split: Split,
        contenders: list[_Contender],
        budget: Allowance,
        costs: TrialCosts,
        metric: str,
        kind: Literal["catalogue", "impressions"],
        *,
        exclude_seen: bool,
        seed: int,
        log: Log,
    ) -> None:
        self.split, self.contenders, self.budget, self.costs, self.metric = split, contenders, budget, costs, metric
        self.seed, self.log = seed, log
        self.kind, self.exclude_seen = kind, exclude_seen
        learn_from: Literal["lists", "impressions"] = "impressions" if kind == "impressions" else "lists"
        self.blend = partial(Blend, exclude_seen=exclude_seen, learn_from=learn_from)
        self.sign = 1 if metric_of(metric).higher_is_better else -1
        self.judged = split.validation.sample(USERS, seed)
        self.n_judged, self.n_users = len(self.judged.users()), len(split.validation.users())
        self.attempts: list[Attempt] = []
        self.reached = -np.inf
        self.held_out = HeldOut()  # what rankers fitted without the last items
        self.first: tuple[Recommender, ...] = ()  # the blend at the end, weighed
        self.weighing: float | None = None  # CPU seconds a history and member of a blend, once it is measured

    # --- rounds -----------------------------------------------------------------------------------

    def rounds(self) -> None:
        """Try every contender as it is, then the better half again and again, until the budget ends."""
        for contender in sorted(self.contenders, key=lambda one: (self.costs.expected(one.start) or 0) > DEAR):
            self.attempt(contender, _fresh(contender.start))
        self.measure_weighing([one.best for one in self.members()])
        left, trials = [one for one in self.contenders if one.best is not None], 1
        going = True
        while going and left:
            left = sorted(left, key=lambda one: -one.value)[: max(KEPT, (len(left) + 1) // 2)]
            trials *= 2
            done = [self.change(one) for _ in range(trials) for one in left]
            going = any(done)

    def change(self, contender: _Contender) -> bool:
        """Try a contender with other options; False where there are none, or no budget for it."""
        assert contender.best is not None
        place = sum(contender.name.encode())  # a sequence of its own, whatever the others do
        for _ in range(DRAWS):
            contender.tried += 1
            changed = changed_options(contender.best, np.random.default_rng((self.seed, place, contender.tried)))
            if not changed:
                return False
            if set(changed) <= set(contender.best.scoring_options):
                return self.attempt(contender, _with_scoring(contender.best, changed), fitted=True)
            try:
                model: Recommender = dataclasses.replace(contender.best, **changed)  # type: ignore[type-var]
            except OptionError:  # values that do not go together; others do
                continue
            return self.attempt(contender, model)
        return False

    def attempt(self, contender: _Contender, model: Recommender, *, fitted: bool = False) -> bool:
        """Fit a model unless it is fitted, and evaluate it; False where the budget does not hold it."""
        left = self.budget.left() - self.reserve()
        if left <= 0 or len(self.attempts) == self.budget.trials or self.needed(contender, model, fitted=fitted) > left:
            return False
        began = time.process_time()
        log = None if fitted else Stopwatch(began + (1 if isinstance(model, Ranker) else MOST_OF_REST) * left)
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
        return min(max(self.end_seconds([one.name for one in self.members()]), least), most)

    def end_seconds(self, names: list[str]) -> float:
        """Predict what weighing and evaluating a blend of these takes, on the sampled users."""
        a_user = self.costs.score(names)
        weighing = WEIGHING * a_user if self.weighing is None else self.weighing * len(names)
        weighed = 2 * min(self.n_users, Blend.histories)  # again without the members that have no weight
        halves = self.n_judged >= ENOUGH  # then one half tells whether weights by length are better
        weighed += min(self.n_judged // 2, Blend.histories) if halves else 0
        return weighing * weighed + a_user * self.n_judged * (1.5 if halves else 1)

    def measure_weighing(self, members: list[Recommender | None]) -> None:
        """Measure what a blend of these takes to weigh, where there is a budget to keep."""
        fitted = [member for member in members if member is not None]
        if self.budget.seconds is not None and len(fitted) > 1:
            _, seconds = pilot_blend(self.blend(tuple(fitted)), self.split.validation)
            self.weighing = seconds / len(fitted)

    def members(self) -> list[_Contender]:
        """Return what a blend can be made of, best first."""
        tried = [one for one in self.contenders if one.best is not None and not isinstance(one.best, SecondStage)]
        return sorted(tried, key=lambda one: -one.value)

    def needed(self, contender: _Contender, model: Recommender, *, fitted: bool) -> float:
        """Predict what a trial takes; of a ranker by a pilot over what was fitted of the kinds of its first stage."""
        if self.budget.seconds is None:
            return 0.0
        if isinstance(model, Ranker) and not fitted:
            first = model.first.recommenders if isinstance(model.first, Blend) else (model.first,)
            kinds = {type(one) for one in first}
            alike = list({type(one.best): one for one in self.members() if type(one.best) in kinds}.values())
            if alike:
                costs = self.ranker_costs(model, alike)
                return costs.first + self.learnt * costs.history + self.n_judged * costs.ranking
        return self.costs.trial(contender.name, model, self.n_judged, fitted=fitted)

    @property
    def learnt(self) -> int:
        """Histories that a ranker learns from."""
        return min(self.split.train.n_users, Ranker.histories)

    def ranker_costs(self, ranker: Ranker, members: list[_Contender]) -> RankerCosts:
        """Measure what a ranker takes whose first stage has members like these."""
        fitted = [(one.name, one.best) for one in members if one.best is not None]
        seconds = {type(model): self.costs.fit(name, model) for name, model in fitted}
        fitting, reusable = 0.0, self.reusable()
        for member in ranker.first.members() or (ranker.first,):
            known = reusable.find(member, self.split.train)
            held_out = known is not None and reusable.is_held_out(known.chosen())
            fitting += seconds.get(type(member), 0.0) * ((known is None) + (not held_out))
        models, parts = [model for _, model in fitted], (self.split.train, self.split.validation)
        return ranker_costs(ranker, models, fitting, *parts, weighs=reusable.find(ranker.first, parts[0]) is None)

    def reusable(self) -> Reusable:
        """Return what a second stage need not fit again."""
        fitted = [one.best for one in self.contenders if one.best is not None]
        return Reusable(self.split.train, [*self.first, *fitted], self.held_out)

    def value_of(self, name: str, model: Recommender, log: Log | None) -> float | None:
        """Fit on train, where there is a log, and evaluate on the sampled users; None where that fails."""
        began = time.process_time()
        try:
            if log is not None:
                reusable = self.reusable() if isinstance(model, SecondStage) else None
                fit_reusing(model, reusable, self.split.train, validation=self.split.validation, log=log)
            fitted = time.process_time()
            value = self.evaluated(model, self.judged)
            seconds = time.process_time() - fitted
            fit = None if log is None else fitted - began
            self.costs.note(name, model, fit=fit, ranked=seconds, users=self.n_judged)
            return value
        except OutOfTime:
            self.costs.fitting[name] = model, time.process_time() - began
            self.log.line(f"{name}: not finished within its share of the budget")
        except (TrainingError, OptionError, DataError) as error:
            self.log.line(f"{name}: {error}")
        return None

    def evaluated(self, model: Recommender, fold: Fold) -> float:
        """Return the metric of a fitted model on a fold."""
        how: dict[str, Any] = {"kind": self.kind, "exclude_seen": self.exclude_seen, "train": self.split.train}
        return evaluate(model, fold, metrics=[self.metric], **how).values[self.metric]

    def improved(self, name: str, options: Mapping[str, Any], value: float) -> None:
        """Say so where a value is the best so far."""
        if self.sign * value > self.reached:
            self.reached = self.sign * value
            changed = "".join(f" {option}={new}" for option, new in options.items())
            self.log.line(f"{self.metric} {value:.4f} {name}{changed} (trial {len(self.attempts)}{self.budget})")

    # --- the end ----------------------------------------------------------------------------------

    def winner(self, *, second_stage: bool) -> Winner:
        """Weigh a blend of all contenders, rank its candidates anew, and take the best on all validation users."""
        known = {one.name: one for one in sorted(self.contenders, key=lambda one: -one.value) if one.best is not None}
        if not known:
            raise EvaluationError("no trial succeeded; give the search a larger budget, or look at the lines above")
        first = next(iter(known.values()))
        assert first.best is not None
        found, values, a_user = [first.best], [self.sign * first.value], [self.costs.score([first.name])]

        def judge(model: Recommender) -> None:
            began = time.process_time()
            found.append(model)
            values.append(self.evaluated(model, self.judged))
            a_user.append((time.process_time() - began) / self.n_judged)
            kind = type(model).__name__.lower()
            self.log.line(f"{self.metric} {values[-1]:.4f} {kind} at the end{self.budget}")

        members = self.affordable()
        if len(members) > 1:
            judge(self.blended([one.best for one in members if one.best is not None]))
        if second_stage:
            for ranker in self.ranked(found[-1], members):
                judge(ranker)
        at = int(np.argmax(np.multiply(self.sign, values)))
        best, value, users = found[at], values[at], self.n_judged
        if users < self.n_users and self.budget.left() > a_user[at] * self.n_users:
            value, users = self.evaluated(best, self.split.validation), self.n_users
        said = "all" if users == self.n_users else f"{users:,} of {self.n_users:,}"
        self.log.line(
            f"{self.metric} {value:.4f} {type(best).__name__.lower()} on {said} validation users{self.budget}"
        )
        singles = {name: (_fresh(one.best), self.sign * one.value) for name, one in known.items() if one.best}
        return Winner(_fresh(best), value, singles, tuple(self.attempts))

    def affordable(self) -> list[_Contender]:
        """Return the best recommenders whose blend the budget still holds; at least the first."""
        members = self.members()
        self.measure_weighing([one.best for one in members])
        kept = members[:1]
        for one in members[1:]:
            if self.end_seconds([other.name for other in (*kept, one)]) <= self.budget.left():
                kept.append(one)
        left_out = sorted(one.name for one in members if one not in kept)
        if left_out:
            self.log.line(f"blend: without {', '.join(left_out)}, for which no time is left")
        return kept

    def blended(self, fitted: list[Recommender]) -> Blend:
        """Weigh a blend, with weights for short and long histories where that is better on users not weighed on."""
        make = partial(self.blend, tuple(fitted))
        buckets = BUCKETS[0]
        if self.n_judged >= ENOUGH:
            one, other = self.judged.halves()
            began = time.process_time()
            trials = {buckets: make().weigh(fitted, one)}
            seconds = (time.process_time() - began) / len(one.users())  # a history
            values = {buckets: self.evaluated(trials[buckets], other)}
            histories = len(one.users()) + 2 * min(self.n_users, Blend.histories)
            if self.budget.left() > BY_LENGTH * seconds * histories:
                trials |= {n: make(length_buckets=n).weigh(fitted, one) for n in BUCKETS[1:]}
                values |= {n: self.evaluated(trials[n], other) for n in BUCKETS[1:]}
            buckets = max(values, key=lambda n: self.sign * values[n])
        return weigh_blend(make(length_buckets=buckets), self.split.validation)

    def ranked(self, first: Recommender, members: list[_Contender]) -> Iterator[Ranker]:
        """Yield a ranker over the best so far, of as many histories as the budget holds; none if these are too few."""
        ranker = Ranker(_fresh(first), exclude_seen=self.exclude_seen)
        self.first = (first,)
        try:
            log: Log = SILENT
            if self.budget.seconds is not None:
                inside = [one for one in members if any(one.best is member for member in _inside(first))]
                costs = self.ranker_costs(ranker, inside)
                left = self.budget.left() - self.n_judged * costs.ranking
                histories = int(max(left - costs.first, 0) / costs.history)
                if histories < min(self.learnt, LEAST_LEARNT):
                    needed = costs.first + min(self.learnt, LEAST_LEARNT) * costs.history
                    self.log.line(f"ranker: takes at least {needed:.0f} CPU seconds, {max(left, 0):.0f} are left")
                    return
                if histories < self.learnt:
                    ranker = dataclasses.replace(ranker, histories=histories)
                    self.log.line(f"ranker: learns from {histories:,} histories, for which time is left")
                log = Stopwatch(time.process_time() + left)
            fit_reusing(ranker, self.reusable(), self.split.train, validation=self.split.validation, log=log)
            yield ranker
        except OutOfTime:
            self.log.line("ranker: not finished within the budget")
        except (TrainingError, OptionError, DataError) as error:
            self.log.line(f"ranker: {error}")


def _inside(model: Recommender) -> tuple[Recommender, ...]:
    """Return the fitted members of a blend, or the model itself."""
    return model.members_ if isinstance(model, Blend) else (model,)


def weigh_blend(blend: Blend, validation: Fold) -> Blend:
    """Weigh a blend and leave out the members whose weights are zero.

    Args:
        blend: Of recommenders fitted on one training part.
        validation: Held-out interactions of that part.

    Returns:
        The blend of those with a weight; to fit it anew gives the same.
    """
    fitted = blend.recommenders
    blend.weigh(fitted, validation)
    useful = tuple(member for member, used in zip(fitted, blend.weights_.max(axis=0), strict=True) if used > 0)
    if len(useful) == len(fitted):
        return blend
    return dataclasses.replace(blend, recommenders=useful).weigh(useful, validation)


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
