"""From a title, or an id, as people write it to the row of its item. Knows nothing about datasets or queries."""

from __future__ import annotations

import re
from collections.abc import Sequence

from genre.data.ids import Ids
from genre.data.words import words
from genre.errors import UnknownId
from genre.options import nearest

_BRACKETS = re.compile(r"(?:\s*\([^()]*\))+\s*$")
_MOVED_ARTICLE = re.compile(r",\s+(The|A|An|L[ae]s?|L'|Il|El|Los|D[aei][rs]|Die)$", re.IGNORECASE)


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
