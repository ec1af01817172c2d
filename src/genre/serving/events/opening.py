"""Open the event store that an address names. Knows nothing about what is in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from genre.errors import NotAvailable, StoreError

if TYPE_CHECKING:
    from genre.serving.events.log_table import EventStore

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
"""The scheme of an address; no message repeats the rest, which may hold a password."""


def open_store(address: str | Path, *, must_exist: bool = False) -> EventStore:
    """Open an event store.

    Args:
        address: `postgresql://...` for a PostgreSQL database, or the path of an SQLite file.
        must_exist: Do not make a file that is not there.

    Returns:
        The store.

    Raises:
        StoreError: If it cannot be opened, or must exist and does not.
        NotAvailable: If it is in PostgreSQL and psycopg is not installed.
    """
    text = str(address)
    scheme = ADDRESS.match(text)
    if scheme and scheme[1].lower() not in ("postgresql", "postgres"):
        raise StoreError(f"{scheme[1]}://...: no event log; give the path of an SQLite file or a postgresql:// address")
    if re.search(r"\b(host|dbname|user|password)\s*=", text) and not scheme:
        raise StoreError("the event log: connection parameters; give them as postgresql://user@host/database")
    if "\0" in text or not Path(text).name:
        raise StoreError("the event log has no name; give the path of an SQLite file or a postgresql:// address")
    if scheme:
        try:
            from genre.serving.events.postgres import PostgresStore
        except ImportError as error:
            raise NotAvailable("a log in PostgreSQL needs psycopg: pip install 'genre-rec[postgres]'") from error
        return PostgresStore(ADDRESS.sub(lambda found: found[0].lower(), text, count=1))
    if must_exist and not Path(address).is_file():
        raise StoreError(f"{address}: no event log; it is made when the run is first served, name another with --store")
    from genre.serving.events.sqlite import SQLiteStore

    return SQLiteStore(Path(address))


def default_store_path(folder: Path) -> Path:
    """Return the path of a run's event log where no other is named; all runs of one experiment share it.

    Args:
        folder: The run's folder.

    Returns:
        Path of an SQLite file in the folder of runs.
    """
    folder = folder.resolve()
    experiment = re.sub(r"-[0-9a-f]{8}$", "", folder.name)  # without the run's key
    return folder.parent / f"{experiment}.events.sqlite"
