"""The item of the catalogue that is most like an invented one: by title, else by shared words."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence

from genre.data.titles import rows_by_title, title_key
from genre.data.words import word_forms, words

COMMON_SHARE = 0.25  # words that more than this share of the items have are ignored


class ItemMatcher:
    """An index of the words of all items, for finding the item nearest to a text."""

    def __init__(self, titles: Sequence[str], texts: Sequence[str]) -> None:
        """Index the items.

        Args:
            titles: One an item. [n_items]
            texts: One an item, the title and other fields. [n_items]
        """
        self.n = len(titles)
        self.by_title = rows_by_title(titles)
        self.holders: dict[str, list[int]] = defaultdict(list)
        for row, text in enumerate(texts):
            for form in _forms(text):
                self.holders[form].append(row)

    def titled(self, title: str) -> int:
        """Find an item by its title, written as people say it.

        Args:
            title: Any text.

        Returns:
            The row of the item, -1 for none.
        """
        return self.by_title.get(title_key(title), -1)

    def nearest(self, text: str, seen: Collection[int] = ()) -> int:
        """Find the item that shares most words with a text, each weighted by `ln(n_items / items that have it)`.

        Args:
            text: Any text.
            seen: Rows that are left out.

        Returns:
            The row of the item, the lower one on a tie; -1 where no word is shared.
        """
        shared: dict[int, float] = defaultdict(float)
        for form in sorted(_forms(text)):
            rows = self.holders.get(form, [])
            if 0 < len(rows) <= max(1, COMMON_SHARE * self.n):
                for row in rows:
                    shared[row] += math.log(self.n / len(rows)) + 1e-9
        for row in seen:
            shared.pop(row, None)
        return max(shared, key=lambda row: (shared[row], -row), default=-1)


def _forms(text: str) -> set[str]:
    """Return the forms of all words of a text: stems, and pairs of neighbours in a script without spaces."""
    return {form for word in words(text) for form in word_forms(word)}
