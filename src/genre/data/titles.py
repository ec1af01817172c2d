"""The titles of items, and from a title, or an id, as people write it to the row of its item. Knows no queries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import overload

import pyarrow as pa
import pyarrow.compute as pc

from genre.data.ids import Ids
from genre.data.words import words
from genre.errors import UnknownId
from genre.options import nearest

_BRACKETS = re.compile(r"(?:\s*\([^()]*\))+\s*$")
_MOVED_ARTICLE = re.compile(r",\s+(The|A|An|L[ae]s?|L'|Il|El|Los|D[aei][rs]|Die)$", re.IGNORECASE)


class Titles(Sequence[str]):
    """A name for each item to show to people: its title, or its id where it has none."""

    def __init__(self, texts: pa.ChunkedArray | None, ids: Ids) -> None:
        """Look at a column, which is not copied.

        Args:
            texts: The column of titles `[n_items]`; None: there is none.
            ids: The ids of the items.
        """
        self._texts, self._ids = texts, ids

    def column(self) -> pa.StringArray:
        """Return all names.

        Returns:
            An Arrow array of strings `[n_items]`.
        """
        if self._texts is None:
            return self._ids.values
        array = self._texts.cast(pa.string()).combine_chunks()
        return pc.if_else(pc.fill_null(pc.not_equal(array, ""), False), array, self._ids.values)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[at] for at in range(*row.indices(len(self)))]
        text = None if self._texts is None else self._texts[int(row)].as_py()
        return str(text) if text not in (None, "") else self._ids[row]

    def __iter__(self) -> Iterator[str]:
        return iter(self.column().to_pylist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def title_key(title: str) -> str:
    """Return a title as people say it, for comparison.

    `Silence of the Lambs, The (1991)` -> `the silence of the lambs`.

    Args:
        title: A title; a trailing article goes to the front, brackets at the end are left out.

    Returns:
        Its folded words joined by spaces; empty for a title without a word.
    """
    bare = _BRACKETS.sub("", title).strip() or title
    moved = _MOVED_ARTICLE.search(bare)
    return " ".join(words(f"{moved[1]} {bare[: moved.start()]}" if moved else bare))


def rows_by_title(titles: Sequence[str]) -> dict[str, int]:
    """Return the row of each title.

    Args:
        titles: Title of each row.

    Returns:
        The first row with each title, by the title as people say it.
    """
    return {key: row for row, title in reversed(list(enumerate(titles))) if (key := title_key(title))}


def rows_of_names(names: Sequence[str], item_ids: Ids, titles: Sequence[str]) -> list[int]:
    """Find items that a person named.

    Args:
        names: Ids or titles of items; a title in any case, but whole.
        item_ids: The id of each row.
        titles: The title of each row.

    Returns:
        A row for each name: of the id, else the first with the title.

    Raises:
        UnknownId: An item is not in the data; the message suggests a title.
    """
    by_title = {title.casefold(): row for row, title in reversed(list(enumerate(titles)))}
    rows = []
    for name in names:
        row = item_ids.row(name) if name in item_ids else by_title.get(name.casefold())
        if row is None:
            inside = [title for title in titles if name.casefold() in title.casefold()][:3]
            hint = f"; titles with it: {', '.join(map(repr, inside))}" if inside else nearest(name, titles)
            raise UnknownId(f"no item has the id or title {name!r}{hint}")
        rows.append(row)
    return rows
