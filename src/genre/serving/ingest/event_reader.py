"""From a line to an event, by the rules of `POST /v1/events`, and what it weighs by the run's table of kinds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from genre.config.reading import FULL_CONFIG, read_config
from genre.data.after_split import apply_part_rules
from genre.data.context import check_context
from genre.data.parquet import read_dataset
from genre.errors import DataError, GenreError
from genre.run_folder import manifest_of
from genre.serving.events.store import Event
from genre.serving.http.request_models import EventBody, distinct_keys
from genre.serving.http.validation import validation_message
from genre.serving.ingest.line_source import LONGEST_LINE, Line
from genre.serving.weighed_events import check_event, weigh_for_log
from genre.storage import published_at

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors begin a file with it
NO_ID = (
    "no event_id, and standard input has no place to be read from again; give each event an id, or the whole input a "
    "name by --stream, if it will be the same when it is sent again"
)


class EventReader:
    """Reads events, and weighs them by the table of kinds of a run as it is in its folder now."""

    def __init__(self, folder: Path, *, trust: bool = False) -> None:
        """Read the run's table of kinds and its scale of ratings.

        Args:
            folder: The folder of the run.
            trust: Run code of the folder.

        Raises:
            GenreError: If it is no finished run.
        """
        self._folder, self._trust = folder, trust
        self._made: object = None
        self._load()

    def _load(self) -> None:
        made = published_at(self._folder)
        manifest_of(self._folder)
        self._kinds = read_config(self._folder / FULL_CONFIG, trust=self._trust).experiment.events
        dataset = apply_part_rules(read_dataset(self._folder / "dataset" / "tables"))
        self._positive_rating, self._scale = dataset.positive_rating, dataset.rating_scale
        self._context_names = dataset.context_names
        self._made = made

    def follow_run(self) -> None:
        """Read the run again if its folder was replaced; where that fails, go on with what is known."""
        if published_at(self._folder) not in (None, self._made):
            try:
                self._load()
            except (GenreError, OSError):
                return  # it is being replaced; the next call looks again

    def read(self, line: Line) -> Event:
        """Read one event.

        Args:
            line: A line that holds it as JSON.

        Returns:
            The event, with an id.

        Raises:
            DataError: If it is none; the message says why.
        """
        try:
            event = EventBody.model_validate(_parse(line.data)).to_event()
        except ValidationError as error:
            raise DataError(validation_message(error.errors())) from error
        if event.event_id is None and line.event_id is None:
            raise DataError(NO_ID)
        check_event(event, self._kinds, self._scale)
        check_context(dict(event.context), self._context_names, times=())
        timestamp = event.timestamp or line.timestamp
        return replace(event, event_id=event.event_id or line.event_id, timestamp=timestamp)

    def weigh(self, events: Sequence[Event]) -> list[Event]:
        """Give events that have a kind its weight.

        Args:
            events: The events.

        Returns:
            The events, in the same order.
        """
        return weigh_for_log(events, self._kinds, self._positive_rating)


def _parse(data: bytes | None) -> Any:
    if data is None:
        raise DataError("a message without a value")
    if len(data) > LONGEST_LINE:
        raise DataError(f"longer than {LONGEST_LINE:,} bytes; only its begin is kept")
    try:
        text = data.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 from byte {error.start} on") from error
    try:
        return json.loads(text, object_pairs_hook=distinct_keys)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}") from error


def is_blank(line: Line) -> bool:
    """Tell whether a line holds nothing, which is no event and no mistake.

    Args:
        line: The line.

    Returns:
        Whether it is empty or white space.
    """
    return line.data is not None and not line.data.removeprefix(BYTE_ORDER_MARK).strip()
