"""The columns that a language model adds to a dataset: how they are attached, saved, and checked for their origin.

Of items `summary`, `topics`; of users `profile`, `interests`, `synthetic_item`, `synthetic_text` (from the history) and
`synthetic_chained_item`, `synthetic_chained_text` (from the profile as well). The metadata of each column say which
model and prompt made it, and up to which time it knows events. Every encoder and recommender can use them. Calls no
model.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from genre import storage
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.data.parquet import read_table
from genre.errors import ArtifactError
from genre.features.base import digest_texts
from genre.llm.typed_answers import AnswerReport

COLUMNS = (
    *("summary", "topics", "profile", "interests"),
    *("synthetic_item", "synthetic_text", "synthetic_chained_item", "synthetic_chained_text"),
)
"""All columns that augmentation may make."""
ENCODED = COLUMNS[:4]
"""The columns among them that encoders read."""


@dataclass(frozen=True, eq=False)
class Augmented:
    """The columns that augmentation made.

    Attributes:
        items: Name -> column of the items' table. [n_items]
        users: Name -> column of the users' table. [n_users]
        provenance: Name of a column -> its metadata: model, prompt, cut-off.
        reports: Step -> how many answers were usable.
    """

    items: dict[str, pa.Array] = field(default_factory=dict)
    users: dict[str, pa.Array] = field(default_factory=dict)
    provenance: dict[str, dict[str, str]] = field(default_factory=dict)
    reports: dict[str, AnswerReport] = field(default_factory=dict)

    @property
    def unanswered(self) -> int:
        """How many questions have no answer, since calls failed or the budget was used up; worth another run."""
        return sum(report.failed + report.over_budget for report in self.reports.values())

    def apply(self, dataset: Dataset) -> Dataset:
        """Attach the columns to a dataset.

        Args:
            dataset: Any part of the same data.

        Returns:
            The dataset with the columns; a row without a usable answer is null.
        """
        return dataclasses.replace(
            dataset, items=self._attach(dataset.items, self.items), users=self._attach(dataset.users, self.users)
        )

    def apply_split(self, split: Split) -> Split:
        """Attach the columns to all parts of a split.

        Args:
            split: A split of the same data.

        Returns:
            The split with the columns.
        """
        validation, test = (Fold(*map(self.apply, fold)) for fold in (split.validation, split.test))
        return Split(self.apply(split.train), validation, test, split.notes)

    def _attach(self, table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
        """Add columns with their metadata to a table, or replace them."""
        for name, column in columns.items():
            typed = pa.field(name, column.type, metadata=self.provenance[name])
            at = table.schema.get_field_index(name)
            table = table.append_column(typed, column) if at < 0 else table.set_column(at, typed, column)
        return table


def cutoff(train: Dataset) -> int | None:
    """Return the time of the newest event that a text made from a dataset may know of.

    Args:
        train: The train part.

    Returns:
        Seconds since 1970; None for data without times.
    """
    return None if train.timestamp is None or not len(train) else int(train.timestamp.max())


def synthetic_digest(table: pa.Table, columns: Sequence[str] = COLUMNS) -> str:
    """Compute a digest of the texts that a language model put into a table.

    Args:
        table: Items or users.
        columns: The columns to look at.

    Returns:
        Equal digests mean equal texts; empty where there is none.
    """
    made = [field.name for field in table.schema if field.name in columns and b"genre.model" in (field.metadata or {})]
    return digest_texts([name + json.dumps(table[name].to_pylist()) for name in made]) if made else ""


def generated_text(users: pa.Table, row: int, column: str) -> tuple[str | None, str | None]:
    """Look up a generated text of a user, and the language model that wrote it.

    Args:
        users: The users' table.
        row: The user.
        column: A column of the table; for an invented item the text that it was matched by is returned.

    Returns:
        The text and the model's fingerprint; None for what is missing.
    """
    name = column.removesuffix("_item") + "_text" if column.endswith("_item") else column
    if name not in users.column_names:
        return None, None
    text, model = users[name][row].as_py(), (users.schema.field(name).metadata or {}).get(b"genre.model")
    return text, None if text is None or model is None else model.decode()


def check_provenance(dataset: Dataset, train: Dataset) -> list[str]:
    """Check that each generated column says where it comes from, and that its texts know no event after the train part.

    Args:
        dataset: The data with generated columns.
        train: The train part. A text made from later events has seen the targets.

    Returns:
        One message a problem; empty when there is none.
    """
    until = cutoff(train)
    problems = []
    for column in [*dataset.items.schema, *dataset.users.schema]:
        origin = {key.decode(): value.decode() for key, value in (column.metadata or {}).items()}
        if column.name not in COLUMNS or (column.name == "topics" and not origin):
            continue  # a data set may bring topics of its own
        lacking = [key for key in ("genre.model", "genre.prompt_hash", "genre.cutoff") if key not in origin]
        if lacking:
            problems.append(f"column {column.name}: does not say {', '.join(lacking)}; augment the data again")
        elif until is not None and (not origin["genre.cutoff"].isdigit() or int(origin["genre.cutoff"]) > until):
            problems.append(f"column {column.name}: knows events up to {origin['genre.cutoff']}, train ends at {until}")
    return problems


def write_augmented(folder: Path, made: Augmented) -> None:
    """Write `items.parquet`, `users.parquet` and `augmentation.json`.

    Args:
        folder: An existing folder.
        made: What `augment` returned.
    """
    for side, columns in (("items", made.items), ("users", made.users)):
        pq.write_table(pa.table(columns), folder / f"{side}.parquet")
    reports = {name: dataclasses.asdict(report) for name, report in made.reports.items()}
    storage.write_json(folder / "augmentation.json", {"provenance": made.provenance, "reports": reports})


def read_augmented(folder: Path) -> Augmented:
    """Read the files of `write_augmented`.

    Args:
        folder: Where they are.

    Returns:
        The columns and reports.

    Raises:
        ArtifactError: They are missing or damaged.
    """
    plain = storage.read_json(folder / "augmentation.json")
    try:
        items, users = (read_table(folder / f"{side}.parquet") for side in ("items", "users"))
        return Augmented(
            {name: items[name].combine_chunks() for name in items.column_names},
            {name: users[name].combine_chunks() for name in users.column_names},
            plain["provenance"],
            {name: AnswerReport.from_json(report) for name, report in plain["reports"].items()},
        )
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder}: not a saved augmentation ({error}); augment again") from error
