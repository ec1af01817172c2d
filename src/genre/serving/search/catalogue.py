"""The items of a run as people and filters see them: ids, titles, fields, words, search. Knows no recommender."""

from __future__ import annotations

import heapq
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.data.dataset import Dataset
from genre.data.function_words import function_words_of
from genre.data.item_fields import Filter, ItemFields, Mask
from genre.data.words import fold, words
from genre.features.thumbnails import Thumbnails

COMMON = 0.2  # a word in more than this share of the items says nothing about any of them


class Catalogue:
    """The items of a dataset. Never changes.

    Attributes:
        item_ids: Id of each row.
        row: Row of each id.
        titles: Title of each row.
        fields: Values of each row, by name of the field.
        item_fields: The same, to put conditions on.
        pictures: The small pictures of the items; None: there are none.
    """

    def __init__(self, dataset: Dataset, pictures: Thumbnails | None = None) -> None:
        """Read the items' table.

        Args:
            dataset: The data.
            pictures: Small pictures of its items.
        """
        self.pictures = pictures
        self.item_ids: list[str] = dataset.item_ids.values.to_pylist()
        self.row = {item_id: row for row, item_id in enumerate(self.item_ids)}
        self.titles = list(dataset.titles())
        self.item_fields = ItemFields(dataset.items)
        self.fields = self.item_fields.values

    def __len__(self) -> int:
        return len(self.titles)

    def rows(self, item_ids: Iterable[str]) -> list[int]:
        """Return the rows of items.

        Args:
            item_ids: Item ids; unknown ones are left out.

        Returns:
            Rows, in the order of the ids.
        """
        return [self.row[item_id] for item_id in item_ids if item_id in self.row]

    def describe(self, row: int, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the fields of an item.

        Args:
            row: Row of the item.
            names: Names of the wanted fields; None: all.

        Returns:
            Values by name, without fields that the item does not have.
        """
        wanted = self.fields if names is None else [name for name in names if name in self.fields]
        return {name: value for name in wanted if (value := self.fields[name][row]) is not None}

    def picture(self, row: int) -> dict[str, str]:
        """Return the address of an item's picture, below that of the service.

        Args:
            row: Row of the item.

        Returns:
            `picture`; nothing for an item without one.
        """
        name = None if self.pictures is None else self.pictures.name(row)
        return {} if name is None else {"picture": f"pictures/{name}"}

    # --- filters ----------------------------------------------------------------------------------

    def mask(self, include: Sequence[str] | None, exclude: Sequence[str], chosen: Filter) -> Mask | None:
        """Return which items may be recommended.

        Args:
            include: Ids of the only items that may; None: all.
            exclude: Ids of items that must not.
            chosen: Conditions on fields.

        Returns:
            The mask, or None for all items; equal conditions give the very same array. `[n_items]`

        Raises:
            DataError: If no item has a field of that name.
        """
        allowed = self.item_fields.fulfilling(chosen) if chosen else None
        if include is not None or exclude:
            allowed = np.ones(len(self), bool) if allowed is None else allowed.copy()
            if include is not None:
                inside = np.zeros(len(self), bool)
                inside[self.rows(include)] = True
                allowed &= inside
            allowed[self.rows(exclude)] = False
        return allowed

    # --- words ------------------------------------------------------------------------------------

    @cached_property
    def _folded_titles(self) -> list[str]:
        return [fold(title).replace("\n", " ") for title in self.titles]

    @cached_property
    def _text_of_titles(self) -> tuple[str, list[int]]:
        """All folded titles, a line each, and where each line begins and the last one ends."""
        text = "\n".join([*self._folded_titles, ""])
        return text, [0, *accumulate(len(title) + 1 for title in self._folded_titles)]

    def _rows_with(self, part: str) -> Iterator[int]:
        """Yield the rows whose title contains a text, by a search in all titles at once."""
        text, begins = self._text_of_titles
        at = text.find(part)
        while at >= 0:
            row = bisect_right(begins, at) - 1
            yield row
            at = text.find(part, begins[row + 1])

    def search(self, text: str, k: int, popularity: npt.NDArray[np.floating[Any]]) -> list[int]:
        """Find items whose title contains all words of a text.

        Args:
            text: Words or beginnings of words, in any order.
            k: How many items, at most.
            popularity: Interactions of each item. `[n_items]`

        Returns:
            Rows: the title itself, then titles that begin with the text, then those where each word begins a word, then
            the rest; among equals the popular first. Popular items for a text without words.
        """
        wanted = fold(text).split()
        if not wanted:
            return [int(row) for row in np.argsort(-popularity, kind="stable")[:k]]
        titles, popular = self._folded_titles, popularity.tolist()
        rarest = min(wanted, key=self._text_of_titles[0].count)
        found = (row for row in self._rows_with(rarest) if all(word in titles[row] for word in wanted))
        whole, begins_words = (
            " ".join(wanted),
            re.compile("".join(rf"(?=.*?\b{re.escape(word)})" for word in wanted)).match,
        )

        def order(row: int) -> tuple[bool, bool, bool, float]:
            title = titles[row]
            return title != whole, not title.startswith(whole), not begins_words(title), -popular[row]

        return heapq.nsmallest(k, found, key=order)  # a word in most titles finds very many

    def with_words(self, wanted: Iterable[str]) -> Mask:
        """Return which titles have any of some words.

        Args:
            wanted: Words, or beginnings of words.

        Returns:
            The mask. `[n_items]`
        """
        parts = [part for part in {fold(word).strip() for word in wanted} if part]
        found = np.zeros(len(self), bool)
        for part in parts:
            found[list(self._rows_with(part))] = True
        return found

    @cached_property
    def _n_items_with_word(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for row in range(len(self)):
            counts.update(self.words(row))
        return counts

    @cached_property
    def _function_words(self) -> frozenset[str]:
        return function_words_of(self._n_items_with_word)

    def words(self, row: int) -> set[str]:
        """Return the words of an item's text fields.

        Args:
            row: Row of the item.

        Returns:
            The words.
        """
        texts = (column[row] for column in self.fields.values())
        parts = (part for text in texts for part in (text if isinstance(text, list) else [text]))
        return {word for part in parts if isinstance(part, str) for word in words(part, terms=True)}

    def words_of(self, rows: Iterable[int]) -> set[str]:
        """Return the words of several items together.

        Args:
            rows: Rows of the items.

        Returns:
            The words.
        """
        return {word for row in rows for word in self.words(row)}

    def shared_words(self, row: int, wanted: set[str]) -> tuple[str, ...]:
        """Return the words that an item's text has in common with others, without words that say nothing of it.

        Those are the words of many items, and the function words (`for`, `and`) of the items' languages.

        Args:
            row: Row of the item.
            wanted: The other words.

        Returns:
            The words, the rarest first.
        """
        most = max(COMMON * len(self), 2)
        telling = (wanted & self.words(row)) - self._function_words
        shared = [word for word in telling if self._n_items_with_word[word] <= most]
        return tuple(sorted(shared, key=lambda word: (self._n_items_with_word[word], word)))
