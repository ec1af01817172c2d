"""A run's folder: names, keys, reading and writing. Knows nothing about the order of the steps.

    runs/movies-1a2b3c4d/
      config.yaml  config.full.yaml      as written, and with every default filled in
      dataset/  augmentation/  features/<side>/  recommenders/<name>/  evaluations/<name>/    one whole folder a step
      report.json  report.html  log.jsonl
      manifest.json                      written last: without it nothing loads

A step's folder carries the key of everything that made it, so that a later run takes over what is unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genre import storage
from genre.config.reading import read_config
from genre.data.dataset import Dataset, History
from genre.data.parquet import read_dataset
from genre.errors import ArtifactError, ConfigError, NotImportable, UnknownId
from genre.features.augmentation import read_augmented
from genre.features.base import Encoder
from genre.kinds import REMEDY
from genre.options import DEFAULT_K, nearest
from genre.preprocessing.sources.frames import to_frame
from genre.preprocessing.splits import Splitter
from genre.recommenders.base import Recommender
from genre.recommenders.llm_reranker import UNUSED_ANSWERS, describe_reranking, reranking_counts
from genre.recommenders.wording import Wording, describe_wording
from genre.workspace import read_features


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
    wording: who puts reasons into words. splitter: what parts the interactions that were learnt from, or None.
    """

    folder: Path
    name: str
    dataset: Dataset
    recommenders: dict[str, Recommender]
    item_encoder: Encoder | None = None
    report: dict[str, Any] = field(default_factory=dict)
    wording: Wording | None = None
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
        self, user_id: str | None = None, *, k: int = DEFAULT_K, history: Sequence[str] = (), using: str | None = None
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
        reasons = (self.wording or Wording()).sentences(explanations, self.dataset)
        return [
            Recommended(self.dataset.item_ids[item], titles[item], float(score), reason)
            for item, score, reason in zip(items, scores, reasons, strict=True)
        ]

    def troubles(self, using: str | None = None) -> list[str]:
        """For people: where a language model was asked since this run was read, and its answers were of no use."""
        reordered, worded = reranking_counts(self.recommender(using)), self.wording.counts if self.wording else {}
        lines = []
        if any(reordered.get(name) for name in UNUSED_ANSWERS):
            lines.append(f"language model: {describe_reranking(reordered)}")
        if any(worded.get(name) for name in UNUSED_ANSWERS):
            lines.append(f"explanations: {describe_wording(worded)}")
        return lines

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
    experiment = read_config(path / "config.full.yaml").experiment.with_budgets_of(
        storage.read_manifest(path / "dataset")["key"]
    )
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
        wording=experiment.output.explanations,
        splitter=experiment.split,
    )
