"""Columns of any type -> times, as expressions of DuckDB's SQL: dates in many forms, unix times of any unit, an order.

How a column is written is decided over all of its rows. Does not know where a column is from.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache

from genre.data.durations import DAY
from genre.display import counted
from genre.engines.duckdb import DuckDB, identifier, literal
from genre.errors import DataError
from genre.preprocessing.sources.base import setting
from genre.preprocessing.sources.values import NUMBER, SHORTENED, Reading, counts_of, kind_of, spoken, trimmed, type_of
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
DAYS = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d-%b-%Y", "%d %b %Y"),
    *("%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%m %d, %Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y"),
    *("%a, %d %b %Y", "%a %b %d %Y", "%Y-%m-%d", "%d/%b/%Y", "%d-%b-%y", "%y-%m-%d", "%y/%m/%d", "%y.%m.%d"),
    *("%Y年%m月%d日", "%Y%m%d"),
)
"""The ways to write a day; an hour may follow."""
HOURS = ("", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I %p")
_TIMES = [f"{separator}{hour}" for hour in HOURS[1:] for separator in (" ", "T", ", ", ":")]
FORMS: dict[str, tuple[Sequence[str], ...]] = {
    day: (
        [day, *(f"{day}{hour}" for hour in _TIMES)],
        [f"{day}{hour}{zone}" for hour in _TIMES for zone in ("%z", " %z")],
        [f"{day}{hour} %Z" for hour in _TIMES],  # apart: a name is tried on an offset, and the reader gives up
    )
    for day in DAYS
} | {
    "%a %b %d %H:%M:%S %Y": (("%a %b %d %H:%M:%S %Y",), ("%a %b %d %H:%M:%S %Y %z",), ("%a %b %d %H:%M:%S %Z %Y",)),
    "%Y%m%dT%H%M%S": (("%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M"), ("%Y%m%dT%H%M%S%z", "%Y%m%dT%H%M%z")),
}
"""The ways to write a time: without a zone, with an offset, with the name of a zone."""
ISO_DAY = r"^\d{4}-\d{1,2}-\d{1,2}"
"""Only such a text is ISO: DuckDB reads 31/01/20 as a day of the year 31."""
CALENDAR_FROM = 10**8
"""Numbers below are an order without a calendar."""
YEAR_1980, YEAR_2100 = 315_532_800, 4_102_444_800
EDGES = sorted(
    {CALENDAR_FROM, *(edge for span in PACKED_RANGES for edge in span), *(10**11 * n for n in UNITS.values())}
)
"""Numbers between two of these are times of one kind."""
MOSTLY = 0.95
"""The share of numbers that have to be plausible times of a form."""


def times(
    engine: DuckDB,
    table: str,
    column: str,
    *,
    where: str,
    written: str | None = None,
    digits: int | None = None,
    likely: Collection[str] = (),
) -> Reading:
    """Find out how a column of times is written.

    Args:
        engine: holds the table.
        table: its name.
        column: the column.
        where: what holds the column, for errors.
        written: the form the user says: `%d/%m/%Y`, the unit of numbers (`seconds`, `milliseconds` ...), another count
            (`excel`, `dotnet`, `filetime`, `webkit`), or `order` for numbers that are no times.
        digits: decimals to keep of plain numbers, where another file of the same data needs them; None: found out.
        likely: forms that other files of the same data are certainly written in.

    Returns:
        How to read it, as whole seconds since 1970 (or an order, where the numbers are no times of the calendar).

    Raises:
        DataError: the column holds no times.
    """
    sql_type = type_of(engine, table, column)
    name, kind = identifier(column), kind_of(sql_type)
    if kind in ("other", "boolean"):
        raise DataError(f"{where}: column {column!r} holds {spoken(sql_type)}, expected times")
    if written is not None:
        _check_format(engine, written)
    if kind == "date" and sql_type == "TIMESTAMP_NS":
        return _calendar(
            engine, table, f"CASE WHEN isfinite({name}) THEN epoch_ns({name}) END", "false", "dates", 10**9
        )
    if kind == "date":
        return _dates(engine, table, f"CAST({name} AS TIMESTAMP)", "false", "dates")
    form = written if written is not None and "%" in written else None
    if kind == "text":
        return _text_times(engine, table, name, form) if form else _text(engine, table, name, written, digits, likely)
    if form is not None:
        raise DataError(
            f"{where}: column {column!r} holds numbers, which have no form such as {form!r}; store it as text, or "
            f"name the unit: {setting('format', 'seconds')}"
        )
    finite = f"CASE WHEN isfinite({name}) THEN {name} END" if sql_type in ("FLOAT", "DOUBLE") else name
    return _unix(engine, table, finite, "false", written, digits)


def _text_times(engine: DuckDB, table: str, name: str, form: str) -> Reading:
    """Text in the form that the user says."""
    text, missing = trimmed(name)
    parsed = f"TRY_STRPTIME({text}, {literal(form)})"
    if "%z" in form.lower():
        parsed = f"timezone('UTC', {parsed})"
    return _dates(engine, table, parsed, f"(NOT {missing} AND {parsed} IS NULL)", f"times written as {form}")


def _text(
    engine: DuckDB, table: str, name: str, written: str | None, digits: int | None, likely: Collection[str]
) -> Reading:
    """Text that holds numbers, or times in words."""
    text, missing = trimmed(name)
    whole, fine = f"TRY_CAST({name} AS BIGINT)", f"TRY_CAST({text} AS DECIMAL(38, 9))"
    if not counts_of(engine, table, f"({whole} IS NULL AND NOT {missing}) OR contains({name}, '.')")[0]:
        return _unix(engine, table, whole, "false", written, digits)
    given, odd, short = counts_of(
        engine,
        table,
        f"NOT {missing}",
        f"NOT {missing} AND {fine} IS NULL",
        f"regexp_matches({text}, '{SHORTENED}')",
    )
    if written is None and 2 * odd > given:
        return _written(engine, table, text, missing, given, likely)
    value = f"coalesce({fine}, {_finite(text)})"
    read = _unix(engine, table, value, f"(NOT {missing} AND {value} IS NULL)" if odd else "false", written, digits)
    if not short:
        return read
    are = counted(short, "time is", "times are")
    how = f"{read.how} (a guess: {are} shortened as by spreadsheets, such as 1.7E+09: the last digits are gone)"
    return replace(read, how=how, guess=True)


def _check_format(engine: DuckDB, written: str) -> None:
    """Refuse what is neither a unit of numbers nor a form that can be read."""
    import duckdb

    expected = f"expected {', '.join((*UNITS, *SINCE, 'order'))}, or a form with %, such as %d/%m/%Y %H:%M"
    if "%" not in written:
        if written not in (*UNITS, *SINCE, "order"):
            raise DataError(f"columns: format {written!r} is no unit of times; {expected}")
        return
    try:
        engine.one(f"SELECT TRY_STRPTIME('', {literal(written)})")
    except duckdb.Error as error:
        reason = str(error).splitlines()[0].rpartition(": ")[2]
        raise DataError(f"columns: format {written!r} cannot be read ({reason}); {expected}") from error


def _finite(text: str) -> str:
    """A number in scientific writing that is no infinity."""
    number = f"TRY_CAST({text} AS DOUBLE)"
    fits = f"regexp_matches({text}, '{NUMBER}') AND abs({number}) < 1e28"
    return f"CASE WHEN {fits} THEN CAST({number} AS DECIMAL(38, 9)) END"


def _dates(engine: DuckDB, table: str, parsed: str, wrong: str, how: str, *, guess: bool = False) -> Reading:
    """Times of the calendar, from an expression of timestamps."""
    micros = f"CASE WHEN isfinite({parsed}) THEN epoch_us({parsed}) END"
    return _calendar(engine, table, micros, wrong, how, 10**6, guess=guess)


def _calendar(
    engine: DuckDB, table: str, value: str, wrong: str, how: str, per: int, *, guess: bool = False
) -> Reading:
    """Times of the calendar, from an expression of whole numbers since 1970, so many a second."""
    fractions = counts_of(engine, table, f"{value} % {per} != 0")[0]
    seconds = f"{value} // {per}"  # DuckDB rounds towards zero, so times before 1970 are lowered first
    seconds = f"(({value}) - (({value}) % {per} + {per}) % {per}) // {per}" if fractions else seconds
    early = f"abs({value}) < {YEAR_2100 * per}"
    moment = f"CASE WHEN {early} THEN {value} * {10**9 // per} END" if fractions else None
    return Reading(seconds, wrong, how, guess, moment, calendar=True)


def _unix(engine: DuckDB, table: str, value: str, wrong: str, written: str | None, digits: int | None) -> Reading:
    """Numbers: packed dates, unix times in one unit or several, or an order without a calendar."""
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
    return _dates(engine, table, parsed, unread, "packed dates") if fit >= MOSTLY * known else None


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
        best, reason = _likeliest(engine, table, readings)
    unread = f"({wrong} OR ({value} IS NOT NULL AND {readings[best]} IS NULL))" if max(fits) < known else wrong
    return _dates(engine, table, readings[best], unread, f"packed dates, {best}{reason}", guess=bool(reason))


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
    return _calendar(engine, table, f"CAST({micros} - {before * 10**6} AS BIGINT)", wrong, how, 10**6, guess=guess)


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
        return _calendar(engine, table, f"CAST({value} AS BIGINT)", unread, how, UNITS[unit], guess=foreign)
    if not others and largest <= YEAR_2100:
        seconds = f"CAST(floor({main}) AS BIGINT)"
    moments = f"CASE WHEN abs({main}) <= {YEAR_2100} OR {' OR '.join(within) or 'false'} THEN {moments} END"
    return Reading(
        seconds, unread, how, foreign or bool(others), moments if bounds[2] or others else None, calendar=True
    )


def _written(engine: DuckDB, table: str, text: str, missing: str, given: int, likely_forms: Collection[str]) -> Reading:
    """Times in words: ISO, or a day in one of many forms with or without an hour and a zone."""
    iso = f"CASE WHEN regexp_matches({text}, '{ISO_DAY}') THEN timezone('UTC', TRY_CAST({text} AS TIMESTAMPTZ)) END"
    sample = engine.keep(
        f"SELECT * FROM (SELECT {text} AS t FROM {table} WHERE NOT {missing}) "
        "USING SAMPLE reservoir(2000 ROWS) REPEATABLE (1)"
    )
    shapes = {_shape(value) for (value,) in engine.connection.execute(f"SELECT t FROM {sample}").fetchall()}
    candidates = {"ISO times": iso} | dict(_fitting(text, shapes))
    tried = [f"{parsed.replace(text, 't')} IS NOT NULL" for parsed in candidates.values()]
    found = dict(zip(candidates, counts_of(engine, sample, *tried), strict=True))
    likely = [how for how, count in found.items() if count and 2 * count >= max(found.values())]
    tried = [f"NOT {missing} AND {candidates[how]} IS NOT NULL" for how in likely]
    counts = dict(zip(likely, counts_of(engine, table, *tried), strict=True)) if likely else {}
    if not any(counts.values()):
        how = f"times in no known form; {setting('format', '...')}"
        return Reading("CAST(NULL AS BIGINT)", f"(NOT {missing})", how, calendar=True)
    best = max(counts, key=lambda how: counts[how])  # the first of those that fit most
    guess, reason = False, ""
    here = {how: candidates[how].replace(text, "t") for how in likely if counts[how] == counts[best]}
    others = counts_of(engine, sample, *(f"({value}) IS DISTINCT FROM ({here[best]})" for value in here.values()))
    rivals = [how for how, count in zip(here, others, strict=True) if count or how == best]
    if len(known := [how for how in rivals if how in likely_forms]) == 1:
        best = known[0]
    elif len(rivals) > 1:
        best, reason = _likeliest(engine, table, {how: candidates[how] for how in rivals})
        guess = True
    named = f"regexp_matches({text}, '\\s[A-Z]{{3,4}}$') AND right({text}, 3) NOT IN ('UTC', 'GMT')"
    if counts_of(engine, table, named)[0]:
        reason += " (a guess: a zone of three letters has several meanings)"
        guess = True
    parsed = candidates[best]
    if counts[best] < given and best != "ISO times":  # the sample may lack some of its forms
        parsed = f"coalesce({parsed}, {_parsed(text, FORMS[best])}, {iso})"
    elif counts[best] < given:
        following = [how for how in likely if how != best and counts[how]]
        parsed = f"coalesce({', '.join([parsed, *(candidates[how] for how in following)])})"
    how = best if best == "ISO times" else f"times written as {best}"
    read = _dates(engine, table, parsed, f"(NOT {missing} AND {parsed} IS NULL)", how + reason, guess=guess)
    return replace(read, form=best)


def _fitting(text: str, shapes: Collection[str]) -> Iterator[tuple[str, str]]:
    """The readings with the forms that some text has the shape of: to try all of them on each row takes long."""
    for how, groups in FORMS.items():
        forms = [[form for form in group if _shape_of_form(form) in shapes] for group in groups]
        if any(forms):
            yield how, _parsed(text, forms)


def _shape(text: str) -> str:
    """What a time looks like: its numbers as 0, its words and its zone as a."""
    text = re.sub(r"(:\d\d([.,]\d+)?|T\d{4,6}|[AaPp][Mm]| )( ?)[+-]\d\d:?(\d\d)?$", r"\1\3a", text)
    return re.sub(r"[^\W\d_]+([/_-][^\W\d_]+)*", "a", re.sub(r"\d+", "0", re.sub(r"\s+", " ", text)))


@cache
def _shape_of_form(form: str) -> str:
    return _shape(re.sub(r"%[abBpzZ]", "a", re.sub("%[dmyYHMSfI]", "0", form)))


def _parsed(text: str, groups: Sequence[Sequence[str]]) -> str:
    """The expression that reads a text by the first form that fits: without a zone, then with one, as times of UTC."""
    lists = [f"TRY_STRPTIME({text}, [{', '.join(map(literal, forms))}])" for forms in groups]
    readings = [
        f"timezone('UTC', {read})" if place else read
        for place, (read, forms) in enumerate(zip(lists, groups, strict=True))
        if forms
    ]
    first = f"coalesce({', '.join(readings)})"
    return f"nullif(greatest({first}, TIMESTAMP '1000-01-01'), TIMESTAMP '1000-01-01')"  # 24 is no year


def _likeliest(engine: DuckDB, table: str, readings: dict[str, str]) -> tuple[str, str]:
    """Which of several readings that fit all values: the one in which the rows are in order, else the first."""
    values = ", ".join(f"{value} AS t{place}" for place, value in enumerate(readings.values()))
    kept = engine.keep(f"SELECT {values}, {ROW} FROM {table} WHERE {ROW} <= 100000")
    steps = ", ".join(f"t{place} - lag(t{place}) OVER (ORDER BY {ROW}) AS t{place}" for place in range(len(readings)))
    signs = ", ".join(
        f"count(*) FILTER (t{place} {sign} INTERVAL 0 SECOND)" for place in range(len(readings)) for sign in "<>"
    )
    turns = engine.one(f"SELECT {signs}, count(*) FROM (SELECT {steps} FROM {kept})")
    ordered = [how for place, how in enumerate(readings) if min(turns[2 * place], turns[2 * place + 1]) == 0]
    best, *others = sorted(readings, key=lambda how: how not in ordered)
    if turns[-1] > 2 and len(ordered) == 1:
        return (
            best,
            f" (a guess: {others[0]} fits as well, but only so are the rows in order; {setting('format', others[0])})",
        )
    best, *others = readings
    return best, f" (a guess: {' and '.join(others)} fits as well; {setting('format', others[0])})"


def looks_like_time(engine: DuckDB, table: str, column: str) -> bool:
    """Tell whether a column holds dates, or numbers that are dates between 1980 and 2100.

    Args:
        engine: holds the table.
        table: its name.
        column: the column.

    Returns:
        True where all values are such times.
    """
    try:
        reading = times(engine, table, column, where="")
    except DataError:
        return False
    if not reading.calendar or any(name in reading.how for name in SINCE):  # many columns hold numbers of that size
        return False
    given, fit, wrong = counts_of(
        engine,
        table,
        f"{reading.value} IS NOT NULL",
        f"{reading.value} BETWEEN 300000000 AND {YEAR_2100}",
        reading.wrong,
    )
    return bool(given) and fit == given and not wrong
