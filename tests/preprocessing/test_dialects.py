"""Dirty files of every dialect, against Python's csv, Polars and DuckDB: no foreign error, nothing lost in silence."""

from __future__ import annotations

import csv
import io
import string
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from genre.errors import DataError, DataWarning
from genre.preprocessing.sources.columns import Columns, known_column_names
from genre.preprocessing.sources.dialect import layout
from genre.preprocessing.sources.files import Files
from reading import read_tables, shared_engine
from sizes import sized

MISSING = {"", "\\N", "NA", "N/A", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "-"}
BLANKS = " \t\n\r\x0b\x0c\xa0\ufeff"
Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Dialect:
    """How a file is written."""

    by: str
    end: str
    quoting: int
    encoding: str
    last: bool

    def write(self, rows: list[Row]) -> bytes:
        out = io.StringIO()
        csv.writer(out, delimiter=self.by, lineterminator=self.end, quoting=self.quoting).writerows(
            [("user_id", "item_id", "rating", "note"), *rows]
        )
        text = out.getvalue()
        return (text if self.last else text.removesuffix(self.end)).encode(self.encoding)


dialects = st.builds(
    Dialect,
    by=st.sampled_from([",", ";", "\t", "|"]),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    last=st.booleans(),
)
text = st.text(alphabet="ab12 .,;|\t\"'é\n", max_size=8)
ids = st.text(alphabet="ab0179.-é,;|\t\"' ", min_size=1, max_size=6) | st.sampled_from(
    ["007", "7", "1e5", "NA", "1.10", "1.1", "1234567890123456789", "196.0", "null", "true", "2020-01-01"]
)
rows = st.lists(st.tuples(ids, ids, st.sampled_from("12345"), text), min_size=1, max_size=12)
EXAMPLES = settings(max_examples=sized(100, 4000))
"""Of each of the three kinds of files."""
pytestmark = pytest.mark.filterwarnings("ignore::genre.errors.DataWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dialects")


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as made:
        yield made


def trimmed(row: Row) -> tuple[str, str, float]:
    return row[0].strip(BLANKS), row[1].strip(BLANKS), float(row[2])


def expected_of(given_rows: list[Row]) -> list[tuple[str, str, float]]:
    """What is there by the words of the rules: trimmed ids, those without one dropped, whole numbers without `.0`."""
    left = [trimmed(row) for row in given_rows]
    for column in (0, 1):
        values = [row[column] for row in left if row[column]]
        if all(is_whole(value) for value in values):
            left = [
                (*row[:column], row[column].split(".")[0], *row[column + 1 :])  # type: ignore[misc]
                for row in left
            ]
    return sorted({row for row in left if row[0] and row[1]})


def is_whole(value: str) -> bool:
    digits, _, zeros = value.removeprefix("-").partition(".")
    ascii_digits = set(string.digits)
    return bool(digits) and set(digits) <= ascii_digits and set(zeros) <= {"0"} and not value.endswith(".")


Found = tuple[list[tuple[str, str, float | None]], int, int]


def found_in(path: Path, **options: object) -> Found:
    """What the reader finds: its different rows, how many rows there were, and how many it says cannot be used."""
    tables = read_tables(Files(path, **options))  # type: ignore[arg-type]
    rows = tables.interactions.to_pylist()
    good_rows = [row for row in rows if row["user_id"] and row["item_id"] and row.get("trouble") is None]
    total = len(rows) + len(tables.rejected)
    distinct = {(row["user_id"], row["item_id"], row["rating"]) for row in good_rows}
    return sorted(distinct, key=lambda row: (*row[:2], row[2] or 0.0)), total, total - len(good_rows)


@EXAMPLES
@given(given_rows=rows, dialect=dialects)
def test_what_csv_writes_is_read_back(folder: Path, given_rows: list[Row], dialect: Dialect) -> None:
    content = dialect.write(given_rows)
    note(repr(content))
    path = folder / "data.csv"
    path.write_bytes(content)
    expected = expected_of(given_rows)
    try:
        found, before, _ = found_in(path)
    except DataError as error:
        note(str(error))
        if "takes in" not in str(error):  # the one reason to refuse a file that csv reads
            raise
    else:
        assert (found, before) == (expected, len(given_rows))


FORMS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%S", "%d-%m-%Y %H:%M:%S", "%d/%m/%y")
moments = st.datetimes(datetime(1999, 1, 1), datetime(2038, 1, 1)).map(lambda one: one.replace(microsecond=0))
measured = st.lists(st.tuples(moments, st.integers(1, 400)), min_size=1, max_size=12)


@EXAMPLES
@given(
    given_rows=measured,
    form=st.sampled_from(FORMS),
    decimal=st.sampled_from(",."),
    dialect=dialects,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"]),
    said=st.booleans(),
)
def test_dates_and_decimals_are_what_others_read_or_a_stated_guess(
    folder: Path,
    database: duckdb.DuckDBPyConnection,
    given_rows: list[tuple[datetime, int]],
    form: str,
    decimal: str,
    dialect: Dialect,
    encoding: str,
    *,
    said: bool,
) -> None:
    """DuckDB and Polars are told the form; GENRE finds it out, and says so where another one fits as well."""
    written = [
        (f"Zoë {n}", f"i{n}", f"{number / 100:.2f}".replace(".", decimal), moment.strftime(form))
        for n, (moment, number) in enumerate(given_rows)
    ]
    out = io.StringIO()
    csv.writer(out, delimiter=dialect.by, lineterminator=dialect.end, quoting=dialect.quoting).writerows(
        [("user_id", "item_id", "rating", "timestamp"), *written]
    )
    path = folder / "measured.csv"
    path.write_bytes(out.getvalue().encode(encoding))
    note(out.getvalue())
    columns = Columns(format=form, decimal=decimal, encoding=encoding) if said else Columns()  # type: ignore[arg-type]
    tables = read_tables(Files(path, columns=columns))
    read = tables.interactions.to_pylist()
    assert (len(read), tables.rejected) == (len(given_rows), ())
    assert not any(row.get("trouble") for row in read)
    found = {row["user_id"]: row["timestamp"] for row in read}
    stars = {row["user_id"]: row["rating"] for row in read}
    plain = folder / "plain.csv"
    plain.write_text(out.getvalue(), newline="")
    reader = f"read_csv('{plain}', all_varchar=true, delim='{dialect.by}', header=true, quote='\"', escape='\"')"
    theirs = database.execute(
        f"SELECT user_id, epoch(strptime(timestamp, '{form}'))::BIGINT, replace(rating, ',', '.')::DOUBLE FROM {reader}"
    ).fetchall()
    frame = pl.read_csv(out.getvalue().encode(), separator=dialect.by, infer_schema=False).with_columns(
        pl.col("timestamp").str.to_datetime(form, strict=True).dt.epoch("s"),
        pl.col("rating").str.replace(",", ".").cast(pl.Float64),
    )
    assert sorted(theirs) == sorted(frame.select("user_id", "timestamp", "rating").rows())
    assert stars == {user: rating for user, _, rating in theirs}
    right = {user: time for user, time, _ in theirs}
    assert found == right or (not said and any("fits as well" in line for line in tables.guesses))


dirt = st.sampled_from(
    ['"', ",", "\n", "\r\n", ";", '""', "x,y,1,2\n", "\x00", '"a,b', "\ufeff", "a\n", "abc", "'", " "]
)


@EXAMPLES
@given(
    given_rows=rows, dialect=dialects, spoilt=st.lists(st.tuples(st.integers(0, 10_000), dirt), min_size=1, max_size=3)
)
def test_what_is_spoilt_is_an_error_or_in_the_report(
    folder: Path,
    database: duckdb.DuckDBPyConnection,
    given_rows: list[Row],
    dialect: Dialect,
    spoilt: list[tuple[int, str]],
) -> None:
    if dialect.encoding == "utf-16":
        dialect = Dialect(dialect.by, dialect.end, dialect.quoting, "utf-8", dialect.last)
    content = dialect.write(given_rows).decode()
    header = content.index(dialect.end) + len(dialect.end)
    for place, piece in spoilt:
        at = header + place % (len(content) - header + 1)
        content = content[:at] + piece + content[at:]
    note(repr(content))
    path = folder / "spoilt.csv"
    path.write_bytes(content.encode())
    try:
        found, before, lost = found_in(path)
    except DataError:
        return
    # Every row of the file is in the report, and what was kept is what some careful reader finds.
    kept = before - lost
    assert kept >= len(found)
    careful = (by_csv(content, dialect.by), by_characters(content, dialect.by), by_lines(content, dialect.by))
    readings = [one for one in careful if one is not None]
    counts = {len(one) for one in readings} | {by_duckdb(database, path, dialect.by), by_polars(content, dialect.by)}
    note(f"{before} rows read, {lost} dropped; others find {counts}")
    assert before in counts
    plain = {one_line_end(row) for one in [*readings, from_each_line(content, dialect.by)] for row in good(one)}
    assert {one_line_end(row) for row in found} <= {one for row in plain for one in with_and_without_points(row)}


def by_csv(content: str, by: str) -> list[list[str]] | None:
    stream = io.StringIO(content.removeprefix("\ufeff"), newline="")
    try:
        read = list(csv.reader(stream, delimiter=by, strict=True))
    except csv.Error:
        return None
    return [row for row in read[1:] if len(row) > 1 or any(cell.strip() for cell in row)]


def by_characters(content: str, by: str) -> list[list[str]] | None:
    """As `by_csv`; blanks around quoted parts do not count, and blanks between two such parts are text of a field."""
    rows: list[list[str]] = [[""]]
    blanks, state = "", "start"  # of a field; then "plain", "quoted" or "after" a closing quote
    for one in content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"):
        if state == "quoted":
            if one == '"':
                state = "after"
            else:
                rows[-1][-1] += one
        elif one in (by, "\n"):
            if one == by:
                rows[-1].append("")
            else:
                rows.append([""])
            blanks, state = "", "start"
        elif one == '"' and state != "plain":
            if state == "after":
                rows[-1][-1] += blanks or '"'
            blanks, state = "", "quoted"
        elif one == " " and state != "plain":
            blanks += " "
        elif state == "after":
            return None
        else:
            rows[-1][-1] += blanks + one
            blanks, state = "", "plain"
    return None if state == "quoted" else [row for row in rows[1:] if len(row) > 1 or row[0].strip()]


def by_lines(content: str, by: str) -> list[list[str]]:
    """Quotes as plain text."""
    lines = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")[1:]
    return [line.split(by) for line in lines if line.strip()]


def from_each_line(content: str, by: str) -> list[list[str]]:
    """The row that begins at each line, whatever the quotes before it are."""
    lines = content.removeprefix("\ufeff").splitlines(keepends=True)
    found = []
    for at in range(1, len(lines)):
        try:
            found.append(next(csv.reader(io.StringIO("".join(lines[at:]), newline=""), delimiter=by, strict=True)))
        except (csv.Error, StopIteration):
            continue
    return found


def by_duckdb(database: duckdb.DuckDBPyConnection, path: Path, by: str) -> int:
    """Rows that DuckDB finds by itself with all columns as text, with those that it rejects."""
    options = f"delim='{by}', header=true, all_varchar=true, auto_detect=false, store_rejects=true"
    columns = "columns={'user_id': 'VARCHAR', 'item_id': 'VARCHAR', 'rating': 'VARCHAR', 'note': 'VARCHAR'}"
    with database.cursor() as cursor:  # of its own: it keeps what it rejects
        try:
            good_rows = cursor.execute(
                f"SELECT count(*) FROM read_csv('{path}', {options}, quote='\"', escape='\"', {columns})"
            ).fetchall()[0][0]
            bad = cursor.execute("SELECT count(DISTINCT line) FROM reject_errors WHERE trim(csv_line) != ''").fetchall()
        except duckdb.Error:
            return -1
    return int(good_rows + bad[0][0])


def by_polars(content: str, by: str) -> int:
    try:
        return len(pl.read_csv(content.encode(), separator=by, infer_schema=False, truncate_ragged_lines=True))
    except (pl.exceptions.PolarsError, ValueError):
        return -1


def good(read: list[list[str]]) -> list[tuple[str, str, float | None]]:
    """The rows with four cells and a number or nothing, perhaps with delimiters at the end."""
    out = []
    for row in read:
        try:
            cell = row[2].strip(BLANKS)
            # An interaction without a rating stays one; cleaning says what becomes of it.
            rating = None if cell in MISSING else float(cell.replace(",", "."))
        except (IndexError, ValueError):
            continue
        if len(row) >= 4 and not any(row[4:]) and row[0].strip(BLANKS) and row[1].strip(BLANKS):
            out.append((row[0].strip(BLANKS), row[1].strip(BLANKS), rating))
    return out


def one_line_end(row: tuple[str, str, float | None]) -> tuple[str, str, float | None]:
    """Where lines end in several ways, they do in fields as well."""
    user, item = (one.replace("\r\n", "\n").replace("\r", "\n") for one in row[:2])
    return user, item, row[2]


def with_and_without_points(row: tuple[str, str, float | None]) -> set[tuple[str, str, float | None]]:
    """A column of whole numbers alone loses its points, one of other ids keeps them."""
    users, items = ({one, one.split(".")[0]} if is_whole(one) else {one} for one in row[:2])
    return {(user, item, row[2]) for user in users for item in items}


LAYOUTS = [(",", "\n", True), (";", "\r\n", True), ("\t", "\n", False), ("|", "\r\n", False), ("::", "\n", False)]


@pytest.mark.parametrize(("by", "end", "header"), LAYOUTS)
def test_large_files_are_read_as_small_ones(folder: Path, by: str, end: str, header: Any) -> None:
    """More rows than the sample that tells the layout; the last ones hold what the first do not."""
    n = 12_000
    lines = [by.join(("user_id", "item_id", "rating"))] if header else []
    lines += [by.join((f"u{n % 97}", f"i{n}", str(n % 5 + 1))) for n in range(n)]
    lines += [by.join(("ü", "007", "4.5"))]
    path = folder / "large.csv"
    path.write_text(end.join(lines) + end, newline="")
    found, before, lost = found_in(path)
    assert (len(found), before, lost) == (n + 1, n + 1, 0)
    assert ("ü", "007", 4.5) in found


def test_what_is_known_of_the_dialect_can_be_set(folder: Path) -> None:
    path = folder / "known.csv"
    path.write_bytes("ü~'a~b'~3\nv~c~4\n".encode("cp1252"))
    columns = Columns(user="column 1", item="column 2", rating="column 3", encoding="cp1252", quote="'")
    found, _, _ = found_in(path, delimiter="~", header=False, columns=columns)
    assert found == [("v", "c", 4.0), ("ü", "a~b", 3.0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        with pytest.raises(DataError, match="not readable as ascii"):
            found_in(path, delimiter="~", columns=Columns(encoding="ascii"))


def test_words_of_a_sentence_that_are_names_of_columns_make_no_header(tmp_path: Path) -> None:
    """`date`, `film` and `score` are columns elsewhere; here they stand in descriptions with commas before them."""
    rows = [f"i{n},The Date of {n},film with a score and a date for two\n" for n in range(30)]
    (tmp_path / "items.csv").write_text("item_id,title,description\n" + "".join(rows))
    found = layout(shared_engine(), tmp_path / "items.csv", known_column_names())
    assert (found.delimiter, list(found.names)) == (",", ["item_id", "title", "description"])
