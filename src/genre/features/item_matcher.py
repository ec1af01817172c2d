"""Which item of the catalogue an invented one is most like: by title, else by the words they share."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence

from genre.data.words import title_key, words

COMMON_SHARE = 0.25  # a word that more than this part of the catalogue has tells nothing


class ItemMatcher:
    """The words of all items, for finding the one nearest to a text.

    titles, texts: one an item; a text holds the title and whatever else is known.
    """

    def __init__(self, titles: Sequence[str], texts: Sequence[str]) -> None:
        self.n = len(titles)
        self.by_title = {title_key(title): row for row, title in reversed(list(enumerate(titles))) if title_key(title)}
        self.holders: dict[str, list[int]] = defaultdict(list)
        for row, text in enumerate(texts):
            for word in set(words(text)):
                self.holders[word].append(row)

    def titled(self, title: str) -> int:
        """The row of the item with this title, -1 for none."""
        return self.by_title.get(title_key(title), -1)

    def nearest(self, text: str, seen: Collection[int] = ()) -> int:
        """The row that shares most with `text`, rare words counting more, the lower row on a tie; -1 for none.

        seen: rows that are not wanted.
        """
        shared: dict[int, float] = defaultdict(float)
        for word in sorted(set(words(text))):
            rows = self.holders.get(word, [])
            if 0 < len(rows) <= max(1, COMMON_SHARE * self.n):
                for row in rows:
                    shared[row] += math.log(self.n / len(rows)) + 1e-9
        for row in seen:
            shared.pop(row, None)
        return max(shared, key=lambda row: (shared[row], -row), default=-1)
