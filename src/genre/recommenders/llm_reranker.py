"""A second stage: a language model reorders the best few of any recommender, where it is worth asking.

Only listed columns of items are sent. Whatever the model does wrong is counted in `account` and leaves the order of the
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

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.errors import BudgetExceeded, DataError, GenreError, NotSupported
from genre.llm.base import LanguageModel
from genre.llm.budget import Plan
from genre.llm.domains import DEFAULT_DOMAIN, load_domain, mean_bytes, sent_fields
from genre.llm.ledger import TOKENS_PER_BYTE, Ledger
from genre.llm.prompt import load_prompt
from genre.llm.settings import LLMOptions
from genre.log import Log
from genre.options import Ge, Le
from genre.recommenders.base import Recommender, within
from genre.recommenders.llm_orders import PROMPTS, WAYS, Float64, Found, Task, Way, deal, fuse
from genre.recommenders.second_stage import SecondStage
from genre.recommenders.topk import top_k_scores

LINE_LENGTH = 160  # characters of one item
TOGETHER = 16  # histories asked about at once


@dataclass(eq=False)
class LLMReranker(SecondStage):
    """The top `n` of a first stage, reordered by a language model and fused with the first stage's order.

    Order bias is averaged out by asking in shuffled orders (Hou et al., ECIR 2024).

    first: the recommender that proposes.
    llm: the language model that reorders, and what it may cost; None in a config: that of the section `llm`.
    fields: columns of the items' table that may be sent, the title first; nothing else leaves the machine.
    method: titles: how likely each title is after the history, against after none; labels: how likely each candidate's
        letter is as the answer; list: the model writes the order down.
    n: candidates. shuffles: orders each history is asked in (titles need none).
    weight: of the model's order in the fusion, 0 (first stage alone) to 1.
    short_history: only histories of at most so many interactions are reordered; None: all.
    history_length: newest liked items that are told. domain: wording, see Augmentation. seed: of the shuffles.
    """

    llm: LLMOptions | None = None
    fields: tuple[str, ...] = ("title",)
    method: Way = "titles"
    n: Annotated[int, Ge(2), Le(26)] = 10
    shuffles: Annotated[int, Ge(1), Le(20)] = 3
    weight: Annotated[float, Ge(0), Le(1)] = 0.5
    short_history: Annotated[int, Ge(1)] | None = 10
    history_length: Annotated[int, Ge(1)] = 10
    domain: str = DEFAULT_DOMAIN
    seed: int = 0

    learns: ClassVar[tuple[str, ...]] = ("lines_",)

    def __post_init__(self) -> None:
        super().__post_init__()
        load_domain(self.domain)
        LLMOptions.check(self.llm, "LLMReranker")
        self.counts: Counter[str] = Counter()
        """Histories: reordered, failed (worth asking again), unreadable, over_budget. Candidates in written lists:
        missing, unknown, repeated."""
        self.last_error = ""  # the last thing that went wrong, for people

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        if self.llm is None:
            raise DataError("llm_reranker: needs somebody to ask; give it llm, such as LLMOptions(LlamaCpp())")
        if not self.fields:
            raise DataError("llm_reranker: fields is empty; name the columns of items that may be sent, such as title")
        if self.method != "list" and type(self.llm.provider)._likelihood is LanguageModel._likelihood:
            raise NotSupported(f"{type(self.llm.provider).__name__} tells no likelihoods; use method: list")
        super()._fit(dataset, validation, log)
        texts = sent_fields(dataset.items, self.fields, labels=False)
        self.lines_ = [_line(fields) for fields in texts]

    def without_llm(self) -> Recommender:
        return self.first_[0].without_llm()

    def plan(self, items: pa.Table, histories: Sequence[History]) -> Plan:
        """What reordering these batches would cost at most, before the first stage is known; asks nobody."""
        fields = [name for name in self.fields if name in items.column_names]  # those that are not made yet are short
        lines = [_line(row) for row in sent_fields(items, fields, labels=False)]
        line = mean_bytes(lines)
        asked = told_of = 0
        for history in histories:
            liked = history.keep(history.weight > 0)
            rows = np.flatnonzero(self._asks(history, liked))
            asked += len(rows)
            told_of += int(liked.select(rows).last(self.history_length).lengths.sum())
        prompt, ledger, n = load_prompt(PROMPTS[self.method]), self._ledger, min(self.n, len(lines))
        if self.method == "titles":
            alone = min(asked * n, len(lines))  # each title after nobody's history
            size = (asked + alone) * len(prompt.text) + told_of * line
            return ledger.estimate(prompt, asked + alone, size, tokens_out=n * line * TOKENS_PER_BYTE, reads=n)
        size = self.shuffles * (asked * (len(prompt.text) + n * line) + told_of * line)
        each, reads = (n, n) if self.method == "labels" else (4 * n, 1)
        return ledger.estimate(prompt, asked * self.shuffles, size, tokens_out=each, reads=reads)

    def _asks(self, history: History, liked: History) -> npt.NDArray[np.bool_]:
        """Which histories are reordered. [n]"""
        short = history.lengths <= (self.short_history or np.inf)
        return (liked.lengths > 0) & short & (self.weight > 0)

    def _score(self, history: History) -> Float32:
        scores = self._first_scores(history)
        liked = history.keep(history.weight > 0)
        asked = np.flatnonzero(self._asks(history, liked))
        if len(asked) == 0:
            return scores
        some = history.select(asked)
        n = min(self.n, history.n_items)
        items, best = top_k_scores(scores[asked], n, seen=(some.indptr, some.item))
        told_of = np.array([bool(line) for line in self.lines_])
        whole = ((items >= 0) & told_of[items]).all(axis=1)  # who has seen nearly all keeps the first stage's order
        asked, items, best = asked[whole], items[whole], best[whole]
        order = self._orders(liked.select(asked).last(self.history_length), items)
        for row, candidates, first_scores, place in zip(asked, items, best, order, strict=True):
            new = fuse(place, self.weight)
            scores[row, candidates[new]] = deal(first_scores)
        return scores

    def _extend(self, features: Float32) -> None:
        super()._extend(features)
        self.lines_ = self.lines_ + [""] * len(features)  # nothing is known to tell of them

    # --- asking -----------------------------------------------------------------------------------

    def _orders(self, liked: History, items: Int32) -> Float64:
        """The mean place the model gives each candidate, 0 is best; the first stage's where it failed. [rows, n]

        A few histories at a time, and one by one where the budget ends, so that what was paid for is used.
        """
        told_of = [[self.lines_[item] for item in row.item.tolist()] for row in _each(liked)]
        candidates = [[self.lines_[item] for item in row] for row in items.tolist()]
        shuffled, wording = self._shuffles(items.shape[1]), load_domain(self.domain).wording()
        order = np.tile(np.arange(items.shape[1], dtype=np.float64), (len(items), 1))
        ledger, every = self._ledger, np.arange(len(items))
        left = [every[at : at + TOGETHER] for at in range(0, len(items), TOGETHER)]
        while left:
            rows = left.pop(0)
            task = Task([told_of[row] for row in rows], [candidates[row] for row in rows], shuffled, wording)
            try:
                found = WAYS[self.method](ledger, task)
            except BudgetExceeded as error:
                if ledger is self._ledger:
                    self.last_error = str(error)
                if len(rows) > 1:
                    left = [*rows[:, None], *left]
                else:
                    self.counts["over_budget"] += 1
                    ledger = ledger.cached_only()  # from here on only what was answered before
                continue
            except GenreError as error:  # a missing package, a full disk: the first stage answers
                found = Found(np.full_like(order[rows], np.nan), np.ones(len(rows), bool), str(error))
            order[rows] = np.where(np.isnan(found.place), order[rows], found.place)
            self._count(found)
        return order

    def _count(self, found: Found) -> None:
        none = np.asarray(np.isnan(found.place).any(axis=1), bool)
        counts = {"reordered": ~none, "failed": none & found.failed, "unreadable": none & ~found.failed}
        self.counts.update({name: int(rows.sum()) for name, rows in counts.items()})
        self.counts.update(found.counts)
        self.last_error = found.trouble or self.last_error

    def _shuffles(self, n: int) -> list[npt.NDArray[np.int64]]:
        """The orders in which candidates are shown, the same for every history, so that no batch changes an answer."""
        rng = np.random.default_rng(self.seed)
        return [rng.permutation(n) for _ in range(self.shuffles)]

    @functools.cached_property
    def _ledger(self) -> Ledger:
        assert self.llm is not None
        return self.llm.open()


def rerankers(recommender: Recommender) -> list[LLMReranker]:
    """Those in a recommender: itself, its stages, its members."""
    return [one for one in within(recommender) if isinstance(one, LLMReranker)]


def reranking_counts(recommender: Recommender) -> dict[str, Any]:
    """What its rerankers have counted since it was loaded, and the last trouble; empty without a reranker."""
    stages = rerankers(recommender)
    counts = sum((stage.counts for stage in stages), Counter[str]())
    return {**counts, "trouble": next((s.last_error for s in stages if s.last_error), "")} if stages else {}


UNUSED_ANSWERS = ("failed", "unreadable", "over_budget")
"""Why a list that was to be reordered kept the first stage's order."""


def describe_reranking(account: Mapping[str, Any]) -> str:
    """The account in words, for people."""
    words = {
        "reordered": "histories reordered",
        "failed": "left alone since calls failed",
        "unreadable": "left alone since the answers could not be read",
        "over_budget": "left alone since the budget was used up",
        "missing": "candidates missing in written lists",
        "unknown": "unknown",
        "repeated": "named twice",
    }
    counts = [
        f"{account.get(name, 0):,} {text}" for name, text in words.items() if account.get(name) or name == "reordered"
    ]
    return ", ".join(counts) + (f" ({account['trouble']})" if account["trouble"] else "")


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
    """How an item is told: the title first, the rest of it behind a dash."""
    return " — ".join(fields)[:LINE_LENGTH]


def _each(history: History) -> Iterator[History]:
    return (history.select([row]) for row in range(len(history)))
