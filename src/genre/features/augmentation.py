"""Augmentation: a language model writes summaries of items, profiles of users and invented next items, step by step.

The train part goes in, new columns come out (`augmented_columns.py`). Answers are checked before they are used. Knows
no encoder and no recommender.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from genre.data.dataset import Dataset
from genre.features.augmentation_prompts import (
    Augmentation,
    chained_item_prompts,
    next_item_prompts,
    profile_prompts,
    summary_prompts,
)
from genre.features.augmented_columns import Augmented, cutoff
from genre.features.item_matcher import ItemMatcher
from genre.features.prompt_batch import PromptBatch
from genre.llm.budget import Plan
from genre.llm.ledger import Ledger
from genre.llm.prompt import load_prompt
from genre.llm.sent_fields import sent_fields
from genre.llm.typed_answers import Answers, request_answers
from genre.log import SILENT, Log


def augment(train: Dataset, ledger: Ledger, options: Augmentation, *, log: Log = SILENT) -> Augmented:
    """Generate the texts that the options name: summaries, profiles, next items; each step uses the one before.

    Args:
        train: The train part and nothing else.
        ledger: Where the model's answers come from.
        options: Options of augmentation.
        log: Where progress is shown.

    Returns:
        The new columns. A wrong answer of the model is counted and leaves a null, and so does a question that came
        after the budget.

    Raises:
        LLMError: The model cannot be used at all, such as without a key.
        DataError: A listed column does not exist.
    """
    made = Augmented()
    for name, fill in steps(options).items():
        batch = fill(made.apply(train), options)
        log.line(f"augmentation: {name}, {_plan(batch, ledger, options)}")
        made = _with_answers(made, name, batch, train, ledger, options, log)
        log.line(f"  {made.reports[name]}")
        log.record("augmented", step=name, **dataclasses.asdict(made.reports[name]))
    return made


def request_batch(
    batch: PromptBatch, ledger: Ledger, *, repair: bool, cutoff: int | None = None, log: Log = SILENT
) -> Answers[Any]:
    """Send the prompts of one step, or read their answers from the ledger.

    Args:
        batch: The prompts, and what an answer must be like.
        ledger: Of the exchanges with the model.
        repair: Whether an answer that does not pass is requested once more, with what is wrong with it.
        cutoff: Seconds since 1970; nothing after it was used for the prompts.
        log: Where progress is shown.

    Returns:
        The answers that passed, and the report.
    """
    return request_answers(
        ledger,
        batch.prompt,
        batch.values,
        batch.shape,
        batch.check,
        instead=batch.instead,
        schemas=batch.schemas(),
        text=next(iter(batch.columns.values())),
        repair=repair,
        cutoff=cutoff,
        log=log,
    )


def _with_answers(
    made: Augmented, name: str, batch: PromptBatch, train: Dataset, ledger: Ledger, options: Augmentation, log: Log
) -> Augmented:
    """Run one step: add the columns that the answers to its prompts make."""
    data = made.apply(train)
    answers = request_batch(batch, ledger, repair=options.repair, cutoff=cutoff(train), log=log)
    report, n = answers.report, data.n_items if name == "summaries" else data.n_users
    columns = {column: _column(n, batch, answers.values, text) for column, text in batch.columns.items()}
    if batch.matched:
        columns[batch.matched], share = _matched(data, batch, answers.values, options)
        n_matched = n - columns[batch.matched].null_count
        report = dataclasses.replace(report, catalogue_matches=share, unmatched=report.usable - n_matched)
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
        plans[name] = _plan(batch, ledger, options, sure=known)
        if known:
            made = _with_answers(made, name, batch, train, ledger.cached_only(), options, SILENT)
            known = not made.reports[name].over_budget
    return plans


def _plan(batch: PromptBatch, ledger: Ledger, options: Augmentation, *, sure: bool = True) -> Plan:
    """Estimate what one step would cost."""
    mend = load_prompt("repair") if options.repair else None
    return ledger.plan(batch.prompt, batch.inputs(), batch.schemas(), sure=sure, repair=mend)


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
