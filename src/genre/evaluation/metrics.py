"""One small function a metric, and the table of their names.

A metric takes what was judged and gives one value a user: `metric(judged) -> float64 [n_users]`, NaN where it means
nothing for that user. Those over all lists together (coverage, gini, group_gap) give one number. Metrics of ranks
are expectations over the orders of tied scores, so a constant scorer gets the value of a random one. Metrics of
lists (coverage to calibration) judge the list as shown, ties to the lower row number.

Knows nothing about how ranks were made.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genre.errors import EvaluationError
from genre.evaluation.ranked import Catalogue, Float64, Judged, Rated, ratio
from genre.options import nearest

# --- ranking: expectations over the orders of ties ------------------------------------------------


def precision(judged: Judged) -> Float64:
    """Share of the first k that is relevant. The divisor is k, also where fewer items are relevant or listed."""
    return np.divide(judged.hits, judged.k)


def recall(judged: Judged) -> Float64:
    """Share of the user's relevant items among the first k. The divisor is all of them, also where there are over k."""
    return np.divide(judged.hits, judged.relevant)


def f1(judged: Judged) -> Float64:
    """Harmonic mean of precision and recall: 2 hits / (k + relevant)."""
    return 2 * judged.hits / (judged.k + judged.relevant)


def ndcg(judged: Judged) -> Float64:
    """Sum of 1 / log2(rank + 1) over the relevant within k, over the best sum: min(k, relevant) hits on top."""
    gain: Float64 = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(2, judged.k + 2)))])  # of the first 0..k ranks
    near = judged.near
    shared = gain[np.minimum(near.above + near.size, judged.k)] - gain[near.above]
    found = judged.per_user(near.user, near.relevant / near.size * shared)
    return np.divide(found, gain[np.minimum(judged.relevant, judged.k)])


def map(judged: Judged) -> Float64:  # noqa: A001  # the name the field uses
    """Average precision: the precisions at the ranks of relevant items within k, summed, over all relevant items."""
    near = judged.near
    slots = np.minimum(judged.k - near.above, near.size)
    # rank p of a group holds a relevant item with chance m/g; then, expected, (p - above - 1) (m - 1)/(g - 1) others
    # of the group stand before it, and all relevant items of the groups before
    slope = (near.relevant - 1) / np.maximum(near.size - 1, 1)
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, judged.k + 1))])
    inverse = harmonic[near.above + slots] - harmonic[near.above]
    precisions = (near.before + 1 - (near.above + 1) * slope) * inverse + slope * slots
    return judged.per_user(near.user, near.relevant / near.size * precisions) / judged.relevant


def mrr(judged: Judged) -> Float64:
    """1 / rank of the first relevant item, 0 when it is not within k."""
    return _first_hit(judged, lambda rank: 1 / rank)


def hit_rate(judged: Judged) -> Float64:
    """1 when any relevant item is within k."""
    return _first_hit(judged, np.ones_like)


def _first_hit(judged: Judged, worth: Callable[[Float64], Float64]) -> Float64:
    """Expected worth of the rank of the first relevant item within k. [n_users]

    It lies in the user's first group with a relevant item: should the list end within that group, later ones are out.
    """
    user, above, size, relevant, _ = judged.first
    out, none = np.zeros(len(judged)), np.ones(len(user))  # none: the chance that none was among the first j - 1
    slots = np.minimum(judged.k - above, size - relevant + 1)  # by then one has come
    for j in itertools.count(1):
        still = none * (size - relevant - j + 1) / (size - j + 1)
        out[user] += (none - still) * worth((above + j).astype(np.float64))
        open_ = slots > j
        if not open_.any():
            return out
        user, above, size, relevant, slots, none = (a[open_] for a in (user, above, size, relevant, slots, still))
    raise AssertionError("slots are finite")


def auc(judged: Judged) -> Float64:
    """Chance that a relevant item ranks before one that is not; ties count half, unreachable items last.

    NaN where every candidate is relevant. Over the whole catalogue, so it has no k.
    """
    assert judged.candidates is not None
    ties = judged.reachable
    others = judged.candidates - judged.per_user(ties.user, ties.relevant)
    others_before = ties.above - ties.before + (ties.size - ties.relevant) / 2
    behind = ties.relevant * (others[ties.user] - others_before)
    pairs = np.where(others > 0, others, np.nan) * judged.relevant
    return judged.per_user(ties.user, behind) / pairs


# --- beyond accuracy ------------------------------------------------------------------------------


def coverage(judged: Judged) -> float:
    """Share of the catalogue that stands in at least one of the lists."""
    return float((_counts(judged) > 0).mean())


def gini(judged: Judged) -> float:
    """How unequally the lists use the catalogue: 0 when every item is listed equally often, near 1 when one rules."""
    counts = np.sort(_counts(judged))
    n, total = len(counts), counts.sum()
    return float(((2 * np.arange(1, n + 1) - n - 1) * counts).sum() / (n * total)) if total else float("nan")


def novelty(judged: Judged) -> Float64:
    """Mean of -log2(share of training users who know the item) over the list; one at least."""
    world = _catalogue(judged)
    surprise = -np.log2(np.maximum(world.popularity, 1) / max(world.n_users, 1))
    return _mean_over_list(judged, surprise)


def popularity(judged: Judged) -> Float64:
    """Mean popularity percentile of the list: 1 the most popular item of the catalogue, 0 the rarest."""
    return _mean_over_list(judged, _catalogue(judged).percentile)


def diversity(judged: Judged) -> Float64:
    """Mean of 1 - cosine of the item features over all pairs in the list; NaN below two items."""
    vectors = _catalogue(judged).vectors
    assert vectors is not None
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    out = np.full(len(judged), np.nan)
    size = max(1, 4_000_000 // max(judged.k * unit.shape[1], 1))
    for start in range(0, len(judged), size):
        shown = judged.shown[start : start + size]
        listed = shown >= 0
        picked = unit[shown] * listed[..., None]  # [block, k, dim]
        n = listed.sum(axis=1)
        together = picked.sum(axis=1, dtype=np.float64)  # |sum|^2 = the sum of all cosines, the item's own included
        own = (picked.astype(np.float64) ** 2).sum(axis=(1, 2))
        pairs = np.where(n > 1, n * (n - 1), np.nan)
        out[start : start + size] = 1 - ((together**2).sum(axis=1) - own) / pairs
    return out


def serendipity(judged: Judged) -> Float64:
    """Hits that popularity would not explain: each counts 1 - its popularity percentile, summed over k."""
    surprise = 1 - _catalogue(judged).percentile[judged.item]
    return judged.per_user(judged.user, judged.chance * surprise) / judged.k


def calibration(judged: Judged) -> Float64:
    """1 - Jensen-Shannon distance between the categories of the list and those of the history; 1: the same mix.

    An item shares its weight among its categories. NaN where list or history has none.
    """
    categories, history = _catalogue(judged).categories, judged.history
    assert categories is not None
    assert history is not None
    share = categories.multiply(1 / np.maximum(categories.sum(axis=1), 1)).tocsr()
    listed = judged.shown >= 0
    users = np.repeat(np.arange(len(judged)), listed.sum(axis=1))
    shown = _mix(users, judged.shown[listed], share, len(judged))
    known = _mix(history.row_of(), history.item, share, len(judged))
    distance: Float64 = np.sqrt(np.maximum((_entropy_gap(shown, known) + _entropy_gap(known, shown)) / 2, 0))
    return 1 - distance


def tail_recall(judged: Judged) -> Float64:
    """Recall of the long tail: the rarest items that together hold a fifth of the training interactions.

    NaN for users none of whose relevant items is in the tail.
    """
    tail = _catalogue(judged).tail[judged.item]
    wanted = judged.per_user(judged.user, tail.astype(np.float64))
    found = judged.per_user(judged.user, judged.chance * tail)
    return ratio(found, wanted)


def group_gap(judged: Judged) -> float:
    """How unfair: the mean ndcg of the best served user group minus that of the worst served."""
    assert judged.groups is not None
    known = judged.groups >= 0
    members = np.bincount(judged.groups[known])
    means = np.bincount(judged.groups[known], weights=ndcg(judged)[known])[members > 0] / members[members > 0]
    return float(means.max() - means.min()) if len(means) else float("nan")


def _counts(judged: Judged) -> Float64:
    shown = judged.shown
    return np.bincount(shown[shown >= 0], minlength=len(_catalogue(judged).popularity)).astype(np.float64)


def _mean_over_list(judged: Judged, value: Float64) -> Float64:
    """Mean of a value of items over each list, NaN for an empty one. [n_users]"""
    listed = judged.shown >= 0
    total = np.where(listed, value[judged.shown], 0).sum(axis=1)
    return ratio(total, listed.sum(axis=1))


def _mix(user: Any, item: Any, share: Any, n_users: int) -> Float64:
    """The categories of each user's items as shares that sum to one; a row of NaN without any. [n_users, n]"""
    import scipy.sparse as sp

    members = sp.csr_matrix((np.ones(len(item)), (user, item)), shape=(n_users, share.shape[0]))
    total = np.asarray((members @ share).todense(), np.float64)
    return ratio(total, np.broadcast_to(total.sum(axis=1, keepdims=True), total.shape))


def _entropy_gap(p: Float64, q: Float64) -> Float64:
    """Kullback-Leibler divergence of p from the middle of p and q, in bits. [n_users]"""
    middle = (p + q) / 2
    logs = np.log2(np.divide(p, middle, out=np.ones_like(p), where=p > 0))
    return np.asarray((p * logs).sum(axis=1))


def _catalogue(judged: Judged) -> Catalogue:
    assert judged.catalogue is not None
    return judged.catalogue


# --- rating ---------------------------------------------------------------------------------------


def mse(rated: Rated) -> Float64:
    """Mean squared error of the stars; the total is over all ratings, each counts the same."""
    return rated.mean((rated.predicted - rated.actual) ** 2)


def rmse(rated: Rated) -> Float64:
    """Root of the mean squared error of the stars; the total is the root over all ratings, not a mean of roots."""
    return np.sqrt(mse(rated))


def mae(rated: Rated) -> Float64:
    """Mean absolute error of the stars; the total is over all ratings."""
    return rated.mean(np.abs(rated.predicted - rated.actual))


def accuracy(rated: Rated) -> Float64:
    """Share of ratings guessed within half a step of the scale."""
    return rated.mean(np.abs(rated.predicted - rated.actual) <= rated.step / 2)


def like_accuracy(rated: Rated) -> Float64:
    """Share of ratings guessed on the right side of the like threshold."""
    return rated.mean((rated.predicted >= rated.positive) == (rated.actual >= rated.positive))


# --- the table ------------------------------------------------------------------------------------

Need = Literal["candidates", "top", "catalogue", "vectors", "categories", "groups"]


@dataclass(frozen=True)
class Metric:
    """A metric of the table.

    compute: the function. needs: what must be known beyond ranks. single: one number for all lists.
    of_ratings: judges stars, and users count by their ratings. power: totals are power means (rmse: 2).
    has_k: its label carries `@k`.
    """

    compute: Callable[[Any], Any]
    needs: tuple[Need, ...] = ()
    single: bool = False
    of_ratings: bool = False
    power: int = 1
    has_k: bool = True
    higher_is_better: bool = True

    @property
    def line(self) -> str:
        """What it is, in one line."""
        return (inspect.getdoc(self.compute) or "").partition("\n")[0]


METRICS: dict[str, Metric] = {
    "precision": Metric(precision),
    "recall": Metric(recall),
    "f1": Metric(f1),
    "ndcg": Metric(ndcg),
    "map": Metric(map),
    "mrr": Metric(mrr),
    "hit_rate": Metric(hit_rate),
    "auc": Metric(auc, needs=("candidates",), has_k=False),
    "coverage": Metric(coverage, needs=("top", "catalogue"), single=True),
    "gini": Metric(gini, needs=("top", "catalogue"), single=True, higher_is_better=False),
    "novelty": Metric(novelty, needs=("top", "catalogue")),
    "popularity": Metric(popularity, needs=("top", "catalogue"), higher_is_better=False),
    "diversity": Metric(diversity, needs=("top", "catalogue", "vectors")),
    "serendipity": Metric(serendipity, needs=("catalogue",)),
    "calibration": Metric(calibration, needs=("top", "catalogue", "categories")),
    "tail_recall": Metric(tail_recall, needs=("catalogue",)),
    "group_gap": Metric(group_gap, needs=("groups",), single=True, higher_is_better=False),
    "mse": Metric(mse, of_ratings=True, has_k=False, higher_is_better=False),
    "rmse": Metric(rmse, of_ratings=True, has_k=False, higher_is_better=False, power=2),
    "mae": Metric(mae, of_ratings=True, has_k=False, higher_is_better=False),
    "accuracy": Metric(accuracy, of_ratings=True, has_k=False),
    "like_accuracy": Metric(like_accuracy, of_ratings=True, has_k=False),
}
"""Name -> metric."""
NEEDS: dict[Need, str] = {
    "vectors": "item features; configure features.items",
    "categories": "a category of items; name a field of theirs as category, such as genres",
    "groups": "a group of users; name a field of theirs as group, such as gender",
}
"""What a metric may need that is not there unless asked for, and the remedy."""


def metric_of(label: str) -> Metric:
    """The metric of a name or a label (`ndcg@10`); EvaluationError naming the nearest otherwise."""
    name = label.partition("@")[0]
    if name not in METRICS:
        raise EvaluationError(f"unknown metric {name!r}{nearest(name, METRICS)}; there are {', '.join(METRICS)}")
    return METRICS[name]


def check_needs(metrics: Iterable[str], given: Mapping[Need, bool]) -> None:
    """EvaluationError for a metric that needs what is not given."""
    for name in metrics:
        for need in metric_of(name).needs:
            if not given.get(need, True):
                raise EvaluationError(f"metric {name} needs {NEEDS[need]}")


def labels(metrics: Iterable[str], ks: Iterable[int]) -> dict[str, int]:
    """Label -> k: `ndcg` becomes `ndcg@k` for each k, `recall@20` stays, a metric without k has k 0."""
    out: dict[str, int] = {}
    for asked in metrics:
        metric, (name, at, own) = metric_of(asked), asked.partition("@")
        if at and not (metric.has_k and own.isdigit()):
            raise EvaluationError(f"metric {asked!r}: write {name}@10 for lists of 10, or {name} alone")
        if not metric.has_k:
            out[name] = 0
            continue
        for k in [int(own)] if at else ks:
            if k < 1:
                raise EvaluationError(f"k is {k}; judge lists of at least one item")
            out[f"{name}@{k}"] = k
    return out
