"""The service: outside ids in, answers out. Everything that can be asked of it, one method each; HTTP adds only JSON.

Every call may come from any thread. Lists are made in lists.py, evidence in explaining.py, change is state.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from genre.errors import GenreError, UnknownId
from genre.options import DEFAULT_K
from genre.recommenders.llm_reranker import reranking_counts
from genre.runs import Run
from genre.serving import lists
from genre.serving.events.store import Event, EventStore, ItemChange
from genre.serving.explaining import explain_item
from genre.serving.limits import Limits
from genre.serving.loaded_run import LoadedRun
from genre.serving.new_items import check_fields
from genre.serving.requests import Evidence, ListRequest, RankedList
from genre.serving.state import State


class Service:
    """One or several runs, and what happened since they were made.

    runs: the first is the one for people without an id. shares: how users are split over the runs, by name; equal
    parts without. A user gets the same run as long as names and shares stay. limits: how long a breaker may take, how
    much is let in.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        store: EventStore,
        *,
        shares: Mapping[str, float] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._state = State(runs, store, shares=shares, limits=self.limits)
        self.ready = False

    def warm(self) -> dict[str, str]:
        """ListRequest everything once that has not answered yet, so that code is compiled before anybody waits for it.

        By breaker, why it does not answer; the others stand in for it. Ready is who has more to say in every run than
        what everybody takes, and stays so.
        """
        troubles = self._state.warm_up()
        self.ready = self.ready or self._state.can_answer()
        return troubles

    def close(self) -> None:
        self.ready = False
        self._state.store.close()

    # --- asking -----------------------------------------------------------------------------------

    def recommend(self, ask: ListRequest) -> RankedList:
        """The answer to one request; GenreError where it names a run, recommender or field that does not exist."""
        answer = self.recommend_many([ask])[0]
        if isinstance(answer, GenreError):
            raise answer
        return answer

    def recommend_many(self, asks: Sequence[ListRequest]) -> list[RankedList | GenreError]:
        """Answers in the order of the requests; those alike are scored together, which costs less than one by one."""
        return lists.recommend_many(self._state, asks)

    def similar(
        self,
        item_id: str,
        *,
        k: int = DEFAULT_K,
        run: str | None = None,
        recommender: str | None = None,
        fields: Sequence[str] = (),
    ) -> RankedList:
        """Items like this one; what everybody takes when the item is unknown."""
        return lists.similar(self._state, item_id, k=k, run=run, recommender=recommender, fields=fields)

    def popular(
        self,
        *,
        k: int = DEFAULT_K,
        trending: bool = False,
        run: str | None = None,
        fields: Sequence[str] = (),
    ) -> RankedList:
        """What everybody takes; trending: of late. With filters: `recommend` for nobody."""
        return lists.popular(self._state, k=k, trending=trending, run=run, fields=fields)

    def explain(
        self,
        item_id: str,
        *,
        user_id: str | None = None,
        history: Sequence[str] | None = None,
        words: str | None = None,
        run: str | None = None,
        recommender: str | None = None,
    ) -> Evidence:
        """The evidence for one item and one user or history; for the words it was found by, if there were any."""
        return explain_item(
            self._state, item_id, user_id=user_id, history=history, words=words, run=run, recommender=recommender
        )

    # --- looking up -------------------------------------------------------------------------------

    def search(self, text: str, *, k: int = 20, run: str | None = None) -> list[dict[str, Any]]:
        """Items whose title holds the words of `text`; the popular ones without any."""
        loaded = self._state.loaded_run(run)
        return [_described(loaded, row) for row in loaded.catalogue.search(text, k, loaded.popularity)]

    def item(self, item_id: str, *, run: str | None = None) -> dict[str, Any]:
        """What is known of an item; UnknownId otherwise."""
        loaded = self._state.loaded_run(run)
        if item_id not in loaded.catalogue.row:
            raise UnknownId(f"no item {item_id!r} in run {loaded.name!r}")
        return _described(loaded, loaded.catalogue.row[item_id])

    def user(self, user_id: str, *, run: str | None = None) -> dict[str, Any]:
        """A user's history, oldest first, from the run's data and from the log; empty for a stranger."""
        loaded = self._state.loaded_run(run, user_id)
        past = self._state.history(loaded, user_id, None, self._state.recent([user_id])[0])
        pairs = zip(past.item.tolist(), past.weight.tolist(), strict=True)
        history = [{**_described(loaded, item), "weight": round(weight, 6)} for item, weight in pairs]
        return {"user_id": user_id, "run": loaded.name, "history": history}

    def users(self, begin: str = "", *, k: int = 20, run: str | None = None) -> list[str]:
        """Ids of users of the run's data that begin with `begin`."""
        known = self._state.loaded_run(run).dataset.user_ids.values.to_pylist()
        found = (u for u in known if u.startswith(begin) and not self._state.is_deleted(u))
        return list(itertools.islice(found, k))

    def runs(self) -> list[dict[str, Any]]:
        """Each run: its name, its recommenders best first, its leaderboard, and what can be asked of it."""
        return [
            {
                "run": loaded.name,
                "share": self._state.shares[loaded.name],
                "recommenders": list(loaded.models),
                "leaderboard": loaded.run.report.get("leaderboard", []),
                "users": loaded.dataset.n_users,
                "items": loaded.n_items,
                "interactions": len(loaded.dataset),
                "fields": list(loaded.catalogue.fields),
                "takes_words": loaded.takes_words,
                "report": (loaded.run.folder / "report.html").is_file(),
            }
            for loaded in self._state.loaded_runs.values()
        ]

    def run(self, name: str | None = None) -> Run:
        """A run that is served, by name; the first without."""
        return self._state.loaded_run(name).run

    def names(self) -> list[str]:
        """Names of the runs that are served."""
        return list(self._state.loaded_runs)

    def batch_key(self, ask: ListRequest) -> tuple[str, str]:
        """Run and recommender that will answer: requests with the same one are worth scoring together."""
        loaded = self._state.loaded_run(ask.run, ask.user_id)
        return loaded.name, loaded.model(ask.recommender) if ask.words is None else "words"

    def reordered(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """By run and recommender what language models did to its lists, where one is asked."""
        accounts = {
            (loaded.name, name): reranking_counts(model)
            for loaded in list(self._state.loaded_runs.values())
            for name, model in loaded.models.items()
        }
        return {key: account for key, account in accounts.items() if account}

    def missing(self) -> list[str]:
        """Stages that keep failing and are left alone until they answer again."""
        return self._state.fallback.missing()

    # --- telling ----------------------------------------------------------------------------------

    def record(self, events: Sequence[Event]) -> list[bool]:
        """Events on disk, and in the next answer for their users. False: this event id was counted before."""
        return self._state.record(events)

    def put_item(self, item_id: str, fields: Mapping[str, Any]) -> dict[str, bool]:
        """Add an item or change its fields; by run, whether it can be recommended from now on.

        DataError for a value that does not fit its column in a run's data.
        """
        for loaded in self._state.loaded_runs.values():
            check_fields(loaded.run.dataset, fields)
        self._state.put_item(ItemChange(item_id, dict(fields)))
        return {name: item_id in loaded.catalogue.row for name, loaded in self._state.loaded_runs.items()}

    def delete_user(self, user_id: str) -> int:
        """Erase a user from the log and from every answer; how many events there were.

        What the recommenders learnt from the user stays in their numbers until the run is refreshed.
        """
        return self._state.delete_user(user_id)

    def sync(self) -> int:
        """Take over what other processes wrote into the log, and count trends; the number of new entries."""
        return self._state.sync()

    def swap(self, run: Run, name: str | None = None) -> None:
        """Serve `run` in place of the one of its name, or of `name`, once all of it has answered a trial in time.

        One step: an answer comes from the one or the other. GenreError leaves the old one; what did not answer in that
        one need not answer in the new one.
        """
        self._state.swap(run, name or run.name)


def _described(loaded: LoadedRun, row: int) -> dict[str, Any]:
    catalogue = loaded.catalogue
    return {"item_id": catalogue.item_ids[row], "title": catalogue.titles[row], "fields": catalogue.describe(row)}
