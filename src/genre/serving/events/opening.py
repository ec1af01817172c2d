"""Open the event store that an address names: SQLite beside a run, or PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path

from genre.errors import NotAvailable, StoreError
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import EventStore


def open_store(address: str | Path, *, must_exist: bool = False) -> EventStore:
    """`postgresql://...` is a PostgreSQL database, anything else the path of an SQLite file.

    Raises StoreError when it cannot be opened; must_exist: or when there is no such file yet.
    """
    if str(address).startswith(("postgresql://", "postgres://")):
        try:
            from genre.serving.events.postgres import PostgresStore
        except ImportError as error:
            raise NotAvailable("a log in PostgreSQL needs psycopg: pip install 'genre-rec[postgres]'") from error
        return PostgresStore(str(address))
    if must_exist and not Path(address).is_file():
        raise StoreError(f"{address}: no event log; it begins when the run is served, and --store says where it lies")
    return SQLiteStore(Path(address))


def beside(folder: Path) -> Path:
    """Where the log of a run lies unless somebody says otherwise: all runs of one experiment have the same."""
    folder = folder.resolve()
    experiment = re.sub(r"-[0-9a-f]{8}$", "", folder.name)  # without the run's key
    return folder.parent / f"{experiment}.events.sqlite"
