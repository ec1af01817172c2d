"""Lists that were sent to users, as rows of the event log. Knows no database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from genre.serving.events.store import ServedList

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


def list_of(row: Sequence[Any]) -> ServedList | None:
    """Make a list from a row of the table.

    Args:
        row: The values of `EVENT_COLUMNS`.

    Returns:
        The list; None for a row that no version of this program wrote.
    """
    user_id, _, _, timestamp, _, body, _, list_id, _, seconds, origin = row
    try:
        run, recommender, source, fallback = json.loads(origin)
        shown = json.loads(body)
        items, propensities = tuple(map(str, shown["items"])), tuple(map(float, shown.get("propensities", ())))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if not (isinstance(list_id, str) and isinstance(timestamp, int) and isinstance(seconds, (int, float))):
        return None
    return ServedList(
        list_id, user_id, run, recommender, source, fallback, items, propensities, timestamp, float(seconds)
    )
