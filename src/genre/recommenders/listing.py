"""The lists of a recommender: the best items for each history, and the items nearest to one.

Knows scores, and products of factors where an algorithm has them; not how either is learnt.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32, Int64
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError
from genre.options import DEFAULT_K
from genre.recommenders.explaining import Explaining
from genre.recommenders.item_index import ItemIndex, top_k_indexed
from genre.recommenders.recommendations import Recommendations
from genre.recommenders.topk import SCORES_AT_ONCE, Mask, top_k_factors, top_k_scores
from genre.threads import blas_threads


class Among(NamedTuple):
    """What a list is made of.

    Attributes:
        k: Its length; above the size of the catalogue it is the whole catalogue.
        candidates: The only items allowed, bool `[n_items]`; None allows all.
    """

    k: int
    candidates: Mask | None = None


class Listing(Explaining):
    """The part of a recommender that makes lists of its scores."""

    item_ids_: Ids
    _index: ItemIndex | None = None  # finds the best items of large catalogues; not part of what is learnt

    # --- what lists are made of, implemented by the recommender -------------------------------------

    @abstractmethod
    def as_factors(self, history: History) -> tuple[Float32, Float32] | None:
        """Return queries and item factors whose dot products are the scores, if the algorithm has them.

        Args:
            history: `n` histories over the catalogue of `fit`.

        Returns:
            `(queries [n, dim], items [n_items, dim])`, or None where scores are no such products.
        """

    @abstractmethod
    def _fitted(self) -> None: ...

    # --- public -------------------------------------------------------------------------------------

    def recommend(
        self,
        history: History | Sequence[str],
        *,
        k: int = DEFAULT_K,
        exclude_seen: bool = True,
        candidates: npt.ArrayLike | None = None,
    ) -> Recommendations:
        """Return the best items for each history; of equal scores the lower row number comes first.

        Args:
            history: `n` histories, or one history as item ids, oldest first.
            k: Length of a list; above the size of the catalogue it is the whole catalogue.
            exclude_seen: Leave out the items of the history.
            candidates: The only items allowed, as ids or as bool `[n_items]`; None allows all.

        Returns:
            The lists of the `n` histories.

        Raises:
            DataError: If `k` is below one or the histories count another catalogue.
            UnknownId: If an item id is not in the catalogue.
        """
        self._fitted()
        mask = None if candidates is None else self.item_ids_.mask_of(candidates, "item")
        return self.recommend_among(history, [Among(k, mask)], exclude_seen=exclude_seen)[0]

    def recommend_among(
        self, history: History | Sequence[str], among: Sequence[Among], *, exclude_seen: bool = True
    ) -> list[Recommendations]:
        """Return several lists for each history, each the best of other candidates; a history is scored once.

        Args:
            history: `n` histories, or one history as item ids, oldest first.
            among: Length and candidates of each list. `[m]`
            exclude_seen: Leave out the items of the history.

        Returns:
            For each of `among` the lists of the `n` histories. `[m]`

        Raises:
            DataError: If a `k` is below one, or histories or candidates count another catalogue.
            UnknownId: If an item id is not in the catalogue.
        """
        histories = self._histories(history)
        self._check(histories)
        lengths = [_length(k, histories.n_items) for k, _ in among]
        shapes = [(len(histories), k) for k in lengths]
        found = [(np.full(shape, -1, np.int32), np.full(shape, -np.inf, np.float32)) for shape in shapes]
        with blas_threads():
            for rows, block in self._blocks(histories, max(1, SCORES_AT_ONCE // max(histories.n_items, 1))):
                best, seen = self._ranker(block), (block.indptr, block.item) if exclude_seen else None
                for (item, score), k, (_, allowed) in zip(found, lengths, among, strict=True):
                    item[rows], score[rows] = best(k, seen=seen, candidates=allowed)
        return [self._lists(item, score, histories) for item, score in found]

    def similar_items(self, items: npt.ArrayLike, *, k: int = DEFAULT_K) -> Recommendations:
        """Return the items nearest to each of `items`: those to whose scores having seen that item alone adds most.

        Popularity, which an item gets without any history, does not count.

        Args:
            items: Item ids or rows `[n]`.
            k: Length of a list.

        Returns:
            Lists with -1 where no further item is near.

        Raises:
            UnknownId: If an item id is not in the catalogue.
        """
        rows = self._item_rows(items)
        n_items = len(self.item_ids_)
        histories, every = History.of([[int(item)] for item in rows], n_items), np.arange(n_items, dtype=np.int32)
        added = np.empty((len(rows), n_items), np.float32)
        for at in range(len(rows)):
            added[at] = self.contributions(histories.select([at]), every)[:, 0]
        return self._nearest(rows, added, k)

    def use_index(self, index: ItemIndex) -> None:
        """Find the best items through an index from now on; lists are then approximate, scores are not.

        Args:
            index: An index over the item factors of this recommender.
        """
        self._index = index

    # --- private ------------------------------------------------------------------------------------

    def _blocks(self, histories: History, size: int) -> Iterator[tuple[slice | Int64, History]]:
        """Yield rows and their histories; empty ones are apart where popularity answers them, as no query does."""
        for rows, block in histories.blocks(size):
            empty = block.lengths == 0
            if self.answers_empty or not empty.any() or empty.all():
                yield rows, block
            else:
                for kind in (np.flatnonzero(~empty), np.flatnonzero(empty)):
                    yield rows.start + kind, block.select(kind)

    def _ranker(self, block: History) -> Callable[..., tuple[Int32, Float32]]:
        """Score histories; return what finds the best items of each by these scores."""
        factors = self.as_factors(block)
        if factors is None:
            return partial(top_k_scores, self.score(block))
        if self._index is None:
            return partial(top_k_factors, *factors)
        return partial(top_k_indexed, self._index, *factors)

    def _item_rows(self, items: npt.ArrayLike) -> Int32:
        """Return the rows of item ids or rows after a check: an error where they are none of the catalogue."""
        self._fitted()
        return self.item_ids_.rows_of(items, "item").astype(np.int32)

    def _nearest(self, items: Int32, nearness: Float32, k: int) -> Recommendations:
        """Return the `k` items nearest to each of `items` by `nearness` `[n, n_items]`, only those above zero."""
        itself = np.arange(len(items) + 1, dtype=np.int64), np.asarray(items, np.int32)
        found, near = top_k_scores(nearness, min(k, nearness.shape[1]), seen=itself)
        return self._lists(np.where(near > 0, found, -1), np.where(near > 0, near, -np.inf))

    def _lists(self, item: Int32, score: Float32, histories: History | None = None) -> Recommendations:
        """Return lists with what their frame is made of: titles, and reasons where they are for histories."""
        explains = None if histories is None else self
        return Recommendations(item, score, self.item_ids_, histories, explains, getattr(self, "_names", None))


def _length(k: int, n_items: int) -> int:
    """Return the length of a list after a check: at most the catalogue."""
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
        raise DataError(f"k is {k!r}; expected a whole number, one or more")
    return min(int(k), n_items)
