"""Columns of any type -> ids and numbers, as expressions of DuckDB's SQL. Does not know where a column is from.

How a column is written is decided over all of its rows. A value that is missing stays missing; a value that cannot be
read becomes null, and the column's `wrong` condition finds it, so that it is counted and named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from genre.data.words import looks_like_text
from genre.display import counted
from genre.engines.duckdb import DuckDB, identifier, literal
from genre.errors import DataError
from genre.preprocessing.sources.base import setting
from genre.preprocessing.tables import NO_VALUE, plain_name

MISSING = ("", NO_VALUE, "NA", "N/A", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "-")
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(inf|Inf|INF|infinity|Infinity)$"
DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+$|^[+-]?\d{1,3}(\.\d{3})+$"
THOUSANDS_POINT = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$"
COUNTS = {
    "count",
    "counts",
    "plays",
    "playcount",
    "playcounts",
    "listencount",
    "quantity",
    "qty",
    "clicks",
    "purchases",
}
YES, NO = ("true", "t", "yes", "y"), ("false", "f", "no", "n")
FIELD_WITH_COMMA = r"^-?(0|[1-9]\d{0,14}|[1-9]\d{0,2}(\.\d{3})+)(,\d+)?$"
THOUSANDS_COMMA = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
WHOLE = ("INTEGER", "UINTEGER", "BIGNUM")
NO_VALUES = ("STRUCT", "MAP", "UNION", "BLOB", "BIT", "JSON", "VARIANT", "TIME", "INTERVAL")
SHORTENED = r"^\d(\.\d+)?[eE]\+\d+$"
"""A number as spreadsheets shorten it, such as 8.41E+11: the digits after the third or so are gone."""
WHOLE_ID = r"^-?\d+(\.0+)?$"


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
        form: the form that times in words are written in.
    """

    value: str
    wrong: str = "false"
    how: str = ""
    guess: bool = False
    moment: str | None = None
    calendar: bool = False
    digits: int = 0
    form: str = ""


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
    """Turn text into numbers where all of it is and nothing is lost: a zip code 01234 and 20 digits stay text.

    Args:
        column: text.

    Returns:
        Whole numbers, numbers, or the trimmed text, null where it is empty.
    """
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    if text.null_count == len(text):
        return text
    for kind, form in ((pa.int64(), r"^(0|-?[1-9]\d{0,17})$"), (pa.float64(), r"^-?(0|[1-9]\d{0,14})(\.\d+)?$")):
        if pc.all(pc.match_substring_regex(text, form)).as_py():
            return text.cast(kind)
    return text


def with_decimal_comma(column: pa.ChunkedArray, decimal: str | None = None) -> pa.ChunkedArray | None:
    """Read a field whose numbers are written with a decimal comma, such as the price 1.234,50.

    `3,7` may be two categories as well. Fields are numbers where every comma is followed by two digits, as in prices,
    or one by a zero, as in 9,05.

    Args:
        column: text, trimmed, null where it is empty.
        decimal: `.` or `,`, where the user says which; None: found out.

    Returns:
        Numbers; None where the field is none of numbers with a decimal comma.
    """
    commas = pc.match_substring(column, ",")
    if decimal == "." or not (
        pc.all(pc.match_substring_regex(column, FIELD_WITH_COMMA)).as_py() and pc.any(commas).as_py()
    ):
        return None
    cents = pc.all(pc.match_substring_regex(column.filter(pc.fill_null(commas, False)), r",\d\d$")).as_py()
    if decimal is None and not cents and not pc.any(pc.match_substring(column, ",0")).as_py():
        return None
    return pc.replace_substring(pc.replace_substring(column, ".", ""), ",", ".").cast(pa.float64())


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


def spoken(sql_type: str) -> str:
    """Say what values of a type are.

    Args:
        sql_type: as DESCRIBE prints it.

    Returns:
        Words for a message.
    """
    kinds = {"STRUCT": "objects", "MAP": "objects", "BLOB": "binary values", "BIT": "bits", "TIME": "times of a day"}
    kinds["JSON"] = "lists or objects among other values"
    if sql_type.endswith("]"):
        return "lists"
    known = (words for start, words in kinds.items() if sql_type.startswith(start) and "STAMP" not in sql_type)
    return next(known, f"values of type {sql_type}")


def id_text(engine: DuckDB, table: str, column: str, *, where: str) -> str:
    """Write the expression of a column's ids as text.

    Args:
        engine: holds the table.
        table: its name.
        column: the column.
        where: what holds the column, for the error.

    Returns:
        The expression: trimmed text, null where it is empty, no number, or says that there is no value.

    Raises:
        DataError: the column holds lists, nested or binary values.
    """
    sql_type = type_of(engine, table, column)
    name, kind = identifier(column), kind_of(sql_type)
    if kind == "other":
        raise DataError(
            f"{where}: column {column!r} holds {spoken(sql_type)}, expected ids as text or numbers; give one a row"
        )
    if sql_type in ("FLOAT", "DOUBLE"):
        whole = f"{name} = floor({name}) AND abs({name}) < 1e18"
        text = (
            f"CASE WHEN {whole} THEN CAST(CAST({name} AS HUGEINT) AS VARCHAR) || '.0' ELSE CAST({name} AS VARCHAR) END"
        )
        return f"CASE WHEN isfinite({name}) THEN {text} END"
    if kind != "text":
        return f"CAST({name} AS VARCHAR)"
    text = name if sql_type == "VARCHAR" else f"CAST({name} AS VARCHAR)"
    if counts_of(engine, table, f"regexp_matches({text}, '^{BLANK}|{BLANK}$')")[0]:
        text = f"trim({text}, {BLANKS})"
    return f"nullif(nullif({text}, ''), {literal(NO_VALUE)})"


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


_BLANK = (
    *((9, 13), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
"""Ranges of the characters that Unicode calls blank, and the mark that some programs put before a text."""
BLANK = f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in _BLANK)}]"
BLANKS = literal("".join(chr(code) for first, last in _BLANK for code in range(first, last + 1)))


def are_whole(engine: DuckDB, ids: Sequence[tuple[str, str]]) -> bool:
    """Tell whether the ids of several tables are all whole numbers, some of which were written as 196.0.

    Args:
        engine: holds the tables.
        ids: the name of each table, and the expression of its ids.

    Returns:
        True where `.0` at the end of an id says nothing and has to go everywhere.
    """
    if not any(counts_of(engine, table, f"contains({value}, '.')")[0] for table, value in ids):
        return False
    return not any(counts_of(engine, table, f"NOT regexp_matches({value}, '{WHOLE_ID}')")[0] for table, value in ids)


def without_point(value: str) -> str:
    """Write the expression of whole-number ids without `.0`.

    Args:
        value: the expression of the ids.

    Returns:
        An expression in which 196.0 is 196.
    """
    return f"regexp_replace({value}, '\\.0+$', '')"


def event_weights(engine: DuckDB, table: str, column: str, kinds: dict[str, float], *, where: str) -> Reading:
    """Write the expression of the weights of kinds of events.

    Args:
        engine: holds the table.
        table: its name.
        column: the column of kinds.
        kinds: the weight of each kind.
        where: what holds the column, for the error.

    Returns:
        The reading; null where the kind is missing.

    Raises:
        DataError: a kind has no weight.
    """
    kind = f"nullif(trim(CAST({identifier(column)} AS VARCHAR)), '')"
    held = ", ".join(literal(name) for name in kinds) or "''"
    odd = engine.one(
        f"SELECT {kind}, count(*) FROM {table} WHERE {kind} NOT IN ({held}) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
    )
    if odd:
        raise DataError(
            f"{where}: column {column!r} has {counted(odd[1], 'row')} of kind {odd[0]!r}, which has no weight; add it "
            "to event_kinds (0: seen, but not liked), or take these rows out"
        )
    cases = " ".join(f"WHEN {literal(name)} THEN {float(weight)!r}::DOUBLE" for name, weight in kinds.items())
    value = f"CASE {kind} {cases} END" if cases else "NULL::DOUBLE"
    return Reading(value, how=", ".join(f"{name}: {weight:g}" for name, weight in kinds.items()))


def numbers(
    engine: DuckDB,
    table: str,
    column: str,
    *,
    where: str,
    decimal: str | None = None,
    counted: bool = False,
    european: bool = False,
) -> Reading:
    """Find out how a column of numbers is written.

    Args:
        engine: holds the table.
        table: its name.
        column: the column.
        where: what holds the column, for errors.
        decimal: `.` or `,`, where the user says which.
        counted: whether the numbers are weights or counts, which may be in thousands.
        european: whether the file is of a form that goes with decimal commas.

    Returns:
        How to read it, as float64.

    Raises:
        DataError: the column holds no numbers.
    """
    sql_type = type_of(engine, table, column)
    name, kind = identifier(column), kind_of(sql_type)
    if kind in ("other", "date"):
        raise DataError(f"{where}: column {column!r} holds {spoken(sql_type)}, expected numbers")
    value = f"TRY_CAST({name} AS DOUBLE)"
    if kind != "text":
        return Reading(f"CAST({name} AS DOUBLE)")
    text, missing = trimmed(name)
    if decimal != "," and not counts_of(engine, table, f"{value} IS NULL AND NOT {missing}")[0]:
        thousand = _pointed_thousands(engine, table, column, european=european) if counted and not decimal else None
        return thousand or Reading(value)
    if (said := f"lower({text}) IN ({', '.join(map(literal, YES + NO))})") and not (
        counts_of(engine, table, f"NOT {missing} AND NOT {said}")[0]
    ):
        yes = f"lower({text}) IN ({', '.join(map(literal, YES))})"
        return Reading(
            f"CASE WHEN {said} THEN CASE WHEN {yes} THEN 1.0 ELSE 0.0 END END", how=f"{YES[0]} as 1, {NO[0]} as 0"
        )
    plain = f"regexp_matches({text}, '{NUMBER}')"
    comma = f"regexp_matches({text}, '{DECIMAL_COMMA}')"
    grouped = f"regexp_matches({text}, '{THOUSANDS_COMMA}')"
    commas, thousands = counts_of(engine, table, f"NOT {plain} AND {comma}", f"NOT {plain} AND {grouped}")
    form, how, guess, value = plain, "", False, text
    if decimal == "," or (decimal is None and commas > thousands):
        pointed = f"replace(replace({text}, '.', ''), ',', '.')"
        value = f"CASE WHEN contains({text}, ',') OR {comma} THEN {pointed} ELSE {text} END"
        form, how = f"({plain} OR {comma})", "numbers with a decimal comma"
    elif decimal is None and thousands:
        value, form = f"replace({text}, ',', '')", f"({plain} OR {grouped})"
        guess = commas == thousands
        remedy = f" (a guess: {setting('decimal', ',')} where they are decimal commas)" if guess else ""
        how = f"numbers with commas between thousands{remedy}"
    read = f"CASE WHEN {form} THEN coalesce(TRY_CAST({value} AS DOUBLE), {_infinite(text)}) END"
    return Reading(read, f"(NOT {missing} AND NOT {form})", how, guess)


def _pointed_thousands(engine: DuckDB, table: str, column: str, *, european: bool) -> Reading | None:
    """How 1.234 is read where every number with a point may be one of thousands; None: as it is written."""
    text, missing = trimmed(identifier(column))
    pointed = f"contains({text}, '.')"
    if engine.one(f"SELECT 1 FROM {table} WHERE {pointed} AND NOT regexp_matches({text}, '{THOUSANDS_POINT}') LIMIT 1"):
        return None
    many, fixed, plain = counts_of(
        engine, table, pointed, f"{pointed} AND ends_with({text}, '0')", f"NOT {missing} AND NOT {pointed}"
    )
    whole = plain_name(column) in COUNTS  # a count has no decimals
    if not many or not (whole or (plain and (european or fixed))):
        return None
    how = f"numbers with points between thousands (a guess: {setting('decimal', '.')} where they are decimals)"
    return Reading(f"TRY_CAST(replace({text}, '.', '') AS DOUBLE)", how=how, guess=True)


def _infinite(text: str) -> str:
    """A number beyond every double, such as 1e999, is infinite."""
    return f"CASE WHEN starts_with({text}, '-') THEN CAST('-inf' AS DOUBLE) ELSE CAST('inf' AS DOUBLE) END"


def trimmed(name: str) -> tuple[str, str]:
    """Write the expressions of a column's trimmed text.

    Args:
        name: the column as SQL writes it.

    Returns:
        The text, and the condition that the value is missing.
    """
    text = f"trim({name}, {BLANKS})"
    return text, f"({name} IS NULL OR {text} IN ({', '.join(map(literal, MISSING))}))"


def counts_of(engine: DuckDB, table: str, *conditions: str) -> list[int]:
    """Count the rows of a table that meet each condition.

    Args:
        engine: holds the table.
        table: its name.
        conditions: of SQL.

    Returns:
        A count for each.
    """
    if len(conditions) == 1:  # a filter looks at the rest of a condition only where its first part holds
        return [int(engine.one(f"SELECT count(*) FROM {table} WHERE {conditions[0]}")[0])]
    wanted = ", ".join(f"count(*) FILTER (coalesce({condition}, false))" for condition in conditions)
    return [int(count) for count in engine.one(f"SELECT {wanted} FROM {table}")]


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
    plain = not reading.how.startswith(YES[0]) and not counts_of(engine, table, reading.wrong)[0]
    return plain and 1 < levels <= 21 and low >= -10 and high <= 100
