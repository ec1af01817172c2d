"""Columns of any type -> ids, numbers and times, as expressions of DuckDB's SQL. Does not know where a column is from.

How a column is written is decided over all of its rows. A value that is missing stays missing; a value that cannot be
read becomes null, and the column's `wrong` condition finds it, so that it is counted and named.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from genre.data.words import looks_like_text
from genre.engines.duckdb import DuckDB
from genre.errors import DataError
from genre.preprocessing.sources.delimited import identifier, literal

MISSING = ("", "\\N", "NA", "N/A", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "-")
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(inf|Inf|INF|infinity|Infinity)$"
DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+$|^[+-]?\d{1,3}(\.\d{3})+$"
THOUSANDS_COMMA = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
WHOLE = ("INTEGER", "UINTEGER", "BIGNUM")
NO_VALUES = ("STRUCT", "MAP", "UNION", "BLOB", "BIT", "JSON", "VARIANT", "TIME", "INTERVAL")
WHOLE_ID = r"^-?\d+(\.0+)?$"
UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
PACKED = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
PACKED_DATE = r"^(19[7-9]\d|20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(([01]\d|2[0-3])[0-5]\d([0-5]\d)?)?$"
DAYS = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d-%b-%Y", "%d %b %Y"),
    *("%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%m %d, %Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y"),
    *("%a, %d %b %Y", "%a %b %d %Y", "%Y-%m-%d", "%d/%b/%Y"),
)
"""The ways to write a day; an hour may follow."""
HOURS = ("", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I %p")
CTIME = ("%a %b %d %H:%M:%S %Y",)
ISO_DAY = r"^\d{4}-\d{1,2}-\d{1,2}"
"""Only such a text is ISO: DuckDB reads 31/01/20 as a day of the year 31."""
DAY_FIRST = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y", "%d/%m/%y": "%m/%d/%y"}
"""Day-first form -> the month-first form that the same text may be."""
CALENDAR_FROM = 10**8
"""Numbers below are an order without a calendar."""
YEAR_2100 = 4_102_444_800
EDGES = sorted(
    {CALENDAR_FROM, *(10**n for n in PACKED), *(10 ** (n - 1) for n in PACKED), *(10**11 * n for n in UNITS.values())}
)
"""Numbers between two of these are times of one kind."""


@dataclass(frozen=True)
class Reading:
    """How a column is read.

    Attributes:
        value: the expression of the value, null where it is missing or cannot be read.
        wrong: the condition of rows that have a value which cannot be read; `false` where there is none.
        how: how the column is written, for people; empty where that says nothing.
        guess: whether another reading fits the same values.
        moment: the expression of a time in its finest unit, where it has fractions of a second.
        calendar: whether a time is one of the calendar.
        digits: decimals that were kept of plain numbers which are an order.
    """

    value: str
    wrong: str = "false"
    how: str = ""
    guess: bool = False
    moment: str | None = None
    calendar: bool = False
    digits: int = 0


def looks_like_names(column: pa.ChunkedArray) -> bool:
    """Tell whether a column holds words of which nearly every row has its own, and no codes such as `tt0114709`.

    Args:
        column: values of any type.

    Returns:
        True when four fifths of the values are different words.
    """
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    texts = [text for text in column.to_pylist() if text and text.strip()]
    said = {text for text in texts if looks_like_text(text) and not re.fullmatch(r"\S*\d\S*", text.strip())}
    return bool(texts) and len(said) >= 0.8 * len(texts)


def to_fields(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Turn text into numbers where all of it is and nothing is lost (a zip code 01234 stays text).

    Args:
        column: text.

    Returns:
        Whole numbers, numbers, or the trimmed text, null where it is empty.
    """
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    if text.null_count == len(text):
        return text
    for kind, form in ((pa.int64(), r"^(0|-?[1-9]\d{0,17})$"), (pa.float64(), r"^-?(0|[1-9]\d*)(\.\d+)?$")):
        if pc.all(pc.match_substring_regex(text, form)).as_py():
            return text.cast(kind)
    return text


def kind_of(sql_type: str) -> Literal["text", "whole", "numeric", "date", "boolean", "other"]:
    """Group DuckDB's types by what can be done with them.

    Args:
        sql_type: as DESCRIBE prints it.

    Returns:
        The group.
    """
    plain = sql_type.upper()
    if plain == "DATE" or plain.startswith("TIMESTAMP"):
        return "other" if plain.endswith("]") else "date"
    if plain.endswith("]") or plain.startswith(NO_VALUES):
        return "other"
    if plain.removeprefix("U").removesuffix("INT") in ("TINY", "SMALL", "BIG", "HUGE") or plain in WHOLE:
        return "whole"
    if plain in ("FLOAT", "DOUBLE") or plain.startswith("DECIMAL"):
        return "numeric"
    return "boolean" if plain == "BOOLEAN" else "text"


def id_text(engine: DuckDB, table: str, column: str, *, where: str) -> str:
    """Write the expression of a column's ids as text.

    Args:
        engine: holds the table.
        table: its name.
        column: the column.
        where: what holds the column, for the error.

    Returns:
        The expression: trimmed text, null where it is empty or no number.

    Raises:
        DataError: the column holds lists, nested or binary values.
    """
    sql_type = type_of(engine, table, column)
    name, kind = identifier(column), kind_of(sql_type)
    if kind == "other":
        raise DataError(f"{where}: column {column!r} holds {sql_type}, expected ids as text or numbers; give one a row")
    if sql_type in ("FLOAT", "DOUBLE"):
        whole = f"{name} = floor({name}) AND abs({name}) < 1e18"
        text = (
            f"CASE WHEN {whole} THEN CAST(CAST({name} AS HUGEINT) AS VARCHAR) || '.0' ELSE CAST({name} AS VARCHAR) END"
        )
        return f"CASE WHEN isfinite({name}) THEN {text} END"
    if kind != "text":
        return f"CAST({name} AS VARCHAR)"
    text = name if sql_type == "VARCHAR" else f"CAST({name} AS VARCHAR)"
    if _counts(engine, table, f"regexp_matches({text}, '^{BLANK}|{BLANK}$')")[0]:
        text = f"trim({text}, {BLANKS})"
    return f"nullif({text}, '')"


def type_of(engine: DuckDB, table: str, column: str) -> str:
    """Look a column's type up.

    Args:
        engine: holds the table.
        table: its name.
        column: the column.

    Returns:
        The type as DuckDB prints it.
    """
    rows = engine.connection.execute(f"DESCRIBE SELECT {identifier(column)} FROM {table}").fetchall()
    return str(rows[0][1])


BLANK = r"[\s\x{00A0}\x{FEFF}]"
BLANKS = "' ' || chr(9) || chr(10) || chr(13) || chr(11) || chr(12) || chr(160) || chr(65279)"


def are_whole(engine: DuckDB, ids: Sequence[tuple[str, str]]) -> bool:
    """Tell whether the ids of several tables are all whole numbers, some of which were written as 196.0.

    Args:
        engine: holds the tables.
        ids: the name of each table, and the expression of its ids.

    Returns:
        True where `.0` at the end of an id says nothing and has to go everywhere.
    """
    if not any(_counts(engine, table, f"contains({value}, '.')")[0] for table, value in ids):
        return False
    return not any(_counts(engine, table, f"NOT regexp_matches({value}, '{WHOLE_ID}')")[0] for table, value in ids)


def without_point(value: str) -> str:
    """Write the expression of whole-number ids without `.0`.

    Args:
        value: the expression of the ids.

    Returns:
        An expression in which 196.0 is 196.
    """
    return f"regexp_replace({value}, '\\.0+$', '')"


def numbers(engine: DuckDB, table: str, column: str, *, where: str, decimal: str | None = None) -> Reading:
    """Find out how a column of numbers is written.

    Args:
        engine: holds the table.
        table: its name.
        column: the column.
        where: what holds the column, for errors.
        decimal: `.` or `,`, where the user says which.

    Returns:
        How to read it, as float64.

    Raises:
        DataError: the column holds no numbers.
    """
    sql_type = type_of(engine, table, column)
    name, kind = identifier(column), kind_of(sql_type)
    if kind in ("other", "date"):
        raise DataError(f"{where}: column {column!r} holds {sql_type}, expected numbers")
    value = f"TRY_CAST({name} AS DOUBLE)"
    if kind != "text":
        return Reading(f"CAST({name} AS DOUBLE)")
    text, missing = _trimmed(name)
    if decimal != "," and not _counts(engine, table, f"{value} IS NULL AND NOT {missing}")[0]:
        return Reading(value)
    plain = f"regexp_matches({text}, '{NUMBER}')"
    comma = f"regexp_matches({text}, '{DECIMAL_COMMA}')"
    thousand = f"regexp_matches({text}, '{THOUSANDS_COMMA}')"
    commas, thousands = _counts(engine, table, f"NOT {plain} AND {comma}", f"NOT {plain} AND {thousand}")
    form, how, guess, value = plain, "", False, text
    if decimal == "," or (decimal is None and commas > thousands):
        pointed = f"replace(replace({text}, '.', ''), ',', '.')"
        value = f"CASE WHEN contains({text}, ',') OR {comma} THEN {pointed} ELSE {text} END"
        form, how = f"({plain} OR {comma})", "numbers with a decimal comma"
    elif decimal is None and thousands:
        value, form = f"replace({text}, ',', '')", f"({plain} OR {thousand})"
        guess = commas == thousands
        remedy = "; a guess: set decimal: ',' where they are decimal commas" if guess else ""
        how = f"numbers with commas between thousands{remedy}"
    read = f"CASE WHEN {form} THEN coalesce(TRY_CAST({value} AS DOUBLE), {_infinite(text)}) END"
    return Reading(read, f"(NOT {missing} AND NOT {form})", how, guess)


def _infinite(text: str) -> str:
    """A number beyond every double, such as 1e999, is infinite."""
    return f"CASE WHEN starts_with({text}, '-') THEN CAST('-inf' AS DOUBLE) ELSE CAST('inf' AS DOUBLE) END"


def _trimmed(name: str) -> tuple[str, str]:
    """The trimmed text of a column, and the condition that it is missing."""
    text = f"trim({name}, {BLANKS})"
    return text, f"({name} IS NULL OR {text} IN ({', '.join(map(literal, MISSING))}))"


def _counts(engine: DuckDB, table: str, *conditions: str) -> list[int]:
    """How many rows of a table meet each condition."""
    if len(conditions) == 1:  # a filter looks at the rest of a condition only where its first part holds
        return [int(engine.one(f"SELECT count(*) FROM {table} WHERE {conditions[0]}")[0])]
    wanted = ", ".join(f"count(*) FILTER (coalesce({condition}, false))" for condition in conditions)
    return [int(count) for count in engine.one(f"SELECT {wanted} FROM {table}")]


# --- times --------------------------------------------------------------------------------------------


def times(
    engine: DuckDB, table: str, column: str, *, where: str, written: str | None = None, digits: int | None = None
) -> Reading:
    """Find out how a column of times is written.

    Args:
        engine: holds the table.
        table: its name.
        column: the column.
        where: what holds the column, for errors.
        written: the form the user says: `%d/%m/%Y`, or the unit of numbers (`seconds`, `milliseconds` ...).
        digits: decimals to keep of plain numbers, where another file of the same data needs them; None: found out.

    Returns:
        How to read it, as whole seconds since 1970 (or an order, where the numbers are no times of the calendar).

    Raises:
        DataError: the column holds no times.
    """
    sql_type = type_of(engine, table, column)
    name, kind = identifier(column), kind_of(sql_type)
    if kind in ("other", "boolean"):
        raise DataError(f"{where}: column {column!r} holds {sql_type}, expected times")
    if kind == "date":
        return _dates(engine, table, f"CAST({name} AS TIMESTAMP)", "false", "dates")
    if kind in ("whole", "numeric"):
        finite = f"CASE WHEN isfinite({name}) THEN {name} END" if sql_type in ("FLOAT", "DOUBLE") else name
        return _unix(engine, table, finite, "false", written, digits)
    text, missing = _trimmed(name)
    if written is not None and "%" in written:
        parsed = f"TRY_STRPTIME({text}, {literal(written)})"
        if "%z" in written.lower():
            parsed = f"timezone('UTC', {parsed})"
        return _dates(engine, table, parsed, f"(NOT {missing} AND {parsed} IS NULL)", f"times written as {written}")
    whole, fine = f"TRY_CAST({name} AS BIGINT)", f"TRY_CAST({text} AS DECIMAL(38, 9))"
    if not _counts(engine, table, f"({whole} IS NULL AND NOT {missing}) OR contains({name}, '.')")[0]:
        return _unix(engine, table, whole, "false", written, digits)
    given, odd = _counts(engine, table, f"NOT {missing}", f"NOT {missing} AND {fine} IS NULL")
    if written is None and 2 * odd > given:
        return _written(engine, table, text, missing, given)
    value = f"coalesce({fine}, {_finite(text)})"
    return _unix(engine, table, value, f"(NOT {missing} AND {value} IS NULL)" if odd else "false", written, digits)


def _finite(text: str) -> str:
    """A number in scientific writing that is no infinity."""
    number = f"TRY_CAST({text} AS DOUBLE)"
    fits = f"regexp_matches({text}, '{NUMBER}') AND abs({number}) < 1e28"
    return f"CASE WHEN {fits} THEN CAST({number} AS DECIMAL(38, 9)) END"


def _dates(engine: DuckDB, table: str, parsed: str, wrong: str, how: str, *, guess: bool = False) -> Reading:
    """Times of the calendar, from an expression of timestamps."""
    micros = f"CASE WHEN isfinite({parsed}) THEN epoch_us({parsed}) END"
    fractions = _counts(engine, table, f"{micros} % 1000000 != 0")[0]
    seconds = f"{micros} // 1000000"  # DuckDB rounds towards zero, so times before 1970 are lowered first
    seconds = f"(({micros}) - (({micros}) % 1000000 + 1000000) % 1000000) // 1000000" if fractions else seconds
    early = f"abs({micros}) < 4102444800000000"
    moment = f"CASE WHEN {early} THEN {micros} * 1000 END" if fractions else None
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
    if written is None and not fractions and any(10 ** (n - 1) <= middle < 10**n for n in PACKED):
        text = f"CAST({value} AS VARCHAR)"
        parsed = f"CASE WHEN regexp_matches({text}, '{PACKED_DATE}') THEN {_unpacked(text)} END"
        known, packed = _counts(engine, table, f"{value} IS NOT NULL", f"{parsed} IS NOT NULL")
        if packed >= 0.95 * known:
            unread = f"({wrong} OR ({value} IS NOT NULL AND {parsed} IS NULL))" if packed < known else wrong
            return _dates(engine, table, parsed, unread, "packed dates")
    if written is None and middle < CALENDAR_FROM:
        return _order(engine, table, value, wrong, int(fractions), digits)
    unit = written or next((unit for unit, per in UNITS.items() if middle < 10**11 * per), "nanoseconds")
    if unit not in UNITS:
        raise DataError(f"format {unit!r} is no unit of times; expected {', '.join(UNITS)}, or a form with %")
    largest = max(abs(low), abs(high)) / UNITS[unit]
    if not fractions and UNITS[unit] == 1 and largest <= YEAR_2100:
        return Reading(f"CAST({value} AS BIGINT)", wrong, f"unix {unit}", calendar=True)
    return _in_unit(engine, table, value, wrong, unit, span=(float(low) / UNITS[unit], float(high) / UNITS[unit]))


def _unpacked(text: str) -> str:
    forms = ", ".join(literal(form) for form in PACKED.values())
    return f"TRY_STRPTIME({text}, [{forms}])"


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


def _in_unit(engine: DuckDB, table: str, value: str, wrong: str, unit: str, *, span: tuple[float, float]) -> Reading:
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
    year = 366 * 86400
    first, last = (bounds[0] or low) - 2 * year, (bounds[1] or high) + 2 * year
    usual = f"{main} BETWEEN {low} AND {YEAR_2100}"
    strange, largest = span[0] < low or span[1] > high, max(map(abs, span))
    chosen, others, within = [f"WHEN {usual} THEN {{{unit}}}"], [], []
    for other, per in UNITS.items():
        fitting = f"{plain(per)} BETWEEN {first} AND {last}"
        if other != unit and strange and _counts(engine, table, f"NOT ({usual}) AND {fitting}")[0]:
            chosen.append(f"WHEN {fitting} THEN {{{other}}}")
            others.append(other)
            within.append(f"({fitting})")
    cases = f"CASE {' '.join(chosen)} ELSE {{{unit}}} END"
    seconds, moments = cases, cases
    for name, per in UNITS.items():
        seconds = seconds.replace(f"{{{name}}}", f"CAST(floor({plain(per)}) AS BIGINT)")
        moments = moments.replace(f"{{{name}}}", f"CAST(floor(({value}) * {10**9 // per}) AS BIGINT)")
    how = f"unix {unit}" + (f", some in {' and '.join(others)}" if others else "")
    unread = wrong
    if largest > 9e18:
        fits = f"abs({main}) < 9e18"
        unread = f"({wrong} OR ({value} IS NOT NULL AND NOT {fits}))"
        seconds = f"CASE WHEN {fits} THEN {seconds} END"
    if not others and largest <= YEAR_2100:
        seconds = f"CAST(floor({main}) AS BIGINT)" if UNITS[unit] > 1 or bounds[2] else f"CAST({value} AS BIGINT)"
    moments = f"CASE WHEN abs({main}) <= {YEAR_2100} OR {' OR '.join(within) or 'false'} THEN {moments} END"
    return Reading(seconds, unread, how, bool(others), moments if bounds[2] or others else None, calendar=True)


def _written(engine: DuckDB, table: str, text: str, missing: str, given: int) -> Reading:
    """Times in words: ISO, or a day in one of many forms with or without an hour and a zone."""
    iso = f"CASE WHEN regexp_matches({text}, '{ISO_DAY}') THEN timezone('UTC', TRY_CAST({text} AS TIMESTAMPTZ)) END"
    candidates = {"ISO times": iso} | {day: _day_with_hour(text, day) for day in DAYS}
    candidates |= {CTIME[0]: _parsed(text, CTIME)}
    sample = engine.keep(
        f"SELECT * FROM (SELECT {text} AS t FROM {table} WHERE NOT {missing}) "
        "USING SAMPLE reservoir(2000 ROWS) REPEATABLE (1)"
    )
    tried = [f"{parsed.replace(text, 't')} IS NOT NULL" for parsed in candidates.values()]
    found = dict(zip(candidates, _counts(engine, sample, *tried), strict=True))
    likely = [how for how, count in found.items() if count and 2 * count >= max(found.values())]
    tried = [f"NOT {missing} AND {candidates[how]} IS NOT NULL" for how in likely]
    counts = dict(zip(likely, _counts(engine, table, *tried), strict=True)) if likely else {}
    if not any(counts.values()):
        return Reading("CAST(NULL AS BIGINT)", f"(NOT {missing})", "times in no known form", calendar=True)
    best = max(counts, key=lambda how: counts[how])  # the first of those that fit most
    guess, reason = False, ""
    if (other := DAY_FIRST.get(best)) in counts and counts[other] == counts[best]:
        best, reason = _day_or_month(engine, table, candidates, best, other)
        guess = True
    if _counts(engine, table, f"regexp_matches({text}, '\\s[A-Z]{{3,4}}$') AND right({text}, 3) NOT IN ('UTC', 'GMT')")[
        0
    ]:
        reason += " (a guess: a zone of three letters has several meanings)"
        guess = True
    parsed = candidates[best]
    if counts[best] < given and best != "ISO times":
        parsed = f"coalesce({parsed}, {iso})"
    elif counts[best] < given:
        following = [how for how in likely if how != best and counts[how]]
        parsed = f"coalesce({', '.join([parsed, *(candidates[how] for how in following)])})"
    how = best if best == "ISO times" else f"times written as {best}"
    return _dates(engine, table, parsed, f"(NOT {missing} AND {parsed} IS NULL)", how + reason, guess=guess)


def _day_with_hour(text: str, day: str) -> str:
    """The expression that reads one form of a day, with any hour behind it and a zone behind that."""
    hours = [f"{separator}{hour}" for hour in HOURS[1:] for separator in (" ", "T", ", ", ":")]
    offsets = [f"{day}{hour}{zone}" for hour in hours for zone in ("%z", " %z")]
    names = [f"{day}{hour} %Z" for hour in hours]  # apart: a name is tried on an offset, and the reader gives up
    plain = [day, *(f"{day}{hour}" for hour in hours)]
    return _parsed(text, plain, offsets, names)


def _parsed(text: str, plain: Sequence[str], *zoned: Sequence[str]) -> str:
    """The expression that reads a text by the first form that fits, as a time of UTC."""
    readings = [f"TRY_STRPTIME({text}, [{', '.join(map(literal, plain))}])"]
    readings += [f"timezone('UTC', TRY_STRPTIME({text}, [{', '.join(map(literal, forms))}]))" for forms in zoned]
    first = f"coalesce({', '.join(readings)})"
    return f"nullif(greatest({first}, TIMESTAMP '1000-01-01'), TIMESTAMP '1000-01-01')"  # 24 is no year


def _day_or_month(
    engine: DuckDB, table: str, candidates: dict[str, str], day_first: str, month_first: str
) -> tuple[str, str]:
    """Which of two readings that fit all values: the one in which the rows are in order, else the day first."""
    kept = engine.keep(
        f"SELECT {candidates[day_first]} AS d, {candidates[month_first]} AS m, row FROM {table} WHERE row <= 100000"
    )
    day, month, both = engine.one(
        "SELECT count(*) FILTER (d < pd), count(*) FILTER (m < pm), count(*) FROM "
        f"(SELECT d, m, lag(d) OVER (ORDER BY row) AS pd, lag(m) OVER (ORDER BY row) AS pm FROM {kept})"
    )
    remedy = f"set format: '{month_first}' or '{day_first}' under columns"
    if min(day, month, both - day, both - month) == 0 and day != month and both > 2:
        sorted_by_day = day in (0, both - 1) or (month not in (0, both - 1) and day < month)
        best = day_first if sorted_by_day else month_first
        return best, f" (a guess: both fit, and only so are the rows in order; {remedy})"
    return day_first, f" (a guess: {month_first} fits as well; {remedy})"


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
    if not reading.calendar:
        return False
    given, fit, wrong = _counts(
        engine,
        table,
        f"{reading.value} IS NOT NULL",
        f"{reading.value} BETWEEN 300000000 AND {YEAR_2100}",
        reading.wrong,
    )
    return bool(given) and fit == given and not wrong


def looks_like_rating(engine: DuckDB, table: str, column: str) -> bool:
    """Tell whether a column holds few different numbers.

    Args:
        engine: holds the table.
        table: its name.
        column: the column.

    Returns:
        True for 2 to 21 different numbers between -10 and 100.
    """
    try:
        reading = numbers(engine, table, column, where="")
    except DataError:
        return False
    levels, low, high = engine.one(
        f"SELECT count(DISTINCT x), min(x), max(x) FROM (SELECT {reading.value} AS x FROM {table})"
    )
    return not _counts(engine, table, reading.wrong)[0] and 1 < levels <= 21 and low >= -10 and high <= 100
