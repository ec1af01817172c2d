"""Reads events from sources into an event log: what is read is recorded first, then noted as read.

A process that is killed in between reads the same lines again, and their ids keep them from counting twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from genre.display import counted
from genre.errors import DataError, StoreError
from genre.log import SILENT, Log
from genre.serving.events.log_table import EventStore
from genre.serving.events.store import Event, Outcome
from genre.serving.ingest.event_reader import EventReader, is_blank
from genre.serving.ingest.line_source import Line, LineSource
from genre.serving.ingest.positions import Positions, Rejects

BATCH = 1000  # events of one commit: a server that writes to the same log waits for it, some 20 ms
WAIT_SECONDS = 0.1  # between two looks at sources that have nothing new
LOG_SECONDS = 10.0  # between two lines about the counts
LONGEST_PAUSE = 30.0  # until a log that cannot be written is tried again
REASONS = {
    Outcome.CONFLICT: "its event_id was recorded of this user with other content",
    Outcome.DELETED: "it happened before its user was deleted",
}


@dataclass
class LineCounts:
    """What became of the lines that were read.

    Attributes:
        lines: How many, blank ones left out.
        recorded: Events that are new in the log.
        duplicates: Events that were in the log before.
        rejected: Lines that are in the file of rejects.
    """

    lines: int = 0
    recorded: int = 0
    duplicates: int = 0
    rejected: int = 0

    def __str__(self) -> str:
        return (
            f"{counted(self.lines, 'line')}: {counted(self.recorded, 'event')} recorded, "
            f"{self.duplicates:,} in the log before, {self.rejected:,} rejected"
        )


class Ingestion:
    """Records the events of some sources.

    Attributes:
        counts: What became of the lines.
    """

    def __init__(
        self,
        sources: Sequence[LineSource],
        reader: EventReader,
        store: EventStore,
        positions: Positions,
        rejects: Rejects,
        *,
        follow: bool = False,
        log: Log = SILENT,
    ) -> None:
        """Begin to count.

        Args:
            sources: What is read, in turn.
            reader: Reads events of lines.
            store: The event log.
            positions: How far sources were read.
            rejects: Lines that are no events.
            follow: Wait while the log cannot be written, as sources wait for more lines.
            log: Gets the counts now and then, and what is wrong.
        """
        self._sources, self._reader, self._store = sources, reader, store
        self._positions, self._rejects, self._follow, self._log = positions, rejects, follow, log
        self.counts = LineCounts()
        self._logged, self._logged_at = "", time.monotonic()

    @property
    def n_lost(self) -> int:
        """How often something was gone before it could be read."""
        return sum(source.n_lost for source in self._sources)

    def go_on(self, stop: threading.Event) -> None:
        """Read until all sources are at their end.

        Args:
            stop: Ends it before, between two commits.

        Raises:
            GenreError: If a source cannot be read, or the log cannot be written and is not to be waited for.
        """
        while not stop.is_set():
            self._reader.follow_run()
            n_lines = 0
            for source in self._sources:
                lines = source.read()
                n_lines += len(lines)
                if not self._record(lines, stop):
                    return
                source.keep()
            self._positions.save()
            self._log_counts()
            if not n_lines:
                if all(source.at_end for source in self._sources):
                    return
                stop.wait(WAIT_SECONDS)

    def _record(self, lines: Sequence[Line], stop: threading.Event) -> bool:
        """Record the events of lines, in commits of `BATCH`; return whether all are on disk, or rejected."""
        for begin in range(0, len(lines), BATCH):
            read: list[tuple[Line, Event]] = []
            for line in lines[begin : begin + BATCH]:
                if is_blank(line):
                    continue
                self.counts.lines += 1
                try:
                    read.append((line, self._reader.read(line)))
                except DataError as error:
                    self._reject(line, str(error))
            outcomes = self._put([event for _, event in read], stop)
            if outcomes is None:
                return False
            for (line, _), outcome in zip(read, outcomes, strict=True):
                if outcome in REASONS:  # of a deleted user nothing is kept
                    self._reject(line, REASONS[outcome], with_data=outcome is not Outcome.DELETED)
            self.counts.recorded += outcomes.count(Outcome.NEW)
            self.counts.duplicates += outcomes.count(Outcome.DUPLICATE)
            self._rejects.save()
        return True

    def _put(self, events: Sequence[Event], stop: threading.Event) -> list[Outcome] | None:
        """Write events into the log, as soon as it can be written; None: it was stopped before."""
        if not events:
            return []
        pause = 1.0
        while True:
            try:
                return self._store.record(self._reader.weigh(events))
            except StoreError as error:  # where it is not known whether they were recorded, their ids decide
                if not self._follow:
                    raise StoreError(f"{error}; run the same command again to go on after what is recorded") from error
                self._log.line(f"{error}; trying again in {pause:.0f} s")
            if stop.wait(pause):
                return None
            pause = min(2 * pause, LONGEST_PAUSE)

    def _reject(self, line: Line, reason: str, *, with_data: bool = True) -> None:
        self.counts.rejected += 1
        if self.counts.rejected == 1:
            self._log.line(f"{line.source}, {line.position}: {reason}; rejected lines are kept in {self._rejects.path}")
        self._rejects.add(line, reason, with_data=with_data)

    def _log_counts(self) -> None:
        if self._follow and time.monotonic() - self._logged_at > LOG_SECONDS and str(self.counts) != self._logged:
            self._logged, self._logged_at = str(self.counts), time.monotonic()
            self._log.line(self._logged)
