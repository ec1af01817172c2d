"""The fields of items, and which items fulfil conditions on them: what filters of requests and rules share."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from genre.data.durations import DAY
from genre.data.words import split_categories
from genre.errors import DataError
from genre.options import nearest

Mask = npt.NDArray[np.bool_]
KEPT_MASKS = 64
KEPT_MASKS_BYTES = 16_000_000
KEPT_FILTER_SIZE = 5_000  # characters of a filter; one above is applied anew each time
YEARS = (1500, 2500)  # a number in this range is a year


@dataclass(frozen=True)
class OneOf:
    """A condition on a field: it holds one of these values.

    Attributes:
        values: Values as case-folded text; a field with categories holds each of them, and their whole text.
    """

    values: frozenset[str]


@dataclass(frozen=True)
class NoneOf:
    """A condition on a field: it holds none of these values; a field without a value fulfils it.

    Attributes:
        values: Values as case-folded text, compared as in `OneOf`.
    """

    values: frozenset[str]


@dataclass(frozen=True)
class Between:
    """A condition on a field: it is a number in a closed range.

    Attributes:
        low: Lower bound; None: no bound.
        high: Upper bound; None: no bound.
    """

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Age:
    """A condition on a field: it is a time so many days ago. A time in the future is less than 0 days ago.

    Attributes:
        older_than: More days ago than this; None: no bound.
        newer_than: Fewer days ago than this; None: no bound.
    """

    older_than: float | None = None
    newer_than: float | None = None


@dataclass(frozen=True)
class Dated:
    """A condition on a field: it is a day, or a year as a number, in a closed range.

    Attributes:
        first: First day, such as `1990-01-01`; None: no bound.
        last: Last day; None: no bound.
    """

    first: str | None = None
    last: str | None = None


Condition = OneOf | NoneOf | Between | Age | Dated
Filter = frozenset[tuple[str, Condition]]
"""Conditions by name of the field; an item fulfils all of them."""


class ItemFields:
    """The fields of all items. Never changes.

    Attributes:
        values: Values of each row, by name of the field.
    """

    def __init__(self, items: pa.Table) -> None:
        """Read the table of items.

        Args:
            items: A row for each item; the column `item_id` is no field.
        """
        names = (name for name in items.column_names if name != "item_id")
        self.n_items = items.num_rows
        self.values: dict[str, list[Any]] = {name: items[name].to_pylist() for name in names}
        n_masks = max(min(KEPT_MASKS, KEPT_MASKS_BYTES // max(self.n_items, 1)), 1)
        self._kept_mask = lru_cache(n_masks)(self._make_mask)
        self._rows_by_value = cache(self._make_rows_by_value)
        self.categories = cache(self._make_categories)
        self.numbers, self.times, self.days = (
            cache(partial(self._floats, read)) for read in (_number, _seconds, _days)
        )

    def fulfilling(self, chosen: Filter, now: int = 0) -> Mask:
        """Return the items that fulfil conditions.

        Args:
            chosen: The conditions.
            now: The time that ages count from, in seconds since 1970; of no effect without ages.

        Returns:
            The mask; equal short conditions at an equal time give the very same array. `[n_items]`

        Raises:
            DataError: If no item has a field of that name.
        """
        mask = self._kept_mask if _size(chosen) <= KEPT_FILTER_SIZE else self._make_mask
        return mask(chosen, now if any(isinstance(wanted, Age) for _, wanted in chosen) else 0)

    def check(self, name: str, what: str = "filter") -> None:
        """Check that items have a field.

        Args:
            name: Name of the field.
            what: What asks for it, for the message.

        Raises:
            DataError: If no item has a field of that name.
        """
        if name not in self.values:
            known = ", ".join(self.values) or "none"
            raise DataError(f"{what}: items have no field {name!r}{nearest(name, self.values)}; fields: {known}")

    def _make_mask(self, chosen: Filter, now: int) -> Mask:
        allowed = np.ones(self.n_items, bool)
        for name, wanted in chosen:
            self.check(name)
            allowed &= self._fits(name, wanted, now)
        return allowed

    def _fits(self, name: str, wanted: Condition, now: int) -> Mask:
        """Return which items fulfil one condition. `[n_items]`."""
        if isinstance(wanted, OneOf | NoneOf):
            held = np.zeros(self.n_items, bool)
            for value in wanted.values:
                held[self._rows_by_value(name).get(value, [])] = True
            return held if isinstance(wanted, OneOf) else ~held
        if isinstance(wanted, Between):
            return _inside(self.numbers(name), wanted.low, wanted.high)
        if isinstance(wanted, Dated):
            first, last = (None if day is None else _days(day) for day in (wanted.first, wanted.last))
            return _inside(self.days(name), first, last)
        days = (now - self.times(name)) / DAY
        return _inside(days, wanted.older_than, wanted.newer_than, strict=True)

    def _make_rows_by_value(self, name: str) -> dict[str, list[int]]:
        """Return the rows that hold each value of a field, whole or one of its categories."""
        rows: dict[str, list[int]] = {}
        for row, value in enumerate(self.values[name]):
            whole = [] if value is None else [str(value)]
            for part in {part.casefold() for part in (*whole, *split_categories(value))}:
                rows.setdefault(part, []).append(row)
        return rows

    def _make_categories(self, name: str) -> list[tuple[str, ...]]:
        """Return the categories that each row has in a field."""
        return [tuple(part.casefold() for part in split_categories(value)) for value in self.values[name]]

    def _floats(self, read: Callable[[Any], float], name: str) -> npt.NDArray[np.float64]:
        """Return the values of a field as `read` reads them, NaN where it cannot. `[n_items]`."""
        return np.array([read(value) for value in self.values[name]], np.float64)


def _inside(values: npt.NDArray[np.float64], low: float | None, high: float | None, *, strict: bool = False) -> Mask:
    """Tell which values are in a range; NaN is in none."""
    bottom, top = -math.inf if low is None else low, math.inf if high is None else high
    return (values > bottom) & (values < top) if strict else (values >= bottom) & (values <= top)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _seconds(value: Any) -> float:
    """Return seconds since 1970, of a number of seconds, a date, or a text such as 2026-05-01T12:00 (UTC if unsaid)."""
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            return _number(value)
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, datetime.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=datetime.UTC)).timestamp()
    return _number(value)


def _size(chosen: Filter) -> int:
    """Return about how many characters a filter has."""
    values = (value for _, one in chosen if isinstance(one, OneOf | NoneOf) for value in one.values)
    return sum(len(value) + 50 for value in values) + sum(len(name) + 50 for name, _ in chosen)


def _days(value: Any) -> float:
    """Return whole days since 1970, of what `_seconds` reads or a year: 1995 or `1995`."""
    number = _number(value)
    if YEARS[0] <= number <= YEARS[1]:
        value = datetime.date(int(number), 1, 1)
    seconds = _seconds(value)
    return seconds if math.isnan(seconds) else float(seconds // DAY)
