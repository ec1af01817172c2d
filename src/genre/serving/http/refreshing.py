"""Refreshes of the served runs at an interval, each in a process of its own, and what became of the last one."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from genre.errors import OptionError
from genre.log import SILENT, Log

SECONDS = {"m": 60, "h": 3600, "d": 86_400}
SHORTEST = 60.0


@dataclass(frozen=True)
class RefreshState:
    """What became of the last refresh of a run.

    Attributes:
        began: When, in seconds since 1970.
        seconds: How long it took; None: it goes on.
        ended_well: Whether the new run went live or there was nothing to do; None: it goes on.
        message: The last line that it said.
    """

    began: int
    seconds: float | None = None
    ended_well: bool | None = None
    message: str = ""


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
        self.states: dict[str, RefreshState] = {}

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
                    self.states[name] = RefreshState(int(time.time()), 0.0, ended_well=False, message=str(error))
                    self._log.line(f"{name}: no refresh: {error}")

    def refresh(self, name: str, folder: Path, stop: threading.Event) -> None:
        """Refresh one run in a process of its own, at low priority; files of the working folder are no modules there.

        Args:
            name: Name of the run.
            folder: Its folder.
            stop: Ends the process.
        """
        began, moment = int(time.time()), time.monotonic()
        self.states[name] = RefreshState(began)
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
        self.states[name] = RefreshState(began, time.monotonic() - moment, ended_well, message)
        self._log.line(f"{name}: refresh {'ended' if ended_well else 'failed or was held back'}: {message}")


def _end_at(process: subprocess.Popen[str], stop: threading.Event) -> None:
    while process.poll() is None:
        if stop.wait(1.0):
            process.terminate()
            return
