"""The folder of a run while it is made: which steps are built and which are reused.

Does not know the order of the steps.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from genre import storage
from genre.config.reading import Config
from genre.config.writing import to_yaml
from genre.data.dataset import Features
from genre.errors import ArtifactError, GenreError


def key_of(*parts: Any) -> str:
    """A digest of plain values: equal keys mean equal work."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time makes the run in `folder`; GenreError for the others."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=0)
    try:
        with lock:
            yield
    except Timeout as error:
        raise GenreError(f"{folder}: another process is making this run; wait for it or stop it") from error


class Workspace:
    """A run's folder while it is made: a step that an earlier run has made is taken over, by key.

    made, reused: the names of the steps so far. unanswered: questions to a language model that failed on the way.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self.made: list[str] = []
        self.reused: list[str] = []
        self.unanswered = 0
        self._keys: dict[str, str] = {}

    def finished(self) -> bool:
        """Whether the whole run stands, unchanged since it was finished, and nothing is left to be asked again."""
        return _holds(self.folder, self.key) and not storage.read_manifest(self.folder).get("unanswered")

    def begin(self, config: Config) -> None:
        """Make the folder; from here to `finish` it does not load."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / storage.MANIFEST).unlink(missing_ok=True)
        (self.folder / "log.jsonl").unlink(missing_ok=True)
        (self.folder / "config.yaml").write_text(config.text, encoding="utf-8")
        (self.folder / "config.full.yaml").write_text(to_yaml(config.full), encoding="utf-8")

    def reuse(self, name: str, key: str) -> bool:
        """Whether the step is there: in this folder, or copied from another run of the same name."""
        self._keys[name] = key
        if not _holds(self.folder / name, key):
            donor = next((run / name for run in self._others() if _holds(run / name, key)), None)
            if donor is None:
                return False
            with storage.publish(self.folder / name, key=key) as aside:
                shutil.copytree(donor, aside, dirs_exist_ok=True)
        self.reused.append(name)
        return True

    @contextmanager
    def publish(self, name: str, key: str) -> Iterator[Path]:
        """Write a step's files into the yielded folder; they stand at `name`, whole, afterwards."""
        with storage.publish(self.folder / name, key=key) as aside:
            yield aside
        self.made.append(name)
        shutil.rmtree(self.scratch(name), ignore_errors=True)

    def key_with_failures(self, key: str, failed: int) -> str:
        """The key of a step in which `failed` questions had no answer: the next run makes it again."""
        self.unanswered += failed
        return f"{key} without {failed}" if failed else key

    def scratch(self, name: str) -> Path:
        """A folder where a long step keeps its place until it is published."""
        place = self.folder / "unfinished" / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def key_of(self, name: str) -> str:
        """The key of a step of this run; empty where the config has no such step."""
        return self._keys.get(name, "")

    def entries(self, name: str) -> list[dict[str, Any]]:
        """What a step recorded in its log."""
        path = self.folder / name / "log.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []

    def finish(self, **facts: Any) -> None:
        """Hash every file: from here on the run loads."""
        shutil.rmtree(self.folder / "unfinished", ignore_errors=True)
        storage.write_manifest(self.folder, key=self.key, unanswered=self.unanswered, **facts)

    def _others(self) -> Iterator[Path]:
        stem = self.folder.name.rpartition("-")[0]
        yield from (run for run in sorted(self.folder.parent.glob(f"{stem}-????????")) if run != self.folder)


def _holds(folder: Path, key: str) -> bool:
    """Whether a whole folder with this key stands: a cheap look first, then every hash."""
    try:
        return storage.read_json(folder / storage.MANIFEST)["key"] == key and bool(storage.read_manifest(folder))
    except (ArtifactError, KeyError, TypeError):
        return False


def write_features(folder: Path, features: Features) -> None:
    storage.write_tensors(folder / "values.safetensors", {"values": features.values})
    storage.write_json(folder / "features.json", {"fingerprint": features.fingerprint})


def read_features(folder: Path) -> Features:
    values = storage.read_tensors(folder / "values.safetensors")["values"]
    return Features(values.astype(np.float32), storage.read_json(folder / "features.json")["fingerprint"])
