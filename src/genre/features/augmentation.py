"""Texts that a language model adds to a dataset: summaries of items, profiles of users, invented next items.

The train part goes in, columns of the items' and users' tables come out, which every encoder and recommender can use:
`summary`, `topics` of items; `profile`, `interests`, `synthetic_item`, `synthetic_text` (made from the history) and
`synthetic_chained_item`, `synthetic_chained_text` (from the profile as well) of users. Answers are checked before they
are used, and the metadata of each column say which model and prompt made it. Knows no encoder and no recommender.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from genre import storage
from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.errors import ArtifactError, BudgetExceeded
from genre.features.augmentation_prompts import (
    Augmentation,
    PromptBatch,
    chained_item_prompts,
    next_item_prompts,
    profile_prompts,
    summary_prompts,
)
from genre.features.base import digest_texts
from genre.features.item_matcher import ItemMatcher
from genre.llm.budget import Plan
from genre.llm.domains import sent_fields
from genre.llm.ledger import Ledger
from genre.llm.typed_answers import AnswerReport, request_answers
from genre.log import SILENT, Log

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
    def failed(self) -> int:
        """How many calls failed; these are worth another run."""
        return sum(report.failed for report in self.reports.values())

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


def augment(train: Dataset, ledger: Ledger, options: Augmentation, *, log: Log = SILENT) -> Augmented:
    """Generate the texts that the options name: summaries, profiles, next items; each step uses the one before.

    Args:
        train: The train part and nothing else.
        ledger: Where the model's answers come from.
        options: Options of augmentation.
        log: Where progress is shown.

    Returns:
        The new columns. A wrong answer of the model is counted and leaves a null.

    Raises:
        BudgetExceeded: A cap is reached; every answer is kept.
        LLMError: The model cannot be used at all, such as without a key.
        DataError: A listed column does not exist.
    """
    made = Augmented()
    for name, fill in steps(options).items():
        batch = fill(made.apply(train), options)
        log.line(f"augmentation: {name}, {_plan(batch, ledger)}")
        made = _with_answers(made, name, batch, train, ledger, options, log)
        log.line(f"  {made.reports[name]}")
        log.record("augmented", step=name, **dataclasses.asdict(made.reports[name]))
    return made


def _with_answers(
    made: Augmented, name: str, batch: PromptBatch, train: Dataset, ledger: Ledger, options: Augmentation, log: Log
) -> Augmented:
    """Run one step: add the columns that the answers to its prompts make."""
    data = made.apply(train)
    answers = request_answers(
        ledger,
        batch.prompt,
        batch.values,
        batch.shape,
        batch.check,
        text=next(iter(batch.columns.values())),
        repair=options.repair,
        cutoff=cutoff(train),
        log=log,
    )
    report, n = answers.report, data.n_items if name == "summaries" else data.n_users
    columns = {column: _column(n, batch, answers.values, text) for column, text in batch.columns.items()}
    if batch.matched:
        columns[batch.matched], share = _matched(data, batch, answers.values, options)
        report = dataclasses.replace(report, catalogue_matches=share)
    return Augmented(
        made.items | (columns if name == "summaries" else {}),
        made.users | ({} if name == "summaries" else columns),
        made.provenance | dict.fromkeys(columns, provenance(batch, ledger, train)),
        made.reports | {name: report},
    )


def plan(train: Dataset, ledger: Ledger, options: Augmentation) -> dict[str, Plan]:
    """Estimate what each step of `augment` would cost before repairs (at most one a question); sends nothing.

    The prompts of a later step depend on the answers to the one before. Where the ledger has those, they are used; else
    the step is planned as if none of its prompts had an answer, which is an upper bound.

    Args:
        train: The train part.
        ledger: Where earlier answers are.
        options: Options of augmentation.

    Returns:
        Step -> its estimate.

    Raises:
        DataError: A listed column does not exist.
    """
    made, plans, known = Augmented(), dict[str, Plan](), True
    for name, fill in steps(options).items():
        batch = fill(made.apply(train), options)
        plans[name] = _plan(batch, ledger, sure=known)
        if known:
            try:
                made = _with_answers(made, name, batch, train, ledger.cached_only(), options, SILENT)
            except BudgetExceeded:
                known = False
    return plans


def _plan(batch: PromptBatch, ledger: Ledger, *, sure: bool = True) -> Plan:
    """Estimate what one step would cost."""
    return ledger.plan(batch.prompt, batch.inputs(), batch.shape.model_json_schema(), sure=sure)


def cutoff(train: Dataset) -> int | None:
    """Return the time of the newest event that a text made from a dataset may know of.

    Args:
        train: The train part.

    Returns:
        Seconds since 1970; None for data without times.
    """
    return None if train.timestamp is None or not len(train) else int(train.timestamp.max())


def provenance(batch: PromptBatch, ledger: Ledger, train: Dataset) -> dict[str, str]:
    """Describe the origin of a step's columns, as metadata of their Arrow fields.

    Args:
        batch: The prompts.
        ledger: Its model is named.
        train: The train part.

    Returns:
        Model, prompt, hash of the prompt file, and cut-off.
    """
    until = cutoff(train)
    return {
        "genre.model": ledger.model.fingerprint,
        "genre.prompt": batch.prompt.name,
        "genre.prompt_hash": batch.prompt.hash,
        "genre.cutoff": "untimed" if until is None else str(until),
    }


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
        items, users = (pq.read_table(folder / f"{side}.parquet") for side in ("items", "users"))
        return Augmented(
            {name: items[name].combine_chunks() for name in items.column_names},
            {name: users[name].combine_chunks() for name in users.column_names},
            plain["provenance"],
            {name: AnswerReport.from_json(report) for name, report in plain["reports"].items()},
        )
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder}: not a saved augmentation ({error}); augment again") from error


def steps(options: Augmentation) -> dict[str, Callable[[Dataset, Augmentation], PromptBatch]]:
    """Name the steps that the options select, in the order in which they build on one another.

    Args:
        options: Options of augmentation.

    Returns:
        Step -> the function that fills its prompts.
    """
    wanted: dict[str, Callable[[Dataset, Augmentation], PromptBatch]] = {}
    if options.summaries:
        wanted["summaries"] = summary_prompts
    if options.profiles or options.synthetic in ("profile", "both"):
        wanted["profiles"] = profile_prompts
    if options.synthetic in ("history", "both"):
        wanted["next items"] = next_item_prompts
    if options.synthetic in ("profile", "both"):
        wanted["chained items"] = chained_item_prompts
    return wanted


def _column(n: int, batch: PromptBatch, answers: Sequence[Any], text: Callable[[Any], str]) -> pa.Array:
    """Make a column of one text a row, null where there is no usable answer."""
    texts: list[str | None] = [None] * n
    for row, answer in zip(batch.rows, answers, strict=True):
        if answer is not None:
            texts[row] = " ".join(text(answer).split())
    return pa.array(texts, pa.string())


def _matched(
    data: Dataset, batch: PromptBatch, answers: Sequence[Any], options: Augmentation
) -> tuple[pa.Array, float]:
    """Find the catalogue's item most like each invented one, never one of the user's own.

    Returns:
        Ids of items `[n_users]`, and the share of invented items that have the title of an existing one.
    """
    texts = [" ".join(fields) for fields in sent_fields(data.items, options.item_fields, labels=False)]
    catalogue = ItemMatcher(data.titles(), texts)
    history = data.history()
    items: list[str | None] = [None] * data.n_users
    named = 0
    for user, answer in zip(batch.rows.tolist(), answers, strict=True):
        if answer is None:
            continue
        row = catalogue.titled(answer.title)
        named += row >= 0
        seen = history.item[history.indptr[user] : history.indptr[user + 1]].tolist()
        if row < 0 or row in seen:
            row = catalogue.nearest(f"{answer.title} {answer.description} {' '.join(answer.topics)}", seen)
        if row >= 0:
            items[user] = data.item_ids[row]
    usable = sum(answer is not None for answer in answers)
    return pa.array(items, pa.string()), round(named / max(usable, 1), 4)
