"""What is decided after the split, in each part by itself: rating scale, likes, weights and repeats.

Decided on all rows, these would let the test part change the train part. So a Dataset from tables carries its
`PartRules` until a split, or `apply_part_rules` on the whole, applies them. Does not know how a dataset is split.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from genre.data.dataset import COLUMNS, Dataset
from genre.data.rating_scale import find_scale, lowest_like
from genre.data.repeats import choose_of_repeats
from genre.data.weights import default_weights, equal_weights


def apply_part_rules(dataset: Dataset, train: Dataset | None = None) -> Dataset:
    """Decide rating scale, likes, weights and repeats of one part of a split.

    Args:
        dataset: The part, or data that is not split.
        train: The finished train part, whose scale and likes count; None: those of `dataset` itself.

    Returns:
        The finished part, without rules; `dataset` itself where it has none.
    """
    rules = dataset.part_rules
    if rules is None:
        return dataset
    scale, positive = dataset.rating_scale, dataset.positive_rating
    if train is not None:
        scale, positive = train.rating_scale, train.positive_rating
    elif dataset.rating is not None:
        scale = scale if rules.scale_stated else find_scale(dataset.rating)
        positive = positive if rules.positive_stated or scale is None else lowest_like(scale)
    weight = dataset.weight
    if not rules.weights_given:
        weight = default_weights(len(dataset), dataset.rating, positive, rules.low_rating_weight)
    weighed = dataclasses.replace(dataset, weight=weight, rating_scale=scale, positive_rating=positive, part_rules=None)
    kept, weight = choose_of_repeats(weighed, rules.repeats)
    known = {name: column for name in COLUMNS if (column := getattr(weighed, name)) is not None}
    columns: dict[str, Any] = {name: column[kept] for name, column in known.items()}
    columns["weight"] = equal_weights(weight) if rules.equal_weights else weight
    return dataclasses.replace(weighed, **columns)
