"""SQLite files that several processes write: the write-ahead log, switched on by the first that opens the file."""

from __future__ import annotations

import sqlite3
import time

_STEP_SECONDS = 0.01


def use_write_ahead_log(connection: sqlite3.Connection, seconds: float) -> None:
    """Switch a file to the write-ahead log, also while others open the same new file.

    SQLite's own timeout does not cover this switch: it upgrades a read lock, and the second of two that do so at
    once is refused without waiting (https://www.sqlite.org/wal.html, "busy"). So the switch is tried again.

    Args:
        connection: A connection outside any transaction.
        seconds: How long others may be in the way.

    Raises:
        sqlite3.OperationalError: The file stayed locked that long, or cannot be written.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_STEP_SECONDS)
