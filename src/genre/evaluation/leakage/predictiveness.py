"""The predictiveness probe: does a field, a text or a vector know of the test part what it does not know of validation?

Three questions, each put to the test part and, by the same means, to the validation part:

- *counts*: how much of what the part changed (whether an item is in it, how often it was taken, how it was rated, when
  last) does the field explain, beyond what earlier interactions explain? (cross-validated, on ranks; whether an item is
  in the part among items that were taken equally often before)
- *choices*: do the items that a user took in the part have the field in common with one another, or with the user's
  history? By the area under the curve against the choices of other users, so that popular items have no advantage;
  for fields of users with the roles exchanged.
- *words*: do a user's texts share more words with the items that the user took than with those that others took?

Does not know where fields come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds
from scipy.stats import rankdata

from genre.arrays import Float64
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.evaluation.leakage.presence import popularity_levels
from genre.evaluation.leakage.readings import FieldReading
from genre.evaluation.leakage.ties import together

FOLDS = 4
SCREENED = 100  # columns of a reading that a regression gets
FEWEST = 30  # rows that a regression needs
MOST_TARGETS = 1_500
OTHERS = 6  # choices of other users that a choice is compared with

COUNT, ALL, ALONE = "number of interactions", "over all interactions", "of the later part alone"
THERE = "being in it at all"
TASTE, TASTES = "direction of taste", 6
LEAST_ATTAINABLE = 0.25  # share that a rarer mark is judged by: what a few rows explain is chance
WORTH_COMPARING = 0.2  # a share below it says nothing, whatever it is in the validation part


@dataclass(frozen=True)
class Prediction:
    """How well a reading predicts the test part, and the validation part by the same means.

    Attributes:
        what: What it predicts.
        test: Share explained, or area under the curve, in the test part.
        validation: The same in the validation part; NaN where it is too small.
        n: Rows behind `test`.
    """

    what: str
    test: float
    validation: float
    n: int


def statistics_of(data: Dataset, side: str, numbers: Mapping[str, Float64], tastes: Float64) -> dict[str, Float64]:
    """Compute what a field may have been computed from.

    Args:
        data: Interactions.
        side: `item` or `user`.
        numbers: Label -> a number for each row of the other side, whose mean over the interactions is a statistic too.
        tastes: Singular vectors of the other side `[n_other, k]`, whose sums over the interactions are the coordinates
            that factor models learn.

    Returns:
        Label -> one number for each item or user, NaN without interactions. [n] each
    """
    rows, n = getattr(data, side), getattr(data, f"n_{side}s")
    count = np.bincount(rows, minlength=n).astype(np.float64)
    some = np.where(count > 0, count, np.nan)
    out: dict[str, Float64] = {COUNT: count}
    if data.rating is not None:
        out["mean rating"] = np.bincount(rows, data.rating, n) / some
        best = data.rating >= data.rating.max(initial=0)
        out["mean of the highest rating"] = np.bincount(rows, best, n) / some
    if data.timestamp is not None:
        last = np.full(n, -np.inf)
        np.maximum.at(last, rows, data.timestamp.astype(np.float64))
        out["time of the last interaction"] = np.asarray(np.where(count > 0, last, np.nan), np.float64)
    for label, values in numbers.items():
        each = values[data.item if side == "user" else data.user]
        known = np.isfinite(each)
        n_known = np.bincount(rows[known], minlength=n)
        out[f"mean of {label}"] = np.bincount(rows[known], each[known], n) / np.where(n_known > 0, n_known, np.nan)
    for at, column in enumerate(tastes.T):
        each = data.weight * column[data.item if side == "user" else data.user]
        out[f"{TASTE} {at + 1}"] = np.asarray(np.bincount(rows, each, n), np.float64)
    return out


def tastes_of(train: Dataset, side: str) -> Float64:
    """Compute the leading singular vectors of the interactions.

    Args:
        train: The train part.
        side: `item` or `user`: whose vectors.

    Returns:
        One row for each user or item `[n, k]`, of length 1 in the mean; no column for tiny data.
    """
    matrix = train.matrix().astype(np.float64)
    k = min(TASTES, min(matrix.shape) - 1)
    if k < 1 or not matrix.nnz:
        return np.zeros((getattr(train, f"n_{side}s"), 0))
    left, _, right = svds(matrix, k=k, random_state=0)
    vectors = right.T if side == "item" else left
    return np.asarray(vectors * np.sqrt(len(vectors)), np.float64)


@dataclass(frozen=True, eq=False)
class Changes:
    """What a part of the split changed: each statistic before it, with it, and of it alone.

    Attributes:
        before: Label -> the statistic of the history, and of the train part alone. [n] each
        after: Label -> the statistic to explain: with the part, and of the part alone. [n] each
    """

    before: dict[str, list[Float64]]
    after: dict[str, Float64]

    @classmethod
    def of(cls, fold: Fold, train: Dataset, side: str, numbers: Mapping[str, Float64], tastes: Float64) -> Changes:
        """Compute the statistics of a fold.

        Args:
            fold: The fold.
            train: The train part, whose statistics anything may know.
            side: `item` or `user`.
            numbers: As in `statistics_of`.
            tastes: As in `statistics_of`.

        Returns:
            The statistics.
        """
        parts = fold.context, train, fold.target, together(fold)[0]
        history, trained, new, whole = (statistics_of(part, side, numbers, tastes) for part in parts)
        earlier = (history,) if fold.context is train else (history, trained)
        before = {label: [one[label] for one in earlier if label in one] for label in new if label in history}
        after = {f"{label} {ALL}": values for label, values in whole.items()}
        after |= {f"{label} {ALONE}": values for label, values in new.items()}
        after = {label: values for label, values in after.items() if _statistic(label) in before}
        before[THERE] = before[COUNT]
        return cls(before, after | {THERE: np.asarray(new[COUNT] > 0, np.float64)})

    def explained(self, reading: FieldReading, label: str) -> tuple[float, int]:
        """Compute the share of a statistic that a reading explains beyond the earlier interactions.

        Args:
            reading: The reading.
            label: A label of `after`.

        Returns:
            The share, cross-validated on ranks, and the number of rows; 0 where they are too few.
        """
        value, earlier = self.after[label], self.before[_statistic(label)]
        known = [*earlier, *self.before[COUNT]] if _statistic(label) != COUNT else earlier
        usable = np.isfinite(np.column_stack([value, *known])).all(axis=1)
        if label.endswith(ALL):
            usable &= value != earlier[0]
        if reading.number:
            usable &= np.isfinite(reading.values[:, 0])
        rows = np.flatnonzero(usable)
        if len(rows) < FEWEST:
            return 0.0, len(rows)
        scale = _standard if label.startswith(TASTE) else _ranks  # vectors are sums, and ranks are not
        scaled = [scale(one[rows]) for one in known]
        levels = [popularity_levels(one[rows]) for one in self.before[COUNT]]  # what is new differs from all else
        controls = _orthonormal(np.column_stack([*levels, *scaled, *(one**2 for one in scaled)]))
        target = _without(controls, scale(value[rows]))
        if target.std() < 1e-6:
            return 0.0, len(rows)
        columns = _ranks(reading.values[rows, 0])[:, None] if reading.number else reading.values[rows]
        share = max(_cross_validated(columns, controls, target / target.std()), 0.0)
        if reading.number and label != THERE:
            share /= _most_explained(reading.values[rows, 0])
        return min(share, 1.0), len(rows)


def count_predictions(reading: FieldReading, validation: Changes, test: Changes) -> Iterator[Prediction]:
    """Measure how much of the change of each statistic a reading explains.

    Args:
        reading: The reading.
        validation: The changes of the validation part.
        test: The changes of the test part.

    Yields:
        Prediction for each statistic.
    """
    for label in test.after:
        if label.startswith(TASTE) and not reading.vectors:
            continue
        share, n = test.explained(reading, label)
        if share >= WORTH_COMPARING:
            usual = validation.explained(reading, label)[0] if label in validation.after else 0.0
            yield Prediction(label, share, usual, n)


def _statistic(label: str) -> str:
    """Return the name of the statistic that a label of `Changes.after` is about."""
    return label.removesuffix(f" {ALL}").removesuffix(f" {ALONE}")


def _cross_validated(columns: Float64 | sp.csr_matrix, controls: Float64, target: Float64) -> float:
    """Return the share of the target that columns explain in rows that a ridge regression has not seen."""
    part = np.random.default_rng(0).permutation(len(target)) % FOLDS
    wrong = 0.0
    for fold in range(FOLDS):
        fit, judge = part != fold, part == fold
        best = _screened(columns[fit], target[fit])
        picked = columns[:, best]
        dense = _without(
            controls, np.asarray(picked.todense() if isinstance(picked, sp.csr_matrix) else picked, np.float64)
        )
        dense /= np.maximum(dense[fit].std(axis=0), 1e-9)
        gram = dense[fit].T @ dense[fit] + np.eye(len(best)) * (0.02 * len(best) + 0.5)
        predicted = dense[judge] @ np.linalg.solve(gram, dense[fit].T @ target[fit])
        wrong += float(((target[judge] - predicted) ** 2).sum())
    return 1 - wrong / float((target**2).sum())


def _screened(columns: Float64 | sp.csr_matrix, target: Float64) -> npt.NDArray[np.int64]:
    """Return the columns that are nearest to the target, each by itself."""
    together = np.abs(np.asarray(columns.T @ target).ravel())
    squares = (columns.multiply(columns) if isinstance(columns, sp.csr_matrix) else columns**2).sum(axis=0)
    return np.argsort(-together / np.sqrt(np.asarray(squares).ravel() + 1e-9), kind="stable")[:SCREENED]


def _ranks(values: Float64) -> Float64:
    """Return ranks between -1 and 1, tied values at their mean."""
    return np.asarray(2 * (rankdata(values) - 0.5) / len(values) - 1, np.float64)


def _most_explained(values: Float64) -> float:
    """Return the share of the variance of ranks that tied values can explain: a mark on a tenth of the rows, .27."""
    _, count = np.unique(values, return_counts=True)
    return max(1 - float(((count / len(values)) ** 3).sum()), LEAST_ATTAINABLE)


def _standard(values: Float64) -> Float64:
    """Scale values to a standard deviation of one."""
    return np.asarray((values - values.mean()) / max(values.std(), 1e-9), np.float64)


def _orthonormal(columns: Float64) -> Float64:
    """Return an orthonormal basis of columns, of which some may depend on others. [n, rank]."""
    left, size, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, size > 1e-9 * size[0]], np.float64)


def _without(controls: Float64, values: Float64) -> Float64:
    """Return what a linear regression on orthonormal controls leaves of values."""
    return values - controls @ (controls.T @ values)


def choice_predictions(reading: FieldReading, split: Split, side: str) -> Iterator[Prediction]:
    """Measure whether choices have a reading in common, with one another and with the history.

    Args:
        reading: The reading.
        split: The split.
        side: `item` or `user`: whose reading it is.

    Yields:
        Prediction.
    """
    for what, inside in (("what is chosen together", True), ("what is chosen after the history", False)):
        areas = [shared_area(reading.likeness, fold, side, inside=inside) for fold in (split.validation, split.test)]
        yield Prediction(what, areas[1][0], areas[0][0], areas[1][1])


def shared_area(likeness: Float64 | sp.csr_matrix, fold: Fold, side: str, *, inside: bool) -> tuple[float, int]:
    """Compute how often a target is more like its group than the target of another group is: 0.5 is chance.

    Args:
        likeness: Rows of users or items. [n, d]
        fold: The fold.
        side: `item` or `user`: what the rows are; a group is what one user took, or those who took one item.
        inside: Whether the group is made of the other targets; else of the history.

    Returns:
        The area under the curve, NaN without targets that have a group, and the number of targets.
    """
    other = "user" if side == "item" else "item"
    group, member = (np.asarray(getattr(fold.target, name), np.int64) for name in (other, side))
    source = fold.target if inside else fold.context
    n_groups = getattr(fold.target, f"n_{other}s")
    belongs = sp.csr_matrix(
        (np.ones(len(source)), (getattr(source, other), getattr(source, side))),
        shape=(n_groups, getattr(source, f"n_{side}s")),
    )
    size = np.bincount(getattr(source, other), minlength=n_groups)
    rows = np.flatnonzero(size[group] > (1 if inside else 0))
    if len(rows) < 2:
        return float("nan"), 0
    rows, rng = _sample(rows), np.random.default_rng(0)
    names, place = np.unique(group[rows], return_inverse=True)
    profile = belongs[names] @ likeness
    own = _products(profile, place, likeness, member[rows])
    own = own - (_products(likeness, member[rows], likeness, member[rows]) if inside else 0)
    wins = np.zeros(len(rows))
    for _ in range(OTHERS):
        rival = member[rng.choice(len(group), len(rows))]
        theirs = _products(profile, place, likeness, rival)
        if inside:  # the group without the target, for both
            theirs = theirs - _products(likeness, member[rows], likeness, rival)
        wins += (own > theirs + 1e-9) + 0.5 * (np.abs(own - theirs) <= 1e-9)
    return float(wins.mean() / OTHERS), len(rows)


def _products(
    one: Float64 | sp.csr_matrix,
    rows: npt.NDArray[np.int64],
    other: Float64 | sp.csr_matrix,
    others: npt.NDArray[np.int64],
) -> Float64:
    """Multiply rows with rows. [len(rows)]."""
    if isinstance(one, sp.csr_matrix):
        return np.asarray(one[rows].multiply(other[others]).sum(axis=1)).ravel()
    return np.asarray(np.einsum("nd,nd->n", one[rows], other[others]), np.float64)


def word_prediction(users: sp.csr_matrix, items: sp.csr_matrix, split: Split) -> Prediction:
    """Measure whether texts of users share words with the texts of what they took.

    Args:
        users: The words of a text of each user, weighed. [n_users, words]
        items: Those of each item, over the same vocabulary. [n_items, words]
        split: The split.

    Returns:
        The evidence.
    """
    areas = []
    for fold in (split.validation, split.test):
        target, rng = fold.target, np.random.default_rng(0)
        written = (np.diff(users.indptr)[target.user] > 0) & (np.diff(items.indptr)[target.item] > 0)
        rows = _sample(np.flatnonzero(written & ~fold.repeats()))
        user, item = target.user[rows].astype(np.int64), target.item.astype(np.int64)
        own, wins = _products(users, user, items, item[rows]), np.zeros(len(rows))
        for _ in range(OTHERS):
            theirs = _products(users, user, items, item[rng.choice(len(item), len(rows))]) if len(rows) else own
            wins += (own > theirs + 1e-9) + 0.5 * (np.abs(own - theirs) <= 1e-9)
        areas.append((float(wins.mean() / OTHERS) if len(rows) else float("nan"), len(rows)))
    return Prediction("words of what is chosen", areas[1][0], areas[0][0], areas[1][1])


def _sample(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Draw at most `MOST_TARGETS` rows, in order."""
    if len(rows) <= MOST_TARGETS:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_TARGETS, replace=False))
