"""What lists led to, counted from the event log: shows, clicks, outcomes. Knows no recommender and no experiment.

A count is a function of the log alone: a list, a show at a place and a click on an item of a list count once, however
often they were sent. The statements are those of SQLite and of PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genre.data.event_kinds import CLICK
from genre.serving.events.log_table import placeholders
from genre.serving.events.store import EventStore

SERVED = """
served AS (
    SELECT list_id, min(origin) AS origin, min(coalesce(user_id, list_id)) AS unit, min(user_id) AS user_id,
        max(place) AS places, min("timestamp") AS made, min(value) AS seconds
    FROM log WHERE kind = 'list' AND "timestamp" >= ? AND "timestamp" < ? GROUP BY list_id
)"""
"""Each list once; its unit is the user, or the list itself without one."""

COUNTS = f"""
WITH {SERVED},
seen AS (
    SELECT list_id, count(DISTINCT place) AS places FROM log
    WHERE kind = 'show' AND list_id IS NOT NULL GROUP BY list_id
),
led AS (
    SELECT list_id, item_id, action, max(coalesce(value, 0)) AS value FROM log
    WHERE kind = 'event' AND list_id IS NOT NULL AND "timestamp" >= ? GROUP BY list_id, item_id, action
),
results AS (
    SELECT list_id, count(DISTINCT CASE WHEN action = '{CLICK}' THEN item_id END) AS clicks,
        count(DISTINCT CASE WHEN action IN (OUTCOMES) THEN item_id END) AS conversions,
        sum(CASE WHEN action IN (OUTCOMES) THEN value ELSE 0 END) AS value
    FROM led GROUP BY list_id
),
units AS (
    SELECT origin, made / ? * ? AS since, unit, count(*) AS lists,
        sum(CASE WHEN served.places = 0 THEN 1 ELSE 0 END) AS empty, sum(seconds) AS seconds,
        sum(coalesce(seen.places, served.places)) AS shows, sum(coalesce(clicks, 0)) AS clicks,
        sum(coalesce(conversions, 0)) AS conversions, sum(coalesce(results.value, 0)) AS value
    FROM served LEFT JOIN seen ON seen.list_id = served.list_id LEFT JOIN results ON results.list_id = served.list_id
    GROUP BY 1, 2, 3
)
SELECT origin, since, count(*), sum(lists), sum(empty), sum(seconds), sum(shows), sum(clicks), sum(conversions),
    sum(value), sum(shows * shows), sum(clicks * clicks), sum(shows * clicks), sum(conversions * conversions),
    sum(shows * conversions)
FROM units GROUP BY 1, 2 ORDER BY 2, 1
"""
UNKNOWN_LISTS = f"""
SELECT count(*) FROM (
    SELECT DISTINCT list_id, item_id FROM log WHERE kind = 'event' AND action = '{CLICK}' AND list_id IS NOT NULL
    AND "timestamp" >= ? AND "timestamp" < ?
) AS clicked
WHERE NOT EXISTS (SELECT 1 FROM log WHERE kind = 'list' AND log.list_id = clicked.list_id)
"""
ARMS = f"""
WITH {SERVED},
firsts AS (
    SELECT user_id, min(CASE_OF_ARM) AS arm, count(DISTINCT CASE_OF_ARM) AS arms, min(made) AS first FROM served
    WHERE user_id IS NOT NULL AND (CASE_OF_ARM) IS NOT NULL GROUP BY user_id
),
done AS (
    SELECT firsts.user_id, arm, arms, CASE WHEN first + ? <= ? THEN 1 ELSE 0 END AS finished,
        max(CASE WHEN event.user_id IS NULL THEN 0 ELSE 1 END) AS outcome
    FROM firsts LEFT JOIN log AS event ON event.kind = 'event' AND event.user_id = firsts.user_id
        AND event.action = ? AND event."timestamp" >= first AND event."timestamp" < first + ?
    GROUP BY 1, 2, 3, 4
)
SELECT arm, arms, count(*), sum(finished), sum(finished * outcome) FROM done GROUP BY 1, 2
"""
ORIGINS = 'SELECT DISTINCT origin FROM log WHERE kind = \'list\' AND "timestamp" >= ? AND "timestamp" < ?'
NEWEST_LISTS = """
SELECT body FROM log WHERE kind = 'list' AND "timestamp" >= ? AND "timestamp" < ? AND origin IN (ORIGINS)
ORDER BY seq DESC LIMIT 1000
"""
FOREVER = 2**62


@dataclass(frozen=True)
class Origin:
    """Where lists came from.

    Attributes:
        run: Name of the run.
        recommender: Name of the recommender.
        source: How they were made.
        fallback: Why a fallback made them, or None.
    """

    run: str
    recommender: str
    source: str
    fallback: str | None


@dataclass(frozen=True)
class OutcomeCounts:
    """What lists of one origin, made in one span of time, led to.

    Sums of squares and products are over units: users, or lists without a user.

    Attributes:
        origin: Where they came from.
        since: Begin of the span, in seconds since 1970.
        units: Number of users and of lists without a user.
        lists: Number of lists.
        empty: How many of them have no item.
        seconds: How long making them took together.
        shows: Items in them, or those that clients say were seen.
        clicks: Items that were clicked.
        conversions: Items that led to an outcome.
        value: What outcomes were worth.
        shows_squared: Sum of squares of shows.
        clicks_squared: Sum of squares of clicks.
        shows_clicks: Sum of products of shows and clicks.
        conversions_squared: Sum of squares of conversions.
        shows_conversions: Sum of products of shows and conversions.
    """

    origin: Origin
    since: int
    units: int
    lists: int
    empty: int
    seconds: float
    shows: int
    clicks: int
    conversions: int
    value: float
    shows_squared: int
    clicks_squared: int
    shows_clicks: int
    conversions_squared: int
    shows_conversions: int


def count_outcomes(
    store: EventStore, outcomes: Sequence[str], *, since: int = 0, until: int = FOREVER, span: int = FOREVER
) -> list[OutcomeCounts]:
    """Count what lists led to.

    Args:
        store: The event log.
        outcomes: Kinds of events that are outcomes.
        since: Time of the first list that counts, in seconds since 1970.
        until: Time after the last one.
        span: Seconds of a span of time; the lists of each are counted apart.

    Returns:
        The counts by origin and span.
    """
    statement = COUNTS.replace("OUTCOMES", placeholders(len(outcomes)) or "NULL")
    rows = store.query(statement, (since, until, since, *outcomes, *outcomes, span, span))
    return [_counts_of(row) for row in rows]


def _counts_of(row: Sequence[Any]) -> OutcomeCounts:
    """Convert one row; databases differ in the types of sums."""
    origin, since, *values = row
    units, lists, empty, seconds, shows, clicks, conversions, value, *products = values
    return OutcomeCounts(
        Origin(*json.loads(origin)),
        int(since),
        int(units),
        int(lists),
        int(empty),
        float(seconds),
        int(shows),
        int(clicks),
        int(conversions),
        float(value),
        *(int(product) for product in products),
    )


def clicks_on_unknown_lists(store: EventStore, *, since: int = 0, until: int = FOREVER) -> int:
    """Count clicks that name a list which the log does not have, such as one that a killed process had not recorded.

    Args:
        store: The event log.
        since: Time of the first click that counts, in seconds since 1970.
        until: Time after the last one.

    Returns:
        Their number, apart from all others.
    """
    return int(store.query(UNKNOWN_LISTS, (since, until))[0][0])


@dataclass(frozen=True)
class ArmCounts:
    """Users of one arm of an experiment.

    Attributes:
        users: How many have had a list.
        finished: How many of them have had their days since.
        outcomes: How many of these have done what counts.
    """

    users: int = 0
    finished: int = 0
    outcomes: int = 0


@dataclass(frozen=True)
class UsersByArm:
    """Users of an experiment.

    Attributes:
        by_arm: Of each arm, by name of its run.
        crossed: Users with lists of several arms, who are in none.
    """

    by_arm: dict[str, ArmCounts]
    crossed: int


def count_arms(
    store: EventStore, runs: Sequence[str], outcome: str, *, since: int, until: int, window: int, now: int
) -> UsersByArm:
    """Count the users of an experiment and who of them did what counts.

    Args:
        store: The event log.
        runs: Names of the runs that are its arms.
        outcome: The kind of event that counts.
        since: When it began, in seconds since 1970.
        until: When it ended.
        window: Seconds after a user's first list in which the event counts.
        now: The present; users whose window is not over are not counted by outcome.

    Returns:
        The counts.
    """
    by_run = _origins_by_run(store, since, until)
    named = {run: by_run[run] for run in runs if run in by_run}
    counts = dict.fromkeys(runs, ArmCounts())
    if not named:
        return UsersByArm(counts, 0)
    cases = "".join(
        f" WHEN origin IN ({placeholders(len(origins))}) THEN CAST(? AS TEXT)" for origins in named.values()
    )
    case = [value for run, origins in named.items() for value in (*origins, run)]
    statement = ARMS.replace("CASE_OF_ARM", f"CASE{cases} END")
    rows = store.query(statement, (since, until, *case, *case, *case, window, now, outcome, window))
    crossed = 0
    for run, arms, *numbers in rows:
        if arms > 1:
            crossed += int(numbers[0])
        else:
            counts[run] = ArmCounts(*map(int, numbers))
    return UsersByArm(counts, crossed)


def items_of_newest_lists(store: EventStore, run: str, *, since: int = 0, until: int = FOREVER) -> list[set[str]]:
    """Return the items of the newest 1,000 lists of a run.

    Args:
        store: The event log.
        run: Name of the run.
        since: Time of the first list that counts, in seconds since 1970.
        until: Time after the last one.

    Returns:
        Ids of the items of each list.
    """
    origins = _origins_by_run(store, since, until).get(run)
    if not origins:
        return []
    rows = store.query(NEWEST_LISTS.replace("ORIGINS", placeholders(len(origins))), (since, until, *origins))
    return [set(json.loads(body)["items"]) for (body,) in rows]


def _origins_by_run(store: EventStore, since: int, until: int) -> dict[str, list[str]]:
    """Return the texts that stand for the origins of lists, which are few, by name of the run."""
    found: dict[str, list[str]] = {}
    for (origin,) in store.query(ORIGINS, (since, until)):
        found.setdefault(json.loads(origin)[0], []).append(origin)
    return found
