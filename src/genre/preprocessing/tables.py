"""Tables: what every source delivers, under one set of column names. Knows nothing about files or cleaning."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

PARTS = ("train", "validation", "test")
"""What the `part` of an interaction may say, in this order."""


@dataclass(frozen=True, eq=False)
class Tables:
    """Interactions, and what is known of users and items, before cleaning.

    interactions: `user_id`, `item_id` (text), and where known `rating`, `weight` (float32), `timestamp` (seconds since
    1970; int64, or int32 where none is missing), `part` (text: train, validation or test, for data that comes with its
    split). In file order.
    users, items: `user_id` or `item_id`, then any other columns. None: only the ids are known.
    notes: one line a column: what it was taken for and why.
    rating_scale, positive_rating: where the owner of the data states them.
    """

    interactions: pa.Table
    users: pa.Table | None = None
    items: pa.Table | None = None
    name: str = "data"
    notes: tuple[str, ...] = ()
    rating_scale: tuple[float, float, float] | None = None
    positive_rating: float | None = None


def untyped_name(name: str) -> str:
    """A column's name without the type that RecBole's headers add (`user_id:token`)."""
    return re.sub(r":(token|float)(_seq)?$", "", name.strip())


def plain_name(name: str) -> str:
    """Letters and digits of a column's name in lower case: `User-ID` is `userid`."""
    return re.sub(r"[^a-z0-9]", "", untyped_name(name).lower())
