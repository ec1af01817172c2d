"""Tables -> Dataset: number the ids, clean, settle scale and weights, line up the users and items.

Knows nothing about where tables come from.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genre.data.arrow import as_arrow, as_numpy
from genre.data.dataset import Dataset, default_weights
from genre.data.ids import Ids
from genre.errors import DataError
from genre.kernels.order import counts, mark
from genre.preprocessing.cleaning import Cleaning, CleaningReport, clean
from genre.preprocessing.rows import Rows
from genre.preprocessing.tables import Tables

Scale = tuple[float, float, float]
MOST_LEVELS = 101
"""More different ratings than this are a continuous scale."""
FEW_ROWS = 20
NEARLY_ALL = 0.95
"""Of this share of the interactions on, users with one each look like another column's ids."""


def prepare(tables: Tables, cleaning: Cleaning | None = None) -> tuple[Dataset, CleaningReport]:
    """The Dataset of tables, and what was dropped on the way and why.

    A user or item without interactions stays when its table knows it (a cold item can be recommended by its text),
    unless a least number of interactions is asked for. Raises DataError when nothing is left.
    """
    cleaning = cleaning or Cleaning()
    columns = dict(zip(tables.interactions.column_names, tables.interactions.columns, strict=True))
    tables = dataclasses.replace(tables, interactions=pa.table({}))  # so that each column can be let go once it is read
    rows = Rows.of(
        columns,
        None if tables.users is None else tables.users["user_id"],
        None if tables.items is None else tables.items["item_id"],
    )
    pa.default_memory_pool().release_unused()  # the ids of ten million rows, and what reading them took
    report = CleaningReport(before=len(rows), facts=list(tables.notes))
    scale = _scale(rows, cleaning.rating_scale or tables.rating_scale, report)
    positive = cleaning.positive_rating if cleaning.positive_rating is not None else tables.positive_rating
    if scale is not None and positive is None:
        positive = _three_quarters(scale)
        report.facts.append(f"a rating of {positive:g} or more is a like: three quarters up the scale")
    if cleaning.repeats == "sum" and "weight" not in rows.columns:
        rows.columns["weight"] = default_weights(len(rows), rows.values("rating"), positive, cleaning.low_rating_weight)
    named_users = _named(rows.user, rows.user_ids, tables.users)
    named_items = _named(rows.item, rows.item_ids, tables.items)
    clean(rows, dataclasses.replace(cleaning, rating_scale=scale), report)
    if len(rows) == 0:
        raise DataError(f"{tables.name}: no interaction is left after cleaning:\n{report}")
    report.after = len(rows)
    if len(rows) >= FEW_ROWS and np.count_nonzero(counts(rows.user, len(rows.user_ids))) > NEARLY_ALL * len(rows):
        report.facts.append("warning: nearly every user has one interaction only; is the user's column the right one?")
    user, user_ids, users = _align("user", rows.user, rows.user_ids, tables.users, named_users, cleaning, report)
    item, item_ids, items = _align("item", rows.item, rows.item_ids, tables.items, named_items, cleaning, report)
    settled = rows.settle()
    if "weight" in settled and cleaning.weights == "equal":
        settled["weight"] = (settled["weight"] > 0).astype(np.float32)
    dataset = Dataset.from_arrays(
        user=user,
        item=item,
        user_ids=user_ids,
        item_ids=item_ids,
        users=users,
        items=items,
        **settled,
        rating_scale=scale,
        positive_rating=positive,
        low_rating_weight=cleaning.low_rating_weight,
        name=tables.name,
    )
    return dataset, report


def _scale(rows: Rows, stated: Scale | None, report: CleaningReport) -> Scale | None:
    """The stated scale, or lowest, highest and step of the ratings found (step 0: any value in between)."""
    if (rating := rows.values("rating")) is None or stated is not None:
        return stated
    levels = np.sort(as_numpy(pc.unique(as_arrow(rating)), np.nan))
    levels = levels[np.isfinite(levels)].astype(float)
    if len(levels) == 0:
        return None
    step = float(np.diff(levels).min()) if 1 < len(levels) <= MOST_LEVELS else 0.0
    if step and not np.allclose(np.round((levels - levels[0]) / step) * step, levels - levels[0], atol=step / 100):
        step = 0.0
    scale = (float(levels[0]), float(levels[-1]), round(step, 6))
    steps = f"in steps of {scale[2]:g}" if scale[2] else "on a continuous scale"
    report.facts.append(f"ratings go from {scale[0]:g} to {scale[1]:g} {steps}, as found")
    return scale


def _three_quarters(scale: Scale) -> float:
    low, high, step = scale
    mark = low + 0.75 * (high - low)
    return low + step * float(np.ceil(round((mark - low) / step, 6))) if step else mark


def _named(column: npt.NDArray[np.int32], ids: Ids, table: pa.Table | None) -> npt.NDArray[np.bool_]:
    """Which ids some interaction names: all, unless a table knows more."""
    if table is None:
        return np.ones(len(ids), np.bool_)
    named = np.zeros(len(ids), np.bool_)
    mark(named, column)
    return named


def _align(
    label: Literal["user", "item"],
    column: npt.NDArray[np.int32],
    ids: Ids,
    table: pa.Table | None,
    named: npt.NDArray[np.bool_],
    cleaning: Cleaning,
    report: CleaningReport,
) -> tuple[npt.NDArray[np.int32], Ids, pa.Table]:
    """New row numbers, ids and table of the users or items that stay.

    Those stay that have interactions left, and those that never had any where no least number is asked for.
    """
    if table is not None:
        _check_shared(label, ids, named, table)
    least = getattr(cleaning, f"min_{label}_interactions")
    cold = ~named if least == 0 else np.zeros(len(ids), np.bool_)
    stays = (counts(column, len(ids)) > 0) | cold
    if cold.any():
        report.facts.append(f"{int(cold.sum()):,} {label}s have no interactions and stay, known by the {label}s table")
    if not stays.all():
        report.facts.append(f"{int((~stays).sum()):,} of {len(ids):,} {label}s have no interactions left and go")
        column = (np.cumsum(stays, dtype=np.int32) - 1)[column]
        ids = Ids(ids.values.take(as_arrow(np.flatnonzero(stays))))
    return column, ids, _table(label, ids, table, report)


def _check_shared(label: str, ids: Ids, named: npt.NDArray[np.bool_], table: pa.Table) -> None:
    """A table that knows none of the ids is the wrong table, or the wrong column of it."""
    own = pc.utf8_trim_whitespace(table[f"{label}_id"].cast(pa.string()))
    used = ids.values.take(as_arrow(np.flatnonzero(named)))
    if len(used) and len(own) and not pc.any(pc.is_in(used, value_set=own)).as_py():
        raise DataError(
            f"none of the {len(used):,} {label}s of the interactions is in the {label}s table: the interactions say "
            f"{used[0].as_py()!r}, the table says {own[0].as_py()!r}; name the right columns"
        )


def _table(label: str, ids: Ids, table: pa.Table | None, report: CleaningReport) -> pa.Table:
    """The rows of `table` in the order of `ids`, nulls where it does not know one."""
    name = f"{label}_id"
    if table is None:
        return pa.table({name: ids.values})
    own = pc.utf8_trim_whitespace(table[name].cast(pa.string())).combine_chunks()
    distinct = pc.unique(own.drop_null())
    if surplus := len(own) - len(distinct.filter(pc.not_equal(distinct, ""))):
        report.facts.append(f"{label}s table: {surplus:,} rows without an id of their own are left out")
    found = pc.index_in(ids.values, own)
    if found.null_count:
        report.facts.append(f"{found.null_count:,} {label}s are not in the {label}s table; their fields are empty")
    return table.take(found).combine_chunks().set_column(table.column_names.index(name), name, ids.values)
