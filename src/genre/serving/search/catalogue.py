"""The items of a run as people and filters see them: ids, titles, fields, words, search. Knows no recommender."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.data.dataset import Dataset
from genre.data.words import fold, split_categories, words
from genre.errors import DataError
from genre.options import nearest

Mask = npt.NDArray[np.bool_]
COMMON = 0.2  # a word in more than this share of the items says nothing
KEPT_MASKS = 64


@dataclass(frozen=True)
class OneOf:
    """The field holds one of these values (compared as text, ignoring case; categories one by one)."""

    values: frozenset[str]


@dataclass(frozen=True)
class Between:
    """The field is a number in this closed range; None leaves a side open."""

    low: float | None = None
    high: float | None = None


Filter = frozenset[tuple[str, OneOf | Between]]


class Catalogue:
    """The items of a dataset. Never changes once made."""

    def __init__(self, dataset: Dataset) -> None:
        self.item_ids: list[str] = dataset.item_ids.values.to_pylist()
        self.row = {item_id: row for row, item_id in enumerate(self.item_ids)}
        self.titles = dataset.titles()
        names = (name for name in dataset.items.column_names if name != "item_id")
        self.fields: dict[str, list[Any]] = {name: dataset.items[name].to_pylist() for name in names}
        self._mask_of = lru_cache(KEPT_MASKS)(self._make_mask)
        self._holders, self._numbers = cache(self._make_holders), cache(self._make_numbers)

    def __len__(self) -> int:
        return len(self.titles)

    def rows(self, item_ids: Iterable[str]) -> list[int]:
        """Rows of those ids that are in the catalogue, in their order."""
        return [self.row[item_id] for item_id in item_ids if item_id in self.row]

    def describe(self, row: int, names: Sequence[str] | None = None) -> dict[str, Any]:
        """The fields of an item, all or some; without those it does not have."""
        asked = self.fields if names is None else [name for name in names if name in self.fields]
        return {name: value for name in asked if (value := self.fields[name][row]) is not None}

    # --- filters ----------------------------------------------------------------------------------

    def mask(self, include: Sequence[str] | None, exclude: Sequence[str], chosen: Filter) -> Mask | None:
        """Which items may be recommended, None for all. Equal filters give the very same array.

        Raises DataError for a field that no item has.
        """
        allowed = self._mask_of(chosen) if chosen else None
        if include is not None or exclude:
            allowed = np.ones(len(self), bool) if allowed is None else allowed.copy()
            if include is not None:
                inside = np.zeros(len(self), bool)
                inside[self.rows(include)] = True
                allowed &= inside
            allowed[self.rows(exclude)] = False
        return allowed

    def _make_mask(self, chosen: Filter) -> Mask:
        allowed = np.ones(len(self), bool)
        for name, wanted in chosen:
            if name not in self.fields:
                known = ", ".join(self.fields) or "none"
                raise DataError(f"filter: items have no field {name!r}{nearest(name, self.fields)}; fields: {known}")
            if isinstance(wanted, OneOf):
                fits = np.zeros(len(self), bool)
                for value in wanted.values:
                    fits[self._holders(name).get(value, [])] = True
            else:
                numbers = self._numbers(name)
                low = -math.inf if wanted.low is None else wanted.low
                high = math.inf if wanted.high is None else wanted.high
                fits = (numbers >= low) & (numbers <= high)  # what is no number is in no range
            allowed &= fits
        return allowed

    def _make_holders(self, name: str) -> dict[str, list[int]]:
        """For each value of a field, whole or one of its categories, the rows that hold it."""
        holders: dict[str, list[int]] = {}
        for row, value in enumerate(self.fields[name]):
            whole = [] if value is None else [str(value)]
            for part in {part.casefold() for part in (*whole, *split_categories(value))}:
                holders.setdefault(part, []).append(row)
        return holders

    def _make_numbers(self, name: str) -> npt.NDArray[np.float64]:
        """A field as numbers, NaN where it is none. [n_items]"""
        return np.array([_number(value) for value in self.fields[name]])

    # --- words ------------------------------------------------------------------------------------

    @cached_property
    def _plain_titles(self) -> list[str]:
        return [fold(title) for title in self.titles]

    def search(self, text: str, k: int, popularity: npt.NDArray[np.floating[Any]]) -> list[int]:
        """Rows of items whose title has every word of `text`; titles that begin with it first, then the popular."""
        wanted = fold(text).split()
        if not wanted:
            return [int(row) for row in np.argsort(-popularity, kind="stable")[:k]]
        found = [row for row, title in enumerate(self._plain_titles) if all(word in title for word in wanted)]
        whole = " ".join(wanted)

        def order(row: int) -> tuple[bool, bool, bool, float]:
            title = self._plain_titles[row]
            starts = all(re.search(rf"\b{re.escape(word)}", title) for word in wanted)
            return title != whole, not title.startswith(whole), not starts, -float(popularity[row])

        return sorted(found, key=order)[:k]

    @cached_property
    def _in_items(self) -> Counter[str]:
        """For each word, in how many items it is."""
        counts: Counter[str] = Counter()
        for row in range(len(self)):
            counts.update(self.words(row))
        return counts

    def words(self, row: int) -> set[str]:
        """The words of an item's text fields."""
        texts = (column[row] for column in self.fields.values())
        parts = (part for text in texts for part in (text if isinstance(text, list) else [text]))
        return {word for part in parts if isinstance(part, str) for word in words(part, terms=True)}

    def words_of(self, rows: Iterable[int]) -> set[str]:
        """The words of several items together."""
        return {word for row in rows for word in self.words(row)}

    def shared_words(self, row: int, words: set[str]) -> tuple[str, ...]:
        """The telling words among `words` that the item's text has too, the rarest first."""
        most = max(COMMON * len(self), 2)
        shared = [word for word in words & self.words(row) if self._in_items[word] <= most]
        return tuple(sorted(shared, key=lambda word: (self._in_items[word], word)))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
