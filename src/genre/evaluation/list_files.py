"""Files of lists that other programs made, evaluated against a file of what the users did next.

A file of lists has a row for each place of each list: user, item, and where there is one a column `rank` (1 is best) or
`score` (more is better); without both the order of the rows is the order of the list. The files that
`genre recommend --all` writes are of this form. Does not know recommenders.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genre.arrays import Int32, Int64
from genre.data.after_split import apply_part_rules
from genre.data.dataset import Dataset
from genre.data.folds import TEST, TRAIN, Fold
from genre.display import counted
from genre.engines.duckdb import DuckDB
from genre.errors import EvaluationError
from genre.evaluation.evaluator import LIST_METRICS, evaluate_lists
from genre.evaluation.metric_table import METRICS, metric_of
from genre.evaluation.results import Evaluation
from genre.evaluation.targets import distinct_rows
from genre.options import DEFAULT_K, nearest
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.sources.files import Files, column_names
from genre.preprocessing.tables import ROWS_A_FILE, Tables, plain_name

OF_TRAIN = tuple(name for name, metric in METRICS.items() if "items" in metric.needs)
"""Metrics that read how popular items are in training, or how large the catalogue is."""
BETTER = {"rank": 1, "score": -1}
"""Column of the order in a list -> the sign with which smaller is better."""


class EvaluatedLists(NamedTuple):
    """What the lists of several files are worth.

    Attributes:
        evaluations: One for each file, all of the same users.
        notes: What was counted on the way.
    """

    evaluations: list[Evaluation]
    notes: list[str]


class _Lists(NamedTuple):
    """The rows of one file, sorted by user, best first: ids of users and items, and where each row was."""

    path: Path
    user: pa.Array
    item: pa.Array
    row: Int64


def evaluate_files(
    lists: Sequence[Path],
    against: Path,
    *,
    train: Path | None = None,
    items: Path | None = None,
    k: int | Sequence[int] = DEFAULT_K,
    metrics: Sequence[str] | None = None,
    exclude_seen: bool = True,
) -> EvaluatedLists:
    """Evaluate files of lists against a file of interactions.

    Args:
        lists: The files.
        against: What the users did next: user, item, and a rating where likes matter.
        train: What the lists were learnt from, in the same form; None: no item counts as seen, none as popular.
        items: The catalogue, where it has items that neither file of interactions mentions.
        k: Length of the evaluated lists, or several.
        metrics: Names or labels; None: all of lists that can be computed.
        exclude_seen: Whether items of the user's history are no targets.

    Returns:
        One evaluation a file, and notes.

    Raises:
        DataError: A file cannot be read.
        EvaluationError: A list has an item twice, an item is unknown, or a metric needs the train file.
    """
    wanted = _metrics(metrics, has_train=train is not None)
    with DuckDB() as engine:
        read = [_read_lists(engine, path) for path in lists]
        tables = Files(against if train is None else train, items=items, test=None if train is None else against).load(
            engine
        )
        if train is None and items is None:
            tables = _with_items(engine, tables, read)
        dataset, report = prepare(tables, engine, Cleaning(repeats="all", outliers="keep"))
    fold = _fold(dataset)
    notes = [f"{against}: {line}" for line in report.warnings()]
    targets = distinct_rows(fold.target.user)
    evaluations = []
    for one in read:
        known = _rows_of(one, dataset, where="the catalogue" if items else "the files of interactions")
        rows, users = _matrix(one, *known, targets)
        notes += _counts(one, known[0], targets)
        name = one.path.stem if len({path.stem for path in lists}) == len(lists) else str(one.path)
        evaluations.append(
            evaluate_lists(rows, fold, users=users, k=k, metrics=wanted, exclude_seen=exclude_seen, name=name)
        )
    if seen := evaluations[0].counts["targets_seen_before"]:
        notes.append(f"not counted: {counted(seen, 'target')} in the history of the same user")
    if without := evaluations[0].counts["users_without_targets"]:
        notes.append(f"{counted(without, 'user')} of {against} without a target: nothing they liked, or nothing new")
    return EvaluatedLists(evaluations, notes)


def _metrics(names: Sequence[str] | None, *, has_train: bool) -> Sequence[str]:
    if names is None:
        return [name for name in LIST_METRICS if has_train or name not in OF_TRAIN]
    for name in names:
        if not has_train and metric_of(name).needs and name.partition("@")[0] in OF_TRAIN:
            raise EvaluationError(f"metric {name} reads the training data; give its file with --train")
    return names


def _read_lists(engine: DuckDB, path: Path) -> _Lists:
    """Read a file of lists, sorted by user, the best item first."""
    names = column_names(engine, path)
    order = next((name for name in names for wanted in BETTER if plain_name(name) == wanted), None)
    columns = Columns(rating=order or False, weight=False, timestamp=False, part=False)
    frame = Files(path, columns=columns).load(engine).interactions.collect("pyarrow").to_native()
    row = frame["row"].to_numpy() % ROWS_A_FILE
    for column in ("user_id", "item_id", *(["rating"] if order else [])):
        missing = pc.is_null(frame[column]).to_numpy(zero_copy_only=False)
        if missing.any():
            what = order if column == "rating" else column.removesuffix("_id")
            raise EvaluationError(f"{path}: row {row[missing].min():,}: no {what} that can be read; give each row one")
    value = np.zeros(len(row)) if order is None else BETTER[plain_name(order)] * frame["rating"].to_numpy()
    owner = frame["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    place = np.lexsort((row, value, owner))
    user, item = (frame[name].combine_chunks().take(place) for name in ("user_id", "item_id"))
    return _Lists(path, user, item, row[place])


def _with_items(engine: DuckDB, tables: Tables, read: Sequence[_Lists]) -> Tables:
    """Add the listed items to the catalogue, where no file says what it is; some of them must be targets."""
    found = tables.interactions.select("item_id").unique().collect("pyarrow").to_native()["item_id"].combine_chunks()
    for one in read:
        if not pc.any(pc.is_in(one.item, found)).as_py():
            raise EvaluationError(
                f"{one.path}: none of its items, such as {one.item[0].as_py()!r}, is a target, such as "
                f"{found[0].as_py()!r}; check that ids are written the same way"
            )
    every = pc.unique(pa.concat_arrays([found.drop_null(), *(one.item for one in read)]))
    return dataclasses.replace(tables, items=pa.table({"item_id": every}))


def _fold(dataset: Dataset) -> Fold:
    """Return the histories of the train part, none without one, and the targets."""
    if dataset.part is None:
        target = apply_part_rules(dataset)
        return Fold(target.where(np.zeros(len(target), np.bool_)), target)
    train = apply_part_rules(dataset.where(dataset.part == TRAIN))
    return Fold(train, apply_part_rules(dataset.where(dataset.part == TEST), train))


def _rows_of(one: _Lists, dataset: Dataset, *, where: str) -> tuple[Int32, Int32]:
    """Return the row numbers of the users (-1 for unknown ones) and of the items; unknown items are an error."""
    user, item = (
        np.asarray(pc.fill_null(pc.index_in(ids, known.values), -1).to_numpy(zero_copy_only=False), np.int32)
        for ids, known in ((one.user, dataset.user_ids), (one.item, dataset.item_ids))
    )
    if (unknown := item < 0).any():
        first = one.item[int(unknown.argmax())].as_py()
        many = len(pc.unique(one.item.filter(pa.array(unknown))))
        near = nearest(first, dataset.item_ids.values.to_pylist())
        raise EvaluationError(
            f"{one.path}: row {one.row[unknown][0]:,}: item {first!r} is in none of {where}{near} ({many:,} such "
            "items); check how ids are written, or give the whole catalogue with --items"
        )
    if (user < 0).all():
        first = one.user[0].as_py()
        near = nearest(first, dataset.user_ids.values.to_pylist())
        raise EvaluationError(
            f"{one.path}: none of its users, such as {first!r}, is known{near}; check that ids are written the same way"
        )
    return user, item


def _matrix(one: _Lists, user: Int32, item: Int32, targets: Int64) -> tuple[Int32, Int64]:
    """Return the lists as rows `[n, longest]`, -1 where they end, and their users; empty ones for users without."""
    kept = user >= 0
    user, item, row = user[kept], item[kept], one.row[kept]
    order = np.lexsort((item, user))
    again = np.append(False, (np.diff(user[order]) == 0) & (np.diff(item[order]) == 0))
    if again.any():
        at = order[again][np.argmin(row[order][again])]
        owner, twice = (ids.filter(pa.array(kept))[int(at)].as_py() for ids in (one.user, one.item))
        raise EvaluationError(
            f"{one.path}: row {row[at]:,}: the list of user {owner!r} has item {twice!r} twice; give it one place"
        )
    users, index, length = np.unique(
        user, return_index=True, return_counts=True
    )  # rows of a user are next to each other
    rows = np.full((len(users), int(length.max())), -1, np.int32)
    at = np.searchsorted(users, user)
    rows[at, np.arange(len(user)) - index[at]] = item
    without = np.setdiff1d(targets, users)
    empty: npt.NDArray[np.int32] = np.full((len(without), rows.shape[1]), -1, np.int32)
    return np.concatenate([rows, empty]), np.concatenate([users, without])


def _counts(one: _Lists, user: Int32, targets: Int64) -> Iterator[str]:
    """Count the users without a list, and the lists without a user of the test."""
    listed = np.unique(user[user >= 0])
    if without := len(np.setdiff1d(targets, listed)):
        yield f"{one.path}: {without:,} of {len(targets):,} users have no list; theirs counts as empty"
    unused = len(pc.unique(one.user)) - len(np.intersect1d(listed, targets))
    if unused:
        yield f"{one.path}: not used: {counted(unused, 'list')} of users with nothing to find"
