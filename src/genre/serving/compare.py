"""Two items side by side: what they share, where they differ, how alike they are. Knows one loaded run."""

from __future__ import annotations

from typing import Any

import numpy as np

from genre.data.words import split_categories
from genre.serving.loaded_run import LoadedRun
from genre.serving.requests import DIGITS


def compare_items(loaded: LoadedRun, row: int, other: int) -> dict[str, Any]:
    """Compare two items.

    Args:
        loaded: The run.
        row: Row of an item.
        other: Row of the other item.

    Returns:
        `items` with their fields, `shared` values by field, `different` values by field as a pair, `similarity` of
        their item features (cosine, None without features) and `interactions` of each in the run's data.
    """
    items = [loaded.describe_item(one) for one in (row, other)]
    fields = [item["fields"] for item in items]
    shared, different = {}, {}
    for name in dict.fromkeys([*fields[0], *fields[1]]):
        values = [one.get(name) for one in fields]
        both = values[0] if values[0] == values[1] else _shared(*values)
        if both:
            shared[name] = both
        if values[0] != values[1]:
            different[name] = values
    return {
        "items": items,
        "shared": shared,
        "different": different,
        "similarity": _similarity(loaded, row, other),
        "interactions": [int(loaded.popularity[one]) for one in (row, other)],
    }


def _shared(one: Any, other: Any) -> list[str]:
    """Return the categories that two values have in common; none for texts and numbers."""
    if not isinstance(one, str | list) or not isinstance(other, str | list):
        return []
    held = split_categories(other)
    return [value for value in split_categories(one) if value in held]


def _similarity(loaded: LoadedRun, row: int, other: int) -> float | None:
    if loaded.dataset.item_features is None:
        return None
    pair = loaded.dataset.item_features.values[[row, other]]
    norms = np.linalg.norm(pair, axis=1)
    return round(float(pair[0] @ pair[1] / max(float(norms.prod()), 1e-12)), DIGITS)
