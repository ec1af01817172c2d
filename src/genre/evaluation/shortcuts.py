"""What a test can be solved by without a model: repeats, recent popularity, text, the last item, older items.

Each is a list of at most ten items that needs no learning, and the share of the test targets that it holds. Where a
seventh of the targets is in one and in no simpler one, a high metric on this test says little of anything else. Does
not know recommenders; reads histories and targets of the test part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.steps import branching, step_codes
from genre.evaluation.leakage.findings import Finding
from genre.recommenders.topk import top_k_cosine

TARGETS = 1000  # test targets that are looked at, drawn at random: a share is then good to .03
LONGEST = 10  # items of a list
OF_CATALOGUE = 0.1  # share of the catalogue that a list may hold, so that chance alone explains little
FLAGGED = 0.15  # share of the targets from which on a shortcut is a finding
RECENT = 0.1  # the newest share of the interactions before the test
MOST_TOGETHER = 300_000  # interactions that pairs of items are counted in
BLOCK = 50  # histories whose scores are held at once
NEWEST, OLDER = 2, 3  # the newest items of a history, and how many before them are the older ones

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shortcut:
    """One way to find targets without a model.

    Attributes:
        name: A word for it.
        share: Share of the test targets in its list.
        beyond: Share of them that no shortcut before this one finds.
        what: What the list holds, as the end of a sentence.
        remedy: What a flagged one means for the test.
    """

    name: str
    share: float
    beyond: float
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.share:.1%} of the test targets are {self.what} ({self.beyond:.1%} by this alone)"

    @property
    def flagged(self) -> bool:
        """Whether it finds so many targets that a metric on this test says little of anything else."""
        return self.beyond >= FLAGGED


@dataclass(frozen=True)
class Solvable:
    """What a test can be solved by.

    Attributes:
        shortcuts: The shortcuts that can be measured on this test, simple ones first.
        seen_steps: Share of the targets that followed the last item of the history before, in any history.
        branching: Different next items of an item, see `steps.branching`.
        facts: Lines on what the figures rest on.
    """

    shortcuts: tuple[Shortcut, ...]
    seen_steps: float
    branching: float
    facts: tuple[str, ...] = field(default=())

    def lines(self) -> Iterator[str]:
        """Say everything for people.

        Yields:
            Lines.
        """
        yield from map(str, self.shortcuts)
        if self.shortcuts:
            yield f"{self.seen_steps:.1%} of the test targets followed the last item of the history before"
            yield f"{self.branching:.1f} next items for one item: 1 is a fixed order"
        yield from self.facts

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns:
            The fields, and the lines.
        """
        shares = {one.name: {"share": one.share, "beyond": one.beyond} for one in self.shortcuts}
        numbers = {"seen_steps": self.seen_steps, "branching": self.branching} if self.shortcuts else {}
        return {"shortcuts": shares, **numbers, "lines": list(self.lines())}


class _Sample(NamedTuple):
    """Some targets of the test with their histories.

    Attributes:
        history: one history a target. `n`
        target: the item. `[n]`
        last: the last item of the history. `[n]`
    """

    history: History
    target: Int64
    last: Int64


def find_shortcuts(fold: Fold, *, seed: int = 0) -> Solvable:
    """Measure what a test can be solved by.

    Args:
        fold: The test part.
        seed: Of the choice of targets.

    Returns:
        The shares; no shortcut where no liked target has a history, or where the catalogue has fewer than ten items.
    """
    k = min(LONGEST, int(OF_CATALOGUE * fold.context.n_items))
    sample = _sample(fold, seed)
    if k < 1 or len(sample.target) == 0:
        return Solvable((), 0.0, float("nan"), ("too few targets with a history, or items, to look for shortcuts",))
    steps = np.unique(step_codes(fold.context), return_counts=True)
    found, shortcuts = np.zeros(len(sample.target), np.bool_), []
    for name, hit, what, remedy in _hits(fold.context, steps, sample, k):
        beyond = float((hit & ~found).mean())
        shortcuts.append(Shortcut(name, float(hit.mean()), beyond, what, remedy))
        found |= hit
    wanted = sample.last * fold.context.n_items + sample.target
    facts = (f"measured on {len(sample.target):,} test targets with a history, by lists of {k}",)
    return Solvable(tuple(shortcuts), float(np.isin(wanted, steps[0]).mean()), branching(fold.context), facts)


def shortcut_findings(solvable: Solvable, *, exclude_seen: bool = True) -> Iterator[Finding]:
    """Turn flagged shortcuts into findings of the audit.

    Args:
        solvable: What was measured.
        exclude_seen: Whether lists of the evaluation hold no items of the history.

    Yields:
        Warnings: a test that is solved by a shortcut has no leak, but tells little.
    """
    for one in solvable.shortcuts:
        if one.flagged:
            share = f"{one.beyond:.0%} of the test targets are {one.what}, beyond what simpler lists hold"
            remedy = COUNTED_REMEDY if one.name == "repeats" and not exclude_seen else one.remedy
            yield Finding(f"shortcut-{one.name.replace(' ', '-')}", "warning", share, solvable.facts[-1], remedy)


def _sample(fold: Fold, seed: int) -> _Sample:
    """Draw liked targets whose users have a history."""
    target = fold.target.where(fold.target.liked())
    lengths = fold.context.history().lengths
    rows = np.flatnonzero(lengths[target.user] > 0)
    if len(rows) > TARGETS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, TARGETS, replace=False))
    history = fold.context.history().select(target.user[rows])
    last = history.item[history.indptr[1:] - 1].astype(np.int64)
    return _Sample(history, target.item[rows].astype(np.int64), last)


Hits = tuple[str, Mask, str, str]


def _hits(context: Dataset, steps: tuple[Int64, Int64], sample: _Sample, k: int) -> Iterator[Hits]:
    """Yield each shortcut with the targets that are in its list. Mask `[n]`."""
    seen = sp.csr_matrix(sample.history.matrix() > 0)
    repeated = np.asarray(seen[np.arange(len(sample.target)), sample.target]).ravel()
    remedy = "judge repeats with evaluation.exclude_seen: false, or keep the first of each (cleaning.repeats)"
    yield "repeats", repeated, "in the history already", remedy
    newest = " of the newest tenth" if context.timestamp is not None else ""
    popular = _popular(context, sample, k)
    yield "recent popularity", popular, f"among the most popular items{newest}", POPULAR_REMEDY
    if context.item_features is not None:
        hit = _listed(top_k_cosine(context.item_features.values, sample.last.astype(np.int32), k)[0], sample.target)
        yield "text steps", hit, "among the items that read most like the last one", LAST_REMEDY
    yield (
        "transitions",
        _followed(steps, context.n_items, sample, k),
        "among the most frequent followers of the last item",
        LAST_REMEDY,
    )
    older = _older(sample.history)
    hit = _listed(_together(context, older, k), sample.target) & (older.lengths > 0)
    what = f"among the items most often together with the {OLDER} before the last {NEWEST}"
    yield "older history", hit, what, "compare with item_knn without history_half_life, which needs no order"


COUNTED_REMEDY = "lists may hold them here: compare with repeat, and read discoveries and repurchases apart"
POPULAR_REMEDY = "compare with popularity and its half_life_days; report novelty and coverage, too"
LAST_REMEDY = "compare with transitions and content, which read the last item; longer histories hardly count here"


def _listed(lists: npt.NDArray[np.integer[Any]], target: Int64) -> Mask:
    """Tell which targets are in their lists `[n, k]`."""
    return np.asarray((lists == target[:, None]).any(axis=1))


def _popular(context: Dataset, sample: _Sample, k: int) -> Mask:
    """Look for targets among the `k` most frequent items of the newest interactions, of all without times."""
    newest = np.ones(len(context), np.bool_)
    if context.timestamp is not None:
        newest = context.timestamp >= np.quantile(context.timestamp, 1 - RECENT)
    count = np.bincount(context.item[newest], minlength=context.n_items)
    return np.isin(sample.target, np.argsort(-count, kind="stable")[:k])


def _followed(steps: tuple[Int64, Int64], n_items: int, sample: _Sample, k: int) -> Mask:
    """Look for targets among the `k` most frequent followers of the last item."""
    codes, count = steps
    follows = sp.csr_matrix((count, (codes // n_items, codes % n_items)), shape=(n_items, n_items))
    return _listed(_best(follows[sample.last], k), sample.target)


def _older(history: History) -> History:
    """Keep the older items of histories."""
    from_end = np.repeat(history.indptr[1:], history.lengths) - np.arange(len(history.item))
    return history.keep((from_end > NEWEST) & (from_end <= NEWEST + OLDER))


def _together(context: Dataset, history: History, k: int) -> npt.NDArray[np.int64]:
    """Return the `k` items with the highest cosine of users to a history, without its own. `[n, k]`."""
    matrix = (_some_users(context).matrix() > 0).astype(np.float32)
    norm = sp.diags(1 / np.sqrt(np.maximum(np.bincount(matrix.indices, minlength=context.n_items), 1)))
    by_user, scaled = matrix.T.tocsr(), (matrix @ norm).tocsr()
    lists = [np.empty((0, k), np.int64)]
    for _, block in history.blocks(BLOCK):
        own = (block.matrix() > 0).astype(np.float32)
        scores = sp.csr_matrix(own @ norm @ by_user @ scaled)
        lists.append(_best(sp.csr_matrix(scores - scores.multiply(own)), k))
    return np.concatenate(lists)


def _some_users(context: Dataset) -> Dataset:
    """Return the interactions of some users, drawn at random, where there are very many."""
    share = MOST_TOGETHER / max(len(context), 1)
    if share >= 1:
        return context
    return context.where((np.random.default_rng(0).random(context.n_users) < share)[context.user])


def _best(scores: sp.csr_matrix, k: int) -> npt.NDArray[np.int64]:
    """Return the items with the `k` highest scores above zero, -1 for places without one. `[n, k]`."""
    out = np.full((scores.shape[0], k), -1, np.int64)
    for row in range(scores.shape[0]):
        inside = slice(scores.indptr[row], scores.indptr[row + 1])
        item, value = scores.indices[inside], scores.data[inside]
        best = np.lexsort((item, -value))[:k]
        best = best[value[best] > 0]
        out[row, : len(best)] = item[best]
    return out
