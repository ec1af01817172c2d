"""A second engine, on Polars: what is written once as lazy frames gives the same rows on it."""

from __future__ import annotations

from dataclasses import dataclass

import narwhals as nw
import polars as pl
import pyarrow as pa

from genre.engines.base import Engine


@dataclass(eq=False)
class Polars(Engine):
    """Polars in this process, lazily."""

    def read(self, table: pa.Table) -> nw.LazyFrame:
        if "row" not in table.column_names:
            table = table.append_column("row", pa.array(range(1, table.num_rows + 1), pa.int64()))
        return nw.from_native(pl.from_arrow(table).lazy())  # type: ignore[union-attr]

    def write(self, frame: nw.LazyFrame) -> nw.LazyFrame:
        return nw.from_native(nw.to_native(frame).collect().lazy())

    def collect(self, frame: nw.LazyFrame, schema: pa.Schema) -> pa.Table:
        return nw.to_native(frame.select(schema.names)).collect().to_arrow().cast(schema)

    def close(self) -> None:
        pass
