"""Lists that were sent to users, as rows of the event log. Knows no database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genre.serving.events.experiment_changes import json_of
from genre.serving.events.store import ServedList

LONGEST_SECONDS = 1e6  # that making a list may have taken

PUT_LIST = """
INSERT INTO log (kind, user_id, "timestamp", body, list_id, place, value, origin) VALUES ('list', ?, ?, ?, ?, ?, ?, ?)
"""


def list_row(served: ServedList) -> tuple[Any, ...]:
    """Return the values under which `PUT_LIST` records a list.

    Args:
        served: The list.

    Returns:
        The values.
    """
    items: dict[str, Any] = {"items": served.items}
    if served.propensities:
        items["propensities"] = served.propensities
    origin = json.dumps([served.run, served.recommender, served.source, served.fallback], ensure_ascii=False)
    body = json.dumps(items, ensure_ascii=False)
    key = served.recommendation_id, len(served.items), served.seconds
    return served.user_id, served.timestamp, body, *key, origin


@dataclass(frozen=True)
class Origin:
    """Where lists came from.

    Attributes:
        run: Name of the run.
        recommender: Name of the recommender.
        source: How they were made.
        fallback: Why a fallback made them, or None.
    """

    run: str
    recommender: str
    source: str
    fallback: str | None


def origin_of(text: Any) -> Origin | None:
    """Make an origin from the column `origin` of a list.

    Args:
        text: The value.

    Returns:
        The origin; None for one that no version of this program wrote.
    """
    found = json_of(text)
    if not (isinstance(found, list) and len(found) == 4):
        return None
    *names, fallback = found
    legal = all(isinstance(name, str) for name in names) and isinstance(fallback, (str, type(None)))
    return Origin(*found) if legal else None


def shown_of(text: Any) -> tuple[tuple[str, ...], tuple[float, ...]] | None:
    """Read what a list showed from its column `body`.

    Args:
        text: The value.

    Returns:
        Ids of the items and propensities; None for a body that no version of this program wrote.
    """
    found = json_of(text)
    if not isinstance(found, dict):
        return None
    items, propensities = found.get("items"), found.get("propensities", [])
    if not (isinstance(items, list) and isinstance(propensities, list)):
        return None
    legal = all(isinstance(item, str) for item in items) and all(_is_probability(one) for one in propensities)
    return (tuple(items), tuple(map(float, propensities))) if legal else None


def _is_probability(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 < value <= 1


def list_of(row: Sequence[Any]) -> ServedList | None:
    """Make a list from a row of the table.

    Args:
        row: The values of `EVENT_COLUMNS`.

    Returns:
        The list; None for a row that no version of this program wrote.
    """
    user_id, _, _, timestamp, _, body, _, list_id, _, seconds, origin = row
    made, shown = origin_of(origin), shown_of(body)
    legal = isinstance(list_id, str) and isinstance(timestamp, int) and isinstance(user_id, (str, type(None)))
    if made is None or shown is None or not legal or not is_duration(seconds):
        return None
    origins = made.run, made.recommender, made.source, made.fallback
    return ServedList(list_id, user_id, *origins, *shown, timestamp, float(seconds))


def is_duration(seconds: Any) -> bool:
    """Tell whether a value may be how long a list took.

    Args:
        seconds: The value.

    Returns:
        Whether it is.
    """
    return isinstance(seconds, (int, float)) and 0 <= seconds < LONGEST_SECONDS
