"""What lists led to, counted from the event log: shows, clicks, outcomes. Knows no recommender and no experiment.

A count is a function of the log alone: a list, a show at a place and a click on an item of a list count once, however
often they were sent. The statements are those of SQLite and of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from genre.data.event_kinds import CLICK
from genre.serving.events.list_rows import LONGEST_SECONDS, Origin, origin_of, shown_of
from genre.serving.events.log_reader import LogReader, placeholders

READABLE = f"list_id IS NOT NULL AND value >= 0 AND value < {LONGEST_SECONDS:.0f}"
"""Of the rows that no version of this program wrote, those that SQL can tell."""

SERVED = f"""
served AS (
    SELECT list_id, min(origin) AS origin, min(coalesce(user_id, list_id)) AS unit, min(user_id) AS user_id,
        max(place) AS places, min("timestamp") AS made, min(value) AS seconds
    FROM log WHERE kind = 'list' AND {READABLE} AND "timestamp" >= ? AND "timestamp" < ? GROUP BY list_id
)"""
"""Each list once; its unit is the user, or the list itself without one."""

COUNTS = f"""
WITH {SERVED},
parts (origin, part, fallback) AS (VALUES ORIGINS),
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
    SELECT part, made / ? * ? AS since, unit, count(*) AS lists, sum(fallback) AS fallbacks,
        sum(CASE WHEN served.places = 0 THEN 1 ELSE 0 END) AS empty, sum(seconds) AS seconds,
        sum(coalesce(seen.places, served.places)) AS shows, sum(coalesce(clicks, 0)) AS clicks,
        sum(coalesce(conversions, 0)) AS conversions, sum(coalesce(results.value, 0)) AS value
    FROM served JOIN parts ON parts.origin = served.origin
        LEFT JOIN seen ON seen.list_id = served.list_id LEFT JOIN results ON results.list_id = served.list_id
    GROUP BY 1, 2, 3
)
SELECT part, since, count(*), SUMS FROM units GROUP BY 1, 2 ORDER BY 2, 1
"""
RATIOS = {
    "fallbacks": "lists", "empty": "lists", "seconds": "lists",
    "clicks": "shows", "conversions": "shows", "value": "shows",
}  # fmt: skip
"""What is divided by lists or by shows, for which sums of squares and products are needed."""
TOTALS = ("lists", "shows", *RATIOS)
_SUMS = ", ".join(
    [f"sum({name})" for name in TOTALS]
    + [f"sum({name} * {name})" for name in TOTALS]
    + [f"sum({part} * {whole})" for part, whole in RATIOS.items()]
)
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
WITH parts (origin, part, fallback) AS (VALUES ORIGINS),
numbered AS (
    SELECT seq, part, "timestamp" / ? * ? AS since,
        row_number() OVER (PARTITION BY part, "timestamp" / ? * ? ORDER BY seq DESC) AS number
    FROM log JOIN parts ON parts.origin = log.origin
    WHERE kind = 'list' AND READABLE AND "timestamp" >= ? AND "timestamp" < ?
)
SELECT part, since, body, value FROM numbered JOIN log ON log.seq = numbered.seq WHERE number <= ?
""".replace("READABLE", READABLE)
NEWEST = 1000  # lists of a group whose items and times are read
FOREVER = 2**62


@dataclass(frozen=True)
class OutcomeCounts:
    """What lists of one group, made in one span of time, led to.

    Attributes:
        group: The group.
        since: Begin of the span, in seconds since 1970.
        units: Number of users and of lists without a user.
        lists: Number of lists.
        shows: Items in them, or those that clients say were seen.
        fallbacks: How many lists a fallback made.
        empty: How many lists have no item.
        seconds: How long making them took together.
        clicks: Items that were clicked.
        conversions: Items that led to an outcome.
        value: What outcomes were worth.
        squares: Sum over units of the square of each of these.
        products: Sum over units of the product with lists or shows, of what is divided by them.
    """

    group: Any
    since: int
    units: int
    lists: int
    shows: int
    fallbacks: int
    empty: int
    seconds: float
    clicks: int
    conversions: int
    value: float
    squares: dict[str, float]
    products: dict[str, float]


Group = Callable[[Origin], Hashable]
"""What lists are counted together."""


def count_outcomes(
    store: LogReader,
    outcomes: Sequence[str],
    *,
    group: Group,
    since: int = 0,
    until: int = FOREVER,
    span: int = FOREVER,
) -> list[OutcomeCounts]:
    """Count what lists led to.

    Args:
        store: The event log.
        outcomes: Kinds of events that are outcomes.
        group: The lists that are counted together; a user counts once in a group.
        since: Time of the first list that counts, in seconds since 1970.
        until: Time after the last one.
        span: Seconds of a span of time; the lists of each are counted apart.

    Returns:
        The counts by span and group.
    """
    groups, parts, values = _parts_of(store, group, since, until)
    if not groups:
        return []
    statement = COUNTS.replace("ORIGINS", parts).replace("SUMS", _SUMS)
    statement = statement.replace("OUTCOMES", placeholders(len(outcomes)) or "NULL")
    rows = store.query(statement, (since, until, *values, since, *outcomes, *outcomes, span, span))
    return [_counts_of(groups[row[0]], row[1:]) for row in rows]


def _parts_of(store: LogReader, group: Group, since: int, until: int) -> tuple[list[Any], str, list[Any]]:
    """Number the groups of origins; return the groups, and SQL with its values that says which origin is in which."""
    found = dict(sorted(_origins(store, since, until).items()))
    groups = list(dict.fromkeys(group(origin) for origin in found.values()))
    rows = [(text, groups.index(group(origin)), int(origin.fallback is not None)) for text, origin in found.items()]
    row = "(CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT))"
    return groups, ", ".join([row] * len(rows)), [value for one in rows for value in one]


def _counts_of(group: Any, row: Sequence[Any]) -> OutcomeCounts:
    """Convert one row; databases differ in the types of sums."""
    since, units, *values = row
    n = len(TOTALS)
    totals = {
        name: float(value) if name in ("seconds", "value") else int(value)
        for name, value in zip(TOTALS, values, strict=False)
    }
    squares = dict(zip(TOTALS, map(float, values[n : 2 * n]), strict=True))
    products = dict(zip(RATIOS, map(float, values[2 * n :]), strict=True))
    return OutcomeCounts(group, int(since), int(units), **totals, squares=squares, products=products)  # type: ignore[arg-type]


def clicks_on_unknown_lists(store: LogReader, *, since: int = 0, until: int = FOREVER) -> int:
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
    store: LogReader, runs: Sequence[str], outcome: str, *, since: int, until: int, window: int, now: int
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


@dataclass(frozen=True)
class NewestLists:
    """The newest lists of a group in one span of time, at most `NEWEST`.

    Attributes:
        items: Ids of the items in them.
        seconds: How long making each of them took, ascending.
    """

    items: frozenset[str]
    seconds: tuple[float, ...]


def newest_lists(
    store: LogReader, *, group: Group, since: int = 0, until: int = FOREVER, span: int = FOREVER
) -> dict[tuple[Any, int], NewestLists]:
    """Read the newest lists of each group.

    Args:
        store: The event log.
        group: The lists that belong together.
        since: Time of the first list that counts, in seconds since 1970.
        until: Time after the last one.
        span: Seconds of a span of time.

    Returns:
        By group and begin of the span.
    """
    groups, parts, values = _parts_of(store, group, since, until)
    if not groups:
        return {}
    found: dict[tuple[Any, int], tuple[set[str], list[float]]] = {}
    given = (*values, *(span,) * 4, since, until, NEWEST)
    for part, begin, body, seconds in store.query(NEWEST_LISTS.replace("ORIGINS", parts), given):
        items, times = found.setdefault((groups[part], int(begin)), (set(), []))
        shown, _ = shown_of(body) or ((), ())
        items.update(shown)
        times.append(float(seconds))
    return {key: NewestLists(frozenset(items), tuple(sorted(times))) for key, (items, times) in found.items()}


def _origins_by_run(store: LogReader, since: int, until: int) -> dict[str, list[str]]:
    """Return the texts that stand for the origins of lists, which are few, by name of the run."""
    found: dict[str, list[str]] = {}
    for text, origin in _origins(store, since, until).items():
        found.setdefault(origin.run, []).append(text)
    return found


def _origins(store: LogReader, since: int, until: int) -> dict[str, Origin]:
    """Return the origins of lists by the texts that stand for them, without those that cannot be read."""
    found = {text: origin_of(text) for (text,) in store.query(ORIGINS, (since, until))}
    return {text: origin for text, origin in found.items() if origin is not None}
