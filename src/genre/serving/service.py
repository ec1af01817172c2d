"""The service: recommends, explains, looks up and records, by the ids of the caller's data. Knows no HTTP.

Every method may be called from any thread. What is known at a moment is in state.py, what changes it in updates.py;
the steps that score are in fallback.py, lists as people see them are made in lists.py, lists without a user in
item_lists.py.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from genre.data.context import check_context
from genre.errors import GenreError
from genre.options import DEFAULT_K
from genre.recommenders.llm_reranker import reranking_counts
from genre.recommenders.phrasebook import PHRASEBOOKS, Language
from genre.rules.rule_set import RuleSet
from genre.runs import Run
from genre.serving.compare import compare_items
from genre.serving.dialogues import DialogueTurn, request_of, take_turn
from genre.serving.evidence import explain_item
from genre.serving.exploration import Explorer
from genre.serving.item_lists import ItemLists
from genre.serving.lists import ResolvedRequest, answer_batch
from genre.serving.requests import Evidence, ListRequest, RankedList
from genre.serving.state import EventsByUser


class Service(ItemLists):
    """Recommendations from one or several runs, kept up to date by an event store.

    Methods raise UnknownId for the name of a run or recommender that does not exist, and those that write to the event
    store raise StoreError while it cannot be used.

    Its attributes, how it begins, and what changes events, items, users and runs are in `Updates`.
    """

    def recommend(self, request: ListRequest) -> RankedList:
        """Answer one request.

        Args:
            request: The request.

        Returns:
            The list; popular items for an unknown user.

        Raises:
            GenreError: If the request names a run, recommender or field that does not exist.
        """
        answer = self.recommend_many([request])[0]
        if isinstance(answer, GenreError):
            raise answer
        return answer

    def recommend_many(self, requests: Sequence[ListRequest]) -> list[RankedList | GenreError]:
        """Answer requests; those that are alike are scored as one batch, which costs less than one by one.

        Args:
            requests: The requests.

        Returns:
            In the order of the requests, each list, or what is wrong with the request.
        """
        begin = time.perf_counter()
        answers: dict[int, RankedList | GenreError] = {}
        batches: dict[Hashable, list[ResolvedRequest]] = {}
        users = {request.user_id for request in requests if request.user_id is not None and request.history is None}
        events, events_missing = self._state.events_of(users)
        for index, request in enumerate(requests):
            try:
                resolved = self._resolve(index, request, events, events_missing)
            except GenreError as error:  # an unknown run, recommender or field: its request alone gets the error
                answers[index] = error
            else:
                batches.setdefault(resolved.batch_key, []).append(resolved)
        for batch in batches.values():
            try:
                lists: Sequence[RankedList | GenreError] = answer_batch(self._state.fallback, batch)
            except GenreError as error:  # such as a query without a word in it
                lists = [error] * len(batch)
            answers.update(zip((resolved.index for resolved in batch), lists, strict=True))
        made = [answers[index] for index in range(len(requests))]
        shown = []
        for request, answer in zip(requests, made, strict=True):
            if isinstance(answer, RankedList):
                answer.recommendation_id = request.recommendation_id or answer.recommendation_id
                if request.record:
                    shown.append((request.user_id, answer))
        self.shows.add(shown, time.perf_counter() - begin)  # of all together: none waited for less
        return made

    def _resolve(
        self, index: int, request: ListRequest, events: EventsByUser, events_missing: str | None
    ) -> ResolvedRequest:
        """Look up all names of a request; `events_missing`: why there are no recent events."""
        loaded = self._state.loaded_run(request.run, request.user_id)
        now = int(time.time())
        check_context(dict(request.context), loaded.dataset.context_names)
        rules = loaded.rules_with(request.rules)
        allowed = None if rules is None else rules.allowed(now)
        mask = allowed
        if request.include is not None or request.exclude or request.filter:
            wanted = loaded.catalogue.mask(request.include, request.exclude, request.filter)
            mask = wanted if allowed is None else allowed if wanted is None else wanted & allowed  # None: all items
        wants_events = request.user_id is not None and request.history is None
        return ResolvedRequest(
            index=index,
            request=request,
            loaded=loaded,
            name=loaded.model_name(request.recommender),
            history=self._state.history(loaded, request.user_id, request.history, events),
            mask=mask,
            events_missing=events_missing if wants_events else None,
            rules=rules,
            now=now,
            explorer=self._explorer_of(request, rules),
        )

    def _explorer_of(self, request: ListRequest, rules: RuleSet | None) -> Explorer | None:
        """Return what draws places at random in the list; None unless it is a plain list for a user.

        Another recommender is judged by what it would have put in these places, which only the user's history tells.
        """
        if self.explorer is None:
            return None
        bare = replace(
            request,
            k=DEFAULT_K,
            run=None,
            recommender=None,
            fields=(),
            recommendation_id=None,
            language="en",
            context=(),
        )
        plain = request.user_id is not None and bare == ListRequest(request.user_id)
        return self.explorer if plain and (rules is None or rules.only_hides) else None

    def explain(
        self,
        item_id: str,
        *,
        user_id: str | None = None,
        history: Sequence[str] | None = None,
        words: str | None = None,
        run: str | None = None,
        recommender: str | None = None,
        language: Language = "en",
        context: Mapping[str, str] | None = None,
    ) -> Evidence:
        """Return the evidence for one item.

        Args:
            item_id: The item.
            user_id: The user it is recommended to, or None.
            history: Item ids in place of the user's history, oldest first.
            words: The query in words that the list answered, or None.
            run: Name of the run; None: the run that the user is assigned to.
            recommender: Name of the recommender; None: the best.
            language: Language of the reason.
            context: Circumstances of the request, such as a device; the time is the service's own.

        Returns:
            The evidence; of method `unknown` for an item that is not in the catalogue.

        Raises:
            GenreError: If there is no such run, recommender or name of context, or the query has no word.
        """
        state = self._state
        loaded = state.loaded_run(run, user_id)
        name, row = loaded.model_name(recommender), loaded.catalogue.row.get(item_id)
        check_context(context or {}, loaded.dataset.context_names)
        events, events_missing = state.events_of({user_id} if user_id is not None and history is None else ())
        past = state.history(loaded, user_id, history, events)
        if row is None:
            return Evidence(
                item_id=item_id,
                title=item_id,
                score=None,
                reason=PHRASEBOOKS[language].unknown,
                method="unknown",
                source="popular",
                run=loaded.name,
                recommender=name,
            )
        return explain_item(
            state.fallback, loaded, name, past, row, words, events_missing, PHRASEBOOKS[language], context or {}
        )

    def converse(
        self,
        text: str,
        *,
        dialogue_id: str | None = None,
        user_id: str | None = None,
        k: int = 3,
        run: str | None = None,
        fields: Sequence[str] = (),
    ) -> DialogueTurn:
        """Take one turn of a dialogue that narrows the catalogue down.

        Args:
            text: What the user says.
            dialogue_id: The dialogue, as the turn before returned it; None: a new one.
            user_id: The user, whose own items are left out, or None.
            k: How many items, at most.
            run: Name of the run; None: the run that the user is assigned to.
            fields: Names of item fields to answer with.

        Returns:
            What was understood, the best items so far, and a question; or that nothing fits.

        Raises:
            UnknownId: If there is no such run or dialogue.
        """
        loaded = self._state.loaded_run(run, user_id)
        past = self._state.history(loaded, user_id, None, self._state.events_of({user_id} if user_id else ())[0])
        with self._state.dialogues.opened(dialogue_id) as (opened_id, dialogue):
            turn, excluded = take_turn(dialogue, text, loaded, past, int(time.time()))
            turn.dialogue_id = opened_id
            if not turn.nothing_fits:
                request = request_of(dialogue, loaded, excluded, user_id=user_id, k=k, fields=fields)
                turn.items = self.recommend(request).items
            dialogue.shown = [item["item_id"] for item in turn.items]
        return turn

    def compare(self, item_id: str, other_id: str, *, run: str | None = None) -> dict[str, Any]:
        """Compare two items.

        Args:
            item_id: An item.
            other_id: Another item.
            run: Name of the run; None: the first.

        Returns:
            What they share, where they differ and how alike they are.

        Raises:
            UnknownId: If there is no such item or run.
        """
        loaded = self._state.loaded_run(run)
        return compare_items(loaded, loaded.item_row(item_id), loaded.item_row(other_id))

    def filters(self, *, n_values: int = 50, run: str | None = None) -> list[dict[str, Any]]:
        """Return the fields that lists can be filtered by, and their values.

        Args:
            n_values: How many values of a field, at most; the most frequent.
            run: Name of the run; None: the first.

        Returns:
            Of each field its kind, and its values with numbers of items, or its smallest and largest number or day.
        """
        facets = self._state.loaded_run(run).sentences.facets
        return [facet.describe(n_values) for facet in facets.by_name.values()]

    def search(self, text: str, *, k: int = 20, run: str | None = None) -> list[dict[str, Any]]:
        """Find items by title.

        Args:
            text: Words of the title; without any, popular items are found.
            k: How many items, at most.
            run: Name of the run; None: the first.

        Returns:
            `item_id`, `title`, `picture` where it has one, and `fields` of each.
        """
        loaded = self._state.loaded_run(run)
        return [loaded.describe_item(row) for row in loaded.catalogue.search(text, k, loaded.popularity)]

    def item(self, item_id: str, *, run: str | None = None) -> dict[str, Any]:
        """Return what is known of an item.

        Args:
            item_id: The item.
            run: Name of the run; None: the first.

        Returns:
            `item_id`, `title`, `picture` where it has one, and `fields`.

        Raises:
            UnknownId: If there is no such item or run.
        """
        loaded = self._state.loaded_run(run)
        return loaded.describe_item(loaded.item_row(item_id))

    def picture(self, name: str) -> bytes | None:
        """Return the small picture of an item of any run that is served.

        Args:
            name: The last part of `picture` in answers.

        Returns:
            A WebP file, or None where there is no such picture.
        """
        runs = [loaded.run for loaded in self._state.loaded_runs.values()]
        found = (run.pictures.get(name) for run in runs if run.pictures is not None)
        return next((picture for picture in found if picture is not None), None)

    def user(self, user_id: str, *, run: str | None = None) -> dict[str, Any]:
        """Return a user's history: the run's data and recent events.

        Args:
            user_id: The user.
            run: Name of the run; None: the run that the user is assigned to.

        Returns:
            `user_id`, `run`, `history`, oldest first, empty for an unknown user, and `fallback`: why recent events are
            missing from it (the event log does not answer), or None.
        """
        loaded = self._state.loaded_run(run, user_id)
        events, events_missing = self._state.events_of([user_id])
        past = self._state.history(loaded, user_id, None, events)
        pairs = zip(past.item.tolist(), past.weight.tolist(), strict=True)
        history = [{**loaded.describe_item(item), "weight": round(weight, 6)} for item, weight in pairs]
        return {"user_id": user_id, "run": loaded.name, "history": history, "fallback": events_missing}

    def users(self, prefix: str = "", *, k: int = 20, run: str | None = None) -> list[str]:
        """Find users of the run's data.

        Args:
            prefix: How their ids begin.
            k: How many, at most.
            run: Name of the run; None: the first.

        Returns:
            Their ids, without deleted users.
        """
        loaded = self._state.loaded_run(run)
        known = loaded.dataset.user_ids.values.to_pylist()
        found = (u for u in known if u.startswith(prefix) and not self._state.is_deleted(u, loaded))
        return list(itertools.islice(found, k))

    def runs(self) -> list[dict[str, Any]]:
        """Describe the runs that are served.

        Returns:
            Of each run its name, share of the users, recommenders (best first), leaderboard, sizes and fields.
        """
        return [loaded.describe(self._state.shares[name]) for name, loaded in self._state.loaded_runs.items()]

    def run(self, name: str | None = None) -> Run:
        """Return a run that is served.

        Args:
            name: Its name; None: the first.

        Returns:
            The run.
        """
        return self._state.loaded_run(name).run

    def names(self) -> list[str]:
        """Return the names of the runs that are served.

        Returns:
            The names, the first run first.
        """
        return list(self._state.loaded_runs)

    def collection_key(self, request: ListRequest) -> tuple[str, str]:
        """Name the queue in which a request waits; those of one queue are answered by one call of `recommend_many`.

        There they are divided further, by `ResolvedRequest.batch_key`.

        Args:
            request: A request.

        Returns:
            Names of the run and the recommender that will answer it.
        """
        loaded = self._state.loaded_run(request.run, request.user_id)
        return loaded.name, (loaded.model_name(request.recommender) if request.words is None else "words")

    def llm_counts(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return what language models did to lists.

        Returns:
            Counts by outcome, by run and recommender, for recommenders with a language model.
        """
        runs = list(self._state.loaded_runs.values())
        models = {(loaded.name, name): model for loaded in runs for name, model in loaded.models.items()}
        return {key: counts for key, model in models.items() if (counts := reranking_counts(model))}
