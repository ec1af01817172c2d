"""Verbs of the event log: log backup, restore, copy, prune, export."""

from __future__ import annotations

import argparse
import json
import re
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from genre.cli.arguments import add_verb
from genre.cli.shell import command
from genre.data.durations import DAY
from genre.display import counted
from genre.errors import OptionError
from genre.log import printable

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs
    from genre.serving.events.log_table import EventStore
    from genre.serving.events.store import Filled

MOST_DAYS = 100_000  # further back than any time of an event


def add_log_verbs(verbs: Verbs) -> None:
    """Add the verb `log` with its own verbs.

    Args:
        verbs: the verbs of `genre`.
    """
    text = "Back up, restore, move and prune the event log of a service, and export one user's data."
    inner = verbs.add_parser("log", help=text, description=text).add_subparsers(metavar="VERB", required=True)

    text = "Copy an event log as it is at this moment into a folder; servers may go on."
    parser = add_verb(inner, "backup", _backup, text)
    _add_log(parser, "log")
    parser.add_argument("folder", type=Path, help="a new folder, for the log, its key and their hashes")

    parser = add_verb(inner, "restore", _restore, "Fill an event log from a backup, in one step.")
    parser.add_argument("folder", type=Path, help="a folder that genre log backup made")
    _add_log(parser, "log")
    text = "replace the entries that the log has; users who were deleted since the backup stay deleted"
    parser.add_argument("--replace", action="store_true", help=text)

    text = "Copy an event log into another database, such as from SQLite into PostgreSQL, while no server runs."
    parser = add_verb(inner, "copy", _copy, text)
    _add_log(parser, "log")
    _add_log(parser, "target")

    text = "Delete events older than a number of days; servers may go on."
    parser = add_verb(inner, "prune", _prune, text)
    _add_log(parser, "log")
    parser.add_argument("--days", type=float, required=True, help="age of the oldest events that are kept")

    text = "Print everything that is kept of one user, as JSON."
    parser = add_verb(inner, "export", _export, text)
    _add_log(parser, "log")
    parser.add_argument("user", help="a user id")
    parser.add_argument("--run", type=Path, help="the run whose data is exported too, where LOG is none")


def _add_log(parser: argparse.ArgumentParser, name: str) -> None:
    text = "a run folder (the log beside it), an SQLite file, or a postgresql:// address"
    parser.add_argument(name, metavar=name.upper(), help=text)


def _open(log: str, *, must_exist: bool = True) -> EventStore:
    from genre.run_folder import manifest_of
    from genre.serving.events.opening import default_store_path, open_store
    from genre.storage import MANIFEST

    if not Path(log).is_dir():
        return open_store(log, must_exist=must_exist)
    if not (Path(log) / MANIFEST).is_file():  # a damaged run is no reason to leave its log alone
        manifest_of(Path(log))
    return open_store(default_store_path(Path(log)), must_exist=must_exist)


def _shown(log: str) -> str:
    """Return an address without its password."""
    return re.sub(r":[^:@/]+@", ":***@", log)


def _backup(args: argparse.Namespace) -> None:
    from genre.serving.events.backup import back_up

    with closing(_open(args.log)) as store:
        filled = back_up(store, args.folder)
    print(printable(f"Backup: {args.folder} ({_describe(filled)})"))
    print(printable(f"Next:   {command('genre', 'log', 'restore', str(args.folder), _shown(args.log))}"))


def _restore(args: argparse.Namespace) -> None:
    from genre.serving.events.backup import restore

    with closing(_open(args.log, must_exist=False)) as store:
        filled = restore(args.folder, store, replace=args.replace)
        store.erase()
    print(printable(f"Restored: {_shown(args.log)} ({_describe(filled)})"))


def _copy(args: argparse.Namespace) -> None:
    from genre.serving.events.backup import copy_log

    with closing(_open(args.log)) as source, closing(_open(args.target, must_exist=False)) as target:
        filled = copy_log(source, target)
    print(printable(f"Copied: {_shown(args.log)} to {_shown(args.target)} ({_describe(filled)})"))
    print("Serve and refresh with --store from now on; remove the old log when you have seen that")


def _prune(args: argparse.Namespace) -> None:
    if not 0 < args.days <= MOST_DAYS:
        raise OptionError(f"--days: expected a number above 0, at most {MOST_DAYS:,}, found {args.days:g}")
    with closing(_open(args.log)) as store:
        erased = store.prune(int(time.time() - args.days * DAY))
        store.erase()
        left = "" if store.erased else f"; {store.unerased}"
    print(f"{counted(erased, 'event')} older than {args.days:g} days deleted{left}")


def _export(args: argparse.Namespace) -> None:
    from genre.serving.user_data import data_of_user

    run = args.run or (Path(args.log) if Path(args.log).is_dir() else None)
    with closing(_open(args.log)) as store:
        print(json.dumps(data_of_user(store, args.user, run), ensure_ascii=False, indent=2, default=str))


def _describe(filled: Filled) -> str:
    parts = [counted(filled.entries, "entry", "entries")]
    if filled.unreadable:
        parts.append(f"{counted(filled.unreadable, 'row')} left out, unreadable or with a NUL character")
    if filled.deleted:
        parts.append(f"{counted(filled.deleted, 'user')} deleted since, deleted again")
    return ", ".join(parts)
