"""Columns of any type -> times, as expressions of DuckDB's SQL: dates in many forms; numbers by `time_numbers.py`.

How a column is written is decided over all of its rows. Does not know where a column is from.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache

from genre.display import counted
from genre.engines.duckdb import DuckDB, identifier, literal
from genre.errors import DataError
from genre.preprocessing.sources.base import setting
from genre.preprocessing.sources.time_numbers import (
    SINCE,
    UNITS,
    YEAR_2100,
    calendar,
    dates,
    likeliest,
    number_times,
)
from genre.preprocessing.sources.values import NUMBER, SHORTENED, Reading, counts_of, kind_of, spoken, trimmed, type_of
from genre.preprocessing.tables import plain_name

DAYS = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d-%b-%Y", "%d %b %Y"),
    *("%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%m %d, %Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y"),
    *("%a, %d %b %Y", "%a %b %d %Y", "%Y-%m-%d", "%d/%b/%Y", "%d-%b-%y", "%y-%m-%d", "%y/%m/%d", "%y.%m.%d"),
    *("%Y年%m月%d日", "%Y%m%d", "%Y-%m", "%m/%Y", "%G-W%V-%u", "%G-W%V"),
)
"""The ways to write a day, or a month or week by its first day; an hour may follow."""
HOURS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I %p", "%Hh%M")
_TIMES = [f"{separator}{hour}" for hour in HOURS for separator in (" ", "T", ", ", ":")]
FORMS: dict[str, tuple[Sequence[str], ...]] = {
    day: (
        [day, *(f"{day}{hour}" for hour in _TIMES)],
        [f"{day}{hour}{zone}" for hour in _TIMES for zone in ("%z", " %z")],
        [f"{day}{hour} %Z" for hour in _TIMES],  # apart: a name is tried on an offset, and the reader gives up
    )
    for day in DAYS
} | {
    "%a %b %d %H:%M:%S %Y": (
        ("%a %b %d %H:%M:%S %Y",),
        ("%a %b %d %H:%M:%S %Y %z", "%a %b %d %H:%M:%S %z %Y"),
        ("%a %b %d %H:%M:%S %Z %Y",),
    ),
    "%Y%m%dT%H%M%S": (("%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M"), ("%Y%m%dT%H%M%S%z", "%Y%m%dT%H%M%z")),
}
"""The ways to write a time: without a zone, with an offset, with the name of a zone."""
FIRST_ROWS = 20
"""So many rows leave few columns to look at, of which all rows are."""
PLAIN_NUMBER = r"[-+]?[0-9]*[.,]?[0-9]*([eE][-+]?[0-9]+)?"
"""Such a text is a number before it is a time, unless its column is named as one."""
ISO_DAY = r"^\d{4}-\d{1,2}-\d{1,2}"
"""Only such a text is ISO: DuckDB reads 31/01/20 as a day of the year 31."""


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
        return calendar(engine, table, f"CASE WHEN isfinite({name}) THEN epoch_ns({name}) END", "false", "dates", 10**9)
    if kind == "date":
        return dates(engine, table, f"CAST({name} AS TIMESTAMP)", "false", "dates")
    form = written if written is not None and "%" in written else None
    if kind == "text":
        return _text_times(engine, table, name, form) if form else _text(engine, table, name, written, digits, likely)
    if form is not None:
        raise DataError(
            f"{where}: column {column!r} holds numbers, which have no form such as {form!r}; store it as text, or "
            f"name the unit: {setting('format', 'seconds')}"
        )
    finite = f"CASE WHEN isfinite({name}) THEN {name} END" if sql_type in ("FLOAT", "DOUBLE") else name
    return number_times(engine, table, finite, "false", written, digits)


def _text_times(engine: DuckDB, table: str, name: str, form: str) -> Reading:
    """Text in the form that the user says."""
    text, missing = trimmed(name)
    parsed = f"TRY_STRPTIME({text}, {literal(form)})"
    if "%z" in form.lower():
        parsed = f"timezone('UTC', {parsed})"
    return dates(engine, table, parsed, f"(NOT {missing} AND {parsed} IS NULL)", f"times written as {form}")


def _text(
    engine: DuckDB, table: str, name: str, written: str | None, digits: int | None, likely: Collection[str]
) -> Reading:
    """Text that holds numbers, or times in words."""
    text, missing = trimmed(name)
    whole, fine = f"TRY_CAST({name} AS BIGINT)", f"TRY_CAST({text} AS DECIMAL(38, 9))"
    if not counts_of(engine, table, f"({whole} IS NULL AND NOT {missing}) OR contains({name}, '.')")[0]:
        return number_times(engine, table, whole, "false", written, digits)
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
    read = number_times(
        engine, table, value, f"(NOT {missing} AND {value} IS NULL)" if odd else "false", written, digits
    )
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
        best, reason = likeliest(engine, table, {how: candidates[how] for how in rivals})
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
    read = dates(engine, table, parsed, f"(NOT {missing} AND {parsed} IS NULL)", how + reason, guess=guess)
    return replace(read, form=best)


def _fitting(text: str, shapes: Collection[str]) -> Iterator[tuple[str, str]]:
    """The readings with the forms that some text has the shape of: to try all of them on each row takes long."""
    for how, groups in FORMS.items():
        forms = [[form for form in group if _shape_of_form(form) in shapes] for group in groups]
        if any(forms):
            yield how, _parsed(text, forms)


def _shape(text: str) -> str:
    """What a time looks like: its numbers as 0, its words and its zone as a."""
    text = re.sub(r"(:\d\d )[+-]\d{4} (?=\d{4}$)", r"\1a ", text)
    text = re.sub(r"(:\d\d([.,]\d+)?|T\d{4,6}|[AaPp][Mm]| )( ?)[+-]\d\d:?(\d\d)?$", r"\1\3a", text)
    return re.sub(r"[^\W\d_]+([/_-][^\W\d_]+)*", "a", re.sub(r"\d+", "0", re.sub(r"\s+", " ", text)))


@cache
def _shape_of_form(form: str) -> str:
    return _shape(re.sub(r"%[abBpzZ]", "a", re.sub("%[dmyYHMSfIGVu]", "0", form)))


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


def date_columns(engine: DuckDB, table: str, columns: Sequence[str]) -> list[str]:
    """List the columns that hold a time in every row: in words or of a type of its own, or else named as a time.

    Args:
        engine: holds the table.
        table: its name.
        columns: those to look at; the first rows leave few.

    Returns:
        Their names, in the same order.
    """
    if not columns:
        return []
    texts = {name: f"CAST({identifier(name)} AS VARCHAR)" for name in columns}
    first = engine.arrow(f"SELECT {', '.join(texts.values())} FROM {table} LIMIT {FIRST_ROWS}")
    found = []
    for name, values in zip(columns, first.columns, strict=True):
        named = plain_name(name).endswith(("time", "timestamp", "date"))  # numbers may be anything else
        if not named and not all(re.search(r"\d\D+\d", value or "") for value in values.to_pylist()):
            continue
        if not named and kind_of(type_of(engine, table, name)) not in ("text", "date"):
            continue
        text, missing = trimmed(texts[name])
        number = "false" if named else f"regexp_full_match({text}, '{PLAIN_NUMBER}')"
        if not counts_of(engine, table, f"{missing} OR {number}")[0] and looks_like_time(engine, table, name):
            found.append(name)
    return found


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
