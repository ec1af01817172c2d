"""What lists led to, by run, recommender and source, or by run over time. Knows no experiment and no HTTP.

Everything is counted from the event log at the time of the call. Intervals of rates hold at all times at once, so that
looking daily is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from genre.evaluation.online.experiments import Rate, RateSums, always_valid_rate
from genre.evaluation.online.quantiles import quantile
from genre.serving.events.list_rows import Origin
from genre.serving.events.log_reader import LogReader
from genre.serving.events.outcomes import (
    FOREVER,
    RATIOS,
    NewestLists,
    OutcomeCounts,
    count_outcomes,
    newest_lists,
)

PLANNED = 10_000  # users at which the intervals are narrowest
PLANNED_IN_SPAN = 1_000  # the same for a span of time, which has fewer
SLOW = 0.95  # of the newest lists took at most `slow_seconds`


class RowKey(NamedTuple):
    """The lists of one row.

    Attributes:
        run: Name of the run.
        recommender: Name of the recommender; empty: all of them together.
        source: How the lists were made; empty: all ways together.
    """

    run: str
    recommender: str = ""
    source: str = ""


@dataclass(frozen=True)
class OutcomeRow:
    """What lists of one run, recommender and source led to.

    Attributes:
        run: Name of the run.
        recommender: Name of the recommender; empty: all of the run.
        source: How the lists were made; empty: all ways.
        since: Begin of the span of time, in seconds since 1970; 0 where time is not divided.
        users: Users, and lists without a user.
        lists: Number of lists.
        shows: Number of items shown.
        clicks: Number of items clicked.
        conversions: Number of items that led to an outcome.
        value: What outcomes were worth.
        click_rate: Clicks a show, with its interval.
        conversion_rate: Conversions a show, with its interval.
        value_rate: Value a show, with its interval.
        fallbacks: Share of lists that a fallback made, with its interval.
        empty: Share of lists without an item, with its interval.
        seconds: Mean time that a list took, with its interval.
        slow_seconds: 95 of 100 of the newest 1,000 lists took at most this; its interval is that of these lists as
            independent ones, at one time of looking.
        coverage: Different items in the newest 1,000 lists. It is a count of what was shown, not an estimate of
            something else, so it has no interval.
    """

    run: str
    recommender: str
    source: str
    since: int
    users: int
    lists: int
    shows: int
    clicks: int
    conversions: int
    value: float
    click_rate: Rate
    conversion_rate: Rate
    value_rate: Rate
    fallbacks: Rate
    empty: Rate
    seconds: Rate
    slow_seconds: Rate
    coverage: int


def by_source(origin: Origin) -> RowKey:
    """Count the lists of each run, recommender and source together.

    Args:
        origin: Where lists came from.

    Returns:
        The row that they are in.
    """
    return RowKey(origin.run, origin.recommender, origin.source)


def by_run(origin: Origin) -> RowKey:
    """Count the lists of each run together.

    Args:
        origin: Where lists came from.

    Returns:
        The row that they are in.
    """
    return RowKey(origin.run)


def outcome_table(
    store: LogReader,
    outcomes: Sequence[str],
    *,
    whole_runs: bool = False,
    since: int = 0,
    until: int = FOREVER,
    span: int = FOREVER,
) -> list[OutcomeRow]:
    """Tell what lists led to.

    Args:
        store: The event log.
        outcomes: Kinds of events that are outcomes.
        whole_runs: Count all lists of a run together.
        since: Time of the first list that counts, in seconds since 1970.
        until: Time after the last one.
        span: Seconds of a span of time.

    Returns:
        A row for each run, recommender and source, or for each run, of each span.
    """
    group = by_run if whole_runs else by_source
    counts = count_outcomes(store, outcomes, group=group, since=since, until=until, span=span)
    newest = newest_lists(store, group=group, since=since, until=until, span=span)
    planned = PLANNED if span == FOREVER else PLANNED_IN_SPAN
    return [_row(one, newest, planned) for one in sorted(counts, key=lambda one: (one.since, one.group))]


def _row(counts: OutcomeCounts, newest: Mapping[tuple[RowKey, int], NewestLists], planned: int) -> OutcomeRow:
    rates = {part: _rate(counts, part, planned) for part in RATIOS}
    lists = newest.get((counts.group, counts.since), NewestLists(frozenset(), ()))  # made since the others were counted
    key: RowKey = counts.group
    return OutcomeRow(
        run=key.run,
        recommender=key.recommender,
        source=key.source,
        since=counts.since,
        users=counts.units,
        lists=counts.lists,
        shows=counts.shows,
        clicks=counts.clicks,
        conversions=counts.conversions,
        value=counts.value,
        click_rate=rates["clicks"],
        conversion_rate=rates["conversions"],
        value_rate=rates["value"],
        fallbacks=rates["fallbacks"],
        empty=rates["empty"],
        seconds=rates["seconds"],
        slow_seconds=quantile(lists.seconds, SLOW),
        coverage=len(lists.items),
    )


def _rate(counts: OutcomeCounts, part: str, planned: int) -> Rate:
    """Return a rate of the counts; its lower end is not below 0, which no part is."""
    whole = RATIOS[part]
    sums = RateSums(
        counts.units,
        getattr(counts, part),
        getattr(counts, whole),
        counts.squares[part],
        counts.squares[whole],
        counts.products[part],
    )
    rate = always_valid_rate(sums, planned=planned)
    return rate if rate.low is None else Rate(rate.value, max(rate.low, 0.0), rate.high)
