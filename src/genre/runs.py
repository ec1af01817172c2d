"""A run's folder: names, keys, reading and writing. Knows nothing about the order of the steps.

    runs/movies-1a2b3c4d/
      config.yaml  config.full.yaml      as written, and with every default filled in
      dataset/  augmentation/  features/<side>/  recommenders/<name>/  evaluations/<name>/    one whole folder a step
      report.json  report.html  log.jsonl
      manifest.json                      written last: without it nothing loads

A step's folder carries the key of everything that made it, so that a later run takes over what is unchanged.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from genre import storage
from genre.config import Config, read_config, to_yaml
from genre.errors import ArtifactError, ConfigError, GenreError, NotImportable, UnknownId
from genre.features.augmentation import read_augmented
from genre.features.base import Encoder
from genre.kinds import REMEDY
from genre.options import nearest
from genre.preprocessing.dataset import Dataset, Features, History
from genre.preprocessing.frames import to_frame
from genre.preprocessing.parquet import read_dataset
from genre.preprocessing.splits import Splitter
from genre.recommenders.base import Recommender
from genre.recommenders.llm_reranker import UNUSED, account_of, told_account
from genre.recommenders.verbaliser import Verbaliser, told_tally


@dataclass(frozen=True)
class Recommended:
    """One recommended item as people see it."""

    item_id: str
    title: str
    score: float
    reason: str


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, read back and checked.

    dataset: all interactions, with item and user features attached. recommenders: fitted, by name, best first.
    item_encoder: what made the item features, or None. report: what `report.json` holds.
    verbaliser: who puts reasons into words. splitter: what parts the interactions that were learnt from, or None.
    """

    folder: Path
    name: str
    dataset: Dataset
    recommenders: dict[str, Recommender]
    item_encoder: Encoder | None = None
    report: dict[str, Any] = field(default_factory=dict)
    verbaliser: Verbaliser | None = None
    splitter: Splitter | None = None

    @property
    def leaderboard(self) -> Any:
        """Test metrics by recommender, best first, as a pandas, Polars or Arrow table: whichever is installed."""
        rows = self.report["leaderboard"]
        return to_frame(
            [{"recommender": row["name"], **row["values"], "tied_with_best": row["tied_with_best"]} for row in rows]
        )

    def recommender(self, name: str | None = None) -> Recommender:
        """By name; without one, the best on the validation part."""
        if name is None:
            return next(iter(self.recommenders.values()))
        if name not in self.recommenders:
            known = ", ".join(self.recommenders)
            raise UnknownId(f"no recommender {name!r} in this run{nearest(name, self.recommenders)}; it has {known}")
        return self.recommenders[name]

    def history_of_user(self, user_id: str) -> History:
        """All that is known of one user; UnknownId names the nearest id."""
        try:
            return self.dataset.history([self.dataset.user_ids.row(user_id)])
        except UnknownId as error:
            raise UnknownId(f"{self.folder}: users: {error}; for a stranger give a history") from None

    def recommend(
        self, user_id: str | None = None, *, k: int = 10, history: Sequence[str] = (), using: str | None = None
    ) -> Any:
        """The best `k` unseen items for a known user, or for a history of item ids or titles, as a table."""
        asked = self.history_of(history) if user_id is None else self.history_of_user(user_id)
        return to_frame([vars(row) for row in self.answer(asked, k=k, using=using)])

    def answer(self, history: History, *, k: int, using: str | None = None) -> list[Recommended]:
        """The best `k` unseen items of one history, each with its reason."""
        recommender = self.recommender(using)
        found = recommender.recommend(history, k=k)
        there = found.item[0] >= 0
        items, scores = found.item[0][there], found.score[0][there]
        titles, explanations = self.dataset.titles(), recommender.explain(history, items, scores=scores)
        reasons = (self.verbaliser or Verbaliser()).sentences(explanations, self.dataset)
        return [
            Recommended(self.dataset.item_ids[item], titles[item], float(score), reason)
            for item, score, reason in zip(items, scores, reasons, strict=True)
        ]

    def troubles(self, using: str | None = None) -> list[str]:
        """For people: where a language model was asked since this run was read, and its answers were of no use."""
        account, tally = account_of(self.recommender(using)), self.verbaliser.tally if self.verbaliser else {}
        lines = [f"language model: {told_account(account)}"] if any(account.get(name) for name in UNUSED) else []
        return lines + ([f"explanations: {told_tally(tally)}"] if any(tally.get(name) for name in UNUSED) else [])

    def example(self, user: int, *, k: int, liked: int = 3) -> dict[str, Any]:
        """What a report shows of one user: the latest likes and the recommendations, with their reasons."""
        history = self.dataset.history([user])
        titles = self.dataset.titles()
        latest = history.item[history.weight > 0][::-1][:liked]
        return {
            "user_id": self.dataset.user_ids[user],
            "history_length": len(history.item),
            "liked": [titles[item] for item in latest],
            "recommended": [vars(row) for row in self.answer(history, k=k)],
        }

    def history_of(self, names: Sequence[str]) -> History:
        """An anonymous history from item ids or titles, oldest first; UnknownId names the nearest title."""
        titles = self.dataset.titles()
        by_title = {title.casefold(): row for row, title in reversed(list(enumerate(titles)))}
        return History.of([[self._item(name, titles, by_title) for name in names]], self.dataset.n_items)

    def _item(self, name: str, titles: list[str], by_title: dict[str, int]) -> int:
        if name in self.dataset.item_ids:
            return self.dataset.item_ids.row(name)
        if name.casefold() in by_title:
            return by_title[name.casefold()]
        inside = [title for title in titles if name.casefold() in title.casefold()][:3]
        hint = f"; titles with it: {', '.join(map(repr, inside))}" if inside else nearest(name, titles)
        raise UnknownId(f"no item has the id or title {name!r}{hint}")


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


def facts_of(folder: Path) -> dict[str, Any]:
    """The checked manifest of a finished run; ArtifactError where the folder is none."""
    if not folder.is_dir():
        what = "a file, not a run folder" if folder.exists() else "no such run folder"
        raise ArtifactError(f"{folder}: {what}; `genre run CONFIG` makes one and prints its path")
    begun = (folder / "config.yaml").is_file() and not folder.name.endswith("-tuning")  # what `genre tune` leaves
    if not begun and not (folder / storage.MANIFEST).is_file():
        runs = (path.parent for path in folder.glob("[!.]*/config.yaml"))
        inside = sorted(run.name for run in runs if (run / storage.MANIFEST).is_file())
        remedy = f"give one of those in it: {', '.join(inside)}" if inside else "give the path that `genre run` printed"
        raise ArtifactError(f"{folder}: not a run folder; {remedy}")
    facts = storage.read_manifest(folder)
    if "best_first" not in facts:
        raise ArtifactError(f"{folder}: not a run but a part of one; give the folder whose path `genre run` printed")
    return facts


def read_run(folder: str | Path) -> Run:
    """A finished run; ArtifactError when it is unfinished, changed or damaged, naming the file and the remedy."""
    path = Path(folder)
    facts = facts_of(path)
    try:
        return _assemble(path, facts)
    except NotImportable as error:
        raise ArtifactError(f"{path}: {error}") from error
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{path}: does not fit this version of GENRE ({error}); {REMEDY}") from error


def _assemble(path: Path, facts: dict[str, Any]) -> Run:
    experiment = read_config(path / "config.full.yaml").experiment.on(storage.read_manifest(path / "dataset")["key"])
    sides = {side.name: read_features(side) for side in sorted((path / "features").glob("*"))}
    named = experiment.named()
    encoder = experiment.features.items
    dataset = read_dataset(path / "dataset" / "tables")
    if experiment.augmentation is not None:
        dataset = read_augmented(path / "augmentation").apply(dataset)
    return Run(
        folder=path,
        name=experiment.name,
        dataset=dataset.with_features(**sides),
        recommenders={
            name: type(named[name]).load(path / "recommenders" / name / "model") for name in facts["best_first"]
        },
        item_encoder=None if encoder is None else type(encoder).load(path / "features" / "items" / "encoder"),
        report=storage.read_json(path / "report.json"),
        verbaliser=experiment.output.explanations,
        splitter=experiment.split,
    )
