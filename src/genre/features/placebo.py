"""A control for everything that reads texts: every item gets the fields of another one. Knows no encoder."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa

from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split


def exchange_texts(split: Split, *, seed: int = 0) -> Split:
    """Exchange the fields of items at random, the same way in all parts.

    The texts stay what they are, and all fields of one item move together; only whose they are is no longer true. So a
    gain that stays comes from something else than what the texts say.

    Args:
        split: The parts of the interactions.
        seed: Of the draw.

    Returns:
        The same interactions with other tables of items.
    """
    order = _order(split.train, seed)

    def exchanged(dataset: Dataset) -> Dataset:
        ids, fields = dataset.items.select(["item_id"]), dataset.items.drop_columns(["item_id"]).take(order)
        for name in fields.column_names:
            ids = ids.append_column(fields.schema.field(name), fields[name])
        return dataclasses.replace(dataset, items=ids)

    validation, test = (Fold(*map(exchanged, fold)) for fold in (split.validation, split.test))
    return Split(exchanged(split.train), validation, test, split.notes)


def exchange_ids(dataset: Dataset, *, seed: int = 0) -> Dataset:
    """Name each row of the items' table by the item whose fields it has after `exchange_texts`.

    An encoder that looks vectors up by id then finds those of that item, too, so that images move with the texts.

    Args:
        dataset: A part of what `exchange_texts` returned.
        seed: The seed that it got.

    Returns:
        The data, for encoders alone: its table no longer fits its rows.
    """
    at = dataset.items.schema.get_field_index("item_id")
    ids = dataset.items["item_id"].take(_order(dataset, seed))
    return dataclasses.replace(dataset, items=dataset.items.set_column(at, dataset.items.schema.field(at), ids))


def _order(dataset: Dataset, seed: int) -> pa.Array:
    """Return the row whose fields each row gets, `[n_items]`."""
    return pa.array(np.random.default_rng(seed).permutation(dataset.n_items))
