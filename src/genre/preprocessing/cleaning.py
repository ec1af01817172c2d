"""Which interactions are kept, and a report of every row that is not. Knows nothing about files or recommenders.

Each step finds the rows that go; `clean` runs them in order and writes down what each dropped and why.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from genre.kernels.order import counts, repeated_pairs
from genre.options import Doc, Ge, Gt, Le, check_options
from genre.preprocessing.rows import NO_TIME, Rows
from genre.preprocessing.tables import PARTS

Mask = npt.NDArray[np.bool_]
N_EXAMPLES = 5


@dataclass(frozen=True, eq=False)
class Cleaning:
    """What is dropped between the tables and the Dataset; the defaults drop only what cannot be used."""

    repeats: Annotated[
        Literal["first", "last", "max", "sum", "all"],
        Doc(
            "Which of several interactions of a user with an item stays: the `first`, the `last`, the one with the "
            "highest rating or weight (`max`), the last with the weights of all (`sum`), or `all` of them. Rows equal "
            "in every column are one row whatever is chosen."
        ),
    ] = "last"
    weights: Annotated[
        Literal["given", "equal"],
        Doc(
            "Weights as `given`, or 1 for every one above zero (`equal`): raw counts of plays or pieces span so many "
            "orders of magnitude that a few heavy users and items drown the rest."
        ),
    ] = "given"
    rating_scale: Annotated[
        tuple[float, float, float] | None,
        Doc(
            "Lowest rating, highest rating, step; ratings outside are dropped. None: what the owner of the data "
            "states, else what is found."
        ),
    ] = None
    min_rating: Annotated[float | None, Doc("Drop interactions rated below; None: none.")] = None
    positive_rating: Annotated[
        float | None,
        Doc("From this rating on an interaction is a like; None: what the owner states, else 3/4 up the scale."),
    ] = None
    low_rating_weight: Annotated[
        float, Ge(0), Le(1), Doc("Weight of an interaction rated below `positive_rating`, 0 to 1.")
    ] = 0.0
    min_user_interactions: Annotated[
        int, Ge(0), Doc("k-core: users with fewer interactions are dropped until all users and items have enough.")
    ] = 0
    min_item_interactions: Annotated[
        int, Ge(0), Doc("k-core: items with fewer interactions are dropped until all users and items have enough.")
    ] = 0
    max_user_interactions: Annotated[
        Annotated[int, Gt(0)] | None, Doc("Users with more are dropped (robots, shared accounts); None: no limit.")
    ] = None

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Step:
    """What one step of cleaning dropped, why, and a few of the dropped rows (numbered from 1 as in the file)."""

    name: str
    reason: str
    before: int
    after: int
    examples: tuple[dict[str, Any], ...] = ()

    @property
    def dropped(self) -> int:
        """Number of rows that the step dropped."""
        return self.before - self.after

    def __str__(self) -> str:
        rows = ", ".join(f"row {example['row']:,}" for example in self.examples)
        return f"{self.name}: {self.dropped:,} of {self.before:,} rows dropped, {self.reason} (for example {rows})"


@dataclass(eq=False)
class CleaningReport:
    """What was taken for what, and what became of every row.

    facts: one line each: how columns were read, what scale was found, which ids have no interactions.
    steps: each step that dropped rows, in order. before, after: rows read, rows kept.
    """

    before: int = 0
    after: int = 0
    facts: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the report line by line: the facts, the steps, and the number of rows that are kept."""
        yield from self.facts
        yield from map(str, self.steps)
        yield f"{self.after:,} of {self.before:,} interactions kept"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **dataclasses.asdict(self),
            "steps": [{**dataclasses.asdict(step), "dropped": step.dropped} for step in self.steps],
        }


def clean(rows: Rows, cleaning: Cleaning, report: CleaningReport) -> None:
    """Run the steps on `rows` in place, sorted by user, then time; `report` gets a step for each that dropped rows.

    `rating_scale` of `cleaning` must be settled before (see `prepare`).
    """
    rows.sort(_report(rows, report, *_unusable(rows, cleaning)))
    rows.keep(_report(rows, report, *_repeats(rows, cleaning.repeats)))
    if cleaning.max_user_interactions is not None:
        many = counts(rows.user, len(rows.user_ids)) > cleaning.max_user_interactions
        reason = f"{int(many.sum()):,} users with more than {cleaning.max_user_interactions:,} interactions"
        rows.keep(_report(rows, report, _Drop("busy users", reason, np.flatnonzero(many[rows.user]))))
    low_user, low_item = cleaning.min_user_interactions, cleaning.min_item_interactions
    if max(low_user, low_item) > 1:
        core = k_core(rows.user, rows.item, len(rows.user_ids), len(rows.item_ids), low_user, low_item)
        few = f"users with fewer than {low_user} or items with fewer than {low_item} interactions"
        rows.keep(_report(rows, report, _Drop("k-core", f"{few}, until all have enough", np.flatnonzero(~core))))


class _Drop(NamedTuple):
    """Rows that go in one step, by their positions, and why."""

    name: str
    reason: str
    positions: npt.NDArray[np.int64]


def _report(rows: Rows, report: CleaningReport, *drops: _Drop) -> Mask:
    """Write a step for each drop that drops anything and return the mask of the rows that stay, `[n]`."""
    stays, left = np.ones(len(rows), np.bool_), len(rows)
    for name, reason, positions in drops:
        if len(positions):
            n_shown = min(N_EXAMPLES, len(positions))
            first = positions[np.argpartition(rows.source(positions), n_shown - 1)[:n_shown]]
            examples = tuple(rows.example(position) for position in sorted(first, key=rows.source))
            report.steps.append(Step(name, reason, left, left - len(positions), examples))
            left -= len(positions)
            stays[positions] = False
    return stays


def _unusable(rows: Rows, cleaning: Cleaning) -> Iterator[_Drop]:
    """Rows with something missing; of the others those with a number that cannot be; then those asked to go."""
    rating, weight, timestamp = (rows.values(name) for name in ("rating", "weight", "timestamp"))
    gone = np.zeros(len(rows), np.bool_)
    missing = {"no user_id": rows.user < 0, "no item_id": rows.item < 0}
    noise = {}
    for label, column in (("rating", rating), ("weight", weight)):
        if column is not None:
            missing[f"no {label}"] = np.isnan(column)
            noise[f"{label} not finite"] = np.isinf(column)
    if timestamp is not None:
        missing["no timestamp"] = timestamp == NO_TIME
    if weight is not None:
        noise["weight below zero"] = (weight < 0) & np.isfinite(weight)
    if rating is not None and cleaning.rating_scale is not None:
        low, high, _ = cleaning.rating_scale
        outside = (rating < low) | (rating > high)
        noise[f"rating outside {low:g} to {high:g}"] = outside & np.isfinite(rating)
    yield _any_cause("missing values", missing, gone)
    yield _any_cause("noise", noise, gone)
    if rating is not None and cleaning.min_rating is not None:
        low_rating = {f"rated below {cleaning.min_rating:g}": rating < cleaning.min_rating}
        yield _any_cause("low ratings", low_rating, gone)


def _any_cause(name: str, causes: dict[str, Mask], gone: Mask) -> _Drop:
    """The rows of any cause that are not gone yet, each cause counted; adds them to `gone`."""
    found = {cause: mask & ~gone for cause, mask in causes.items() if mask.any()}
    reason = ", ".join(f"{cause}: {count:,}" for cause, mask in found.items() if (count := int(mask.sum())))
    together = np.logical_or.reduce(list(found.values())) if found else np.zeros(0, np.bool_)
    positions = np.flatnonzero(together)
    gone[positions] = True
    return _Drop(name, reason, positions)


def _repeats(rows: Rows, keep: str) -> list[_Drop]:
    """Rows equal in every column, then several rows of one user with one item (and, in a given split, one part)."""
    part = rows.values("part")
    n_parts = 1 if part is None else len(PARTS)
    thing = rows.item if part is None else rows.item * np.int32(n_parts) + part
    several, pair = repeated_pairs(rows.user, thing, len(rows.item_ids) * n_parts)
    if len(several) == 0:
        return []
    copies = _copies(rows, several, pair)
    drops = [_Drop("duplicates", "equal to another row in every column", several[copies])]
    if keep != "all":
        several, pair = several[~copies], pair[~copies]
        gone = np.ones(len(several), np.bool_)
        gone[_winners(rows, several, pair, keep)] = False
        kept = {"sum": "the last kept with the weight of all", "max": "the highest kept"}.get(keep, f"the {keep} kept")
        drops.append(_Drop("repeats", f"the same user and item again, {kept}", several[gone]))
    return drops


def _copies(rows: Rows, several: npt.NDArray[np.int64], pair: npt.NDArray[np.int64]) -> Mask:
    """Which of `several`, rows by pair, then time, equal another one that stays."""
    new = np.diff(pair, prepend=-1) != 0
    if (timestamp := rows.values("timestamp", several)) is not None:
        new[1:] |= np.diff(timestamp) != 0
    close = np.flatnonzero(~new | np.append(~new[1:], False))  # the few that share pair and time are compared further
    numbers = [rows.values(name, several[close]) for name in ("rating", "weight")]
    columns = [np.cumsum(new)[close], *(column for column in numbers if column is not None)]
    order = np.lexsort(columns[::-1])
    equal = np.logical_and.reduce([np.diff(column[order]) == 0 for column in columns])
    copies = np.zeros(len(several), np.bool_)
    copies[close[order[1:][equal]]] = True
    return copies


def _winners(
    rows: Rows, several: npt.NDArray[np.int64], pair: npt.NDArray[np.int64], keep: str
) -> npt.NDArray[np.int64]:
    """Which of `several` stay, one of each pair; `several` are rows by pair, then time."""
    starts = np.flatnonzero(np.diff(pair, prepend=-1))
    if keep == "first":
        return starts
    ends = np.append(starts[1:], len(several)) - 1
    if keep == "max":
        strength = rows.values("rating" if "rating" in rows.columns else "weight", several)
        return ends if strength is None else np.asarray(np.lexsort((strength, pair))[ends])
    if keep == "sum":
        rows.put("weight", several[ends], np.add.reduceat(rows.values("weight", several), starts))
    return ends


Int32 = npt.NDArray[np.int32]


def k_core(user: Int32, item: Int32, n_users: int, n_items: int, min_user: int, min_item: int) -> npt.NDArray[np.bool_]:
    """Drop users and items with too few interactions, again and again, and return the mask `[n]` of those that stay.

    The result is unique: the largest set in which every user and every item has enough.
    """
    kept = np.ones(len(user), np.bool_)
    of_user, of_item = counts(user, n_users), counts(item, n_items)
    while True:
        poor_user, poor_item = (of_user < min_user) & (of_user > 0), (of_item < min_item) & (of_item > 0)
        if not (poor_user.any() or poor_item.any()):
            return kept
        leaving = np.flatnonzero((poor_user[user] | poor_item[item]) & kept)
        kept[leaving] = False
        of_user -= counts(user[leaving], n_users)
        of_item -= counts(item[leaving], n_items)
