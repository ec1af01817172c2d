"""Files of shows that another system logged, judged for another policy: `genre offpolicy --shows`.

A file of shows has a row for each item that was shown: the item, perhaps its position, the probability with which it
was shown there (its propensity), and the outcome. The policy to judge is a second file: a probability for each item and
position, or its own log of shows, in which the probabilities of an item at a position are averaged. Without it, the
file of shows has a column `target`: the probability with which the policy to judge would have shown this item. Does not
know runs and event logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genre.arrays import Float64, Int64
from genre.engines.duckdb import DuckDB
from genre.errors import EvaluationError
from genre.evaluation.online.offpolicy import Estimate, LoggedShows, doubly_robust, ips, mean_rewards, on_policy, snips
from genre.options import nearest
from genre.preprocessing.sources.columns import names_of_roles
from genre.preprocessing.sources.files import read_side
from genre.preprocessing.tables import plain_name

POSITION = ("position", "place", "slot", "rank")
PROBABILITY = ("propensity", "propensityscore", "pscore", "probability", "actionprob")
TARGET = ("target", "targetprobability")


class JudgedShows(NamedTuple):
    """What a log of shows tells of another policy.

    Attributes:
        estimates: By IPS and SNIPS, and doubly robust where the policy is a file.
        own: The mean outcome in the policy's own log, where its file is one.
        notes: What was found in the files.
    """

    estimates: list[Estimate]
    own: Estimate | None
    notes: list[str]


class _File:
    """The columns of one file, by the names they go by."""

    def __init__(self, path: Path) -> None:
        with DuckDB() as engine:
            side = read_side(engine, path)
        assert side is not None
        self.path, self.table = path, side.table
        self._names = {plain_name(name): name for name in side.table.column_names if name}

    def find(self, names: Sequence[str]) -> str | None:
        return next((self._names[name] for name in names if name in self._names), None)

    def require(self, what: str, names: Sequence[str]) -> str:
        found = self.find(names)
        if found is None:
            known = [name for name in self.table.column_names if name]
            raise EvaluationError(
                f"{self.path}: no column of the {what}{nearest(names[0], known)}; call it {' or '.join(names[:3])}; "
                f"columns: {', '.join(known[:20])}"
            )
        return found

    def numbers(self, name: str) -> Float64:
        """Read a column of numbers, a place in each row."""
        column = self.table[name].combine_chunks()
        try:
            found = pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            found = pa.array([_number(value) for value in column.to_pylist()], pa.float64())
        values = np.asarray(found.fill_null(np.nan).to_numpy(zero_copy_only=False), np.float64)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise EvaluationError(
                f"{self.path}: row {wrong[0] + 1:,}: {name} is {column[int(wrong[0])].as_py()!r}, which is no number"
            )
        return values

    def texts(self, name: str) -> pa.Array:
        """Read a column of ids as text, none of them missing."""
        column = pc.cast(self.table[name].combine_chunks(), pa.string())
        if column.null_count:
            row = int(pc.index(pc.is_null(column), True).as_py()) + 1
            raise EvaluationError(f"{self.path}: row {row:,}: no {name}; give each row one")
        return column


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return {"true": 1.0, "false": 0.0}.get(str(value).casefold())


def judge_files(shows: Path, policy: Path | None, outcome: str) -> JudgedShows:
    """Estimate what a policy would have earned a show, by a file of the shows of another one.

    Args:
        shows: The file of shows.
        policy: The file of the policy to judge; None: the shows have a column `target`.
        outcome: Name of the column of the reward, such as 1 for a click.

    Returns:
        The estimates.

    Raises:
        DataError: A file cannot be read.
        EvaluationError: A column is missing, a value is no number or no probability, or the shows are worth too few of
            the policy's.
    """
    log = _File(shows)
    reward = log.numbers(log.require("outcome", [plain_name(outcome)]))
    propensity = log.numbers(log.require("propensities", PROBABILITY))
    if policy is None:
        seen = LoggedShows(reward, propensity, log.numbers(log.require("policy to judge", TARGET)))
        return JudgedShows(
            [ips(seen), snips(seen)], None, ["without a file of the policy there is no doubly robust estimate"]
        )
    other = _File(policy)
    at, places, n_places, ids = _cells(log, other)
    of_policy = np.arange(len(at)) >= len(reward)
    table, notes = _table(other, at[of_policy], n_places, len(ids))
    cell, place = at[~of_policy], places[~of_policy]
    means, fold = mean_rewards(reward, cell, table.size)
    expected = np.einsum("fpi,pi->fp", means.reshape(-1, *table.shape), table)
    target = table.ravel()[cell]
    seen = LoggedShows(reward, propensity, target, means[fold, cell], expected[fold, place])
    if unknown := int((target == 0).sum()):
        notes.append(f"{unknown:,} of {len(reward):,} shows are of items that the policy never shows there")
    own = other.find([plain_name(outcome)])
    rate = None if own is None else on_policy(other.numbers(own))
    return JudgedShows([ips(seen), snips(seen), doubly_robust(seen)], rate, notes)


def _cells(log: _File, other: _File) -> tuple[Int64, Int64, int, pa.Array]:
    """Number the items and positions of both files, the shows before the policy.

    Returns:
        For each row the cell `position * n_items + item` and the position; the number of positions; the items.
    """
    items = [one.texts(one.require("items", (*names_of_roles()["item"], "action"))) for one in (log, other)]
    coded = pa.concat_arrays(items).dictionary_encode()
    item = coded.indices.to_numpy().astype(np.int64)
    positions = [one.find(POSITION) for one in (log, other)]
    if None in positions:
        if positions[0] != positions[1]:
            has, lacks = (log, other) if positions[1] is None else (other, log)
            raise EvaluationError(
                f"{has.path} has positions and {lacks.path} has none; give both files a column position, or neither"
            )
        return item, np.zeros(len(item), np.int64), 1, coded.dictionary
    texts = [one.texts(str(name)) for one, name in zip((log, other), positions, strict=True)]
    placed = pa.concat_arrays(texts).dictionary_encode()
    place = placed.indices.to_numpy().astype(np.int64)
    return place * len(coded.dictionary) + item, place, len(placed.dictionary), coded.dictionary


def _table(other: _File, cell: Int64, n_places: int, n_items: int) -> tuple[Float64, list[str]]:
    """Return the probability of each item at each position `[n_places, n_items]`, the mean over its rows."""
    name = other.require("probabilities", PROBABILITY)
    values = other.numbers(name)
    wrong = np.flatnonzero((values < 0) | (values > 1))
    if len(wrong):
        raise EvaluationError(f"{other.path}: row {wrong[0] + 1:,}: {name} is {values[wrong[0]]}; expected 0 to 1")
    rows = np.bincount(cell, minlength=n_places * n_items)
    sums = np.bincount(cell, values, n_places * n_items)
    table = (sums / np.maximum(rows, 1)).reshape(n_places, n_items)
    totals = table.sum(axis=1, keepdims=True)
    if not (totals > 0).all():
        raise EvaluationError(f"{other.path}: no item has a probability above 0 at one of the positions of the shows")
    notes = []
    if (rows > 1).any():
        notes.append(f"{other.path}: {len(values):,} rows, averaged for each item and position")
    if np.abs(totals - 1).max() > 0.01:
        notes.append(
            f"{other.path}: probabilities at a position sum to {totals.min():.3f} to {totals.max():.3f}; scaled to 1"
        )
    return table / totals, notes
