"""The form of a user's files: a table, a line a user, a log of impressions, several kinds of events. Writes nothing."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pyarrow as pa

from genre.data.event_kinds import BUILT_IN, SHOW
from genre.engines.duckdb import DuckDB
from genre.preprocessing.sources.columns import EVENT_NAMES, Columns
from genre.preprocessing.sources.files import Files, read_side
from genre.preprocessing.sources.impressions import Impressions, looks_like_impressions
from genre.preprocessing.sources.sequences import Sequences, looks_like_sequences
from genre.preprocessing.tables import Tables, plain_name

MOST_KINDS = 20
"""A column of events with more values names something else."""
CIRCUMSTANCES = (
    "device devicetype devicecategory platform os operatingsystem browser client clienttype app channel medium network "
    "placement surface weather season daypart timeofday location place city country region language locale store "
    "branch companion companions mood occasion"
)
"""Names of columns that a request knows, too, before anything is taken; what other columns say may be an outcome."""
TAKES_BACK = re.compile(r"\b(refund(ed)?|returned|return|cancel(l?ed)?|chargeback)\b")
"""Kinds of events that cancel a purchase, as words in lower case."""
NO_LIKE = re.compile(r"\b(remove|delete|dislike|skip|hide|block|report|un(like|follow|save|star|favou?rite|subscribe))")
"""Kinds of events that say nothing good of an item."""
FirstSource = Files | Sequences | Impressions


def choose_source(interactions: Path, items: Path | None, users: Path | None, columns: Columns) -> FirstSource:
    """Choose the source that reads a user's files by their form.

    Args:
        interactions: What users did.
        items: The table of items; None: there is none.
        users: The table of users; None: there is none.
        columns: What the user says of the columns; then it is a table.

    Returns:
        The source.
    """
    if columns == Columns(format=columns.format) and looks_like_impressions(interactions):
        return Impressions(interactions, items=items, users=users, columns=columns)
    if columns == Columns() and looks_like_sequences(interactions):
        return Sequences(interactions, items=items, users=users)
    return Files(interactions=interactions, items=items, users=users, columns=columns)


def with_context(source: FirstSource, tables: Tables) -> FirstSource:
    """Read the circumstances of interactions where columns without another role have the name of some.

    Args:
        source: The source.
        tables: What it read.

    Returns:
        A source that keeps these columns, where there are some; else the same source.
    """
    if not isinstance(source, Files) or source.columns.context:
        return source
    names = tuple(name for name in tables.unused if plain_name(name) in CIRCUMSTANCES.split())
    if not names:
        return source
    return dataclasses.replace(source, columns=dataclasses.replace(source.columns, context=names))


def with_event_kinds(source: FirstSource, tables: Tables, engine: DuckDB) -> FirstSource:
    """Weigh the kinds of events where a column of the interactions holds them.

    Args:
        source: The source.
        tables: What it read.
        engine: Reads the column.

    Returns:
        A source that weighs each kind as a service does; kinds that a service does not know weigh -1 where they cancel
        a purchase, 0 where they undo something else, else 1. Without a column of kinds: the same source.
    """
    if not isinstance(source, Files) or source.columns.event_kinds or source.columns.weight:
        return source
    if not set(tables.columns) & set(EVENT_NAMES.split()):
        return source
    side = read_side(engine, source.interactions, source.columns)
    assert side is not None  # it was read before
    for name in side.table.column_names:
        if plain_name(name) in EVENT_NAMES.split() and (weights := _weights(side.table[name])):
            columns = dataclasses.replace(source.columns, event=name, event_kinds=weights)
            return dataclasses.replace(source, columns=columns)
    return source


def _weights(column: pa.ChunkedArray) -> dict[str, float] | None:
    """Return a weight for each kind, or None where the values are no kinds."""
    kinds = [str(kind) for kind in column.unique().to_pylist() if kind is not None and str(kind).strip()]
    if not 2 <= len(kinds) <= MOST_KINDS or SHOW in kinds:  # what is shown and how often is no table of events
        return None
    return {kind: _weight(kind.lower()) for kind in sorted(kinds)}


def _weight(kind: str) -> float:
    words = " ".join(re.findall("[a-z]+", kind))
    if TAKES_BACK.search(words):
        return -1.0
    return max(BUILT_IN.get(kind, 0.0 if NO_LIKE.search(words) else 1.0), 0.0)
