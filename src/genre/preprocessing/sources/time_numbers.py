"""Numbers -> times, as expressions of DuckDB's SQL: unix times of any unit, packed dates, serial days, an order.

How a column is written is decided over all of its rows. Does not know text; `times.py` does.
"""

from __future__ import annotations

from bisect import bisect_right

from genre.data.durations import DAY
from genre.engines.duckdb import DuckDB, literal
from genre.preprocessing.sources.base import setting
from genre.preprocessing.sources.values import Reading, counts_of
from genre.preprocessing.tables import ROW

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
SINCE = {
    "excel": (1, DAY, 2_209_161_600),
    "dotnet": (10**7, 1, 62_135_596_800),
    "filetime": (10**7, 1, 11_644_473_600),
    "webkit": (10**6, 1, 11_644_473_600),
}
"""Counts from another day -> how many make how many seconds, and the seconds from that day to 1970.

Days of Excel from 1899-12-30, ticks of .NET from the year 1, file times of Windows and times of WebKit from 1601.
"""
PACKED = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%g"}
PACKED_RANGES = tuple((1970 * 10 ** (n - 4), 2100 * 10 ** (n - 4)) for n in PACKED)
_YEAR, _MONTH, _DAY = r"(19[7-9]\d|20\d\d)", r"(0[1-9]|1[0-2])", r"(0[1-9]|[12]\d|3[01])"
PACKED_DATE = rf"^{_YEAR}{_MONTH}{_DAY}(([01]\d|2[0-3])([0-5]\d([0-5]\d(\d\d\d)?)?)?)?$"
YEAR_LAST = {"%d%m%Y": rf"^{_DAY}{_MONTH}{_YEAR}$", "%m%d%Y": rf"^{_MONTH}{_DAY}{_YEAR}$"}
"""Packed days with the year last, whose first zero numbers do not have."""
CALENDAR_FROM = 10**8
"""Numbers below are an order without a calendar."""
YEAR_1980, YEAR_2100 = 315_532_800, 4_102_444_800
EDGES = sorted(
    {CALENDAR_FROM, *(edge for span in PACKED_RANGES for edge in span), *(10**11 * n for n in UNITS.values())}
)
"""Numbers between two of these are times of one kind."""
MOSTLY = 0.95
"""The share of numbers that have to be plausible times of a form."""


def dates(engine: DuckDB, table: str, parsed: str, wrong: str, how: str, *, guess: bool = False) -> Reading:
    """Read times of the calendar from an expression of timestamps.

    Args:
        engine: holds the table.
        table: its name.
        parsed: the expression, null where a row has no time or none that can be read.
        wrong: the condition of rows that have a time which cannot be read.
        how: how the column is written, for people.
        guess: whether another reading fits the same values.

    Returns:
        How to read them.
    """
    micros = f"CASE WHEN isfinite({parsed}) THEN epoch_us({parsed}) END"
    return calendar(engine, table, micros, wrong, how, 10**6, guess=guess)


def calendar(engine: DuckDB, table: str, value: str, wrong: str, how: str, per: int, *, guess: bool = False) -> Reading:
    """Read times of the calendar from an expression of whole numbers since 1970.

    Args:
        engine: as in `dates`.
        table: as in `dates`.
        value: the expression.
        wrong: as in `dates`.
        how: as in `dates`.
        per: how many make a second.
        guess: as in `dates`.

    Returns:
        How to read them, as whole seconds, rounded down.
    """
    fractions = counts_of(engine, table, f"{value} % {per} != 0")[0]
    seconds = f"{value} // {per}"  # DuckDB rounds towards zero, so times before 1970 are lowered first
    seconds = f"(({value}) - (({value}) % {per} + {per}) % {per}) // {per}" if fractions else seconds
    early = f"abs({value}) < {YEAR_2100 * per}"
    moment = f"CASE WHEN {early} THEN {value} * {10**9 // per} END" if fractions else None
    return Reading(seconds, wrong, how, guess, moment, calendar=True)


def number_times(
    engine: DuckDB, table: str, value: str, wrong: str, written: str | None, digits: int | None
) -> Reading:
    """Find out how numbers are times: packed dates, unix times in one unit or several, an order without a calendar.

    Args:
        engine: holds the table.
        table: its name.
        value: the expression of the numbers, null where a row has none.
        wrong: the condition of rows that have a value which is no number.
        written: a unit, another count or `order`, where the user says; None: found out.
        digits: decimals to keep of plain numbers; None: found out.

    Returns:
        How to read them.
    """
    low, high, fractions = engine.one(
        f"SELECT min(x), max(x), count(*) FILTER (x != floor(x)) FROM (SELECT {value} AS x FROM {table})"
    )
    if low is None:
        return Reading("CAST(NULL AS BIGINT)", wrong, "empty")
    middle = high
    if low < 0 or bisect_right(EDGES, low) != bisect_right(EDGES, high):
        middle = engine.one(f"SELECT median(abs(CAST(({value}) AS DOUBLE))) FROM {table}")[0]
    if written is None and not fractions:
        packed = None
        if any(first <= middle < last for first, last in PACKED_RANGES):
            packed = _packed(engine, table, value, wrong)
        elif 10**6 < middle < CALENDAR_FROM:
            packed = _year_last(engine, table, value, wrong)
        if packed is not None:
            return packed
    since = written if written is not None else _likely_since(engine, table, value, float(middle), fractions)
    if since is not None and since in SINCE:
        return _since(engine, table, value, wrong, since, guess=written is None)
    if written == "order" or (written is None and middle < CALENDAR_FROM):
        return _order(engine, table, value, wrong, int(fractions), digits)
    unit = written or next((unit for unit, per in UNITS.items() if middle < 10**11 * per), "nanoseconds")
    largest = max(abs(low), abs(high)) / UNITS[unit]
    if not fractions and UNITS[unit] == 1 and largest <= YEAR_2100:
        return Reading(f"CAST({value} AS BIGINT)", wrong, f"unix {unit}", calendar=True)
    span = (float(low) / UNITS[unit], float(high) / UNITS[unit])
    return _in_unit(engine, table, value, wrong, unit, span=span, whole=not fractions)


def _packed(engine: DuckDB, table: str, value: str, wrong: str) -> Reading | None:
    """Packed dates with the year first, with or without the time of day; None where most numbers are none."""
    text, forms = f"CAST({value} AS VARCHAR)", ", ".join(map(literal, PACKED.values()))
    parsed = f"CASE WHEN regexp_matches({text}, '{PACKED_DATE}') THEN TRY_STRPTIME({text}, [{forms}]) END"
    known, fit = counts_of(engine, table, f"{value} IS NOT NULL", f"{parsed} IS NOT NULL")
    unread = f"({wrong} OR ({value} IS NOT NULL AND {parsed} IS NULL))" if fit < known else wrong
    return dates(engine, table, parsed, unread, "packed dates") if fit >= MOSTLY * known else None


def _year_last(engine: DuckDB, table: str, value: str, wrong: str) -> Reading | None:
    """Packed days with the year last; None where most numbers are none."""
    text = f"lpad(CAST({value} AS VARCHAR), 8, '0')"
    readings = {
        form: f"CASE WHEN regexp_matches({text}, '{shape}') THEN TRY_STRPTIME({text}, {literal(form)}) END"
        for form, shape in YEAR_LAST.items()
    }
    known, *fits = counts_of(
        engine, table, f"{value} IS NOT NULL", *(f"{parsed} IS NOT NULL" for parsed in readings.values())
    )
    if max(fits) < MOSTLY * known:
        return None
    best, reason = max(zip(fits, readings, strict=True), key=lambda one: one[0])[1], ""
    if min(fits) == max(fits):
        best, reason = likeliest(engine, table, readings)
    unread = f"({wrong} OR ({value} IS NOT NULL AND {readings[best]} IS NULL))" if max(fits) < known else wrong
    return dates(engine, table, readings[best], unread, f"packed dates, {best}{reason}", guess=bool(reason))


def _likely_since(engine: DuckDB, table: str, value: str, middle: float, fractions: int) -> str | None:
    """The count from another day that nearly all numbers are plausible times of, where unix times are less so."""
    for name, (many, day, before) in SINCE.items():
        low, high = ((one + before) * many / day for one in (YEAR_1980, YEAR_2100))
        if low <= middle <= (10**7 if name == "excel" else high) and (name == "excel" or not fractions):
            known, inside = counts_of(
                engine, table, f"{value} IS NOT NULL", f"{value} BETWEEN {low:.0f} AND {high:.0f}"
            )
            return name if inside >= MOSTLY * known else None
    return None


def _since(engine: DuckDB, table: str, value: str, wrong: str, name: str, *, guess: bool) -> Reading:
    """Numbers that count from another day than unix times do."""
    many, day, before = SINCE[name]
    if name == "excel":  # to a millisecond: fractions of a day are rounded
        micros = f"CAST(round(CAST({value} AS DOUBLE) * {day * 1000}) AS BIGINT) * 1000"
    else:
        micros = f"CAST({value} AS HUGEINT) // {many // 10**6}"
    how = f"times as {name} counts them"
    how += f" (a guess: {setting('format', 'order')} where they are none)" if guess else ""
    return calendar(engine, table, f"CAST({micros} - {before * 10**6} AS BIGINT)", wrong, how, 10**6, guess=guess)


def _order(engine: DuckDB, table: str, value: str, wrong: str, fractions: int, digits: int | None) -> Reading:
    """Numbers that are an order: whole numbers as they are, others by as many decimals as they have, at most nine."""
    how = "plain numbers, an order without a calendar"
    if digits is None:
        digits = _decimals(engine, table, value) if fractions else 0
    if digits == 0:
        return Reading(f"CAST({value} AS BIGINT)", wrong, how)
    scaled = f"CAST(floor(CAST({value} AS DOUBLE) * {10**digits} + 1e-6) AS BIGINT)"
    return Reading(scaled, wrong, how, digits=digits)


def _decimals(engine: DuckDB, table: str, value: str) -> int:
    """The decimals that tell all values apart: nine at most, fewer where the numbers are too large for int64."""
    for digits in range(1, 9):
        scaled = f"(CAST({value} AS DOUBLE) * {10**digits})"
        most, left = engine.one(
            f"SELECT max(abs({scaled})), count(*) FILTER (abs({scaled} - round({scaled})) > 1e-6) FROM {table}"
        )
        if not left or most > 1e15:
            return digits
    return 9


def _in_unit(
    engine: DuckDB, table: str, value: str, wrong: str, unit: str, *, span: tuple[float, float], whole: bool
) -> Reading:
    """Unix times in the unit of most; a value in another unit is read in its own where that fits between the others."""
    low, high = 3 * 10**8, YEAR_2100

    def plain(per: int) -> str:
        return f"({value}) / {per}" if per > 1 else f"({value})"

    main = plain(UNITS[unit])
    bounds = engine.one(
        "SELECT min(s), max(s), count(*) FILTER (s != floor(s)) "
        f"FROM (SELECT CAST({main} AS DOUBLE) AS s FROM {table}) "
        f"WHERE s BETWEEN {low} AND {high}"
    )
    year = 366 * DAY
    first, last = (bounds[0] or low) - 2 * year, (bounds[1] or high) + 2 * year
    usual = f"{main} BETWEEN {low} AND {YEAR_2100}"
    strange, largest = span[0] < low or span[1] > high, max(map(abs, span))
    chosen, others, within = [f"WHEN {usual} THEN {{{unit}}}"], [], []
    for other, per in UNITS.items():
        fitting = f"{plain(per)} BETWEEN {first} AND {last}"
        if other != unit and strange and counts_of(engine, table, f"NOT ({usual}) AND {fitting}")[0]:
            chosen.append(f"WHEN {fitting} THEN {{{other}}}")
            others.append(other)
            within.append(f"({fitting})")
    cases = f"CASE {' '.join(chosen)} ELSE {{{unit}}} END"
    seconds, moments = cases, cases
    for name, per in UNITS.items():
        seconds = seconds.replace(f"{{{name}}}", f"CAST(floor({plain(per)}) AS BIGINT)")
        moments = moments.replace(
            f"{{{name}}}", f"CAST({'' if whole else 'floor'}(({value}) * {10**9 // per}) AS BIGINT)"
        )
    how = f"unix {unit}" + (f", some in {' and '.join(others)}" if others else "")
    if foreign := bounds[0] is None and not others:
        how += f" (a guess: none is between 1980 and 2100; {setting('format', '...')})"
    unread = wrong
    if largest > 9e18:
        fits = f"abs({main}) < 9e18"
        unread = f"({wrong} OR ({value} IS NOT NULL AND NOT {fits}))"
        seconds = f"CASE WHEN {fits} THEN {seconds} END"
    if whole and not others and largest <= YEAR_2100:  # exact: a double holds a time to 128 nanoseconds only
        return calendar(engine, table, f"CAST({value} AS BIGINT)", unread, how, UNITS[unit], guess=foreign)
    if not others and largest <= YEAR_2100:
        seconds = f"CAST(floor({main}) AS BIGINT)"
    moments = f"CASE WHEN abs({main}) <= {YEAR_2100} OR {' OR '.join(within) or 'false'} THEN {moments} END"
    return Reading(
        seconds, unread, how, foreign or bool(others), moments if bounds[2] or others else None, calendar=True
    )


def likeliest(engine: DuckDB, table: str, readings: dict[str, str]) -> tuple[str, str]:
    """Choose of several readings that fit all values: the one in which the rows are in order, else the shortest span.

    Days and months change places in dates of the first days of months alone. Read rightly these are of a few months,
    read wrongly of as many months as there are days; where no span is half as long as the others, the first is taken.

    Args:
        engine: holds the table.
        table: its name.
        readings: form -> its expression of timestamps.

    Returns:
        The form, and why it is a guess.
    """
    values = ", ".join(f"{value} AS t{place}" for place, value in enumerate(readings.values()))
    kept = engine.keep(f"SELECT {values}, {ROW} FROM {table} WHERE {ROW} <= 100000")
    steps = ", ".join(f"t{place} - lag(t{place}) OVER (ORDER BY {ROW}) AS t{place}" for place in range(len(readings)))
    signs = ", ".join(
        f"count(*) FILTER (t{place} {sign} INTERVAL 0 SECOND)" for place in range(len(readings)) for sign in "<>"
    )
    turns = engine.one(f"SELECT {signs}, count(*) FROM (SELECT {steps} FROM {kept})")
    ordered = [how for place, how in enumerate(readings) if min(turns[2 * place], turns[2 * place + 1]) == 0]
    if turns[-1] > 2 and len(ordered) == 1:
        best, why = ordered[0], ", but only so are the rows in order"
    else:
        spans = engine.one(
            f"SELECT {', '.join(f'epoch(max(t{n}) - min(t{n}))' for n in range(len(readings)))} FROM {kept}"
        )
        span = dict(zip(readings, spans, strict=True))
        shortest, *longer = sorted(readings, key=lambda how: span[how])
        clear = turns[-1] > 2 and 2 * span[shortest] <= span[longer[0]]
        best, why = (shortest, ", but so the rows span less time") if clear else (next(iter(readings)), "")
    others = [how for how in readings if how != best]
    return best, f" (a guess: {' and '.join(others)} fits as well{why}; {setting('format', others[0])})"
