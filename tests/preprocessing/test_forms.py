"""Numbers and times in forms that look like others: thousands, yes and no, serial dates, days that fit two forms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from genre.data.dataset import Dataset
from reading import loaded

Write = Callable[[str, str | bytes], Path]


def column_of(write: Write, name: str, values: list[str], by: str = ",", **options: Any) -> tuple[Dataset, str]:
    """A file with these values in one column, a user each."""
    rows = "".join(f"u{n:02}{by}i{n % 3}{by}{value}\n" for n, value in enumerate(values))
    return loaded(write("i.csv", f"user_id{by}item_id{by}{name}\n{rows}"), **options)


@pytest.mark.parametrize(
    ("by", "name", "written", "expected", "guess"),
    [
        (";", "quantity", ["1.234", "12", "2.500", "3"], [1234, 12, 2500, 3], True),
        (";", "quantity", ["1.234", "2.345"], [1234, 2345], True),
        (";", "amount", ["1.234", "12", "2.561"], [1234, 12, 2561], True),
        (",", "quantity", ["1.234", "12", "2.500"], [1234, 12, 2500], True),
        (";", "quantity", ["1.234.567", "12"], [1234567, 12], False),
        (";", "quantity", ["1.234,5", "12"], [1234.5, 12], False),
        (";", "amount", ["1.234", "0.125", "2.500"], [1.234, 0.125, 2.5], False),
        (";", "amount", ["1.234", "2.5", "3"], [1.234, 2.5, 3], False),
        (",", "amount", ["1.234", "2.345", "3.500"], [1.234, 2.345, 3.5], False),
    ],
)
def test_points_between_thousands(
    write: Write, by: str, name: str, written: list[str], expected: list[float], *, guess: bool
) -> None:
    data, said = column_of(write, name, written, by, columns={"weight": name})
    assert data.weight.tolist() == pytest.approx(expected)
    assert ("a guess: set columns: {decimal: '.'}" in said) == guess
    if guess:
        data, said = column_of(write, name, written, by, columns={"weight": name, "decimal": "."})
        assert (data.weight.tolist(), said) == (pytest.approx([float(one) for one in written]), "")


def test_stars_have_no_thousands(write: Write) -> None:
    data, said = column_of(write, "rating", ["3.125", "4", "4.500"], ";")
    assert data.rating is not None
    assert (data.rating.tolist(), said) == ([3.125, 4, 4.5], "")


@pytest.mark.parametrize("words", [("true", "false"), ("TRUE", "FALSE"), ("yes", "no"), ("Y", "N"), ("t", "f")])
@pytest.mark.parametrize("name", ["rating", "weight"])
def test_yes_and_no_are_one_and_nought(write: Write, words: tuple[str, str], name: str) -> None:
    yes, no = words
    data, _ = column_of(write, name, [yes, no, yes])
    assert getattr(data, name).tolist() == [1, 0, 1]
    assert "true as 1, false as 0" in str(data.report)


def seconds(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


DAYS = [seconds(2021, 1, 1), seconds(2021, 1, 2, 12), seconds(2021, 3, 5, 10, 15, 30)]


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("excel", ["44197", "44198.5", "44260.427430556"]),
        ("dotnet", ["637450560000000000", "637451856000000000", "637505361300000000"]),
        ("filetime", ["132539328000000000", "132540624000000000", "132594129300000000"]),
        ("webkit", ["13253932800000000", "13254062400000000", "13259412930000000"]),
    ],
)
def test_times_that_count_from_another_day(write: Write, form: str, written: list[str]) -> None:
    data, said = column_of(write, "timestamp", written)
    assert data.timestamp is not None
    assert data.timestamp.tolist() == DAYS
    assert f"times as {form} counts them (a guess" in said
    data, said = column_of(write, "timestamp", written, columns={"format": form})
    assert data.timestamp is not None
    assert (data.timestamp.tolist(), said) == (DAYS, "")


def test_serial_days_with_a_sentinel(write: Write) -> None:
    data, said = column_of(write, "timestamp", [*(str(44197 + n) for n in range(30)), "2958465"])
    assert data.timestamp is not None
    assert (data.timestamp[0], len(data)) == (DAYS[0], 30)
    assert "time outside 1980 to 2100: 1" in said


def test_an_order_stays_one_where_it_is_said_to_be(write: Write) -> None:
    numbers = [43001, 43003, 43002]
    data, said = column_of(write, "timestamp", [str(one) for one in numbers], columns={"format": "order"})
    assert data.timestamp is not None
    assert (data.timestamp.tolist(), said) == (numbers, "")
    data, said = column_of(write, "timestamp", [str(n) for n in range(1, 60)])
    assert data.timestamp is not None
    assert (data.timestamp[0], said) == (1, "")


@pytest.mark.parametrize(
    "written",
    [
        ["05-JAN-20", "06-FEB-20", "31-DEC-20"],
        ["2020-W01-7", "2020-W06-4", "2020-W53-4"],
        ["05/01/2020 0h00", "06/02/2020 0h00", "31/12/2020 00h00"],
        ["2020年1月5日", "2020年2月6日", "2020年12月31日"],
        ["20200105T000000Z", "20200206T000000Z", "20201231T000000Z"],
        ['"2020-01-05 00:00:00,000"', '"2020-02-06 00:00:00,000"', '"2020-12-31 00:00:00,000"'],
        ["Sun Jan 5 01:00:00 2020 +0100", "Thu Feb 6 01:00:00 2020 +0100", "Thu Dec 31 01:00:00 2020 +0100"],
        ["Sun Jan  5 00:00:00 UTC 2020", "Thu Feb  6 00:00:00 UTC 2020", "Thu Dec 31 00:00:00 UTC 2020"],
    ],
)
def test_more_forms_of_a_day(write: Write, written: list[str]) -> None:
    data, _ = column_of(write, "timestamp", written)
    assert data.timestamp is not None
    assert data.timestamp.tolist() == [seconds(2020, 1, 5), seconds(2020, 2, 6), seconds(2020, 12, 31)]


@pytest.mark.parametrize(
    ("written", "days"),
    [
        (["2023-12", "2024-02"], [(2023, 12, 1), (2024, 2, 1)]),
        (["12/2023", "02/2024"], [(2023, 12, 1), (2024, 2, 1)]),
        (["2023-W52", "2024-W05"], [(2023, 12, 25), (2024, 1, 29)]),
    ],
)
def test_a_month_or_week_is_its_first_day(write: Write, written: list[str], days: list[tuple[int, ...]]) -> None:
    data, said = column_of(write, "timestamp", written)
    assert data.timestamp is not None
    assert (data.timestamp.tolist(), said) == ([seconds(*day) for day in days], "")


def test_a_year_of_two_digits_may_come_first(write: Write) -> None:
    """20-01-05 may be 2020-01-05 or 20 January 2005: the rows are in order only with the year first."""
    data, said = column_of(write, "timestamp", ["19-12-31", "20-01-05", "20-02-06", "20-12-31"])
    assert data.timestamp is not None
    assert data.timestamp[0] == seconds(2019, 12, 31)
    data, said = column_of(write, "timestamp", ["20-01-05", "20-02-06", "19-12-03"])
    assert "a guess" in said


def test_billionths_of_a_second_order_the_clicks() -> None:
    moments = pd.to_datetime([1_600_000_000_000_000_002, 1_600_000_000_000_000_001, 1_600_000_000_000_000_000])
    data, _ = loaded(pd.DataFrame({"user_id": ["u"] * 3, "item_id": ["c", "b", "a"], "timestamp": moments}))
    assert data.item_ids.take(data.item) == ["a", "b", "c"]


def test_times_none_of_which_is_plausible_are_a_warning(write: Write) -> None:
    _, said = column_of(write, "timestamp", ["9999999999", "9999999990", "9999999980"])
    assert "none is between 1980 and 2100" in said
