"""A Dataset as a folder of Parquet files, which is read whole or refused. Features are kept elsewhere.

`interactions.parquet` has the columns of the dataset, users and items by row number; `users.ids.parquet` and
`items.ids.parquet` the id of each row; `users.parquet` and `items.parquet` their fields, row by row; `contexts.parquet`
the circumstances of interactions, where there are any; `dataset.json` the rest.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from genre.data.arrow import as_numpy
from genre.data.dataset import COLUMNS, Dataset, PartRules
from genre.data.ids import Ids
from genre.errors import ArtifactError, DataError
from genre.machine import machine_memory
from genre.storage import publish, read_json, read_manifest, write_json

CONTEXTS = "contexts.parquet"
COPIES = 3  # of the rows of a table while they are sorted and counted
SMALL_TEXT = 1_000_000_000  # bytes that a column of text may take without a look at it
RULES = "settling"  # the key of `Dataset.part_rules` in dataset.json, format 2


def write_dataset(dataset: Dataset, folder: str | Path) -> None:
    """Write a dataset into a folder, which appears whole or not at all and replaces an older one.

    Args:
        dataset: The dataset; its features are not written.
        folder: Where to.
    """
    with publish(Path(folder)) as aside:
        write_table(
            aside / "interactions.parquet",
            pa.table({name: column for name in COLUMNS if (column := getattr(dataset, name)) is not None}),
        )
        for label, ids, table in (
            ("users", dataset.user_ids, dataset.users),
            ("items", dataset.item_ids, dataset.items),
        ):
            write_table(aside / f"{label}.ids.parquet", pa.table({"id": ids.values}))
            write_table(aside / f"{label}.parquet", table)
        if dataset.contexts is not None:
            write_table(aside / CONTEXTS, dataset.contexts)
        facts: dict[str, Any] = {name: getattr(dataset, name) for name in ("name", "rating_scale", "positive_rating")}
        facts[RULES] = None if dataset.part_rules is None else dataclasses.asdict(dataset.part_rules)
        write_json(aside / "dataset.json", {**facts, "fingerprint": dataset.fingerprint()})


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file that `read_table` reads with the same types.

    Args:
        path: The file.
        table: Its rows.
    """
    pq.write_table(table, path, compression="zstd", use_compliant_nested_type=False)  # list types keep their names


def read_dataset(folder: str | Path) -> Dataset:
    """Read what `write_dataset` wrote.

    Args:
        folder: A folder written by it.

    Returns:
        The dataset, without features.

    Raises:
        ArtifactError: If a file is missing, changed, or of another version.
    """
    path = Path(folder)
    if "dataset.json" not in read_manifest(path)["files"]:
        raise ArtifactError(f"{path}: holds no dataset; give a folder that write_dataset made")
    try:
        return _assemble(path)
    except (KeyError, TypeError, ValueError, OSError, DataError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: not a dataset this version can read ({error}); make it again") from error


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file. Unlike `pq.read_table`, this imports no pandas, which would take half a second.

    Args:
        path: The file.

    Returns:
        Its rows.

    Raises:
        ArtifactError: If they would not fit into memory, as a small file can claim, or hold text that is no UTF-8.
    """
    with pq.ParquetFile(path) as file:
        needs, has = COPIES * _bytes_of(path, file), machine_memory()
        if needs > has:
            raise ArtifactError(
                f"{path}: {file.metadata.num_rows:,} rows, which need {needs / 1e9:,.1f} GB; this machine has "
                f"{has / 1e9:,.1f} GB"
            )
        table = file.read()
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        raise ArtifactError(f"{path}: damaged ({error})") from error
    return table


def _bytes_of(path: Path, file: pq.ParquetFile) -> int:
    """Return how much the columns take in memory, which may be far more than the file does."""
    n_rows, total = file.metadata.num_rows, 0
    for field in file.schema_arrow:
        try:
            total += n_rows * field.type.bit_width // 8
        except ValueError:  # text and lists
            total += _bytes_of_text(path, file, field)
    return total


def _bytes_of_text(path: Path, file: pq.ParquetFile, field: pa.Field) -> int:
    """Return how much a column of text takes: one long text may stand for that of every row."""
    groups = [file.metadata.row_group(at) for at in range(file.metadata.num_row_groups)]
    chunks = [group.column(at) for group in groups for at in range(group.num_columns)]
    chunks = [chunk for chunk in chunks if chunk.path_in_schema.partition(".")[0] == field.name]
    most = sum(chunk.total_uncompressed_size * max(chunk.num_values, 1) for chunk in chunks)
    if most < SMALL_TEXT or not pa.types.is_string(field.type):
        return sum(chunk.total_uncompressed_size for chunk in chunks)
    total = 0
    with pq.ParquetFile(path, read_dictionary=[field.name]) as coded:
        for batch in coded.iter_batches(columns=[field.name]):
            column = batch.column(0)
            lengths = pc.binary_length(column.dictionary).take(column.indices)
            total += pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0
    return total


def _assemble(path: Path) -> Dataset:
    """Build the dataset of a folder whose files have been checked."""
    interactions = read_table(path / "interactions.parquet")
    for name, column in zip(interactions.column_names, interactions.columns, strict=True):
        finite = pc.all(pc.is_finite(column)).as_py() if pa.types.is_floating(column.type) else True
        if column.null_count or finite is False:  # None: there are no rows
            raise DataError(f"interactions without a {name}, or with one that is not finite")
    columns: dict[str, Any] = {name: as_numpy(interactions[name], 0) for name in interactions.column_names}
    contexts = read_table(path / CONTEXTS) if (path / CONTEXTS).is_file() else None
    facts = read_json(path / "dataset.json")
    scale = facts["rating_scale"]
    return Dataset.from_arrays(
        **columns,
        user_ids=Ids(read_table(path / "users.ids.parquet")["id"].combine_chunks()),
        item_ids=Ids(read_table(path / "items.ids.parquet")["id"].combine_chunks()),
        users=read_table(path / "users.parquet"),
        items=read_table(path / "items.parquet"),
        contexts=contexts,
        rating_scale=None if scale is None else tuple(np.asarray(scale, float).tolist()),
        positive_rating=facts["positive_rating"],
        name=facts["name"],
        part_rules=None if facts.get(RULES) is None else PartRules(**facts[RULES]),
    )
