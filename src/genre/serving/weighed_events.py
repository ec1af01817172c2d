"""From events to interactions: what the events of a log weigh for learning, and what negative ones take back.

Knows the table of kinds and the data that events are added to, no log and no recommender.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int64
from genre.data.dataset import Dataset
from genre.data.event_kinds import RATE, EventKinds
from genre.errors import DataError
from genre.serving.events.store import Event

RatingScale = tuple[float, float, float]
"""Lowest star, highest star and step."""
FOREVER = np.iinfo(np.int64).max
"""The time of an interaction without one: no event of the same item is newer, unless it takes something back."""


def is_newer(event: Event, newest: int) -> bool:
    """Tell whether data does not have an event yet.

    Args:
        event: The event.
        newest: Time of the newest interaction of the same user and item in the data; -1 for none.

    Returns:
        Whether the event is to be added.
    """
    return event.timestamp > newest or (newest == FOREVER and event.weight < 0)


def check_event(event: Event, kinds: EventKinds, scale: RatingScale | None) -> None:
    """Check that there is the kind of an event, and that its stars are some that the data may have.

    Args:
        event: The event.
        kinds: The table of kinds.
        scale: Lowest and highest star of the data, and step; None without ratings.

    Raises:
        DataError: If there is no such kind, or `rate` has other stars, which would count in all that is learnt.
    """
    if event.kind is not None:
        kinds.weight(event.kind)
    if event.kind == RATE and not _is_on_scale(event, scale):
        low, high, _ = scale or (0.0, 0.0, 0.0)
        raise DataError(
            f"an event of kind `rate` with value {event.value:g}; stars of this data are {low:g} to {high:g}"
        )


def _is_on_scale(event: Event, scale: RatingScale | None) -> bool:
    return scale is None or (event.value is not None and scale[0] <= event.value <= scale[1])


def weigh_events(events: Sequence[Event], kinds: EventKinds, dataset: Dataset) -> tuple[Float32, Float32]:
    """Weigh events by their kinds.

    Args:
        events: The events; those without a kind have a weight of their own.
        kinds: The table of kinds. A kind that it does not know, of a config of before, weighs what was recorded.
        dataset: The data they are added to, for its scale of ratings.

    Returns:
        Weights, below 0 for events that take earlier interactions back, and ratings: the stars of `rate` that are on
        the scale, else those of a like or the lowest. `[n]` each.
    """
    weight = _weights(events, kinds, dataset.positive_rating)
    rating = ratings_for(dataset, weight)
    for at, event in enumerate(events):
        if event.kind == RATE and event.value is not None and _is_on_scale(event, dataset.rating_scale):
            rating[at] = event.value
    return weight, rating


def weigh_for_log(events: Sequence[Event], kinds: EventKinds, positive_rating: float | None) -> list[Event]:
    """Give events that have a kind its weight, as they are recorded.

    Args:
        events: The events.
        kinds: The table of kinds.
        positive_rating: The lowest rating that is a like, or None.

    Returns:
        The events, in the same order.
    """
    weights = _weights(events, kinds, positive_rating).tolist()
    return [
        event if event.kind is None else replace(event, weight=weight)
        for event, weight in zip(events, weights, strict=True)
    ]


def _weights(events: Sequence[Event], kinds: EventKinds, positive_rating: float | None) -> Float32:
    """Return what events weigh, `[n]`; a rating that is no like weighs 0."""
    table = kinds.table
    weight = np.array([table.get(e.kind or "", e.weight) for e in events], np.float32)
    for at, event in enumerate(events):
        if event.kind == RATE and event.value is not None and positive_rating is not None:
            weight[at] *= event.value >= positive_rating
    return weight


def take_back(item: npt.NDArray[np.integer], weight: Float32) -> Float32:
    """Let negative interactions of one user take from the latest earlier ones with the same item.

    As returns do when data is cleaned: the interactions with an item are a pile, a negative one takes from its top.

    Args:
        item: Rows of items, oldest first. `[n]`
        weight: Their weights. `[n]`

    Returns:
        Weights of at least 0; that of a negative one is 0. `[n]`
    """
    left = weight.copy()
    for at in np.flatnonzero(weight < 0):
        owed, left[at] = -float(weight[at]), 0
        for before in np.flatnonzero(item[:at] == item[at])[::-1]:
            taken = min(owed, float(left[before]))
            left[before] -= taken
            owed -= taken
            if owed <= 0:
                break
    return left


def take_back_of_users(user: Int64, item: Int64, timestamp: Int64, weight: Float32) -> Float32:
    """Do what `take_back` does for interactions of many users.

    Args:
        user: Rows of users. `[n]`
        item: Rows of items. `[n]`
        timestamp: Times; at one time the given order counts. `[n]`
        weight: Weights. `[n]`

    Returns:
        Weights of at least 0. `[n]`
    """
    left = weight.copy()
    negative = np.flatnonzero(weight < 0)
    if not len(negative):
        return left
    width = int(item.max()) + 1
    pair = user.astype(np.int64) * width + item
    touched = np.flatnonzero(np.isin(pair, pair[negative]))
    touched = touched[np.argsort(timestamp[touched], kind="stable")]
    _, number = np.unique(pair[touched], return_inverse=True)
    left[touched] = take_back(number, weight[touched])
    return left


def ratings_for(dataset: Dataset, weight: Float32) -> Float32:
    """Return ratings for interactions that come without one: that of a like, or the lowest of the scale.

    Args:
        dataset: The data, for its scale.
        weight: Weights. `[n]`

    Returns:
        Ratings. `[n]`
    """
    low, high, _ = dataset.rating_scale or (0.0, 1.0, 1.0)
    liked = high if dataset.positive_rating is None else dataset.positive_rating
    return np.where(weight > 0, liked, low).astype(np.float32)
