"""The first config of a user: inspect the files, fill in `starter.txt`.

Knows nothing about running the config.
"""

from __future__ import annotations

import json
import os
import re
import string
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import pyarrow as pa

from genre.config.reading import Config, parse_config
from genre.config.writing import to_dict
from genre.data.dataset import Dataset
from genre.engines.duckdb import DuckDB
from genre.errors import OptionError
from genre.features.text import render, text_fields
from genre.options import DEFAULT_K, type_hints
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.cleaning_report import CleaningReport
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.columns import N_SAMPLE, Columns
from genre.preprocessing.sources.files import Files
from genre.preprocessing.sources.sequences import Sequences, looks_like_sequences

DENSE_UP_TO = 20_000  # items; the weights of `ease` then need 1.6 GB
Keep = Callable[[Config, Dataset, CleaningReport], None]
CONDITION = re.compile(r"\[(\w+)\] ?(.*)")


def parse_columns(settings: Sequence[str]) -> Columns:
    """Parse the roles of columns.

    Args:
        settings: `role=name` each; `title=false` for a table without titles.

    Returns:
        The columns.

    Raises:
        OptionError: There is no such role.
    """
    named = dict(setting.partition("=")[::2] for setting in settings)
    roles = type_hints(Columns)
    for role, name in named.items():
        if role not in roles or not name:
            wrong = f"--column {role}{'=' if name else ''}{name}"
            raise OptionError(f"{wrong}: write ROLE=NAME, where the role is one of {', '.join(roles)}")
    return Columns(**{role: False if name == "false" else name for role, name in named.items()})  # type: ignore[arg-type]


def first_config(
    interactions: Path,
    items: Path | None,
    users: Path | None,
    output: Path,
    *,
    columns: Columns | None = None,
    keep: Keep | None = None,
) -> str:
    """Write a commented config for a user's files.

    Args:
        interactions: The table of interactions.
        items: The table of items; None: there is none.
        users: The table of users; None: there is none.
        output: Where the config will be written; its paths are relative to that folder.
        columns: The columns of the interactions, where their names do not say what they are.
        keep: Gets the config with the dataset and the report of its step of preprocessing, so that a run need not read
            the files again; None: they are dropped.

    Returns:
        YAML, with the findings as comments.

    Raises:
        DataError: The files cannot be read.
    """
    columns = columns or Columns()
    in_order = columns == Columns() and looks_like_sequences(interactions)
    source = (
        Sequences(interactions, items=items, users=users)
        if in_order
        else Files(interactions=interactions, items=items, users=users, columns=columns)
    )
    before = source.fingerprint() if keep else ""
    with DuckDB() as engine:
        tables = source.load(engine)
        dataset, report = prepare(tables, engine)
        text = _text(source, dataset, report, output)
        if keep is not None:
            config = parse_config(text, str(output), folder=output.resolve().parent)
            if to_dict(config.experiment.cleaning) != to_dict(Cleaning()):
                dataset, report = prepare(tables, engine, config.experiment.cleaning)
            if config.experiment.data.fingerprint() == before:  # no file changed while it was read
                keep(config, dataset, report)
    return text


def _text(source: Files | Sequences, dataset: Dataset, report: CleaningReport, output: Path) -> str:
    """Return the config of a source that was read."""
    in_order = isinstance(source, Sequences)
    role = "path" if in_order else "interactions"
    named = {role: getattr(source, role), "items": source.items, "users": source.users}
    texts = [] if source.items is None else _text_columns(dataset.items)
    columns = Columns() if isinstance(source, Sequences) else source.columns
    roles = {role: name for role, name in vars(columns).items() if name is not None}
    values = {
        "name": _name(Path(named[role])),
        "found": "\n".join(f"#   {line}" for line in report.lines()),
        "kind": "sequences" if in_order else "files",
        "paths": "\n".join(
            f"  {name}: {_relative(Path(path), output)}" for name, path in named.items() if path is not None
        ),
        "columns": json.dumps(roles, ensure_ascii=False),
        "largest_weight": f"{dataset.weight.max():,.0f}",
        "positive_rating": f"{dataset.positive_rating or 0:g}",
        "texts": ", ".join(texts[:6]),
        "first_texts": ", ".join(texts[:3]),
        "k": str(DEFAULT_K),
    }
    return _fill_in(values, _facts(dataset, in_order=in_order) | {"columns": bool(roles), "described": bool(texts)})


def _facts(dataset: Dataset, *, in_order: bool) -> dict[str, bool]:
    """Return the facts about the data that decide which lines the config has."""
    timed, rated, small = dataset.timestamp is not None, dataset.rating is not None, dataset.n_items <= DENSE_UP_TO
    return {
        "timed": timed,
        "untimed": not timed,
        "in_order": in_order and not timed,
        "unordered": not (in_order or timed),
        "rated": rated,
        "unrated": not rated,
        "liked": dataset.positive_rating is not None,
        "weighted": bool(dataset.weight.max() > 1),
        "small": small,
        "large": not small,
    }


def _fill_in(values: Mapping[str, str], facts: Mapping[str, bool]) -> str:
    """Fill in the template; a line `[fact] text` is kept where the fact is true."""
    lines = []
    for line in resources.files("genre.config").joinpath("starter.txt").read_text("utf-8").splitlines():
        condition = CONDITION.fullmatch(line)
        if condition is None or facts[condition[1]]:
            lines.append(line if condition is None else condition[2])
    return string.Template("\n".join([*lines, ""])).substitute(values)


def _text_columns(items: pa.Table) -> list[str]:
    """Return the columns of items in which most values are text."""
    sample = items.slice(0, N_SAMPLE)
    return [name for name in text_fields(sample) if _is_text(sample.select([name]))]


def _is_text(column: pa.Table) -> bool:
    """Tell whether most values of a column that are not null are text."""
    return bool(2 * sum(map(bool, render(column))) > len(column) - column[0].null_count)


def _relative(path: Path, output: Path) -> str:
    """Return a path as it is written in a config at `output`."""
    return Path(os.path.relpath(path.resolve(), output.resolve().parent)).as_posix()


def _name(path: Path) -> str:
    """Turn the name of a file into the name of an experiment."""
    word = "".join(char if char.isalnum() else "-" for char in path.name.partition(".")[0])
    return word.strip("-") or "experiment"
