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
import pyarrow.parquet as pq

from genre.data.arrow import as_numpy
from genre.data.dataset import COLUMNS, Dataset, PartRules
from genre.data.ids import Ids
from genre.errors import ArtifactError, DataError
from genre.storage import publish, read_json, read_manifest, write_json

CONTEXTS = "contexts.parquet"
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
    """
    with pq.ParquetFile(path) as file:
        return file.read()


def _assemble(path: Path) -> Dataset:
    """Build the dataset of a folder whose files have been checked."""
    interactions = read_table(path / "interactions.parquet")
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
