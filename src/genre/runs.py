"""A finished run in use: recommendations with their reasons, and the leaderboard. Does not know how a run is read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genre.arrays import Float32, Int32
from genre.batch_recommendations import UserLists, rows_to_list
from genre.config.serving_options import ServingOptions
from genre.data.context import check_context
from genre.data.dataset import Dataset
from genre.data.event_kinds import EventKinds
from genre.data.history import History
from genre.data.titles import rows_of_names
from genre.display import Display
from genre.engines.base import Engine
from genre.engines.duckdb import DuckDB
from genre.errors import ArtifactError, DataError, GenreError, UnknownId
from genre.features.base import Encoder
from genre.features.thumbnails import Thumbnails
from genre.kinds import REMEDY
from genre.llm.settings import LLMOptions
from genre.options import DEFAULT_K, nearest
from genre.preprocessing.sources.frames import to_frame
from genre.preprocessing.splits import Splitter
from genre.recommenders.base import Recommender
from genre.recommenders.llm_reranker import UNUSED_ANSWERS, describe_reranking, reranking_counts
from genre.recommenders.phrasebook import with_note
from genre.recommenders.wording import Wording, describe_wording
from genre.rules.recommending import recommend_by_rules, scored_items
from genre.rules.rule_set import RuleSet

MOST_SHOWN = 4  # metrics of a notebook's table
EXAMPLE_LIKED = 3  # latest liked items that an example of a report names


@dataclass(frozen=True)
class Recommended:
    """One recommended item as people see it.

    Attributes:
        item_id: The id of the item.
        title: Its title.
        score: Its score; only the order of scores has a meaning.
        reason: Why it is recommended, in a sentence.
    """

    item_id: str
    title: str
    score: float
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A finished run, read back and checked.

    Attributes:
        folder: Its folder.
        name: The name of the experiment.
        dataset: All interactions, with the features of items and users.
        recommenders: The fitted recommenders by label, best first.
        item_encoder: The encoder of the items; None: items have no features.
        report: The values of `report.json`.
        wording: Words the reasons; None: a template does.
        refitted: Those of them that were learnt again from all interactions, in place of what the report is about.
        splitter: Splits the interactions into the parts that were used; None: unknown.
        unsplit: The data before it was split; None: unknown.
        rules: What every list keeps; None: there are no rules.
        event_kinds: What kinds of events weigh, and which are outcomes.
        serving: How a service serves the run.
        engine: Where lists for many users are made.
        llm: The language model of the config; None: it has none.
        pictures: Small pictures of the items; None: it has none.

    Example:
        >>> import genre
        >>> run = genre.run("movies.yaml")
        >>> run.recommend("u0", k=1)["item_id"][0]
        'i0'
        >>> run.recommend(history=["Story 2", "Story 4"], k=1)["title"][0]
        'Story 6'
        >>> list(run.leaderboard["recommender"])
        ['ease', 'popularity']
    """

    folder: Path
    name: str
    dataset: Dataset
    recommenders: Mapping[str, Recommender]
    item_encoder: Encoder | None = None
    report: dict[str, Any] = field(default_factory=dict)
    wording: Wording | None = None
    splitter: Splitter | None = None
    refitted: tuple[str, ...] = ()
    unsplit: Dataset | None = None
    rules: RuleSet | None = None
    event_kinds: EventKinds = field(default_factory=EventKinds)
    serving: ServingOptions = field(default_factory=ServingOptions)
    engine: Engine = field(default_factory=DuckDB)
    llm: LLMOptions | None = None
    pictures: Thumbnails | None = None

    def __repr__(self) -> str:
        return f"Run({self.name!r}: best {next(iter(self.recommenders))}, {self.folder})"

    def _repr_html_(self) -> str:
        rows, best = self.report["leaderboard"], next(iter(self.recommenders))
        labels = list(dict.fromkeys(label for row in rows for label in row["values"]))[:MOST_SHOWN]
        cells = [
            [row["name"], *(row["values"].get(label) for label in labels), "yes" if row["tied_with_best"] else "no"]
            for row in rows
        ]
        note = f"{best} answers, the best on the validation part. Report: {self.folder / 'report.html'}"
        columns = ("recommender", *labels, f"as good as the first by {self.report['primary']}")
        return Display(f"{self.name}, test part", columns, cells, note).html()

    @property
    def leaderboard(self) -> Any:
        """Metrics on the test part, a row a recommender, best first: a pandas, Polars or Arrow table."""
        rows = self.report["leaderboard"]
        return to_frame(
            [{"recommender": row["name"], **row["values"], "tied_with_best": row["tied_with_best"]} for row in rows]
        )

    def recommender(self, name: str | None = None) -> Recommender:
        """Return a recommender.

        Args:
            name: Its label; None: the best on the validation part.

        Returns:
            The fitted recommender.

        Raises:
            UnknownId: The run has no such recommender.
        """
        if name is None:
            return next(iter(self.recommenders.values()))
        if name not in self.recommenders:
            known = ", ".join(self.recommenders)
            raise UnknownId(f"no recommender {name!r} in this run{nearest(name, self.recommenders)}; it has {known}")
        return self.recommenders[name]

    def history_of_user(self, user_id: str | int) -> History:
        """Return all interactions of one user.

        Args:
            user_id: The id of the user.

        Returns:
            A history of one row.

        Raises:
            UnknownId: The user is not in the data; the message suggests an id.
        """
        try:
            return self.dataset.history([self.dataset.user_ids.row(user_id)])
        except UnknownId as error:
            raise UnknownId(f"{self.folder}: users: {error}; for a new user give a history") from None

    def history_of(self, names: Sequence[str | int]) -> History:
        """Return the history of an anonymous user.

        Args:
            names: Ids or titles of items, oldest first.

        Returns:
            A history of one row.

        Raises:
            UnknownId: An item is not in the data; the message suggests a title.
        """
        if isinstance(names, str):
            raise DataError(f"found the text {names!r}; expected a list of ids or titles: [{names!r}]")
        return History.of(
            [rows_of_names([str(name) for name in names], self.dataset.item_ids, self.dataset.titles())],
            self.dataset.n_items,
        )

    def recommend(
        self,
        user_id: str | int | Sequence[str | int] | None = None,
        *,
        k: int = DEFAULT_K,
        history: Sequence[str | int] = (),
        using: str | None = None,
        context: Mapping[str, str | int] | None = None,
    ) -> Any:
        """Recommend unseen items to a user, to each of some users, or for a history.

        Args:
            user_id: The id of a known user, or a list of ids; None: use `history`.
            k: The length of the list.
            history: Ids or titles of items, oldest first.
            using: The label of a recommender; None: the best one.
            context: Circumstances of the request, such as `{"hour": 21, "device": "phone"}`; a `ranker` may read them.

        Returns:
            A pandas, Polars or Arrow table with the columns item_id, title, score and reason, best first; for a list
            of users with user_id and rank before them.

        Raises:
            UnknownId: The user, an item or the recommender is not known.
            DataError: A name of the context is not known.
        """
        if user_id is not None and not isinstance(user_id, (str, int, np.integer)):
            rows = [
                {"user_id": str(one), "rank": rank, **vars(row)}
                for one in user_id
                for rank, row in enumerate(
                    self.recommended(self.in_context(self.history_of_user(one), context), k=k, using=using), start=1
                )
            ]
            return to_frame(rows)
        known = self.history_of(history) if user_id is None else self.history_of_user(user_id)
        return to_frame([vars(row) for row in self.recommended(self.in_context(known, context), k=k, using=using)])

    def in_context(self, history: History, context: Mapping[str, str | int] | None) -> History:
        """Say in which circumstances lists are wanted.

        Args:
            history: Histories.
            context: Such as `{"hour": 21, "device": "phone"}`; None: not known.

        Returns:
            The same histories in that context.

        Raises:
            DataError: A name is neither of a time nor a context column of the data.
        """
        if not context:
            return history
        return history.in_context(None, **check_context(context, self.dataset.context_names))

    def recommended(self, history: History, *, k: int, using: str | None = None) -> list[Recommended]:
        """Recommend unseen items for one history, each with its reason.

        Args:
            history: A history of one row.
            k: The length of the list.
            using: The label of a recommender; None: the best one.

        Returns:
            The items, best first.
        """
        recommender = self.recommender(using)
        try:
            items, scores, notes = self._list_of(recommender, history, k)
            explanations = recommender.explain(history, items, scores=scores)
        except GenreError:
            raise
        except Exception as error:  # of arrays that do not fit each other, as a run of somebody else may have
            what = f"{type(recommender).__name__} cannot list items ({type(error).__name__}: {error})"
            raise ArtifactError(f"{self.folder}: {what}; {REMEDY}") from error
        titles = self.dataset.titles()
        reasons = (self.wording or Wording()).sentences(explanations, self.dataset)
        return [
            Recommended(self.dataset.item_ids[item], titles[item], float(score), with_note(reason, note))
            for item, score, reason, note in zip(items, scores, reasons, notes, strict=True)
        ]

    def _list_of(self, recommender: Recommender, history: History, k: int) -> tuple[Int32, Float32, list[str]]:
        """Return the list of one history, by the rules of the run: items, scores and notes, `[k]` each."""
        if self.rules is None:
            found = recommender.recommend(history, k=k)
            items, scores = scored_items(found.item[0], found.score[0])
            return items, scores, [""] * len(items)
        (ruled,) = recommend_by_rules(recommender, history, self.rules, int(time.time()), k=k)
        return ruled.items, ruled.scores.astype(np.float32), list(ruled.notes)

    def lists(self, *, k: int = DEFAULT_K, using: str | None = None, users: Sequence[str] | None = None) -> UserLists:
        """Describe the lists of many users; nothing is computed yet.

        Args:
            k: The length of a list.
            using: The label of a recommender; None: the best one.
            users: Ids of users; None: all users.

        Returns:
            Lists whose `tables()` and `write()` make them, block by block.

        Raises:
            UnknownId: A user or the recommender is not known.
        """
        return UserLists(self.recommender(using), self.dataset, k, rows_to_list(users, self.dataset), rules=self.rules)

    def recommend_all(
        self, *, k: int = DEFAULT_K, using: str | None = None, users: Sequence[str] | None = None
    ) -> Iterator[Any]:
        """Recommend unseen items to many users; memory does not grow with their number.

        Args:
            k: The length of a list.
            using: The label of a recommender; None: the best one.
            users: Ids of users; None: all users.

        Yields:
            A table (pandas, Polars or Arrow) of some thousand lists: user_id, rank, item_id, title and score.

        Raises:
            UnknownId: A user or the recommender is not known.

        Example:
            >>> import genre
            >>> run = genre.run("movies.yaml")
            >>> for frame in run.recommend_all(k=1, users=["u0", "u1"]):
            ...     print(list(frame["item_id"]))
            ['i0', 'i9']
        """
        yield from map(to_frame, self.lists(k=k, using=using, users=users).tables())

    def llm_problems(self, using: str | None = None) -> list[str]:
        """Describe the answers of language models that could not be used since this run was read.

        Args:
            using: The label of a recommender; None: the best one.

        Returns:
            Lines for people; none where there was no problem.
        """
        reordered, worded = reranking_counts(self.recommender(using)), self.wording.counts if self.wording else {}
        lines = []
        if any(reordered.get(name) for name in UNUSED_ANSWERS):
            lines.append(f"language model: {describe_reranking(reordered)}")
        if any(worded.get(name) for name in UNUSED_ANSWERS):
            lines.append(f"explanations: {describe_wording(worded)}")
        return lines

    def example(self, user: int, *, k: int) -> dict[str, Any]:
        """Describe one user and the recommendations for a report.

        Args:
            user: The row number of the user.
            k: The length of the list.

        Returns:
            JSON values: `user_id`, `history_length`, titles `liked` last, and `recommended` items with their reasons.
        """
        history = self.dataset.history([user])
        titles = self.dataset.titles()
        latest = history.item[history.weight > 0][::-1][:EXAMPLE_LIKED]
        return {
            "user_id": self.dataset.user_ids[user],
            "history_length": len(history.item),
            "liked": [titles[item] for item in latest],
            "recommended": [vars(row) for row in self.recommended(history, k=k)],
        }
