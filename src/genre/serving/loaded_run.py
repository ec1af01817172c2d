"""One run made ready to answer: its catalogue, its recommenders, everybody's past. Knows no log, no time limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset, Features, History
from genre.errors import UnknownId
from genre.options import nearest
from genre.recommenders.base import Recommender
from genre.recommenders.content import Content
from genre.runs import Run
from genre.serving.events.store import Event
from genre.serving.new_items import Changes, grow, with_items
from genre.serving.search.catalogue import Catalogue
from genre.serving.search.matching import QueryMatcher

FOREVER = np.iinfo(np.int64).max  # an interaction without a time: no event of the same item counts as newer


class SingleHistory(NamedTuple):
    """What one person did, oldest first; `user` is the training row while this is what was learnt from, else -1."""

    item: Int32
    weight: Float32
    rating: Float32
    timestamp: Int64
    user: int

    @property
    def has_likes(self) -> bool:
        """Whether there is anything in it that a taste can be read from."""
        return bool(self.weight.size) and bool(self.weight.max() > 0)


class LoadedRun:
    """A run, the name it is served under, the items that came after it. Never changes once made."""

    def __init__(self, name: str, run: Run, changes: Changes | None = None, before: LoadedRun | None = None) -> None:
        """before: the loaded this one replaces; what it made of the same run is taken over where nothing changed."""
        self.name, self.run = name, run
        self.models: dict[str, Recommender] = dict(run.recommenders)
        before = None if before is None or before.run is not run else before
        self._known_content: Content | None = _content(run) if before is None else before._known_content
        self.content = self._known_content  # and new items, where there are any
        self.takes_words = run.dataset.item_features is not None and run.item_encoder is not None
        self.waits = False  # for the encoder, to place new items
        self.dataset, self._placed = run.dataset, dict[str, tuple[Mapping[str, Any], Float32]]()
        if changes and not self.takes_words:  # nothing says what new items are like
            changes = {item_id: fields for item_id, fields in changes.items() if item_id in run.dataset.item_ids}
        if changes:
            self._grow(changes, {} if before is None else before._placed)
        self.matcher = QueryMatcher(run.item_encoder, self.dataset) if self.takes_words and run.item_encoder else None
        self.catalogue = Catalogue(self.dataset)
        self._everybody = self.dataset.history()
        self.newest = 0 if self.dataset.timestamp is None else int(self.dataset.timestamp.max())
        counts = np.bincount(self.dataset.item, self.dataset.weight > 0, minlength=self.dataset.n_items)
        self.popularity = counts.astype(np.float32)

    def _grow(self, changes: Changes, placed: Mapping[str, tuple[Mapping[str, Any], Float32]]) -> None:
        known, encoder = self.run.dataset, self.run.item_encoder
        self.dataset, features = with_items(known, changes), known.item_features
        added = self.dataset.item_ids.values[known.n_items :].to_pylist()
        self._placed = {i: placed[i] for i in added if i in placed and placed[i][0] == changes[i]}
        missing = [item_id for item_id in added if item_id not in self._placed]
        if missing and encoder is not None:
            try:
                vectors = encoder.encode(self.dataset.items.take(self.dataset.item_ids.rows(missing))).values
                self._placed.update({i: (changes[i], vector) for i, vector in zip(missing, vectors, strict=True)})
            except Exception:  # whatever it was, the others are served; the breaker of words says what is wrong
                self.waits = True
        silent = {i for i in added if encoder is not None and (i not in self._placed or not self._placed[i][1].any())}
        if silent:  # nothing says yet what these are like
            self.dataset = with_items(known, {i: fields for i, fields in changes.items() if i not in silent})
            added = [item_id for item_id in added if item_id not in silent]
        if added and self.content is not None and features is not None:
            new = np.stack([self._placed[item_id][1] for item_id in added])
            features = Features(np.concatenate([features.values, new]), features.fingerprint)
            self.content = self.content.extend(added, new)
            self.models = {name: grow(model, self.content, added, new) for name, model in self.models.items()}
        self.dataset = dataclasses.replace(self.dataset, item_features=features)

    @property
    def n_items(self) -> int:
        return self.dataset.n_items

    def model(self, name: str | None) -> str:
        """The name of a recommender, checked; of the best one without."""
        if name is None:
            return next(iter(self.models))
        if name not in self.models:
            known, near = ", ".join(self.models), nearest(name, self.models)
            raise UnknownId(f"run {self.name!r} has no recommender {name!r}{near}; it has {known}")
        return name

    # --- what people did --------------------------------------------------------------------------

    def user_history(self, user_id: str, events: Sequence[Event] = (), *, forgotten: bool = False) -> SingleHistory:
        """What a user did before training and since. forgotten: as if never seen in training."""
        row = -1 if forgotten else self._user_row(user_id)
        start, end = (int(at) for at in self._everybody.indptr[row : row + 2]) if row >= 0 else (0, 0)
        learnt = self._slice(start, end, row)
        fresh = self._fresh(learnt, events) if events else []
        if not fresh:
            return learnt
        item = np.array([self.catalogue.row[event.item_id] for event in fresh], np.int32)
        weight = np.array([event.weight for event in fresh], np.float32)
        times = np.array([event.timestamp for event in fresh], np.int64)
        since = SingleHistory(item, weight, stars_of(self.dataset, weight), times, -1)
        return SingleHistory(
            np.concatenate([learnt.item, since.item]),
            np.concatenate([learnt.weight, since.weight]),
            np.concatenate([learnt.rating, since.rating]),
            np.concatenate([learnt.timestamp, since.timestamp]),
            user=-1,
        )

    def item_history(self, item_ids: Sequence[str]) -> SingleHistory:
        """A history given as item ids, oldest first; ids that are not in the catalogue are left out."""
        item = np.array(self.catalogue.rows(item_ids), np.int32)
        weight = np.ones(len(item), np.float32)
        return SingleHistory(
            item, weight, stars_of(self.dataset, weight), np.full(len(item), self.newest, np.int64), -1
        )

    def batch(self, pasts: Sequence[SingleHistory]) -> History:
        """Many pasts as the one batch that recommenders score."""
        lengths = [len(past.item) for past in pasts]
        rated, timed = self.dataset.rating is not None, self.dataset.timestamp is not None
        return History(
            indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            item=np.concatenate([past.item for past in pasts]),
            weight=np.concatenate([past.weight for past in pasts]),
            n_items=self.n_items,
            user=np.array([past.user for past in pasts], np.int32),
            rating=np.concatenate([past.rating for past in pasts]) if rated else None,
            timestamp=np.concatenate([past.timestamp for past in pasts]) if timed else None,
        )

    def _user_row(self, user_id: str) -> int:
        return int(self.dataset.user_ids.rows((user_id,))[0])

    def _slice(self, start: int, end: int, row: int) -> SingleHistory:
        all_, part = self._everybody, slice(start, end)
        weight = all_.weight[part]
        rating = weight if all_.rating is None else all_.rating[part]
        timestamp = np.full(end - start, FOREVER) if all_.timestamp is None else all_.timestamp[part]
        return SingleHistory(all_.item[part], weight, rating, timestamp, row)

    def _fresh(self, learnt: SingleHistory, events: Sequence[Event]) -> list[Event]:
        """Events of known items that are not in the data already: a run may have been trained on part of the log."""
        newest: dict[int, int] = dict(zip(learnt.item.tolist(), learnt.timestamp.tolist(), strict=True))
        row = self.catalogue.row
        return [e for e in events if e.item_id in row and e.timestamp > newest.get(row[e.item_id], -1)]


def _content(run: Run) -> Content | None:
    """A recommender by content alone: the run's own where it has one; None without item features."""
    if run.dataset.item_features is None:
        return None
    own = (one for one in run.recommenders.values() if isinstance(one, Content) and one.recommender is None)
    return next(own, None) or Content().fit(run.dataset)


def stars_of(dataset: Dataset, weight: Float32) -> Float32:
    """What events without stars count for on the rating scale: a like, or the lowest star. [n]"""
    low, high, _ = dataset.rating_scale or (0.0, 1.0, 1.0)
    liked = high if dataset.positive_rating is None else dataset.positive_rating
    return np.where(weight > 0, liked, low).astype(np.float32)
