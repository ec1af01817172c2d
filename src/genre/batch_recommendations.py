"""Lists for all users, or for all items, in blocks: what `genre recommend --all` writes.

A block is made of rows `size * b` to `size * (b + 1) - 1` of the users (or items), on every engine, so that the
scores do not depend on the engine or on the number of threads. A list leaves as rows `user_id, rank, item_id, title,
score`, best first. Knows nothing about run folders and the command line.
"""

from __future__ import annotations

import json
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from typing_extensions import override

from genre.arrays import Float32, Int32, Int64
from genre.data.arrow import as_arrow, as_numpy
from genre.data.dataset import Dataset
from genre.data.history import History
from genre.display import counted, some_of
from genre.engines.base import Engine, read_block
from genre.errors import OptionError, UnknownId
from genre.log import SILENT, Log
from genre.recommenders.base import Recommender
from genre.recommenders.phrasebook import with_note
from genre.recommenders.recommendations import Recommendations, sentences_of_lists
from genre.rules.recommending import as_recommendations, recommend_by_rules
from genre.rules.rule_set import RuleSet
from genre.threads import blas_threads

SIZE = 4096
"""Users (or items) of a block."""
SHOWN_IDS = 5  # unknown ids that a message names

Write = Callable[[pa.Table], None]


@dataclass(frozen=True, eq=False)
class Lists(ABC):
    """Lists of one recommender for many rows of a dataset.

    Attributes:
        recommender: A fitted recommender.
        dataset: The histories, ids and titles.
        k: The length of a list.
        rows: Rows of the users (or items) that get a list.
    """

    recommender: Recommender
    dataset: Dataset
    k: int
    rows: Int64

    columns: ClassVar[tuple[str, ...]]

    @abstractmethod
    def inputs(self, rows: Int64) -> pa.Table:
        """Return what the lists of some rows are made of.

        Args:
            rows: Rows of users (or items).

        Returns:
            A table with a line for each, its number as `row`.
        """

    @abstractmethod
    def make(self, inputs: pa.Table) -> pa.Table:
        """Make the lists of one block.

        Args:
            inputs: Lines of `inputs`, sorted by `row`.

        Returns:
            A line for each: `row`, `item` and `score` (lists, best first), and `reason` where wanted.
        """

    def named(self, lists: pa.Table) -> pa.Table:
        """Put ids and titles in the place of row numbers.

        Args:
            lists: Lines of `make`.

        Returns:
            A row for each place of each list.
        """
        item = lists["item"].combine_chunks()
        starts = as_numpy(item.offsets, 0).astype(np.int64)
        lengths = np.diff(starts)
        rank = np.arange(1, len(item.flatten()) + 1) - np.repeat(starts[:-1] - starts[0], lengths)
        owner = as_arrow(np.repeat(as_numpy(lists["row"], 0), lengths))
        of_items = item.flatten()
        found = {
            self.columns[0]: self._owners.take(owner),
            "rank": as_arrow(rank.astype(np.int32)),
            self.columns[1]: self.dataset.item_ids.values.take(of_items),
            "title": self._titles.take(of_items),
            "score": lists["score"].combine_chunks().flatten(),
        }
        if "reason" in lists.column_names:
            found["reason"] = lists["reason"].combine_chunks().flatten()
        return pa.table(found)

    @property
    @abstractmethod
    def _owners(self) -> pa.StringArray:
        """The ids of the rows that get a list."""

    @property
    def _schema(self) -> pa.Schema:
        """The columns of `make`."""
        lists = {"item": pa.large_list(pa.int32()), "score": pa.large_list(pa.float32())}
        return pa.schema({"row": pa.int64(), **lists})

    @cached_property
    def _titles(self) -> pa.StringArray:
        return self.dataset.titles().column()

    def tables(self) -> Iterator[pa.Table]:
        """Make the lists block by block, in this process, keeping nothing.

        Yields:
            The rows of one block.
        """
        block_of = self.rows // SIZE
        for rows in np.split(self.rows, np.flatnonzero(np.diff(block_of)) + 1) if len(self.rows) else []:
            with blas_threads():
                made = self.make(self.inputs(rows))
            yield self.named(made)

    def write(self, out: Path, engine: Engine, key: str, *, log: Log = SILENT) -> int:
        """Write all lists into one file, which appears whole or not at all.

        Finished blocks are kept in a folder until the file is there: the same call goes on after them.

        Args:
            out: The file: `.parquet`, `.csv` or `.jsonl`.
            engine: Where blocks are worked on.
            key: Digest of everything that the lists depend on; blocks of another key are made again.
            log: Where progress is shown.

        Returns:
            How many lists were written.

        Raises:
            OptionError: The file has no such ending.
        """
        open_file = writer_of(out)
        folder = engine.blocks_folder(out.with_name(f".{out.name}.{key[:12]}.blocks"))
        part = out.with_name(f".{out.name}.part")
        folder.mkdir(parents=True, exist_ok=True)
        inputs = self.inputs(self.rows)
        n = 0
        with log.bar("lists", len(inputs)) as bar, open_file(part, self.named(self._schema.empty_table())) as write:
            frame = engine.read(inputs)
            for path in engine.map_blocks(self.make, frame, inputs.schema, by="row", size=SIZE, to=folder):
                lists = read_block(path)
                write(self.named(lists))
                n += len(lists)
                bar.advance(len(lists), note=f"{n:,} of {len(inputs):,}")
        part.replace(out)
        shutil.rmtree(folder, ignore_errors=True)
        return n


@dataclass(frozen=True, eq=False)
class UserLists(Lists):
    """Unseen items for users, from their histories.

    Attributes:
        reasons: Whether each item gets a sentence; it costs far more than the list.
        rules: What every list keeps; None: there are no rules.
    """

    reasons: bool = False
    rules: RuleSet | None = None

    columns: ClassVar[tuple[str, ...]] = ("user_id", "item_id")

    @property
    def _owners(self) -> pa.StringArray:
        return self.dataset.user_ids.values

    @property
    def _schema(self) -> pa.Schema:
        reason = pa.field("reason", pa.large_list(pa.string()))
        return super()._schema.append(reason) if self.reasons else super()._schema

    @override
    def inputs(self, rows: Int64) -> pa.Table:
        every = len(rows) == self.dataset.n_users
        return block_of_history(self.dataset.history(None if every else rows), rows)

    @override
    def make(self, inputs: pa.Table) -> pa.Table:
        history = history_of_block(inputs, self.dataset.n_items)
        if self.rules is None:
            found, notes = self.recommender.recommend(history, k=self.k), None
        else:
            ruled = recommend_by_rules(self.recommender, history, self.rules, int(time.time()), k=self.k)
            found = as_recommendations(ruled, self.k, self.dataset.item_ids)
            notes = [note for one in ruled for note in one.notes]
        lists = _as_lists(inputs["row"], found)
        if not self.reasons:
            return lists
        reasons = sentences_of_lists(self.recommender, history, found.item, found.score, self.dataset)
        if notes is not None:
            reasons = [with_note(reason, note) for reason, note in zip(reasons, notes, strict=True)]
        return lists.append_column("reason", _nested(lists, pa.array(reasons, pa.string())))


@dataclass(frozen=True, eq=False)
class SimilarLists(Lists):
    """The nearest other items for items."""

    columns: ClassVar[tuple[str, ...]] = ("item_id", "similar_item_id")

    @property
    def _owners(self) -> pa.StringArray:
        return self.dataset.item_ids.values

    @override
    def inputs(self, rows: Int64) -> pa.Table:
        return pa.table({"row": as_arrow(rows)})

    @override
    def make(self, inputs: pa.Table) -> pa.Table:
        return _as_lists(inputs["row"], self.recommender.similar_items(as_numpy(inputs["row"], 0), k=self.k))


def block_of_history(history: History, rows: Int64) -> pa.Table:
    """Return histories as a table that an engine can work on.

    Args:
        history: `n` histories.
        rows: Their numbers `[n]`.

    Returns:
        A line for each history: `row`, and its interactions as lists.
    """
    offsets = as_arrow(history.indptr.astype(np.int64))
    columns: dict[str, npt.NDArray[np.generic] | None] = {
        "item": history.item,
        "weight": history.weight,
        "rating": history.rating,
        "timestamp": history.timestamp,
    }
    lists = {
        name: pa.LargeListArray.from_arrays(offsets, as_arrow(column))
        for name, column in columns.items()
        if column is not None
    }
    return pa.table({"row": as_arrow(np.asarray(rows, np.int64)), **lists})


def history_of_block(block: pa.Table, n_items: int) -> History:
    """Return the histories of a table of `block_of_history`.

    Args:
        block: Lines of such a table.
        n_items: Number of items of the catalogue.

    Returns:
        The histories, in the order of the lines.
    """
    columns = {name: block[name].combine_chunks() for name in block.column_names if name != "row"}
    ends = as_numpy(columns["item"].offsets, 0).astype(np.int64)
    flat = {name: as_numpy(column.flatten(), 0) for name, column in columns.items()}
    return History(
        indptr=ends - ends[0],
        item=flat["item"],
        weight=flat["weight"],
        n_items=n_items,
        user=as_numpy(block["row"], 0).astype(np.int32),
        rating=flat.get("rating"),
        timestamp=flat.get("timestamp"),
    )


def _as_lists(row: pa.ChunkedArray, found: Recommendations) -> pa.Table:
    """Return recommendations as a table of lists, without the places that are empty."""
    valid = found.item >= 0
    offsets = as_arrow(np.concatenate([[0], np.cumsum(valid.sum(axis=1))]).astype(np.int64))
    columns: tuple[tuple[str, Int32 | Float32], ...] = (("item", found.item[valid]), ("score", found.score[valid]))
    return pa.table(
        {"row": row, **{name: pa.LargeListArray.from_arrays(offsets, as_arrow(values)) for name, values in columns}}
    )


def _nested(lists: pa.Table, values: pa.Array) -> pa.Array:
    """Cut a column as long as all lists together into lists of the same lengths."""
    return pa.LargeListArray.from_arrays(lists["item"].combine_chunks().offsets, values)


# --- files --------------------------------------------------------------------------------------------


@contextmanager
def _parquet(path: Path, empty: pa.Table) -> Iterator[Write]:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, empty.schema, compression="zstd") as file:
        yield file.write_table


@contextmanager
def _csv(path: Path, empty: pa.Table) -> Iterator[Write]:
    from pyarrow.csv import CSVWriter

    with CSVWriter(str(path), empty.schema) as file:
        yield file.write_table


@contextmanager
def _json_lines(path: Path, empty: pa.Table) -> Iterator[Write]:
    del empty
    with path.open("w", encoding="utf-8") as file:

        def write(table: pa.Table) -> None:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())

        yield write


WRITERS = {".parquet": _parquet, ".csv": _csv, ".jsonl": _json_lines}


def writer_of(out: Path) -> Callable[[Path, pa.Table], AbstractContextManager[Write]]:
    """Return what writes a file of this name.

    Args:
        out: The file.

    Returns:
        A context that gives a function, which writes one table after another.

    Raises:
        OptionError: The file has no such ending.
    """
    if out.suffix not in WRITERS:
        raise OptionError(f"{out}: lists are written as {', '.join(WRITERS)}; give the file one of these endings")
    return WRITERS[out.suffix]


def rows_to_list(ids: Sequence[str] | None, known: Dataset, *, hidden: npt.NDArray[np.bool_] | None = None) -> Int64:
    """Return the rows of the users that get a list.

    Args:
        ids: Ids of users, any number of times; None: all users.
        known: The dataset.
        hidden: Users who get none, bool `[n_users]`; None: there are no such users.

    Returns:
        Rows in rising order, each once.

    Raises:
        UnknownId: Some ids are not in the data.
    """
    rows = np.arange(known.n_users, dtype=np.int64)
    if ids is not None:
        found = known.user_ids.rows(ids)
        if unknown := [repr(str(one)[:100]) for one, row in zip(ids, found, strict=True) if row < 0]:
            raise UnknownId(
                f"{len(unknown):,} of {counted(len(ids), 'user id')} unknown: {some_of(unknown, SHOWN_IDS)}; "
                "leave these out, or give the histories of new users one by one"
            )
        rows = np.unique(found).astype(np.int64)
    return rows if hidden is None else rows[~hidden[rows]]
