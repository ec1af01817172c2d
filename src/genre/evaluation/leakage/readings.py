"""What can be read off a field of users or items: numbers, dates, numbers in texts, words, vectors, what is missing.

Each reading is a matrix with a row for each user or item. Does not know interactions.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from genre.arrays import Float64
from genre.data.linear_algebra import row_lengths
from genre.data.words import words

MOST_NUMBERS = 4  # numbers of a text that are read, each by its place
FEWEST_TOGETHER = 8  # columns of numbers that are read as one vector, too
FEWEST_VALUES = 3  # different values of a reading that can say anything
BINS = 12  # of a number, for similarities
FEWEST_ROWS = 3  # rows that have a word; a rarer one predicts nothing
MOST_WORDS = 2_000  # of a field, the most frequent ones
NUMBER = re.compile(r"(\d+(?:[.,]\d+)*)(?: ?([kKmM]\b|thousand\b|million\b|[千万萬億亿]))?")
UNITS = {"k": 1e3, "t": 1e3, "m": 1e6, "千": 1e3, "万": 1e4, "萬": 1e4, "億": 1e8, "亿": 1e8}
"""What a number is multiplied with, by the first letter after it: `1.2k views`."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH = rf"({'|'.join(MONTHS)})[a-z]*"
DATES = {
    "ymd": re.compile(r"\b(\d{4})[-/.年](\d\d?)[-/.月](\d\d?)(?:[日T ]+(\d\d?):(\d\d))?"),
    "dmy": re.compile(r"\b(\d\d?)[-/. ](\d\d?)[-/. ](\d{4}|\d\d)\b(?: (\d\d?):(\d\d))?"),
    "dmy by name": re.compile(rf"\b(\d\d?)[-/. ]+{MONTH}[-/., ]+(\d{{4}})\b", re.IGNORECASE),
    "mdy by name": re.compile(rf"\b{MONTH}[-/., ]+(\d\d?)[-/., ]+(\d{{4}})\b", re.IGNORECASE),
}


@dataclass(frozen=True, eq=False)
class FieldReading:
    """One way to read a field.

    Attributes:
        name: The field, and which of its numbers.
        values: What rows are compared by in order: numbers, or the columns of words or vectors. `[n, d]`
        likeness: Rows that have much in common are near one another; dense or sparse. `[n, d]`
        number: Whether `values` is one column of numbers.
        vectors: Whether the columns are those of vectors.
        chosen_by: Whether users may choose by it; not by how long a text is, nor by whether a value is there.
    """

    name: str
    values: Float64 | sp.csr_matrix
    likeness: Float64 | sp.csr_matrix
    number: bool = False
    vectors: bool = False
    chosen_by: bool = True


def readings_of(table: pa.Table, *, without: Sequence[str] = ()) -> Iterator[FieldReading]:
    """Read every field of a table in each way that it allows, and many columns of numbers as vectors, too.

    Args:
        table: Rows of users or items.
        without: Columns that are left out, such as ids.

    Yields:
        The readings.
    """
    for name in table.column_names:
        if name not in without:
            yield from _readings_of_column(table, name)
            yield from _presence(name, table[name])
    yield from _columns_together(table, without)


def reading_of_vectors(name: str, vectors: npt.NDArray[np.floating]) -> FieldReading:
    """Read vectors: their columns, and how long and how full each one is.

    Args:
        name: Name in the findings.
        vectors: One row for each user or item. [n, d]

    Returns:
        The reading.
    """
    dense = np.asarray(vectors, np.float64)
    size = np.column_stack([np.abs(dense).sum(axis=1), (dense != 0).sum(axis=1), dense.sum(axis=1)])
    centered = dense - dense.mean(axis=0)
    centered[~dense.any(axis=1)] = 0
    return FieldReading(name, np.column_stack([size, dense]), _unit(centered), vectors=True)


def read_texts(name: str, texts: Sequence[str]) -> Iterator[FieldReading]:
    """Read the numbers, the words and the lengths of texts, a missing one being empty.

    Args:
        name: Name in the findings.
        texts: One text for each user or item.

    Yields:
        The readings.
    """
    yield from _numbers_in_texts(name, texts)
    yield from _words(name, texts)
    for reading in _numbers(f"{name} (length)", np.array([len(text) for text in texts], np.float64)):
        yield dataclasses.replace(reading, chosen_by=False)


def _unit(matrix: Float64) -> Float64:
    """Scale rows to length one; rows of zeros stay. [n, d]."""
    return np.asarray(matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12), np.float64)


def _readings_of_column(table: pa.Table, name: str) -> Iterator[FieldReading]:
    """Read one field."""
    values = _column_as_numbers(table[name])
    if values is not None:
        yield from _numbers(name, values)
    elif (vectors := _column_as_vectors(table[name])) is not None:
        yield reading_of_vectors(name, vectors)
    elif (texts := column_as_texts(table, name)) is not None:
        yield from read_texts(name, texts)


def _column_as_numbers(column: pa.ChunkedArray) -> Float64 | None:
    """Return a column of numbers or times as numbers, NaN for a missing value; None where it holds others."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("s")).cast(pa.int64())
    elif pa.types.is_duration(kind) or pa.types.is_time64(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_time32(kind):
        column = column.cast(pa.int32())
    elif not (is_number(kind) or pa.types.is_boolean(kind)):
        return None
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def is_number(kind: pa.DataType) -> bool:
    """Tell whether values of a type are numbers.

    Args:
        kind: A type of Arrow.

    Returns:
        True where they are.
    """
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _column_as_vectors(column: pa.ChunkedArray) -> Float64 | None:
    """Return a column of lists of numbers of one length as vectors, zeros for a missing one; None for others."""
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return None
    rows = column.to_pylist() if is_number(kind.value_type) else []
    lengths = {len(row) for row in rows if row}
    if len(lengths) != 1 or (dim := lengths.pop()) < 2:
        return None
    return np.array([[value or 0.0 for value in row] if row else [0.0] * dim for row in rows], np.float64)


def _columns_together(table: pa.Table, without: Sequence[str]) -> Iterator[FieldReading]:
    """Read many columns of numbers as one vector for each row: a column of factors tells little by itself."""
    known = {name: _column_as_numbers(table[name]) for name in table.column_names if name not in without}
    columns = {name: values for name, values in known.items() if values is not None and np.nanstd(values) > 0}
    if len(columns) >= FEWEST_TOGETHER:
        values = np.column_stack([*columns.values()])
        scaled = np.nan_to_num((values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0))
        yield FieldReading(f"{', '.join([*columns][:3])}, ... together", scaled, _unit(scaled), vectors=True)


def _presence(name: str, column: pa.ChunkedArray) -> Iterator[FieldReading]:
    """Read whether a field has a value at all."""
    for reading in _numbers(f"{name} (whether there is a value)", has_value(column).astype(np.float64)):
        yield dataclasses.replace(reading, chosen_by=False)


def has_value(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Mark the rows of a column that have a value; an empty text or list and NaN are none.

    Args:
        column: A column.

    Returns:
        One mark a row. [n]
    """
    return np.array([value not in (None, "", []) and value == value for value in column.to_pylist()], bool)


def _numbers(name: str, values: Float64) -> Iterator[FieldReading]:
    """Read a column of numbers, of which enough are different."""
    known = np.isfinite(values)
    if len(np.unique(values[known])) >= 2:
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, BINS + 1)[1:-1]))
        place = np.where(known, np.searchsorted(edges, values, "right"), len(edges) + 1)
        yield FieldReading(name, values[:, None], _one_hot(place, known), number=True)


def _numbers_in_texts(name: str, texts: Sequence[str]) -> Iterator[FieldReading]:
    """Read dates, or else the first numbers of texts, each by its place."""
    for label, values in _dates(texts):
        yield from _numbers(f"{name} ({label})", values)
    found = [NUMBER.findall(text) for text in texts]
    for at in range(MOST_NUMBERS):
        values = np.array([_number(*numbers[at]) if at < len(numbers) else np.nan for numbers in found])
        if len(np.unique(values[np.isfinite(values)])) >= FEWEST_VALUES:
            yield from _numbers(f"{name} (number {at + 1})", values)


def _number(text: str, unit: str) -> float:
    """Read a number with a decimal point, a decimal comma or separators of thousands, and a unit such as k."""
    factor = UNITS.get(unit[:1].lower(), 1.0)
    plain = re.sub(r"[.,](?=\d{3}(?:[.,]|$))", "", text) if re.fullmatch(r"\d{1,3}([.,]\d{3})+", text) else text
    parts = plain.replace(",", ".").split(".")
    return factor * float(f"{parts[0]}.{''.join(parts[1:])}" if len(parts) > 1 else parts[0])


def _dates(texts: Sequence[str]) -> Iterator[tuple[str, Float64]]:
    """Yield dates in texts as numbers in their order, by each way in which most texts have one."""
    written = sum(bool(text) for text in texts)
    for label, pattern in DATES.items():
        found = [pattern.search(text) for text in texts]
        if sum(match is not None for match in found) * 2 > written > 0:
            parts = [[_part(one) for one in match.groups()] if match else [np.nan] * 3 for match in found]
            day = np.array([[*row, 0.0, 0.0][:5] for row in parts])
            order = {"ymd": (0, 1, 2), "mdy by name": (2, 0, 1)}.get(label, (2, 1, 0))
            for way in (order, (2, 0, 1)) if label == "dmy" else (order,):
                year, month, date = (day[:, at] for at in way)
                yield "date", ((year * 12 + month) * 31 + date) * 1440 + day[:, 3] * 60 + day[:, 4]


def _part(text: str | None) -> float:
    """Read a part of a date."""
    if text is None:
        return 0.0
    return float(text) if text.isdigit() else float(1 + MONTHS.index(text[:3].lower()))


def shared_words(columns: Sequence[Sequence[str]]) -> list[sp.csr_matrix]:
    """Read several columns of texts over one vocabulary, words of few rows weighing more.

    Args:
        columns: One text for each row, of each column.

    Returns:
        The weighed words of each column. [n, words] each
    """
    index: dict[str, int] = {}
    counted = [_word_matrix(column, index) for column in columns]
    wide = [sp.csr_matrix((one.data, one.indices, one.indptr), shape=(one.shape[0], len(index))) for one in counted]
    frequent = np.maximum.reduce([np.asarray((one > 0).mean(axis=0)).ravel() for one in wide])
    weights = sp.diags(np.log(1 / np.clip(frequent, 1e-9, 1.0)))
    return [sp.csr_matrix(one @ weights) for one in wide]


def column_as_texts(table: pa.Table, name: str) -> list[str] | None:
    """Return a column as texts.

    Args:
        table: Rows of users or items.
        name: A column.

    Returns:
        One text a row, empty for a missing value; None where the column holds no text.
    """
    column = table[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_list(kind)):
        return None
    return [" ".join(map(str, value)) if isinstance(value, list) else value or "" for value in column.to_pylist()]


def _words(name: str, texts: Sequence[str]) -> Iterator[FieldReading]:
    """Read texts as their words, rare ones weighing more."""
    n, has = len(texts), _word_matrix(texts, {})
    counted = np.asarray(has.sum(axis=0)).ravel()
    kept = np.flatnonzero((counted >= FEWEST_ROWS) & (counted <= 0.9 * n))
    kept = kept[np.argsort(-counted[kept], kind="stable")[:MOST_WORDS]]
    if len(kept):
        has = has[:, kept]
        weighed = has @ sp.diags(np.log(n / counted[kept]))
        length = row_lengths(weighed)
        yield FieldReading(name, has, sp.csr_matrix(sp.diags(1 / np.maximum(length, 1e-12)) @ weighed))


def _word_matrix(texts: Sequence[str], index: dict[str, int]) -> sp.csr_matrix:
    """Mark the words of each text; new words are added to `index`. [n, words]."""
    rows, columns = [], []
    for row, text in enumerate(texts):
        for word in set(words(text)):
            rows.append(row)
            columns.append(index.setdefault(word, len(index)))
    return sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(texts), len(index)))


def _one_hot(place: npt.NDArray[np.int64], known: npt.NDArray[np.bool_]) -> sp.csr_matrix:
    """Mark the place of each row, none for unknown ones."""
    rows = np.flatnonzero(known)
    return sp.csr_matrix((np.ones(len(rows)), (rows, place[rows])), shape=(len(place), int(place.max()) + 1))
