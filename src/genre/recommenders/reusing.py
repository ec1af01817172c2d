"""Fit a recommender without fitting again what is fitted already: members of blends, first stages.

Knows which options `fit` reads; does not know where fitted recommenders are kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.log import SILENT, Log
from genre.recommenders.base import Recommender

HeldOut = dict[tuple[str, str], Recommender]
"""Fingerprint of what is left of a training part, and `fit_key` -> what was fitted on it."""


class Reusable:
    """What is fitted already on one training part, with one validation part, for what is fitted next on the same."""

    def __init__(self, part: Dataset, fitted: Iterable[Recommender] = (), held_out: HeldOut | None = None) -> None:
        """Keep what there is.

        Args:
            part: The training part.
            fitted: Fitted recommenders; what is inside them is used, too.
            held_out: What was fitted on that part without its last items; what is fitted on it is added. None: nothing.
        """
        self._fitted = {fit_key(one): one for whole in fitted for one in inside(whole)}
        self._held_out: HeldOut = {} if held_out is None else held_out
        self._part = part

    def find(self, recommender: Recommender, dataset: Dataset) -> Recommender | None:
        """Return a fitted recommender with these options, or None.

        Args:
            recommender: The options.
            dataset: What it would learn from. What is inside another recommender may learn from data that it makes
                of the training part, such as scaled ratings; for those nothing is fitted.

        Returns:
            One whose options are the same, but for those that scoring alone reads.
        """
        return self._fitted.get(fit_key(recommender)) if dataset is self._part else None

    def hold_out(self, context: Dataset, fitted: Iterable[Recommender]) -> None:
        """Keep what was fitted on a training part without its last items.

        Args:
            context: What is left of it.
            fitted: What was fitted on that, without a validation part.
        """
        part = context.fingerprint()
        self._held_out |= {(part, fit_key(one.chosen())): one for one in fitted}

    def is_held_out(self, chosen: Recommender) -> bool:
        """Tell whether a recommender was fitted without the last items.

        Args:
            chosen: The recommender as validation chose it.

        Returns:
            True where `fit_held_out` would have nothing to do.
        """
        return fit_key(chosen) in {key for _, key in self._held_out}

    def fit_held_out(self, chosen: Recommender, context: Dataset, log: Log) -> Recommender:
        """Fit on a training part without its last items, unless that is done.

        Args:
            chosen: The recommender as validation chose it (`Recommender.chosen`).
            context: What is left of the training part.
            log: Where progress is shown.

        Returns:
            It, fitted.
        """
        key = context.fingerprint(), fit_key(chosen)
        if key in self._held_out:
            log.record("reused", model=type(chosen).__name__, without_last=True)
            return _learnt_by(self._held_out[key], chosen)
        self._held_out[key] = chosen.fit(context, log=log)
        return chosen


def fit_reusing(
    recommender: Recommender,
    reusable: Reusable | None,
    dataset: Dataset,
    *,
    validation: Fold | None = None,
    checkpoint: Path | None = None,
    log: Log = SILENT,
) -> Recommender:
    """Fit a recommender, or what of it is not fitted already; the scores are those of `fit`.

    Args:
        recommender: The recommender.
        reusable: What is fitted already on the same data; None: nothing.
        dataset: The training part.
        validation: See `Recommender.fit`.
        checkpoint: See `Recommender.fit`.
        log: Where progress is shown.

    Returns:
        The recommender itself.
    """
    known = None if reusable is None else reusable.find(recommender, dataset)
    if known is not None:
        log.record("reused", model=type(known).__name__)
        return _learnt_by(known, recommender)
    recommender._reusable = reusable
    try:
        return recommender.fit(dataset, validation=validation, checkpoint=checkpoint, log=log)
    finally:
        recommender._reusable = None  # a fitted recommender keeps no other one


def fit_key(recommender: Recommender) -> str:
    """Return what `fit` reads of the options, as text: equal where the same would be learnt from the same data.

    Args:
        recommender: A recommender.

    Returns:
        The class and its options, without those that scoring alone reads.
    """
    fields = dataclasses.fields(recommender)  # type: ignore[arg-type]  # every recommender is a dataclass
    read = {one.name: getattr(recommender, one.name) for one in fields if one.name not in recommender.scoring_options}
    return f"{type(recommender)!r} {read!r}"  # every option, at any depth


def inside(recommender: Recommender) -> Iterator[Recommender]:
    """Yield a recommender and those inside it that learn from the same data.

    Args:
        recommender: A recommender, fitted or not.

    Yields:
        Each of them, fitted where it is.
    """
    yield recommender
    for member in recommender.members():
        yield from inside(member)


def _learnt_by(fitted: Recommender, recommender: Recommender) -> Recommender:
    """Give a recommender what another of equal `fit_key` has learnt; the arrays are shared."""
    options = {one.name for one in dataclasses.fields(recommender)}  # type: ignore[arg-type]
    vars(recommender).update({name: value for name, value in vars(fitted).items() if name not in options})
    return recommender
