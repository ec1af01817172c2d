"""One text a row of a table, by a template. Knows nothing about vectors."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from genre.data.dataset import TITLE_COLUMNS as NAMES
from genre.data.words import is_id_or_address, looks_like_text
from genre.errors import DataError
from genre.options import nearest

TEMPLATE_DOC = "A text with fields in braces, `{title}. {genres}`; empty: every column that holds words."
"""The text of the option `template` of every encoder that has one."""
_NUMBERS = ("age",)  # numeric columns whose values mean something without the column's name


def render(table: pa.Table, template: str = "") -> list[str]:
    """Render one text a row.

    Args:
        table: Rows of items or users.
        template: Text with fields in braces, `{title}. {genres}`. A field that a row lacks is left out, together with
            the words before it. Empty: every column that holds words, the title first, joined by `. `; values that do
            not look like text (`looks_like_text`) are left out one by one, so that a row reads the same in any table.

    Returns:
        One text a row. [n]

    Raises:
        DataError: A field is no column of the table.
    """
    pieces = _pieces(template, table.column_names) if template else [(". ", name) for name in text_fields(table)]
    columns = [
        [_plain(value) for value in table[field].to_pylist()] if field else [""] * len(table) for _, field in pieces
    ]
    if not template:
        columns = [
            column if field in (*NAMES, *_NUMBERS) else [text if looks_like_text(text) else "" for text in column]
            for (_, field), column in zip(pieces, columns, strict=True)
        ]
    words = [literal for literal, _ in pieces]
    fields = [field for _, field in pieces]
    return [_joined(words, fields, row) for row in zip(*columns, strict=True)] if columns else [""] * len(table)


def _pieces(template: str, known: list[str]) -> list[tuple[str, str]]:
    """Split a template into `(words, field after them)` in order; the last field may be empty."""
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise DataError(f"template {template!r}: {error}; write fields as {{title}}, a brace as {{{{") from error
    pieces = []
    for literal, field, spec, conversion in parsed:
        if field is not None and (field not in known or spec or conversion):
            raise DataError(
                f"template {template!r}: no column {field!r}{nearest(field, known)}; the table has {', '.join(known)}"
            )
        pieces.append((literal, field or ""))
    return pieces


def text_fields(table: pa.Table) -> list[str]:
    """Name the columns that hold words, the title first.

    Args:
        table: Rows of items or users.

    Returns:
        Names of columns.
    """
    fields = [field.name for field in table.schema if _holds_words(field)]
    return sorted(fields, key=lambda name: NAMES.index(name) if name in NAMES else len(NAMES))  # stable


def _holds_words(field: pa.Field) -> bool:
    """Tell by type and name whether a column holds words."""
    if is_id_or_address(field.name):
        return False
    kind = field.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or field.name.lower() in _NUMBERS)


def _plain(value: Any) -> str:
    """Return one value as words; empty for a missing value."""
    if isinstance(value, str):
        return " ".join(value.replace("|", ", ").split()) if value else ""
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(filter(None, map(_plain, value)))
    if isinstance(value, dict):
        return ", ".join(filter(None, map(_plain, value.values())))
    if isinstance(value, float):
        return "" if not np.isfinite(value) else f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"
    return str(value)


def _joined(words: list[str], fields: list[str], values: tuple[str, ...]) -> str:
    """Fill a template with the values of one row; empty when it has none."""
    if not any(values):
        return ""
    return "".join(_kept(words, fields, values)).lstrip(" .,;:-").rstrip()


def _kept(words: list[str], fields: list[str], values: tuple[str, ...]) -> Iterator[str]:
    """Yield the pieces of a filled template, without fields that are empty and the words before them."""
    ended = False
    for literal, field, value in zip(words, fields, values, strict=True):
        if value or not field:
            # "Who?. Drama" reads badly: a text that closes itself needs no full stop
            yield literal[1:] if ended and literal.startswith(".") else literal
            yield value
            ended = value.endswith((".", "!", "?", "。", "！", "？"))


def legal(text: str) -> str:
    """Make a text that every tokenizer takes.

    Args:
        text: Any text.

    Returns:
        The text without lone surrogates; empty when it has nothing but blanks.
    """
    plain = text if text.isascii() else text.encode("utf-8", "replace").decode()
    return plain if plain.strip() else ""
