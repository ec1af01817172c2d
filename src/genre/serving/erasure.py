"""What is still kept of deleted users, where, and until when. Knows no HTTP.

An answer never shows a deleted user. What remains is in files: rows that the database of the event log has freed but
not yet overwritten, and runs that were made before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from genre.data.parquet import read_dataset
from genre.errors import ArtifactError
from genre.serving.deleted_users import from_before_deletion
from genre.serving.events.deletion import DeletedUsers
from genre.serving.events.log_table import EventStore
from genre.serving.loaded_run import LoadedRun
from genre.serving.refresh import previous_folder
from genre.serving.state import State
from genre.storage import published_at


class Erasure:
    """Erases what can be erased beside a running service, and lists what cannot."""

    def __init__(self, store: EventStore, state: State) -> None:
        """Begin without knowing anything.

        Args:
            store: The event store.
            state: The loaded runs and the deleted users.
        """
        self._store, self._state = store, state
        self._in_runs: dict[
            object, tuple[int, str | None]
        ] = {}  # by what was looked at: how many deletions, what is left

    def go_on(self) -> None:
        """Erase what the database of the log has freed, and look for deleted users in the runs.

        Raises:
            StoreError: If the log cannot be used.
        """
        try:
            self._store.erase()
        finally:
            self._look_into_runs()

    def remains(self) -> list[str]:
        """Say what is still kept of deleted users, and until when.

        Returns:
            A line for each place, none when all is erased.
        """
        in_log = [] if self._store.erased else [self._store.unerased]
        return in_log + [left for _, left in list(self._in_runs.values()) if left]

    def remains_of(self, user_id: str) -> list[str]:
        """Say what is still kept of a user who was deleted just now, and until when.

        Args:
            user_id: The user.

        Returns:
            A line for each place.
        """
        for loaded in list(self._state.loaded_runs.values()):
            if user_id in loaded.run.dataset.user_ids:
                self._in_runs = {**self._in_runs, loaded.run: (self._state.deleted_users.n_deletions, _in_run(loaded))}
        return [self._store.unerased, *(left for _, left in self._in_runs.values() if left)]

    def _look_into_runs(self) -> None:
        """Look into each run and the one before it, again only after another deletion."""
        deleted, before = self._state.deleted_users, self._in_runs
        n_deletions = deleted.n_deletions
        found: dict[object, tuple[int, str | None]] = {}

        def look(place: object, into: Callable[[], str | None]) -> None:
            looked, left = before.get(place, (0, None))
            found[place] = (looked, left) if left or looked == n_deletions else (n_deletions, into())

        for loaded in list(self._state.loaded_runs.values()) if n_deletions else ():
            replaced = previous_folder(loaded.run.folder)
            look(loaded.run, partial(_left_in_run, loaded, deleted))
            if (published := published_at(replaced)) is not None:
                look(published, partial(_left_in_folder, replaced, deleted))
        self._in_runs = found

    def report_shows_deleted(self, name: str | None = None) -> bool:
        """Tell whether a user who was deleted since is an example in the report of a run.

        Args:
            name: Name of the run; None: the first.

        Returns:
            Whether the report must not be shown.
        """
        loaded = self._state.loaded_run(name)
        examples = loaded.run.report.get("examples", [])
        return any(self._state.is_deleted(str(example["user_id"]), loaded) for example in examples)


def _left_in_run(loaded: LoadedRun, deleted: DeletedUsers) -> str | None:
    return _in_run(loaded) if from_before_deletion(loaded.run.dataset, deleted).any() else None


def _in_run(loaded: LoadedRun) -> str:
    return f"run {loaded.name}: its data, its report and what it learnt, until it is refreshed"


def _left_in_folder(folder: Path, deleted: DeletedUsers) -> str | None:
    try:
        holds = bool(from_before_deletion(read_dataset(folder / "dataset" / "tables"), deleted).any())
    except ArtifactError:
        holds = True  # a damaged run may hold anything
    return f"{folder.name}: the run before, until it is refreshed again or that folder is removed" if holds else None
