"""`genre init`: look at somebody's files and write a commented config that runs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from genre.errors import OptionError
from genre.features.text import render, text_fields
from genre.options import type_hints
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.columns import N_SAMPLE, Columns
from genre.preprocessing.sources.files import Files
from genre.preprocessing.sources.sequences import Sequences, looks_like_sequences

DENSE_UP_TO = 20_000  # items; the weights of `ease` then need 1.6 GB


def columns_of(settings: Sequence[str]) -> Columns:
    """Columns from `role=name` each; OptionError for a role that is none."""
    named = dict(setting.partition("=")[::2] for setting in settings)
    roles = type_hints(Columns)
    for role, name in named.items():
        if role not in roles or not name:
            wrong = f"--column {role}{'=' if name else ''}{name}"
            raise OptionError(f"{wrong}: write ROLE=NAME, where the role is one of {', '.join(roles)}")
    return Columns(**{role: False if name == "false" else name for role, name in named.items()})  # type: ignore[arg-type]


def first_config(
    interactions: Path, items: Path | None, users: Path | None, output: Path, *, columns: Columns | None = None
) -> str:
    """The text of a config for these files, with what was found in them as comments.

    columns: of the interactions, where their names do not tell. Raises DataError where the files cannot be read: better
    here than in the first run.
    """
    columns = columns or Columns()
    in_order = columns == Columns() and looks_like_sequences(interactions)
    source = (
        Sequences(interactions, items=items, users=users)
        if in_order
        else Files(interactions=interactions, items=items, users=users, columns=columns)
    )
    dataset, report = prepare(source.load())
    sample = dataset.items.slice(0, N_SAMPLE)
    texts = [name for name in text_fields(sample) if _says_much(sample.select([name]))]
    described = items is not None and bool(texts)
    named = {"path" if in_order else "interactions": interactions, "items": items, "users": users}
    paths = [f"  {name}: {_relative(path, output)}" for name, path in named.items() if path is not None]
    found = "\n".join(f"#   {line}" for line in report.lines())
    asked = {role: name for role, name in vars(columns).items() if name is not None}
    timed = dataset.timestamp is not None
    lines = [
        "# Written by `genre init`. `genre check` shows every option that is not named here, with its default;",
        "# `genre list recommenders` (metrics, split, features, data) shows what else there is.",
        f"name: {_name(interactions)}",
        "seed: 0",
        "",
        "# What was found:",
        found,
        "data:",
        f"  kind: {'sequences' if in_order else 'files'}",
        *paths,
        *([f"  columns: {json.dumps(asked, ensure_ascii=False)}"] if asked else []),
        "",
        "cleaning:",
        "  repeats: last                 # of several interactions of a user with an item: first, last, max, sum, all",
        *(
            [f"  weights: equal                # found: up to {most:,.0f}; `given` takes them as they are"]
            if (most := float(dataset.weight.max())) > 1
            else []
        ),
        "  min_user_interactions: 0      # users and items with fewer are dropped",
        "  min_item_interactions: 0",
        *(
            [f"  positive_rating: {dataset.positive_rating:g}            # from here on a rating is a like"]
            if dataset.positive_rating is not None
            else []
        ),
        "",
        *(
            [
                "# The newest tenth is the test, the tenth before it the validation: as in production.",
                "split: {kind: time, validation: 0.1, test: 0.1}",
            ]
            if timed
            else [
                "# A line holds its items in order: the last is the test, the one before it the validation.",
                "split: {kind: leave-one-out}",
            ]
            if in_order
            else [
                "# No times were found, so interactions go to the parts by lot. Times make a more honest test.",
                "split: {kind: random, validation: 0.1, test: 0.1}",
            ]
        ),
        "",
        *(
            [
                f"# A language model turns the text of items ({', '.join(texts[:6])}) into vectors.",
                "features:",
                "  items: {kind: embedding, model: minilm}",
                "",
            ]
            if described
            else []
        ),
        *(
            [
                "# A language model may say more of items and users first; `genre llm plan` tells what it would cost.",
                "# llm:",
                "#   provider: {kind: llamacpp}          # in this process; or openai, for any compatible endpoint",
                "#   budget: {calls: 1000}",
                "# augmentation:",
                f"#   item_fields: [{', '.join(texts[:3])}]   # nothing else is sent",
                "#   max_items: 100",
                "",
            ]
            if described
            else []
        ),
        "recommenders:",
        "  - {kind: popularity" + (", half_life_days: 30}" if timed else "}"),
        *(["  - {kind: transitions}                    # what follows what"] if in_order else []),
        "  - {kind: item_knn, neighbours: 100}",
        "  - {kind: ease, regularization: 300}      # the memory it needs grows with the square of the items"
        if dataset.n_items <= DENSE_UP_TO
        else "  - {kind: ease_neighbours, regularization: 300}",
        "  - {kind: als, factors: 64}",
        *(["  - {kind: content}"] if described else []),
        *(["  - {kind: mlp, patience: 2}             # predicts ratings"] if dataset.rating is not None else []),
        "",
        "evaluation:",
        "  k: 10",
        "  metrics: [ndcg, recall, precision, f1, mrr, hit_rate, coverage, novelty"
        + (", rmse, mae, accuracy]" if dataset.rating is not None else "]"),
        "",
    ]
    return "\n".join(lines)


def _says_much(column: pa.Table) -> bool:
    """Whether most values that are there are read as text."""
    return bool(2 * sum(map(bool, render(column))) > len(column) - column[0].null_count)


def _relative(path: Path, output: Path) -> str:
    """The path as the config, wherever it lies, has to name it."""
    return Path(os.path.relpath(path.resolve(), output.resolve().parent)).as_posix()


def _name(path: Path) -> str:
    word = "".join(char if char.isalnum() else "-" for char in path.name.partition(".")[0])
    return word.strip("-") or "experiment"
