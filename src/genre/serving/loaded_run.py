"""A run in memory, ready to answer: its catalogue, its recommenders, the histories of its users, and new items.

Knows nothing about the event log or time limits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genre.arrays import Float32, Int32, Int64
from genre.data.context import Context
from genre.data.history import History
from genre.data.item_fields import Mask
from genre.errors import UnknownId
from genre.options import nearest
from genre.recommenders.base import Recommender, within
from genre.recommenders.content import Content
from genre.rules.base import Rule
from genre.rules.rule_set import RuleSet
from genre.runs import Run
from genre.serving.events.store import Event
from genre.serving.new_items import Changes, add_items, with_items
from genre.serving.search.catalogue import Catalogue
from genre.serving.search.facets import Facets
from genre.serving.search.matching import QueryMatcher
from genre.serving.search.sentences import SentenceReader
from genre.serving.weighed_events import FOREVER, is_newer, ratings_for, take_back, weigh_events


class SingleHistory(NamedTuple):
    """The history of one user, oldest first.

    Attributes:
        item: Rows of items. `[n]`
        weight: Strengths. `[n]`
        rating: Ratings, or the weights where the data has none. `[n]`
        timestamp: Seconds since 1970. `[n]`
        user: The user's row in the training data while this is exactly the history of that row, else -1.
    """

    item: Int32
    weight: Float32
    rating: Float32
    timestamp: Int64
    user: int

    @property
    def has_likes(self) -> bool:
        """Whether any interaction has a weight above 0, so that a recommender has something to go by."""
        return bool(self.weight.size) and bool(self.weight.max() > 0)


class LoadedRun:
    """A run, the name it is served under, and the items that were added since. Never changes; a change makes another.

    Attributes:
        name: The name it is served under.
        run: The run.
        changes: Fields of new and changed items that it was loaded with, by item id.
        models: Its recommenders by name, best first, extended by new items.
        content: A recommender by item features alone, or None without features.
        dataset: The run's data, with new items behind the last row.
        catalogue: The items as people see them.
        matcher: Matches queries in words, or None without a text encoder.
        takes_words: Whether the run has what queries in words need.
        encoder_failed: Whether the text encoder failed for new items; they are left out until it works.
        newest: Time of the newest interaction, in seconds since 1970.
        popularity: Interactions of the data by item. `[n_items]`
        rules: What every list keeps, or None.
        sentences: Reads what users say about the items.
    """

    def __init__(self, name: str, run: Run, changes: Changes | None = None, before: LoadedRun | None = None) -> None:
        """Load a run.

        Args:
            name: The name it is served under.
            run: The run.
            changes: Fields of new and changed items by item id.
            before: The loaded run that this one replaces; what it computed for the same run is reused.
        """
        self.name, self.run, self.changes = name, run, changes or {}
        self.models: dict[str, Recommender] = dict(run.recommenders)
        before = None if before is None or before.run is not run else before
        self._content_of_run: Content | None = _content_recommender(run) if before is None else before._content_of_run
        self.content = self._content_of_run
        self.takes_words = run.dataset.item_features is not None and run.item_encoder is not None
        self.encoder_failed = False
        self.dataset, self._new_vectors = run.dataset, dict[str, tuple[Mapping[str, Any], Float32]]()
        if changes and not self.takes_words:  # without an encoder nothing is known about new items
            changes = {item_id: fields for item_id, fields in changes.items() if item_id in run.dataset.item_ids}
        if changes:
            self._apply(changes, {} if before is None else before._new_vectors)
        self.matcher = QueryMatcher(run.item_encoder, self.dataset) if self.takes_words and run.item_encoder else None
        self.catalogue = Catalogue(self.dataset, run.pictures)
        self.sentences = SentenceReader(Facets(self.catalogue.item_fields), self.catalogue.titles)
        self.rules = None if run.rules is None else self.rule_set(run.rules.rules)
        self._histories = self.dataset.history()
        self._reads_context = any(
            getattr(one, "context", ()) for model in self.models.values() for one in within(model)
        )
        self.newest = 0 if self.dataset.timestamp is None else int(self.dataset.timestamp.max())
        counts = np.bincount(self.dataset.item, self.dataset.weight > 0, minlength=self.dataset.n_items)
        self.popularity = counts.astype(np.float32)

    def _apply(self, changes: Changes, encoded: Mapping[str, tuple[Mapping[str, Any], Float32]]) -> None:
        """Change fields, and add the new items that the encoder can place; `encoded`: vectors known already."""
        known, encoder = self.run.dataset, self.run.item_encoder
        self.dataset, features = with_items(known, changes), known.item_features
        added = self.dataset.item_ids.values[known.n_items :].to_pylist()
        self._new_vectors = {i: encoded[i] for i in added if i in encoded and encoded[i][0] == changes[i]}
        missing = [item_id for item_id in added if item_id not in self._new_vectors]
        if missing and encoder is not None:
            try:
                rows = encoder.encode(self.dataset.items.take(self.dataset.item_ids.rows(missing))).values
                self._new_vectors.update({i: (changes[i], vector) for i, vector in zip(missing, rows, strict=True)})
            except Exception:  # the other items are served all the same; the breaker of words reports what is wrong
                self.encoder_failed = True
        vectors = {item_id: vector for item_id, (_, vector) in self._new_vectors.items()}
        unplaced = {i for i in added if encoder is not None and (i not in vectors or not vectors[i].any())}
        if unplaced:  # without a vector, or of text that the encoder cannot read
            self.dataset = with_items(known, {i: fields for i, fields in changes.items() if i not in unplaced})
            added = [item_id for item_id in added if item_id not in unplaced]
        if added and self.content is not None and features is not None:
            new = np.stack([vectors[item_id] for item_id in added])  # [n_new, dim]
            features = features.append(new)
            self.content = self.content.extend(added, new)
            self.models = {name: add_items(model, self.content, added, new) for name, model in self.models.items()}
        self.dataset = dataclasses.replace(self.dataset, item_features=features)

    def rules_with(self, more: Sequence[Rule]) -> RuleSet | None:
        """Return the rules of the run and those of a request.

        Args:
            more: Rules of a request.

        Returns:
            All of them; None where there are none.

        Raises:
            DataError: If a rule names a field that items do not have.
        """
        return self.rule_set((*(self.rules.rules if self.rules else ()), *more)) if more else self.rules

    def rule_set(self, rules: Sequence[Rule]) -> RuleSet:
        """Make rules ready for the items, new ones included.

        Args:
            rules: The rules.

        Returns:
            The rules.

        Raises:
            DataError: If a rule names a field that items do not have.
        """
        found = RuleSet(tuple(rules), self.catalogue.item_fields, self.catalogue.row)
        found.check()
        return found

    def allowed(self, now: int) -> Mask | None:
        """Return the items that the run's rules let into lists.

        Args:
            now: The time, in seconds since 1970.

        Returns:
            The mask; None for all items. `[n_items]`
        """
        return None if self.rules is None else self.rules.allowed(now)

    @property
    def n_items(self) -> int:
        """Number of items, new ones included."""
        return self.dataset.n_items

    def model_name(self, name: str | None) -> str:
        """Check the name of a recommender.

        Args:
            name: A name, or None for the best recommender.

        Returns:
            The name.

        Raises:
            UnknownId: If the run has no recommender of that name.
        """
        if name is None:
            return next(iter(self.models))
        if name not in self.models:
            known, near = ", ".join(self.models), nearest(name, self.models)
            raise UnknownId(f"run {self.name!r} has no recommender {name!r}{near}; it has {known}")
        return name

    def describe(self, share: float) -> dict[str, Any]:
        """Describe the run.

        Args:
            share: Its share of the users.

        Returns:
            Its name, share, recommenders (best first), leaderboard, sizes and fields.
        """
        return {
            "run": self.name,
            "share": share,
            "recommenders": list(self.models),
            "leaderboard": self.run.report.get("leaderboard", []),
            "users": self.dataset.n_users,
            "items": self.n_items,
            "interactions": len(self.dataset),
            "fields": list(self.catalogue.fields),
            "takes_words": self.takes_words,
            "report": (self.run.folder / "report.html").is_file(),
        }

    def item_row(self, item_id: str) -> int:
        """Return the row of an item.

        Args:
            item_id: The item.

        Returns:
            Its row.

        Raises:
            UnknownId: If the run has no such item.
        """
        if item_id not in self.catalogue.row:
            raise UnknownId(f"no item {item_id!r} in run {self.name!r}")
        return self.catalogue.row[item_id]

    def describe_item(self, row: int) -> dict[str, Any]:
        """Describe an item.

        Args:
            row: Its row.

        Returns:
            `item_id`, `title`, `picture` where it has one, and `fields`.
        """
        catalogue = self.catalogue
        named = {"item_id": catalogue.item_ids[row], "title": catalogue.titles[row]}
        return {**named, **catalogue.picture(row), "fields": catalogue.describe(row)}

    # --- histories --------------------------------------------------------------------------------

    def holds_from_before(self, user_id: str, moment: int) -> bool:
        """Tell whether the training data has anything of a user from before a moment.

        Args:
            user_id: The user.
            moment: Seconds since 1970; 0: unknown.

        Returns:
            Whether it has; without times, anything of the user counts.
        """
        row = int(self.dataset.user_ids.rows((user_id,))[0])
        if row < 0 or self.dataset.timestamp is None or moment == 0:
            return row >= 0
        times = self._training_history(row).timestamp
        return len(times) == 0 or bool(times.min() <= moment)

    def user_history(self, user_id: str, events: Sequence[Event] = (), *, deleted: bool = False) -> SingleHistory:
        """Return the history of a user: the training data and the events since.

        Args:
            user_id: Any id; an unknown one has only events.
            events: The user's recent events, oldest first.
            deleted: Leave out the training data.

        Returns:
            The history, oldest first.
        """
        row = -1 if deleted else int(self.dataset.user_ids.rows((user_id,))[0])
        trained = self._training_history(row)
        fresh = self._not_trained_on(trained, events) if events else []
        if not fresh:
            return trained
        weight, rating = weigh_events(fresh, self.run.event_kinds, self.dataset)
        item = np.array([self.catalogue.row[event.item_id] for event in fresh], np.int32)
        times = np.array([event.timestamp for event in fresh], np.int64)
        joined = SingleHistory(
            np.concatenate([trained.item, item]),
            np.concatenate([trained.weight, weight]),
            np.concatenate([trained.rating, rating]),
            np.concatenate([trained.timestamp, times]),
            user=-1,
        )
        if weight.min() >= 0:
            return joined
        left = take_back(joined.item, joined.weight)
        gone = (joined.weight > 0) & (left <= 0)
        rating = np.where(gone, ratings_for(self.dataset, left), joined.rating)
        return joined._replace(weight=left, rating=rating)

    def item_history(self, item_ids: Sequence[str]) -> SingleHistory:
        """Return a history of given items, each liked.

        Args:
            item_ids: Item ids, oldest first; ids that are not in the catalogue are left out.

        Returns:
            The history.
        """
        item = np.array(self.catalogue.rows(item_ids), np.int32)
        weight = np.ones(len(item), np.float32)
        times = np.full(len(item), self.newest, np.int64)
        return SingleHistory(item, weight, ratings_for(self.dataset, weight), times, -1)

    def batch(self, histories: Sequence[SingleHistory]) -> History:
        """Join histories into the one batch that recommenders score.

        Args:
            histories: One a user.

        Returns:
            The batch, a row a history.
        """
        lengths = [len(one.item) for one in histories]
        rated, timed = self.dataset.rating is not None, self.dataset.timestamp is not None
        return History(
            indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            item=np.concatenate([one.item for one in histories]),
            weight=np.concatenate([one.weight for one in histories]),
            n_items=self.n_items,
            user=np.array([one.user for one in histories], np.int32),
            rating=np.concatenate([one.rating for one in histories]) if rated else None,
            timestamp=np.concatenate([one.timestamp for one in histories]) if timed else None,
        )

    def in_context(self, history: History, now: int, values: Sequence[Mapping[str, str]]) -> History:
        """Say when and in which circumstances lists are wanted, where a recommender of the run reads that.

        Args:
            history: A batch of histories.
            now: Seconds since 1970.
            values: What each request says.

        Returns:
            The same histories in their contexts.
        """
        if not self._reads_context:
            return history
        return history.in_context(Context.of_requests([now] * len(history), values))

    def _training_history(self, row: int) -> SingleHistory:
        """Return the history of a row of the training data, empty for row -1."""
        start, end = (int(at) for at in self._histories.indptr[row : row + 2]) if row >= 0 else (0, 0)
        every, part = self._histories, slice(start, end)
        weight = every.weight[part]
        rating = weight if every.rating is None else every.rating[part]
        timestamp = np.full(end - start, FOREVER) if every.timestamp is None else every.timestamp[part]
        return SingleHistory(every.item[part], weight, rating, timestamp, row)

    def _not_trained_on(self, trained: SingleHistory, events: Sequence[Event]) -> list[Event]:
        """Return the events of known items that the data does not have: a run may be trained on part of the log."""
        newest: dict[int, int] = dict(zip(trained.item.tolist(), trained.timestamp.tolist(), strict=True))
        row = self.catalogue.row
        return [e for e in events if e.item_id in row and is_newer(e, newest.get(row[e.item_id], -1))]


def _content_recommender(run: Run) -> Content | None:
    """Return the run's recommender by item features alone, or fit one; None without item features."""
    if run.dataset.item_features is None:
        return None
    own = (one for one in run.recommenders.values() if isinstance(one, Content) and one.recommender is None)
    return next(own, None) or Content().fit(run.dataset)
