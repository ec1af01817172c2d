"""Several that open one new SQLite file at once."""

import sqlite3
import threading
from pathlib import Path

import pytest

from genre.sqlite_files import use_write_ahead_log


def test_all_that_open_a_new_file_at_once_succeed(tmp_path: Path) -> None:
    wrong: list[Exception] = []

    def opened(path: Path, start: threading.Barrier) -> None:
        start.wait()
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            use_write_ahead_log(connection, 30)
            connection.execute("CREATE TABLE IF NOT EXISTS seen (id INTEGER)")
        except sqlite3.Error as error:
            wrong.append(error)
        finally:
            connection.close()

    for attempt in range(20):
        start = threading.Barrier(8)
        threads = [threading.Thread(target=opened, args=(tmp_path / f"{attempt}.sqlite", start)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_file_that_stays_locked_is_refused_in_time(tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "held.sqlite", isolation_level=None)
    holder.execute("CREATE TABLE one (id INTEGER)")
    holder.execute("BEGIN EXCLUSIVE")
    other = sqlite3.connect(tmp_path / "held.sqlite", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_write_ahead_log(other, 0.05)
    holder.close()
    other.close()
