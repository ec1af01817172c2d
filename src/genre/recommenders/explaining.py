"""Evidence for scores: what each interaction of a history adds to the score of an item.

Two ways to obtain it. Exact: where the score is a sum of one term for each interaction, the terms are the evidence.
Occlusion: elsewhere, an interaction counts what the score loses without it, `score(history) - score(history without
it)`; such falls need not add up to the score. Knows nothing about titles and sentences.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32, Int32
from genre.data.history import History
from genre.errors import DataError, NotSupported
from genre.recommenders.reasons import REORDERING, Explanation, Method, Terms
from genre.recommenders.topk import SCORES_AT_ONCE


class Explaining(ABC):
    """The part of a recommender that gives evidence for its scores.

    An algorithm whose score is a sum over the history implements `_contributions`, and `_popular` for what every
    history gets; one that combines others implements `_terms`. Without them, occlusion needs `_score` alone.
    """

    explains: ClassVar[Method] = "occlusion"
    answers_empty: ClassVar[bool] = False  # scores empty histories itself; otherwise they get the popularity of items

    popularity_: Float32

    # --- what evidence is made of, implemented by the recommender -----------------------------------

    @abstractmethod
    def score(self, history: History) -> Float32:
        """Return a score for every item.

        Args:
            history: `n` histories.

        Returns:
            float32 `[n, n_items]`.
        """

    @abstractmethod
    def without_llm(self) -> Explaining:
        """Return the same recommender without the language models that it calls while scoring.

        Explanations come from this one, so that they cost no calls.

        Returns:
            A copy whose members have no language models; the recommender itself where there are none.
        """

    @abstractmethod
    def _score(self, history: History) -> Float32: ...

    @abstractmethod
    def _check(self, history: History) -> None: ...

    @abstractmethod
    def _histories(self, history: History | Sequence[str]) -> History: ...

    @abstractmethod
    def _item_rows(self, items: npt.ArrayLike) -> Int32: ...

    # --- public -------------------------------------------------------------------------------------

    @property
    def evidence(self) -> Method:
        """How this recommender obtains its evidence; recommenders that combine others have that of their members."""
        return self.explains

    def explain(
        self, history: History | Sequence[str], items: npt.ArrayLike, *, scores: Float32 | None = None
    ) -> list[Explanation]:
        """Return the evidence for each of `items`.

        Args:
            history: One history, also as item ids, oldest first.
            items: Item ids or rows `[m]`.
            scores: The scores that `recommend` gave them `[m]`; with them nothing is scored again, and no language
                model is called.

        Returns:
            One explanation for each item.

        Raises:
            DataError: If there is not exactly one history, or it counts another catalogue.
            UnknownId: If an item id is not in the catalogue.
        """
        history, items = self._histories(history), self._item_rows(items)
        shares, popular, parts = self.terms(history, items)
        scores = self.score(history)[0, items] if scores is None else scores
        without = self.without_llm()
        if without is not self:
            parts = {**parts, REORDERING: scores - without.score(history)[0, items]}
        disliked = frozenset(history.item.tolist()) - frozenset(history.item[history.weight > 0].tolist())
        out = []
        for at, (item, share) in enumerate(zip(items, shares, strict=True)):
            order = np.argsort(-share, kind="stable")
            order = order[share[order] != 0]
            out.append(
                Explanation(
                    item=int(item),
                    score=float(scores[at]),
                    method=self.evidence,
                    history=tuple(zip(history.item[order].tolist(), share[order].tolist(), strict=True)),
                    popular=float(popular[at]),
                    parts={name: float(part[at]) for name, part in parts.items() if part[at] != 0},
                    disliked=disliked,
                )
            )
        return out

    def terms(self, history: History, items: Int32) -> Terms:
        """Return the terms that the score of each of `items` is a sum of; no language model is called.

        Args:
            history: One history.
            items: Item rows `[m]`.

        Returns:
            The terms of the interactions, of popularity and of texts about the user.

        Raises:
            DataError: If there is not exactly one history, or it counts another catalogue.
        """
        self._check(history)
        if len(history) != 1:
            raise DataError(f"the terms of a score are those of one history, found {len(history)}")
        items, without = np.asarray(items, np.int32), self.without_llm()
        if without._scores_by_popularity(history):
            return Terms(np.zeros((len(items), 0), np.float32), without.popularity_[items], {})
        return without._terms(history, items)

    def contributions(self, history: History, items: Int32) -> Float32:
        """Return what each interaction adds to the score of each of `items`.

        Args:
            history: One history.
            items: Item rows `[m]`.

        Returns:
            Exact terms of the score or falls without the interaction, as `evidence` says; float32 `[m, length]`.
        """
        return self.terms(history, items).history

    def popular(self, history: History, items: Int32) -> Float32:
        """Return the part of the score of each of `items` that is the same for every history.

        Args:
            history: One history.
            items: Item rows `[m]`.

        Returns:
            float32 `[m]`, zero where the score has no such part.
        """
        self._check(history)
        items, without = np.asarray(items, np.int32), self.without_llm()
        if without._scores_by_popularity(history):
            return without.popularity_[items]
        return without._popular(history, items)

    def sums_queries(self) -> bool:
        """Say whether queries are sums over the history, so that `_query_terms` is known.

        Returns:
            True where the class implements `_query_terms`.
        """
        return type(self)._query_terms is not Explaining._query_terms

    # --- for the algorithm to override ----------------------------------------------------------------

    def _terms(self, history: History, items: Int32) -> Terms:
        return Terms(self._contributions(history, items), self._popular(history, items), {})

    def _popular(self, history: History, items: Int32) -> Float32:
        """Return the part of the scores that is the same for every history, `[m]`."""
        return self.score(history)[0, items] if self.explains == "popularity" else np.zeros(len(items), np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        """Return what each interaction adds to each item's score, by default its fall without the interaction."""
        length = len(history.item)
        if length == 0:
            return np.zeros((len(items), 0), np.float32)
        copies = history.select(np.zeros(length, np.int64))  # `length` copies of the one history,
        occluded = copies.keep(~np.eye(length, dtype=bool).ravel())  # copy j without its interaction j
        whole = self._score_items(history, items)[0]  # [m]
        blocks = occluded.blocks(max(1, SCORES_AT_ONCE // history.n_items))
        parts = np.concatenate([self._score_items(block, items) for _, block in blocks])  # [length, m]
        return np.asarray(whole[:, None] - parts.T, np.float32)

    def _score_items(self, history: History, items: Int32) -> Float32:
        """Return the scores of some items, `[n, m]`."""
        return self._score(history)[:, items]

    def _query_terms(self, history: History) -> Float32:
        """Return what each interaction adds to the query of `_factors`, where a query is such a sum, `[length, dim]`.

        A recommender that puts other item factors beside these queries explains its scores exactly by them.
        """
        raise NotSupported(f"{type(self).__name__}: its queries are not sums over a history")

    def _scores_by_popularity(self, history: History) -> bool:
        """Say whether the scores of the one history are plain popularity, because it is empty."""
        return len(history.item) == 0 and not self.answers_empty
