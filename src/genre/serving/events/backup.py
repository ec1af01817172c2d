"""Whole event logs: backup, restore, and the copy into another database. Knows no database by name but SQLite's files.

A backup is a folder with a log in SQLite, its key, and a manifest with their hashes, whatever database the log is in.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from genre.errors import StoreError
from genre.serving.events.log_table import EventStore
from genre.serving.events.sqlite import SQLiteStore, key_place, read_pages
from genre.serving.events.store import Filled
from genre.storage import publish, read_manifest

LOG = "log.sqlite"


def back_up(store: EventStore, folder: Path) -> Filled:
    """Copy a log as it is at this moment into a folder, which appears whole or not at all. Processes may go on writing.

    Args:
        store: The log.
        folder: A folder that does not exist.

    Returns:
        What was copied.

    Raises:
        StoreError: If the folder exists, or the log cannot be read.
    """
    if folder.exists():
        raise StoreError(f"{folder}: exists already; name a new folder for each backup")
    with publish(folder) as aside, closing(SQLiteStore(aside / LOG)) as copy:
        filled = copy.fill(store.pages(), store.key)
        copy.close()  # one file is left of it
    return filled


def restore(folder: Path, store: EventStore, *, replace: bool = False) -> Filled:
    """Fill a log from a backup, in one commit: the log is as before or as the backup.

    Args:
        folder: What `back_up` made.
        store: An empty log.
        replace: Replace the entries that the log has. Users who were deleted since the backup stay deleted.

    Returns:
        What was taken over.

    Raises:
        ArtifactError: If the backup is damaged.
        StoreError: If the log has entries, or a process serves from it.
    """
    if LOG not in read_manifest(folder)["files"]:
        raise StoreError(f"{folder}: not a backup of an event log; genre log backup makes one")
    store.claim(alone=True)
    return store.fill(read_pages(folder / LOG), key_place(folder / LOG).read_bytes(), replace=replace)


def copy_log(source: EventStore, target: EventStore) -> Filled:
    """Copy a log into another database, in one commit. No process may serve from either: nothing is left behind.

    Args:
        source: The log.
        target: An empty log.

    Returns:
        What was copied.

    Raises:
        StoreError: If the target has entries, or a process serves from one of them.
    """
    source.claim(alone=True)
    target.claim(alone=True)
    return target.fill(source.pages(), source.key)
