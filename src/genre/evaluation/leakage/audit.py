"""The leakage audit: runs every check of a split, its texts and what was fitted on it. A clean split has no findings.

The checks are in `interactions.py`, `ties.py`, `copies.py`, `item_variants.py`, `texts.py`, `mentions.py`,
`presence.py`, `fields.py` and `fitted.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from genre.data.folds import Split
from genre.evaluation.leakage.copies import check_copies
from genre.evaluation.leakage.fields import Vectors, check_table_fields
from genre.evaluation.leakage.findings import Finding
from genre.evaluation.leakage.fitted import Derived, check_fitted_values
from genre.evaluation.leakage.interactions import check_interactions
from genre.evaluation.leakage.item_variants import check_variants
from genre.evaluation.leakage.mentions import check_mentions
from genre.evaluation.leakage.presence import check_presence
from genre.evaluation.leakage.texts import check_texts
from genre.evaluation.leakage.ties import check_tied_times
from genre.preprocessing.entity_splits import StrongSplit
from genre.preprocessing.splits import LeaveOneOut, Splitter, TimeSplit
from genre.recommenders.base import Recommender
from genre.threads import blas_threads

TimeOrder = Literal["global", "user", "none"]

_SEVERITIES = ("error", "warning", "note")


def time_order_of(splitter: Splitter) -> TimeOrder:
    """Return what a kind of split promises about time.

    Args:
        splitter: The split.

    Returns:
        `global`: nothing in train is later than any target. `user`: no history is later than the same user's target.
        `none`: no promise.
    """
    splitter = splitter.scheme
    if isinstance(splitter, TimeSplit):
        return "global"
    by_time = isinstance(splitter, LeaveOneOut) or (isinstance(splitter, StrongSplit) and splitter.order == "time")
    return "user" if by_time else "none"


def audit(
    split: Split,
    *,
    order: TimeOrder = "global",
    recommenders: Mapping[str, Recommender] | None = None,
    derived: Sequence[Derived] = (),
    user_texts: Mapping[str, Sequence[str]] | None = None,
    item_vectors: Vectors | None = None,
    user_vectors: Vectors | None = None,
    probe: Callable[[], Recommender] | None = None,
    seed: int = 0,
) -> list[Finding]:
    """Run every check.

    Args:
        split: The split.
        order: What the split promises about time, see `time_order_of`. A finding against the promise is an error,
            otherwise a note.
        recommenders: Name -> fitted recommender; the interactions it counted must be in train.
        derived: Other values computed from interactions (scalers, profiles), each with the function that computes it.
        user_texts: Name -> one text for each user.
        item_vectors: Name -> one vector for each item, besides the features of the split.
        user_vectors: Name -> one vector for each user, besides the features of the split.
        probe: Makes a recommender that is cheap to fit; shows how far a metric moves when tied times are shuffled.
            None: only the share of ties is given.
        seed: Seed of the shuffles.

    Returns:
        The findings, errors first; without an error, no check found a leak.
    """
    with blas_threads(1):  # its matrices are small
        findings = [
            *check_interactions(split, order),
            *check_tied_times(split, probe, seed=seed),
            *check_copies(split),
            *check_variants(split),
            *check_texts(split, user_texts or {}),
            *check_mentions(split, seed=seed),
            *check_presence(split),
            *check_table_fields(
                split, user_texts=user_texts or {}, item_vectors=item_vectors or {}, user_vectors=user_vectors or {}
            ),
            *check_fitted_values(split, recommenders or {}, derived),
        ]
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))
