"""What became of the last refresh of a run, in a file beside its folder. Knows nothing about how a run is refreshed.

So it is known after a restart, to every process that serves the folder, and whatever made the refresh: a server at an
interval, or `genre refresh` by itself.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from genre import storage
from genre.errors import ArtifactError, DriftError, WorseRunError

RefreshResult = Literal["went live", "nothing new", "held back", "failed", "rolled back"]
MOST_CHARS = 500  # of a message


@dataclass(frozen=True)
class RefreshRecord:
    """What became of a refresh.

    Attributes:
        began: When it began, in seconds since 1970.
        seconds: How long it took.
        result: What became of it.
        news: What was new in the data; empty where that is unknown.
        gate: What the gate found; empty where it was not reached.
        message: Why the new run did not go live; empty where it did. No user is named in it.
    """

    began: int
    seconds: float
    result: RefreshResult
    news: str = ""
    gate: str = ""
    message: str = ""


@dataclass
class RefreshSchedule:
    """When a server refreshes its runs.

    Attributes:
        next_round: When the next round begins, in seconds since 1970.
        running: When the refresh that goes on now began, by name of the run.
    """

    next_round: int
    running: dict[str, int] = field(default_factory=dict)


class RefreshNotes:
    """Notes on a refresh while it goes on, which become its record.

    Attributes:
        news: As in the record.
        gate: As in the record.
        began: As in the record.
    """

    def __init__(self) -> None:
        self.news = self.gate = ""
        self.began, self._moment = int(time.time()), time.monotonic()

    def record(self, result: RefreshResult, message: str = "") -> RefreshRecord:
        """Make the record.

        Args:
            result: What became of the refresh.
            message: Why the new run did not go live.

        Returns:
            The record, as of now.
        """
        seconds = round(time.monotonic() - self._moment, 3)
        return RefreshRecord(self.began, seconds, result, self.news, self.gate, message[:MOST_CHARS])

    def record_of_error(self, error: BaseException) -> RefreshRecord:
        """Make the record of a refresh that ended with an error.

        Args:
            error: The error.

        Returns:
            The record. Users who pushed items are left out: a deletion could not reach them here.
        """
        if isinstance(error, DriftError):
            items = ", ".join(map(repr, error.items))
            return self.record("held back", f"few users push items into the lists: {items}")
        if isinstance(error, WorseRunError):
            self.gate = error.finding
            return self.record("held back", "it is worse than the run that is served, or may be")
        return self.record("failed", str(error).partition("\n")[0] or type(error).__name__)


def record_path(folder: Path) -> Path:
    """Return where the record of a run's last refresh is.

    Args:
        folder: Folder of the run.

    Returns:
        A hidden file beside it.
    """
    return folder.parent / f".{folder.name}.refresh.json"


def write_record(folder: Path, record: RefreshRecord) -> None:
    """Write the record of a run's last refresh.

    Args:
        folder: Folder of the run.
        record: The record.
    """
    storage.write_json(record_path(folder), asdict(record))


def read_record(folder: Path) -> RefreshRecord | None:
    """Read the record of a run's last refresh.

    Args:
        folder: Folder of the run.

    Returns:
        The record; None where the run was never refreshed, or another version wrote the file.
    """
    try:
        return RefreshRecord(**storage.read_json(record_path(folder)))
    except (ArtifactError, OSError, TypeError):
        return None
