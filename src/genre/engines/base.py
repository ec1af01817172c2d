"""The contract of an engine: lazy frames in, checkpoints and Arrow tables out. Does not know what the frames hold.

Every table step of GENRE is written once, as narwhals expressions on lazy frames. An engine says where such a frame is
computed and kept. From typed columns on, every engine gives the same rows: ids are text compared by their bytes, every
order is total, and counts and row numbers are cast to int64 on the way out.
"""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, Token
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, cast

import narwhals as nw
import pyarrow as pa

from genre.options import check_options
from genre.threads import blas_threads, limit_threads, n_threads

Frame = nw.LazyFrame[Any]
"""A table that is computed when it is needed."""


_OPEN: ContextVar[Engine | None] = ContextVar("engine", default=None)


class Engine(ABC):
    """Base of all engines: a dataclass whose fields are its options, opened by its first use, closed by `with`.

    Attributes:
        has_workers: Whether blocks are worked on by other processes, so that slow work is worth sending there.
    """

    has_workers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_options(self)
        self._names = itertools.count()  # of tables
        self._entered: list[Token[Engine | None]] = []

    @abstractmethod
    def read(self, table: pa.Table) -> Frame:
        """Take an Arrow table over as a lazy frame.

        Args:
            table: rows of any columns.

        Returns:
            The same rows, where this engine works on them, with their place as `row` (from 1) unless they have one.
        """

    @abstractmethod
    def write(self, frame: Frame) -> Frame:
        """Compute a frame once and keep the result, so that several later steps can read it.

        Args:
            frame: a lazy frame of this engine.

        Returns:
            A frame of the kept rows.
        """

    @abstractmethod
    def collect(self, frame: Frame, schema: pa.Schema) -> pa.Table:
        """Bring a frame's rows into this process.

        Args:
            frame: a lazy frame of this engine.
            schema: the columns to bring and the types they are cast to.

        Returns:
            The rows, in the order of the frame where it was sorted last.
        """

    @abstractmethod
    def close(self) -> None:
        """End what was opened and remove temporary files."""

    def number(self, frame: Frame, key: str, name: str, *, order: Sequence[str] = ()) -> Frame:
        """Number the distinct values of a text column.

        Args:
            frame: a frame with the column `key`, which holds no nulls.
            key: the column whose values are numbered.
            name: the column of the numbers in the result.
            order: columns that decide the order before the bytes of the value do.

        Returns:
            One row a distinct value, with its number from 0 as int64.
        """
        distinct = frame.group_by(key, *order).agg(nw.len().alias("times")).drop("times")
        return distinct.with_row_index(name, order_by=[*order, key]).with_columns(nw.col(name).cast(nw.Int64))

    def map_blocks(
        self,
        function: Callable[[pa.Table], pa.Table],
        frame: Frame,
        schema: pa.Schema,
        *,
        by: str,
        size: int,
        to: Path,
    ) -> Iterator[Path]:
        """Apply a function to blocks of rows and keep each result in a file of its own.

        Block `b` holds the rows whose `by` is `size * b` or more and below `size * (b + 1)`, sorted by it: a block
        never depends on how an engine divides its work. The function works with one BLAS thread, so results are equal
        to the bit. A file appears when its block is finished, and a block whose file is there is not done again.

        Args:
            function: From the table of a block to the table that is kept.
            frame: A lazy frame of this engine.
            schema: The columns of the frame that the function gets.
            by: A column of whole numbers, zero or more.
            size: Numbers that fall into one block.
            to: An existing folder for the files.

        Yields:
            The file of each block that has rows, in the order of the blocks; `read_block` reads it.
        """
        kept = self.write(frame)
        bounds = self.collect(kept.select(nw.col(by).max()), pa.schema({by: pa.int64()}))[by].to_pylist()
        pending: deque[Future[Path | None]] = deque()
        with blas_threads(), ThreadPoolExecutor(threads := n_threads()) as pool:
            for block in range(0 if bounds == [None] else bounds[0] // size + 1):
                path = block_path(to, block)
                if path.is_file():
                    pending.append(_finished(path))
                else:
                    here = (nw.col(by) >= block * size) & (nw.col(by) < (block + 1) * size)
                    table = self.collect(kept.filter(here).sort(by), schema)
                    pending.append(pool.submit(work_on_block, function, table, path))
                while len(pending) > threads or (pending and pending[0].done()):
                    if (made := pending.popleft().result()) is not None:
                        yield made
            yield from (made for one in pending if (made := one.result()) is not None)

    def blocks_folder(self, beside: Path) -> Path:
        """Choose where the blocks of a result are kept until it is whole.

        Args:
            beside: A folder beside the result.

        Returns:
            A folder to which all that works on blocks can write: this one, or one of its name in a shared folder.
        """
        return beside

    def __enter__(self) -> Self:
        self._entered.append(_OPEN.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _OPEN.reset(self._entered.pop())
        if not self._entered:
            self.close()


def open_cluster() -> Engine | None:
    """Find the workers that slow work can be sent to.

    Returns:
        The engine of the innermost `with` block, where it has workers.
    """
    engine = _OPEN.get()
    return engine if engine is not None and engine.has_workers else None


def plain_rows(frame: Frame) -> list[dict[str, Any]]:
    """Bring a few rows into this process.

    Args:
        frame: a lazy frame of few rows.

    Returns:
        Name -> value of each row.
    """
    return cast(list[dict[str, Any]], frame.collect("pyarrow").to_native().to_pylist())


def totals(frame: Frame, **values: nw.Expr) -> dict[str, int]:
    """Count over all rows of a frame.

    Args:
        frame: a lazy frame.
        values: what is summed: conditions or whole numbers, by name.

    Returns:
        The sum of each, 0 where there are no rows, and the number of rows as `rows`.
    """
    sums = [value.cast(nw.Int64).sum().cast(nw.Int64).alias(name) for name, value in values.items()]
    row = plain_rows(frame.select(nw.len().cast(nw.Int64).alias("rows"), *sums))[0]
    return {name: int(total or 0) for name, total in row.items()}


def n_rows(frame: Frame) -> int:
    """Count the rows of a frame.

    Args:
        frame: a lazy frame.

    Returns:
        How many there are.
    """
    return totals(frame)["rows"]


def block_path(folder: Path, block: int) -> Path:
    """Return where the result of a block is kept.

    Args:
        folder: The folder of all blocks.
        block: Its number.

    Returns:
        The file.
    """
    return folder / f"block-{block:08d}.arrow"


def read_block(path: Path) -> pa.Table:
    """Read the result of a block.

    Args:
        path: A file of `map_blocks`.

    Returns:
        What the function returned.
    """
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def work_on_block(function: Callable[[pa.Table], pa.Table], table: pa.Table, path: Path) -> Path | None:
    """Apply a function to one block and publish its result.

    Args:
        function: What `map_blocks` got.
        table: The rows of the block, sorted.
        path: The file of its result, which appears whole.

    Returns:
        The path; None for a block without rows.
    """
    if not len(table):
        return None
    with limit_threads(1):
        made = function(table)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")  # a worker that is lost may still be writing
    with pa.OSFile(str(aside), "wb") as file, pa.ipc.new_file(file, made.schema) as writer:
        writer.write_table(made)
    aside.replace(path)
    return path


def _finished(path: Path) -> Future[Path | None]:
    done: Future[Path | None] = Future()
    done.set_result(path)
    return done
