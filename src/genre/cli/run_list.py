"""The verb runs: the runs in a folder, each with the value of its best recommender."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genre.cli.arguments import add_verb
from genre.errors import ArtifactError

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs


class ListedRun(NamedTuple):
    """What the list shows of a run.

    Attributes:
        folder: Its folder.
        finished: When it was finished, seconds since 1970; None: it is not finished.
        best: The recommender that answers.
        metric: The metric that sorts its leaderboard.
        value: The value of `best` by it, on the test part.
        users: How many users were evaluated.
    """

    folder: Path
    finished: float | None
    best: str = ""
    metric: str = ""
    value: float | None = None
    users: int | None = None


def add_runs_verb(verbs: Verbs) -> None:
    """Add the verb of this file.

    Args:
        verbs: the verbs of `genre`.
    """
    parser = add_verb(verbs, "runs", _runs, "List the runs in a folder, newest first, with their best value.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def list_runs(folder: Path) -> list[ListedRun]:
    """Find the runs in a folder; what is read is their reports, not their models.

    Args:
        folder: The folder.

    Returns:
        The finished ones, newest first, then those that are not finished.

    Raises:
        ArtifactError: There is no such folder.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder; `genre run CONFIG` makes runs in it")
    return sorted(_found(folder), key=lambda run: (run.finished is None, -(run.finished or 0), run.folder))


def _found(folder: Path) -> Iterator[ListedRun]:
    from genre import storage
    from genre.config.reading import FULL_CONFIG

    for config in folder.glob(f"[!.]*/{FULL_CONFIG}"):
        manifest = config.parent / storage.MANIFEST
        if not manifest.is_file():
            yield ListedRun(config.parent, None)
            continue
        finished = manifest.stat().st_mtime
        try:
            yield ListedRun(config.parent, finished, *_best_of(storage.read_json(config.parent / "report.json")))
        except (ArtifactError, KeyError, TypeError, AttributeError, StopIteration, ValueError):
            yield ListedRun(config.parent, finished, "(no report that can be read)")


def _best_of(report: dict[str, Any]) -> tuple[str, str, float | None, int | None]:
    """Return the best recommender of a report, the metric, its value and the number of users."""
    best, metric = str(report["best"]), str(report["primary"])
    row = next(row for row in report["leaderboard"] if row["name"] == best)
    value, users = row["values"].get(metric), row["counts"].get("users")
    return best, metric, None if value is None else float(value), None if users is None else int(users)


def _runs(args: argparse.Namespace) -> None:
    found = list_runs(args.folder)
    if args.json:
        rows = [{**run._asdict(), "folder": str(run.folder)} for run in found]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    from rich.table import Table

    from genre.cli.terminal import escaped, stdout

    table = Table(box=None, padding=(0, 1))
    for column in ("run", "finished", "best", "metric", "value", "users"):
        table.add_column(column, justify="right" if column in ("value", "users") else "left", overflow="fold")
    for run in found:
        when = "not finished" if run.finished is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(run.finished))
        value, users = "" if run.value is None else f"{run.value:.4f}", "" if run.users is None else f"{run.users:,}"
        table.add_row(escaped(str(run.folder)), when, escaped(run.best), run.metric, value, users)
    stdout().print(table)
