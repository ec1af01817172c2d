"""Cross-validation of a config: a run for each fold, and what their test parts say together.

Does not know how a fold is cut; the splits of `preprocessing/` do.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from genre import storage
from genre.config.reading import read_config
from genre.config.writing import to_dict
from genre.errors import EvaluationError, OptionError
from genre.evaluation.over_folds import FoldMean, means_over_folds
from genre.log import SILENT, Log
from genre.pipeline import run
from genre.preprocessing.one_fold import OneFold
from genre.preprocessing.splits import Splitter, TimeSplit
from genre.studies import test_evaluations


class CrossValidation(NamedTuple):
    """A config, evaluated on several folds.

    Attributes:
        means: A row for each recommender and metric.
        runs: The run of each fold.
    """

    means: list[FoldMean]
    runs: list[Path]


def cross_validate(
    config: str | Path,
    *,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    folds: int = 5,
    cuts: Sequence[str] = (),
    log: Log = SILENT,
) -> CrossValidation:
    """Make a run of every fold of a config, and average what their test parts say.

    The split of the config says what the folds are: a k-fold where it draws at random, a rolling origin where it goes
    by time. A fold that is there already is not made again.

    Args:
        config: The path of a YAML file.
        overrides: `dotted.key=value` each.
        runs: The folder of all runs.
        folds: How many folds there are.
        cuts: Dates at which the test parts begin, instead of `folds` equal ones; each ends where the next one begins.
        log: Where progress is shown.

    Returns:
        Means with intervals over folds, which `folds.json` beside the runs holds as well, and the runs.

    Raises:
        OptionError: There are no folds of this split.
        EvaluationError: Fewer than two folds.
    """
    experiment = read_config(config, overrides).experiment
    splits = (
        _splits_at(experiment.split, sorted(cuts))
        if cuts
        else [OneFold(experiment.split.scheme, folds, at) for at in range(folds)]
    )
    if len(splits) < 2:
        raise EvaluationError(f"{len(splits)} fold; an interval over folds needs two at least")
    kept = [one for one in overrides if not one.startswith(("split=", "split.", "evaluation.refit="))]
    done = []
    for at, splitter in enumerate(splits, 1):
        log.line(f"fold {at} of {len(splits)}")
        split = json.dumps(to_dict(splitter), default=str)
        done.append(run(config, overrides=[*kept, f"split={split}", "evaluation.refit=false"], runs=runs, log=log))
    sizes = [one.report["data"] for one in done]
    means = means_over_folds(
        [test_evaluations(one.folder) for one in done],
        test_to_train=sum(one["test"] / one["train"] for one in sizes) / len(sizes),
    )
    plain = {"runs": [one.folder.name for one in done], "means": [dataclasses.asdict(row) for row in means]}
    storage.write_json(Path(runs) / f"{experiment.name}-folds.json", plain)
    return CrossValidation(means, [one.folder for one in done])


def _splits_at(splitter: Splitter, cuts: Sequence[str]) -> list[Splitter]:
    """Return a split by time for each date, whose test part ends at the next one."""
    if not isinstance(splitter, TimeSplit):
        raise OptionError(f"dates cut a split by time; the config has a {type(splitter).__name__}")
    ends = [*cuts[1:], None]
    return [
        dataclasses.replace(splitter, test_from=cut, test_until=end, validation_from=None)
        for cut, end in zip(cuts, ends, strict=True)
    ]
