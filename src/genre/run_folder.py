"""The folder of a finished run: whether it is whole, and reading it.

Reads what `workspace.py` describes; does not know how a run is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genre import storage
from genre.config.reading import FULL_CONFIG, read_config
from genre.data.after_split import apply_part_rules
from genre.data.parquet import read_dataset
from genre.errors import ArtifactError, ConfigError, NotImportable
from genre.features.augmented_columns import read_augmented
from genre.features.thumbnails import Thumbnails
from genre.kinds import REMEDY
from genre.recommenders.base import Recommender
from genre.recommenders.item_index import ItemIndex
from genre.rules.rule_set import rules_for
from genre.runs import Run
from genre.workspace import PICTURES, read_features


def manifest_of(folder: Path) -> dict[str, Any]:
    """Read and check the manifest of a finished run.

    Args:
        folder: The folder of the run.

    Returns:
        The manifest.

    Raises:
        ArtifactError: The folder is not a run, or not a whole one; the message names the runs in it.
    """
    if not folder.is_dir():
        what = "a file, not a run folder" if folder.exists() else "no such run folder"
        raise ArtifactError(f"{folder}: {what}; `genre run CONFIG` makes one and prints its path")
    begun = (folder / "config.yaml").is_file() and not folder.name.endswith("-tuning")  # what `genre tune` leaves
    if not begun and not (folder / storage.MANIFEST).is_file():
        runs = (path.parent for path in folder.glob("[!.]*/config.yaml"))
        inside = sorted(run.name for run in runs if (run / storage.MANIFEST).is_file())
        remedy = f"give one of those in it: {', '.join(inside)}" if inside else "give the path that `genre run` printed"
        raise ArtifactError(f"{folder}: not a run folder; {remedy}")
    manifest = storage.read_manifest(folder)
    if "best_first" not in manifest:
        raise ArtifactError(f"{folder}: not a run but a part of one; give the folder whose path `genre run` printed")
    return manifest


class ReadWhenUsed(Mapping[str, Recommender]):
    """The recommenders of a run, each read when it is first used and then kept."""

    def __init__(self, labels: Sequence[str], read: Callable[[str], Recommender]) -> None:
        """Read none yet.

        Args:
            labels: Their labels, best first.
            read: Reads one.
        """
        self._labels, self._read = dict.fromkeys(labels), read
        self._kept: dict[str, Recommender] = {}

    def __getitem__(self, label: str) -> Recommender:
        if label not in self._labels:
            raise KeyError(label)
        if label not in self._kept:
            self._kept[label] = self._read(label)
        return self._kept[label]

    def __contains__(self, label: object) -> bool:
        return label in self._labels

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)


def read_run(folder: str | Path, *, trust: bool = False, evaluated: bool = False, lazy: bool = False) -> Run:
    """Read a finished run.

    Args:
        folder: The folder of the run, as `genre run` printed it.
        trust: Import classes of the user from the folder and the working directory too, which runs code of the folder;
            otherwise only modules that can be imported without it.
        evaluated: Read the recommenders that the report is about, also where one was learnt again from all
            interactions (`evaluation.refit`) and answers in its place.
        lazy: Read each recommender when it is first used, so that those that are not used take no memory. What fails
            to load is then found so late; changed files are found at once all the same.

    Returns:
        The run, ready to recommend.

    Raises:
        ArtifactError: The run is unfinished, changed, damaged or of another version; the message names the file and
            says what to do.

    Example:
        >>> import genre
        >>> folder = genre.run("movies.yaml").folder
        >>> list(genre.read_run(folder).recommenders)
        ['ease', 'popularity']
    """
    path = Path(folder)
    try:
        manifest = manifest_of(path)
        refitted = () if evaluated else tuple(manifest.get("refitted", ()))
        return _assemble(path, manifest["best_first"], refitted, trust=trust, lazy=lazy)
    except PermissionError as error:
        raise ArtifactError(f"{error.filename or path}: {error.strerror}; check who may read it") from error
    except NotImportable as error:
        raise ArtifactError(f"{path}: {error}") from error
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{path}: does not fit this version of GENRE ({error}); {REMEDY}") from error


def _assemble(path: Path, best_first: Sequence[str], refitted: tuple[str, ...], *, trust: bool, lazy: bool) -> Run:
    """Read the parts of a run whose files are known to be whole."""
    data_key = storage.read_manifest(path / "dataset")["key"]
    experiment = read_config(path / FULL_CONFIG, trust=trust).experiment.with_budgets_of(data_key)
    sides = {side.name: read_features(side) for side in sorted((path / "features").glob("[!.]*"))}
    classes = {label: type(recommender) for label, recommender in experiment.named().items()}
    encoder = experiment.features.items
    dataset = read_dataset(path / "dataset" / "tables")
    if experiment.augmentation is not None:
        dataset = read_augmented(path / "augmentation").apply(dataset)
    dataset = dataset.with_features(**sides)
    if not (isinstance(best_first, list) and best_first and all(isinstance(label, str) for label in best_first)):
        raise ArtifactError(f"{path}: names no recommenders; {REMEDY}")

    def read(label: str) -> Recommender:
        place = path / ("refitted" if label in refitted else "recommenders") / label / "model"
        recommender = classes[label].load(place)
        if not recommender.item_ids_.values.equals(dataset.item_ids.values):
            raise ArtifactError(f"{path}: the recommender {label!r} is of other items than the data; {REMEDY}")
        if (index := path / "indexes" / label).is_dir():
            recommender.use_index(ItemIndex.load(index))
        return recommender

    if any(label not in classes for label in best_first):
        raise KeyError("a recommender that the config does not name")
    recommenders = ReadWhenUsed(best_first, read)
    if not lazy:
        for label in recommenders:
            recommenders[label]
    return Run(
        folder=path,
        name=experiment.name,
        dataset=apply_part_rules(dataset),
        unsplit=dataset,
        recommenders=recommenders,
        item_encoder=None if encoder is None else type(encoder).load(path / "features" / "items" / "encoder"),
        report=storage.read_json(path / "report.json"),
        wording=experiment.output.explanations,
        splitter=experiment.split,
        rules=rules_for(experiment.rules, dataset),
        event_kinds=experiment.events,
        serving=experiment.serving,
        refitted=refitted,
        engine=experiment.engine,
        llm=experiment.llm,
        pictures=None if experiment.output.pictures is None else Thumbnails.load(path / PICTURES),
    )
