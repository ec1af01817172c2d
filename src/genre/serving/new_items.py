"""New items: added to the items' table and to recommenders, also to those that cannot add items themselves.

Knows nothing about the event log.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from typing_extensions import override

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError, NotSupported
from genre.log import Log
from genre.recommenders.base import Recommender
from genre.recommenders.content import Content
from genre.recommenders.reasons import Method, Terms

NEIGHBOURS = 10

Changes = Mapping[str, Mapping[str, Any]]
"""By item id, the values of new or changed fields by name."""


def with_items(dataset: Dataset, changes: Changes) -> Dataset:
    """Return the data with new items behind the last row and changed fields in the table, without features.

    Args:
        dataset: The data.
        changes: Fields of new and changed items.

    Returns:
        The changed data.
    """
    new = [item_id for item_id in changes if item_id not in dataset.item_ids]
    item_ids = dataset.item_ids.append(new) if new else dataset.item_ids
    items = fields_table(dataset.items, "item_id", item_ids, changes)
    return dataclasses.replace(dataset, item_ids=item_ids, items=items, item_features=None)


def fields_table(table: pa.Table, key: str, ids: Ids, changes: Changes) -> pa.Table:
    """Return a table of users or items with a row for each id and with changed fields.

    Args:
        table: The table; its rows are the first ids.
        key: Name of the column of ids.
        ids: All ids.
        changes: Fields of new and changed rows; values that do not fit their column are left out.

    Returns:
        The changed table.
    """
    names = list(dict.fromkeys([*table.column_names, *(name for fields in changes.values() for name in fields)]))
    columns: dict[str, Any] = {key: ids.values}
    for name in names:
        if name == key:
            continue
        known = name in table.column_names
        values = [*(table[name].to_pylist() if known else [None] * len(table)), *[None] * (len(ids) - len(table))]
        kind = table.schema.field(name).type if known else pa.string()
        for row_id, fields in changes.items():
            if name in fields:
                values[ids.row(row_id)] = _converted(fields[name], kind)
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


def check_fields(dataset: Dataset, fields: Mapping[str, Any]) -> None:
    """Check that values fit the columns of the items' table.

    Args:
        dataset: The data.
        fields: Values by name of the field; a new field fits any.

    Raises:
        DataError: If a value does not fit; it names the field.
    """
    schema = dataset.items.schema
    for name, value in fields.items():
        if name in schema.names and value is not None and _converted(value, kind := schema.field(name).type) is None:
            raise DataError(f"{name}: its column holds {_describe(kind)}, and {repr(value)[:60]} is no such value")


def n_chars(fields: Mapping[str, Any]) -> int:
    """Return how many characters the fields of an item have, names included.

    Args:
        fields: Values by name of the field.

    Returns:
        The number.
    """
    return sum(len(name) + len(value if isinstance(value, str) else str(value)) for name, value in fields.items())


def _describe(kind: pa.DataType) -> str:
    """Name the type of a column in a message."""
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_integer(kind):
        return "whole numbers"
    return "numbers" if pa.types.is_floating(kind) else f"values of type {kind}"


def _converted(value: Any, kind: pa.DataType) -> Any:
    """Convert a value to the type of its column; None where it does not fit."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "|".join(map(str, value)) if isinstance(value, list) else None if value is None else str(value)
    try:
        return pa.scalar(value, kind).as_py()
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError, LookupError):
        return None


def add_items(model: Recommender, content: Content, item_ids: Sequence[str], features: Float32) -> Recommender:
    """Add items to a recommender, by its own `extend` or by their nearest known items.

    Args:
        model: The recommender.
        content: A recommender by item features, with the new items already added.
        item_ids: Ids of the new items. `[n_new]`
        features: Their features. `[n_new, dim]`

    Returns:
        The extended recommender; the new items are behind the last row.
    """
    try:
        return model.extend(item_ids, features)
    except NotSupported:
        return ByNeighbours(model, content, item_ids)


class ByNeighbours(Recommender):
    """A recommender with new items that it cannot learn: each scores the weighted mean of its nearest known items.

    The weight of a neighbour is its cosine squared, normalised to a sum of 1. In a history a new item counts as its
    nearest neighbour, with its weight times the cosine.

    Attributes:
        model: The recommender of the known items.
        nearest: Rows of the nearest known items. `[n_new, NEIGHBOURS]`
        share: Their weights. `[n_new, NEIGHBOURS]`
        similarity: Cosine to the nearest, 0 to 1. `[n_new]`
    """

    def __init__(self, model: Recommender, content: Content, item_ids: Sequence[str]) -> None:
        """Find the neighbours of new items.

        Args:
            model: The recommender of the known items.
            content: A recommender by item features, with the new items added.
            item_ids: Ids of the new items. `[n_new]`
        """
        n_known, vectors = len(model.item_ids_), content.item_vectors_
        similarity = vectors[n_known:] @ vectors[:n_known].T  # [n_new, n_known]
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBOURS]
        share = np.maximum(np.take_along_axis(similarity, nearest, axis=1), 0) ** 2 + 1e-6
        self.model = model
        self.answers_empty = model.answers_empty  # type: ignore[misc]
        self.nearest = nearest.astype(np.int32)  # [n_new, NEIGHBOURS]
        self.share = (share / share.sum(axis=1, keepdims=True)).astype(np.float32)
        self.similarity = np.clip(similarity.max(axis=1), 0, 1).astype(np.float32)  # [n_new]
        self.item_ids_ = model.item_ids_.append(item_ids)
        self.popularity_ = np.concatenate([model.popularity_, np.zeros(len(item_ids), np.float32)])

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        raise NotSupported("ByNeighbours extends a recommender that is fitted already; fit that one")

    def _inside(self, history: History) -> History:
        """Put the nearest known items in place of new ones."""
        n_known = len(self.model.item_ids_)
        at = np.flatnonzero(history.item >= n_known)
        item, weight = history.item.copy(), history.weight.copy()
        new = item[at] - n_known
        item[at], weight[at] = self.nearest[new, 0], weight[at] * self.similarity[new]
        return dataclasses.replace(history, item=item, weight=weight, n_items=n_known)

    def _score(self, history: History) -> Float32:
        known = self.model.score(self._inside(history))  # [n, n_known]
        return np.concatenate([known, np.einsum("nij,ij->ni", known[:, self.nearest], self.share)], axis=1)

    @property
    def evidence(self) -> Method:
        """The method of the recommender inside."""
        return self.model.evidence

    @override
    def without_llm(self) -> Recommender:
        free = self.model.without_llm()
        if free is self.model:
            return self
        other = copy.copy(self)
        other.model = free
        return other

    def _popular(self, history: History, items: Int32) -> Float32:
        return self._for_items(items, self.model.popular(self._inside(history), self._with_neighbours(items)))

    def _terms(self, history: History, items: Int32) -> Terms:
        shares, popular, parts = self.model.terms(self._inside(history), self._with_neighbours(items))
        named = {name: self._for_items(items, part) for name, part in parts.items()}
        return Terms(self._for_items(items, shares), self._for_items(items, popular), named)

    def _with_neighbours(self, items: Int32) -> Int32:
        """Return the known ones of some items `[m]`, then the neighbours of the new ones."""
        new = items >= len(self.model.item_ids_)
        return np.concatenate([items[~new], self.nearest[items[new] - len(self.model.item_ids_)].ravel()])

    def _for_items(self, items: Int32, part: Float32) -> Float32:
        """Turn values for `_with_neighbours(items)` into values for `items`: a new item gets its neighbours' mean."""
        new = items >= len(self.model.item_ids_)
        share = self.share[items[new] - len(self.model.item_ids_)]  # [n_new, n_neighbours]
        out = np.empty((len(items), *part.shape[1:]), np.float32)
        out[~new] = part[: len(items) - len(share)]
        near = part[len(items) - len(share) :].reshape(*share.shape, *part.shape[1:])
        out[new] = np.einsum("nj,nj...->n...", share, near)
        return out
