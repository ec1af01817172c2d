"""The folder of a run while it is made: which steps are built and which are reused.

    runs/movies-1a2b3c4d/
      config.yaml  config.full.yaml      as written, and with every default filled in
      dataset/  augmentation/  features/<side>/  recommenders/<name>/  evaluations/<name>/    one whole folder a step
      report.json  report.html  log.jsonl
      manifest.json                      written last: without it nothing loads

The folder of a step carries a key: a digest of everything that the step was made of. A step with an equal key is
reused, from this folder or from another run of the same name. Does not know the order of the steps.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from genre import storage
from genre.config.experiment import Experiment
from genre.config.reading import FULL_CONFIG, Config
from genre.config.writing import to_dict, to_yaml
from genre.data.dataset import Dataset
from genre.data.features import Block, Features
from genre.data.parquet import read_dataset, write_dataset
from genre.errors import ArtifactError, GenreError
from genre.features.base import Encoder
from genre.kinds import declared
from genre.log import Log
from genre.preprocessing.cleaning_report import CleaningReport
from genre.recommenders.base import Recommender
from genre.recommenders.network_base import start_manifests
from genre.version import __version__

PICTURES = "pictures"
"""The folder of the small pictures of items."""
SEARCH = "tuning.json"
"""The file with what `genre tune` found, beside the config it wrote and in the run of that config."""


def key_of(*parts: Any) -> str:
    """Compute the key of a step.

    Args:
        *parts: Plain values: everything that the result of the step depends on.

    Returns:
        A digest: equal keys mean equal work.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from making the run in `folder` during the block.

    Args:
        folder: The folder of the run.

    Raises:
        GenreError: Another process is making this run.
    """
    from filelock import FileLock, Timeout

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=0)
    try:
        with lock:
            yield
    except Timeout as error:
        raise GenreError(f"{folder}: another process is making this run; wait for it or stop it") from error


class Workspace:
    """The folder of a run while it is made.

    Attributes:
        folder: The folder.
        key: The key of the whole run.
        made: Names of the steps that were built so far.
        reused: Names of the steps that were reused so far.
        unanswered: Number of questions to a language model without an answer so far: failed, or over the budget.
        search: What `genre tune` found when it wrote the config of this run; empty for other runs.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self.made: list[str] = []
        self.reused: list[str] = []
        self.unanswered = 0
        self.search: list[dict[str, Any]] = []
        self._keys: dict[str, str] = {}
        self._begun = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time since the run was begun."""
        return time.perf_counter() - self._begun

    def finished(self) -> bool:
        """Tell whether the whole run is there, unchanged since it was finished, with every question answered.

        Returns:
            True where a new run of the same config would change nothing.
        """
        return _holds(self.folder, self.key) and not storage.read_manifest(self.folder).get("unanswered")

    def begin(self, config: Config, search: Sequence[dict[str, Any]] | None = None) -> None:
        """Make the folder; from here to `finish` it does not load.

        Args:
            config: The config of the run.
            search: What `genre tune` found when it wrote this config; None: what the folder holds stays.
        """
        self.search = list(search or ())
        self._begun = time.perf_counter()
        self.folder.mkdir(exist_ok=True)
        (self.folder / storage.MANIFEST).unlink(missing_ok=True)
        (self.folder / "log.jsonl").unlink(missing_ok=True)
        (self.folder / "config.yaml").write_text(config.text, encoding="utf-8")
        (self.folder / FULL_CONFIG).write_text(to_yaml(config.full), encoding="utf-8")
        if search is not None:
            storage.write_json(self.folder / SEARCH, self.search)

    def reuse(self, name: str, key: str) -> bool:
        """Look for a step in this folder and in other runs of the same name, from which it is copied.

        Args:
            name: The folder of the step, such as `recommenders/ease`.
            key: Its key.

        Returns:
            True where the step is there now; False where it has to be built.
        """
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
        """Write the files of a step into the yielded folder, which becomes the step's folder at the end of the block.

        Args:
            name: The folder of the step.
            key: Its key.
        """
        with storage.publish(self.folder / name, key=key) as aside:
            yield aside
        self.made.append(name)
        shutil.rmtree(self.scratch(name), ignore_errors=True)

    def key_with_failures(self, key: str, failed: int) -> str:
        """Mark the key of a step in which questions had no answer, so that the next run builds it again.

        Args:
            key: The key of the step.
            failed: Number of questions to a language model that failed in it, or came after the budget.

        Returns:
            The key to publish the step with.
        """
        self.unanswered += failed
        return f"{key} without {failed}" if failed else key

    def scratch(self, name: str) -> Path:
        """Return a folder for the unfinished state of a long step, such as checkpoints.

        Args:
            name: The folder of the step.

        Returns:
            A folder that is kept until the step is published.
        """
        place = self.folder / "unfinished" / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def key_of(self, name: str) -> str:
        """Return the key of a step of this run.

        Args:
            name: The folder of the step.

        Returns:
            The key; empty where the run has no such step.
        """
        return self._keys.get(name, "")

    def entries(self, name: str) -> list[dict[str, Any]]:
        """Read the log of a step.

        Args:
            name: The folder of the step.

        Returns:
            Its entries, oldest first.
        """
        path = self.folder / name / "log.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []

    def size(self, name: str) -> int:
        """Return the size of a folder of the run.

        Args:
            name: The folder, such as `recommenders/ease/model`.

        Returns:
            Bytes.
        """
        return sum(file.stat().st_size for file in (self.folder / name).rglob("*") if file.is_file())

    def finish(self, **facts: Any) -> None:
        """Hash every file; from here on the run loads.

        Args:
            **facts: Further entries of the manifest.
        """
        shutil.rmtree(self.folder / "unfinished", ignore_errors=True)
        storage.write_manifest(self.folder, key=self.key, unanswered=self.unanswered, **facts)

    def _others(self) -> Iterator[Path]:
        """Yield the folders of other runs of the same name."""
        stem = self.folder.name.rpartition("-")[0]
        yield from (run for run in sorted(self.folder.parent.glob(f"{stem}-????????")) if run != self.folder)


class Fitted(Mapping[str, Recommender]):
    """The fitted recommenders of a workspace, read when they are used and let go when nothing uses them any more."""

    def __init__(self, work: Workspace) -> None:
        """Begin with none.

        Args:
            work: The workspace.
        """
        self._work = work
        self._classes: dict[str, type[Recommender]] = {}
        self._read: WeakValueDictionary[str, Recommender] = WeakValueDictionary()

    def add(self, label: str, kind: type[Recommender]) -> None:
        """Make a recommender known, whose folder is there.

        Args:
            label: Its label.
            kind: Its class.
        """
        self._classes[label] = kind

    def __getitem__(self, label: str) -> Recommender:
        found = self._read.get(label)
        if found is None:
            found = self._classes[label].load(self._work.folder / "recommenders" / label / "model")
            self._read[label] = found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


def _holds(folder: Path, key: str) -> bool:
    """Tell whether a whole folder with this key is there: first by the key alone, then by every hash."""
    try:
        return storage.read_json(folder / storage.MANIFEST)["key"] == key and bool(storage.read_manifest(folder))
    except (ArtifactError, KeyError, TypeError):
        return False


def workspace_of(config: Config, runs: str | Path, search: Sequence[dict[str, Any]] = ()) -> Workspace:
    """Return the workspace of a config, whether its run is finished or not.

    Args:
        config: The config.
        runs: The folder of all runs.
        search: What `genre tune` found when it wrote this config.

    Returns:
        The workspace in `<runs>/<name>-<key>`. The key depends on the config, the data and all that is read besides.
    """
    experiment = config.experiment
    augmentation = "" if experiment.augmentation is None else experiment.augmentation.fingerprint()
    starts = [start for recommender in experiment.recommenders for start in start_manifests(recommender)]
    options = (
        {**to_dict(experiment), "threads": None},
        declared(experiment),
        experiment.data.fingerprint(),
        augmentation,
    )
    files = [digest for encoder in experiment.features.encoders() for digest in encoder.file_digests()]
    key = key_of(__version__, *options, *starts, *files, *search)
    return Workspace(Path(runs) / f"{experiment.name}-{key[:8]}", key)


def read_search(config: Path) -> list[dict[str, Any]]:
    """Read what `genre tune` found when it wrote a config.

    Args:
        config: The path of the config.

    Returns:
        The search of each recommender; empty for a config that `genre tune` did not write.
    """
    beside = config.with_name(SEARCH)
    return storage.read_json(beside) if beside.is_file() else []


def dataset_key(experiment: Experiment) -> str:
    """Compute the key of the dataset of an experiment.

    Args:
        experiment: The config.

    Returns:
        A digest of the data section, the content of its files, and the cleaning.
    """
    return key_of("dataset", __version__, experiment.data.fingerprint(), to_dict(experiment.cleaning))


def leave_dataset(runs: str | Path, config: Config, dataset: Dataset, report: CleaningReport) -> Path:
    """Write a dataset to where the first run of its config finds it, in this form or with other recommenders.

    Args:
        runs: The folder of all runs.
        config: The config.
        dataset: What its step of preprocessing makes.
        report: The report of the cleaning.

    Returns:
        The folder of that run, which holds nothing else and does not load.
    """
    work, key = workspace_of(config, runs), dataset_key(config.experiment)
    with locked(work.folder):
        if not work.reuse("dataset", key):
            _publish_dataset(work, key, dataset, report.as_dict())
    return work.folder


def _publish_dataset(work: Workspace, key: str, dataset: Dataset, cleaning: dict[str, Any]) -> None:
    with work.publish("dataset", key) as folder:
        write_dataset(dataset, folder / "tables")
        storage.write_json(folder / "cleaning.json", cleaning)


def keep_dataset(work: Workspace, key: str, make: Callable[[], tuple[Dataset, dict[str, Any]]]) -> Dataset:
    """Write the dataset of a run where it is not there yet, and read it back.

    Args:
        work: The workspace of the run.
        key: The key of the dataset.
        make: Makes the dataset and the report of its cleaning, as JSON values.

    Returns:
        The dataset.
    """
    if not work.reuse("dataset", key):
        _publish_dataset(work, key, *make())
    return read_dataset(work.folder / "dataset" / "tables")


def keep_features(
    work: Workspace, side: str, key: str, encoder: Encoder, encode: Callable[[Encoder], Features], log: Log
) -> Features:
    """Encode one side of the data where its vectors are not there yet, and read them back.

    Args:
        work: The workspace of the run.
        side: `items` or `users`.
        key: The key of the vectors.
        encoder: The encoder; saved beside its vectors.
        encode: Makes the vectors.
        log: Where progress is shown.

    Returns:
        The vectors.
    """
    name = f"features/{side}"
    if not work.reuse(name, key):
        log.line(f"features: vectors of {side}")
        with work.publish(name, key) as folder:
            write_features(folder, encode(encoder))
            encoder.save(folder / "encoder")
    return read_features(work.folder / name)


def write_features(folder: Path, features: Features) -> None:
    """Write features into a folder.

    Args:
        folder: An existing folder.
        features: The features of items or of users.
    """
    known = {f"known.{at}": block.known for at, block in enumerate(features.blocks)}
    storage.write_tensors(folder / "values.safetensors", {"values": features.values, **known})
    blocks = [{"name": block.name, "dim": block.dim} for block in features.blocks]
    storage.write_json(folder / "features.json", {"fingerprint": features.fingerprint, "blocks": blocks})


def read_features(folder: Path) -> Features:
    """Read features back.

    Args:
        folder: A folder that `write_features` wrote into.

    Returns:
        The features.

    Raises:
        ArtifactError: A file is missing or damaged.
    """
    tensors = storage.read_tensors(folder / "values.safetensors", finite=True)
    described = storage.read_json(folder / "features.json")
    with storage.reading(folder / "features.json"):
        blocks = [Block(known=tensors[f"known.{at}"], **block) for at, block in enumerate(described.get("blocks", []))]
        n, dim = tensors["values"].shape
        if any(block.known.shape != (n,) for block in blocks) or sum(block.dim for block in blocks) not in (0, dim):
            raise ValueError("blocks of another size than the vectors")
        return Features(tensors["values"].astype(np.float32), described["fingerprint"], tuple(blocks))
