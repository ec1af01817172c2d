"""Lists for all users or all items of a run, into one file: what the verb recommend does without a single user."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from genre.display import counted
from genre.errors import DataError, GenreError, UnknownId

if TYPE_CHECKING:
    from genre.batch_recommendations import Lists
    from genre.runs import Run


def add_list_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this file.

    Args:
        parser: the parser of the verb recommend.
    """
    parser.add_argument("--all", action="store_true", help="lists for all users, into the file --out")
    parser.add_argument("--users", metavar="FILE", help="lists for the users of a text file with one id a line")
    parser.add_argument("--similar", action="store_true", help="with --all: similar items for all items instead")
    text = "file of the lists: .parquet, .csv or .jsonl; an interrupted call goes on where it stopped"
    parser.add_argument("--out", metavar="FILE", help=text)
    parser.add_argument("--with-reasons", action="store_true", help="with --out: add a reason, which takes far longer")


def write_lists(run: Run, args: argparse.Namespace) -> None:
    """Write the file that `--out` names.

    Args:
        run: the run.
        args: the arguments of the verb recommend.

    Raises:
        GenreError: arguments that exclude each other.
    """
    from genre.log import ConsoleLog

    _check(args)
    lists, out, log, began = _lists(run, args), Path(args.out), ConsoleLog(), time.process_time()
    out.parent.mkdir(parents=True, exist_ok=True)
    with run.engine as engine:
        n = lists.write(out, engine, _key(run, lists, args), log=log)
    log.line(f"{counted(n, 'list')} in {out}, {time.process_time() - began:.1f} CPU seconds")


def _check(args: argparse.Namespace) -> None:
    single = [name for name in ("user", "history", "ask", "context", "json") if getattr(args, name)]
    if single:
        raise GenreError(f"--{single[0]} is of one list, --out of many; give one of them")
    if not args.out or not (args.all or args.users):
        raise GenreError("lists for many users are written to a file: --all (or --users FILE) and --out lists.parquet")
    if args.similar and (args.users or args.with_reasons):
        raise GenreError("--similar goes with --all: it lists similar items for every item, without reasons")


def _lists(run: Run, args: argparse.Namespace) -> Lists:
    import numpy as np

    from genre.batch_recommendations import SimilarLists, UserLists, rows_to_list
    from genre.serving.deleted_users import users_to_hide

    recommender = run.recommender(args.using)
    if args.similar:
        return SimilarLists(recommender, run.dataset, args.k, np.arange(run.dataset.n_items))
    ids = None if args.users is None else _read_ids(Path(args.users))
    try:
        rows = rows_to_list(ids, run.dataset, hidden=users_to_hide(run, args.store))
    except UnknownId as error:
        raise UnknownId(f"{args.users}: {error}") from None
    return UserLists(recommender, run.dataset, args.k, rows, reasons=args.with_reasons, rules=run.rules)


def _read_ids(path: Path) -> list[str]:
    """Read the ids of a text file, one a line."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); give a UTF-8 text file with one user id a line") from error
    ids = [line for line in lines if line]
    if not ids:
        raise DataError(f"{path}: holds no ids; give one user id a line")
    return ids


def _key(run: Run, lists: Lists, args: argparse.Namespace) -> str:
    """Return a digest of everything that the lists depend on."""
    from genre.storage import MANIFEST, sha256
    from genre.workspace import key_of

    options = args.using, args.k, args.similar, args.with_reasons
    return key_of(sha256(run.folder / MANIFEST), *options, lists.rows.tolist())
