"""LLMReranker: a language model reorders the best items of any recommender, for users whose history is short.

Only listed columns of items are sent. An answer that cannot be used is counted in `counts` and leaves the order of the
first stage; a recommendation never fails because the model did.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from typing_extensions import override

from genre.arrays import Float32, Float64, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.domains.packs import DEFAULT_DOMAIN, DomainName, load_domain
from genre.errors import BudgetExceeded, DataError, GenreError, NotSupported
from genre.llm.base import LanguageModel
from genre.llm.budget import Plan
from genre.llm.ledger import TOKENS_PER_BYTE, Ledger
from genre.llm.prompt import load_prompt
from genre.llm.sent_fields import mean_bytes, sent_fields
from genre.llm.settings import LLMOptions
from genre.log import Log
from genre.options import Doc, Ge, Le
from genre.recommenders.base import Recommender, within
from genre.recommenders.llm_orders import (
    METHODS,
    PROMPTS,
    CandidateRanks,
    OrderingMethod,
    OrderingTask,
    fuse_orders,
    strictly_falling,
)
from genre.recommenders.second_stage import SecondStage
from genre.recommenders.topk import top_k_scores

LINE_LENGTH = 160  # characters of an item's line, at most
HISTORIES_AT_ONCE = 16  # in one round of calls
UNUSED_ANSWERS = ("failed", "unreadable", "over_budget")  # outcomes that leave the first stage's order

LINE_MARK = 8  # bytes of a number or a letter before a line of a prompt


@dataclass(eq=False)
class LLMReranker(SecondStage):
    """The top `n` of a first stage, reordered by a language model and fused with the first stage's order.

    The model's bias towards positions in the prompt is averaged out by shuffled prompts. The likelihood of a title is
    compared with its likelihood after no history, since common titles are likely anywhere.

    Sources: Hou et al., "Large Language Models are Zero-Shot Rankers for Recommender Systems", ECIR 2024; Holtzman et
    al., "Surface Form Competition", EMNLP 2021, for the comparison of likelihoods.

    Example:
        >>> import genre
        >>> from genre.testing import FakeLanguageModel, toy_dataset
        >>> llm = genre.LLMOptions(FakeLanguageModel(), ledger=":memory:")
        >>> model = genre.LLMReranker(genre.EASE(), llm, n=3).fit(toy_dataset())
        >>> len(model.recommend(["i0", "i2"], k=3).ids()), model.counts["reordered"]
        (3, 1)

    Attributes:
        counts: histories that were `reordered`, and those left as they were: `failed` (another attempt may succeed),
            `unreadable` or `over_budget`; candidates in written lists that were `missing`, `unknown` or `repeated`.
        last_error: the last error of a call, for people.
    """

    llm: Annotated[
        LLMOptions | None,
        Doc("The language model that reorders, and its budget; None in a config: that of the section `llm`."),
    ] = None
    fields: Annotated[
        tuple[str, ...],
        Doc("Columns of the items' table that may be sent, the title first; nothing else leaves the machine."),
    ] = ("title",)
    method: Annotated[
        OrderingMethod | None,
        Doc(
            "titles: the likelihood of each title after the history, compared with that after none; labels: the "
            "likelihood of each candidate's letter as the answer; list: the model writes the order. None: titles where "
            "the provider can score texts, else list."
        ),
    ] = None
    n: Annotated[int, Ge(2), Le(26), Doc("Candidates.")] = 10
    shuffles: Annotated[
        int,
        Ge(1),
        Le(20),
        Doc("Orders in which the candidates of each history are shown, each also reversed (labels, list)."),
    ] = 2
    weight: Annotated[
        float, Ge(0), Le(1), Doc("Of the model's order in the fusion: 0 the first stage alone, 1 the model alone.")
    ] = 0.5
    short_history: Annotated[
        Annotated[int, Ge(1)] | None, Doc("Interactions of a history that is reordered, at most; None: any number.")
    ] = 10
    history_length: Annotated[int, Ge(1), Doc("Newest liked items of a history that are sent.")] = 10
    domain: DomainName = DEFAULT_DOMAIN
    seed: Annotated[int, Doc("Of the shuffles.")] = 0

    learns: ClassVar[tuple[str, ...]] = ("lines_",)

    def __post_init__(self) -> None:
        super().__post_init__()
        load_domain(self.domain)
        LLMOptions.check(self.llm, "LLMReranker")
        if self.llm is not None:
            self._check_method(self.llm.provider)
        self.counts: Counter[str] = Counter()
        self.last_error = ""

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if self.llm is None:
            raise DataError("llm_reranker: needs a language model; give it llm, such as LLMOptions(LlamaCpp())")
        if not self.fields:
            raise DataError("llm_reranker: fields is empty; name the columns of items that may be sent, such as title")
        super()._fit(dataset, validation, log)
        texts = sent_fields(dataset.items, self.fields, labels=False)
        self.lines_ = [_line(fields) for fields in texts]

    def _check_method(self, provider: LanguageModel) -> None:
        """Refuse a method that the provider cannot serve, before anything is learnt."""
        name = type(provider).__name__
        if self.method in ("titles", "labels") and provider.scores == "nothing":
            raise NotSupported(f"llm_reranker: {name} gives no likelihoods; use method: list, or leave method out")
        if self.method == "titles" and provider.scores == "words":
            raise NotSupported(
                f"llm_reranker: {name} cannot score titles; use method: list, or labels where the server sends log "
                "probabilities"
            )

    @property
    def _method(self) -> OrderingMethod:
        """The method, by what the provider can where none is named."""
        scores = self.llm.provider.scores if self.llm is not None else "nothing"
        return self.method or ("titles" if scores == "texts" else "list")

    @override
    def without_llm(self) -> Recommender:
        """Return the first stage, without language models of its own."""
        return self.first_[0].without_llm()

    def plan(self, items: pa.Table, histories: Sequence[History]) -> Plan:
        """Estimate the cost of reordering batches of histories before anything is fitted; nothing is sent.

        Args:
            items: the table of items.
            histories: the batches.

        Returns:
            Calls, tokens and money, at most.
        """
        fields = [name for name in self.fields if name in items.column_names]  # those still to be generated are short
        lines = [_line(row) for row in sent_fields(items, fields, labels=False)]
        line, longest = mean_bytes(lines), max((len(one.encode()) for one in lines), default=0) + LINE_MARK
        n_histories = n_lines = 0
        for history in histories:
            rows = np.flatnonzero(self._is_reordered(history))
            n_histories += len(rows)
            n_lines += int(_liked(history.select(rows)).last(self.history_length).lengths.sum())
        prompt, ledger, n = load_prompt(PROMPTS[self._method]), self._ledger, min(self.n, len(lines))
        if self._method == "titles":
            alone = min(n_histories * n, len(lines))  # each title after no history
            size, most = ((n_histories + alone) * len(prompt.text) + n_lines * each for each in (line, longest))
            out = n * line * TOKENS_PER_BYTE
            return ledger.estimate(prompt, n_histories + alone, size, tokens_out=out, most_size=most, reads=n)
        shown = 2 * self.shuffles
        size, most = (
            shown * (n_histories * (len(prompt.text) + n * each) + n_lines * each) for each in (line, longest)
        )
        each, reads = (n, n) if self._method == "labels" else (4 * n, 1)
        return ledger.estimate(prompt, n_histories * shown, size, tokens_out=each, most_size=most, reads=reads)

    def _is_reordered(self, history: History) -> npt.NDArray[np.bool_]:
        """Return whether each history is short enough and has a liked item, `[n]`."""
        short = history.lengths <= (self.short_history or np.inf)
        return (_liked(history).lengths > 0) & short & (self.weight > 0)

    def _score(self, history: History) -> Float32:
        scores = self._first_scores(history)
        rows = np.flatnonzero(self._is_reordered(history))
        if len(rows) == 0:
            return scores
        reordered = history.select(rows)
        n = min(self.n, history.n_items)
        items, best = top_k_scores(scores[rows], n, seen=(reordered.indptr, reordered.item))  # [n_rows, n] each
        has_text = np.array([bool(line) for line in self.lines_])
        complete = ((items >= 0) & has_text[items]).all(axis=1)  # else fewer than n candidates are left
        rows, items, best = rows[complete], items[complete], best[complete]
        ranks = self._ranks(_liked(history.select(rows)).last(self.history_length), items)
        for row, candidates, first_scores, rank in zip(rows, items, best, ranks, strict=True):
            order = fuse_orders(rank, self.weight)
            scores[row, candidates[order]] = strictly_falling(first_scores)
        return scores

    def _extend(self, features: Float32) -> None:
        super()._extend(features)
        self.lines_ = self.lines_ + [""] * len(features)  # new items have no text to send

    # --- calling the model ------------------------------------------------------------------------

    def _ranks(self, histories: History, items: Int32) -> Float64:
        """Return the mean rank that the model gives each candidate, 0 is best; that of the first stage without answer.

        A few histories at a time, and one by one where the budget ends, so that all paid answers are used.
        `[n_histories, n]`
        """
        lines = [[self.lines_[item] for item in row.item.tolist()] for row in _each(histories)]
        candidates = [[self.lines_[item] for item in row] for row in items.tolist()]
        shuffles, wording = self._shuffles(items.shape[1]), load_domain(self.domain).words.wording()
        rank = np.tile(np.arange(items.shape[1], dtype=np.float64), (len(items), 1))
        ledger, every = self._ledger, np.arange(len(items))
        left = [every[at : at + HISTORIES_AT_ONCE] for at in range(0, len(items), HISTORIES_AT_ONCE)]
        while left:
            rows = left.pop(0)
            task = OrderingTask([lines[row] for row in rows], [candidates[row] for row in rows], shuffles, wording)
            try:
                found = METHODS[self._method](ledger, task)
            except BudgetExceeded as error:
                if ledger is self._ledger:
                    self.last_error = str(error)
                if len(rows) > 1:
                    left = [*rows[:, None], *left]
                else:
                    self.counts["over_budget"] += 1
                    ledger = ledger.cached_only()  # from here on only answers that are in the ledger
                continue
            except GenreError as error:  # a missing package, a full disk: the order of the first stage
                found = CandidateRanks(np.full_like(rank[rows], np.nan), np.ones(len(rows), bool), str(error))
            rank[rows] = np.where(np.isnan(found.rank), rank[rows], found.rank)
            self._count(found)
        return rank

    def _count(self, found: CandidateRanks) -> None:
        unused = np.asarray(np.isnan(found.rank).any(axis=1), bool)
        counts = {"reordered": ~unused, "failed": unused & found.failed, "unreadable": unused & ~found.failed}
        self.counts.update({name: int(rows.sum()) for name, rows in counts.items()})
        self.counts.update(found.counts)
        self.last_error = found.error or self.last_error

    def _shuffles(self, n: int) -> list[npt.NDArray[np.int64]]:
        """Return the orders in which candidates are shown, the same for all histories whatever their batch.

        Each is followed by its reverse, so that a model that repeats the order shown ranks all candidates alike.
        """
        rng = np.random.default_rng(self.seed)
        return [order for _ in range(self.shuffles) for order in _both_ways(rng.permutation(n))]

    @functools.cached_property
    def _ledger(self) -> Ledger:
        assert self.llm is not None
        return self.llm.open()


def rerankers(recommender: Recommender) -> list[LLMReranker]:
    """Return the rerankers inside a recommender: itself, first stages and members.

    Args:
        recommender: any recommender.

    Returns:
        Those that are LLMRerankers.
    """
    return [one for one in within(recommender) if isinstance(one, LLMReranker)]


def reranking_counts(recommender: Recommender) -> dict[str, Any]:
    """Return the sum of the counts of all rerankers inside a recommender since it was loaded.

    Args:
        recommender: any recommender.

    Returns:
        Outcome -> count, and `trouble`, an error message or empty; an empty dict without a reranker.
    """
    found = rerankers(recommender)
    counts = sum((one.counts for one in found), Counter[str]())
    return {**counts, "trouble": next((one.last_error for one in found if one.last_error), "")} if found else {}


def describe_reranking(counts: Mapping[str, Any]) -> str:
    """Describe the counts of rerankers in words.

    Args:
        counts: as `reranking_counts` returns them.

    Returns:
        One line, such as `12 histories reordered, 3 left as they were because calls failed (timeout)`.
    """
    words = {
        "reordered": "histories reordered",
        "failed": "left as they were because calls failed",
        "unreadable": "left as they were because the answers could not be read",
        "over_budget": "left as they were because the budget was used up",
        "missing": "candidates missing in written lists",
        "unknown": "unknown",
        "repeated": "named twice",
    }
    parts = [
        f"{counts.get(name, 0):,} {text}" for name, text in words.items() if counts.get(name) or name == "reordered"
    ]
    return ", ".join(parts) + (f" ({counts['trouble']})" if counts["trouble"] else "")


def record_reranking(recommender: Recommender, label: str, log: Log) -> dict[str, Any]:
    """Log what language models did to the lists of a recommender since it was made or loaded.

    Args:
        recommender: The recommender.
        label: Its name in the log.
        log: Where a line and an entry are written, if a language model did anything.

    Returns:
        The counts; empty without a reranker.
    """
    counts = reranking_counts(recommender)
    if any(count for name, count in counts.items() if name != "trouble"):
        log.line(f"  language model: {describe_reranking(counts)}")
        log.record("reranked", recommender=label, **counts)
    return counts


def _line(fields: Sequence[str]) -> str:
    """Return the line of an item in a prompt: the title, then the other fields behind dashes."""
    return " — ".join(fields)[:LINE_LENGTH]


def _both_ways(order: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return an order and its reverse."""
    return order, order[::-1].copy()


def _liked(history: History) -> History:
    return history.keep(history.weight > 0)


def _each(history: History) -> Iterator[History]:
    return (history.select([row]) for row in range(len(history)))
