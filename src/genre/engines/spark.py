"""The engine for a cluster: Spark, by a classic session. Needs pyspark and Java.

Frames are read from Parquet in a folder that all workers see, and every checkpoint is written there. A block is a
function of row numbers, as on every engine, so results do not depend on partitions, on the order of files or on workers
that were lost.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import override

from genre.engines.base import Engine, Frame, block_path, work_on_block
from genre.errors import DataError, GenreError, NotAvailable
from genre.options import Doc, Ge
from genre.threads import blas_threads

PLACE_BITS = 33
"""Spark numbers rows as the partition shifted by so many bits, plus the place inside it."""
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",  # it would put all blocks into one task
    "spark.speculation": "false",
}


@dataclass(eq=False)
class Spark(Engine):
    """A Spark cluster: cleaning, numbering and lists for all users on its workers; recommenders learn on the driver."""

    master: Annotated[
        str,
        Doc("The cluster, as Spark names it: `spark://host:7077`, `yarn`, or `local[4]` for threads of this machine."),
    ] = "local[*]"
    partitions: Annotated[int, Ge(1), Doc("Parts that tables are worked on in; two or three a core.")] = 8
    shared: Annotated[
        str | None,
        Doc("A folder that driver and workers see under one path, for tables in between; None: a temporary one."),
    ] = None
    settings: Annotated[
        dict[str, str], Doc("Further settings of the session, such as `{spark.executor.memory: 8g}`.")
    ] = field(default_factory=dict)

    has_workers: ClassVar[bool] = True

    @cached_property
    def folder(self) -> Path:
        """The folder of this engine's tables, removed by `close`."""
        if self.shared is not None:
            Path(self.shared).mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="genre-tables-", dir=self.shared)).resolve()

    @cached_property
    def session(self) -> Any:
        """The session: beside the active one of this process, with SQL settings of its own, else a new one."""
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise NotAvailable("engine: spark needs pyspark: pip install 'genre-rec[spark]'") from error
        own = {**SETTINGS, "spark.sql.shuffle.partitions": str(self.partitions), **self.settings}
        if (active := SparkSession.getActiveSession()) is not None:
            beside = active.newSession()
            for name, value in own.items():
                if name.startswith("spark.sql."):
                    beside.conf.set(name, value)
            return beside
        if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
            raise NotAvailable(
                "engine: spark needs Java 17 or newer, such as openjdk-17-jre-headless; or set JAVA_HOME"
            )
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.master(self.master).appName("genre")
        for name, value in own.items():
            builder = builder.config(name, value)
        self._started = builder.getOrCreate()
        self._started.sparkContext.setLogLevel("ERROR")
        return self._started

    def place(self) -> Path:
        """Make a path for a table.

        Returns:
            A path that no table of this engine has yet.
        """
        return self.folder / f"table-{next(self._names):05d}"

    def read_parquet(self, path: Path) -> Frame:
        """Look at Parquet files as a lazy frame.

        Args:
            path: A file, or a folder of files.

        Returns:
            Their rows.
        """
        frame: Frame = nw.from_native(self.session.read.parquet(_address(path)))
        return frame

    @override
    def read(self, table: pa.Table) -> Frame:
        if "row" not in table.column_names:
            table = table.append_column("row", pa.array(range(1, table.num_rows + 1), pa.int64()))
        path = self.place().with_suffix(".parquet")
        pq.write_table(table, path, row_group_size=max(1, -(-len(table) // self.partitions)))
        return self.read_parquet(path)

    @override
    def write(self, frame: Frame) -> Frame:
        path = self.place()
        nw.to_native(frame).write.parquet(_address(path))
        return self.read_parquet(path)

    @override
    def collect(self, frame: Frame, schema: pa.Schema) -> pa.Table:
        return nw.to_native(frame.select(schema.names)).toArrow().cast(schema)

    @override
    def number(self, frame: Frame, key: str, name: str, *, order: Sequence[str] = ()) -> Frame:
        # A row number over all rows would be one task: number inside sorted ranges and add where each range begins.
        from pyspark.sql import functions

        by = [*order, key]
        distinct = nw.to_native(frame).select(*by).distinct()
        ranges = distinct.repartitionByRange(self.partitions, *by).sortWithinPartitions(*by)
        path = _address(self.place())  # written before it is counted: a second evaluation may cut other ranges
        ranges.withColumn("place", functions.monotonically_increasing_id()).write.parquet(path)
        placed, part = self.session.read.parquet(path), functions.shiftright("place", PLACE_BITS)
        counted = placed.groupBy(part.alias("part")).agg(functions.count("*").alias("n")).toArrow().sort_by("part")
        parts, sizes = counted["part"].to_pylist(), counted["n"].to_pylist()
        starts = dict(zip(parts, np.cumsum([0, *sizes]).tolist(), strict=False))
        number = functions.col("place")
        if starts:
            start = functions.create_map(*[functions.lit(value) for pair in starts.items() for value in pair])
            number = number.bitwiseAND(functions.lit((1 << PLACE_BITS) - 1)) + start[part]
        numbered: Frame = nw.from_native(placed.select(*by, number.cast("long").alias(name)))
        return numbered

    @override
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
        from pyspark.sql import functions

        block = functions.floor(functions.col(by) / functions.lit(size)).cast("long")
        blocks = nw.to_native(frame).withColumn("block", block)
        every = sorted(row.block for row in blocks.select("block").distinct().collect())
        paths = {number: block_path(to.resolve(), number) for number in every}
        left = [number for number, path in paths.items() if not path.is_file()]
        if left:
            wanted = blocks.filter(functions.col("block").isin(left)).repartition(len(left), "block")
            make = _block_maker(function, schema, by, {number: str(paths[number]) for number in left})
            with _own_errors():
                wanted.groupBy("block").applyInArrow(make, "block long").collect()
        for path in paths.values():
            if not path.is_file():
                raise DataError(
                    f"{path}: is not seen here, though a worker wrote it; set `shared` of the engine to a folder "
                    "that driver and workers see under one path"
                )
            yield path

    @override
    def blocks_folder(self, beside: Path) -> Path:
        return beside if self.shared is None else Path(self.shared).resolve() / beside.name

    @contextmanager
    def checkpoints(self) -> Iterator[None]:
        """Let what learns on the cluster write checkpoints into the folder of this engine during the block."""
        context = self.session.sparkContext
        before = context.getCheckpointDir()
        context.setCheckpointDir(_address(self.place()))
        try:
            yield
        finally:
            if before is not None:
                context.setCheckpointDir(before)

    @override
    def close(self) -> None:
        if "session" in vars(self):
            if hasattr(self, "_started"):
                self._started.stop()
                del self._started
            del vars(self)["session"]
        if "folder" in vars(self):
            shutil.rmtree(self.folder, ignore_errors=True)
            del vars(self)["folder"]


@contextmanager
def _own_errors() -> Iterator[None]:
    """Raise what a worker says in one line, without the stack of the cluster, where it is an error of this package."""
    from pyspark.errors import PythonException

    try:
        yield
    except PythonException as error:
        said = re.search(r"^genre\.errors\.\w+: (.+)$", str(error), re.MULTILINE)
        if said is None:
            raise
        raise GenreError(said[1]) from error


def _address(path: Path) -> str:
    """Return where Spark finds a path; without the scheme it would look in the file system of the cluster."""
    return path.absolute().as_uri().replace("%2A", "*")


def _block_maker(
    function: Callable[[pa.Table], pa.Table], schema: pa.Schema, by: str, paths: dict[int, str]
) -> Callable[[pa.Table], pa.Table]:
    """Return what a worker does with the rows of a block: it writes the result to its path and returns the number."""

    def make(table: pa.Table) -> pa.Table:
        number = table["block"][0].as_py()
        path = Path(paths[number])
        if not path.is_file():  # a worker that was lost since may have finished it
            with blas_threads():
                work_on_block(function, table.select(schema.names).cast(schema).sort_by(by), path)
        return pa.table({"block": pa.array([number], pa.int64())})

    return make
