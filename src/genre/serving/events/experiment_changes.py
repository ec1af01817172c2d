"""What the event log says of experiments: that one was started, with its definition, or stopped. Knows no database.

The log is the one place that every process and a restart read, in one order, so it decides which experiment goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

PUT_EXPERIMENT = "INSERT INTO log (kind, body, \"timestamp\") VALUES ('experiment', ?, ?)"
EXPERIMENTS = "SELECT body, \"timestamp\" FROM log WHERE kind = 'experiment' ORDER BY seq"


@dataclass(frozen=True, slots=True)
class ExperimentChange:
    """The start or the stop of an experiment.

    Attributes:
        name: Its name.
        timestamp: When, in seconds since 1970.
        definition: Its options by name, of a start; None: it is stopped.
    """

    name: str
    timestamp: int
    definition: dict[str, Any] | None = None


Decide = Callable[[Sequence[ExperimentChange]], ExperimentChange | None]
"""Makes the next change from all before it; None: nothing is to be changed; raises where that is not legal."""


def row_of_change(change: ExperimentChange) -> tuple[str, int]:
    """Return the values under which `PUT_EXPERIMENT` records a change.

    Args:
        change: The change.

    Returns:
        The body and the time.
    """
    body = {"name": change.name, "definition": change.definition}
    return json.dumps(body, ensure_ascii=False), change.timestamp


def change_of_row(body: Any, timestamp: Any) -> ExperimentChange | None:
    """Make a change from a row.

    Args:
        body: As `row_of_change` returns it.
        timestamp: The time.

    Returns:
        The change; None for a row that no version of this program wrote.
    """
    found = json_of(body)
    if not isinstance(found, dict) or not {"name", "definition"} <= found.keys():
        return None
    name, definition = found["name"], found["definition"]
    legal = isinstance(name, str) and isinstance(definition, (dict, type(None))) and isinstance(timestamp, int)
    return ExperimentChange(name, timestamp, definition) if legal else None


def json_of(text: Any) -> Any:
    """Read JSON of a row.

    Args:
        text: The value of a column.

    Returns:
        Its value; None where it is no JSON, or holds half of a character, which fits into no table.
    """
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError):
        return None
    return found
