"""The categories of a catalogue (genres, topics, departments) and how near words are to each of them.

A category lies where its items do: its name may be a number, or in any language.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.linear import unit_rows
from genre.data.words import split_categories

LOOKED_AT = 2_000  # items that say whether a column holds categories
MOST = 1_000  # names of categories in a column
HELD = 3  # items that hold each name, on average at least; a category of so few counts half


@dataclass(frozen=True, eq=False)
class Categories:
    """names: of `n` categories. of: CSR `[n_items, n]`, 1 where an item is of one.

    directions: from the middle of all items to that of each category's. [n, dim]
    center: the middle of all items. [dim]
    """

    names: list[str]
    of: sp.csr_matrix
    directions: Float32
    center: Float32

    def near(self, vector: Float32) -> Float32:
        """How near a unit vector `[dim]` is to each category, 0 where it is no nearer than to any. [n]"""
        return np.asarray(np.maximum(self.directions @ (vector - self.center), 0), np.float32)

    def fit(self, near: Float32) -> Float32:
        """How far the categories of each item are those that are near, and no others. [n_items]"""
        return np.asarray(self.of @ near / np.sqrt(np.maximum(np.diff(self.of.indptr), 1)), np.float32)

    def nearest(self, near: Float32) -> Float32:
        """The nearest of each item's categories, 0 without any. [n_items]"""
        if not self.names:
            return np.zeros(self.of.shape[0], np.float32)
        return np.asarray(self.of.multiply(near[None, :]).max(axis=1).todense(), np.float32).ravel()

    def held(self, row: int) -> list[int]:
        """The categories of an item."""
        start, end = self.of.indptr[row : row + 2]
        return [int(at) for at in self.of.indices[start:end]]


def categories_of(dataset: Dataset) -> Categories:
    """The categories in the items' table; needs item features. Without a column that has any: none."""
    assert dataset.item_features is not None
    columns = [dataset.items[field.name] for field in dataset.items.schema if _is_text(field)]
    parts = [_held(column) for column in columns if _repeats(column)]
    names = [name for part in parts for name in part[0]]
    of = (
        sp.hstack([part[1] for part in parts], "csr")
        if parts
        else sp.csr_matrix((dataset.n_items, 0), dtype=np.float32)
    )
    items = unit_rows(dataset.item_features.values)
    center, counts = items.mean(axis=0), np.diff(of.tocsc().indptr)[:, None]
    directions = unit_rows(of.T @ items / np.maximum(counts, 1) - center) * counts / (counts + HELD)
    return Categories(names, of, directions.astype(np.float32), center)


def _held(column: pa.ChunkedArray) -> tuple[list[str], sp.csr_matrix]:
    """The categories in a column, and which item is of which. CSR `[n_items, n]`"""
    at: dict[str, int] = {}
    known: dict[str, list[int]] = {}  # most values come again and again
    indices, indptr = array("i"), array("q", [0])
    for value in column.to_pylist():
        key = repr(value)
        if key not in known:
            known[key] = [at.setdefault(name, len(at)) for name in split_categories(value)]
        indices.extend(known[key])
        indptr.append(len(indices))
    ones = np.ones(len(indices), np.float32)
    return list(at), sp.csr_matrix((ones, np.array(indices), np.array(indptr)), shape=(len(column), len(at)))


def _is_text(field: pa.Field) -> bool:
    kind = field.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_dictionary(kind):
        kind = kind.value_type
    return field.name != "item_id" and bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether the names in a column are few and come again and again."""
    counts = Counter(name for value in column.slice(0, LOOKED_AT).to_pylist() for name in split_categories(value))
    return 1 < len(counts) <= MOST and counts.total() >= HELD * len(counts)
