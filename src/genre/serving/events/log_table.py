"""The event log as one SQL table: the statements that SQLite and PostgreSQL share. Knows no database."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from typing_extensions import override

from genre.serving.events.store import (
    KINDS,
    LONGEST_HISTORY,
    PAGE,
    Activity,
    Deletion,
    Entry,
    Event,
    EventStore,
    ItemChange,
    Kind,
    user_digest,
)

EVENT_COLUMNS = 'user_id, item_id, weight, "timestamp", event_id'
NEWEST_EVENTS = f"""
SELECT {EVENT_COLUMNS} FROM log WHERE kind = 'event' AND user_id = ?
ORDER BY "timestamp" DESC, seq DESC LIMIT {LONGEST_HISTORY}
"""
ACTIVITY = """
SELECT item_id, latest / 3600 * 3600, count(*) FROM (
    SELECT item_id, max("timestamp") AS latest FROM log
    WHERE kind = 'event' AND weight > 0 AND "timestamp" >= ? AND seq <= ?
    GROUP BY item_id, user_id, "timestamp" / 86400
) AS daily GROUP BY 1, 2
"""


HEAVIEST = 1e30  # what single precision holds
Recorded = tuple[str, float, int]
"""Item, weight and time of an event in the log."""


class LogTable(EventStore):
    """Base of stores with a table `log (seq, kind, user_id, item_id, weight, timestamp, event_id, body)`.

    A row is an event, a changed item with its fields as JSON in `body`, or a deletion with the digest in `body`.
    """

    placeholder: ClassVar[str]
    """What stands for a value in a statement."""
    table: ClassVar[str]
    """The name of the table in the database."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Any]:
        """Open a transaction: on disk when the block is left, or as if nothing had happened."""

    @abstractmethod
    def _select(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows that a statement finds."""

    def _sql(self, statement: str) -> str:
        """Put this database's table and placeholder into a statement."""
        return re.sub(r"\blog\b", self.table, statement).replace("?", self.placeholder)

    @override
    def put_items(self, changes: Sequence[ItemChange]) -> None:
        with self._transaction() as log:
            for change in changes:
                row = (change.item_id, json.dumps(change.fields, ensure_ascii=False))
                log.execute(self._sql("INSERT INTO log (kind, item_id, body) VALUES ('item', ?, ?)"), row)

    @override
    def delete_user(self, user_id: str) -> int:
        with self._transaction() as log:
            erased = log.execute(self._sql("DELETE FROM log WHERE kind = 'event' AND user_id = ?"), (user_id,)).rowcount
            row = (user_digest(user_id, self.key),)
            log.execute(self._sql("INSERT INTO log (kind, body) VALUES ('deletion', ?)"), row)
        return int(erased)

    @override
    def read(self, after: int = 0, kinds: Sequence[Kind] = KINDS) -> list[tuple[int, Entry]]:
        wanted = ", ".join("?" for _ in kinds)
        statement = f"SELECT seq, kind, {EVENT_COLUMNS}, body FROM log WHERE seq > ? AND kind IN ({wanted})"
        while rows := self._select(self._sql(f"{statement} ORDER BY seq LIMIT {PAGE}"), (after, *kinds)):
            found = [(seq, _entry(kind, event, body)) for seq, kind, *event, body in rows]
            if readable := [(seq, entry) for seq, entry in found if entry is not None]:
                return readable
            after = rows[-1][0]
        return []

    @override
    def last(self) -> int:
        return int(self._select(self._sql("SELECT coalesce(max(seq), 0) FROM log"), ())[0][0])

    @override
    def activity(self, since: int, until: int) -> list[Activity]:
        return [Activity(*row) for row in self._select(self._sql(ACTIVITY), (since, until))]


def same_event(event: Event, recorded: Recorded) -> bool | None:
    """Compare an event with the one that was recorded of the same user under the same event id.

    Args:
        event: The event that was sent; without a time, any time is the same.
        recorded: The event in the log.

    Returns:
        False for the same event sent again, None for another one, as `EventStore.record` answers.
    """
    item_id, weight, timestamp = recorded
    same = (event.item_id, float(event.weight)) == (item_id, weight) and event.timestamp in (0, timestamp)
    return False if same else None


def _entry(kind: str, event: Sequence[Any], body: Any) -> Entry | None:
    """Make an entry from a row of the table; None for a row that no version of this program wrote."""
    if kind == "event":
        return event_of(event)
    if kind == "deletion":
        return Deletion(body) if isinstance(body, str) else None
    try:
        fields = json.loads(body)
        json.dumps([event[1], fields], ensure_ascii=False).encode()  # half of a surrogate pair fits into no table
    except (ValueError, TypeError, RecursionError):
        return None
    return ItemChange(event[1], fields) if isinstance(event[1], str) and isinstance(fields, dict) else None


def event_of(row: Sequence[Any]) -> Event | None:
    """Make an event from a row of the table.

    Args:
        row: The values of `EVENT_COLUMNS`.

    Returns:
        The event; None for a row that no version of this program wrote, such as a weight that is text.
    """
    user_id, item_id, weight, timestamp, _ = row
    texts = isinstance(user_id, str) and isinstance(item_id, str)
    numbers = isinstance(weight, (int, float)) and 0 <= weight < HEAVIEST and isinstance(timestamp, int)
    return Event(*row) if texts and numbers else None
