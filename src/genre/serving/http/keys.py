"""A file of keys: read at the start and again whenever it changes, so that keys are replaced without a restart."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import cast

from genre.display import counted
from genre.errors import GenreError, OptionError
from genre.log import SILENT, Log
from genre.serving.http.access import KEY_SCOPES, ApiKeys, KeyScope

WATCH_SECONDS = 2.0  # between two looks at the file
MAX_BYTES = 100_000


def read_keys(path: Path) -> ApiKeys:
    """Read a file of keys: one a line, and behind it what it is for, such as `KEY read,events`; without that: all.

    Empty lines and lines that begin with `#` are skipped.

    Args:
        path: The file.

    Returns:
        The keys.

    Raises:
        GenreError: If the file cannot be read, others may read or change it, or a line is no key. Messages show no key.
    """
    scopes_by_key: dict[str, tuple[KeyScope, ...]] = {}
    for number, line in enumerate(_lines(path), start=1):
        words = line.split()
        if not words or line.lstrip().startswith("#"):
            continue
        if len(words) > 2:
            raise OptionError(
                f"{path}, line {number}: a key, and perhaps its scopes with commas between; no more words"
            )
        if words[0] in scopes_by_key:
            raise OptionError(f"{path}, line {number}: the key of an earlier line again")
        scopes = tuple(words[1].split(",")) if len(words) == 2 else KEY_SCOPES
        try:
            ApiKeys({words[0]: cast(tuple[KeyScope, ...], scopes)})
        except OptionError as error:
            raise OptionError(f"{path}, line {number}: {error}") from None
        scopes_by_key[words[0]] = cast(tuple[KeyScope, ...], scopes)
    if not scopes_by_key:
        raise OptionError(f"{path}: no key in it; write one of at least 16 letters and digits")
    return ApiKeys(scopes_by_key)


def _lines(path: Path) -> list[str]:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            _check_mode(path, os.fstat(file.fileno()))
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise OptionError(f"{path}: larger than {MAX_BYTES:,} bytes, so this is no file of keys")
        return content.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise GenreError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise GenreError(f"{path}: not UTF-8 text; write a key of letters and digits into it") from None


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, and no pipe, which would be waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_mode(path: Path, found: os.stat_result) -> None:
    """Refuse what is no file, a file that others may change, and one of our own that they may read.

    A secret that is mounted into a container belongs to another user; its reader cannot change who else may read it.
    """
    if not stat.S_ISREG(found.st_mode):
        raise OptionError(f"{path}: no file; write the keys into one")
    mode = stat.S_IMODE(found.st_mode)
    open_to = mode & (stat.S_IRWXG | stat.S_IRWXO)
    if mode & (stat.S_IWGRP | stat.S_IWOTH) or (open_to and found.st_uid == os.geteuid()):
        raise OptionError(f"{path}: other users of this machine may use it (mode {mode:04o}); chmod 600 it")


def watch_keys(
    path: Path, keys: ApiKeys, stop: threading.Event, *, every: float = WATCH_SECONDS, log: Log = SILENT
) -> None:
    """Watch a file of keys and take over what is in it when it changes. While it cannot be read, the known keys hold.

    Args:
        path: The file.
        keys: The keys to keep up to date.
        stop: Ends the watch.
        every: Seconds between two looks.
        log: Gets a line for each change and each failure.
    """
    seen: tuple[int, ...] | None = ()  # so that the first look misses no change since the start
    said = ""
    while not stop.wait(every):
        now = _signature(path)
        if now == seen:
            continue
        try:
            if keys.replace(read_keys(path)):
                log.line(f"{path}: changed; {counted(len(keys), 'key is', 'keys are')} valid now")
            seen, said = now, ""
        except Exception as error:  # the thread lives on whatever happens, since nothing else takes keys away
            if str(error) != said:
                log.line(f"the keys of before stay valid: {error}")
            said = str(error)


def _signature(path: Path) -> tuple[int, ...] | None:
    """Return a value that changes with the file, its mode included."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode
