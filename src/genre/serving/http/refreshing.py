"""Refreshes of the served runs at an interval, each in a process of its own."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from genre.data.durations import DAY, HOUR
from genre.errors import OptionError
from genre.log import SILENT, Log
from genre.serving.refresh_record import RefreshNotes, RefreshRecord, RefreshSchedule, read_record, write_record

SECONDS = {"m": 60, "h": HOUR, "d": DAY}
SHORTEST = 60.0


def parse_interval(text: str) -> float:
    """Read an interval.

    Args:
        text: Such as `30m`, `6h` or `1d`.

    Returns:
        Seconds.

    Raises:
        OptionError: If it is none, or shorter than a minute.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", text)
    seconds = float(found[1]) * SECONDS[found[2]] if found else 0.0
    if seconds < SHORTEST:
        raise OptionError(f"--refresh-every: found {text!r}; expected at least a minute, such as 30m, 6h or 1d")
    return seconds


class Refresher:
    """Runs `genre refresh` for each served run, one after the other; the service takes the new runs over by itself."""

    def __init__(
        self, folders: Mapping[str, Path], store: str, every: float, *, trust: bool = False, log: Log = SILENT
    ) -> None:
        """Make a refresher.

        Args:
            folders: Folder of each run by name.
            store: Address of the event log.
            every: Seconds between the ends of two rounds.
            trust: Run code of the folders.
            log: Gets a line for each refresh.
        """
        self._folders, self._store, self._every, self._trust, self._log = dict(folders), store, every, trust, log
        self.schedule = RefreshSchedule(int(time.time() + every))

    def keep_refreshing(self, stop: threading.Event) -> None:
        """Refresh all runs at the interval.

        Args:
            stop: Ends it.
        """
        while not stop.wait(self._every):
            for name, folder in self._folders.items():
                if stop.is_set():
                    return
                try:
                    self.refresh(name, folder, stop)
                except Exception as error:  # the next round tries again
                    self.schedule.running.pop(name, None)
                    with contextlib.suppress(OSError):
                        write_record(folder, RefreshNotes().record("failed", str(error)))
                    self._log.line(f"{name}: no refresh: {error}")
            self.schedule.next_round = int(time.time() + self._every)

    def refresh(self, name: str, folder: Path, stop: threading.Event) -> None:
        """Refresh one run in a process of its own, at low priority; files of the working folder are no modules there.

        Args:
            name: Name of the run.
            folder: Its folder.
            stop: Ends the process.
        """
        notes = RefreshNotes()
        self.schedule.running[name] = notes.began
        words = [sys.executable, "-P", "-m", "genre", "refresh", str(folder), "--store", self._store]
        words += ["--trust"] * self._trust
        try:
            process = subprocess.Popen(
                ["nice", "-n", "10", *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            ended_well, message = False, str(error)
        else:
            threading.Thread(target=_end_at, args=(process, stop), daemon=True).start()
            output, _ = process.communicate()
            message = next((line for line in reversed(output.splitlines()) if line.strip()), "")
            ended_well = process.returncode == 0
        if not ended_well:
            _record_failure(folder, notes.record("failed", message))
        del self.schedule.running[name]
        self._log.line(f"{name}: refresh {'ended' if ended_well else 'failed or was held back'}: {message}")


def _record_failure(folder: Path, record: RefreshRecord) -> None:
    """Record a refresh that ended before it could do so itself, such as one that was killed."""
    written = read_record(folder)
    if written is None or written.began < record.began:
        with contextlib.suppress(OSError):
            write_record(folder, record)


def _end_at(process: subprocess.Popen[str], stop: threading.Event) -> None:
    while process.poll() is None:
        if stop.wait(1.0):
            process.terminate()
            return
