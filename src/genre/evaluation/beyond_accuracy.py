"""The metrics beyond accuracy: of the lists as shown, of the catalogue, and between groups of users.

Functions of the lists (coverage, gini, novelty, popularity, diversity, calibration) read `Ranks.lists`, in which tied
items are ordered by row number; they do not know what is relevant. The others are expectations over the orders of tied
items, as in `metrics.py`. Most return one value per user, float64 `[n_users]`; coverage, gini and group_gap return one
number for all lists together.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from genre.arrays import Float64, Int32, Int64
from genre.data.linear_algebra import ratio
from genre.evaluation.item_statistics import ItemStatistics
from genre.evaluation.metrics import ndcg
from genre.evaluation.tied_ranks import Ranks

BLOCK = 4_000_000  # numbers held at once


def coverage(ranks: Ranks) -> float:
    """Compute the share of the catalogue that is in at least one of the lists.

    Ge, Delgado-Battenfeld and Jannach, "Beyond Accuracy: Evaluating Recommender Systems by Coverage and Serendipity",
    RecSys 2010.

    Args:
        ranks: Ranks with lists and item statistics.

    Returns:
        0 to 1.
    """
    return float((_times_listed(ranks) > 0).mean())


def gini(ranks: Ranks) -> float:
    """Compute the Gini index of how often items are listed: 0 when equally often, near 1 when few items fill all lists.

    With the counts c sorted in ascending order it is the sum of (2 i - n - 1) c_i over n times the sum of c. Shani and
    Gunawardana, "Evaluating Recommendation Systems", 2011.

    Args:
        ranks: Ranks with lists and item statistics.

    Returns:
        0 to 1; NaN when all lists are empty.
    """
    counts = np.sort(_times_listed(ranks))
    n, total = len(counts), counts.sum()
    return float(((2 * np.arange(1, n + 1) - n - 1) * counts).sum() / (n * total)) if total else float("nan")


def novelty(ranks: Ranks) -> Float64:
    """Compute the mean of -log2(share of training users who know the item) over the list.

    An item without users counts as one with a single user. Zhou et al., "Solving the Apparent Diversity-Accuracy
    Dilemma of Recommender Systems", PNAS 2010 (there: surprisal).

    Args:
        ranks: Ranks with lists and item statistics.

    Returns:
        `[n_users]`, in bits, 0 to log2 of the number of training users; NaN for an empty list.
    """
    items = _statistics(ranks)
    surprisal = -np.log2(np.maximum(items.popularity, 1) / max(items.n_users, 1))  # [n_items]
    return _mean_over_list(ranks, surprisal)


def popularity(ranks: Ranks) -> Float64:
    """Compute the mean popularity percentile of the list: near 1 for the most popular items, near 0 for the rarest.

    Args:
        ranks: Ranks with lists and item statistics.

    Returns:
        `[n_users]`, 0 to 1; NaN for an empty list.
    """
    return _mean_over_list(ranks, _statistics(ranks).percentile)


def diversity(ranks: Ranks) -> Float64:
    """Compute the mean of 1 - cosine of the item features over all pairs in the list.

    The sum of all cosines of unit vectors is |their sum|^2, each item's cosine with itself included. Ziegler et al.,
    "Improving Recommendation Lists through Topic Diversification", WWW 2005 (1 - their intra-list similarity).

    Args:
        ranks: Ranks with lists and item vectors.

    Returns:
        `[n_users]`, 0 to 2; NaN for a list of fewer than two items.
    """
    vectors = _statistics(ranks).vectors
    assert vectors is not None
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)  # [n_items, dim]
    out = np.full(len(ranks), np.nan)
    size = max(1, BLOCK // max(ranks.k * unit.shape[1], 1))
    for start in range(0, len(ranks), size):
        shown = ranks.lists[start : start + size]
        listed = shown >= 0
        picked = unit[shown] * listed[..., None]  # [block, k, dim]
        n = listed.sum(axis=1)
        summed = picked.sum(axis=1, dtype=np.float64)  # [block, dim]
        own = (picked.astype(np.float64) ** 2).sum(axis=(1, 2))
        pairs = np.where(n > 1, n * (n - 1), np.nan)
        out[start : start + size] = 1 - ((summed**2).sum(axis=1) - own) / pairs
    return out


def serendipity(ranks: Ranks) -> Float64:
    """Compute the share of the first k places with a relevant item that is not popular.

    Each hit counts 1 - its popularity percentile; their sum is divided by k. After Murakami, Mori and Orihara, "Metrics
    for Evaluating the Serendipity of Recommendation Lists", 2008.

    Args:
        ranks: Ranks with item statistics.

    Returns:
        `[n_users]`, 0 to 1.
    """
    unpopular = 1 - _statistics(ranks).percentile[ranks.item]
    return ranks.sum_per_user(ranks.user, ranks.hit_probability * unpopular) / ranks.k


def calibration(ranks: Ranks) -> Float64:
    """Compute 1 - the Jensen-Shannon distance between the categories of the list and those of the history.

    1 means the same mix. An item with n categories counts 1/n for each. With p and q the two mixes, m = (p + q) / 2 and
    KL in bits, the distance is sqrt((KL(p, m) + KL(q, m)) / 2). After Steck, "Calibrated Recommendations", RecSys 2018,
    who uses KL(q, p), which is infinite where the list lacks a category.

    Args:
        ranks: Ranks with lists, histories and categories.

    Returns:
        `[n_users]`, 0 to 1; NaN where list or history has no category.
    """
    categories, history = _statistics(ranks).categories, ranks.history
    assert categories is not None
    assert history is not None
    share = categories.multiply(1 / np.maximum(categories.sum(axis=1), 1)).tocsr()  # rows sum to one
    listed = ranks.lists >= 0
    users = np.repeat(np.arange(len(ranks)), listed.sum(axis=1))
    p = _category_mix(users, ranks.lists[listed], share, len(ranks))
    q = _category_mix(history.row_of(), history.item, share, len(ranks))
    middle = (p + q) / 2
    divergence = (_kl_divergence(p, middle) + _kl_divergence(q, middle)) / 2
    distance: Float64 = np.sqrt(np.maximum(divergence, 0))
    return 1 - distance


def tail_recall(ranks: Ranks) -> Float64:
    """Compute the recall of the long tail: the rarest items that together hold a fifth of the interactions.

    Args:
        ranks: Ranks with item statistics.

    Returns:
        `[n_users]`, 0 to 1; NaN for users without a relevant item in the tail.
    """
    tail = _statistics(ranks).tail[ranks.item]
    relevant = ranks.sum_per_user(ranks.user, tail.astype(np.float64))
    found = ranks.sum_per_user(ranks.user, ranks.hit_probability * tail)
    return ratio(found, relevant)


def group_gap(ranks: Ranks) -> float:
    """Compute the mean ndcg of the best served group of users minus that of the worst served group.

    Users without a group are left out. After Ekstrand et al., "All The Cool Kids, How Do They Fit In?", FAT* 2018.

    Args:
        ranks: Ranks with user groups.

    Returns:
        0 to 1; NaN when no user has a group.
    """
    assert ranks.user_groups is not None
    known = ranks.user_groups >= 0
    members = np.bincount(ranks.user_groups[known])
    totals = np.bincount(ranks.user_groups[known], weights=ndcg(ranks)[known])
    means = totals[members > 0] / members[members > 0]
    return float(means.max() - means.min()) if len(means) else float("nan")


def _times_listed(ranks: Ranks) -> Float64:
    """Count in how many lists each item is. [n_items]."""
    lists = ranks.lists
    return np.bincount(lists[lists >= 0], minlength=len(_statistics(ranks).popularity)).astype(np.float64)


def _mean_over_list(ranks: Ranks, value: Float64) -> Float64:
    """Average a value of items `[n_items]` over each list; NaN for an empty one. [n_users]."""
    listed = ranks.lists >= 0
    total = np.where(listed, value[ranks.lists], 0).sum(axis=1)
    return ratio(total, listed.sum(axis=1))


def _category_mix(user: Int64, item: Int32, share: sp.csr_matrix, n_users: int) -> Float64:
    """Return the categories of each user's items as shares of one; NaN without any. [n_users, n_categories]."""
    members = sp.csr_matrix((np.ones(len(item)), (user, item)), shape=(n_users, share.shape[0]))
    total = np.asarray((members @ share).todense(), np.float64)
    return ratio(total, np.broadcast_to(total.sum(axis=1, keepdims=True), total.shape))


def _kl_divergence(p: Float64, m: Float64) -> Float64:
    """Compute the Kullback-Leibler divergence of p from m, sum of p log2(p / m), in bits. [n_users]."""
    logs = np.log2(np.divide(p, m, out=np.ones_like(p), where=p > 0))
    return np.asarray((p * logs).sum(axis=1))


def _statistics(ranks: Ranks) -> ItemStatistics:
    assert ranks.items is not None
    return ranks.items
