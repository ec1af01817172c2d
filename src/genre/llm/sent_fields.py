"""Which fields of a table go into a prompt: the listed columns and no others. Knows no prompts."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from genre.errors import DataError
from genre.llm.prompt import sanitize
from genre.options import nearest

FIELD_LENGTH = 600  # characters of one column that are sent


def sent_fields(table: pa.Table, names: Sequence[str], *, labels: bool = True) -> list[list[str]]:
    """Return the fields of a table's rows that may be sent to a language model.

    Args:
        table: Rows of items or users.
        names: The columns that may be sent.
        labels: Whether each field is `name: text` or the text alone.

    Returns:
        The fields of each row that are not empty, cleaned by `sanitize`. [n]

    Raises:
        DataError: A column does not exist.
    """
    out: list[list[str]] = [[] for _ in range(len(table))]
    for name in names:
        if name not in table.column_names:
            known = ", ".join(table.column_names)
            raise DataError(f"no column {name!r}{nearest(name, table.column_names)}; the table has {known}")
        for row, text in enumerate(column_texts(table, name)):
            plain = sanitize(text, FIELD_LENGTH)
            if plain:
                out[row].append(f"{name}: {plain}" if labels else plain)
    return out


def mean_bytes(texts: Sequence[str]) -> float:
    """Compute the mean length of texts, for estimates of the cost of sending them.

    Args:
        texts: Any texts.

    Returns:
        Bytes in UTF-8; 0 without texts.
    """
    return sum(len(text.encode()) for text in texts) / max(len(texts), 1)


def column_texts(table: pa.Table, name: str) -> list[str]:
    """Return a column as text.

    Args:
        table: Any table.
        name: A column.

    Returns:
        One text a row: lists joined, missing values and missing columns empty. [n]
    """
    if name not in table.column_names:
        return [""] * len(table)
    values = table[name].to_pylist()
    return ["" if v is None else ", ".join(map(str, v)) if isinstance(v, list) else str(v) for v in values]
