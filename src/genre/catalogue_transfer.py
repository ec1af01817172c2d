"""What one catalogue's run knows of another: zero-shot, fine-tuned and from scratch, in one leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genre.config.reading import FULL_CONFIG, parse_config, read_config
from genre.config.writing import to_dict, to_yaml
from genre.errors import ConfigError, GenreError, NotSupported
from genre.kinds import learnt_names
from genre.log import SILENT, Log
from genre.pipeline import run as run_config
from genre.recommenders.base import Recommender
from genre.recommenders.network_base import NetworkRecommender
from genre.run_folder import read_run
from genre.runs import Run


def transfer(
    source: str | Path,
    config: str | Path,
    *,
    using: str | None = None,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    trust: bool = False,
    log: Log = SILENT,
) -> Run:
    """Evaluate a recommender of one run on another catalogue, as it is and trained further.

    The leaderboard holds popularity, `content`, the recommender without any training here, and, where it is a network,
    the same trained further and trained from nothing.

    Args:
        source: The folder of the run.
        config: The YAML of the other catalogue; its data, split, features and evaluation are used.
        using: The label of the recommender; None: the best of the run that can place new items.
        overrides: `dotted.key=value` each, put over the YAML.
        runs: The folder of all runs.
        trust: Run code of the folder of the run.
        log: Where progress is shown.

    Returns:
        The run of the other catalogue.

    Raises:
        ConfigError: The two do not share a pretrained encoder of items, or no recommender can be transferred.
    """
    done = read_run(source, trust=trust)
    other = read_config(config, overrides)
    own = read_config(done.folder / FULL_CONFIG, trust=trust)
    ours, theirs = (to_dict(one.experiment.features.items) for one in (own, other))
    if ours is None or ours != theirs:
        raise ConfigError(
            f"{config}: features.items is {theirs}, that of {source} is {ours}; a transfer needs one encoder for both"
        )
    encoder = other.experiment.features.items
    if learnt_names(type(encoder)):
        kind = ours["kind"]
        raise ConfigError(f"{config}: {kind} is fitted to each catalogue, so its vectors differ; use kind: embedding")
    label = using or _first_that_extends(done)
    model = done.recommender(label)
    _check_extends(model, label, done)
    entries = [_named("popularity", "popularity"), _named("content", "content"), *_entries(done, model, label)]
    values = {**other.full, "name": f"{other.experiment.name}-transfer", "recommenders": entries}
    folder = Path(config).resolve().parent
    checked = parse_config(to_yaml(values), str(config), folder=folder)
    return run_config(checked, runs=runs, log=log)


def _entries(done: Run, model: Recommender, label: str) -> list[dict[str, Any]]:
    """Return the entries of a config for a recommender as it is, and of a network trained further and from nothing."""
    folder = str((done.folder / "recommenders" / label / "model").resolve())
    entries = [{"kind": "transferred", "name": f"{label}-zero-shot", "init_from": folder}]
    if isinstance(model, NetworkRecommender):
        options = {**to_dict(model), "init_from": None}
        tuned = {**options, "init_from": folder, "init_ids": False}
        entries += [{**tuned, "name": f"{label}-fine-tuned"}, {**options, "name": f"{label}-from-scratch"}]
    return entries


def _named(kind: str, name: str) -> dict[str, Any]:
    return {"kind": kind, "name": name}


def _first_that_extends(done: Run) -> str:
    """Return the label of the best recommender that places new items by what it learnt; `content` learns nothing."""
    reasons = []
    for label, model in done.recommenders.items():
        if type(model).__name__ in ("Content", "Popularity", "Blend"):
            continue
        try:
            _check_extends(model, label, done)
            return label
        except GenreError as error:
            reasons.append(str(error))
    why = "; ".join(reasons) or "it holds none that learns from interactions and features"
    raise ConfigError(
        f"{done.folder}: no recommender can be transferred ({why}); use two_tower, or sasrec with items: text"
    )


def _check_extends(model: Recommender, label: str, done: Run) -> None:
    """Raise an error where a recommender cannot place an item by its features alone."""
    features = done.dataset.item_features
    assert features is not None  # the run has an encoder of items
    try:
        model.extend(["transferred/probe"], np.ones((1, features.dim), np.float32))
    except NotSupported as error:
        raise ConfigError(f"{label} cannot be transferred: {error}") from error
