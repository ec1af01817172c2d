"""The categories of a catalogue (genres, topics, departments) and how near a text is to each of them.

The vector of a category is the mean of its items' vectors, so its name may be a number, or in any language. Knows no
encoder.
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
from genre.data.linear_algebra import unit_rows
from genre.data.words import split_categories

SAMPLE = 2_000  # items by which a column is taken for one of categories
MOST_NAMES = 1_000  # categories of one column
FEWEST_ITEMS = 3  # per category, on average; the direction of a category with so few items counts half


@dataclass(frozen=True, eq=False)
class Categories:
    """The categories of a catalogue.

    Attributes:
        names: Their names. `[n]`
        of: 1 where an item is of a category. CSR `[n_items, n]`
        directions: From the mean of all items to the mean of each category's items. `[n, dim]`
        center: The mean of all items. `[dim]`
    """

    names: list[str]
    of: sp.csr_matrix
    directions: Float32
    center: Float32

    def near(self, vector: Float32) -> Float32:
        """Return how near a text is to each category.

        Args:
            vector: The unit vector of the text. `[dim]`

        Returns:
            `max(directions @ (vector - center), 0)`. `[n]`
        """
        return np.asarray(np.maximum(self.directions @ (vector - self.center), 0), np.float32)

    def fit(self, near: Float32) -> Float32:
        """Return how well the categories of each item are those that are near, and no others.

        Args:
            near: How near each category is. `[n]`

        Returns:
            The sum over an item's categories, divided by the root of their number. `[n_items]`
        """
        return np.asarray(self.of @ near / np.sqrt(np.maximum(np.diff(self.of.indptr), 1)), np.float32)

    def nearest(self, near: Float32) -> Float32:
        """Return how near the nearest of each item's categories is.

        Args:
            near: How near each category is. `[n]`

        Returns:
            The largest value of an item's categories, 0 without any. `[n_items]`
        """
        if not self.names:
            return np.zeros(self.of.shape[0], np.float32)
        return np.asarray(self.of.multiply(near[None, :]).max(axis=1).todense(), np.float32).ravel()

    def held(self, row: int) -> list[int]:
        """Return the categories of an item.

        Args:
            row: Row of the item.

        Returns:
            Their places in `names`.
        """
        start, end = self.of.indptr[row : row + 2]
        return [int(at) for at in self.of.indices[start:end]]


def categories_of(dataset: Dataset) -> Categories:
    """Find the categories in the items' table.

    Args:
        dataset: The data, with item features.

    Returns:
        The categories of all columns that hold categories; empty without such a column.
    """
    assert dataset.item_features is not None
    columns = [dataset.items[field.name] for field in dataset.items.schema if _is_text(field)]
    parts = [_memberships(column) for column in columns if _holds_categories(column)]
    names = [name for part in parts for name in part[0]]
    of = (
        sp.hstack([part[1] for part in parts], "csr")
        if parts
        else sp.csr_matrix((dataset.n_items, 0), dtype=np.float32)
    )
    items = unit_rows(dataset.item_features.values)
    center, counts = items.mean(axis=0), np.diff(of.tocsc().indptr)[:, None]
    directions = unit_rows(of.T @ items / np.maximum(counts, 1) - center) * counts / (counts + FEWEST_ITEMS)
    return Categories(names, of, directions.astype(np.float32), center)


def _memberships(column: pa.ChunkedArray) -> tuple[list[str], sp.csr_matrix]:
    """Return the categories in a column, and which item is of which. CSR `[n_items, n]`."""
    at: dict[str, int] = {}
    known: dict[str, list[int]] = {}  # most values repeat
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


def _holds_categories(column: pa.ChunkedArray) -> bool:
    """Tell whether the names in a column are few, and each belongs to several items."""
    counts = Counter(name for value in column.slice(0, SAMPLE).to_pylist() for name in split_categories(value))
    return 1 < len(counts) <= MOST_NAMES and counts.total() >= FEWEST_ITEMS * len(counts)
