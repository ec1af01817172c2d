"""Drift of catalogue and input: how far what comes in is from what a run has learnt. Knows no list and no outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genre.arrays import Float64, Int64
from genre.data.dataset import Dataset
from genre.evaluation.online.experiments import Rate, RateSums, always_valid_rate
from genre.serving.events.log_reader import LogReader
from genre.serving.events.outcomes import FOREVER
from genre.serving.loaded_run import LoadedRun
from genre.serving.outcome_table import PLANNED

NEWEST_EVENTS = 100_000  # that are compared, so that the work has an end
FEWEST_EVENTS = 500  # below which a shift is mostly chance
BINS = 10
NEWEST_PART = 0.1  # of the run's interactions, which the events are compared with
EVENTS = f"""
SELECT user_id, item_id, CASE WHEN list_id IS NULL THEN 0 ELSE 1 END FROM log
WHERE kind = 'event' AND "timestamp" >= ? AND "timestamp" < ?
ORDER BY seq DESC LIMIT {NEWEST_EVENTS}
"""
EVENTS_BY_KIND = """
SELECT coalesce(action, ''), "timestamp" / ? * ?, count(*) FROM log
WHERE kind = 'event' AND "timestamp" >= ? AND "timestamp" < ? GROUP BY 1, 2 ORDER BY 2, 1
"""


@dataclass(frozen=True)
class InputDrift:
    """How far catalogue and input are from what a run has learnt.

    Attributes:
        run: Name of the run.
        items: Items that it has learnt.
        added: Items that were added since.
        recommendable: How many of these can be recommended.
        changed: Learnt items whose fields were changed since.
        hidden: Items that its rules keep out of all lists now.
        events: Events that are compared: the newest 100,000 at most.
        new_items: Share of the events on items that it has not learnt, with its interval over users.
        new_users: Share of the users of the events that it has not learnt, with its interval.
        popularity_shift: Population stability index of the events that no list led to against the newest tenth of its
            data, over ten bins of items by popularity: below 0.1 alike, above 0.25 much different; None below 500.
    """

    run: str
    items: int
    added: int
    recommendable: int
    changed: int
    hidden: int
    events: int
    new_items: Rate
    new_users: Rate
    popularity_shift: float | None


@dataclass(frozen=True)
class EventsOfKind:
    """Events of one kind in one span of time.

    Attributes:
        kind: The kind; empty for events without one.
        since: Begin of the span, in seconds since 1970.
        events: Their number.
    """

    kind: str
    since: int
    events: int


class ItemBins:
    """Items of a run in ten bins by popularity, with about a tenth of its interactions each, and the newest shares."""

    def __init__(self, dataset: Dataset) -> None:
        """Divide the items.

        Args:
            dataset: The data of the run.
        """
        counts = np.bincount(dataset.item, minlength=dataset.n_items)
        order = np.argsort(-counts, kind="stable")
        before = np.cumsum(counts[order]) - counts[order]  # interactions with items more popular than this one
        self.bin = np.empty(dataset.n_items, np.int64)
        self.bin[order] = np.minimum(before * BINS // max(len(dataset), 1), BINS - 1)
        item = dataset.item.astype(np.int64)
        if dataset.timestamp is not None and len(item):
            at = int(len(item) * (1 - NEWEST_PART))
            item = item[dataset.timestamp >= np.partition(dataset.timestamp, at)[at]]
        self.expected = self.count(item)

    def count(self, items: Int64) -> Int64:
        """Count items by bin.

        Args:
            items: Row numbers. `[n]`

        Returns:
            Counts. `[BINS]`
        """
        return np.bincount(self.bin[items], minlength=BINS)


def population_stability(expected: Int64, observed: Int64) -> float:
    """Return the population stability index of counts: sum of (q - p) log(q / p) over bins.

    p and q are shares of bins, with half a count more in each, so that an empty bin is no infinity. It is the
    Kullback-Leibler divergence in both directions added up (Jeffreys 1946).

    Args:
        expected: Counts that were. `[n_bins]`
        observed: Counts that are. `[n_bins]`

    Returns:
        0 for equal shares.
    """

    def shares(counts: Int64) -> Float64:
        return np.asarray((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))

    p, q = shares(expected), shares(observed)
    return float(((q - p) * np.log(q / p)).sum())


class InputEvent(NamedTuple):
    """An event that came in.

    Attributes:
        user_id: The user.
        item_id: The item.
        led_by_list: Whether a list led to it, so that it depends on what was recommended.
    """

    user_id: str
    item_id: str
    led_by_list: bool


def newest_events(store: LogReader, since: int, until: int = FOREVER) -> list[InputEvent]:
    """Read the newest events.

    Args:
        store: The event log.
        since: Time of the first event that counts, in seconds since 1970.
        until: Time after the last one.

    Returns:
        The events, the newest first, at most `NEWEST_EVENTS`.
    """
    return [InputEvent(str(user), str(item), bool(led)) for user, item, led in store.query(EVENTS, (since, until))]


def events_by_kind(store: LogReader, since: int, until: int, span: int) -> list[EventsOfKind]:
    """Count events by kind and span of time.

    Args:
        store: The event log.
        since: Time of the first event that counts, in seconds since 1970.
        until: Time after the last one.
        span: Seconds of a span.

    Returns:
        The counts, the oldest span first.
    """
    rows = store.query(EVENTS_BY_KIND, (span, span, since, until))
    return [EventsOfKind(str(kind), int(begin), int(count)) for kind, begin, count in rows]


def input_drift(loaded: LoadedRun, events: Sequence[InputEvent], bins: ItemBins, now: int) -> InputDrift:
    """Compare catalogue and events with what a run has learnt.

    Args:
        loaded: The run.
        events: The events.
        bins: The items of the run.
        now: The present, in seconds since 1970.

    Returns:
        What is different.
    """
    learnt = loaded.run.dataset
    users, items = [one.user_id for one in events], [one.item_id for one in events]
    rows = learnt.item_ids.rows(items)
    known = rows[(rows >= 0) & ~np.array([one.led_by_list for one in events], bool)].astype(np.int64)
    shift = population_stability(bins.expected, bins.count(known)) if len(known) >= FEWEST_EVENTS else None
    added = [item_id for item_id in loaded.changes if item_id not in learnt.item_ids]
    allowed = loaded.allowed(now)
    return InputDrift(
        run=loaded.name,
        items=learnt.n_items,
        added=len(added),
        recommendable=sum(item_id in loaded.catalogue.row for item_id in added),
        changed=len(loaded.changes) - len(added),
        hidden=0 if allowed is None else int((~allowed).sum()),
        events=len(events),
        new_items=_share_of_events(users, rows < 0),
        new_users=_share_of_users(users, learnt),
        popularity_shift=None if shift is None else round(shift, 4),
    )


def _share_of_events(users: Sequence[str], new: npt.NDArray[np.bool_]) -> Rate:
    """Return the share of events that are new, with an interval in which many events of a user count as one user."""
    _, user = np.unique(np.array(users, object).astype(str) if users else np.array([], str), return_inverse=True)
    n = int(user.max()) + 1 if len(user) else 0
    parts, wholes = np.bincount(user, new, n), np.bincount(user, minlength=n).astype(float)
    squares = (float(parts @ parts), float(wholes @ wholes), float(parts @ wholes))
    return always_valid_rate(RateSums(n, float(parts.sum()), float(wholes.sum()), *squares), planned=PLANNED)


def _share_of_users(users: Sequence[str], learnt: Dataset) -> Rate:
    different = list(dict.fromkeys(users))
    n, new = len(different), int((learnt.user_ids.rows(different) < 0).sum())
    return always_valid_rate(RateSums(n, new, n, new, n, new), planned=PLANNED)
