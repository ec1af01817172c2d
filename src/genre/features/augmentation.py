"""What a language model adds to the data before anything is learnt: summaries, profiles, invented next items.

The train part goes in, columns of the items' and users' tables come out, so that every encoder and recommender can use
them: `summary`, `topics` of items; `profile`, `interests`, `synthetic_item`, `synthetic_text` (made from the history)
and `synthetic_chained_item`, `synthetic_chained_text` (from the profile as well) of users. What comes back is checked
before it counts, and each column says where it is from.
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
"""Every column that augmentation may make."""
ENCODED = COLUMNS[:4]
"""Those that encoders read."""


@dataclass(frozen=True, eq=False)
class Augmented:
    """New columns by name, aligned with the rows of items and users, and how the answers turned out, by step."""

    items: dict[str, pa.Array] = field(default_factory=dict)
    users: dict[str, pa.Array] = field(default_factory=dict)
    provenance: dict[str, dict[str, str]] = field(default_factory=dict)
    reports: dict[str, AnswerReport] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Calls that failed: questions that are worth asking again."""
        return sum(report.failed for report in self.reports.values())

    def apply(self, dataset: Dataset) -> Dataset:
        """Any part of the same data with the columns attached; a null is where the model gave nothing usable."""
        return dataclasses.replace(
            dataset, items=self._attach(dataset.items, self.items), users=self._attach(dataset.users, self.users)
        )

    def apply_split(self, split: Split) -> Split:
        """All parts of a split with the columns attached."""
        validation, test = (Fold(*map(self.apply, fold)) for fold in (split.validation, split.test))
        return Split(self.apply(split.train), validation, test, split.notes)

    def _attach(self, table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
        for name, column in columns.items():
            typed = pa.field(name, column.type, metadata=self.provenance[name])
            at = table.schema.get_field_index(name)
            table = table.append_column(typed, column) if at < 0 else table.set_column(at, typed, column)
        return table


def augment(train: Dataset, ledger: Ledger, options: Augmentation, *, log: Log = SILENT) -> Augmented:
    """Ask for all that `options` name, in the order summaries, profiles, next items; each step uses the one before.

    train: the train part and nothing else. Raises BudgetExceeded when a cap is reached (every answer is kept),
    LLMError when the model cannot be asked at all, DataError for a column that does not exist; whatever the model does
    wrong is counted and leaves a null.
    """
    made = Augmented()
    for name, questions_of in steps(options).items():
        questions = questions_of(made.apply(train), options)
        log.line(f"augmentation: {name}, {_plan(questions, ledger)}")
        made = _with_answers(made, name, questions, train, ledger, options, log)
        log.line(f"  {made.reports[name]}")
        log.record("augmented", step=name, **dataclasses.asdict(made.reports[name]))
    return made


def _with_answers(
    made: Augmented, name: str, questions: PromptBatch, train: Dataset, ledger: Ledger, options: Augmentation, log: Log
) -> Augmented:
    """`made` with the columns that the answers to one step's questions make."""
    data = made.apply(train)
    answers = request_answers(
        ledger,
        questions.prompt,
        questions.values,
        questions.shape,
        questions.check,
        text=next(iter(questions.columns.values())),
        repair=options.repair,
        cutoff=cutoff(train),
        log=log,
    )
    report, n = answers.report, data.n_items if name == "summaries" else data.n_users
    columns = {column: _column(n, questions, answers.values, text) for column, text in questions.columns.items()}
    if questions.matched:
        columns[questions.matched], share = _matched(data, questions, answers.values, options)
        report = dataclasses.replace(report, catalogue_matches=share)
    return Augmented(
        made.items | (columns if name == "summaries" else {}),
        made.users | ({} if name == "summaries" else columns),
        made.provenance | dict.fromkeys(columns, provenance(questions, ledger, train)),
        made.reports | {name: report},
    )


def plan(train: Dataset, ledger: Ledger, options: Augmentation) -> dict[str, Plan]:
    """What each step of `augment` would cost before repairs (at most one a question); sends nothing.

    What a later step asks hangs on what the one before says. Where that is known it is planned with it, else as if
    nothing it asks were answered: at most so much.
    """
    made, plans, known = Augmented(), dict[str, Plan](), True
    for name, questions_of in steps(options).items():
        questions = questions_of(made.apply(train), options)
        plans[name] = _plan(questions, ledger, sure=known)
        if known:
            try:
                made = _with_answers(made, name, questions, train, ledger.cached_only(), options, SILENT)
            except BudgetExceeded:
                known = False
    return plans


def _plan(questions: PromptBatch, ledger: Ledger, *, sure: bool = True) -> Plan:
    return ledger.plan(questions.prompt, questions.inputs(), questions.shape.model_json_schema(), sure=sure)


def cutoff(train: Dataset) -> int | None:
    """Seconds since 1970 of the newest event that a text made from `train` may know of; None without times."""
    return None if train.timestamp is None or not len(train) else int(train.timestamp.max())


def provenance(questions: PromptBatch, ledger: Ledger, train: Dataset) -> dict[str, str]:
    """What a synthetic column says about itself, kept in its Arrow field."""
    until = cutoff(train)
    return {
        "genre.model": ledger.model.fingerprint,
        "genre.prompt": questions.prompt.name,
        "genre.prompt_hash": questions.prompt.hash,
        "genre.cutoff": "untimed" if until is None else str(until),
    }


def synthetic_digest(table: pa.Table, columns: Sequence[str] = COLUMNS) -> str:
    """Of what a language model put into a table; empty where it put nothing. Equal texts, equal work after them."""
    made = [field.name for field in table.schema if field.name in columns and b"genre.model" in (field.metadata or {})]
    return digest_texts([name + json.dumps(table[name].to_pylist()) for name in made]) if made else ""


def generated_text(users: pa.Table, row: int, column: str) -> tuple[str | None, str | None]:
    """What a column says of the user in `row`, and the language model that wrote it; None where it does not say.

    column: one of the users' table; of an invented item the text it was matched by.
    """
    name = column.removesuffix("_item") + "_text" if column.endswith("_item") else column
    if name not in users.column_names:
        return None, None
    text, model = users[name][row].as_py(), (users.schema.field(name).metadata or {}).get(b"genre.model")
    return text, None if text is None or model is None else model.decode()


def check_provenance(dataset: Dataset, train: Dataset) -> list[str]:
    """What is wrong with the origin of the synthetic columns of `dataset`; empty: all is well.

    train: the train part. A text made from later events than its last has seen the answers.
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
    """`items.parquet`, `users.parquet`, `augmentation.json` into an existing folder."""
    for side, columns in (("items", made.items), ("users", made.users)):
        pq.write_table(pa.table(columns), folder / f"{side}.parquet")
    reports = {name: dataclasses.asdict(report) for name, report in made.reports.items()}
    storage.write_json(folder / "augmentation.json", {"provenance": made.provenance, "reports": reports})


def read_augmented(folder: Path) -> Augmented:
    """What `write_augmented` wrote; ArtifactError when it is not that."""
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
    """The steps that `options` ask for, in the order in which they build on one another."""
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


def _column(n: int, questions: PromptBatch, answers: Sequence[Any], text: Callable[[Any], str]) -> pa.Array:
    """One text a row, null where nothing was asked or nothing usable came."""
    texts: list[str | None] = [None] * n
    for row, answer in zip(questions.rows, answers, strict=True):
        if answer is not None:
            texts[row] = " ".join(text(answer).split())
    return pa.array(texts, pa.string())


def _matched(
    data: Dataset, questions: PromptBatch, answers: Sequence[Any], options: Augmentation
) -> tuple[pa.Array, float]:
    """The catalogue's item most like each invented one, never one the user has; and how many were named by title."""
    texts = [" ".join(fields) for fields in sent_fields(data.items, options.item_fields, labels=False)]
    catalogue = ItemMatcher(data.titles(), texts)
    history = data.history()
    items: list[str | None] = [None] * data.n_users
    named = 0
    for user, answer in zip(questions.rows.tolist(), answers, strict=True):
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
