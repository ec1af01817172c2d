"""The metrics of rankings and of ratings, one function each. Does not know how ranks or predictions were made.

Every function returns one value per user, float64 `[n_users]`; the evaluator averages them. Relevance is binary: an
item of the target that the user liked is relevant, every other item is not. `n_relevant` counts all relevant items,
also those that cannot be recommended (not among the candidates), which are never found. Users without relevant items
are not evaluated; the evaluator counts them.

Each ranking metric is the exact mean over all orders of items with tied scores; `tied_ranks.py` says how. Items to
which a user's scores give one value are a group. A group of `size` items, `relevant` of them relevant, has the ranks
`n_higher + 1 .. n_higher + size`; `n_relevant_higher` relevant items rank before it. Metrics of the lists themselves
(coverage, diversity, ...) are in `beyond_accuracy.py`; names and labels in `metric_table.py`.
"""

from __future__ import annotations

import numpy as np

from genre.arrays import Float64
from genre.data.ndcg import cumulative_discounts
from genre.evaluation.predicted_ratings import PredictedRatings
from genre.evaluation.tied_ranks import Ranks


def precision(ranks: Ranks) -> Float64:
    """Compute the share of the first k places that hold a relevant item: hits / k.

    The divisor is k also where the user has fewer relevant items or the list is shorter. Source, also
    of recall and F1: Manning, Raghavan and Schuetze, "Introduction to Information Retrieval", 2008, chapter 8.

    Args:
        ranks: The ranks of the relevant items.

    Returns:
        `[n_users]`, 0 to 1.
    """
    return ranks.expected_hits / ranks.k


def recall(ranks: Ranks) -> Float64:
    """Compute the share of the user's relevant items among the first k: hits / n_relevant.

    The divisor is the number of all relevant items, also where it is above k.

    Args:
        ranks: The ranks of the relevant items.

    Returns:
        `[n_users]`, 0 to 1.
    """
    return ranks.expected_hits / ranks.n_relevant


def f1(ranks: Ranks) -> Float64:
    """Compute the harmonic mean of precision and recall: 2 hits / (k + n_relevant).

    This follows from 2 P R / (P + R) with P = hits / k and R = hits / n_relevant; 0 without hits. Under ties it is the
    mean of the F1 of the orders.

    Args:
        ranks: The ranks of the relevant items.

    Returns:
        `[n_users]`, 0 to 1.
    """
    return 2 * ranks.expected_hits / (ranks.k + ranks.n_relevant)


def ndcg(ranks: Ranks) -> Float64:
    """Compute the normalised discounted cumulative gain with binary gains: DCG / ideal DCG.

    DCG is the sum of 1 / log2(rank + 1) over the relevant items within k; the ideal DCG is that of the best list, with
    min(k, n_relevant) relevant items on top. Jaervelin and Kekaelaeinen, "Cumulated Gain-Based Evaluation of IR
    Techniques", TOIS 2002.

    Args:
        ranks: The ranks of the relevant items.

    Returns:
        `[n_users]`, 0 to 1.
    """
    cumulative = cumulative_discounts(ranks.k)  # [k + 1]
    return ranks.expected_gain(cumulative) / cumulative[np.minimum(ranks.n_relevant, ranks.k)]


def map(ranks: Ranks) -> Float64:  # noqa: A001  # the name the field uses
    """Compute the average precision: the precision at the rank of each relevant item within k, summed, / n_relevant.

    Its mean over users is MAP. The divisor is the number of all relevant items, as in TREC; some libraries divide by
    min(k, n_relevant). Buckley and Voorhees, "Evaluating Evaluation Measure Stability", SIGIR 2000.

    Args:
        ranks: The ranks of the relevant items.

    Returns:
        `[n_users]`, 0 to 1.
    """
    # Place p of a group (rank n_higher + p) holds a relevant item with probability relevant / size. If it does,
    # (p - 1) slope others of the group are expected in the places before it, with slope = (relevant - 1) / (size - 1).
    # So the expected precision at rank r = n_higher + p is
    #     (n_relevant_higher + 1 + (r - n_higher - 1) slope) / r
    #     = (n_relevant_higher + 1 - (n_higher + 1) slope) / r + slope,
    # and its sum over the places within k needs the sum of 1 / r alone.
    groups = ranks.groups_within_k
    places = np.minimum(ranks.k - groups.n_higher, groups.size)
    slope = (groups.relevant - 1) / np.maximum(groups.size - 1, 1)
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, ranks.k + 1))])  # of the first 0..k ranks
    inverse_ranks = harmonic[groups.n_higher + places] - harmonic[groups.n_higher]
    precisions = (groups.n_relevant_higher + 1 - (groups.n_higher + 1) * slope) * inverse_ranks + slope * places
    return ranks.sum_per_user(groups.user, groups.relevant / groups.size * precisions) / ranks.n_relevant


def mrr(ranks: Ranks) -> Float64:
    """Compute the reciprocal rank: 1 / rank of the first relevant item, 0 when none is within k.

    Its mean over users is MRR. Voorhees, "The TREC-8 Question Answering Track Report", 1999.

    Args:
        ranks: The ranks of the relevant items.

    Returns:
        `[n_users]`, 0 to 1.
    """
    return ranks.expected_at_first_hit(lambda rank: 1 / rank)


def hit_rate(ranks: Ranks) -> Float64:
    """Compute whether any relevant item is within k: 1 or 0, and between them under ties.

    Deshpande and Karypis, "Item-Based Top-N Recommendation Algorithms", TOIS 2004.

    Args:
        ranks: The ranks of the relevant items.

    Returns:
        `[n_users]`, 0 to 1.
    """
    return ranks.expected_at_first_hit(np.ones_like)


def auc(ranks: Ranks) -> Float64:
    """Compute the area under the ROC curve: the probability that a relevant item ranks before one that is not.

    Ties count half; relevant items that cannot be recommended rank last. The whole ranking counts, so there is no k.
    Hanley and McNeil, "The Meaning and Use of the Area under a ROC Curve", Radiology 1982.

    Args:
        ranks: The ranks of the relevant items, with `candidates`.

    Returns:
        `[n_users]`, 0 to 1; NaN where every candidate is relevant.
    """
    assert ranks.candidates is not None
    groups = ranks.all_groups
    others = ranks.candidates - ranks.sum_per_user(groups.user, groups.relevant)  # candidates that are not relevant
    others_higher = groups.n_higher - groups.n_relevant_higher
    others_before = others_higher + (groups.size - groups.relevant) / 2  # tied ones count half
    won = groups.relevant * (others[groups.user] - others_before)  # pairs in the right order, [n_groups]
    # NaN: there is no pair. All relevant items count, so that those which have no rank lose.
    pairs = np.where(others > 0, others, np.nan) * ranks.n_relevant
    return ranks.sum_per_user(groups.user, won) / pairs


# --- ratings: the value of a user is the mean over this user's ratings; a table shows the mean over all ratings ---


def mse(ratings: PredictedRatings) -> Float64:
    """Compute the mean squared error of the predicted ratings: mean of (predicted - actual)^2.

    Args:
        ratings: Predicted and given ratings.

    Returns:
        `[n_users]`, at least 0; NaN for a user without ratings.
    """
    return ratings.mean((ratings.predicted - ratings.actual) ** 2)


def rmse(ratings: PredictedRatings) -> Float64:
    """Compute the root of the mean squared error; tables show that of all ratings (`metric_table`), no mean of roots.

    Args:
        ratings: Predicted and given ratings.

    Returns:
        `[n_users]`, at least 0, in the unit of the ratings; NaN for a user without ratings.
    """
    return np.sqrt(mse(ratings))


def mae(ratings: PredictedRatings) -> Float64:
    """Compute the mean absolute error of the predicted ratings: mean of |predicted - actual|.

    Args:
        ratings: Predicted and given ratings.

    Returns:
        `[n_users]`, at least 0, in the unit of the ratings; NaN for a user without ratings.
    """
    return ratings.mean(np.abs(ratings.predicted - ratings.actual))


def accuracy(ratings: PredictedRatings) -> Float64:
    """Compute the share of ratings predicted within half a step of the scale, which would round to the given rating.

    The evaluator leaves it out where the scale has no steps: no prediction is exact.

    Args:
        ratings: Predicted and given ratings.

    Returns:
        `[n_users]`, 0 to 1; NaN for a user without ratings.
    """
    return ratings.mean(np.abs(ratings.predicted - ratings.actual) <= ratings.step / 2)


def like_accuracy(ratings: PredictedRatings) -> Float64:
    """Compute the share of ratings predicted on the right side of the like threshold (`positive_rating`).

    Args:
        ratings: Predicted and given ratings.

    Returns:
        `[n_users]`, 0 to 1; NaN for a user without ratings.
    """
    return ratings.mean((ratings.predicted >= ratings.like_threshold) == (ratings.actual >= ratings.like_threshold))
