"""Tables -> Dataset: a chain of pure steps over lazy frames, then arrays. Does not know where tables come from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genre.arrays import Int32
from genre.data.arrow import as_arrow, as_numpy
from genre.data.dataset import Dataset, PartRules
from genre.data.ids import Ids
from genre.data.rating_scale import find_scale, lowest_like, stray_level
from genre.data.repeats import count_repeats
from genre.display import counted
from genre.engines.base import Engine, Frame, n_rows, plain_rows, totals
from genre.errors import DataError
from genre.kernels.order import counts, mixed, user_time_order
from genre.preprocessing.cleaning import (
    Cleaning,
    check_bad_rows,
    drop_busy_users,
    drop_duplicates,
    drop_k_core,
    drop_unusable,
)
from genre.preprocessing.cleaning_report import CleaningReport, Step
from genre.preprocessing.numbering import composed_twins, number_ids, spelt_otherwise
from genre.preprocessing.returns import cancel_returns
from genre.preprocessing.tables import PARTS, ROWS_A_FILE, Tables

FEW_ROWS = 20
MOST_COMPARED = 10_000
"""So many rows with the id of a row before are compared with it."""
DECIDED_LATER = "decided in each part of the split"
"""What the line on repeats says, which holds for the policy of the cleaning that the report is of."""
MOSTLY = 0.5
"""A column of which fewer rows have a value is left out."""
NEARLY_ALL = 0.95
"""From this share of the interactions on, users with one each look like the ids of another column."""
TYPES = {
    "rating": pa.float32(),
    "weight": pa.float32(),
    "timestamp": pa.int64(),
    "moment": pa.int64(),
    "part": pa.string(),
    "context": pa.string(),
    "row": pa.int64(),
}
"""Columns of interactions -> the type in which they leave the engine."""
TEXTS = ("part", "context")
"""Those of them that become numbers behind it."""


def prepare(tables: Tables, engine: Engine, cleaning: Cleaning | None = None) -> tuple[Dataset, CleaningReport]:
    """Clean and number the rows of tables.

    A user or item without interactions stays when its table knows it (a cold item can be recommended by its text),
    unless a least number of interactions is required.

    Args:
        tables: what a source delivers.
        engine: works on the tables.
        cleaning: the rules; None: the defaults.

    Returns:
        The Dataset, and what was dropped on the way and why.

    Raises:
        DataError: nothing is left, or too many rows cannot be read.
    """
    cleaning = cleaning or Cleaning()
    report = CleaningReport(facts=list(tables.notes), guesses=list(tables.guesses))
    scale = cleaning.rating_scale or tables.rating_scale
    typed = frame = _typed(tables.interactions)
    ids: dict[str, Ids] = {}
    for label, known in (("user", tables.users), ("item", tables.items)):
        frame, ids[label] = number_ids(frame, typed, engine, label, known)
    frame = engine.write(frame)  # from here on nothing reads the text again
    _check_parts(frame)
    frame = _without_empty_columns(frame, report)
    named: dict[str, npt.NDArray[np.bool_]] = {}
    for label, known in (("user", tables.users), ("item", tables.items)):
        n = len(ids[label])
        named[label] = np.ones(n, np.bool_) if known is None else _named(frame, engine, label, n)
    kept, steps = drop_unusable(frame, cleaning, scale, calendar=tables.calendar)
    steps = _as_written(steps, tables.files, ids)
    total = steps[0].before if steps else n_rows(frame)
    report.before = total + len(tables.rejected)
    report.steps += [*_rejected(tables, report.before), *steps]
    _check_bad(tables, steps, report.before, cleaning.bad_rows)
    if "trouble" in kept.collect_schema().names():
        kept = kept.drop("trouble")
    kept, steps = drop_duplicates(kept, engine, ordered=tables.ordered)
    report.steps += _as_written(steps, tables.files, ids)
    if cleaning.returns == "cancel":
        kept, steps = cancel_returns(kept, engine)
        report.steps += steps
    kept, steps = drop_busy_users(kept, cleaning.max_user_interactions)
    report.steps += _as_written(steps, tables.files, ids)
    kept, steps = drop_k_core(
        kept,
        engine,
        cleaning.min_user_interactions,
        cleaning.min_item_interactions,
        pairs=cleaning.repeats != "all",
    )
    report.steps += _as_written(steps, tables.files, ids)
    columns, contexts = _columns(kept, engine)
    if len(columns["user"]) == 0:
        raise DataError(f"{tables.name}: no interaction is left after cleaning:\n{report}")
    report.after = len(columns["user"])
    rows = {label: columns.pop(label) for label in ("user", "item")}
    _check_users(rows["user"], len(ids["user"]), report)
    made: dict[str, Any] = {"contexts": None if contexts is None else _contexts(contexts, tables.context)}
    for label, table in (("user", tables.users), ("item", tables.items)):
        made[label], made[f"{label}_ids"], made[f"{label}s"] = _align(
            label, rows[label], ids[label], table, named[label], cleaning, report
        )
    return _dataset(tables, cleaning, scale, made, columns, report), report


def _typed(frame: Frame) -> Frame:
    """The columns that are known, in the types that every engine shares."""
    names = frame.collect_schema().names()
    types: dict[str, Any] = {"user_id": nw.String, "item_id": nw.String, "trouble": nw.String}
    types |= {"part": nw.String, "context": nw.String}
    types |= {"timestamp": nw.Int64, "moment": nw.Int64, "row": nw.Int64}
    columns = [nw.col(name).cast(types[name]) for name in names if name in types]
    for name in {"rating", "weight"}.intersection(names):
        number = nw.col(name).cast(nw.Float64)
        columns.append(nw.when(number == 0).then(nw.lit(0.0)).otherwise(number).alias(name))  # no -0.0
    return frame.select(*columns)


def _without_empty_columns(frame: Frame, report: CleaningReport) -> Frame:
    """Leave out a column of numbers that more than half of the rows have no value of, rather than the rows."""
    names = [name for name in ("rating", "weight", "timestamp") if name in frame.collect_schema().names()]
    if not names:
        return frame
    given = {name: ~nw.col(name).is_null() for name in names}
    if "trouble" in frame.collect_schema().names():  # a cell that cannot be read is no empty one
        given = {name: there | ~nw.col("trouble").is_null() for name, there in given.items()}
    row = totals(frame, **given)
    for name in names:
        if row[name] < MOSTLY * row["rows"]:
            line = (
                f"{name}: {row['rows'] - row[name]:,} of {row['rows']:,} rows have none, so the column is left out (a "
                "guess: give the rows a value, or take them out)"
            )
            report.facts.append(line)
            report.guesses.append(line)
            frame = frame.drop([name, "moment"] if name == "timestamp" else [name], strict=False)
    return frame


def _check_parts(frame: Frame) -> None:
    if "part" not in frame.collect_schema().names():
        return
    odd = frame.filter(~nw.col("part").is_in(PARTS) | nw.col("part").is_null()).select("part", "row")
    first = plain_rows(odd.sort("row").head(1))
    if first:
        raise DataError(
            f"part: row {first[0]['row'] % ROWS_A_FILE:,} says {first[0]['part']!r}; legal are {', '.join(PARTS)}"
        )


def _rejected(tables: Tables, before: int) -> list[Step]:
    if not tables.rejected:
        return []
    examples = tuple({"row": bad.row, "trouble": f"{bad.reason}: {bad.text}"} for bad in tables.rejected[:5])
    return [Step("unreadable rows", "rows of another form", before, before - len(tables.rejected), examples)]


def _check_bad(tables: Tables, steps: list[Step], before: int, share: float) -> None:
    """Refuse data of which too many rows or cells cannot be read."""
    cells = next((step for step in steps if step.name == "bad cells"), None)
    bad = len(tables.rejected) + (cells.dropped if cells else 0)
    if tables.rejected:
        one = tables.rejected[0]
        check_bad_rows(one.where, bad, before, share, f"row {one.row:,}: {one.reason}")
    elif cells:
        example = cells.examples[0]
        where = example.get("file") or (tables.files[0] if tables.files else tables.name)
        check_bad_rows(where, bad, before, share, f"row {example['row']:,}, {example['trouble']}")


def _as_written(steps: list[Step], files: tuple[str, ...], ids: dict[str, Ids]) -> list[Step]:
    """The steps with examples under outside ids, each row counted in its own file, named where there are several."""

    def placed(example: dict[str, Any]) -> dict[str, Any]:
        file, row = divmod(example["row"], ROWS_A_FILE)
        shown: dict[str, Any] = {"file": files[file]} if len(files) > 1 else {}
        shown["row"] = row
        for label, known in ids.items():
            shown[f"{label}_id"] = None if example[label] is None else known[example[label]]
        return shown | {name: value for name, value in example.items() if name not in ("row", *ids)}

    return [dataclasses.replace(step, examples=tuple(map(placed, step.examples))) for step in steps]


def _named(frame: Frame, engine: Engine, label: str, n: int) -> npt.NDArray[np.bool_]:
    """Which users or items some interaction of the source names, whether it is kept or not: bool `[n]`."""
    found = frame.group_by(label).agg(nw.len().alias("n")).filter(~nw.col(label).is_null())
    named = np.zeros(n, np.bool_)
    named[as_numpy(engine.collect(found, pa.schema([(label, pa.int64())]))[label], 0)] = True
    return named


def _columns(frame: Frame, engine: Engine) -> tuple[dict[str, npt.NDArray[Any]], pa.Array | None]:
    """The columns as arrays, by user, then the finest time; by the place in the source where there is no time.

    Beside them the different texts of `context`, whose places its column has.
    """
    names = frame.collect_schema().names()
    ordered = "timestamp" not in names  # only then the place in the source counts
    known = [(name, kind) for name, kind in TYPES.items() if name in names and (name != "row" or ordered)]
    table = engine.collect(frame, pa.schema([("user", pa.int32()), ("item", pa.int32()), *known]))
    columns = {
        name: as_numpy(table[name], -1 if name == "moment" else 0) for name in table.column_names if name not in TEXTS
    }
    if "part" in names:
        columns["part"] = as_numpy(pc.index_in(table["part"], pa.array(PARTS)), -1).astype(np.int8)
    contexts = None
    if "context" in names:
        contexts = pc.unique(table["context"])
        contexts = contexts.take(pc.sort_indices(contexts))
        columns["context"] = as_numpy(pc.index_in(table["context"], contexts), -1).astype(np.int32)
    time = columns.pop("moment", columns.get("timestamp"))
    n_users = int(columns["user"].max(initial=-1)) + 1
    if time is None:
        order = user_time_order(columns["user"], columns.pop("row"), n_users)
        return {name: column[order] for name, column in columns.items()}, contexts
    order = user_time_order(columns["user"], time, n_users)
    columns = {name: column[order] for name, column in columns.items()}
    _order_ties(columns, time[order])
    return columns, contexts


def _contexts(texts: pa.Array, names: tuple[str, ...]) -> pa.Table:
    """The table of circumstances, a row for each text of `context`; what is not known is an empty text."""
    rows = [json.loads(text) for text in texts.to_pylist()]
    return pa.table({name: pa.array([row[at] or "" for row in rows], pa.string()) for at, name in enumerate(names)})


def _order_ties(columns: dict[str, npt.NDArray[Any]], time: npt.NDArray[np.int64]) -> None:
    """Put interactions of one user at one time into an order that depends on their values alone.

    Neither the order of the file nor that of the ids decides: the first is lost when files are joined or sorted, the
    second would make a user's last item the one with the greatest id. A hash of user and item does; then the rating.
    """
    user, item = columns["user"], columns["item"]
    tied = np.flatnonzero((user[1:] == user[:-1]) & (time[1:] == time[:-1]))
    if len(tied) == 0:
        return
    rows = np.unique(np.concatenate([tied, tied + 1]))
    run = np.cumsum((np.diff(user[rows], prepend=-1) != 0) | (np.diff(time[rows], prepend=time[rows[0]]) != 0))
    strength = [column[rows] for name in ("context", "weight", "rating") if (column := columns.get(name)) is not None]
    pair = (user[rows].astype(np.uint64) << np.uint64(32)) | item[rows].astype(np.uint64)
    order = np.lexsort((*strength, mixed(pair), run))
    for name, column in columns.items():
        columns[name] = ordered = column.copy()
        ordered[rows] = column[rows[order]]


def _check_users(user: Int32, n_users: int, report: CleaningReport) -> None:
    """Warn where nearly every user has one interaction."""
    if len(user) >= FEW_ROWS and np.count_nonzero(counts(user, n_users)) > NEARLY_ALL * len(user):
        report.facts.append("warning: nearly every user has one interaction only; is the user's column the right one?")


def _dataset(
    tables: Tables,
    cleaning: Cleaning,
    scale: tuple[float, float, float] | None,
    made: dict[str, Any],
    columns: dict[str, Any],
    report: CleaningReport,
) -> Dataset:
    """The Dataset with what is decided in each part of a split by itself, and the lines on it in the report."""
    positive = cleaning.positive_rating if cleaning.positive_rating is not None else tables.positive_rating
    part_rules = PartRules(
        repeats=cleaning.repeats,
        equal_weights=cleaning.weights == "equal",
        weights_given="weight" in columns,
        scale_stated=scale is not None,
        positive_stated=positive is not None,
        low_rating_weight=cleaning.low_rating_weight,
    )
    if (rating := columns.get("rating")) is not None:
        if scale is None and (scale := find_scale(rating)) is not None:
            steps = f"in steps of {scale[2]:g}" if scale[2] else "on a continuous scale"
            report.facts.append(f"ratings go from {scale[0]:g} to {scale[1]:g} {steps}, as found")
            if stray := stray_level(rating):
                line = (
                    f"{counted(stray[1], 'rating')} of {stray[0]:g} may mean that there is none (a guess: they "
                    "count as such; leave the cells empty, or state the scale: cleaning: {rating_scale: [1, 5, 1]})"
                )
                report.facts.append(line)
                report.guesses.append(line)
        if positive is None and scale is not None:
            positive = lowest_like(scale)
            report.facts.append(f"a rating of {positive:g} or more is a like: three quarters up the scale")
    dataset = Dataset.from_arrays(
        **made,
        **columns,
        rating_scale=scale,
        positive_rating=positive,
        low_rating_weight=cleaning.low_rating_weight,
        name=tables.name,
        part_rules=part_rules,
        report=report,
    )
    if (again := count_repeats(dataset)) and cleaning.repeats != "all":
        kept = {"sum": "the last kept with the weight of all", "max": "the highest kept"}
        how = kept.get(cleaning.repeats, f"the {cleaning.repeats} kept")
        report.facts.append(
            f"{counted(again, 'interaction repeats', 'interactions repeat')} an item of the same user; {DECIDED_LATER} "
            f"({how})"
        )
    return dataset


def _align(
    label: str,
    column: Int32,
    ids: Ids,
    table: pa.Table | None,
    named: npt.NDArray[np.bool_],
    cleaning: Cleaning,
    report: CleaningReport,
) -> tuple[Int32, Ids, pa.Table]:
    """New row numbers, ids and table of the users or items that stay.

    Those stay that have interactions left, and those that never had any where no least number is required.
    """
    lines = [*_twins(label, ids, named, table)]
    if table is not None:
        _check_shared(label, ids, named, table, report)
        lines += _lost_rows(label, table)
    report.facts += lines
    report.guesses += lines
    least = getattr(cleaning, f"min_{label}_interactions")
    cold = ~named if least == 0 else np.zeros(len(ids), np.bool_)
    stays = (counts(column, len(ids)) > 0) | cold
    if cold.any():
        report.facts.append(f"{counted(int(cold.sum()), label)} without interactions, known by the {label}s table")
    if not stays.all():
        gone = int((~stays).sum())
        report.facts.append(f"{gone:,} of {len(ids):,} {label}s have no interactions left and are left out")
        column = (np.cumsum(stays, dtype=np.int32) - 1)[column]
        ids = Ids(ids.values.take(as_arrow(np.flatnonzero(stays))))
    return column, ids, _table(label, ids, table, report)


def _check_shared(label: str, ids: Ids, named: npt.NDArray[np.bool_], table: pa.Table, report: CleaningReport) -> None:
    """A table that knows none of the ids is the wrong table, or the wrong column of it."""
    own = table[f"{label}_id"].cast(pa.string()).combine_chunks()
    used = ids.values.take(as_arrow(np.flatnonzero(named)))
    if not len(used) or not len(own) or pc.any(pc.is_in(used, value_set=own)).as_py():
        return
    remedy = (
        f"name the right columns of both with columns: {{{label}: ...}} (in Python: columns={{{label!r}: ...}}), or "
        "give the right table"
    )
    said, says = used[0].as_py(), own[0].as_py()
    if spelt := spelt_otherwise(used, own):
        (said, says), remedy = spelt[0], "ids are compared as they are written, so write them alike"
    odd = "".join(f"; {line}" for line in report.guesses if line.startswith((f"{label}: ", f"{label}s table: ")))
    raise DataError(
        f"none of the {len(used):,} {label}s of the interactions is in the {label}s table: the interactions say "
        f"{said!r}, the table says {says!r}; {remedy}{odd}"
    )


def _twins(label: str, ids: Ids, named: npt.NDArray[np.bool_], table: pa.Table | None) -> Iterator[str]:
    """A line on ids that look the same, and on ids of the interactions that the table spells otherwise."""
    if twins := composed_twins(ids.values):
        yield (
            f"{counted(len(twins), f'{label} id')} nearly like another, such as {twins[0][0]!r} (one has its accents "
            "composed, or what is not seen; a guess: they are two)"
        )
    if table is None or named.all():
        return
    own = table[f"{label}_id"].cast(pa.string()).combine_chunks()
    used = ids.values.filter(pa.array(named))
    without = used.filter(pc.invert(pc.is_in(used, value_set=own)))
    if spelt := spelt_otherwise(without, ids.values.filter(pa.array(~named))):
        one, other = spelt[0]
        yield (
            f"{counted(len(spelt), label)} not in the {label}s table under their id, but perhaps there in another "
            f"spelling, such as {one!r} as {other!r} (a guess: ids are compared as they are written; write them alike)"
        )


def _lost_rows(label: str, table: pa.Table) -> Iterator[str]:
    """A line on rows of a table of users or items that have no id, or the id of a row before but other fields."""
    own = table[f"{label}_id"].cast(pa.string()).combine_chunks()
    if empty := own.null_count + pc.sum(pc.equal(own, "")).as_py() if len(own) else 0:
        yield f"{label}s table: {counted(empty, 'row')} without an id left out"
    first = pc.index_in(own, own)
    given = pc.not_equal(own, "").fill_null(False)
    again = pc.and_(pc.not_equal(first, pa.array(range(len(own)), pa.int32())), given).fill_null(False)
    if not pc.any(again).as_py():
        return
    rows = np.flatnonzero(again.to_numpy(zero_copy_only=False))
    some = rows[:MOST_COMPARED]
    pairs = zip(table.take(some).to_pylist(), table.take(first.take(pa.array(some))).to_pylist(), strict=True)
    if other := next((row for row, before in pairs if row != before), None):
        yield (
            f"{label}s table: {counted(len(rows), 'row')} with the id of a row before left out, such as "
            f"{other[f'{label}_id']!r}; give each id one row"
        )


def _table(label: str, ids: Ids, table: pa.Table | None, report: CleaningReport) -> pa.Table:
    """The rows of `table` in the order of `ids`, nulls where it does not know one."""
    name = f"{label}_id"
    if table is None:
        return pa.table({name: ids.values})
    own = table[name].cast(pa.string()).combine_chunks()
    found = pc.index_in(ids.values, own)
    if found.null_count:
        report.facts.append(f"{counted(found.null_count, label)} not in the {label}s table, with empty fields")
    return table.take(found).combine_chunks().set_column(table.column_names.index(name), name, ids.values)
