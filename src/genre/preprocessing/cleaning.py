"""Which interactions are kept, and a report of every row that is not. Does not know about files or recommenders.

Each step is a pure function: a lazy frame in, the frame of the rows that stay and the report of the others out. The
frames are narwhals expressions, so that the same lines run on every engine. Columns of a frame: `user` and `item` (row
numbers, null where the id is missing), `row`, and where known `rating`, `weight`, `timestamp`, `moment`, `part`,
`trouble` (see `tables.Tables`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import narwhals as nw
import numpy as np

from genre.display import counted
from genre.engines.base import Engine, Frame, n_rows, plain_rows, totals
from genre.errors import DataError
from genre.options import Doc, Ge, Gt, Le, check_options
from genre.preprocessing.cleaning_report import Step

N_EXAMPLES = 5
RARE = 0.01
"""Ratings of at most this share of the rows may be outliers."""
CALENDAR = (300_000_000, 4_102_444_800)
"""Times between 1979 and 2100 are plausible, in seconds since 1970."""
SHOWN = ("row", "user", "item", "rating", "weight", "timestamp", "trouble")

Scale = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Cleaning:
    """What is dropped between the tables and the Dataset; the defaults drop only what cannot be used."""

    repeats: Annotated[
        Literal["first", "last", "max", "sum", "all"],
        Doc(
            "Which of several interactions of a user with an item stays: the `first`, the `last`, the one with the "
            "highest rating or weight (`max`), the last with the weights of all (`sum`), or `all` of them. Decided in "
            "each part after the split. Rows equal in every column are one row whatever is chosen."
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
            "states, else what the train part holds."
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
    outliers: Annotated[
        Literal["drop", "keep"],
        Doc(
            "What happens to ratings of at most 1 % of the rows that lie further from all other ratings than those "
            "span, and to dates outside 1980 to 2100: dropped and counted, or kept."
        ),
    ] = "drop"
    returns: Annotated[
        Literal["drop", "cancel"],
        Doc(
            "Interactions of negative weight are dropped, or also `cancel` the latest earlier purchases of the user "
            "and item, up to their quantity."
        ),
    ] = "drop"
    bad_rows: Annotated[
        float, Ge(0), Le(1), Doc("Share of rows that may be unreadable and are dropped; more is an error.")
    ] = 0.05
    min_user_interactions: Annotated[
        int, Ge(0), Doc("k-core: users with fewer interactions are dropped until all users and items have enough.")
    ] = 0
    min_item_interactions: Annotated[
        int, Ge(0), Doc("k-core: items with fewer interactions are dropped until all users and items have enough.")
    ] = 0
    max_user_interactions: Annotated[
        int | None, Gt(0), Doc("Users with more are dropped (robots, shared accounts); None: no limit.")
    ] = None

    def __post_init__(self) -> None:
        check_options(self)


def drop_unusable(frame: Frame, cleaning: Cleaning, scale: Scale | None, *, calendar: bool) -> tuple[Frame, list[Step]]:
    """Drop rows with a cell that cannot be read, with something missing, or with a number that cannot be.

    Args:
        frame: numbered interactions.
        cleaning: the rules.
        scale: the rating scale that is stated, or None.
        calendar: whether timestamps are dates.

    Returns:
        The rows that stay, and a step for each kind of drop.
    """
    columns = frame.collect_schema().names()
    causes = [*_missing_causes(columns), *_noise_causes(frame, columns, cleaning, scale, calendar=calendar)]
    if cleaning.min_rating is not None and "rating" in columns:
        kind = f"rated below {cleaning.min_rating:g}"
        causes.append(Cause("low ratings", kind, nw.col("rating") < cleaning.min_rating))
    return _drop(frame, causes)


def drop_duplicates(frame: Frame, engine: Engine, *, ordered: bool) -> tuple[Frame, list[Step]]:
    """Keep one of rows that are equal in every column.

    Args:
        frame: numbered interactions.
        engine: works on the frame.
        ordered: whether the place in the source is the time, so that no two rows are equal.

    Returns:
        The rows that stay, the first of equal ones, and a step where there were copies.
    """
    if ordered:
        return frame, []
    names = frame.collect_schema().names()
    keys: list[str] = [name for name in ("user", "item", "timestamp") if name in names]
    again = frame.group_by(keys).agg(nw.len().alias("n")).filter(nw.col("n") > 1).select(keys)
    alike = engine.write(frame.join(again, on=keys, how="semi"))  # few rows, so that the rest is not grouped in full
    same = [name for name in names if name != "row"]
    first = engine.write(alike.group_by(same).agg(nw.col("row").min(), nw.len().cast(nw.Int64).alias("copies")))
    dropped = n_rows(alike) - n_rows(first)
    if not dropped:
        return frame, []
    before = n_rows(frame)
    copies = engine.write(alike.join(first.select("row"), on="row", how="anti").select("row"))
    examples = _examples(first.filter(nw.col("copies") > 1), names)
    step = Step("duplicates", "equal to another row in every column that is read", before, before - dropped, examples)
    return frame.join(copies, on="row", how="anti"), [step]


def drop_busy_users(frame: Frame, most: int | None) -> tuple[Frame, list[Step]]:
    """Drop users with very many interactions, such as robots.

    Args:
        frame: numbered interactions.
        most: interactions that a user may have; None: any number.

    Returns:
        The rows that stay, and a step where users were dropped.
    """
    if most is None:
        return frame, []
    busy = frame.group_by("user").agg(nw.len().alias("n")).filter(nw.col("n") > most)
    users = n_rows(busy)
    if not users:
        return frame, []
    reason = f"{counted(users, 'user')} with more than {most:,} interactions"
    gone = frame.join(busy, on="user", how="semi")
    kept = frame.join(busy, on="user", how="anti")
    return kept, [_step("busy users", reason, frame, kept, gone)]


def drop_k_core(frame: Frame, engine: Engine, min_user: int, min_item: int, *, pairs: bool) -> tuple[Frame, list[Step]]:
    """Drop users and items with few interactions, again and again, until all have enough.

    The result is unique: the largest set in which every user and every item has enough.

    Args:
        frame: numbered interactions.
        engine: works on the frame.
        min_user: interactions that a user needs.
        min_item: interactions that an item needs.
        pairs: count a user's repeated interactions with an item once.

    Returns:
        The rows that stay, and a step where some were dropped.
    """
    if max(min_user, min_item) <= 1:
        return frame, []
    frame = engine.write(frame)
    counted = engine.write(_pairs(frame)) if pairs else frame.select("user", "item")
    left, sizes, before = counted, (-1, -1), None
    while sizes != before:
        before = sizes
        users = engine.write(_frequent(left, "user", min_user))
        items = engine.write(_frequent(counted.join(users, on="user", how="semi"), "item", min_item))
        left = counted.join(users, on="user", how="semi").join(items, on="item", how="semi")
        sizes = n_rows(users), n_rows(items)
    by_user = frame.join(users, on="user", how="semi")
    kept = engine.write(by_user.join(items, on="item", how="semi"))
    gone = nw.concat([frame.join(users, on="user", how="anti"), by_user.join(items, on="item", how="anti")])
    reason = f"users with fewer than {min_user} or items with fewer than {min_item} interactions, until all have enough"
    step = _step("k-core", reason, frame, kept, gone)
    return kept, [step] if step.dropped else []


def _pairs(frame: Frame) -> Frame:
    """The distinct pairs of user and item, by grouping: `unique` sorts on some engines."""
    return frame.group_by("user", "item").agg(nw.len().alias("n")).select("user", "item")


def _frequent(frame: Frame, label: str, least: int) -> Frame:
    """The users or items with at least so many rows."""
    return frame.group_by(label).agg(nw.len().alias("n")).filter(nw.col("n") >= least).select(label)


def check_bad_rows(name: str, bad: int, before: int, share: float, first: str) -> None:
    """Refuse data of which too many rows cannot be read.

    Args:
        name: what the data is called.
        bad: rows that cannot be read.
        before: rows of the source.
        share: the share that may be dropped.
        first: what is wrong with the first of them.

    Raises:
        DataError: more than the share cannot be read.
    """
    if bad > share * before:
        more = f"; {bad:,} of {before:,} rows cannot be read" if bad > 1 else ""
        raise DataError(
            f"{name}: {first}{more}; correct it, leave the cell empty, or allow more than {share:g} with cleaning: "
            "{bad_rows: ...} (in Python: cleaning=Cleaning(bad_rows=...))"
        )


def outlier_bounds(levels: Sequence[float], counts: Sequence[int]) -> tuple[float, float]:
    """Find the range outside of which ratings are outliers.

    From the outside in, the rows of an extreme level are outliers when they are at most 1 % of all rows (or one row),
    and the level is further from the next one than all levels inside span. At least three levels stay inside.

    Args:
        levels: the different ratings, ascending. [n]
        counts: rows of each. [n]

    Returns:
        The lowest and the highest rating that are none.
    """
    first, last, total = 0, len(levels) - 1, sum(counts)
    few = max(1, int(RARE * total))
    moved = True
    while moved and last - first >= 3:
        moved = False
        for side in ("high", "low"):
            inside = (first, last - 1) if side == "high" else (first + 1, last)
            gap = levels[last] - levels[last - 1] if side == "high" else levels[first + 1] - levels[first]
            beyond = sum(counts[last:] if side == "high" else counts[: first + 1])
            if inside[1] - inside[0] >= 2 and beyond <= few and gap > levels[inside[1]] - levels[inside[0]]:
                first, last = inside
                moved = True
    return levels[first], levels[last]


class Cause(NamedTuple):
    """Why rows are dropped.

    Attributes:
        step: the step that the cause belongs to.
        kind: what is wrong, as the report says it.
        meets: the condition of the rows.
    """

    step: str
    kind: str
    meets: nw.Expr


def _missing_causes(columns: Sequence[str]) -> Iterator[Cause]:
    """Cells that cannot be read, and cells that are empty."""
    if "trouble" in columns:
        yield Cause("bad cells", "cells that cannot be read", ~nw.col("trouble").is_null())
    for name in ("user", "item"):
        yield Cause("missing values", f"no {name}_id", nw.col(name).is_null())
    for name in ("rating", "weight"):
        if name in columns:
            yield Cause("missing values", f"no {name}", nw.col(name).is_null() | nw.col(name).is_nan())
    if "timestamp" in columns:
        yield Cause("missing values", "no timestamp", nw.col("timestamp").is_null())


def _noise_causes(
    frame: Frame, columns: Sequence[str], cleaning: Cleaning, scale: Scale | None, *, calendar: bool
) -> Iterator[Cause]:
    """Numbers and times that cannot be."""
    for name in ("rating", "weight"):
        if name in columns:
            yield Cause("noise", f"{name} not finite", ~nw.col(name).is_finite())
    if "weight" in columns and cleaning.returns == "drop":
        yield Cause("noise", "weight below zero", nw.col("weight") < 0)
    low, high = _rating_bounds(frame, cleaning, scale) if "rating" in columns else (None, None)
    if low is not None and high is not None:
        outside = (nw.col("rating") < low) | (nw.col("rating") > high)
        yield Cause("noise", f"rating outside {low:g} to {high:g}", outside)
    if calendar and cleaning.outliers == "drop" and "timestamp" in columns and _dated(frame):
        first, last = CALENDAR
        outside = (nw.col("timestamp") < first) | (nw.col("timestamp") > last)
        yield Cause("noise", "time outside 1980 to 2100", outside)


def _rating_bounds(frame: Frame, cleaning: Cleaning, scale: Scale | None) -> tuple[float | None, float | None]:
    """Lowest and highest rating that are kept; None: all are."""
    if scale is not None:
        return scale[0], scale[1]
    if cleaning.outliers == "keep":
        return None, None
    finite = frame.filter(~nw.col("rating").is_null(), nw.col("rating").is_finite())
    levels = plain_rows(finite.group_by("rating").agg(nw.len().cast(nw.Int64).alias("n")).sort("rating"))
    if not levels:
        return None, None
    bounds = outlier_bounds([row["rating"] for row in levels], [row["n"] for row in levels])
    return bounds if bounds != (levels[0]["rating"], levels[-1]["rating"]) else (None, None)


def _dated(frame: Frame) -> bool:
    """Whether at least half of the times are between 1980 and 2100."""
    time = nw.col("timestamp")
    found = totals(frame, given=~time.is_null(), inside=time.is_between(*CALENDAR))
    return 2 * found["inside"] >= found["given"]


def _drop(frame: Frame, causes: Sequence[Cause]) -> tuple[Frame, list[Step]]:
    """Drop the rows that meet some cause; of several causes the first counts."""
    flagged = _flagged(frame, [*enumerate(causes)])
    counts = plain_rows(flagged.group_by("cause").agg(nw.len().cast(nw.Int64).alias("n")))
    found = {row["cause"]: row["n"] for row in counts}
    left, steps = sum(found.values()), []
    flagged = _flagged(frame, [(place, cause) for place, cause in enumerate(causes) if place in found])
    for name in dict.fromkeys(cause.step for cause in causes):
        places = [place for place, cause in enumerate(causes) if cause.step == name and place in found]
        if not places:
            continue
        dropped = sum(found[place] for place in places)
        reason = ", ".join(f"{causes[place].kind}: {found[place]:,}" for place in places)
        examples = _examples(flagged.filter(nw.col("cause").is_in(places)), frame.collect_schema().names())
        steps.append(Step(name, reason, left, left - dropped, examples))
        left -= dropped
    kept = flagged.filter(nw.col("cause") < 0).drop("cause") if steps else frame
    return kept, steps


def _flagged(frame: Frame, causes: Sequence[tuple[int, Cause]]) -> Frame:
    """The rows with the number of the first cause they meet as `cause`, -1 where they meet none."""
    number = nw.lit(-1)
    for place, cause in reversed(causes):
        number = nw.when(cause.meets).then(nw.lit(place)).otherwise(number)
    return frame.with_columns(number.cast(nw.Int64).alias("cause"))


def _step(name: str, reason: str, frame: Frame, kept: Frame, gone: Frame) -> Step:
    before, after = n_rows(frame), n_rows(kept)
    return Step(name, reason, before, after, _examples(gone, frame.collect_schema().names()))


def _examples(frame: Frame, columns: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """The first few rows of a frame, by their place in the source, as plain values."""
    shown = [name for name in SHOWN if name in columns]
    rows = plain_rows(frame.select(shown).sort("row").head(N_EXAMPLES))
    return tuple({name: _plain(value) for name, value in row.items()} for row in rows)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value
