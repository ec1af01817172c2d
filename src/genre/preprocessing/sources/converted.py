"""Tables as Parquet in a folder: what `genre convert` writes and every engine reads. Does not know other formats."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from typing_extensions import override

from genre.data.parquet import read_table, write_table
from genre.engines.base import n_rows
from genre.engines.duckdb import DuckDB, one_file
from genre.errors import ArtifactError
from genre.log import SILENT, Log
from genre.options import Doc
from genre.preprocessing.sources.base import Source
from genre.preprocessing.tables import Rejected, Tables
from genre.storage import MANIFEST, publish, read_json, read_manifest, reading, sha256, write_json

INTERACTIONS, FACTS = "interactions", "tables.json"
SIDES = ("users", "items")
REMEDY = "run `genre convert` again"


@dataclass(eq=False)
class Converted(Source):
    """A folder that `genre convert` wrote: the typed columns of another source, and how they were read.

    Dataset and report are those of the source that was converted. Spark reads the files itself, where any other source
    passes through the driver.
    """

    folder: Annotated[Path, Doc("A folder that `genre convert` wrote.")]

    @property
    def interactions(self) -> Path:
        """The folder of the Parquet files of the interactions."""
        return self.folder / INTERACTIONS

    @override
    def load(self, engine: DuckDB, *, log: Log = SILENT) -> Tables:
        if FACTS not in read_manifest(self.folder)["files"]:
            raise ArtifactError(f"{self.folder}: holds no tables; give a folder that `genre convert` wrote")
        with reading(self.folder / FACTS, REMEDY):
            facts: dict[str, Any] = {name: _frozen(value) for name, value in read_json(self.folder / FACTS).items()}
            facts["rejected"] = tuple(Rejected(**one) for one in facts["rejected"])
        paths = {side: self.folder / f"{side}.parquet" for side in SIDES}
        tables = {side: read_table(path) for side, path in paths.items() if path.is_file()}
        files = ", ".join(map(one_file, sorted(self.interactions.glob("*.parquet"))))
        query = f"SELECT * FROM read_parquet([{files}], hive_partitioning=false)"
        with reading(self.folder / FACTS, REMEDY):
            return Tables(engine.frame(engine.view(query)), **tables, **facts)

    @override
    def fingerprint(self) -> str:
        manifest = self.folder / MANIFEST  # it holds the hash of every file
        if not manifest.is_file():
            raise ArtifactError(f"{self.folder}: no {MANIFEST}; give a folder that `genre convert` wrote")
        return hashlib.sha256(f"{type(self).__qualname__} {sha256(manifest)}".encode()).hexdigest()


def convert(source: Source, folder: Path, *, log: Log = SILENT) -> int:
    """Write what a source delivers as Parquet, in memory that does not grow with it.

    Args:
        source: Reads the data.
        folder: A folder to make; it appears whole or not at all.
        log: Gets how each column was read, and what could not be read.

    Returns:
        The number of interactions.

    Raises:
        DataError: The data cannot be read.
    """
    with DuckDB() as engine:
        tables = source.load(engine, log=log)
        for line in tables.notes:
            log.line(line)
        for bad in tables.rejected:
            log.line(f"{bad.where}: row {bad.row:,} cannot be read: {bad.reason}")
        with publish(folder) as aside:
            engine.convert(tables.interactions, aside / INTERACTIONS)
            for side in SIDES:
                table: pa.Table | None = getattr(tables, side)
                if table is not None:
                    write_table(aside / f"{side}.parquet", table)
            facts = {field.name: getattr(tables, field.name) for field in dataclasses.fields(tables)}
            for name in (INTERACTIONS, *SIDES):
                del facts[name]
            write_json(aside / FACTS, {**facts, "rejected": [dataclasses.asdict(bad) for bad in tables.rejected]})
        return n_rows(tables.interactions)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
