"""Hyperparameter tuning with Optuna over the search ranges of the options, on the validation part only.

Every trial is kept in a SQLite study, so that a search which was stopped continues. Networks report each epoch, and
trials below the median are stopped early (pruned). Never reads the test part. Needs the extra `tuning`.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genre.data.folds import Split
from genre.errors import EvaluationError, NotAvailable, OptionError, TrainingError
from genre.evaluation.evaluator import evaluate
from genre.evaluation.metric_table import labels, metric_of
from genre.evaluation.targets import fold_digest
from genre.log import SILENT, Log
from genre.options import DEFAULT_K, Choices, Search, metadata, search_space, type_hints
from genre.recommenders.base import Recommender

if TYPE_CHECKING:
    import optuna

Objective = Callable[[dict[str, Any], Log], float]

FIRST = "first"  # attribute of a study that keeps the first trial
GIVEN = " given"  # suffix of the parameter that chooses between None and a value
STARTUP = 5  # random trials before the sampler and the pruner start
EDGE = 0.02  # share of a range that counts as its end


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        options: The options that were tried.
        value: The metric on the validation part; None when the trial failed or was pruned.
        outcome: `complete`, `pruned` or `fail`.
        seconds: Wall time.
    """

    options: dict[str, Any]
    value: float | None
    outcome: str
    seconds: float


@dataclass(frozen=True)
class TuningResult:
    """The result of a search.

    Attributes:
        name: The recommender.
        metric: The label that was optimised, such as `ndcg@10`.
        options: The best options, those that were fixed included.
        value: Their metric on the validation part.
        first: The metric of the options that the search started from; None when they failed.
        trials: Every trial, in order.
        importances: Option -> share of the metric's variance over the trials, summing to one; empty after few trials.
        warnings: Sentences about best values at the end of a range, and about failed trials.
    """

    name: str
    metric: str
    options: dict[str, Any]
    value: float
    first: float | None
    trials: tuple[Trial, ...]
    importances: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def chosen(self) -> dict[str, Any]:
        """The best values of the searched options; empty when no trial beat the first one."""
        searched = {option for trial in self.trials[1:] for option in trial.options}
        best = next(trial for trial in self.trials if trial.value == self.value)
        return {} if best is self.trials[0] else {o: v for o, v in self.options.items() if o in searched}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns:
            The fields, the chosen options, and for each trial the best value so far.
        """
        pairs = zip(self.trials, self.best_so_far, strict=True)
        return {
            "name": self.name,
            "metric": self.metric,
            "first": self.first,
            "value": self.value,
            "chosen": self.chosen,
            "trials": [{**vars(trial), "best": None if math.isnan(best) else best} for trial, best in pairs],
            "importances": self.importances,
            "warnings": list(self.warnings),
        }

    @property
    def best_so_far(self) -> list[float]:
        """The best value after each trial, NaN before the first."""
        better = max if metric_of(self.metric).higher_is_better else min
        out: list[float] = []
        for trial in self.trials:
            known = [value for value in (out[-1] if out else math.nan, trial.value) if value is not None]
            known = [value for value in known if not math.isnan(value)]
            out.append(better(known) if known else math.nan)
        return out


def tune(
    make: type[Recommender],
    split: Split,
    *,
    fixed: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    metric: str = "ndcg",
    trials: int = 30,
    minutes: float | None = None,
    storage: str | Path = "tuning.sqlite",
    name: str | None = None,
    exclude_seen: bool = True,
    kind: Literal["catalogue", "impressions"] = "catalogue",
    category: str | None = None,
    group: str | None = None,
    seed: int = 0,
    log: Log = SILENT,
) -> TuningResult:
    """Search the options of a recommender: fit on train, evaluate on validation.

    Calling again with the same arguments continues an earlier search: its trials count.

    Args:
        make: The class of the recommender.
        split: The split; its test part is not read.
        fixed: Options that stay as given.
        start: Options of the first trial; defaults for those it lacks.
        metric: Name or label of the metric to optimise.
        trials: At most so many trials; give every recommender the same number.
        minutes: At most so much time over all trials, in minutes; None: no limit.
        storage: The SQLite file of the study.
        name: Name of the recommender in the study and the result; None: its class.
        exclude_seen: See `evaluate`.
        kind: See `evaluate`.
        category: See `evaluate`.
        group: See `evaluate`.
        seed: Seed of the sampler.
        log: Where progress is shown.

    Returns:
        The best options, and every trial.

    Raises:
        EvaluationError: Without an option to search, a validation part, trials or time, and when no trial succeeded.
        NotAvailable: When Optuna is not installed.
    """
    given = dict(fixed or {})
    space = {option: range_ for option, range_ in search_space(make).items() if matters(make, option, range_, given)}
    begin = {option: value for option, value in (start or {}).items() if option in space}
    label, name = _label(metric), name or make.__name__
    if not space:
        ranged = ", ".join(search_space(make))
        raise EvaluationError(f"{name}: no option left to search; options with a range: {ranged}")
    _check_budget(split, trials, minutes)

    def objective(options: dict[str, Any], log: Log) -> float:
        model = make(**given, **options).fit(split.train, validation=split.validation, log=log)
        found = evaluate(
            model,
            split.validation,
            metrics=[label],
            exclude_seen=exclude_seen,
            kind=kind,
            train=split.train,
            category=category,
            group=group,
        )
        return found.values[label]

    facts = [name, f"{make.__module__}:{make.__qualname__}", given, begin, repr(space), label, exclude_seen, seed]
    facts += [category, group, *([] if kind == "catalogue" else [kind])]
    study = _study(Path(storage), name, [*facts, fold_digest(split.validation), len(split.train)], label, seed)
    with log.bar(f"tuning {name}", trials) as bar:
        bar.advance(len(_finished_trials(study)))
        while len(_finished_trials(study)) < trials and (minutes is None or _seconds(study) < 60 * minutes):
            if FIRST not in study.user_attrs:
                _try_first(study, begin, objective, log)
            else:
                _try(study, study.ask(), space, objective, log)
            bar.advance(1, note=f"{label} {_best(study).value or math.nan:.4f}")
    return _result(name, label, make, given, space, study)


def _check_budget(split: Split, trials: int, minutes: float | None) -> None:
    """Raise EvaluationError without a validation part, trials or time."""
    if not len(split.validation.target):
        raise EvaluationError("tuning needs a validation part, which is empty; give the split a validation share")
    if trials < 1:
        raise EvaluationError(f"trials is {trials}; try at least once")
    if minutes is not None and not minutes > 0:
        raise EvaluationError(f"minutes is {minutes:g}; give the search some time, or leave it out")


def matters(make: type[Recommender], option: str, range_: Search | Choices, given: dict[str, Any]) -> bool:
    """Tell whether an option is worth searching.

    Args:
        make: The class of the recommender.
        option: The option.
        range_: Its search range.
        given: Options that are fixed; defaults count for the others.

    Returns:
        False where it is fixed itself, or has no effect beside the fixed ones.
    """
    if option in given or isinstance(range_, Choices) or range_.when is None:
        return option not in given
    other, value = range_.when
    return bool(given.get(other, getattr(make, other)) == value)


# --- one trial ------------------------------------------------------------------------------------


def _try_first(study: optuna.Study, begin: dict[str, Any], objective: Objective, log: Log) -> None:
    """Run the first trial. Its options may be outside the ranges, so the study keeps it as an attribute."""
    began = time.perf_counter()
    value: float | None = None
    try:
        value = objective(begin, Log())
    except (TrainingError, OptionError) as error:
        log.line(f"the first trial failed: {error}")
    study.set_user_attr(FIRST, {"options": begin, "value": value, "seconds": time.perf_counter() - began})


def _try(
    study: optuna.Study, trial: optuna.Trial, space: dict[str, Search | Choices], objective: Objective, log: Log
) -> None:
    """Draw options, evaluate them and report the outcome to the study."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    options = {option: _suggest(trial, option, range_) for option, range_ in space.items()}
    trial.set_user_attr("options", options)
    try:
        study.tell(trial, objective(options, _PruningLog(trial)))
    except TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except (TrainingError, OptionError) as error:
        study.tell(trial, state=TrialState.FAIL)
        log.line(f"trial {trial.number} failed: {error}")


def _suggest(trial: optuna.Trial, option: str, range_: Search | Choices) -> Any:
    """Draw one value of an option, rounded to a multiple or to four digits, which read better in a YAML."""
    if isinstance(range_, Choices):
        return trial.suggest_categorical(option, list(range_.values))
    if range_.optional and not trial.suggest_categorical(option + GIVEN, [True, False]):
        return None
    if range_.whole:
        return range_.whole_number(trial.suggest_int(option, int(range_.low), int(range_.high), log=range_.log))
    drawn = float(f"{trial.suggest_float(option, range_.low, range_.high, log=range_.log):.4g}")
    return min(max(drawn, range_.low), range_.high)


class _PruningLog(Log):
    """A log that reports the validation metric of each epoch to the trial and prunes trials below the median."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def record(self, event: str, **fields: Any) -> None:
        from optuna import TrialPruned

        measured = {key: value for key, value in fields.items() if key not in ("model", "epoch", "loss", "seconds")}
        if event != "epoch" or not measured:
            return
        label, value = next(iter(measured.items()))
        try:
            good = metric_of(label).higher_is_better
        except EvaluationError:
            return
        maximise = self.trial.study.direction.name == "MAXIMIZE"
        self.trial.report(float(value) if good == maximise else -float(value), int(fields["epoch"]))
        if self.trial.should_prune():
            raise TrialPruned


# --- the study ------------------------------------------------------------------------------------


def _study(path: Path, name: str, facts: list[Any], label: str, seed: int) -> optuna.Study:
    """Open the study of exactly this search in the file, or create it."""
    try:
        import optuna
    except ImportError as error:
        raise NotAvailable("tuning needs Optuna; pip install 'genre-rec[tuning]'") from error
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(json.dumps(facts, default=repr).encode()).hexdigest()[:12]
    storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
    direction: Literal["maximize", "minimize"] = "maximize" if metric_of(label).higher_is_better else "minimize"
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=1)
    study = optuna.create_study(
        storage=storage, study_name=f"{name}-{digest}", direction=direction, pruner=pruner, load_if_exists=True
    )
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=STARTUP)
    for trial in study.trials:
        if trial.state == TrialState.RUNNING:  # its process was stopped
            study.tell(trial.number, state=TrialState.FAIL)
    return study


def _finished_trials(study: optuna.Study) -> tuple[Trial, ...]:
    """Return every finished trial, in order."""
    out = []
    if FIRST in study.user_attrs:
        first = study.user_attrs[FIRST]
        outcome = "complete" if first["value"] is not None else "fail"
        out.append(Trial(first["options"], first["value"], outcome, first["seconds"]))
    for trial in study.trials:
        if trial.state.is_finished():
            value = trial.value if trial.state.name == "COMPLETE" else None
            seconds = trial.duration.total_seconds() if trial.duration else 0.0
            out.append(Trial(trial.user_attrs.get("options", {}), value, trial.state.name.lower(), seconds))
    return tuple(out)


def _seconds(study: optuna.Study) -> float:
    return sum(trial.seconds for trial in _finished_trials(study))


def _best(study: optuna.Study) -> Trial:
    """Return the best trial with a value, or an empty trial."""
    known = [trial for trial in _finished_trials(study) if trial.value is not None]
    sign = 1 if study.direction.name == "MAXIMIZE" else -1
    return max(known, key=lambda trial: sign * (trial.value or 0.0), default=Trial({}, None, "none", 0.0))


# --- the result ----------------------------------------------------------------------------------


def _result(
    name: str,
    label: str,
    make: type[Recommender],
    given: dict[str, Any],
    space: dict[str, Search | Choices],
    study: optuna.Study,
) -> TuningResult:
    trials, best = _finished_trials(study), _best(study)
    if best.value is None:
        raise EvaluationError(f"{name}: none of {len(trials)} trials succeeded; look at the log, or fix more options")
    warnings = [_edge(make, option, space[option], value) for option, value in best.options.items()]
    failed = sum(trial.outcome == "fail" for trial in trials)
    if failed:
        warnings.append(f"{failed} of {len(trials)} trials failed")
    return TuningResult(
        name=name,
        metric=label,
        options={**given, **best.options},
        value=best.value,
        first=study.user_attrs[FIRST]["value"],
        trials=trials,
        importances=_importances(study),
        warnings=tuple(f"{name}: {line}" for line in warnings if line),
    )


def _edge(make: type[Recommender], option: str, range_: Search | Choices, value: Any) -> str:
    """Return a warning when the best value is at an end of its range that is not its legal limit; else nothing."""
    if isinstance(range_, Choices) or value is None or not range_.low <= value <= range_.high:
        return ""
    low, high, at = (math.log(x) if range_.log else x for x in (range_.low, range_.high, value))
    limits = [getattr(extra, end) for extra in _legal(make, option) for end in ("ge", "le") if hasattr(extra, end)]
    for end, near in (("low", at - low), ("high", high - at)):
        bound = getattr(range_, end)
        if near <= EDGE * (high - low) and bound not in limits:
            return (
                f"the best {option} ({value:g}) is at the {end} end of its range, {range_.low:g} to {range_.high:g}; "
                "search beyond it"
            )
    return ""


def _legal(make: type[Recommender], option: str) -> list[Any]:
    hint = type_hints(make)[option]
    return [extra for _, extra in metadata(hint)]


def _importances(study: optuna.Study) -> dict[str, float]:
    """Return the share of the metric's variance that each option explains; empty after too few trials."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    values = {trial.value for trial in study.trials if trial.state.name == "COMPLETE"}
    if len(values) < STARTUP:
        return {}
    shares: dict[str, float] = {}
    for name, share in get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()).items():
        option = name.removesuffix(GIVEN)  # adds the choice of None and the value of one option
        shares[option] = shares.get(option, 0.0) + float(share)
    return shares


def _label(metric: str) -> str:
    """Return the label of a metric; `ndcg` becomes `ndcg@10`."""
    return next(iter(labels([metric], DEFAULT_K)))
