"""Rows of the event log: what is written of an event, and the entry that a row holds, if this program wrote it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from genre.data.event_kinds import SHOW
from genre.serving.events.deletion import Deletion
from genre.serving.events.experiment_changes import change_of_row, json_of
from genre.serving.events.list_rows import list_of
from genre.serving.events.store import KINDS, Entry, Event, ItemChange, Outcome, Pruning, Row

EVENT_COLUMNS = 'user_id, item_id, weight, "timestamp", event_id, body, action, list_id, place, value, origin'
ROW_COLUMNS = f"seq, kind, {EVENT_COLUMNS}"
HEAVIEST = 1e30  # what single precision holds
RECORDED_COLUMNS = 'item_id, weight, "timestamp", body, action, list_id, place, value, origin'
Recorded = tuple[Any, ...]
"""The values of `RECORDED_COLUMNS` of an event in the log."""


def timed_row(event: Event, now: int) -> tuple[Any, ...]:
    """Return the kind and the values of `EVENT_COLUMNS` under which an event is recorded.

    Args:
        event: The event that was sent.
        now: The present, in seconds since 1970.

    Returns:
        The values; a time ahead of the present is held to it.
    """
    sent = event.timestamp
    timestamp, body = (sent, None) if 0 != sent <= now else (now, str(sent))
    kind = SHOW if event.kind == SHOW else "event"
    return kind, event.user_id, event.item_id, float(event.weight), timestamp, event.event_id, body, *_led_by(event)


def compare_with_recorded(event: Event, recorded: Recorded) -> Outcome:
    """Compare an event with the one that was recorded of the same user under the same event id.

    Args:
        event: The event that was sent; without a time, any time is the same.
        recorded: The event in the log.

    Returns:
        DUPLICATE for the same event sent again, CONFLICT for another one.
    """
    item_id, weight, timestamp, body, *led_by = recorded
    same_time = event.timestamp in (0, timestamp) or str(event.timestamp) == body
    same_weight = event.kind is not None or float(event.weight) == weight  # what a kind weighs may have changed since
    same = event.item_id == item_id and same_weight and same_time
    return Outcome.DUPLICATE if same and [*_led_by(event)] == led_by else Outcome.CONFLICT


def _led_by(event: Event) -> tuple[Any, ...]:
    """Return the values of the last columns of an event: its kind, the list that led to it, its circumstances."""
    origin = json.dumps(dict(sorted(event.context)), ensure_ascii=False) if event.context else None
    return event.kind, event.recommendation_id, event.position, event.value, origin


def entry_of(kind: str, event: Sequence[Any]) -> Entry | None:
    """Make an entry from a row of the table.

    Args:
        kind: The kind of the row.
        event: The values of `EVENT_COLUMNS`.

    Returns:
        The entry; None for a row that no version of this program wrote.
    """
    if kind in ("event", SHOW):
        return event_of(event)
    if kind == "list":
        return list_of(event)
    item_id, timestamp, body = event[1], event[3], event[5]
    if kind == "deletion":
        return deletion_of(body, timestamp)
    if kind == "experiment":
        return change_of_row(body, timestamp)
    if kind == "pruning":
        return Pruning(timestamp) if isinstance(timestamp, int) else None
    fields = json_of(body)
    return ItemChange(item_id, fields) if isinstance(item_id, str) and isinstance(fields, dict) else None


def is_portable(row: Row) -> bool:
    """Tell whether a version of this program wrote a row, and every database can hold it.

    Args:
        row: The values of `ROW_COLUMNS`.

    Returns:
        Whether it may be written into another log.
    """
    _, kind, *event = row
    texts = [row[at] for at in (2, 3, 6, 7, 8, 9, 12) if row[at] is not None]
    storable = all(isinstance(text, str) and "\x00" not in text for text in texts)
    return storable and kind in KINDS and entry_of(kind, event) is not None


def deletion_of(digest: Any, timestamp: Any) -> Deletion | None:
    """Make a deletion from the values of its row.

    Args:
        digest: Digest of the user.
        timestamp: When it was, in seconds since 1970.

    Returns:
        The deletion; None for a row that no version of this program wrote.
    """
    return Deletion(digest, timestamp if isinstance(timestamp, int) else 0) if isinstance(digest, str) else None


def event_of(row: Sequence[Any]) -> Event | None:
    """Make an event from a row of the table.

    Args:
        row: The values of `EVENT_COLUMNS`.

    Returns:
        The event; None for a row that no version of this program wrote, such as a weight that is text.
    """
    user_id, item_id, weight, timestamp, event_id, body, action, list_id, place, value, origin = row
    texts = isinstance(user_id, str) and isinstance(item_id, str)
    texts &= all(isinstance(text, (str, type(None))) for text in (event_id, action, list_id))
    numbers = isinstance(weight, (int, float)) and -HEAVIEST < weight < HEAVIEST and isinstance(timestamp, int)
    numbers &= isinstance(place, (int, type(None)))
    numbers &= value is None or (isinstance(value, (int, float)) and -HEAVIEST < value < HEAVIEST)
    if not (texts and numbers and (weight >= 0 or action is not None)):
        return None
    said = json_of(origin or "{}")
    if not isinstance(said, dict):
        return None
    context = tuple((name, str(text)) for name, text in said.items())
    led_by = action, list_id, place, value, context
    return Event(user_id, item_id, weight, timestamp, event_id, body is not None, *led_by)
