"""Columns of any type -> ratings (float32) and times (int64, seconds since 1970). Knows no file.

A missing value stays missing; a value that is neither a number nor a time is an error naming its row.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genre.data.words import looks_like_text
from genre.errors import DataError

MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "-")
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(inf|Inf|INF|infinity|Infinity)$"
UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?$"
YEAR_5000 = 10**11
"""Seconds beyond this are taken for a finer unit."""
FORMATS = (
    *("%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d-%b-%Y", "%m %d, %Y"),
    *("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y"),
)


def looks_like_names(column: pa.ChunkedArray) -> bool:
    """Whether a column holds words of which nearly every row has its own, and which are no codes (`tt0114709`)."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    texts = [text for text in column.to_pylist() if text and text.strip()]
    said = {text for text in texts if looks_like_text(text) and not re.fullmatch(r"\S*\d\S*", text.strip())}
    return bool(texts) and len(said) >= 0.8 * len(texts)


def to_ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids as text or whole numbers; a frame's 1.0 is the id 1."""
    if pa.types.is_floating(column.type):
        known = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
        whole = pc.all(pc.equal(pc.floor(known), known)).as_py() is not False
        return known.cast(pa.int64()) if whole else known.cast(pa.string())
    keep = pa.types.is_integer(column.type) or pa.types.is_dictionary(column.type) or column.type == pa.string()
    return column if keep else column.cast(pa.string())


def to_fields(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as whole numbers or numbers where all of it is and nothing is lost (a zip code 01234 stays text)."""
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    if text.null_count == len(text):
        return text
    for kind, form in ((pa.int64(), r"^(0|-?[1-9]\d{0,17})$"), (pa.float64(), r"^-?(0|[1-9]\d*)(\.\d+)?$")):
        if pc.all(pc.match_substring_regex(text, form)).as_py():
            return text.cast(kind)
    return text


def to_numbers(column: pa.ChunkedArray, where: str, name: str) -> pa.ChunkedArray:
    """A column as float32; DataError for a value that is no number."""
    return column if column.type == pa.float32() else _doubles(column, where, name).cast(pa.float32(), safe=False)


def _doubles(column: pa.ChunkedArray, where: str, name: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = _parse_numbers(column, where, name)
    elif not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or kind == pa.null()
    ):
        raise DataError(f"{where}: column {name!r} holds {kind}, expected numbers")
    return column.cast(pa.float64(), safe=False)


def to_seconds(column: pa.ChunkedArray, where: str, name: str) -> tuple[pa.ChunkedArray, str]:
    """A column as whole seconds since 1970, and how it was read; DataError for a value that is no time.

    int64, but for a column of int32 without gaps: that stays, in half the memory.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return column.cast(pa.timestamp("s", getattr(kind, "tz", None)), safe=False).cast(pa.int64()), "dates"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text, missing, wrong = _texts(column)
        if pc.any(wrong).as_py():
            return _parse_times(text, missing, where, name)
        numbers = _as_floats(text)
    elif pa.types.is_integer(kind):
        whole = kind == pa.int32() and column.null_count == 0
        return _scale_down(column if whole else column.cast(pa.int64(), safe=False))
    else:
        numbers = _doubles(column, where, name)
    finite = pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))
    largest = pc.max(pc.abs(finite)).as_py()
    if largest is not None and largest >= 2.0**63:
        row = pc.index(pc.greater_equal(pc.abs(finite), 2.0**63), True).as_py()
        _refuse(where, row, name, column[row].as_py(), "a time")
    return _scale_down(pc.floor(finite).cast(pa.int64()))


def looks_like_time(column: pa.ChunkedArray) -> bool:
    """Whether a column holds dates, or numbers that are dates between 1980 and 2100 in one unit."""
    try:
        seconds, how = to_seconds(column, "", "")
    except DataError:
        return False
    bounds = pc.min_max(seconds).as_py()
    return how != "plain numbers" and bounds["min"] is not None and bounds["min"] > 3e8 and bounds["max"] < 4.1e9


def _scale_down(numbers: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str]:
    bounds = pc.min_max(numbers).as_py()
    if bounds["min"] is None:
        return numbers, "empty"
    largest = max(abs(bounds["min"]), abs(bounds["max"]))
    if largest < 10**8:
        return numbers, "plain numbers, an order without a calendar"
    unit = next((unit for unit, per in UNITS.items() if largest < YEAR_5000 * per), "nanoseconds")
    if unit == "seconds":
        return numbers, "unix seconds"
    seconds = np.floor_divide(pc.fill_null(numbers, 0).to_numpy(), UNITS[unit])
    known = numbers.is_valid().to_numpy() if numbers.null_count else None
    return pa.chunked_array([pa.array(seconds, mask=None if known is None else ~known)]), f"unix {unit}"


def _texts(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray]:
    """Trimmed texts with missing ones null, which are missing, and which are there but no number."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    missing = pc.or_(pc.is_null(text), pc.fill_null(pc.is_in(text, pa.array(MISSING)), True))
    wrong = pc.and_not(pc.invert(pc.fill_null(pc.match_substring_regex(text, NUMBER), False)), missing)
    return pc.if_else(missing, pa.scalar(None, pa.string()), text), missing, wrong


def _parse_numbers(column: pa.ChunkedArray, where: str, name: str) -> pa.ChunkedArray:
    text, _, wrong = _texts(column)
    if pc.any(wrong).as_py():
        row = pc.index(wrong, True).as_py()
        _refuse(where, row, name, column[row].as_py(), "a number")
    return _as_floats(text)


def _as_floats(text: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:  # forms that only Python reads: +5, 1e999
        return pa.chunked_array([[None if value is None else float(value) for value in text.to_pylist()]], pa.float64())


def _parse_times(text: pa.ChunkedArray, missing: pa.ChunkedArray, where: str, name: str) -> tuple[pa.ChunkedArray, str]:
    """ISO dates and times, with or without a zone (UTC is assumed), or one of a few written forms."""
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return text.cast(kind).cast(pa.timestamp("s", kind.tz), safe=False).cast(pa.int64()), "ISO times"
        except pa.ArrowInvalid:
            continue
    readings = [pc.match_substring_regex(text, NUMBER), pc.match_substring_regex(text, ISO)]
    for form in FORMATS:
        parsed = pc.strptime(text, format=form, unit="s", error_is_null=True)
        if parsed.null_count == text.null_count:
            return parsed.cast(pa.int64()), f"times written as {form}"
        readings.append(pc.is_valid(parsed))
    most = max((pc.fill_null(reading, False) for reading in readings), key=lambda reading: pc.sum(reading).as_py())
    row = pc.index(pc.or_(most, missing), False).as_py()  # the first that is not read as most are
    if row < 0:
        return _parse_one_by_one(text, where, name), "ISO times"
    return _refuse(where, row, name, text[row].as_py(), "a time (unix seconds or 2016-01-31T12:00)")


def _parse_one_by_one(text: pa.ChunkedArray, where: str, name: str) -> pa.ChunkedArray:
    """ISO times of which some have a zone, or some day does not exist."""
    seconds: list[int | None] = []
    for row, value in enumerate(text.to_pylist()):
        try:
            time = None if value is None else datetime.fromisoformat(value)
        except ValueError:
            _refuse(where, row, name, value, "a time (unix seconds or 2016-01-31T12:00)")
        zoned = time if time is None or time.tzinfo else time.replace(tzinfo=UTC)
        seconds.append(None if zoned is None else int(zoned.timestamp()))
    return pa.chunked_array([seconds], pa.int64())


def _refuse(where: str, row: int, name: str, value: object, expected: str) -> NoReturn:
    raise DataError(
        f"{where}: row {row + 1:,}, column {name!r}: {value!r} is not {expected}; correct it or leave it empty"
    )
