"""Lists without a user: items similar to one, items that the same users have, popular and trending items."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.item_fields import Mask
from genre.options import DEFAULT_K
from genre.recommenders.listing import Among
from genre.recommenders.phrasebook import PHRASEBOOKS, Language
from genre.serving.fallback import Ranked
from genre.serving.lists import entries_with_reason
from genre.serving.loaded_run import LoadedRun
from genre.serving.requests import ListSource, RankedList
from genre.serving.updates import Updates

MOST_USERS = 5_000  # of an item, whose other items are counted
FEWEST_USERS = 2  # who have both items; one would show what a single user has


class ItemLists(Updates):
    """The lists without a user."""

    def similar(
        self,
        item_id: str,
        *,
        k: int = DEFAULT_K,
        together: bool = False,
        run: str | None = None,
        recommender: str | None = None,
        fields: Sequence[str] = (),
        record: bool = True,
        language: Language = "en",
    ) -> RankedList:
        """Return the items most similar to one, or those that the same users have.

        Args:
            item_id: The item.
            k: Length of the list.
            together: Those that the same users have, more often than their popularity explains; perhaps none.
            run: Name of the run; None: the first.
            recommender: Name of the recommender; None: the best.
            fields: Names of item fields to answer with.
            record: Whether the list is sent to a user and counts as shown.
            language: Language of the reasons.

        Returns:
            The list; popular items where the item is unknown.
        """
        begin = time.perf_counter()
        source: ListSource
        loaded = self._state.loaded_run(run)
        name, row = loaded.model_name(recommender), loaded.catalogue.row.get(item_id)
        if row is None:
            return self.popular(k=k, run=loaded.name, fields=fields, record=record, language=language)
        words, allowed = PHRASEBOOKS[language], loaded.allowed(int(time.time()))
        if together:
            ranked = self._ranked_by(loaded, chosen_together(loaded.dataset, row), k, allowed)
            template, source = words.together, "together"
        else:
            ranked = self._state.fallback.similar(loaded, name, row, k, mask=allowed)
            source = "folded_in" if ranked.step == "model" else ranked.step
            template = words.popular if ranked.step == "popular" else words.similar
        why = words.titles(template, [loaded.catalogue.titles[row]])
        made = RankedList(
            items=entries_with_reason(loaded, ranked, why, fields),
            source=source,
            run=loaded.name,
            recommender=name,
            fallback=ranked.fallback,
        )
        self.shows.add([(None, made)] if record else [], time.perf_counter() - begin, source="similar")
        return made

    def popular(
        self,
        *,
        k: int = DEFAULT_K,
        trending: bool = False,
        run: str | None = None,
        fields: Sequence[str] = (),
        record: bool = True,
        language: Language = "en",
    ) -> RankedList:
        """Return the most popular items. With filters: `recommend` without a user.

        Args:
            k: Length of the list.
            trending: By recent events alone; items without any are left out.
            run: Name of the run; None: the first.
            fields: Names of item fields to answer with.
            record: Whether the list is sent to a user and counts as shown.
            language: Language of the reasons.

        Returns:
            The list.
        """
        begin = time.perf_counter()
        loaded, words = self._state.loaded_run(run), PHRASEBOOKS[language]
        allowed = loaded.allowed(int(time.time()))
        if trending:
            ranked = self._ranked_by(loaded, self._state.trending.counts(loaded.catalogue.row), k, allowed)
        else:
            ranked = self._state.fallback.popular(loaded, Among(k, allowed))
        entries = entries_with_reason(loaded, ranked, words.trending if trending else words.popular, fields)
        made = RankedList(items=entries, source="popular", run=loaded.name, recommender="popular")
        self.shows.add([(None, made)] if record else [], time.perf_counter() - begin)
        return made

    def _ranked_by(self, loaded: LoadedRun, counts: Float32, k: int, allowed: Mask | None) -> Ranked:
        """Rank the items with a count above 0."""
        shown = counts > 0 if allowed is None else (counts > 0) & allowed
        return self._state.fallback.popular(loaded, Among(k, shown), counts=counts)


def chosen_together(dataset: Dataset, row: int) -> Float32:
    """Score items by how often users of one item have them.

    With n_j the users of item j, and n_ij those who have j and this item i, the score is n_ij / sqrt(n_j): by n_ij
    alone popular items would be in every list, by n_ij / n_j items of hardly any user.

    Args:
        dataset: The interactions.
        row: Row of the item. Of an item of very many users, as many of them as `MOST_USERS` are counted.

    Returns:
        The scores, 0 for the item itself and where too few users have both. `[n_items]`
    """
    users = np.unique(dataset.user[(dataset.item == row) & (dataset.weight > 0)])
    if len(users) > MOST_USERS:
        users = users[np.linspace(0, len(users) - 1, MOST_USERS).astype(np.int64)]
    history = dataset.history(users)
    liked = history.weight > 0
    pairs = np.unique(history.row_of()[liked] * dataset.n_items + history.item[liked])  # repeats count once
    both = np.bincount(pairs % dataset.n_items, minlength=dataset.n_items)  # n_ij
    having = np.bincount(dataset.item, dataset.weight > 0, minlength=dataset.n_items)  # n_j, repeats included
    both[row] = 0
    return np.where(both >= FEWEST_USERS, both / np.sqrt(np.maximum(having, 1)), 0).astype(np.float32)
