"""The contract of an engine: lazy frames in, checkpoints and Arrow tables out. Does not know what the frames hold.

Every table step of GENRE is written once, as narwhals expressions on lazy frames. An engine says where such a frame is
computed and kept. From typed columns on, every engine gives the same rows: ids are text compared by their bytes, every
order is total, and counts and row numbers are cast to int64 on the way out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import narwhals as nw
import pyarrow as pa

from genre.options import check_options

Frame = nw.LazyFrame[Any]
"""A table that is computed when it is needed."""


class Engine(ABC):
    """Base of all engines: a dataclass whose fields are its options, opened by its first use, closed by `with`."""

    def __post_init__(self) -> None:
        check_options(self)

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
